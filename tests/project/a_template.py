"""Templates as tests write them: a few lines of text, and a folder of code beside it."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

from eventrouter.project.model import Project
from eventrouter.project.template import read_template

SAM = "Transform: AWS::Serverless-2016-10-31\n"


def write(folder: Path, text: str, name: str = "template.yaml") -> Path:
    """Write a template into `folder`, with a folder `src` beside it."""
    (folder / "src").mkdir(exist_ok=True)
    (folder / "src" / "app.py").write_text("def handler(event, context):\n    return event\n")
    path = folder / name
    path.write_text(textwrap.dedent(text))
    return path


def a_project(folder: Path, text: str, **options: Any) -> Project:
    """Read a template of the stack `shop`."""
    return read_template(write(folder, text), **{"name": "shop", **options})


def reasons(project: Project) -> dict[str, str]:
    """Return what is not applied: what to why."""
    return {entry.what: entry.why for entry in project.not_applied}
