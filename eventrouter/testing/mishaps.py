"""What happens to a router's node and store, now or by a plan: deaths, outages, lost answers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

from eventrouter.errors import EventRouterError
from eventrouter.testing.faults import Mishap
from eventrouter.testing.leaping import LeapingLoop
from eventrouter.testing.life import Line, TestNode
from eventrouter.testing.memory import MemoryServer

RESTART_EVERY_S = 1.0


class Mishaps:
    """Has them happen; in the loop."""

    def __init__(
        self,
        loop: LeapingLoop,
        server: MemoryServer,
        line: Line,
        *,
        node: Callable[[], TestNode],
        start: Callable[[], Awaitable[None]],
    ) -> None:
        """`node` returns the node that there is; `start` starts another in its place."""
        self._loop = loop
        self._server = server
        self._line = line
        self._node = node
        self._start = start
        self._outage_ends = 0.0
        self._tasks: set[asyncio.Task[None]] = set()

    async def kill_node(self, down_s: float) -> None:
        """Kill and start again, in a task of its own: a handler that asks for it dies of it."""
        await asyncio.shield(self._begin(self._kill_node(down_s)))

    async def _kill_node(self, down_s: float) -> None:
        if self._node().may_be_killed:
            await self._node().kill()
            await asyncio.sleep(down_s)
            while True:
                try:
                    await self._start()
                except EventRouterError:  # the store is away: whatever supervises nodes tries again
                    await asyncio.sleep(RESTART_EVERY_S)
                else:
                    return

    async def redis_outage(self, seconds: float) -> None:
        """Cut the line for `seconds`, or longer if it is cut for longer already."""
        self._outage_ends = max(self._outage_ends, self._loop.time() + seconds)
        self._server.connected = False
        self._loop.call_at(self._outage_ends, self._restore)

    def _restore(self) -> None:
        if self._loop.time() >= self._outage_ends:
            self._server.connected = True
            self._loop.touch(b"")  # who has found nothing looks again

    async def plan(self, mishaps: Sequence[Mishap]) -> None:
        """Have them happen, each at its time from now."""
        for mishap in mishaps:
            _ = self._begin(self._have(mishap))

    async def _have(self, mishap: Mishap) -> None:
        await asyncio.sleep(mishap.at)
        if mishap.do == "kill_node":
            await self._kill_node(mishap.seconds)
        elif mishap.do == "redis_outage":
            await self.redis_outage(mishap.seconds)
        else:
            self._line.lose(mishap.n, None, mishap.seconds if mishap.do == "late_reply" else None)

    async def stop(self) -> None:
        """Have no more of them, and the store within reach."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._server.connected = True

    def _begin(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
