"""Virtual time that stops only where something is due.

A loop in virtual time would otherwise wake every second for a node's looks at the store: a week would be 600,000
stops. Here looks wait until something has changed, and time moves from one thing that is due to the next. Before time
moves every look is made again, until a round of them changes nothing: nothing can have come due unseen.
"""

from __future__ import annotations

import asyncio
import math
import re
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import Context, ContextVar
from typing import Any

from eventrouter.clock import Pause
from eventrouter.testing.virtual import VirtualClock, VirtualLoop

MOST_ROUNDS = 100_000
_UNSEEN = re.compile(rb"\{[^:]*:(?:l:|m:).*|.*\}:(?:clk|rn|rt|use|turns|held:.*)")
"""Keys in which no look finds anything to do: logs, shards' checkpoints, slots taken, lease time, calls answered.

The node that writes them knows what it has written.
"""

_KEPT_BY_LOOKS = re.compile(rb".*\}:(?:clk|rn|rt)")
"""Keys that looks themselves write, whatever they find: no change at all."""

_UNHURRIED: ContextVar[bool] = ContextVar("unhurried", default=False)


class LeapingLoop(VirtualLoop):
    """A virtual loop that `touch` tells of every change of a key in the store."""

    _scheduled: list[asyncio.TimerHandle]  # asyncio's own, which its types do not tell of

    def __init__(self) -> None:
        super().__init__()
        self._changes = 0
        self._looked_at = 0
        self._changed = b""
        self._is_touched = False
        self._rounds = 0
        self._rounds_at = -1.0
        self._looks: list[asyncio.Future[None]] = []
        self._quiet: deque[asyncio.Future[None]] = deque()
        self._until_idle: deque[tuple[asyncio.Future[float | None], float]] = deque()
        self._recurring: set[asyncio.TimerHandle] = set()

    def touch(self, key: bytes) -> None:
        """Note that a key has changed, if a look may find something in it."""
        if _KEPT_BY_LOOKS.fullmatch(key) is None:
            self._is_touched = True
        if _UNSEEN.fullmatch(key) is None:
            self._changes += 1
            self._changed = key

    def call_at(  # type: ignore[override]  # the arguments' types do not matter here
        self, when: float, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        if _UNHURRIED.get():  # it never rings: what is waited for comes by itself, or does not matter
            return asyncio.TimerHandle(when, callback, args, self, context)
        return super().call_at(when, callback, *args, context=context)

    async def pause(self, pause: Pause) -> None:
        """Wait for the next round of looks, or for what is due."""
        look = self.create_future()
        self._looks.append(look)
        ring = None
        if pause.due_in_s is not None:
            ring = super().call_at(self.time() + pause.due_in_s, _end, look)
            if pause.recurs:
                self._recurring.add(ring)
        try:
            await look
        finally:
            if ring is not None:
                ring.cancel()
                self._recurring.discard(ring)
            if look in self._looks:
                self._looks.remove(look)

    async def wait_quiet(self) -> None:
        """Wait until nothing is left to do at this instant."""
        quiet = self.create_future()
        self._quiet.append(quiet)
        await quiet

    async def step(self, end: float = math.inf) -> bool:
        """Go to the next thing that is due, if there is one before `end`, and through all that follows at once.

        Say whether there was one.
        """
        await self.wait_quiet()
        due = self.next_due_s(recurring=True)
        if due is None or due > end:
            return False
        reached = self.create_future()
        super().call_at(due, _end, reached)
        await reached
        await self.wait_quiet()
        return True

    async def wait_idle(self, end: float) -> float | None:
        """Let time pass until nothing is due but what recurs for ever; return None then.

        Returns when the next thing is due, without going there, if that is after `end`.
        """
        idle: asyncio.Future[float | None] = self.create_future()
        self._until_idle.append((idle, end))
        return await idle

    def next_due_s(self, *, recurring: bool) -> float | None:
        """Return the time of the next thing that is due, with or without what is due for ever; None: nothing is."""
        waiting = (
            timer.when()
            for timer in self._scheduled
            if not timer.cancelled() and (recurring or timer not in self._recurring)
        )
        return min(waiting, default=None)

    def _idle(self, timeout: float | None) -> None:
        if self._changes != self._looked_at:
            self._looked_at = self._changes
            self._count_round()
            if self._look():
                return
        if self._quiet:
            if self._is_touched:  # whoever waits for quiet sees everything, logs too
                self._is_touched = False
                self._look()
                return
            _end(self._quiet.popleft())
            return
        if self._until_idle:
            idle, end = self._until_idle[0]
            due = self.next_due_s(recurring=False)
            if idle.done() or due is None or due > end:
                if self._is_touched:
                    self._is_touched = False
                    self._look()
                    return
                self._until_idle.popleft()
                if not idle.done():
                    idle.set_result(due)
                return
        if not self._scheduled:
            super()._idle(None)
        self._now = max(self._now, self._scheduled[0].when())

    def _look(self) -> bool:
        """Have everybody look again; say whether there is anybody."""
        looks, self._looks = self._looks, []
        for look in looks:
            _end(look)
        return bool(looks)

    def _count_round(self) -> None:
        """Stop a test that would never end: looks that always change something."""
        if self._now != self._rounds_at:
            self._rounds, self._rounds_at = 0, self._now
        self._rounds += 1
        if self._rounds > MOST_ROUNDS:
            raise RuntimeError(f"virtual time stands still: {MOST_ROUNDS} looks each changed {self._changed!r}")


class LeapingClock(VirtualClock):
    """The Clock of a leaping loop."""

    def __init__(self, loop: LeapingLoop) -> None:
        super().__init__(loop)
        self._leaping = loop

    @contextmanager
    def unhurried(self) -> Iterator[None]:
        token = _UNHURRIED.set(True)
        try:
            yield
        finally:
            _UNHURRIED.reset(token)

    async def pause(self, pause: Pause) -> None:
        await self._leaping.pause(pause)


class StandingClock(VirtualClock):
    """The time of the machine beneath: it does not age while virtual time leaps, so nobody seems to have died."""

    def monotonic(self) -> float:
        return 0.0

    async def pause(self, pause: Pause) -> None:
        await asyncio.get_running_loop().create_future()


def _end(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
