"""A store to test against, on each server, with lease time that moves when the test says so."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any

from hiredis import Reader
from redis.asyncio import Redis

from eventrouter.clock import Clock, SystemClock
from eventrouter.rules.names import FunctionName
from eventrouter.store import (
    Claim,
    Events,
    Functions,
    HostInfo,
    Hosts,
    Inbox,
    Lanes,
    Logs,
    Mappings,
    NewEvent,
    Queues,
    Routes,
    Schedules,
    Scripts,
    Slots,
    Store,
    Streams,
    make_client,
)
from eventrouter.store.connect import Lane
from eventrouter.store.inbox import READ_TIMEOUT_S
from eventrouter.store.keys import Keys
from eventrouter.store.lua import SCRIPTS, Script
from eventrouter.testing.memory import MemoryServer
from eventrouter.testing.redis import virtual_redis
from tests.store.conservation import audit
from tests.store.memory_client import lanes_of, memory_client

PARTITIONS = 2
LIMIT = 10
FN = FunctionName(account="000000000000", region="us-east-1", name="orders")
OTHER = FunctionName(account="000000000000", region="us-east-1", name="audit")
INFO = HostInfo(url="http://127.0.0.1:4566", started_at_ms=1, version="1")
NAMES = {script.sha: script.name for script in SCRIPTS.values()}


class WatchedLane:
    """A lane that notes which scripts ran, and fails the test if the keys of a call do not share one tag."""

    def __init__(self, lane: Lane, ran: dict[str, int], batches: list[int]) -> None:
        self._lane = lane
        self._ran = ran
        self._batches = batches

    async def execute(self, commands: Sequence[bytes]) -> list[Any]:
        self._batches.append(len(commands))
        for command in commands:
            name, keys = read_call(command)
            if name:
                self._ran[name] = self._ran.get(name, 0) + 1
                assert len({key[: key.index("}")] for key in keys}) == 1, f"{name} spans tags: {keys}"
                assert len(set(keys)) == len(keys), f"{name} names a key twice: {keys}"
        return await self._lane.execute(commands)

    async def close(self) -> None:
        await self._lane.close()


def read_call(command: bytes) -> tuple[str, list[str]]:
    """Return the script and the keys of a packed EVALSHA; no script for other commands."""
    parts = parse(command)
    if parts[0] != b"EVALSHA":
        return "", []
    return NAMES.get(parts[1].decode(), "mutant"), [key.decode() for key in parts[3 : 3 + int(parts[2])]]


def parse(command: bytes) -> list[bytes]:
    """Return the parts of a packed command."""
    reader = Reader()
    reader.feed(command)
    parts: list[bytes] = reader.gets()
    return parts


@dataclass
class World:
    """One store, its server, and what ran."""

    store: Store
    client: Redis
    keys: Keys
    clock: Clock
    ran: dict[str, int] = field(default_factory=dict)
    batches: list[int] = field(default_factory=list)

    @property
    def partition(self) -> int:
        return self.store.events.partition_of(FN.key)

    async def join(self, *incs: str) -> None:
        for inc in incs:
            await self.store.hosts.join(inc, INFO)

    async def put(self, *ids: str, function: FunctionName = FN, payload: bytes = b"{}") -> None:
        """Put events in this order: each is due a little later than the one before."""
        for event_id in ids:
            await self.store.events.put(an_event(event_id, function=function, payload=payload))
            await self.pass_ms(1)

    async def claim(self, inc: str, limit: int = 100, function: FunctionName = FN) -> list[Claim]:
        events = self.store.events
        return await events.claim(inc, events.partition_of(function.key), function.key, limit)

    async def claim_ids(self, inc: str, limit: int = 100) -> list[str]:
        return [claim.id for claim in await self.claim(inc, limit)]

    async def pass_ms(self, ms: int) -> None:
        """Let lease time pass, in steps that its clock allows."""
        while ms > 0:
            step = min(ms, 2_000)
            ms -= step
            await self.step_wall(step)
            await self.store.events.due_all()

    async def step_wall(self, ms: int) -> None:
        """Step the server's wall clock by `ms`, as the scripts see it."""
        await self.store.events.due_all()
        for partition in range(PARTITIONS):
            await self.client.hincrby(self.keys.events(partition, "clk"), "w", -ms)

    async def audit(self) -> list[str]:
        return await audit(self.client, self.keys)


def an_event(event_id: str, *, function: FunctionName = FN, payload: bytes = b"{}") -> NewEvent:
    return NewEvent(id=event_id, function=function, qualifier=None, payload=payload, trace="Root=1")


async def open_world(
    client: Redis,
    *,
    prefix: str = "er",
    clock: Clock | None = None,
    scripts: Mapping[str, Script] = SCRIPTS,
    wrap: Callable[[Lane], Lane] = lambda lane: lane,
    random: Random | None = None,
) -> World:
    """Build a store as `open_store` does, but over watched lanes."""
    clock, random = clock or SystemClock(), random or Random(7)
    keys = Keys(prefix, PARTITIONS)
    ran: dict[str, int] = {}
    batches: list[int] = []
    make_lane = lanes_of(client)

    def waiting_lane() -> Lane:
        return make_lane(timeout_s=READ_TIMEOUT_S)

    calls = Scripts(
        lambda: WatchedLane(wrap(make_lane()), ran, batches),
        clock=clock,
        random=random,
        scripts=scripts,
    )
    store = Store(
        hosts=Hosts(calls, keys),
        slots=Slots(calls, keys, clock, account_limit=LIMIT),
        events=Events(calls, keys, clock),
        functions=Functions(calls, keys),
        queues=Queues(calls, keys, clock, random),
        logs=Logs(calls, keys, clock, random),
        inbox=Inbox(calls, keys, random, waiting_lane),
        streams=Streams(calls, keys, clock, random, waiting_lane),
        lanes=Lanes(calls, keys),
        mappings=Mappings(calls, keys),
        schedules=Schedules(calls, keys, clock),
        routes=Routes(calls, keys),
        scripts=calls,
        keys=keys,
    )
    await calls.load()
    await store.check_partitions()
    await store.refresh()
    return World(store=store, client=client, keys=keys, clock=clock, ran=ran, batches=batches)


Scenario = Callable[[World], Awaitable[None]]


class Server:
    """Where scenarios run: `run` opens a world, plays one, audits what is left, and closes everything."""

    def __init__(self, name: str, connect: Callable[[], Redis]) -> None:
        self.name = name
        self._connect = connect

    def run(self, scenario: Scenario) -> None:
        asyncio.run(self._play(scenario))

    async def _play(self, scenario: Scenario) -> None:
        client = self._connect()
        try:
            await client.flushall()
            await self._play_in(await self.open_world(client), scenario)
        finally:
            await client.aclose()

    async def _play_in(self, world: World, scenario: Scenario) -> None:
        try:
            await scenario(world)
            await world.store.slots.drained()
            assert await world.audit() == []
            assert await world.store.slots.audit() == {}
        finally:
            await world.store.close()

    async def open_world(self, client: Redis) -> World:
        """Open a world on this server."""
        return await open_world(client)


@contextmanager
def fakeredis_server() -> Iterator[Server]:
    with virtual_redis(time.time) as connect:
        yield Server("fakeredis", connect)


def memory_server() -> Server:
    memory = MemoryServer(time.time)
    return Server("memory", lambda: memory_client(memory))


def valkey_server(url: str) -> Server:
    return Server("valkey", lambda: make_client(url))
