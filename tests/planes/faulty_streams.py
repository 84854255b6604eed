"""Nodes that may lose Redis, die and come back, over one stream: a whole cluster in virtual time, from one seed.

Every node has a store, environments, a membership and a stream plane of its own. What its functions do is written
down as the story that the checker of the chaos tests reads.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import zlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from random import Random
from typing import Any

import fakeredis
import pytest
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError

from eventrouter.errors import StoreError, Unavailable
from eventrouter.logging import get_logger
from eventrouter.metrics import Metrics
from eventrouter.planes.loops import Loops
from eventrouter.planes.mapping_results import MappingResults
from eventrouter.planes.membership import Membership
from eventrouter.planes.shard_parts import WorkerParts
from eventrouter.planes.streams import StreamPlane
from eventrouter.planes.sync import SyncPlane
from eventrouter.rules.function import Function
from eventrouter.rules.invocation import Invocation
from eventrouter.store import HostInfo, Store, open_store, redis_lanes
from eventrouter.testing.inprocess import InProcessEnvironments
from tests.chaos.history import Fault
from tests.chaos.stream_history import Batch, Dropped, Probe, Record, Story
from tests.planes.listed_streams import ListedStreams
from tests.planes.stream_world import ARN, StreamWorld, values_of
from tests.planes.world import INCARNATION, a_world, queue_arn

KEYS = 6
HASHES = 1 << 16
FAILED = queue_arn("failed")


@dataclass
class Link:
    """One node's way to Redis. While it is cut nothing passes; `loses` is how likely a reply is lost on its way."""

    random: Random
    is_cut: bool = False
    loses: float = 0.0

    def check(self) -> None:
        if self.is_cut:
            raise RedisConnectionError("cut")

    def connections(link) -> type[fakeredis.aioredis.FakeConnection]:  # noqa: N805  # `self` is the connection here
        """Return the class of the connections over this link."""

        class Linked(fakeredis.FakeAsyncRedisConnection):
            async def _connect(self) -> None:
                link.check()
                await super()._connect()

            async def send_packed_command(self, command: Any, check_health: bool = True) -> None:
                link.check()
                await super().send_packed_command(command, check_health)

            async def read_response(self, **kwargs: Any) -> Any:
                answer = await super().read_response(**kwargs)
                link.check()
                if link.loses and link.random.random() < link.loses:
                    await self.disconnect(nowait=True)
                    raise RedisConnectionError("the reply was lost")
                return answer

        return Linked


class Node:
    """One node: `open`, then what befalls it. `number` is its environments' process id in the story."""

    def __init__(self, cluster: Cluster, number: int) -> None:
        self.number = number
        self.link = Link(cluster.random)
        self._cluster = cluster
        self._stack = contextlib.AsyncExitStack()
        self._incarnations = (f"n{number}-{life}" for life in itertools.count(1))
        self.is_closed = False

    async def open(self) -> Node:
        base, stack = self._cluster.world.base, self._stack
        clock, log, metrics = base.clock, get_logger(), Metrics()
        self.environments = InProcessEnvironments(clock)
        self.environments.install(self._cluster.function.name, self._cluster.handler(self.number))
        store = await self._open_store()
        stack.push_async_callback(store.close)
        loops = await stack.enter_async_context(Loops(clock=clock, metrics=metrics, log=log, give_up=pytest.fail))
        membership = Membership(
            hosts=store.hosts,
            slots=store.slots,
            environments=self.environments,
            loops=loops,
            clock=clock,
            log=log,
            info=HostInfo(url=f"http://127.0.0.1:{self.number}", started_at_ms=0, version="0"),
            new_incarnation=lambda: next(self._incarnations),
            is_isolated=self._is_isolated,
            refresh=store.refresh,
        )
        await stack.enter_async_context(membership)
        parts = WorkerParts(
            incarnation=lambda: membership.incarnation,
            sources={"kinesis": self._cluster.world.streams},
            lanes=store.lanes,
            hosts=store.hosts,
            functions=store.functions,
            events=store.events,
            sync=SyncPlane(
                incarnation=lambda: membership.incarnation,
                slots=store.slots,
                environments=self.environments,
                metrics=metrics,
                journal=base.journal,
            ),
            results=MappingResults(store.mappings),
            clock=clock,
            metrics=metrics,
            journal=base.journal,
            log=log,
            new_id=base.ids,
            may_take_work=lambda: membership.may_take_work,
            max_backoff_ms=8_000,
            on_deliveries_due=base.destinations.wake,
        )
        plane = self.plane = StreamPlane(mappings=store.mappings, loops=loops, parts=parts)
        # The world's own node reads no streams here.
        membership.on_look(lambda living: plane.see({each: living[each] for each in living if each != INCARNATION}))
        await stack.enter_async_context(plane)
        return self

    async def close(self) -> None:
        """Let the node drain and leave."""
        if not self.is_closed:
            self.is_closed = True
            await self._stack.aclose()

    async def die(self) -> None:
        """Kill the node's environments; nothing that it does afterwards reaches anybody."""
        self.link.is_cut = True
        with self._cluster.fault(f"node {self.number} killed", self.number):
            await self.environments.kill_all()

    async def lose_redis(self, seconds: float) -> None:
        """Cut the node off for a while, as if it were stopped; it kills its own environments if that is long."""
        with self._cluster.fault(f"node {self.number} cut off", self.number):
            self.link.is_cut = True
            await self._cluster.world.run(seconds)
            self.link.is_cut = False

    async def _is_isolated(self, others: object) -> bool:
        return self.link.is_cut and self._cluster.world.base.server.connected

    async def _open_store(self) -> Store:
        base = self._cluster.world.base
        client = fakeredis.FakeAsyncRedis(
            server=base.server, version=(7, 4), protocol=2, retry=Retry(NoBackoff(), 0), socket_timeout=None
        )
        client.connection_pool.connection_class = self.link.connections()
        while True:
            try:
                return await open_store(
                    redis_lanes(client),
                    prefix="er",
                    partitions=2,
                    clock=base.clock,
                    random=Random(self._cluster.random.random()),
                )
            except Unavailable:
                await self._cluster.world.run(1)


class Cluster:
    """The nodes, the stream and its load, the function, and the story of it all."""

    def __init__(self, world: StreamWorld, random: Random) -> None:
        self.world = world
        self.random = random
        self.nodes: list[Node] = []
        self.story = Story()
        self.batches: list[Batch] = []
        self.seconds = 0.5
        """How long a batch takes, on average."""
        self.fails = 0.1
        """How likely a batch fails; while this is 0, poison is harmless."""
        self.ranges: dict[str, tuple[int, int]] = {}
        self._numbers = itertools.count(1)
        self._ticks = itertools.count(1)
        self._records = itertools.count(1)

    async def open(self, *, nodes: int, shards: int, **settings: Any) -> None:
        async def nothing(event: Any, invocation: Invocation) -> None: ...

        self.function: Function = await self.world.base.function(nothing)
        self.mapping = await self.world.mapping(self.function, on_failure=FAILED, **settings)
        listed = await self.world.streams.shards(ARN)
        width = HASHES // shards
        self.ranges = {shard.id: (at * width, (at + 1) * width) for at, shard in enumerate(listed)}
        for _ in range(nodes):
            await self.start_node()

    async def start_node(self) -> None:
        self.nodes.append(await Node(self, next(self._numbers)).open())

    def living(self) -> list[Node]:
        return [node for node in self.nodes if not node.is_closed and not node.link.is_cut]

    # Time, of which no two instants are alike.

    def tick(self) -> int:
        return round(self.world.base.clock.monotonic() * 1e9) + next(self._ticks)

    @contextlib.contextmanager
    def fault(self, what: str, number: int | None = None) -> Any:
        """Note a fault that lasts as long as the block; `number` is the node it hits, None: all."""
        began = self.tick()
        try:
            yield
        finally:
            pids = None if number is None else frozenset({number})
            self.story.faults.append(Fault(what, began, self.tick(), pids))

    # What runs.

    def handler(self, number: int) -> Any:
        """Return the function as it runs on one node."""

        async def handle(event: dict[str, Any], invocation: Invocation) -> None:
            records = tuple(
                Record(
                    value, each["eventID"].partition(":")[0], int(kinesis["sequenceNumber"]), kinesis["partitionKey"]
                )
                for each, value in zip(event["Records"], values_of(event), strict=True)
                for kinesis in (each["kinesis"],)
            )
            at = len(self.batches)
            self.batches.append(Batch(token=f"b{at}", pid=number, home=number, records=records, start=self.tick()))
            try:
                await self.world.run(self.random.random() * 2 * self.seconds)
            except asyncio.CancelledError:
                with self.fault(f"batch b{at} killed", number):
                    raise
            is_poisoned = any(record.id.startswith("poison") for record in records)
            outcome = "error" if self.random.random() < self.fails or (self.fails and is_poisoned) else "ok"
            self.batches[at] = replace(self.batches[at], end=self.tick(), outcome=outcome)
            if outcome == "error":
                raise RuntimeError("told to fail")

        return handle

    # What is put, and where.

    def put(self, count: int, *, poison: bool = False) -> None:
        for _ in range(count):
            key = f"key-{self.random.randrange(KEYS)}"
            place = zlib.crc32(key.encode()) % HASHES
            shard = next(shard for shard, (first, end) in self.ranges.items() if first <= place < end)
            identity = f"{'poison' if poison else 'r'}{next(self._records)}"
            [sequence] = self.world.streams.put(ARN, identity, key=key, shard=shard)
            self.story.put[identity] = Record(identity, shard, int(sequence), key)

    def split(self) -> None:
        shard = self.random.choice(list(self.ranges))
        first, end = self.ranges.pop(shard)
        one, other = self.world.streams.split(ARN, shard)
        self.ranges[one], self.ranges[other] = (first, (first + end) // 2), ((first + end) // 2, end)

    def merge(self) -> None:
        if len(self.ranges) < 2:
            return
        in_order = sorted(self.ranges, key=lambda shard: self.ranges[shard])
        at = self.random.randrange(len(in_order) - 1)
        (first, _), (_, end) = self.ranges.pop(in_order[at]), self.ranges.pop(in_order[at + 1])
        self.ranges[self.world.streams.merge(ARN, in_order[at], in_order[at + 1])] = (first, end)

    # Faults of all.

    async def redis_away(self, seconds: float) -> None:
        with self.fault("redis away"):
            self.world.streams.away = Unavailable("Redis is away")
            async with self.world.base.redis_away():
                await self.world.run(seconds)
            self.world.streams.away = None

    async def replace_node(self, node: Node, seconds: float) -> None:
        """Kill a node; another comes in its place later."""
        await node.die()
        await self.world.run(seconds)
        await self.start_node()

    async def roll(self, node: Node) -> None:
        """Let a node drain and leave; another comes in its place."""
        await node.close()
        await self.start_node()

    async def change(self, **settings: Any) -> None:
        with contextlib.suppress(StoreError):
            await self.world.mappings.catalogue.refresh()
            await self.world.change(self.mapping, **settings)

    # What is seen from outside.

    async def probe(self) -> None:
        """Note what the store says of every unit."""
        lanes = self.world.lanes
        with contextlib.suppress(StoreError):
            for unit in await lanes.units(self.mapping.uuid):
                lane = await lanes.read(self.mapping.uuid, unit)
                if lane is not None:
                    shard = unit.partition("@")[0]
                    self.story.probes.append(Probe(self.tick(), shard, lane.epoch, int(lane.checkpoint or 0)))

    def told(self) -> Story:
        """Return the story so far."""
        self.story.batches = list(self.batches)
        self.story.dropped = []
        for body in self.world.base.target.bodies(FAILED):
            info = body["KinesisBatchInfo"]
            first, last = int(info["startSequenceNumber"]), int(info["endSequenceNumber"])
            self.story.dropped.append(Dropped(info["shardId"], first, last, info["batchSize"]))
        return self.story


@contextlib.asynccontextmanager
async def a_cluster(random: Random, *, nodes: int, shards: int, **settings: Any) -> AsyncIterator[Cluster]:
    """Open a world with that many nodes that read one stream."""
    async with a_world(beats=True) as base:
        streams = ListedStreams(base.clock)
        streams.create(ARN, shards=shards)
        cluster = Cluster(StreamWorld(base, streams, base.store.lanes, base.store.mappings), random)
        await cluster.open(nodes=nodes, shards=shards, **settings)
        try:
            yield cluster
        finally:
            for node in cluster.nodes:
                node.link.is_cut = False
            for node in cluster.nodes:
                await node.close()
