"""Which saved files of a function's folder are a change of its code."""

from pathlib import Path

import pytest
from watchfiles import Change

from eventrouter.planes.hot_reload import CodeFilter

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    "name",
    ["app.py", "parts/orders.py", "data.json", "templates/mail.html", "lib/native.so", "venvs/x.py", "logs/readme.md"],
)
def test_code_and_what_it_reads_counts(name):
    is_code = CodeFilter("/home/me/shop", Path("/home/me/shop/.eventrouter"))

    assert is_code(Change.modified, f"/home/me/shop/{name}")


@pytest.mark.parametrize(
    "name",
    [
        "__pycache__/app.cpython-311.pyc",
        ".git/index",
        ".venv/lib/x.py",
        ".eventrouter/valkey/appendonly.aof",
        "data/valkey/appendonly.aof",
        "nohup.out",
        "dev.log",
        "orders.db-wal",
        "app.py~",
    ],
)
def test_what_programs_write_as_they_run_does_not(name):
    is_code = CodeFilter("/home/me/shop", Path("/home/me/shop/data"))

    assert not is_code(Change.modified, f"/home/me/shop/{name}")


def test_only_what_is_within_the_folder_is_looked_at():
    is_code = CodeFilter("/work/node_modules/shop", Path("/data"))

    assert is_code(Change.added, "/work/node_modules/shop/app.py")
