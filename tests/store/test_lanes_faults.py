"""Lanes on nodes that die, freeze and reach Redis badly: one writer, no way back, and nothing dropped unnoticed."""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Mapping
from random import Random

import pytest
from redis.asyncio import Redis

from eventrouter.errors import Unavailable
from eventrouter.store.lanes import Held, LaneChange, LaneLost, Lanes
from eventrouter.store.lua import SCRIPTS, Script
from eventrouter.testing.redis import virtual_redis
from eventrouter.testing.virtual import EPOCH_MS, run_virtual, virtual_clock
from tests.store.network import BadLane, Consciousness, Network, synchronous
from tests.store.simulation import with_mutant
from tests.store.worlds import open_world

pytestmark = pytest.mark.chaos

MAPPING = "mapping"
UNITS = ("u0", "u1")
RECORDS = 400
BATCH = 4
NODES = 3
STORM_S = 60.0
QUIET_S = 400.0


class Cluster:
    """The nodes, what they did, and what the server shows of it."""

    def __init__(self, seed: int, client: Redis, scripts: Mapping[str, Script]) -> None:
        self.random = Random(seed)
        self.client = client
        self.scripts = scripts
        self.network = Network(self.random, client)
        self.sync = synchronous(client)
        self.dead: set[str] = set()
        self.processed: set[tuple[str, int]] = set()
        self.delivered: set[str] = set()
        self.newest: dict[str, int] = defaultdict(int)
        self.seen: dict[str, tuple[int, int]] = defaultdict(lambda: (0, 0))
        self.owners: dict[tuple[str, int], str] = {}
        self.holders: dict[str, str] = {}
        self.breaches: list[str] = []
        self.nodes = [Node(number, self) for number in range(NODES)]

    def checkpoint(self, unit: str) -> int:
        return int(self.sync.hget(f"{{er:m:{MAPPING}:{unit}}}:lane", "c") or 0)

    def taken(self, unit: str, inc: str, epoch: int) -> None:
        if self.owners.setdefault((unit, epoch), inc) != inc:
            self.breaches.append(f"epoch {epoch} of {unit} was given to {inc} and {self.owners[unit, epoch]}")
        holder = self.holders.get(unit)
        if holder and holder != inc and holder not in self.dead and epoch > self.newest[unit]:
            self.breaches.append(f"{inc} took {unit} from {holder}, which lives")
        if epoch > self.newest[unit]:
            self.newest[unit], self.holders[unit] = epoch, inc

    def audit(self) -> None:
        """Look at all units in one moment."""
        for unit in UNITS:
            lane = self.sync.hgetall(f"{{er:m:{MAPPING}:{unit}}}:lane")
            epoch, checkpoint = int(lane.get(b"e", 0)), int(lane.get(b"c", 0))
            if epoch < self.seen[unit][0] or checkpoint < self.seen[unit][1]:
                self.breaches.append(f"{unit} went from {self.seen[unit]} back to {(epoch, checkpoint)}")
            self.seen[unit] = epoch, checkpoint
            for record in range(1, checkpoint + 1):
                parcel = f"{unit}:{record}"
                if is_bad(record):
                    if parcel not in self.delivered and f"ob:{parcel}".encode() not in lane:
                        self.breaches.append(f"{parcel} was dropped, and is in no outbox")
                elif (unit, record) not in self.processed:
                    self.breaches.append(f"{parcel} was passed over")

    async def run(self) -> list[str]:
        for node in self.nodes:
            node.start()
        others = [asyncio.create_task(job) for job in (self.network.deliver_late(), self._nemesis())]
        try:
            clock = asyncio.get_running_loop()
            while clock.time() < STORM_S + QUIET_S and not self.breaches and not self._finished():
                await asyncio.sleep(0.2)
                self.audit()
                if clock.time() > STORM_S and self.network.stormy:
                    self.network.stormy = False
                    others[1].cancel()
            if not self.breaches and not self._finished():
                self.breaches.append(f"stuck at {dict(self.seen)}")
        finally:
            tasks = [*others, *(node.life for node in self.nodes if node.life)]
            for task in tasks:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
        self.breaches += [f"failed: {result!r}" for result in results if isinstance(result, Exception)]
        return self.breaches

    def _finished(self) -> bool:
        wanted = {f"{unit}:{record}" for unit in UNITS for record in range(1, RECORDS + 1) if is_bad(record)}
        is_done = all(self.checkpoint(unit) == RECORDS for unit in UNITS) and wanted <= self.delivered
        return is_done and not self.network.stormy and not self.network.late

    async def _nemesis(self) -> None:
        while True:
            await asyncio.sleep(self.random.uniform(0.5, 4))
            node = self.random.choice(self.nodes)
            if self.random.random() < 0.4:
                node.die()
                await asyncio.sleep(self.random.uniform(0, 3))
                node.start()
            else:  # others believe it dead and take over; it wakes up as a zombie
                node.mind.freeze(self.random.uniform(0.5, 8), at_next_claim=False)
                await asyncio.sleep(self.random.uniform(0, 3))
                self.dead.add(node.inc)


class Node:
    """Takes units, goes through their records, gives units up now and then, and forwards parcels."""

    def __init__(self, number: int, cluster: Cluster) -> None:
        self.cluster = cluster
        self.number = number
        self.mind = Consciousness(cluster.network)
        self.life: asyncio.Task[None] | None = None
        self.inc = ""
        self._lives = 0

    def start(self) -> None:
        self._rename()
        self.mind.wake()
        self.life = asyncio.create_task(self._live())

    def _rename(self) -> None:
        self._lives += 1
        self.inc = f"n{self.number}-{self._lives}"

    def die(self) -> None:
        assert self.life is not None
        self.life.cancel()
        self.cluster.dead.add(self.inc)

    async def _live(self) -> None:
        lanes = await self._open()
        async with asyncio.TaskGroup() as tasks:
            for unit in UNITS:
                tasks.create_task(self._work(lanes, unit))
            tasks.create_task(self._forward(lanes))

    async def _open(self) -> Lanes:
        cluster = self.cluster
        while True:
            with contextlib.suppress(Unavailable):
                world = await open_world(
                    cluster.client,
                    clock=virtual_clock(),
                    scripts=cluster.scripts,
                    wrap=lambda lane: BadLane(lane, cluster.network, self.mind),
                    random=Random(cluster.random.random()),
                )
                return Lanes(world.store.scripts, world.keys)

    async def _work(self, lanes: Lanes, unit: str) -> None:
        while True:
            await self._pause(self.cluster.random.uniform(0, 1))
            if self.inc in self.cluster.dead:  # it has noticed: what it starts now, it starts under a new name
                self._rename()
            with contextlib.suppress(Unavailable, LaneLost):
                await self._own(lanes, unit, self.inc)

    async def _own(self, lanes: Lanes, unit: str, inc: str) -> None:
        """Take a unit, if it is to be had, and go on with it for a while."""
        taken = await lanes.take(MAPPING, unit, inc)
        if isinstance(taken, Held):
            if taken.owner not in self.cluster.dead:
                return
            taken = await lanes.take(MAPPING, unit, inc, over=taken.owner)
            if isinstance(taken, Held):
                return
        self.cluster.taken(unit, inc, taken.epoch)
        done = int(taken.lane.checkpoint or 0)
        for _ in range(self.cluster.random.randrange(1, 12)):
            batch = range(done + 1, min(done + BATCH, RECORDS) + 1)
            if not batch:
                break
            await self._pause(self.cluster.random.uniform(0, 0.3))
            self.cluster.processed |= {(unit, record) for record in batch if not is_bad(record)}
            parcels = {f"{unit}:{record}": b"record" for record in batch if is_bad(record)}
            done = batch[-1]
            await self._save(lanes, unit, inc, taken.epoch, parcels, done)
        if self.cluster.newest[unit] == taken.epoch:
            self.cluster.holders.pop(unit, None)
        await lanes.release(MAPPING, unit, inc, taken.epoch)

    async def _save(
        self, lanes: Lanes, unit: str, inc: str, epoch: int, parcels: Mapping[str, bytes], done: int
    ) -> None:
        """Store parcels and checkpoint in saves of their own, as two lanes of a unit would; they must keep order."""
        newest = self.cluster.newest[unit]
        saves = (LaneChange(outbox=parcels, states={0: b"s"}), LaneChange(checkpoint=str(done), states={1: b"t"}))
        results = await asyncio.gather(
            *(lanes.save(MAPPING, unit, inc, epoch, change) for change in saves), return_exceptions=True
        )
        if results[1] is None and newest > epoch:
            self.cluster.breaches.append(f"{inc} saved {unit} in epoch {epoch} after epoch {newest}")
        if any(isinstance(result, LaneLost) for result in results):
            raise LaneLost(unit)

    async def _forward(self, lanes: Lanes) -> None:
        while True:
            await self._pause(self.cluster.random.uniform(0, 3))
            for unit in UNITS:
                with contextlib.suppress(Unavailable):
                    lane = await lanes.read(MAPPING, unit)
                    if lane is not None and lane.outbox:
                        self.cluster.delivered |= set(lane.outbox)
                        await lanes.forwarded(MAPPING, unit, list(lane.outbox))

    async def _pause(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        await self.mind.wait_awake()


def is_bad(record: int) -> bool:
    """Say whether the function fails with a record until it is dropped."""
    return record % 3 == 0


def simulate(seed: int, scripts: Mapping[str, Script] = SCRIPTS) -> list[str]:
    """Run one seed to its end; return the breaches found."""

    async def main() -> list[str]:
        loop = asyncio.get_running_loop()
        with virtual_redis(lambda: EPOCH_MS / 1_000 + loop.time()) as connect:
            client = connect()
            try:
                return await Cluster(seed, client, scripts).run()
            finally:
                await client.aclose()

    return run_virtual(main())


MUTANTS = {
    "a take that may come late": [("lane_take", "if epoch ~= seen then return {'MOVED', epoch} end", "")],
    "a take from anybody": [("lane_take", "if owner ~= '' and owner ~= ARGV[1] and owner ~= ARGV[3]", "if false")],
    "a save without a fence": [("lane_save", "if lane[1] ~= ARGV[1] or lane[2] ~= ARGV[2] then", "if false then")],
    "a save that may come late, and a checkpoint that goes back": [
        ("lane_save", "if number <= last then", "if false then"),
        ("lane_save", "if #here > #there or (#here == #there and here > there) then", "if here ~= '' then"),
    ],
    "a checkpoint compared as text": [
        ("lane_save", "#here > #there or (#here == #there and here > there)", "here > there")
    ],
    "a take that keeps the epoch": [("lane_take", "epoch = seen + 1", "epoch = math.max(seen, 1)")],
    "a save that forgets parcels": [("lane_save", "unpack(ARGV, 6, 5 + set)", "unpack(ARGV, 6, math.min(5 + set, 8))")],
}


@pytest.mark.parametrize("seed", range(5))
def test_no_record_is_passed_over_and_no_parcel_is_lost(seed: int) -> None:
    assert simulate(seed) == []


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_script_that_breaks_a_promise_is_caught(mutant: str) -> None:
    scripts = with_mutant(*MUTANTS[mutant])

    assert any(simulate(seed, scripts) for seed in range(100, 104))
