"""`eventrouter clock`: the time of a node, and travelling in it where the node was started with `--clock virtual`."""

from __future__ import annotations

import contextlib
import json
import re

import click

from eventrouter.cli.client import NodeClient
from eventrouter.cli.options import node_options
from eventrouter.cli.output import print_json

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)?")
_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0, None: 1.0}
PATIENCE_S = 3_600.0


@click.group()
def clock() -> None:
    """Show a node's time, or advance it."""


@clock.command()
@node_options
def now(url: str | None, as_json: bool) -> None:
    """Show the node's time."""
    with contextlib.closing(NodeClient(url)) as client:
        _show(client.get("/_eventrouter/clock"), as_json=as_json)


@clock.command()
@click.argument("duration", required=False)
@click.option("--until", type=click.Choice(("idle",)), default=None, help="Go on until nothing is left to be done.")
@node_options
def advance(duration: str | None, until: str | None, url: str | None, as_json: bool) -> None:
    """Let DURATION pass (90s, 15m, 6h, 2d), and everything happen that is due in it.

    With --until idle: skip from one thing that is due to the next; firings of schedules are not waited for.
    """
    if (duration is None) == (until is None):
        raise click.UsageError("give a duration, such as 90s, or --until idle")
    journey = {"until": until} if duration is None else {"seconds": _seconds(duration)}
    with contextlib.closing(NodeClient(url, timeout_s=PATIENCE_S)) as client:
        answer = client.request("POST", "/_eventrouter/clock/advance", body=json.dumps(journey).encode())
        _show(answer.document(), as_json=as_json)


def _seconds(text: str) -> float:
    found = _DURATION.fullmatch(text)
    if found is None:
        raise click.UsageError(f"{text!r} is no duration: a number with ms, s, m, h or d, such as 90s")
    return float(found[1]) * _UNITS_S[found[2]]


def _show(answer: dict[str, object], *, as_json: bool) -> None:
    if as_json:
        print_json(answer)
    else:
        click.echo(f"{answer['now']}{'' if answer['virtual'] else '  (the machine’s)'}")
