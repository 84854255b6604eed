"""How long the first answer of a new environment takes, with the zygote warm: N fresh functions a round."""

from __future__ import annotations

import base64
import http.client
import re
import statistics
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.measure import Effort, Figure, Report
from bench.servers import HEADERS, BenchNode, node

if TYPE_CHECKING:
    from pathlib import Path

NOOP = "def handler(event, context):\n    return event\n"
_INIT = re.compile(r"\tInit Duration: ([\d.]+) ms")


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """One fresh function as the client saw it: from CreateFunction to the first answer, the first and the second
    answer, and the init that was reported."""

    created_ms: float
    first_ms: float
    second_ms: float
    init_ms: float


def measure(effort: Effort, folder: Path) -> Report:
    """Take the median over the fresh functions of each round."""
    rounds: list[list[Start]] = []
    with node(folder / "data") as ours:
        _start(ours, "warm-up")
        for number in range(effort.rounds):
            names = [f"fresh-{number}-{index}" for index in range(effort.fresh_functions)]
            rounds.append([_start(ours, name) for name in names])
            for name in names:
                ours.delete_function(name)

    def middle(name: str, value: str, *, at_most: float | None = None) -> Figure:
        values = tuple(statistics.median(getattr(start, value) for start in starts) for starts in rounds)
        return Figure(name=name, unit="ms", values=values, at_most=at_most)

    spawns = tuple(statistics.median(start.first_ms - start.second_ms for start in starts) for starts in rounds)
    worst = tuple(max(start.first_ms for start in starts) for starts in rounds)
    figures = (
        middle("first Invoke of a fresh function, p50", "first_ms", at_most=30.0),
        Figure(name="first Invoke of a fresh function, slowest", unit="ms", values=worst),
        Figure(name="of it spawn and init (first - second), p50", unit="ms", values=spawns),
        middle("of it Init Duration as reported, p50", "init_ms"),
        middle("second Invoke (warm), p50", "second_ms"),
        middle("CreateFunction, wait for Active, first Invoke, p50", "created_ms"),
    )
    what = f"first response of a new environment, zygote warm, {effort.fresh_functions} fresh functions a round"
    return Report(benchmark="cold_start", what=what, figures=figures)


def _start(ours: BenchNode, name: str) -> Start:
    """Create one function, wait until it is active, and invoke it twice."""
    began = time.perf_counter()
    ours.create_function(name, NOOP)
    connection = http.client.HTTPConnection(ours.url.removeprefix("http://"), timeout=30)
    connection.connect()
    first_ms, report = _invoke(connection, name)
    created_ms = (time.perf_counter() - began) * 1000
    second_ms, _ = _invoke(connection, name)
    connection.close()
    found = _INIT.search(report)
    assert found, f"no Init Duration in {report!r}"
    return Start(created_ms=created_ms, first_ms=first_ms, second_ms=second_ms, init_ms=float(found[1]))


def _invoke(connection: http.client.HTTPConnection, name: str) -> tuple[float, str]:
    """Invoke once on an open connection; return the milliseconds and the tail of the log."""
    path = f"/2015-03-31/functions/{name}/invocations"
    began = time.perf_counter()
    connection.request("POST", path, b"{}", {**HEADERS, "X-Amz-Log-Type": "Tail"})
    answer = connection.getresponse()
    body = answer.read()
    took_ms = (time.perf_counter() - began) * 1000
    assert (answer.status, body) == (200, b"{}"), f"{name}: {answer.status} {body!r}"
    return took_ms, base64.b64decode(answer.headers["X-Amz-Log-Result"]).decode()
