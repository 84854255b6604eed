"""Redis: everything that outlives a node. One `Store` per node, built by `open_store`."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random

from eventrouter.clock import Clock
from eventrouter.errors import ConfigError
from eventrouter.store.catalogue import Catalogue, Conflict
from eventrouter.store.connect import Lane, MakeLane, Scripts, make_client, redis_lanes
from eventrouter.store.events import DESTINATIONS, Claim, Due, Events, NewEvent, OutboxRecord, Settlement, StoredEvent
from eventrouter.store.functions import Functions, ReservationRefused
from eventrouter.store.hosts import HostInfo, Hosts
from eventrouter.store.inbox import READ_TIMEOUT_S, Decision, Inbox, Offer, Reply
from eventrouter.store.keys import Keys
from eventrouter.store.lanes import Held, LaneChange, LaneLost, Lanes, StoredLane, Taken
from eventrouter.store.logs import LogChunk, LogEvent, LogGroup, LogLine, LogPage, Logs, LogStream
from eventrouter.store.lua import SCRIPTS, Script
from eventrouter.store.mappings import Mappings
from eventrouter.store.queues import Queues
from eventrouter.store.routes import Routes
from eventrouter.store.schedules import Schedules
from eventrouter.store.shard_keys import ShardKeys
from eventrouter.store.slots import Slots
from eventrouter.store.streams import ShardClosed, ShardLimits, ShardMissing, ShardPage, Stored, Streams
from eventrouter.store.watch import Watch

__all__ = [
    "DESTINATIONS",
    "Catalogue",
    "Claim",
    "Conflict",
    "Decision",
    "Due",
    "Events",
    "Functions",
    "Held",
    "HostInfo",
    "Hosts",
    "Inbox",
    "LaneChange",
    "LaneLost",
    "Lanes",
    "LogChunk",
    "LogEvent",
    "LogGroup",
    "LogLine",
    "LogPage",
    "LogStream",
    "Logs",
    "Mappings",
    "NewEvent",
    "Offer",
    "OutboxRecord",
    "Queues",
    "Reply",
    "ReservationRefused",
    "Routes",
    "Schedules",
    "Scripts",
    "Settlement",
    "ShardClosed",
    "ShardKeys",
    "ShardLimits",
    "ShardMissing",
    "ShardPage",
    "Slots",
    "Store",
    "Stored",
    "StoredEvent",
    "StoredLane",
    "Streams",
    "Taken",
    "Watch",
    "make_client",
    "open_store",
    "redis_lanes",
]

FLUSH_KEYS = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """What a node keeps in Redis, by kind."""

    hosts: Hosts
    slots: Slots
    events: Events
    functions: Functions
    queues: Queues
    logs: Logs
    inbox: Inbox
    streams: Streams
    lanes: Lanes
    mappings: Mappings
    schedules: Schedules
    routes: Routes
    scripts: Scripts
    keys: Keys

    async def flush(self) -> None:
        """Delete every key of this installation: hosts too, so every node of it must join anew."""
        cursor = 0
        while True:
            cursor_text, found = await self.scripts.command(
                "SCAN", cursor, "MATCH", self.keys.pattern, "COUNT", FLUSH_KEYS
            )
            if found:
                await self.scripts.command_each([("UNLINK", key) for key in found])
            cursor = int(cursor_text)
            if cursor == 0:
                break
        await self.check_partitions()
        await self.refresh()

    async def refresh(self) -> None:
        """Read what changed of all catalogues, in one pipeline. Raises Unavailable."""
        await asyncio.gather(
            self.functions.refresh(),
            self.streams.catalogue.refresh(),
            self.mappings.catalogue.refresh(),
            self.schedules.catalogue.refresh(),
            self.routes.refresh(),
        )

    async def memory(self) -> tuple[int, int]:
        """Return the server's memory in use and its limit (0: none), in bytes."""
        text = (await self.scripts.command("INFO", "memory")).decode()
        facts = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
        return int(facts["used_memory"]), int(facts.get("maxmemory", 0))

    async def close(self) -> None:
        """Give back what is still to be given back, then close the connections. Closing twice is harmless."""
        await self.slots.close()
        await self.inbox.close()
        await self.streams.watch.close()
        await self.scripts.close()

    async def check_partitions(self) -> None:
        """Note how many partitions a new installation has; raise ConfigError if an old one has another number."""
        keys = (self.keys.installation("meta"), self.keys.installation("rev"))
        catalogues = (self.streams.catalogue, self.mappings.catalogue, self.schedules.catalogue, self.routes)
        floors = (self.functions.floor, *(catalogue.floor for catalogue in catalogues))
        answer = await self.scripts.call("meta_open", keys, (self.keys.partitions, *floors))
        if answer[1] != self.keys.partitions:
            raise ConfigError(
                f"partitions is {self.keys.partitions}, but the installation with key prefix {self.keys.prefix!r} "
                f"was made with {answer[1]}: set partitions to {answer[1]}, or use another key prefix"
            )


async def open_store(
    make_lane: MakeLane,
    *,
    prefix: str,
    partitions: int,
    clock: Clock,
    random: Random,
    account_limit: int = 1_000,
    scripts: Mapping[str, Script] = SCRIPTS,
) -> Store:
    """Load the scripts, check that the installation has as many partitions, and read all catalogues.

    `account_limit` is the concurrency of one account in one region. Raises ConfigError, Unavailable, StoreError.
    """

    def waiting_lane() -> Lane:
        return make_lane(timeout_s=READ_TIMEOUT_S, around=clock.unhurried)

    caller = Scripts(make_lane, clock=clock, random=random, scripts=scripts)
    keys = Keys(prefix, partitions)
    store = Store(
        hosts=Hosts(caller, keys),
        slots=Slots(caller, keys, clock, account_limit=account_limit),
        events=Events(caller, keys, clock),
        functions=Functions(caller, keys),
        queues=Queues(caller, keys, clock, random),
        logs=Logs(caller, keys, clock, random),
        inbox=Inbox(caller, keys, random, waiting_lane),
        streams=Streams(caller, keys, clock, random, waiting_lane),
        lanes=Lanes(caller, keys),
        mappings=Mappings(caller, keys),
        schedules=Schedules(caller, keys, clock),
        routes=Routes(caller, keys),
        scripts=caller,
        keys=keys,
    )
    try:
        await caller.load()
        await store.check_partitions()
        await store.refresh()
    except BaseException:
        await caller.close()
        raise
    return store
