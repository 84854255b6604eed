"""The process that imports an app: `python -m eventrouter.project.app_process FILE ROOT VARIABLE ANSWER`.

ROOT is where modules are imported from. It writes the project as JSON to the file ANSWER, or `{"error": ...}`.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import os
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any

from eventrouter.app import App
from eventrouter.project.model import Place, Project, ProjectError
from eventrouter.project.model_json import to_document


def main(file: str, root: str, variable: str, answer: str) -> None:
    """Write what the App in `file` declares to `answer`."""
    path = Path(file)
    try:
        document = to_document(_project(path, Path(root).resolve(), variable))
    except ProjectError as error:
        document = _error(error.place, error.message)
    except BaseException as error:  # noqa: BLE001 - whatever a user's module does becomes an answer
        document = _error(_origin(error, path), f"importing it failed: {type(error).__name__}: {error}")
    staged = Path(f"{answer}.new")
    staged.write_text(json.dumps(document), encoding="utf-8")
    staged.replace(answer)


def _project(path: Path, folder: Path, variable: str) -> Project:
    sys.path[0] = str(folder)  # as in a function's environment: where `-m` has put the working directory
    importlib.invalidate_caches()
    name = ".".join(path.resolve().relative_to(folder).with_suffix("").parts)
    module = importlib.import_module(name)
    if module.__file__ is None or not path.samefile(module.__file__):
        raise ProjectError(Place(str(path)), f"a module of Python is called {name!r} too: give the file another name")
    app = _app(module, variable, path)
    project = app.project(module, folder)
    shown = tuple(sorted({path.resolve(), *_own_modules(folder)}))
    return dataclasses.replace(project, files=shown)


def _app(module: ModuleType, variable: str, path: Path) -> App:
    place = Place(str(path))
    if variable:
        found = getattr(module, variable, None)
        if not isinstance(found, App):
            raise ProjectError(place, f"{variable} is no App: `{variable} = App()` is missing")
        return found
    apps = {name: value for name, value in vars(module).items() if isinstance(value, App)}
    distinct = {id(app): app for app in apps.values()}
    if not distinct:
        raise ProjectError(place, "holds no App: `app = App()` is missing")
    if len(distinct) > 1:
        one = f"{path.stem}:{next(iter(apps))}"
        raise ProjectError(place, f"holds several Apps ({', '.join(apps)}): name one, as in {one}")
    return next(iter(distinct.values()))


def _own_modules(folder: Path) -> list[Path]:
    """Return the files below `folder` that were imported, as people would name them: what the project was read from."""
    files = [Path(file) for module in list(sys.modules.values()) if (file := getattr(module, "__file__", None))]
    skipped = {".venv", "venv", "site-packages", "node_modules"}
    below = [file for file in files if file.is_relative_to(folder)]
    return [file for file in below if skipped.isdisjoint(file.relative_to(folder).parts)]


def _origin(error: BaseException, path: Path) -> Place:
    """Return the last line of the user's own code that led to an error."""
    if isinstance(error, SyntaxError) and error.filename:
        return Place(_shown(Path(error.filename)), error.lineno or 0)
    own = path.resolve().parent
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if Path(frame.filename).is_absolute()
        and Path(frame.filename).is_relative_to(own)
        and "site-packages" not in frame.filename
    ]
    return Place(_shown(Path(frames[-1].filename)), frames[-1].lineno or 0) if frames else Place(str(path))


def _shown(file: Path) -> str:
    return os.path.relpath(file) if file.is_relative_to(Path.cwd()) else str(file)


def _error(place: Place, message: str) -> dict[str, Any]:
    return {"error": {"file": place.file, "line": place.line, "message": message}}


if __name__ == "__main__":
    main(*sys.argv[1:])
