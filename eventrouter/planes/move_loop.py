"""Move tasks worked off in the node's own loop: on a cluster, where RQ's keys would not share a slot, and where time
travels, which a worker's process would not.

Every node looks which tasks run, and makes the turns of its share of them; the share follows from the nodes alone. So
a task goes on elsewhere when its node goes. For a moment two nodes may be at one task: they move no message twice.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable
from typing import Self

from eventrouter.clock import Clock
from eventrouter.planes.loops import Loops
from eventrouter.planes.move_turn import MoveTurn
from eventrouter.rules.move_rate import MoveRate
from eventrouter.rules.shares import fair_shares
from eventrouter.store.queues import MoveTask, QueueName, Queues

LOOK_EVERY_S = 5.0
_LOOP = "move-tasks"


class MoveLoop:
    """Long-lived: leaving the context ends the loop, between two steps."""

    def __init__(
        self,
        *,
        queues: Queues,
        host: str,
        hosts: Callable[[], Awaitable[Iterable[str]]],
        loops: Loops,
        clock: Clock,
    ) -> None:
        """`hosts` tells the ids of all nodes, of which `host` is this one's."""
        self._queues = queues
        self._host = host
        self._hosts = hosts
        self._loops = loops
        self._clock = clock
        self._rates: dict[str, MoveRate] = {}
        self._woken = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._loops.start(_LOOP, self._turn)
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._loops.stop(_LOOP)

    async def begin(self, source: QueueName, task: MoveTask) -> None:
        """Look at once: a task has just been stored. Its node may be another, which then looks in time."""
        self._woken.set()

    async def _turn(self) -> float:
        """Make a turn of every task that is this node's. Raises StoreError."""
        self._woken.clear()
        running = {task.handle: source for source, task in await self._queues.moves.running()}
        owners = fair_shares(running, {self._host, *await self._hosts()})
        mine = {handle: source for handle, source in running.items() if owners[handle] == self._host}
        now_s = self._clock.now_ms() / 1_000
        self._rates = {handle: self._rates.get(handle) or MoveRate(paid_until_s=now_s) for handle in mine}
        for handle, source in mine.items():
            turn = MoveTurn(
                queues=self._queues,
                clock=self._clock,
                source=source,
                handle=handle,
                rate=self._rates[handle],
                others_wait=lambda: len(mine) > 1,
            )
            await turn.make()
        if not mine:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_EVERY_S):
                    await self._woken.wait()
        return 0.0
