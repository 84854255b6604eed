"""Reading an app: in a process of its own, with the line of whatever goes wrong."""

import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from eventrouter.project import app_reader
from eventrouter.project.app_reader import mentions_app, read_app
from eventrouter.project.model import ProjectError
from tests.project.apps import declared, write

pytestmark = pytest.mark.unit


def test_an_app_is_read_with_the_modules_beside_it(tmp_path):
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "__init__.py").write_text("")
    (tmp_path / "parts" / "orders.py").write_text("def take(event, context): ...\n")

    project = declared(tmp_path, "from parts import orders\napp.queue('orders', batch_size=3)(orders.take)\n")

    (function,) = project.functions
    assert (function.name, function.members["Handler"], function.code) == ("take", "parts.orders.take", tmp_path)
    assert {file.name for file in project.files} == {"app.py", "__init__.py", "orders.py"}
    assert project.name == "shop"


def test_reading_it_leaves_nothing_in_this_process_nor_in_the_folder(tmp_path):
    declared(tmp_path, "import sys\nsys.modules['left'] = sys\n@app.function()\ndef handler(event, context): ...\n")

    assert "app" not in sys.modules
    assert "left" not in sys.modules
    assert [path.name for path in tmp_path.iterdir()] == ["app.py"]


def test_what_a_file_prints_is_not_taken_for_the_project(tmp_path, capfd):
    project = declared(tmp_path, "print('hello')\n@app.function()\ndef handler(event, context): ...\n")

    told = capfd.readouterr()
    assert len(project.functions) == 1
    assert (told.out, told.err) == ("", "hello\n")


def test_times_survive_the_way_between_processes(tmp_path):
    project = declared(
        tmp_path,
        """
        from datetime import UTC, datetime
        @app.stream("clicks", start=datetime(2026, 1, 31, 12, tzinfo=UTC))
        def handler(event, context): ...
        """,
    )

    assert project.mappings[0].members["StartingPositionTimestamp"] == datetime(2026, 1, 31, 12, tzinfo=UTC)


def test_an_error_in_the_file_is_told_with_its_line(tmp_path):
    with pytest.raises(ProjectError, match=r"app\.py:4: importing it failed: ZeroDivisionError: division by zero"):
        declared(tmp_path, "def fail():\n    return 1 / 0\nfail()\n")


def test_an_error_below_the_users_code_is_told_with_the_users_line(tmp_path):
    with pytest.raises(ProjectError, match=r"app\.py:4: importing it failed: JSONDecodeError"):
        declared(tmp_path, "import json\njson.loads('{')\n")


def test_a_syntax_error_is_told_with_its_line(tmp_path):
    with pytest.raises(ProjectError, match=r"app\.py:3: importing it failed: SyntaxError"):
        declared(tmp_path, "def broken(:\n")


def test_a_file_that_ends_its_process_is_told(tmp_path):
    with pytest.raises(ProjectError, match=r"app\.py: importing it ended the process \(exit code 3\)"):
        declared(tmp_path, "import os\nos._exit(3)\n")
    with pytest.raises(ProjectError, match=r"app\.py:4: importing it failed: SystemExit: 3"):
        declared(tmp_path, "import sys\nsys.exit(3)\n")


def test_a_file_that_does_not_end_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(app_reader, "PATIENCE_S", 0.5)

    with pytest.raises(ProjectError, match=r"importing it did not end"):
        declared(tmp_path, "import threading\nthreading.Event().wait()\n")


def test_a_file_without_an_app_says_what_is_missing(tmp_path):
    path = tmp_path / "app.py"
    path.write_text("from eventrouter import App\n")

    with pytest.raises(ProjectError, match=r"holds no App: `app = App\(\)` is missing"):
        read_app(path)
    with pytest.raises(ProjectError, match="is not there"):
        read_app(tmp_path / "other.py")


def test_one_of_several_apps_is_named(tmp_path):
    path = write(tmp_path, "other = App('other')\nagain = other\n")

    with pytest.raises(ProjectError, match=r"holds several Apps \(app, other, again\): name one, as in app:app"):
        read_app(path)
    assert read_app(path, "other").name == "other"
    with pytest.raises(ProjectError, match="missing is no App"):
        read_app(path, "missing")


def test_an_app_in_a_package_is_imported_from_the_root(tmp_path):
    (tmp_path / "shop").mkdir()
    path = write(tmp_path / "shop", "@app.function()\ndef handler(event, context): ...\n", "main.py")

    (function,) = read_app(path, "app", root=tmp_path).functions

    assert (function.members["Handler"], function.code) == ("shop.main.handler", tmp_path)


def test_a_file_with_the_name_of_a_module_that_is_loaded_is_refused(tmp_path):
    with pytest.raises(ProjectError, match="a module of Python is called 'json' too"):
        read_app(write(tmp_path, "", "json.py"))


@pytest.mark.parametrize(
    ("source", "is_one"),
    [
        ("from eventrouter import App", True),
        ("from eventrouter import ConfigError, App", True),
        ("import eventrouter", True),
        ("from flask import Flask", False),
        ("# from eventrouter import App", False),
    ],
)
def test_other_peoples_app_is_told_apart_without_running_it(tmp_path, source, is_one):
    path = tmp_path / "app.py"
    path.write_text(f"import os\n{source}\n")

    assert mentions_app(path) is is_one
    assert not mentions_app(Path(tmp_path / "none.py"))
