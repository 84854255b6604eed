"""`eventrouter filters`: try an event pattern without a node."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from eventrouter.cli.options import json_option, read_argument
from eventrouter.cli.output import print_json

if TYPE_CHECKING:
    from eventrouter.rules.pattern import Finding


@click.group()
def filters() -> None:
    """Try event patterns."""


@filters.command()
@click.argument("pattern")
@click.argument("event")
@click.option("--explain", is_flag=True, help="Show what each leaf of the pattern met in the event.")
@json_option
def test(pattern: str, event: str, explain: bool, as_json: bool) -> int:
    """Say whether EVENT matches PATTERN; each is JSON, @FILE, or - for stdin. Needs no node.

    Exits with 0 if it matches, with 1 if it does not, with 2 if either is not valid.
    """
    from eventrouter.rules.pattern import PatternError, compile_pattern

    if pattern == event == "-":
        raise click.UsageError("only one of PATTERN and EVENT can come from stdin")
    try:
        compiled = compile_pattern(read_argument(pattern))
    except PatternError as error:
        raise click.UsageError(f"Event pattern is not valid. Reason: {error}") from None
    document = _event(read_argument(event))
    is_match = compiled.matches(document)
    findings = compiled.explain(document) if explain else []
    if as_json:
        answer: dict[str, Any] = {"match": is_match}
        if explain:
            answer["leaves"] = [_as_json(finding) for finding in findings]
        print_json(answer)
        return 0 if is_match else 1
    _print_findings(findings)
    click.secho("match" if is_match else "no match", fg="green" if is_match else "red")
    return 0 if is_match else 1


def _event(text: bytes) -> dict[str, Any]:
    from eventrouter.rules.payload import json_problem

    if (problem := json_problem(text)) is not None:
        raise click.UsageError(f"the event is not JSON: {problem}")
    try:
        document = json.loads(text.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise click.UsageError(f"the event cannot be read: {error}") from None
    if not isinstance(document, dict):
        raise click.UsageError("the event is not a JSON object")
    return document


def _print_findings(findings: Sequence[Finding]) -> None:
    rows = [(_text(f"{f.branch} {f.path}".strip()), _text(f.test), _text(f"event has {f.met}")) for f in findings]
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(3)]
    for row, finding in zip(rows, findings, strict=True):
        columns = "   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo(f"{columns}   {click.style('yes', fg='green') if finding.is_match else click.style('no', fg='red')}")


def _text(text: str) -> str:
    """Return `text` as UTF-8 can hold it: JSON may carry halves of surrogate pairs."""
    return text.encode(errors="backslashreplace").decode()


def _as_json(finding: Finding) -> dict[str, Any]:
    return {
        "path": _text(finding.path),
        "branch": finding.branch or None,
        "test": _text(finding.test),
        "values": [_text(value) if isinstance(value, str) else value for value in finding.values],
        "match": finding.is_match,
    }
