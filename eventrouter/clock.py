"""The one source of time. Nothing else in eventrouter reads a clock or sleeps.

Two times, never mixed: `now_ms` is wall time (what users see, what AWS's rules about age use); `monotonic`
never steps (durations, deadlines on this host).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Pause:
    """When a loop looks again: after `at_most_s`, or sooner if something is known to be due in `due_in_s`.

    What `recurs` is due again and again, for ever: nobody waits until it is over.
    """

    at_most_s: float
    due_in_s: float | None = None
    recurs: bool = False

    @classmethod
    def of(cls, pause: float | Pause) -> Pause:
        """Return what a turn has answered: seconds are a pause of nothing due."""
        return pause if isinstance(pause, Pause) else cls(pause)

    @property
    def soonest_s(self) -> float:
        """Return how long the pause is at most."""
        return self.at_most_s if self.due_in_s is None else min(self.at_most_s, self.due_in_s)


class Clock(Protocol):
    """What a component needs to know about time."""

    def now_ms(self) -> int:
        """Return wall time in milliseconds since the epoch."""
        ...

    def monotonic(self) -> float:
        """Return seconds on a clock that never steps; only differences mean anything."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait for `seconds`."""
        ...

    def unhurried(self) -> AbstractContextManager[None]:
        """Begin a passage whose waiting ends early if anything happens: its time-outs never move virtual time."""
        ...

    async def pause(self, pause: Pause) -> None:
        """Wait between two looks. Virtual time is moved by what is due only: nobody else changes anything there."""
        ...


class SystemClock:
    """The machine's own clocks."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def unhurried(self) -> AbstractContextManager[None]:
        return nullcontext()

    async def pause(self, pause: Pause) -> None:
        await asyncio.sleep(pause.soonest_s)


class SeenClock:
    """The machine's own time for waiting and measuring, and the wall time that users see."""

    def __init__(self, seen: Clock, machine: Clock) -> None:
        self._seen = seen
        self._machine = machine

    def now_ms(self) -> int:
        return self._seen.now_ms()

    def monotonic(self) -> float:
        return self._machine.monotonic()

    async def sleep(self, seconds: float) -> None:
        await self._machine.sleep(seconds)

    def unhurried(self) -> AbstractContextManager[None]:
        return self._machine.unhurried()

    async def pause(self, pause: Pause) -> None:
        await self._machine.pause(pause)


async def first_of(*waits: Awaitable[object]) -> None:
    """Wait for the first of them; drop the others. What it raised is raised here."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
    for task in done:
        task.result()
