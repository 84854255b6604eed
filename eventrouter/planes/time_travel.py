"""Leading a running node through time: from one thing that is due to the next, each come to its end before the next.

The node's time and its server's are advanced together. Only a node that is alone can travel: others would stay behind.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from eventrouter.clock import Clock
from eventrouter.errors import RequestError
from eventrouter.store import Store
from eventrouter.travelling_clock import TravellingClock

LOOK_S = 0.002
CALM_LOOKS = 3
"""So many looks in a row find nothing under way before time moves on."""
LONGEST_S = 400 * 86_400.0


class TimeTravel:
    """Advances one node. One journey at a time."""

    def __init__(
        self,
        *,
        clock: TravellingClock,
        machine: Clock,
        store: Store,
        offset_key: str,
        is_running: Callable[[], bool],
    ) -> None:
        """`is_running` says whether an invocation is under way. The scripts read `offset_key`, in ms."""
        self._clock = clock
        self._machine = machine
        self._store = store
        self._offset_key = offset_key
        self._is_running = is_running
        self._turn = asyncio.Lock()

    async def resume(self) -> None:
        """Go on where an earlier run of this installation had come to."""
        stored = await self._store.scripts.command("GET", self._offset_key)
        self._clock.set_ahead(int(stored or 0))

    def now_ms(self) -> int:
        """Return the node's wall time."""
        return self._clock.now_ms()

    async def advance(self, seconds: float) -> None:
        """Let `seconds` pass, and everything happen that is due in them. Raises RequestError if that cannot be."""
        if not 0 <= seconds <= LONGEST_S:
            raise RequestError("InvalidParameterValueException", f"seconds {seconds} is not in 0..{LONGEST_S:.0f}")
        async with self._turn:
            await self._check_alone()
            end = self._clock.monotonic() + seconds
            while (due := await self._settled(recurring=True)) is not None and due < end:
                await self._leap(due)
            await self._leap(end)
            await self._settled(recurring=True)

    async def until_idle(self, within_s: float = LONGEST_S) -> None:
        """Go from one thing that is due to the next until nothing is left to be done but what recurs for ever.

        Raises RequestError if that takes longer than `within_s`.
        """
        async with self._turn:
            await self._check_alone()
            end = self._clock.monotonic() + within_s
            while (due := await self._settled(recurring=False)) is not None:
                if due > end:
                    raise RequestError("TimeTravelEndless", f"not idle within {within_s:g} s", status=409)
                recurs = self._clock.next_due_s(recurring=True)
                await self._leap(due if recurs is None else min(due, recurs))  # what recurs keeps its times on the way

    async def step(self) -> bool:
        """Go to the next thing that is due, what recurs included, and through what follows at once; False: none is."""
        async with self._turn:
            await self._check_alone()
            due = await self._settled(recurring=True)
            if due is not None:
                await self._leap(due)
                await self._settled(recurring=True)
        return due is not None

    async def settle(self) -> None:
        """Wait until nothing is under way at this moment."""
        async with self._turn:
            await self._settled(recurring=True)

    async def _check_alone(self) -> None:
        if len(await self._store.hosts.list()) > 1:
            raise RequestError(
                "ResourceConflictException",
                "other nodes run on this installation, and their time would not travel: stop them first",
                status=409,
            )

    async def _leap(self, due: float) -> None:
        ahead_ms = self._clock.ahead_ms + max(round((due - self._clock.monotonic()) * 1_000), 0)
        await self._store.scripts.command("SET", self._offset_key, ahead_ms)
        self._clock.set_ahead(ahead_ms)

    async def _settled(self, *, recurring: bool) -> float | None:
        """Wait until nothing is under way and every look was made; return when the next thing is due."""
        known: float | None = -1.0
        while True:
            await self._calm()
            self._clock.kick()
            await self._calm()
            due = self._clock.next_due_s(recurring=recurring)
            if due == known or (due is not None and known is not None and abs(due - known) < LOOK_S):
                return due
            known = due

    async def _calm(self) -> None:
        calm = 0
        while calm < CALM_LOOKS:
            await self._store.scripts.command("GET", self._offset_key)  # what the server tells others has come by then
            await self._machine.sleep(LOOK_S)
            calm = 0 if self._is_running() or not self._store.scripts.is_quiet else calm + 1
