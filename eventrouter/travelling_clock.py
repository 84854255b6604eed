"""The machine's time, and whatever it has been advanced by: for servers whose tests travel in time."""

from __future__ import annotations

import asyncio
from contextlib import AbstractContextManager, nullcontext

from eventrouter.clock import Clock, Pause, SystemClock


class _Wait:
    """Somebody waits until `due`, in this clock's time, or `looks_at`, in the machine's, whichever comes first."""

    __slots__ = ("due", "is_kicked", "looks_at", "recurs", "woken")

    def __init__(self, due: float | None, *, looks_at: float | None = None, recurs: bool = False) -> None:
        self.due = due
        self.looks_at = looks_at
        self.recurs = recurs
        self.is_kicked = False
        self.woken = asyncio.Event()


class TravellingClock:
    """A Clock that flows as the machine's does, and leaps when it is told to.

    Only what waits through it leaps along; timeouts of connections and functions run in the machine's own time.
    """

    def __init__(self, machine: Clock | None = None) -> None:
        self._machine = machine or SystemClock()
        self._ahead_s = 0.0
        self._waits: set[_Wait] = set()

    def now_ms(self) -> int:
        return self._machine.now_ms() + round(self._ahead_s * 1_000)

    def monotonic(self) -> float:
        return self._machine.monotonic() + self._ahead_s

    async def sleep(self, seconds: float) -> None:
        await self._until(_Wait(self.monotonic() + seconds))

    def unhurried(self) -> AbstractContextManager[None]:
        return nullcontext()

    async def pause(self, pause: Pause) -> None:
        looks_at = self._machine.monotonic() + pause.at_most_s
        due = None if pause.due_in_s is None else self.monotonic() + pause.due_in_s
        await self._until(_Wait(due, looks_at=looks_at, recurs=pause.recurs))

    @property
    def ahead_ms(self) -> int:
        """Return how far this clock is ahead of the machine's."""
        return round(self._ahead_s * 1_000)

    def set_ahead(self, ahead_ms: int) -> None:
        """Leap so that this clock is so far ahead. What is due by then happens now."""
        self._ahead_s = ahead_ms / 1_000
        for wait in self._waits:
            wait.woken.set()

    def kick(self) -> None:
        """Have every look made now."""
        for wait in self._waits:
            if wait.looks_at is not None:
                wait.is_kicked = True
                wait.woken.set()

    def next_due_s(self, *, recurring: bool) -> float | None:
        """Return the monotonic time of the next thing that is due, with or without what recurs; None: nothing is."""
        dues = (wait.due for wait in self._waits if wait.due is not None and (recurring or not wait.recurs))
        return min(dues, default=None)

    async def _until(self, wait: _Wait) -> None:
        self._waits.add(wait)
        try:
            while not wait.is_kicked:
                left = self._left_s(wait)
                if left <= 0:
                    return
                wait.woken.clear()
                try:
                    async with asyncio.timeout(left):
                        await wait.woken.wait()
                except TimeoutError:
                    continue  # looked at once more: time may have leapt meanwhile
        finally:
            self._waits.discard(wait)

    def _left_s(self, wait: _Wait) -> float:
        lefts = []
        if wait.due is not None:
            lefts.append(wait.due - self.monotonic())
        if wait.looks_at is not None:
            lefts.append(wait.looks_at - self._machine.monotonic())
        return min(lefts)
