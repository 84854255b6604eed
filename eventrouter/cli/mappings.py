"""`eventrouter mappings`: where streams feed functions, how far each shard is, and moving that."""

from __future__ import annotations

import contextlib
import json
import threading
import urllib.parse
from collections.abc import Iterator, Mapping
from typing import Any

import click

from eventrouter.cli.client import EVENT_SOURCE_MAPPINGS, NodeClient, Refused
from eventrouter.cli.options import node_options
from eventrouter.cli.output import instant, print_fields, print_json, print_table
from eventrouter.clock import SystemClock
from eventrouter.errors import EventRouterError

_PROGRESS = "/_eventrouter/mappings"
_SETTLED = {"Enabled", "Disabled"}
_LOOK_S = 0.1
_PATIENCE_S = 960.0
"""A mapping that is paused lets its batches end: a function may run for 900 s."""


@click.group()
def mappings() -> None:
    """Look after stream mappings."""


@mappings.command()
@node_options
def ls(url: str | None, as_json: bool) -> None:
    """List the event source mappings of the account and region."""
    with contextlib.closing(NodeClient(url)) as client:
        found = list(client.pages(EVENT_SOURCE_MAPPINGS, "EventSourceMappings"))
    if as_json:
        print_json(found)
        return
    rows = [
        [
            mapping["UUID"],
            mapping["State"],
            mapping["EventSourceArn"],
            mapping["FunctionArn"].split(":", 6)[6],
            mapping["BatchSize"],
            mapping.get("LastProcessingResult"),  # queues have none
        ]
        for mapping in found
    ]
    print_table(["mapping", "state", "source", "function", "batch", "last result"], rows)


@mappings.command()
@click.argument("uuid")
@node_options
def show(uuid: str, url: str | None, as_json: bool) -> None:
    """Show how far the mapping UUID is, one line for each shard: what blocks it, and when that is tried next."""
    with contextlib.closing(NodeClient(url)) as client:
        progress = client.get(_progress_path(uuid))
    if as_json:
        print_json(progress)
        return
    shards = progress["shards"]
    blocked = sum(shard["blocked_since_ms"] is not None for shard in shards)
    print_fields(
        [
            ("mapping", progress["uuid"]),
            ("state", progress["state"]),
            ("source", progress["source"]),
            ("function", progress["function"]),
            ("last result", progress["last_result"]),
            ("blocked", f"{blocked} of {len(shards)} shards"),
            *([("problem", progress["problem"])] if progress["problem"] else []),
        ]
    )
    columns = {
        "shard": [shard["shard"] for shard in shards],
        "head": [shard["head"] and short(shard["head"]["arrived_ms"]) for shard in shards],
        "checkpoint": [_checkpoint(shard) for shard in shards],
        "lag": [None if shard["behind_ms"] is None else f"{shard['behind_ms'] / 1_000:.1f} s" for shard in shards],
        "in flight": [shard["in_flight"] for shard in shards],
    }
    if blocked:
        columns |= {
            "blocked since": [short(shard["blocked_since_ms"]) for shard in shards],
            "why": [shard["blocked_by"] for shard in shards],
            "next attempt": [short(shard["next_try_ms"]) for shard in shards],
        }
    columns["reader"] = [_reader(shard) for shard in shards]
    print_table(list(columns), list(zip(*columns.values(), strict=True)))
    for shard in shards:
        for lane in shard["lanes"]:
            _print_lane(shard["shard"], lane)


@mappings.command()
@click.argument("uuid")
@node_options
def pause(uuid: str, url: str | None, as_json: bool) -> None:
    """Stop the mapping UUID after the batches that run now; it keeps its place. Returns once it is Disabled."""
    with contextlib.closing(NodeClient(url)) as client:
        _told(_switch(client, uuid, is_enabled=False), "paused", as_json=as_json)


@mappings.command()
@click.argument("uuid")
@node_options
def resume(uuid: str, url: str | None, as_json: bool) -> None:
    """Let the mapping UUID go on where it stopped. Returns once it is Enabled."""
    with contextlib.closing(NodeClient(url)) as client:
        _told(_switch(client, uuid, is_enabled=True), "resumed", as_json=as_json)


@mappings.command()
@click.argument("uuid")
@click.option(
    "--to",
    required=True,
    metavar="TIME|SEQ",
    help="An ISO 8601 time (UTC unless it names a zone), seconds since 1970, or a sequence number; 0 is the beginning.",
)
@click.option("--shard", default=None, help="Only this shard, and those that continue it. [default: all]")
@node_options
def rewind(uuid: str, to: str, shard: str | None, url: str | None, as_json: bool) -> None:
    """Let the mapping UUID repeat everything from a time, or from the record of a sequence number, on.

    The mapping is paused for it. A sequence number is one shard's: name the shard unless there is only one.
    """
    with contextlib.closing(NodeClient(url)) as client, _paused(client, uuid):
        answer = _post(client, uuid, "rewind", {"to": to, "shard": shard})
    if as_json:
        print_json(answer)
        return
    for moved in answer["rewound"]:
        click.echo(moved["shard"])
        click.echo(f"  was behind      {moved['before'] or '-'}")
        click.echo(f"  goes on behind  {moved['position']}")


@mappings.command()
@click.argument("uuid")
@click.option("--skip", is_flag=True, required=True, help="Yes, never try these records again.")
@click.option("--shard", default=None, help="Only this shard. [default: every one that is blocked]")
@node_options
def unblock(uuid: str, skip: bool, shard: str | None, url: str | None, as_json: bool) -> None:
    """Let blocked shards of the mapping UUID go on without the records that fail, and print which these are.

    The mapping is paused for it. Nothing is sent to its on-failure destination.
    """
    with contextlib.closing(NodeClient(url)) as client, _paused(client, uuid):
        answer = _post(client, uuid, "unblock", {"skip": skip, "shard": shard})
    if as_json:
        print_json(answer)
        return
    if not answer["skipped"]:
        click.echo("nothing is blocked: nothing was skipped")
        return
    for each in answer["skipped"]:
        click.echo(f"{each['shard']} lane {each['lane']}")
        if each["first"]:
            _print_range("skipped", each)
        else:
            click.echo(f"  skipped    the end of a window  failed {each['invokes']}x")


def _checkpoint(shard: Mapping[str, Any]) -> str | None:
    """Say where a shard's checkpoint is: at its end, or before the record that arrived at some time."""
    if shard["unresolved"] is not None:
        return f"before {short(shard['unresolved']['arrived_ms'])}"
    return "at the end" if shard["checkpoint"] is not None and shard["behind_ms"] == 0 else None


def _reader(shard: Mapping[str, Any]) -> str | None:
    """Name the node that reads a shard by its address, or say why none does."""
    if shard["is_drained"]:
        return "read to its end"
    if shard["waits_for"]:
        return f"waits for {', '.join(shard['waits_for'])}"
    return (shard["owner_url"] or "").partition("://")[2] or None


def short(milliseconds: int | None) -> str | None:
    """Return a wall time as ISO 8601 in UTC, without what is the same for every time of today."""
    if milliseconds is None:
        return None
    text, today = instant(milliseconds), instant(SystemClock().now_ms())
    return f"{text[11:19]}Z" if text[:10] == today[:10] else f"{text[:16]}Z"


def _print_lane(shard: str, lane: Mapping[str, Any]) -> None:
    """Print what a lane has begun, the ranges in their order with their full numbers, and its window."""
    click.echo(f"{shard} lane {lane['lane']}")
    for index, pending in enumerate(lane["pending"]):
        when = "then" if index else "in flight" if lane["is_in_flight"] else "next"
        _print_range(when, pending)
    if (window := lane["window"]) is not None:
        closing = f", closing ({window['closing']})" if window.get("closing") else ""
        click.echo(f"  window     {instant(window['start_ms'])} to {instant(window['end_ms'])}{closing}")


def _print_range(label: str, records: Mapping[str, Any]) -> None:
    """Print the numbers of a range, each on a line that an 80-column terminal holds."""
    if records["first"] != records["last"]:
        click.echo(f"  {label:9}  {records['first']}")
        label = "       to"
    click.echo(f"  {label:9}  {records['last']}  failed {records['invokes']}x")


@contextlib.contextmanager
def _paused(client: NodeClient, uuid: str) -> Iterator[None]:
    """Keep a mapping Disabled, and leave it as it was, whatever happens meanwhile."""
    if _settled(client, uuid)["State"] == "Disabled":
        yield
        return
    try:
        _switch(client, uuid, is_enabled=False)
        yield
    finally:
        _switch(client, uuid, is_enabled=True)


def _switch(client: NodeClient, uuid: str, *, is_enabled: bool) -> dict[str, Any]:
    """Enable or disable a mapping, and wait until it is; return its configuration."""
    wanted = "Enabled" if is_enabled else "Disabled"
    mapping = _settled(client, uuid)
    while mapping["State"] != wanted:
        try:
            client.request("PUT", _mapping_path(uuid), body=json.dumps({"Enabled": is_enabled}).encode()).document()
        except Refused as error:
            if error.code != "ResourceInUseException":  # somebody else changes it: let that be finished
                raise
        mapping = _settled(client, uuid)
    return mapping


def _settled(client: NodeClient, uuid: str) -> dict[str, Any]:
    """Return a mapping's configuration once no change of its state is under way."""
    pause, clock = threading.Event(), SystemClock()
    deadline = clock.monotonic() + _PATIENCE_S
    while True:
        mapping: dict[str, Any] = client.get(_mapping_path(uuid))
        if mapping["State"] in _SETTLED:
            return mapping
        if clock.monotonic() > deadline:
            raise EventRouterError(f"the mapping {uuid} is still {mapping['State']} after {_PATIENCE_S:.0f} s")
        pause.wait(_LOOK_S)


def _post(client: NodeClient, uuid: str, action: str, members: Mapping[str, Any]) -> Any:
    body = json.dumps({name: value for name, value in members.items() if value is not None}).encode()
    return client.request("POST", f"{_progress_path(uuid)}/{action}", body=body).document()


def _told(mapping: dict[str, Any], done: str, *, as_json: bool) -> None:
    if as_json:
        print_json(mapping)
    else:
        click.echo(f"{done}  {mapping['UUID']}")


def _mapping_path(uuid: str) -> str:
    return f"{EVENT_SOURCE_MAPPINGS}/{urllib.parse.quote(uuid, safe='')}"


def _progress_path(uuid: str) -> str:
    return f"{_PROGRESS}/{urllib.parse.quote(uuid, safe='')}"
