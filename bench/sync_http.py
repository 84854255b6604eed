"""How fast a synchronous Invoke answers over HTTP with keep-alive, beside a bare uvicorn app that echoes JSON.

wrk is the client, of both. The function returns its event, so both answer the same bytes.
"""

from __future__ import annotations

import sys
import urllib.request
from typing import TYPE_CHECKING

from bench.measure import Effort, Figure, Report, ratio
from bench.processes import free_port, running
from bench.servers import HEADERS, node
from bench.wrk import MISSING, Load, is_installed, load

if TYPE_CHECKING:
    from pathlib import Path

WHAT = "synchronous Invoke over HTTP, keep-alive, wrk"
BODY = '{"id": 4711, "name": "Ada", "items": [1, 2, 3], "note": "a small event"}'
INVOKE = {**HEADERS, "Content-Type": "application/octet-stream", "X-Amz-Invocation-Type": "RequestResponse"}
ECHO = "def handler(event, context):\n    return event\n"
CROWD = 32


def measure(effort: Effort, folder: Path) -> Report:
    """Alternate between the node and the floor, at 1 and at 32 connections."""
    if not is_installed():
        return Report(benchmark="sync_http", what=WHAT, notes=(MISSING,))
    results: dict[tuple[str, int], list[Load]] = {}
    floor_port = free_port()
    command = [sys.executable, "-m", "uvicorn", "bench.echo_app:app", "--port", str(floor_port), "--no-access-log"]
    command += ["--loop", "uvloop", "--http", "httptools", "--log-level", "warning", "--lifespan", "off"]
    with running(command, output=folder / "uvicorn.log") as floor, node(folder / "data") as ours:
        ours.create_function("echo", ECHO)
        urls = {
            "node": f"{ours.url}/2015-03-31/functions/echo/invocations",
            "floor": f"http://127.0.0.1:{floor_port}/",
        }
        floor.wait_until("echo app", lambda: _is_listening(urls["floor"]), seconds=10)
        for url in urls.values():
            load(url, BODY, INVOKE, connections=CROWD, seconds=2)  # one environment a connection is warm after this
        for _ in range(effort.rounds):
            for connections in (1, CROWD):
                for name, url in urls.items():
                    seen = load(url, BODY, INVOKE, connections=connections, seconds=effort.wrk_seconds)
                    results.setdefault((name, connections), []).append(seen)
    return Report(benchmark="sync_http", what=WHAT, figures=_figures(results))


def _figures(results: dict[tuple[str, int], list[Load]]) -> tuple[Figure, ...]:
    alone, crowd = results["node", 1], results["node", CROWD]
    floor_alone, floor_crowd = results["floor", 1], results["floor", CROWD]
    rate, floor_rate = tuple(load.per_second for load in crowd), tuple(load.per_second for load in floor_crowd)
    slower = tuple(load.p50_ms for load in alone)
    quicker = tuple(load.p50_ms for load in floor_alone)
    return (
        Figure(name="Invoke, 1 connection, p50", unit="ms", values=slower, at_most=1.0),
        Figure(name="Invoke, 1 connection, p99", unit="ms", values=tuple(load.p99_ms for load in alone)),
        Figure(name="uvicorn echo, 1 connection, p50", unit="ms", values=quicker),
        Figure(name=f"Invoke, {CROWD} connections", unit="calls/s", values=rate, at_least=4_000),
        Figure(name=f"Invoke, {CROWD} connections, p99", unit="ms", values=tuple(load.p99_ms for load in crowd)),
        Figure(name=f"uvicorn echo, {CROWD} connections", unit="calls/s", values=floor_rate),
        ratio(f"Invoke / uvicorn echo, {CROWD} connections", rate, floor_rate, at_least=0.2),
        ratio("uvicorn echo / Invoke, p50 of 1 connection", quicker, slower),
    )


def _is_listening(url: str) -> bool:
    try:
        urllib.request.urlopen(url, data=b"{}", timeout=2).close()
    except OSError:
        return False
    return True
