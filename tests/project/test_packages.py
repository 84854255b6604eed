"""Packages: the same bytes for the same files, without what is no code, and of a bounded size."""

import io
import os
import zipfile

import pytest

from eventrouter.project import packages
from eventrouter.project.model import Place, ProjectError
from eventrouter.project.packages import package, zip_folder
from tests.project.apps import a_function

pytestmark = pytest.mark.unit

HERE = Place("app.py", 3)


def names(zip_bytes):
    with zipfile.ZipFile(io.BytesIO(zip_bytes)) as archive:
        return archive.namelist()


def fill(folder, *paths):
    for path in paths:
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(path)
    return folder


def test_the_same_files_are_the_same_package_wherever_and_whenever(tmp_path):
    one = fill(tmp_path / "one", "app.py", "parts/a.py", "parts/b.py")
    other = fill(tmp_path / "other", "parts/b.py", "parts/a.py", "app.py")
    os.utime(other / "app.py", (1, 1))

    assert zip_folder(one, HERE) == zip_folder(other, HERE)
    (other / "app.py").write_text("changed")
    assert zip_folder(one, HERE) != zip_folder(other, HERE)


def test_what_is_no_code_stays_out(tmp_path):
    fill(tmp_path, "app.py", ".git/config", ".venv/lib/x.py", "a/__pycache__/x.pyc", "b.pyc", ".eventrouter/valkey/aof")

    assert names(zip_folder(tmp_path, HERE)) == ["app.py"]


def test_an_ignore_file_names_more_that_stays_out(tmp_path):
    fill(tmp_path, "app.py", "data/big.csv", "notes.md", "docs/notes.md", "docs/code.py", "build/out.py", "tests/build")
    (tmp_path / ".eventrouterignore").write_text("# comment\n\n*.csv\ndocs/notes.md\nbuild/\n.eventrouterignore\n")

    assert names(zip_folder(tmp_path, HERE)) == ["app.py", "docs/code.py", "notes.md", "tests/build"]


def test_an_ignore_line_that_has_no_meaning_is_refused_with_its_line(tmp_path):
    (tmp_path / ".eventrouterignore").write_text("*.csv\n!keep.csv\n")

    with pytest.raises(ProjectError, match=r"\.eventrouterignore:2: !keep\.csv"):
        zip_folder(tmp_path, HERE)


def test_files_that_can_be_run_stay_so(tmp_path):
    fill(tmp_path, "bootstrap", "app.py")
    (tmp_path / "bootstrap").chmod(0o700)

    with zipfile.ZipFile(io.BytesIO(zip_folder(tmp_path, HERE))) as archive:
        modes = {entry.filename: entry.external_attr >> 16 for entry in archive.infolist()}

    assert modes == {"app.py": 0o100644, "bootstrap": 0o100755}


def test_a_folder_that_is_too_large_is_refused_where_the_function_is_declared(tmp_path, monkeypatch):
    fill(tmp_path, "app.py", "other.py")
    monkeypatch.setattr(packages, "UNPACKED_BYTES", 10)

    with pytest.raises(ProjectError, match=r"app\.py:3: the code in .* is too large") as refused:
        package(a_function(tmp_path))
    assert ".eventrouterignore" in refused.value.message
    monkeypatch.setattr(packages, "UNPACKED_BYTES", 1_000)
    monkeypatch.setattr(packages, "FILES", 1)
    with pytest.raises(ProjectError, match="at most 1 files"):
        package(a_function(tmp_path))


def test_an_archive_is_taken_as_it_is(tmp_path):
    archive = tmp_path / "code.zip"
    archive.write_bytes(b"zip")

    assert package(a_function(archive.parent)) != b"zip"
    (tmp_path / "app.py").unlink()
    import dataclasses

    function = dataclasses.replace(a_function(tmp_path), code=archive)
    assert package(function) == b"zip"
    for code, why in ((tmp_path / "app.py", "must be a folder or a .zip"), (tmp_path / "none", "is not there")):
        with pytest.raises(ProjectError, match=why):
            package(dataclasses.replace(function, code=code))


def test_links_are_followed_but_for_those_that_lead_back(tmp_path):
    code = fill(tmp_path / "code", "app.py")
    (code / "shared").symlink_to(fill(tmp_path / "shared", "money.py"))
    (code / "again").symlink_to(code)

    assert names(zip_folder(code, HERE)) == ["app.py", "shared/money.py"]
