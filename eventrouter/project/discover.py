"""Finds what a folder declares: the one file of the project, or what several files declare together.

Of each folder, the first of these that is there: `template.yaml` (or `.yml`, `.json`), `serverless.yml` (or `.yaml`),
an `eventrouter.toml` that declares functions, `app.py` that holds an App. Two in one folder would be two owners of the
same names, so the first wins, and the others are listed as not applied. A file that is named is the one.
"""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Mapping
from pathlib import Path

from eventrouter.project.app_reader import mentions_app, read_app
from eventrouter.project.model import NotApplied, Place, Project, ProjectError
from eventrouter.settings import PROJECT_TABLES

TEMPLATES = ("template.yaml", "template.yml", "template.json")
SERVERLESS = ("serverless.yml", "serverless.yaml")
TOML = "eventrouter.toml"
APP = "app.py"
NAMES = (*TEMPLATES, *SERVERLESS, TOML, APP)
"""Files that may declare a project, the first that is there before the others."""


def discover(folder: Path, *, parameters: Mapping[str, str] | None = None) -> Project | None:
    """Return what `folder` declares; None if there is nothing that declares anything.

    Raises ProjectError, with file and line, for a file that says what cannot be.
    """
    found = [path for name in NAMES if _declares(path := folder / name)]
    if not found:
        return None
    first, *others = found
    passed_by = tuple(
        NotApplied(what=path.name, place=Place(str(path)), why=f"{first.name} is the project's file; name it to use it")
        for path in others
    )
    project = read_project(first, parameters=parameters)
    return dataclasses.replace(project, not_applied=(*project.not_applied, *passed_by))


def read_project(path: Path, *, parameters: Mapping[str, str] | None = None) -> Project:
    """Return what the file at `path` declares, by its name's end; of a folder, what `discover` finds.

    `module:variable` is an App in a module below the working directory. `parameters` are a template's Parameters, or
    the options (`${opt:}`) of a serverless.yml. Raises ProjectError.
    """
    given = dict(parameters or {})
    if path.is_dir():
        project = discover(path, parameters=given)
        if project is None:
            names = ", ".join((TEMPLATES[0], SERVERLESS[0], TOML, APP))
            raise ProjectError(Place(str(path)), f"declares no project: none of {names} is there")
        return project
    module, colon, variable = str(path).partition(":")
    if colon and not path.exists():
        _refuse_parameters(path, given)
        return read_app(Path(*module.removesuffix(".py").split(".")).with_suffix(".py"), variable, root=Path.cwd())
    if path.suffix == ".py":
        _refuse_parameters(path, given)
        return read_app(path)
    if path.suffix == ".toml":
        from eventrouter.project.toml import read_toml

        _refuse_parameters(path, given)
        return read_toml(path)
    if path.suffix not in {".yaml", ".yml", ".json"}:
        raise ProjectError(
            Place(str(path)), "is no project: it must be a .yaml, .yml, .json or .toml file, a .py file, or a folder"
        )
    if path.name.startswith("serverless"):
        from eventrouter.project.serverless import read_serverless

        return read_serverless(path, given)
    from eventrouter.project.template import read_template

    return read_template(path, parameters=given)


def _refuse_parameters(path: Path, given: Mapping[str, str]) -> None:
    if given:
        raise ProjectError(Place(str(path)), f"takes no parameters ({', '.join(given)}): templates do")


def _declares(path: Path) -> bool:
    """Say whether a file declares a project: settings alone, and other people's app.py, do not."""
    if not path.is_file():
        return False
    if path.name == TOML:
        try:
            return not set(PROJECT_TABLES).isdisjoint(tomllib.loads(path.read_text(encoding="utf-8")))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
            return True  # reading it says what is wrong, with the line
    return path.name != APP or mentions_app(path)
