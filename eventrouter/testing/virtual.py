"""Virtual time: an event loop whose clock jumps to the next timer as soon as nothing else is left to do.

Everything that waits through the loop (`asyncio.sleep`, timeouts, `call_later`) then waits in virtual time, so
hours pass in milliseconds and always in the same order. Work outside the loop (threads, sockets, subprocesses)
is not waited for by a jump: keep it out of virtual tests.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

from eventrouter.clock import Pause

T = TypeVar("T")

EPOCH_MS = 1_767_225_600_000
"""Where virtual wall time begins: 2026-01-01T00:00:00Z."""


class _JumpingSelector(selectors.DefaultSelector):
    """Never blocks for time: where a real selector would wait for a timer, virtual time moves instead."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None or timeout < 0:
            raise RuntimeError("virtual time has stopped: every task waits for something that no timer brings")
        self.now += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop in virtual time, which begins at 0 s."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now


class VirtualClock:
    """The Clock of a virtual loop: wall time is EPOCH_MS plus the loop's time."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop

    def now_ms(self) -> int:
        return EPOCH_MS + round(self._loop.time() * 1_000)

    def monotonic(self) -> float:
        return self._loop.time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def pause(self, pause: Pause) -> None:
        await asyncio.sleep(pause.soonest_s)


def virtual_clock() -> VirtualClock:
    """Return the clock of the running virtual loop. Raises TypeError outside `run_virtual`."""
    loop = asyncio.get_running_loop()
    if not isinstance(loop, VirtualLoop):
        raise TypeError("virtual_clock() needs a loop started by run_virtual()")
    return VirtualClock(loop)


def run_virtual(main: Coroutine[Any, Any, T]) -> T:
    """Run `main` to its end in virtual time and return its result."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)
