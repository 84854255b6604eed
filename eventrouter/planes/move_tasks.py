"""Sees to it that every move task is worked off: a job for each, and a worker while there are any.

The tasks stand in the store. This node looks for those that run when one begins here, when its worker has ended, and
every few seconds: one that was left behind by a worker, a node or RQ is taken up again.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Protocol, Self

from eventrouter.planes.loops import Loops
from eventrouter.planes.worker_process import WorkerProcess
from eventrouter.store.queues import MoveTask, QueueName, Queues

LOOK_EVERY_S = 10.0
JOB = "eventrouter.jobs.move_messages"
"""The function that makes a turn of a task."""
_LOOP = "move-tasks"


class JobQueue(Protocol):
    """Where jobs wait for a worker: `eventrouter.store.jobs.Jobs`. Its methods block, and may raise StoreError."""

    def ensure(self, function: str, name: str, arguments: Sequence[str]) -> bool: ...

    def release(self, host: str) -> None: ...

    def close(self) -> None: ...


class MoveTasks:
    """Long-lived: leaving the context ends the worker; what is not done goes on elsewhere, or when a node starts.

    `open_jobs` is called when there is a first task: a node without any never loads what it brings.
    """

    def __init__(
        self,
        *,
        queues: Queues,
        open_jobs: Callable[[], JobQueue],
        new_worker: Callable[[Callable[[], None]], WorkerProcess],
        host: str,
        loops: Loops,
    ) -> None:
        self._queues = queues
        self._open_jobs = open_jobs
        self._host = host
        self._loops = loops
        self._jobs: JobQueue | None = None
        self._woken = asyncio.Event()
        self._worker = new_worker(self._woken.set)

    async def __aenter__(self) -> Self:
        self._loops.start(_LOOP, self._turn)
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._loops.stop(_LOOP)
        await self._worker.stop()
        if self._jobs is not None:
            await asyncio.to_thread(self._jobs.close)

    async def begin(self, source: QueueName, task: MoveTask) -> None:
        """Work off a task that has just been stored."""
        self._woken.set()

    async def _turn(self) -> float:
        self._woken.clear()
        pause_s = await self._look()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause_s):
                await self._woken.wait()
        return 0.0

    async def _look(self) -> float:
        """Take up what is to be done; return how many seconds the next look may wait. Raises StoreError."""
        running = await self._queues.moves.running()
        if not running:
            return LOOK_EVERY_S
        if self._jobs is None:
            self._jobs = await asyncio.to_thread(self._open_jobs)
        if not self._worker.is_running:  # what a worker of ours was at when it ended, nobody is at any more
            await asyncio.to_thread(self._jobs.release, self._host)
        for source, task in running:
            await asyncio.to_thread(self._jobs.ensure, JOB, task.handle, (source.key, task.handle))
        await self._worker.start()
        return LOOK_EVERY_S if self._worker.is_running else min(LOOK_EVERY_S, self._worker.wait_s)
