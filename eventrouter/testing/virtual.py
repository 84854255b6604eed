"""Virtual time: an event loop whose clock jumps to the next timer as soon as nothing else is left to do.

Everything that waits through the loop (`asyncio.sleep`, timeouts, `call_later`) then waits in virtual time, so
hours pass in milliseconds and always in the same order. What would run in a thread runs at once, in the loop's own.
Sockets and subprocesses are not waited for by a jump: keep them out of virtual tests.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar

from eventrouter.clock import Pause

T = TypeVar("T")

EPOCH_MS = 1_767_225_600_000
"""Where virtual wall time begins: 2026-01-01T00:00:00Z."""


class _IdleSelector(selectors.DefaultSelector):
    """Never blocks for time: where a real selector would wait, it asks what to do instead."""

    def __init__(self, idle: Callable[[float | None], None], before: Callable[..., bool]) -> None:
        super().__init__()
        self._idle = idle
        self._before = before

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        is_busy = timeout == 0
        is_busy = self._before(is_busy=is_busy) or is_busy
        ready = super().select(0)
        if not ready and not is_busy:
            self._idle(timeout)
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop in virtual time, which begins at 0 s."""

    def __init__(self) -> None:
        self._now = 0.0
        super().__init__(_IdleSelector(self._idle, self._before_looking))
        self._clock_resolution = 1e-6  # after half a year a float of seconds is no finer than asyncio's nanosecond

    def time(self) -> float:
        return self._now

    def run_in_executor(  # type: ignore[override]  # the arguments' types do not matter here
        self, executor: Any, func: Callable[..., T], *args: Any
    ) -> asyncio.Future[T]:
        """Run `func` at once: a thread would make the order of things depend on the machine."""
        future: asyncio.Future[T] = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 - whatever it raises is the caller's
            future.set_exception(error)
        return future

    def _before_looking(self, *, is_busy: bool) -> bool:
        """Do what comes before each look for something ready; say whether there is something now."""
        return is_busy

    def _idle(self, timeout: float | None) -> None:
        """Move time to the next timer, `timeout` seconds away (None: there is none)."""
        if timeout is None:
            raise RuntimeError("virtual time has stopped: every task waits for something that no timer brings")
        self._now += timeout


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

    def unhurried(self) -> AbstractContextManager[None]:
        return nullcontext()

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
