"""How long it takes from a saved file to the first answer of an environment on the new code."""

from __future__ import annotations

import http.client
import json
import statistics
import time
from typing import TYPE_CHECKING

from bench.measure import Effort, Figure, Report
from bench.servers import HEADERS, ROLE, RUNTIME, BenchNode, node

if TYPE_CHECKING:
    from pathlib import Path

SOURCE = "def handler(event, context):\n    return {version}\n"
NAME = "reloaded"
PAUSE_S = 0.3
"""Between two saves, as a person would: the change before is over."""


def measure(effort: Effort, folder: Path) -> Report:
    """Save a new version again and again, and invoke without a pause until it answers."""
    code = folder / "code"
    code.mkdir()
    rounds: list[list[float]] = []
    with node(folder / "data") as ours:
        _create(ours, code)
        version = 0
        for _ in range(effort.rounds):
            times = []
            for _ in range(effort.fresh_functions):
                time.sleep(PAUSE_S)
                version += 1
                times.append(_reload(ours, code, version))
            rounds.append(times)
    figures = (
        Figure(
            name="saved file to first answer of the new code, p50",
            unit="ms",
            values=tuple(statistics.median(times) for times in rounds),
            at_most=300.0,
        ),
        Figure(name="the slowest", unit="ms", values=tuple(max(times) for times in rounds), at_most=300.0),
    )
    what = f"hot reload, {effort.fresh_functions} saves a round, invoked without a pause meanwhile"
    return Report(benchmark="hot_reload", what=what, figures=figures)


def _create(ours: BenchNode, code: Path) -> None:
    (code / "app.py").write_text(SOURCE.format(version=0))
    ours.call(
        "POST",
        "/2015-03-31/functions",
        {
            "FunctionName": NAME,
            "Role": ROLE,
            "Runtime": RUNTIME,
            "Handler": "app.handler",
            "Code": {"S3Bucket": "hot-reload", "S3Key": str(code)},
        },
    )

    def is_active() -> bool:
        return bool(ours.call("GET", f"/2015-03-31/functions/{NAME}")["Configuration"]["State"] == "Active")

    ours.child.wait_until("active function", is_active, seconds=20)


def _reload(ours: BenchNode, code: Path, version: int) -> float:
    """Save one version; return the milliseconds until it has answered. The file is replaced, as editors do."""
    connection = http.client.HTTPConnection(ours.url.removeprefix("http://"), timeout=30)
    _answer(connection)  # an environment on the old code is warm
    staged = code / "app.py.new~"
    staged.write_text(SOURCE.format(version=version))
    began = time.perf_counter()
    staged.replace(code / "app.py")
    while _answer(connection) != version:
        pass
    took_ms = (time.perf_counter() - began) * 1000
    connection.close()
    return took_ms


def _answer(connection: http.client.HTTPConnection) -> int:
    connection.request("POST", f"/2015-03-31/functions/{NAME}/invocations", b"{}", HEADERS)
    return int(json.loads(connection.getresponse().read()))
