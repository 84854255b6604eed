"""`eventrouter explain`: what happened to one thing, where it stands, and what is to come, each with its rule."""

from __future__ import annotations

import contextlib
import urllib.parse
from collections.abc import Mapping
from typing import Any

import click

from eventrouter.cli.client import NodeClient
from eventrouter.cli.options import node_options
from eventrouter.cli.output import instant, print_json

_EXPLAIN = "/_eventrouter/explain/"
_LONGEST_MS = 100_000_000_000
"""Three years: no duration is as long, and every instant since 1973 is later."""


@click.command()
@click.argument("subject", metavar="ID")
@node_options
def explain(subject: str, url: str | None, as_json: bool) -> None:
    """Explain what happened to ID and what is to come, with the rule behind each step.

    ID is the request id of an invocation or an event, the id of a message, a record (SHARD:SEQUENCE or
    MAPPING/SHARD:SEQUENCE), a shard (MAPPING/SHARD), the uuid of a mapping, a function, or the ARN of a rule with a
    schedule. Every living node is asked. Nodes remember their newest decisions only; the store keeps counts.
    """
    with contextlib.closing(NodeClient(url)) as client:
        told = client.get(_EXPLAIN + urllib.parse.quote(subject, safe=""))
    if as_json:
        print_json(told)
        return
    click.secho(f"{told['kind']} {told['id']}", bold=True)
    click.echo(f"now: {told['now']}")
    are_many = len({each["node"] for each in told["history"]}) > 1
    if told["history"]:
        click.echo("\nso far")
    known: set[str] = set()
    for each in told["history"]:
        node = f"  on {each['node']}" if are_many else ""
        click.echo(f"  {instant(each['at_ms'])}  {each['step']}  {facts_text(each.get('facts', {}))}{node}".rstrip())
        _print_rule(each, known)
    if told["ahead"]:
        click.echo("\nto come")
    for each in told["ahead"]:
        at = "depends".ljust(24) if each["at_ms"] is None else instant(each["at_ms"])
        click.echo(f"  {at}  {each['text']}")
        _print_rule(each, known)
    if told["notes"]:
        click.echo()
    for note in told["notes"]:
        click.echo(note)


def facts_text(facts: Mapping[str, Any]) -> str:
    """Render facts as `name=value`: instants as times, durations to a tenth of a millisecond; what is unset is not."""
    return "  ".join(f"{_name(name)}={_value(name, value)}" for name, value in facts.items() if value is not None)


def _name(name: str) -> str:
    return name.removesuffix("_ms").removesuffix("_at")


def _value(name: str, value: Any) -> str:
    if name.endswith("_ms") and isinstance(value, int | float):
        return f"{value:.1f}ms" if value < _LONGEST_MS else instant(round(value))
    return str(value)


def _print_rule(told: Mapping[str, Any], known: set[str]) -> None:
    """Print the rule behind a step, the first time that it is behind one."""
    if told["rule"] not in known:
        known.add(told["rule"])
        click.secho(f"      {told['rule']} ({told['topic']})", dim=True)
