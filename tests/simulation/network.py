"""What lies between the nodes and their server: requests and replies get lost, come late, and come again.

While time leaps nothing goes wrong. While it ticks, a *storm* has each pipeline meet its fate: its request never
arrives, or only a part of it, or later than anybody waits; its reply is lost or slow; and some requests, which were
answered long ago, arrive once more. A node may be *cut off*: what it sends arrives nowhere, and nobody tells it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from contextvars import Context
from dataclasses import dataclass
from random import Random
from typing import Any

from redis.exceptions import ConnectionError as RedisConnectionError

from eventrouter.store.connect import COMMAND_TIMEOUT_S, Lane, MakeLane
from eventrouter.store.lua import SCRIPTS
from eventrouter.testing.life import Life
from tests.simulation.loop import SimLoop
from tests.simulation.server import SimServer

AGAIN_S = (2.0, 4.0, 8.0, 12.0, 65.0)
"""A request that arrives again does so within one of these times."""
WRITES = b"EVALSHA"
DULL = frozenset({"events_due", "host_beat", "log_append", "log_index", "timers_claim", "catalogue_changed"})
"""Scripts that are not worth running again."""
REMEMBERED = 24
HAUNTED = 4
HAUNTS_S = 45.0
CUT = "cut off"


@dataclass(slots=True)
class Storm:
    """How often what happens to a pipeline, of one node or of all (None), until when."""

    until: float
    node: int | None
    lost: float
    unanswered: float
    torn: float
    slow: float
    again: float


class Network:
    """The lines of all nodes."""

    def __init__(self, loop: SimLoop, server: SimServer, random: Random) -> None:
        self.loop = loop
        self.server = server
        self.random = random
        self.storms: list[Storm] = []
        self.cut: dict[int, asyncio.Event] = {}
        self.is_down = asyncio.Event()
        self.late = 0
        self.epoch = 0
        self.recent: dict[int, deque[bytes]] = {}
        self._claim = SCRIPTS["events_claim"].sha.encode()
        self._dull = tuple(script.sha.encode() for script in SCRIPTS.values() if script.name in DULL)

    def of(self, node: int, life: Life) -> MakeLane:
        """Return what makes the lanes of one node's life."""

        def make(
            *, timeout_s: float | None = None, around: Callable[[], AbstractContextManager[None]] = nullcontext
        ) -> Lane:
            blocks = around is not nullcontext or timeout_s is not None
            return SimLane(self, self.server.lane(timeout_s=timeout_s, around=around), node, life, blocks=blocks)

        return make

    def storm_of(self, node: int) -> Storm | None:
        """Return the storm that a node's line is in."""
        if not self.storms:
            return None
        now = self.loop.time()
        self.storms = [storm for storm in self.storms if storm.until > now]
        for storm in self.storms:
            if storm.node is None or storm.node == node:
                return storm
        return None

    def note(self, node: int, commands: Sequence[bytes]) -> None:
        """Remember what a node has sent."""
        recent = self.recent.setdefault(node, deque(maxlen=REMEMBERED))
        recent.extend(command for command in commands if self.is_interesting(command))

    def is_interesting(self, command: bytes) -> bool:
        """Say whether a command does something that is worth doing again."""
        return WRITES in command and not any(sha in command for sha in self._dull)

    def haunt(self, node: int) -> None:
        """Have some of what a node sent last arrive once more: after its death, perhaps, and after its burial."""
        recent = list(self.recent.get(node, ()))
        claims = [command for command in recent if self._claim in command][-HAUNTED:]
        for command in claims + self.random.sample(recent, min(HAUNTED, len(recent))):
            self.later([command], self.random.uniform(0.1, self.random.choice([3.0, 20.0, HAUNTS_S])))

    def is_cut(self, node: int) -> bool:
        """Say whether what a node sends arrives nowhere."""
        return node in self.cut and self.cut[node].is_set()

    def later(self, commands: Sequence[bytes], seconds: float) -> None:
        """Have commands arrive in so many seconds, whatever has become of their sender."""
        self.late += 1
        epoch = self.epoch

        def arrive() -> None:
            self.late -= 1
            if self.server.connected and self.epoch == epoch:
                self.server.run(b"".join(commands), 1, 0, [])

        self.loop.call_later(seconds, arrive, context=Context())  # it outlives its sender


class SimLane:
    """A connection of one node."""

    def __init__(self, network: Network, lane: Lane, node: int, life: Life, *, blocks: bool) -> None:
        self._network = network
        self._lane = lane
        self._node = node
        self._life = life
        self._blocks = blocks

    async def execute(self, commands: Sequence[bytes]) -> list[Any]:
        if self._life.is_alive:
            replies = await self._exchange(commands)
            if self._life.is_alive:
                return replies
        await asyncio.get_running_loop().create_future()  # the dead hear nothing
        raise AssertionError

    async def _exchange(self, commands: Sequence[bytes]) -> list[Any]:
        network = self._network
        if not network.loop.is_ticking:
            return await self._run(commands)
        network.note(self._node, commands)
        if network.is_cut(self._node):
            return await self._unheard(commands)
        storm = network.storm_of(self._node)
        return await (self._run(commands) if storm is None else self._weather(storm, commands))

    async def _weather(self, storm: Storm, commands: Sequence[bytes]) -> list[Any]:
        random = self._network.random
        fate = random.random()
        if fate < storm.lost:
            if random.random() < 0.3:
                self._again(commands)
            return await self._unheard(commands)
        fate -= storm.lost
        if fate < storm.unanswered:
            await self._run(commands)
            return await self._unheard(commands)
        fate -= storm.unanswered
        if fate < storm.torn:
            arrived = random.randrange(len(commands))
            replies = await self._run(commands[:arrived]) if arrived else []
            return replies + await self._unheard(commands[arrived:])
        fate -= storm.torn
        if fate < storm.slow:
            await asyncio.sleep(random.expovariate(4.0))
        replies = await self._run(commands)
        if fate < storm.slow:
            await asyncio.sleep(random.expovariate(4.0))
        if random.random() < storm.again:
            self._again(commands)
        return replies

    def _again(self, commands: Sequence[bytes]) -> None:
        """Have one request of these arrive, once more perhaps, some time."""
        writes = [command for command in commands if self._network.is_interesting(command)]
        if writes:
            random = self._network.random
            self._network.later([random.choice(writes)], random.uniform(0.1, random.choice(AGAIN_S)))

    async def _unheard(self, commands: Sequence[bytes]) -> list[Any]:
        await asyncio.sleep(COMMAND_TIMEOUT_S if self._network.random.random() < 0.5 else 0.02)
        return [RedisConnectionError("no answer")] * len(commands)

    async def _run(self, commands: Sequence[bytes]) -> list[Any]:
        if not self._blocks:
            return await self._lane.execute(commands)
        cut = self._network.cut.setdefault(self._node, asyncio.Event())
        reading = asyncio.ensure_future(self._lane.execute(commands))
        cutting = asyncio.ensure_future(cut.wait())
        try:
            await asyncio.wait((reading, cutting), return_when=asyncio.FIRST_COMPLETED)
            if reading.done():
                return reading.result()
        finally:
            reading.cancel()
            cutting.cancel()
        await asyncio.sleep(COMMAND_TIMEOUT_S)
        return [RedisConnectionError(CUT)] * len(commands)

    async def close(self) -> None:
        await self._lane.close()
