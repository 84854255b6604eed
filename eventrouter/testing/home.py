"""Where a node lives in a test: an in-memory server, handlers in process, no port, and time that leaps."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from structlog.typing import FilteringBoundLogger

from eventrouter.clock import Clock
from eventrouter.node_home import JobFacts, NodeEnvironments, Server
from eventrouter.planes.move_turn import MoveTurn
from eventrouter.ports import MoveTasks
from eventrouter.rules.invocation import Invocation
from eventrouter.rules.move_rate import MoveRate
from eventrouter.rules.outcome import Run
from eventrouter.runtime.facts import NodeFacts
from eventrouter.runtime.packages import Packages
from eventrouter.store.connect import MakeLane
from eventrouter.store.lua import Script, travelling
from eventrouter.store.queues import MoveTask, QueueName
from eventrouter.testing.handlers import HandlerEnvironments, Handlers
from eventrouter.testing.leaping import StandingClock
from eventrouter.testing.turns import Turns

URL = "http://eventrouter.test"
SCRIPTS = travelling()


class TestHome:
    """The Home of an in-process node."""

    __test__ = False
    scripts: Mapping[str, Script] = SCRIPTS
    journal_limit: int | None = None
    watches_code = False

    def __init__(self, turns: Turns, make_lane: MakeLane, handlers: Handlers) -> None:
        self.clock = StandingClock(turns.loop)
        self._turns = turns
        self._make_lane = make_lane
        self._handlers = handlers

    async def open_server(self, stack: AsyncExitStack, path: Path, log: FilteringBoundLogger) -> Server:
        return Server(make_lane=self._make_lane, url="", name="in-memory Redis", knows_memory=False)

    def listen(self) -> tuple[socket.socket | None, str]:
        return None, URL

    def environments(
        self,
        *,
        clock: Clock,
        packages: Packages,
        node: NodeFacts,
        observe: Callable[[Invocation, Run], None],
        inherit_fds: tuple[int, ...],
    ) -> AbstractAsyncContextManager[NodeEnvironments]:
        return HandlerEnvironments(self._turns, clock, packages, observe, self._handlers)

    def moves(self, facts: JobFacts) -> AbstractAsyncContextManager[MoveTasks]:
        return MovesInProcess(facts)


class MovesInProcess:
    """Works off move tasks in the loop itself."""

    def __init__(self, facts: JobFacts) -> None:
        self._facts = facts
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def begin(self, source: QueueName, task: MoveTask) -> None:
        work = asyncio.create_task(self._move(source, task), name=f"move-{source.name}")
        self._tasks.add(work)
        work.add_done_callback(self._tasks.discard)

    async def _move(self, source: QueueName, task: MoveTask) -> None:
        clock = self._facts.clock
        rate = MoveRate(paid_until_s=clock.now_ms() / 1_000)
        turn = MoveTurn(
            queues=self._facts.store.queues,
            clock=clock,
            source=source,
            handle=task.handle,
            rate=rate,
            others_wait=lambda: False,
        )
        while await turn.make():
            pass
