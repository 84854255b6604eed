"""The nodes of a simulation: real ones, at a simulated home, that die, are stopped, and start again on their data."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path
from random import Random
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn, Self

from structlog.typing import FilteringBoundLogger

from eventrouter.clock import Clock
from eventrouter.data_dir import DataDir
from eventrouter.logging import get_logger
from eventrouter.node_home import JobFacts, NodeEnvironments, Server
from eventrouter.ports import MoveTasks
from eventrouter.rules.function import Function
from eventrouter.rules.invocation import Invocation
from eventrouter.rules.outcome import Run
from eventrouter.rules.witness import FENCE_KILL_S
from eventrouter.runtime.facts import EnvironmentInfo, NodeFacts
from eventrouter.runtime.packages import Packages
from eventrouter.store import HostInfo
from eventrouter.store.lua import Script
from eventrouter.testing.faults import Faults
from eventrouter.testing.home import MovesInProcess
from eventrouter.testing.inprocess import InProcessEnvironments, ProcessKilled
from eventrouter.testing.life import Ledger, Life, TestNode
from tests.simulation.loop import NODE, MachineClock, NodeClock, SimLoop, Stoppable, nobodys
from tests.simulation.network import Network

if TYPE_CHECKING:
    from tests.simulation.world import World

ROOM = 6
"""How many environments a node has room for."""
KEEPER_LOOKS_S = 0.5


class SimHome:
    """The Home of a simulated node."""

    journal_limit: int | None = 1_000
    watches_code = False

    def __init__(self, world: World, number: int, life: Life) -> None:
        self.clock = MachineClock(world.loop, Random(world.random.random()))
        self.scripts: Mapping[str, Script] = world.scripts
        self._world = world
        self._number = number
        self._life = life
        self.environments_made: SimEnvironments | None = None

    async def open_server(self, stack: AsyncExitStack, path: Path, log: FilteringBoundLogger) -> Server:
        lanes = self._world.network.of(self._number, self._life)
        return Server(make_lane=lanes, url="", name="simulated Redis", knows_memory=False)

    def listen(self) -> tuple[socket.socket | None, str]:
        return None, f"http://node{self._number}.test"

    def environments(
        self,
        *,
        clock: Clock,
        packages: Packages,
        node: NodeFacts,
        observe: Callable[[Invocation, Run], None],
        inherit_fds: tuple[int, ...],
    ) -> AbstractAsyncContextManager[NodeEnvironments]:
        self.environments_made = SimEnvironments(self._world, self._number, clock, observe)
        return self.environments_made

    def moves(self, facts: JobFacts) -> AbstractAsyncContextManager[MoveTasks]:
        return MovesInProcess(facts)


class SimEnvironments(InProcessEnvironments):
    """Runs the world's functions in processes of their own: they go on when their node is stopped.

    A keeper kills them when their node has died, or has passed on no acknowledged beat for too long.
    """

    not_applied: list[str] = []  # noqa: RUF012

    def __init__(self, world: World, number: int, clock: Clock, observe: Callable[[Invocation, Run], None]) -> None:
        super().__init__(clock, observe, limit=ROOM)
        self._world = world
        self._number = number
        self._processes: dict[asyncio.Task[bytes], asyncio.Future[bytes]] = {}
        self._beat_at = world.loop.ticked_s

    async def __aenter__(self) -> Self:
        with nobodys():
            self._keeper = self._world.loop.create_task(self._keep(), name="keeper")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._keeper.cancel()
        await self.kill_all()

    def stats(self) -> list[EnvironmentInfo]:
        return []

    def beat(self) -> None:
        self._beat_at = self._world.loop.ticked_s

    async def _keep(self) -> None:
        while True:
            await self._world.loop.wait_ticking()
            await asyncio.sleep(KEEPER_LOOKS_S)
            if self._world.loop.ticked_s - self._beat_at >= FENCE_KILL_S:
                self.kill_processes("its keeper")

    def kill_processes(self, why: str) -> None:
        """Kill every process, as a keeper does."""
        for process, result in list(self._processes.items()):
            process.cancel(why)
            if not result.done():
                result.set_exception(ProcessKilled())

    def die(self) -> None:
        """The node was killed: so are its processes."""
        self._keeper.cancel()
        self.kill_processes("its node's death")

    async def execute(self, function: Function, invocation: Invocation) -> bytes:
        result: asyncio.Future[bytes] = self._world.loop.create_future()
        with nobodys():
            process = self._world.loop.create_task(self._world.functions.run(self._number, function, invocation))
        self._processes[process] = result

        def over(task: asyncio.Task[bytes]) -> None:
            del self._processes[process]
            if result.done():
                task.cancelled() or task.exception()
            elif task.cancelled():
                result.set_exception(ProcessKilled())
            elif (error := task.exception()) is not None:
                result.set_exception(error)
            else:
                result.set_result(task.result())

        process.add_done_callback(over)
        try:
            return await result
        except asyncio.CancelledError:
            process.cancel("its supervisor")
            raise


class SimNode(TestNode):
    """A node that asks the others over the simulated network, and whose process may give up."""

    world: World
    number: int

    async def _take_place(self, data_dir: DataDir) -> None:
        await super()._take_place(data_dir)
        self.membership._is_isolated = self._is_isolated  # instead of HTTP
        declare_dead = self.membership.declare_dead

        def declared_dead() -> None:
            self.world.story.buried.append((self.number, self.world.now_ms()))
            declare_dead()

        self.membership.declare_dead = declared_dead  # type: ignore[method-assign]

    async def _is_isolated(self, others: Mapping[str, HostInfo]) -> bool:
        """Ask the others, as `peers.is_isolated` does."""
        stale = True
        for incarnation in others:
            age = self.world.beat_age(self.number, incarnation)
            stale = stale and age is not None and age > 5.0
        return not stale

    async def _open_store(self, data_dir: DataDir) -> None:
        await super(TestNode, self)._open_store(data_dir)
        self._lock_fd = data_dir.lock_fd

    def _give_up(self, reason: str) -> NoReturn:
        self.world.gave_up(self.number, reason)
        raise asyncio.CancelledError(reason)


class Host:
    """One machine: a folder, a clock, and a node that lives on it now and then."""

    def __init__(self, world: World, number: int, folder: Path) -> None:
        self.world = world
        self.number = number
        self.folder = folder
        self.stoppable: Stoppable = Stoppable()
        self.node: SimNode | None = None
        self.home: SimHome | None = None
        self.is_up = False
        self.starts = 0

    async def start(self) -> bool:
        """Start the node; False if it could not (and has ended)."""
        world = self.world
        self.starts += 1
        self.stoppable = Stoppable()
        life = Life(world.loop)
        self.home = SimHome(world, self.number, life)
        clock: NodeClock = world.clocks[self.number]
        node = SimNode(
            world.settings(self.folder),
            clock=clock,
            random=Random(world.random.random()),
            home=self.home,
            journal=Ledger(clock, limit=1_000),
            faults=Faults(0),
            life=life,
        )
        node.world, node.number, node.log = world, self.number, get_logger()
        self.node = node
        token = NODE.set(self.stoppable)
        try:
            await life.inside(node.__aenter__)
        except Exception as error:  # it is started again
            world.story.note("start failed", self.number, repr(error))
            return False
        finally:
            NODE.reset(token)
        self.is_up = life.is_alive
        return self.is_up

    async def kill(self) -> None:
        """End the node as by `kill -9`."""
        node = self.node
        if node is None or not self.is_up:
            return
        self.is_up = False
        self.world.loop.continue_node(self.stoppable)
        if self.home is not None and self.home.environments_made is not None:
            self.home.environments_made.die()
        await node.kill()

    async def leave(self) -> None:
        """End the node as by SIGTERM."""
        node = self.node
        if node is not None and self.is_up:
            self.is_up = False
            await node.life.inside(lambda: node.__aexit__(None, None, None))

    async def inside(self, work: Callable[[], Any]) -> Any:
        """Run something as a part of the node's life."""
        node = self.node
        assert node is not None
        token = NODE.set(self.stoppable)
        try:
            return await node.life.inside(work)
        finally:
            NODE.reset(token)


__all__ = ["Host", "Network", "SimEnvironments", "SimHome", "SimLoop", "SimNode"]
