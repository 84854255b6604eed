"""Reads the App of a Python file, in a process of its own: the node never runs its users' code in itself.

A fresh process each time also means that a file that has changed is read anew, with everything that it imports.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from eventrouter.project.model import Place, Project, ProjectError
from eventrouter.project.model_json import from_document

PATIENCE_S = 60.0
"""How long the import of an app's modules may take."""
_STDERR = 2
_IMPORTS_APP = re.compile(rb"^\s*(from\s+eventrouter\s+import\b.*\bApp\b|import\s+eventrouter\b)", re.MULTILINE)


def mentions_app(path: Path) -> bool:
    """Say whether a Python file seems to hold an App, without running it."""
    try:
        return _IMPORTS_APP.search(path.read_bytes()) is not None
    except OSError:
        return False


def read_app(path: Path, variable: str | None = None, *, root: Path | None = None) -> Project:
    """Return what the App in the file at `path` declares. `variable` holds it: by default, the only one there is.

    `root` is the folder that is deployed, and that modules are imported from: by default the file's own.

    What the file prints goes to stderr. Raises ProjectError: with the decorator's line for a wrong parameter, and with
    the line that raised for anything else.
    """
    if not path.is_file():
        raise ProjectError(Place(str(path)), "is not there")
    with tempfile.TemporaryDirectory(prefix="eventrouter-") as folder:
        answer = Path(folder) / "project.json"
        module = "eventrouter.project.app_process"
        arguments = [str(path), str(root or path.resolve().parent), variable or "", str(answer)]
        try:
            done = subprocess.run(
                [sys.executable, "-m", module, *arguments],
                check=False,
                timeout=PATIENCE_S,
                stdin=subprocess.DEVNULL,
                stdout=_STDERR,
                env=_environment(),
            )
        except subprocess.TimeoutExpired:
            raise ProjectError(Place(str(path)), f"importing it did not end within {PATIENCE_S:.0f} s") from None
        if not answer.is_file():
            raise ProjectError(Place(str(path)), f"importing it ended the process (exit code {done.returncode})")
        document: dict[str, Any] = json.loads(answer.read_bytes())
    if "error" in document:
        error = document["error"]
        raise ProjectError(Place(error["file"], error["line"]), error["message"])
    return from_document(document)


def _environment() -> dict[str, str]:
    """Return the environment of that process: it finds this eventrouter, and writes no bytecode into the folder."""
    own = str(Path(__file__).resolve().parents[2])
    paths = [own, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONDONTWRITEBYTECODE": "1"}
