"""One run: the server, the network, the machines, their load, the nemesis, and the auditor who looks every second."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import Callable, Mapping, MutableMapping
from contextvars import Context
from pathlib import Path
from random import Random
from typing import Any, NoReturn

import structlog

from eventrouter.settings import Settings
from eventrouter.store.keys import Keys
from eventrouter.store.lua import SCRIPTS, Script
from eventrouter.testing.life import note_tasks
from eventrouter.testing.virtual import EPOCH_MS
from tests.simulation.functions import Functions
from tests.simulation.load import Load
from tests.simulation.loop import NodeClock, SimLoop
from tests.simulation.nemesis import Nemesis
from tests.simulation.network import Network
from tests.simulation.nodes import Host
from tests.simulation.plan import NODES, Plan
from tests.simulation.probes import Auditor
from tests.simulation.server import SimServer
from tests.simulation.story import Story

SETTLE_S = 13.0
"""So long all must have been well before time leaps: somebody's silence may only now have been witnessed."""
LONG_SETTLE_S = 75.0
"""So long after the server has lost writes: the audits of each minute find what is left over."""
PATIENCE_S = 240.0
"""Nothing may take longer to become well again once the last fault is over."""
AFTERMATH_S = 3_000.0
END_S = 400.0


class World:
    """Everything of one run."""

    def __init__(self, plan: Plan, loop: SimLoop, scripts: Mapping[str, Script], folder: Path) -> None:
        self.plan = plan
        self.loop = loop
        self.scripts = scripts
        self.random = Random(plan.seed * 7_919 + 1)
        self.story = Story()
        self.server = SimServer(lambda: EPOCH_MS / 1_000 + loop.time(), loop.touch)
        loop.leapt = self.server.leap
        self.network = Network(loop, self.server, Random(plan.seed * 7_919 + 2))
        self.clocks = [NodeClock(loop, Random(plan.seed * 7_919 + 3 + number)) for number in range(NODES)]
        for clock, skew in zip(self.clocks, plan.shape.get("skews_ms", ()), strict=False):
            clock.ahead_ms = skew
        self.keys = Keys("er", plan.shape.get("partitions", 1))
        self.functions = Functions(self)
        self.hosts = [Host(self, number, folder / f"node{number}") for number in range(NODES)]
        self.load = Load(self)
        self.nemesis = Nemesis(self)
        self.auditor = Auditor(self)
        self._tasks: set[asyncio.Task[None]] = set()

    def settings(self, folder: Path) -> Settings:
        """Return a node's settings."""
        return Settings(
            data_dir=folder,
            partitions=self.keys.partitions,
            durability="memory",
            grace_s=5,
            dev=True,
            async_retry_base_delay=self.plan.shape.get("retry_s", 60),
        )

    def now_ms(self) -> int:
        return round(self.loop.time() * 1_000)

    def begin(self, work: Any) -> asyncio.Task[None]:
        """Begin a task of nobody's, which must not fail."""
        task: asyncio.Task[None] = self.loop.create_task(work, context=Context())
        self._tasks.add(task)
        task.add_done_callback(self._over)
        return task

    def _over(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.story.breach(f"the simulation failed: {error!r}")

    def beat_age(self, asking: int, incarnation: str) -> float | None:
        """Ask another node how old its last acknowledged beat is; None: it does not answer."""
        for host in self.hosts:
            node = host.node
            if node is None or not host.is_up or host.stoppable.is_stopped:
                continue
            if node.membership.incarnation == incarnation and not self.nemesis.is_walled(asking, host.number):
                return node.membership.beat_age_s
        return None

    def gave_up(self, number: int, reason: str) -> None:
        """A node has ended itself: it is started again."""
        self.story.breach(f"node {number} gave up: {reason}")

    # The run.

    async def run(self) -> Story:
        """Play the whole plan."""
        for host in self.hosts:
            if not await host.start():
                raise RuntimeError(f"node {host.number} does not start: {self.story.notes}")
        await self.load.build()
        for episode in self.plan.episodes:
            await self._calm(episode.after_h * 3_600, [step for step in episode.load if step.at < 0])
            await self._trouble(episode)
        await self._end()
        return self.story

    async def _calm(self, seconds: float, load: list[Any]) -> None:
        self.loop.leap()
        began = self.loop.time()
        for step in sorted(load, key=lambda each: each.at):
            await asyncio.sleep(max(0.0, began + seconds + step.at - self.loop.time()))
            self.load.begin(step)
        await asyncio.sleep(max(0.0, began + seconds - self.loop.time()))

    async def _trouble(self, episode: Any) -> None:
        self.loop.tick()
        self.server.wake_readers()
        began = self.loop.time()
        self.nemesis.plan(episode.faults, began)
        steps = [step for step in episode.load if step.at >= 0]
        while steps:
            step = steps.pop(0)
            await self._tick_until(began + step.at)
            self.load.begin(step)
        await self._settle()

    async def _tick_until(self, time: float) -> None:
        while self.loop.time() < time:
            await asyncio.sleep(min(1.0, time - self.loop.time()))
            self.auditor.look()

    async def _settle(self) -> None:
        """Let time tick until all is well, and has been for a while."""
        while self.nemesis.is_busy or self.network.late or self.load.is_busy:
            await self._tick_until(self.loop.time() + 1.0)
        healed, last_ill = self.loop.time(), ""
        well_since: float | None = None
        need = LONG_SETTLE_S if self.nemesis.has_lost else SETTLE_S
        self.nemesis.has_lost = False
        while self.loop.time() < healed + PATIENCE_S:
            await self._tick_until(self.loop.time() + 1.0)
            if (ill := self.auditor.ill()) is not None:
                well_since, last_ill = None, ill
            elif well_since is None:
                well_since = self.loop.time()
            elif self.loop.time() - well_since >= need:
                return
        self.story.breach(f"not well {PATIENCE_S:.0f} s after the last fault: {last_ill}")

    async def _end(self) -> None:
        """Let the aftermath pass: retries, delays, ages. Then all must be done."""
        await self._calm(AFTERMATH_S, [])
        self.loop.tick()
        self.server.wake_readers()
        began = self.loop.time()
        while self.auditor.left() and self.loop.time() < began + END_S:
            await self._tick_until(self.loop.time() + 5.0)
        for what in self.auditor.left():
            self.story.breach(f"left in the end: {what}")
        await self.load.collect()
        for host in self.hosts:
            await host.leave()
        self.auditor.look()
        self.story.ticked_s = self.loop.ticked_s
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@contextlib.contextmanager
def listening(story: Callable[[], Story | None]) -> Any:
    """Have the nodes' logs tell of crashed loops only, and note those as breaches."""
    before = structlog.get_config()

    def hear(logger: Any, method: str, event: MutableMapping[str, Any]) -> NoReturn:
        told = story()
        if told is not None:
            name = str(event.get("event"))
            if name == "loop.turn_crashed" or name.startswith("slots.repaired"):
                import traceback

                told.notes.append(traceback.format_exc())
                told.breach(f"log: {event}")
            else:
                told.notes.append(f"log: {event}")
        raise structlog.DropEvent

    structlog.configure(
        processors=[hear], wrapper_class=structlog.make_filtering_bound_logger(40), cache_logger_on_first_use=False
    )
    try:
        yield
    finally:
        structlog.configure(**before)


def play(plan: Plan, scripts: Mapping[str, Script] = SCRIPTS) -> Story:
    """Play a plan to its end."""
    folder = Path(tempfile.mkdtemp(prefix="eventrouter-simulation-"))
    worlds: list[World] = []

    def heard(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        worlds[0].story.breach(f"unhandled: {context.get('message')}: {context.get('exception')!r}")

    async def main() -> Story:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SimLoop)
        loop.set_task_factory(note_tasks)
        loop.set_exception_handler(heard)
        worlds.append(World(plan, loop, scripts, folder))
        return await worlds[0].run()

    try:
        with listening(lambda: worlds[0].story if worlds else None), asyncio.Runner(loop_factory=SimLoop) as runner:
            return runner.run(main())
    finally:
        shutil.rmtree(folder, ignore_errors=True)
