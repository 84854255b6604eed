"""The runtime alone, without HTTP and Redis: cold starts, the round trip of one invocation, and sending ahead."""

from __future__ import annotations

import asyncio
import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING

from bench.measure import Effort, Figure, Report
from eventrouter.clock import SystemClock
from eventrouter.rules.function import Code, Function, LoggingConfig
from eventrouter.rules.invocation import Invocation
from eventrouter.rules.names import FunctionName, FunctionReference
from eventrouter.runtime.facts import NodeFacts
from eventrouter.runtime.pool import Runtime
from eventrouter.settings import Settings

if TYPE_CHECKING:
    from eventrouter.ports import Lease
    from eventrouter.rules.outcome import Run

NOOP = "def handler(event, context):\n    return event\n"
NAME = FunctionName(account="000000000000", region="us-east-1", name="bench")
INVOCATION = Invocation(
    request_id="00000000-0000-4000-8000-000000000000",
    reference=FunctionReference(function=NAME),
    payload=b'{"key": "value"}',
)
AHEAD = 32


class _Directories:
    async def directory(self, code: Code) -> Path:
        return Path(code.directory or "")


def measure(effort: Effort, folder: Path) -> Report:
    """Measure each figure once a round, all rounds on one runtime."""
    return asyncio.run(_measure(effort, folder))


async def _measure(effort: Effort, folder: Path) -> Report:
    code = folder / "code"
    code.mkdir()
    (code / "index.py").write_text(NOOP)
    function = Function(
        name=NAME,
        runtime="python3.11",
        handler="index.handler",
        role="",
        code=Code(sha256="", size_bytes=0, directory=str(code)),
        logging=LoggingConfig(group="/aws/lambda/bench"),
        last_modified_ms=0,
        revision_id="",
    )
    cold: list[float] = []
    round_trip: list[float] = []
    ahead: list[float] = []
    async with Runtime(
        settings=Settings(data_dir=folder / "data"),
        clock=SystemClock(),
        packages=_Directories(),
        node=NodeFacts(endpoint_url=lambda: "http://127.0.0.1:4566"),
        observe=lambda invocation, run: None,
    ) as runtime:
        for _ in range(effort.rounds):
            cold.append(await _cold_ms(runtime, function, effort.fresh_functions))
            lease = runtime.try_lease(function) or await runtime.lease(function, patience_s=5)
            round_trip.append(await _round_trip_us(lease, effort.events // 10))
            ahead.append(await _per_second(lease, effort.events))
            lease.release()
        notes = tuple(f"not applied: {what}" for what in runtime.not_applied)
    figures = (
        Figure(name="cold lease and first result, p50", unit="ms", values=tuple(cold), at_most=30.0),
        Figure(name="round trip of one invocation, p50", unit="us", values=tuple(round_trip), at_most=150.0),
        Figure(name="one environment, sent ahead", unit="1/s", values=tuple(ahead), at_least=15_000.0),
    )
    return Report(
        benchmark="runtime", what=f"one environment, no HTTP, no Redis, {AHEAD} ahead", figures=figures, notes=notes
    )


async def _cold_ms(runtime: Runtime, function: Function, starts: int) -> float:
    took: list[float] = []
    for _ in range(starts):
        runtime.retire(NAME)
        began = time.perf_counter()
        lease = await runtime.lease(function, patience_s=5)
        await _once(lease)
        took.append((time.perf_counter() - began) * 1_000)
        lease.release()
    return statistics.median(took)


async def _round_trip_us(lease: Lease, times: int) -> float:
    took: list[float] = []
    ended = asyncio.get_running_loop().create_future()

    def submit() -> None:
        began = time.perf_counter()
        lease.submit(INVOCATION, lambda run: done(began))

    def done(began: float) -> None:
        took.append((time.perf_counter() - began) * 1_000_000)
        if len(took) < times:
            submit()
        else:
            ended.set_result(None)

    submit()
    await ended
    return statistics.median(took)


async def _per_second(lease: Lease, times: int) -> float:
    ended = asyncio.get_running_loop().create_future()
    sent = finished = 0

    def submit() -> None:
        nonlocal sent
        sent += 1
        lease.submit(INVOCATION, done)

    def done(_run: Run) -> None:
        nonlocal finished
        finished += 1
        if sent < times:
            submit()
        elif finished == times:
            ended.set_result(None)

    began = time.perf_counter()
    for _ in range(AHEAD):
        submit()
    await ended
    return times / (time.perf_counter() - began)


async def _once(lease: Lease) -> None:
    ended = asyncio.get_running_loop().create_future()
    lease.submit(INVOCATION, ended.set_result)
    await ended
