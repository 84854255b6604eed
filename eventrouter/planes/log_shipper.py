"""Ships functions' log lines to the store, many at a time, never in a caller's way.

The buffer is bounded: where the store is slower than the functions, the newest lines are dropped and counted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Self

from structlog.typing import FilteringBoundLogger

from eventrouter.clock import Clock, Pause
from eventrouter.errors import StoreError
from eventrouter.metrics import Metrics
from eventrouter.rules import report
from eventrouter.rules.function import Function
from eventrouter.rules.invocation import Invocation
from eventrouter.rules.names import FunctionName
from eventrouter.rules.outcome import Run
from eventrouter.store import LogChunk, LogLine, Logs

FLUSH_EVERY_S = 0.05
BUFFER_LINES = 50_000
CHUNK_LINES = 1_000


class LogShipper:
    """Long-lived: leaving `async with shipper:` ships what is left."""

    def __init__(
        self,
        *,
        logs: Logs,
        clock: Clock,
        metrics: Metrics,
        log: FilteringBoundLogger,
        function_of: Callable[[FunctionName], Function | None],
        max_bytes: int,
        retention_ms: int,
    ) -> None:
        self._logs = logs
        self._clock = clock
        self._metrics = metrics
        self._log = log
        self._function_of = function_of
        self._max_bytes = max_bytes
        self._retention_ms = retention_ms
        self._buffer: dict[tuple[str, str, str, str], list[LogLine]] = {}
        self._lines = 0
        self._shipping: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._shipping is not None:
            await self._shipping
        await self.flush()

    def ship(self, invocation: Invocation, run: Run) -> None:
        """Take the log of one run: START, the function's own lines, END and REPORT."""
        name = invocation.reference.function
        function = self._function_of(name)
        if function is None:
            return
        lines = report.log_events(invocation.request_id, run, function.logging)
        if self._lines + len(lines) > BUFFER_LINES:
            self._metrics.logs_dropped.inc(len(lines))
            return
        self._buffer.setdefault((name.account, name.region, run.log_group, run.log_stream), []).extend(
            LogLine(timestamp_ms=at, message=text) for at, text in lines
        )
        self._lines += len(lines)
        if self._shipping is None:
            self._shipping = asyncio.create_task(self._ship(), name="ship-logs")

    async def flush(self) -> None:
        """Ship everything that waits now. What the store refuses is dropped and counted."""
        buffer, self._buffer, self._lines = self._buffer, {}, 0
        chunks = [
            LogChunk(
                account=account,
                region=region,
                group=group,
                stream=stream,
                lines=tuple(lines[start : start + CHUNK_LINES]),
            )
            for (account, region, group, stream), lines in buffer.items()
            for start in range(0, len(lines), CHUNK_LINES)
        ]
        if not chunks:
            return
        try:
            await self._logs.append(chunks, max_bytes=self._max_bytes, retention_ms=self._retention_ms)
        except StoreError as error:
            dropped = sum(len(chunk.lines) for chunk in chunks)
            self._metrics.logs_dropped.inc(dropped)
            self._log.warning("logs.dropped", lines=dropped, reason=str(error))

    async def _ship(self) -> None:
        """Ship what has gathered after a moment, until nothing gathers any more."""
        try:
            while self._buffer:
                await self._clock.pause(Pause(FLUSH_EVERY_S))
                await self.flush()
        finally:
            self._shipping = None
