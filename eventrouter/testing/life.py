"""A node's life in a test: it begins, it may be cut short as by `kill -9`, and another begins on the same data.

A killed node hands nothing back: first nothing of it reaches the store any more, then every task and timer that it has
begun ends. What belongs to it is told by a context variable, which tasks and timers inherit.
"""

from __future__ import annotations

import asyncio
import dataclasses
import os
from collections import deque
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from contextvars import Context, ContextVar
from dataclasses import dataclass
from random import Random
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from redis.exceptions import ConnectionError as RedisConnectionError

from eventrouter.clock import Clock
from eventrouter.data_dir import DataDir
from eventrouter.errors import EventRouterError
from eventrouter.journal import Journal
from eventrouter.node import Node
from eventrouter.node_home import Home
from eventrouter.rules.names import FunctionName
from eventrouter.rules.outcome import ThrottleReason
from eventrouter.settings import Settings
from eventrouter.store import Slots
from eventrouter.store.connect import COMMAND_TIMEOUT_S, Lane, MakeLane
from eventrouter.store.lua import Script
from eventrouter.testing.faults import Faults
from eventrouter.testing.leaping import LeapingLoop
from eventrouter.testing.log import node_log

T = TypeVar("T")
MOST_ROUNDS = 1_000
"""So often what a killed node has begun may begin something else before it is over."""
QUIET_ROUNDS = 3
"""So often nothing is found: what is told of an end may still begin something."""


class NodeGone(EventRouterError):
    """The node was killed before it had answered, or is down."""


class Life:
    """What one node has begun, and whether it lives."""

    def __init__(self, loop: LeapingLoop) -> None:
        self.is_alive = True
        self._loop = loop
        self._tasks: WeakKeyDictionary[asyncio.Task[Any], None] = WeakKeyDictionary()  # keeps their order

    def begun(self, task: asyncio.Task[Any]) -> None:
        """Note a task of this life."""
        self._tasks[task] = None

    async def inside(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run what `work` begins as a part of this life. Raises NodeGone if that ends first."""
        if not self.is_alive:
            raise NodeGone("the node is down")
        token = _LIFE.set(self)
        try:
            task = self._loop.create_task(work())
        finally:
            _LIFE.reset(token)
        try:
            return await task
        except asyncio.CancelledError:
            if not (task.cancelled() and self._is_over()):
                raise
            raise NodeGone("the node was killed before it had answered") from None

    def _is_over(self) -> bool:
        return not self.is_alive

    async def end(self) -> None:
        """Kill: nothing of this life reaches the store any more, and all that it has begun ends."""
        self.is_alive = False
        quiet, left = 0, list(self._tasks)
        for _ in range(MOST_ROUNDS):
            self._cancel_timers()
            left = [task for task in self._tasks if not task.done()]
            quiet = 0 if left else quiet + 1
            if quiet == QUIET_ROUNDS:
                return
            for task in left:
                task.cancel()
            await asyncio.sleep(0)
        raise RuntimeError(f"a killed node does not end: {left!r}")

    def _cancel_timers(self) -> None:
        for timer in list(self._loop._scheduled):  # noqa: SLF001 - nothing public tells of timers, and whose they are
            context: Context = timer._context  # type: ignore[attr-defined]  # noqa: SLF001
            if context.get(_LIFE) is self:
                timer.cancel()


_LIFE: ContextVar[Life | None] = ContextVar("life", default=None)


def note_tasks(loop: asyncio.AbstractEventLoop, work: Any, **options: Any) -> asyncio.Task[Any]:
    """Make a task, and note whose it is: a task factory."""
    task: asyncio.Task[Any] = asyncio.Task(work, loop=loop, **options)
    life = _LIFE.get()
    if life is not None:
        life.begun(task)
    return task


class Ledger(Journal):
    """The journal of all nodes of a router, one after the other."""

    __slots__ = ()

    def forget_after(self, count: int) -> None:
        """Forget what was noted since `count` decisions were known: by a node that was dead already."""
        while self.count > count:
            self._decisions.pop()


@dataclass(slots=True)
class _Loss:
    """What happens to the answers of the next calls: they are lost, or `late_s` seconds late."""

    script: Script | None
    late_s: float | None


class Line:
    """The line between nodes and their server, on which answers get lost."""

    def __init__(self, make_lane: MakeLane, clock: Clock, scripts: Mapping[str, Script]) -> None:
        self._make_lane = make_lane
        self._clock = clock
        self._scripts = scripts
        self._losses: deque[_Loss] = deque()

    def lose(self, n: int, script: str | None, late_s: float | None = None) -> None:
        """Lose the answers of the next `n` pipelines in which a script (or this one) is called, or have them late."""
        if script is not None and script not in self._scripts:
            raise ValueError(f"there is no script {script!r}")
        wanted = None if script is None else self._scripts[script]
        self._losses.extend(_Loss(wanted, late_s) for _ in range(n))

    def of(self, life: Life) -> MakeLane:
        """Return what makes the lanes of one node."""

        def make(
            *, timeout_s: float | None = None, around: Callable[[], AbstractContextManager[None]] = nullcontext
        ) -> Lane:
            return FaultyLane(self._make_lane(timeout_s=timeout_s, around=around), self, life)

        return make

    async def carry(self, lane: Lane, commands: Sequence[bytes]) -> list[Any]:
        """Have commands run, and their answers carried back as far as they come."""
        replies = await lane.execute(commands)
        loss = self._loss_of(commands)
        if loss is None:
            return replies
        if loss.late_s is not None:
            await self._clock.sleep(min(loss.late_s, COMMAND_TIMEOUT_S))
            if loss.late_s < COMMAND_TIMEOUT_S:
                return replies
        return [RedisConnectionError("the answer was lost")] * len(commands)

    def _loss_of(self, commands: Sequence[bytes]) -> _Loss | None:
        for loss in self._losses:
            called = b"EVALSHA" if loss.script is None else loss.script.sha.encode()
            if any(called in command for command in commands):
                self._losses.remove(loss)
                return loss
        return None


class FaultyLane:
    """A lane of one node."""

    def __init__(self, lane: Lane, line: Line, life: Life) -> None:
        self._lane = lane
        self._line = line
        self._life = life

    async def execute(self, commands: Sequence[bytes]) -> list[Any]:
        if self._life.is_alive:
            replies = await self._line.carry(self._lane, commands)
            if self._life.is_alive:
                return replies
        await asyncio.get_running_loop().create_future()  # the dead hear nothing
        raise AssertionError

    async def close(self) -> None:
        await self._lane.close()


class FaultySlots(Slots):
    """Slots of which there sometimes is none."""

    faults: Faults

    async def take(self, inc: str, function_key: str, token: str) -> ThrottleReason | None:
        if self.faults.of(FunctionName.from_key(function_key).name).is_throttled():
            return ThrottleReason.ACCOUNT
        return await super().take(inc, function_key, token)


class TestNode(Node):
    """A node that can be killed."""

    __test__ = False

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Clock,
        random: Random,
        home: Home,
        journal: Ledger,
        faults: Faults,
        life: Life,
    ) -> None:
        super().__init__(settings, clock=clock, random=random, home=home)
        self.log = node_log()
        self.journal = self._ledger = journal
        self._faults = faults
        self.life = life

    async def _open_store(self, data_dir: DataDir) -> None:
        await super()._open_store(data_dir)
        self._lock_fd = data_dir.lock_fd
        store = self.store
        slots = FaultySlots(store.scripts, store.keys, self.clock, account_limit=self.settings.account_concurrency)
        slots.faults = self._faults
        self.store = dataclasses.replace(store, slots=slots)

    @property
    def may_be_killed(self) -> bool:
        """Say whether it has started, and lives."""
        return self._serving and self.life.is_alive

    async def kill(self) -> None:
        """End it as `kill -9` does: nothing is handed back, and what its handlers were doing is not finished."""
        known = self._ledger.count
        self.life.is_alive = False
        for plane in (self.sync, self.mappings, self.dispatch):
            plane.stop_taking()  # so that what ends begins nothing else
        self.events.stop_claiming()
        await self.life.end()
        self._ledger.forget_after(known)
        self._stack.pop_all()
        os.close(self._lock_fd)
