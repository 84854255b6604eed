"""How answers are printed: JSON, or columns that a pipe can cut."""

from __future__ import annotations

import datetime
import json
from collections.abc import Sequence
from typing import Any

import click


def print_json(value: Any) -> None:
    """Print `value` as one JSON document."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def print_json_line(value: Any) -> None:
    """Print `value` as JSON on one line, for streams of documents."""
    click.echo(json.dumps(value, ensure_ascii=False, default=str))


def print_table(headings: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print rows under their headings, columns aligned by two spaces; numbers stand right."""
    texts = [["-" if cell is None or cell == "" else str(cell) for cell in row] for row in rows]
    widths = [max(len(heading), *(len(row[i]) for row in texts), 0) for i, heading in enumerate(headings)]
    numeric = [bool(rows) and all(isinstance(row[i], int | float) for row in rows) for i in range(len(headings))]
    click.secho(_line(headings, widths, numeric), bold=True)
    for row in texts:
        click.echo(_line(row, widths, numeric))


def print_fields(fields: Sequence[tuple[str, object]]) -> None:
    """Print names and values, the values aligned."""
    width = max((len(name) for name, _ in fields), default=0)
    for name, value in fields:
        click.echo(f"{name.ljust(width)}  {'-' if value is None or value == '' else value}")


def instant(milliseconds: int) -> str:
    """Return a wall time in milliseconds as ISO 8601 in UTC."""
    seconds, rest = divmod(milliseconds, 1000)
    return f"{datetime.datetime.fromtimestamp(seconds, datetime.UTC):%Y-%m-%dT%H:%M:%S}.{rest:03d}Z"


def _line(cells: Sequence[str], widths: Sequence[int], numeric: Sequence[bool]) -> str:
    padded = (
        cell.rjust(width) if right else cell.ljust(width)
        for cell, width, right in zip(cells, widths, numeric, strict=True)
    )
    return "  ".join(padded).rstrip()
