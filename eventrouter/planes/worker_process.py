"""A process beside the node: started when there is something to do, started again when it dies, ended with the node.

It ends by itself when nothing came for a while, so a node without long jobs does not pay for it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence

from structlog.typing import FilteringBoundLogger

from eventrouter.clock import Clock

BACKOFF_FIRST_S = 0.5
BACKOFF_LAST_S = 30.0
LIVED_S = 60.0
"""A process that lived this long was well: another may be started at once."""
STOP_TIMEOUT_S = 5.0
"""How long a process that is to end may finish what it is at."""


class WorkerProcess:
    """At most one process at a time. Long-lived: `stop()` ends it.

    `command` is asked at every start; `environment` is added to the node's own. `on_end` is called when a process has
    ended, for whatever reason.
    """

    def __init__(
        self,
        *,
        command: Callable[[], Sequence[str]],
        environment: Mapping[str, str],
        on_end: Callable[[], None],
        clock: Clock,
        log: FilteringBoundLogger,
    ) -> None:
        self._command = command
        self._environment = environment
        self._on_end = on_end
        self._clock = clock
        self._log = log
        self._process: asyncio.subprocess.Process | None = None
        self._watch: asyncio.Task[None] | None = None
        self._backoff_s = 0.0
        self._may_start_at = clock.monotonic()
        self._is_stopping = False

    @property
    def is_running(self) -> bool:
        return self._process is not None

    @property
    def wait_s(self) -> float:
        """Return how long it is until a process may be started."""
        return max(0.0, self._may_start_at - self._clock.monotonic())

    async def start(self) -> None:
        """Start the process unless it runs, ended too soon a moment ago, or the node is stopping."""
        if self._is_stopping or self.is_running or self.wait_s > 0:
            return
        self._process = process = await asyncio.create_subprocess_exec(
            *self._command(), stdin=asyncio.subprocess.DEVNULL, env={**os.environ, **self._environment}
        )
        self._log.info("worker.started", pid=process.pid)
        self._watch = asyncio.create_task(self._wait(process), name="worker-process")

    async def stop(self) -> None:
        """End the process, when it has finished what it is at if that is soon; none is started any more."""
        self._is_stopping = True
        process, watch = self._process, self._watch
        if process is None or watch is None:
            return
        if process.returncode is None:
            process.terminate()
        await asyncio.wait({watch}, timeout=STOP_TIMEOUT_S)
        if process.returncode is None:
            process.kill()
        await watch

    async def _wait(self, process: asyncio.subprocess.Process) -> None:
        began = self._clock.monotonic()
        status = await process.wait()
        self._process = None
        now = self._clock.monotonic()
        self._backoff_s = (
            0.0 if now - began >= LIVED_S else min(max(self._backoff_s * 2, BACKOFF_FIRST_S), BACKOFF_LAST_S)
        )
        self._may_start_at = now + self._backoff_s
        if status == 0 or self._is_stopping:
            self._log.info("worker.ended", pid=process.pid)
        else:
            self._log.warning("worker.died", pid=process.pid, status=status, again_in_s=self._backoff_s)
        self._on_end()
