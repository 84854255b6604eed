"""`eventrouter logs`: what a function printed, now and as it prints."""

from __future__ import annotations

import datetime
import re
import threading
from collections.abc import Iterator
from typing import Any

import click

from eventrouter.cli.client import NodeClient, Refused, function_path
from eventrouter.cli.options import node_options
from eventrouter.cli.output import instant, print_json_line
from eventrouter.clock import SystemClock

_UNITS_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_POLL_S = 1.0


@click.command()
@click.argument("name")
@click.option("-f", "--follow", is_flag=True, help="Go on as more is printed, until Ctrl-C.")
@click.option(
    "--since", default=None, help="From when: 30s, 10m, 2h, 1d or an ISO 8601 time. [default: all that is kept]"
)
@node_options
def logs(name: str, follow: bool, since: str | None, url: str | None, as_json: bool) -> None:
    """Print the log of the function NAME, oldest first."""
    start_ms = _since_ms(since) if since else None
    client = NodeClient(url)
    try:
        group, exists = _group(client, name)
        told = False
        for event in _events(client, group, start_ms, follow=follow, patient=follow or exists):
            told = True
            if as_json:
                print_json_line(event)
            else:
                # Within one entry Lambda's runtime writes carriage returns for line ends.
                text = event["message"].rstrip().replace("\r", "\n")
                click.echo(f"{instant(event['timestamp'])}  {text}")
        if not told:
            click.echo(f"{group} holds nothing{' since then' if since else ' yet'}", err=True)
    finally:
        client.close()


def _group(client: NodeClient, name: str) -> tuple[str, bool]:
    """Return the log group that the function names, or the usual one if there is no function, and if there is one."""
    try:
        configuration = client.get(f"{function_path(name)}/configuration")
    except Refused as error:
        if error.status != 404:
            raise
        return f"/aws/lambda/{name}", False
    return configuration["LoggingConfig"]["LogGroup"], True


def _since_ms(text: str) -> int:
    if match := re.fullmatch(r"(\d+)([smhd])", text):
        return SystemClock().now_ms() - int(match[1]) * _UNITS_MS[match[2]]
    try:
        at = datetime.datetime.fromisoformat(text)
    except ValueError:
        raise click.UsageError(f"--since {text!r}: must be like 30s, 10m, 2h, 1d or 2026-01-31T08:00:00Z") from None
    return int((at if at.tzinfo else at.replace(tzinfo=datetime.UTC)).timestamp() * 1000)


def _events(
    client: NodeClient, group: str, start_ms: int | None, *, follow: bool, patient: bool
) -> Iterator[dict[str, Any]]:
    """Yield the events of a log group; when following, each once, though pages overlap by a millisecond.

    `patient`: that the group does not exist yet is no error.
    """
    pause = threading.Event()
    seen: dict[str, int] = {}
    latest_ms = start_ms
    while True:
        for event in _page_through(client, group, latest_ms, patient=patient):
            if event["eventId"] in seen:
                continue
            if follow:
                seen[event["eventId"]] = event["timestamp"]
            latest_ms = max(latest_ms or 0, event["timestamp"])
            yield event
        if not follow:
            return
        seen = {name: at for name, at in seen.items() if at >= (latest_ms or 0)}
        pause.wait(_POLL_S)


def _page_through(client: NodeClient, group: str, start_ms: int | None, *, patient: bool) -> Iterator[dict[str, Any]]:
    members: dict[str, Any] = {"logGroupName": group}
    if start_ms is not None:
        members["startTime"] = start_ms
    while True:
        try:
            page = client.call("logs", "Logs_20140328.FilterLogEvents", members, version="1.1")
        except Refused as error:
            if patient and error.code == "ResourceNotFoundException":
                return
            raise
        yield from page.get("events", [])
        if not page.get("nextToken"):
            return
        members["nextToken"] = page["nextToken"]
