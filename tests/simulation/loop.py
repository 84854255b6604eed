"""Virtual time for several nodes: it ticks while something is wrong, and leaps while all are well.

While it *ticks*, every loop of every node turns at its pace, beats are sent and missed, and deadlines pass. While it
*leaps*, nodes look only when something has changed, time goes from one thing that is due to the next, and the machines'
clocks, by which nodes beat and judge each other's silence, stand still: healthy nodes have nothing to tell each other.

A node may be stopped as by SIGSTOP: what it would do next is kept until it goes on; its clocks run on meanwhile.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import Context, ContextVar
from random import Random
from typing import Any

from eventrouter.clock import Pause
from eventrouter.testing.leaping import LeapingClock, LeapingLoop
from eventrouter.testing.virtual import EPOCH_MS, VirtualLoop

UNEVEN_S = 0.05
"""So much longer a pause may be: the nodes' loops shall not march in step."""

NODE: ContextVar[Stoppable | None] = ContextVar("stoppable", default=None)
"""Whose work this is; None: nobody's that can be stopped, such as the server's, or a function's own."""


class Stoppable:
    """What can be stopped and go on: the tasks and timers that began with it in `NODE`."""

    def __init__(self) -> None:
        self.held: list[asyncio.Handle] | None = None

    @property
    def is_stopped(self) -> bool:
        return self.held is not None


class SimLoop(LeapingLoop):
    """The loop of a simulation. It begins ticking."""

    _ready: deque[asyncio.Handle]  # asyncio's own, which its types do not tell of

    def __init__(self) -> None:
        self.is_ticking = True
        self.leapt: Callable[[float], None] = lambda seconds: None
        self._ticked = 0.0
        self._ticks_since = 0.0
        self._until_ticking: list[asyncio.Future[None]] = []
        super().__init__()

    # Ticking and leaping.

    @property
    def ticked_s(self) -> float:
        """Return for how long time has ticked: the machines' time."""
        return self._ticked + (self._now - self._ticks_since if self.is_ticking else 0.0)

    def tick(self) -> None:
        """Let time tick from now on."""
        if self.is_ticking:
            return
        self.is_ticking, self._ticks_since = True, self._now
        waiting, self._until_ticking = self._until_ticking, []
        for future in waiting:
            if not future.done():
                future.set_result(None)
        self._look()

    def leap(self) -> None:
        """Let time leap from now on."""
        if self.is_ticking:
            self._ticked = self.ticked_s
            self.is_ticking = False

    async def wait_ticking(self) -> None:
        """Wait until time ticks."""
        while not self.is_ticking:
            future: asyncio.Future[None] = self.create_future()
            self._until_ticking.append(future)
            await future

    async def pause(self, pause: Pause) -> None:
        if self.is_ticking:
            await asyncio.sleep(pause.soonest_s)
        else:
            await super().pause(pause)

    def _idle(self, timeout: float | None) -> None:
        if self.is_ticking:
            VirtualLoop._idle(self, timeout)
            return
        before = self._now
        super()._idle(timeout)
        if self._now > before:
            self.leapt(self._now - before)

    # Stopping a node.

    def stop_node(self, node: Stoppable) -> None:
        """Keep all that the node would do from now on."""
        if node.held is None:
            node.held = []

    def continue_node(self, node: Stoppable) -> None:
        """Let it do all at once what it would have done."""
        held, node.held = node.held, None
        for handle in held or ():
            if not handle.cancelled():
                self._ready.append(handle)

    def call_soon(  # type: ignore[override]  # the arguments' types do not matter here
        self, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        node = NODE.get() if context is None else context.get(NODE)
        if node is None or node.held is None:
            return super().call_soon(callback, *args, context=context)
        handle = asyncio.Handle(callback, args, self, context)
        node.held.append(handle)
        return handle

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        node = NODE.get() if context is None else context.get(NODE)
        if node is None:
            return super().call_at(when, callback, *args, context=context)
        own: list[asyncio.TimerHandle] = []
        timer = super().call_at(when, self._ring, node, callback, args, own, context=context)
        own.append(timer)
        return timer

    def _ring(
        self, node: Stoppable, callback: Callable[..., Any], args: tuple[Any, ...], own: list[asyncio.TimerHandle]
    ) -> None:
        """Ring, now or when the node goes on; unless it is cancelled meanwhile."""
        if node.held is not None:
            node.held.append(asyncio.Handle(self._ring, (node, callback, args, own), self))
        elif not own[0].cancelled():
            callback(*args)


class NodeClock(LeapingClock):
    """A node's clock: its wall time may be wrong."""

    def __init__(self, loop: SimLoop, random: Random) -> None:
        super().__init__(loop)
        self._sim = loop
        self._random = random
        self.ahead_ms = 0

    def now_ms(self) -> int:
        return EPOCH_MS + round(self._sim.time() * 1_000) + self.ahead_ms

    def unhurried(self) -> AbstractContextManager[None]:  # type: ignore[override]  # as the protocol says
        return nullcontext() if self._sim.is_ticking else super().unhurried()

    async def pause(self, pause: Pause) -> None:
        if self._sim.is_ticking:
            await asyncio.sleep(pause.soonest_s + self._random.random() * UNEVEN_S)
        else:
            await self._sim.pause(pause)


class MachineClock(NodeClock):
    """The machine's own clock, which stands still while time leaps."""

    def monotonic(self) -> float:
        return self._sim.ticked_s

    def unhurried(self) -> AbstractContextManager[None]:  # type: ignore[override]
        return nullcontext()

    async def sleep(self, seconds: float) -> None:
        await self.pause(Pause(seconds))

    async def pause(self, pause: Pause) -> None:
        if not self._sim.is_ticking:
            await self._sim.wait_ticking()
            await asyncio.sleep(self._random.random())
            return
        await asyncio.sleep(pause.soonest_s + self._random.random() * UNEVEN_S)
        await self._sim.wait_ticking()


@contextmanager
def nobodys() -> Iterator[None]:
    """Begin tasks and timers here that no stop holds."""
    token = NODE.set(None)
    try:
        yield
    finally:
        NODE.reset(token)
