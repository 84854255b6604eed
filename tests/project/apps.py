"""Writing projects into folders, and reading them in this process or in one of their own."""

from __future__ import annotations

import importlib
import sys
import textwrap
from pathlib import Path

from eventrouter.project.app_reader import read_app
from eventrouter.project.model import FunctionResource, Place, Project

ACCOUNT, REGION = "000000000000", "us-east-1"


def write(folder: Path, source: str, name: str = "app.py") -> Path:
    """Write a module that begins with `app = App()`; return its path. Its first line of `source` is line 3."""
    path = folder / name
    path.write_text("from eventrouter import App\napp = App('shop')\n" + textwrap.dedent(source).lstrip("\n"))
    return path


def declared(folder: Path, source: str) -> Project:
    """Return what an app declares, read in a process of its own as commands do."""
    return read_app(write(folder, source))


def a_project(folder: Path, **resources: object) -> Project:
    """Return a project called `shop` with the given resources."""
    return Project(name="shop", account=ACCOUNT, region=REGION, files=(folder / "app.py",), **resources)


def a_function(folder: Path, name: str = "orders", **changes: object) -> FunctionResource:
    """Return a function whose code is `folder`, where `app.py` is written unless it is there."""
    if not (folder / "app.py").exists():
        folder.mkdir(exist_ok=True, parents=True)
        (folder / "app.py").write_text("def handler(event, context):\n    return event\n")
    members = {
        "Runtime": f"python3.{sys.version_info.minor}",
        "Handler": "app.handler",
        "Role": "arn:aws:iam::000000000000:role/any",
        **changes.pop("members", {}),
    }
    return FunctionResource(name=name, members=members, code=folder, place=Place("app.py", 3), **changes)


def imported(path: Path):
    """Import a module in this process, for as long as the test runs."""
    return importlib.import_module(path.stem)
