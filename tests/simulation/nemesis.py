"""What goes wrong, when the plan says so. Each fault is noted with what it hit, for the checkers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tests.simulation.loop import Stoppable
from tests.simulation.network import Storm
from tests.simulation.plan import Step
from tests.simulation.story import Lost, Struck

if TYPE_CHECKING:
    from tests.simulation.world import World

START_AGAIN_S = 1.0
MOST_STARTS = 200


class Nemesis:
    """Has the faults of an episode happen."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._busy = 0
        self._down = 0
        self.has_lost = False

    @property
    def is_busy(self) -> bool:
        """Say whether some fault is still to come, or not over."""
        return (
            self._busy > 0
            or bool(self._world.network.storms and self._world.network.storm_of(-1))
            or any(storm.until > self._world.loop.time() for storm in self._world.network.storms)
        )

    def is_walled(self, one: int, other: int) -> bool:
        """Say whether two nodes cannot reach each other."""
        return self._world.network.is_cut(one) or self._world.network.is_cut(other)

    def plan(self, faults: Sequence[Step], began: float) -> None:
        """Have faults happen at their times."""
        for step in faults:
            self._busy += 1
            _ = self._world.begin(self._have(step, began))

    async def _have(self, step: Step, began: float) -> None:
        try:
            await asyncio.sleep(max(0.0, began + step.at - self._world.loop.time()))
            self._world.story.counts[step.do] += 1
            await getattr(self, "_" + step.do.replace(" ", "_"))(**step.facts)
        finally:
            self._busy -= 1

    def _strike(self, what: str, seconds: float, node: int | None = None) -> Struck:
        world = self._world
        now = world.now_ms()
        struck = Struck(what, now, now + round(seconds * 1_000), node, world.story.in_flight(node))
        world.story.struck.append(struck)
        return struck

    def _over(self, struck: Struck) -> None:
        """Note that a fault is over; it may have hit whatever ran on its node, or began there, meanwhile."""
        world = self._world
        struck.until = world.now_ms()
        hit = {
            ran.pid
            for ran in world.story.runs
            if (struck.node is None or ran.node == struck.node) and (ran.end is None or ran.end >= struck.at)
        }
        struck.pids = (struck.pids or frozenset()) | hit

    # Nodes.

    async def _kill(self, node: int, seconds: float) -> None:
        host = self._world.hosts[node]
        if not host.is_up:
            return
        struck = self._strike("kill", seconds, node)
        self._world.network.haunt(node)
        await host.kill()
        await self._come_back(node, seconds, struck)

    async def _leave(self, node: int, seconds: float) -> None:
        host = self._world.hosts[node]
        if not host.is_up or host.stoppable.is_stopped:
            return
        struck = self._strike("leave", seconds, node)
        await host.leave()
        await self._come_back(node, seconds, struck)

    async def _come_back(self, node: int, seconds: float, struck: Struck) -> None:
        await asyncio.sleep(seconds)
        for _ in range(MOST_STARTS):
            if await self._world.hosts[node].start():
                break
            await asyncio.sleep(START_AGAIN_S)
        else:
            self._world.story.breach(f"node {node} could not be started")
        self._over(struck)

    async def _stop(self, node: int, seconds: float) -> None:
        """SIGSTOP of the supervisor: its functions go on, until their keeper kills them."""
        host = self._world.hosts[node]
        if not host.is_up or host.stoppable.is_stopped:
            return
        struck = self._strike("stop", seconds, node)
        stopped: Stoppable = host.stoppable
        self._world.loop.stop_node(stopped)
        self._world.network.haunt(node)
        await asyncio.sleep(seconds)
        self._world.loop.continue_node(stopped)
        self._over(struck)

    async def _freeze(self, node: int, seconds: float) -> None:
        """Block a node's event loop: as a stop, shorter."""
        await self._stop(node, min(seconds, 3.0))

    async def _cut(self, node: int, seconds: float) -> None:
        """Cut one node off from the server and from the others."""
        network = self._world.network
        event = network.cut.setdefault(node, asyncio.Event())
        if event.is_set():
            return
        struck = self._strike("cut", seconds, node)
        event.set()
        network.haunt(node)
        await asyncio.sleep(seconds)
        event.clear()
        await asyncio.sleep(2.0)
        self._over(struck)

    # The network and the server.

    async def _storm(
        self,
        node: int | None,
        seconds: float,
        lost: float,
        unanswered: float,
        torn: float,
        slow: float,
        again: float,
    ) -> None:
        until = self._world.loop.time() + seconds
        struck = self._strike("storm", seconds, node)
        self._world.network.storms.append(Storm(until, node, lost, unanswered, torn, slow, again))
        await asyncio.sleep(seconds + 3.0)
        self._over(struck)

    async def _outage(self, node: int, seconds: float) -> None:
        await self._away("outage", seconds)

    async def _away(self, what: str, seconds: float, since: int | None = None) -> None:
        """Have the server away for a while; it may have forgotten what it did `since` then."""
        world = self._world
        struck = self._strike(what, seconds)
        if since is not None:
            struck.at = since
        self._down += 1
        world.server.connected = False
        await asyncio.sleep(seconds)
        self._down -= 1
        if self._down == 0:
            world.server.connected = True
            world.loop.touch(b"")
        await asyncio.sleep(2.0)
        self._over(struck)

    async def _restart(self, node: int, seconds: float, back_s: float) -> None:
        """A restart that loses nothing but the scripts that were loaded."""
        self._world.server.command("SCRIPT", "FLUSH")
        self._world.network.epoch += 1
        await self._away("restart", seconds)

    async def _crash(self, node: int, seconds: float, back_s: float) -> None:
        """A crash that loses the last writes."""
        world = self._world
        name = f"crash{len(world.story.lost)}-{world.loop.time()}"
        since = world.now_ms()
        world.server.save(name.encode())
        await asyncio.sleep(back_s)
        self.has_lost = True
        world.server.load(name.encode())
        world.network.epoch += 1
        world.story.lost.append(Lost(since, world.now_ms()))
        await self._away("crash", seconds, since)

    async def _failover(self, node: int, seconds: float, back_s: float) -> None:
        """As a crash; the server that takes over has a clock of its own."""
        self._world.server.ahead_s += self._world.random.choice([-0.3, 0.0, 0.2])
        await self._crash(node, seconds, back_s)

    async def _full(self, node: int, seconds: float) -> None:
        struck = self._strike("full", seconds)
        self._world.server.fill(is_full=True)
        await asyncio.sleep(seconds)
        self._world.server.fill(is_full=False)
        self._over(struck)

    async def _node_clock(self, node: int, ms: int) -> None:
        struck = self._strike("node clock", 0.0, node)
        self._world.clocks[node].ahead_ms += ms
        await asyncio.sleep(5.0)
        self._over(struck)

    async def _server_clock(self, node: int, seconds: float) -> None:
        struck = self._strike("server clock", 0.0)
        self._world.server.ahead_s += seconds
        await asyncio.sleep(5.0)
        self._over(struck)
