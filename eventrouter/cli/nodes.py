"""`eventrouter nodes`: who the nodes are and what each does, letting one drain, and burying one that is dead."""

from __future__ import annotations

import contextlib
import json
import threading
import urllib.parse
from collections.abc import Mapping
from typing import Any

import click

from eventrouter.cli.client import NodeClient
from eventrouter.cli.options import node_options
from eventrouter.cli.output import instant, print_json, print_table
from eventrouter.clock import SystemClock
from eventrouter.errors import EventRouterError

_PATH = "/_eventrouter/nodes"
_LOOK_S = 0.1

Shown = Mapping[str, Any]  # Any: an entry of the list of nodes


@click.group()
def nodes() -> None:
    """Look after nodes."""


@nodes.command()
@node_options
def ls(url: str | None, as_json: bool) -> None:
    """List the nodes of the installation: what each does, and since when one is silent. The asked one has a star."""
    with contextlib.closing(NodeClient(url)) as client:
        found: list[Shown] = client.get(_PATH)["nodes"]
    if as_json:
        print_json(found)
        return
    headings = ["node", "host", "state", "roles", "url", "version", "started", "beat s", "shards", "pollers", "runs"]
    print_table([*headings, "draining", "silent since"], [_row(node) for node in found])


@nodes.command()
@click.argument("node")
@click.option("--undo", is_flag=True, help="Let the node take its share again.")
@click.option(
    "--wait", "wait_s", type=click.FloatRange(min=0), default=60.0, help="Seconds to wait for its end. [default: 60]"
)
@node_options
def drain(node: str, undo: bool, wait_s: float, url: str | None, as_json: bool) -> None:
    """Let the other nodes have the share of NODE: its incarnation or the beginning of it, or its URL.

    Its shards are the others' as soon as their batches have ended, and it begins nothing new; calls that it takes in
    run elsewhere. It stays up until it is stopped, and a restart ends the draining. Returns once nothing runs there.
    """
    with contextlib.closing(NodeClient(url)) as client:
        answer = _post(client, node, "drain", {"undo": undo})
        for warning in answer["warnings"]:
            click.echo(f"warning: {warning}", err=True)
        left = {} if undo else _wait_drained(client, answer["incarnation"], wait_s)
    if as_json:
        print_json({**answer, "left": left})
    elif not left:
        click.echo(f"{'takes its share again' if undo else 'drained'}  {answer['incarnation']}")
    if left:
        held = ", ".join(f"{number} {name}" for name, number in left.items())
        raise EventRouterError(f"{answer['incarnation']} still has {held} after {wait_s:g} s: it goes on draining")


@nodes.command()
@click.argument("node")
@click.option("--force", is_flag=True, help="Bury it although it beats: what it runs is ended, and runs again.")
@node_options
def bury(node: str, force: bool, url: str | None, as_json: bool) -> None:
    """Declare NODE dead that you know to be dead: the others take what it held at once, not after ten seconds.

    Refused while it beats. If it should live all the same, what it runs may run twice; what it then says counts no
    more, and it joins anew.
    """
    with contextlib.closing(NodeClient(url)) as client:
        answer = _post(client, node, "bury", {"force": force})
    if answer["consequence"]:
        click.echo(f"warning: {answer['consequence']}", err=True)
    if as_json:
        print_json(answer)
    else:
        click.echo(f"buried  {answer['incarnation']}  {answer['events']} events due again")


def _row(node: Shown) -> list[object]:
    return [
        node["incarnation"] + ("*" if node["is_asked"] else ""),
        node["host"],
        node["state"],
        ",".join(node["roles"]),
        node["url"],
        node["version"],
        None if node["started_at_ms"] is None else instant(node["started_at_ms"]),
        None if node["beat_age_s"] is None else f"{node['beat_age_s']:.1f}",
        node["shards"],
        node["pollers"],
        node["runs"],
        "yes" if node["is_draining"] else "no",
        None if node["silent_since_ms"] is None else instant(node["silent_since_ms"]),
    ]


def _post(client: NodeClient, node: str, action: str, body: Mapping[str, Any]) -> dict[str, Any]:
    path = f"{_PATH}/{urllib.parse.quote(node, safe='')}/{action}"
    answer: dict[str, Any] = client.request("POST", path, body=json.dumps(dict(body)).encode()).document()
    return answer


def _wait_drained(client: NodeClient, incarnation: str, wait_s: float) -> dict[str, int]:
    """Wait until nothing is under way on a node; return what still is when the time is over."""
    pause, clock = threading.Event(), SystemClock()
    deadline = clock.monotonic() + wait_s
    while True:
        shown = next((node for node in client.get(_PATH)["nodes"] if node["incarnation"] == incarnation), None)
        if shown is None:
            return {}  # it has been stopped meanwhile
        left = {name: shown[name] for name in ("shards", "pollers", "runs") if shown[name]}
        if not left or clock.monotonic() >= deadline:
            return left
        pause.wait(_LOOK_S)
