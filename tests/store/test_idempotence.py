"""Every script applied twice is the script applied once."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from redis.asyncio import Redis

from eventrouter.rules.outcome import ThrottleReason
from eventrouter.rules.stream import RecordId
from eventrouter.store import DESTINATIONS, Decision, Offer, OutboxRecord, Reply, Settlement, ShardLimits
from eventrouter.store.connect import Lane
from eventrouter.store.lanes import LaneChange, Taken
from eventrouter.store.lua import SCRIPTS
from eventrouter.store.timers import Move
from eventrouter.testing.redis import virtual_redis
from tests.store.test_catalogue import a_stream
from tests.store.test_slots import a_function, reserve, take
from tests.store.worlds import FN, OTHER, World, open_world

OURS = {name for name in SCRIPTS if not name.startswith(("queue_", "log_"))}


class StandingClock:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.ms = 1_767_225_600_000

    def now_ms(self) -> int:
        return self.ms

    def monotonic(self) -> float:
        return self.ms / 1_000

    async def sleep(self, seconds: float) -> None:
        self.ms += round(seconds * 1_000)


class TwiceLane:
    """Runs every command twice and answers as the second run did: the first answer was lost."""

    def __init__(self, lane: Lane) -> None:
        self._lane = lane

    async def execute(self, commands: Sequence[bytes]) -> list[Any]:
        twice = [command for command in commands for _ in range(2)]
        return (await self._lane.execute(twice))[1::2]

    async def close(self) -> None:
        await self._lane.close()


async def everything(world: World) -> None:
    """Use every script at least once."""
    events, hosts, slots, functions = world.store.events, world.store.hosts, world.store.slots, world.store.functions
    await world.join("h1", "h2")
    await events.find(["e1"])
    await hosts.beat("h1", 1)
    await reserve(world, FN, 2)
    await functions.refresh()
    await world.put("e1", "e2", "e3", "e4", "e5", "e6")
    await world.put("a1", function=OTHER)

    claims = await world.claim("h1", limit=4)
    assert [claim.id for claim in claims] == ["e1", "e2", "e3", "e4"]
    assert await take(world, "h1", ["t1", "t2", "t3"]) == [None, None, ThrottleReason.RESERVED]
    assert await take(world, "h2", ["u1"], OTHER) == [None]
    settlements = [
        Settlement(claim=claims[0], action="done", records=(OutboxRecord(id="r1", payload=b"x"),)),
        Settlement(claim=claims[1], action="retry", delay_ms=60_000, last_response=b"error"),
        Settlement(claim=claims[2], action="back"),
    ]
    assert await events.settle("h1", world.partition, settlements) == [True] * 3
    slots.drop("h1", FN.key, "t1")
    await slots.drained()
    assert [claim.id for claim in await events.recall("h1", world.partition, ["e4"])] == ["e4"]

    await events.hold(OTHER.key, 30_000)
    await events.hold(FN.key, 10_000)
    await events.unhold(FN.key)
    await world.claim("h2", limit=1)
    await events.claim("h2", world.partition, DESTINATIONS, 1)
    await use_inboxes(world)
    await use_streams(world)
    await use_lanes(world)
    await use_timers(world)
    assert await hosts.bury("h1", 1)
    await hosts.reap("h1")
    await slots.audit()

    await functions.put(a_function(OTHER), account_limit=1_000, minimum_unreserved=100)
    known = functions.get(FN)
    assert known is not None
    changed = dataclasses.replace(known, reserved_concurrency=None)
    await functions.put(changed, account_limit=1_000, minimum_unreserved=100)
    assert await functions.delete(OTHER)
    await world.pass_ms(130_000)
    await hosts.leave("h2")


async def use_inboxes(world: World) -> None:
    inbox = world.store.inbox
    for request_id in ("r1", "r2", "r3"):
        offer = Offer(request_id=request_id, sender="h2", function_key=FN.key, generation=1, payload=b"{}")
        await inbox.send("h3", offer, budget_s=2)
    assert len(await inbox.read("h3")) == 3
    assert await inbox.start("h3", "r1") is Decision.MINE
    assert await inbox.cancel("h3", "r2", is_stored=True) is Decision.MINE
    assert await inbox.cancel("h3", "r4", is_stored=False) is Decision.MINE
    await inbox.reply("h3", Reply(request_id="r9", sender="h2", kind="ran"), budget_s=2)


async def use_lanes(world: World) -> None:
    lanes, mappings = world.store.lanes, world.store.mappings
    for unit in ("u1", "u2"):
        await lanes.place("mapping", unit, "5")
        assert isinstance(await lanes.take("mapping", unit, "h1"), Taken)
        change = LaneChange(checkpoint="6", states={0: b"s"}, outbox={"r1": b"1", "r2": b"2"}, is_drained=unit == "u1")
        await lanes.save("mapping", unit, "h1", 1, change)
        await lanes.forwarded("mapping", unit, ["r1"])
    assert isinstance(await lanes.take("mapping", "u1", "h2", over="h1"), Taken)
    await lanes.release("mapping", "u2", "h1", 1)
    assert await lanes.rewind("mapping", "u2", "1")
    await lanes.take("gone", "u1", "h1")
    await lanes.remove("gone", ["u1"])
    await lanes.remove("gone")
    await mappings.set_result("mapping", "OK")
    await mappings.set_result("gone", "OK")


async def use_timers(world: World) -> None:
    timers = world.store.schedules.firings
    now_ms = world.clock.now_ms()
    await timers.move([Move(name=name, old="", new="1", due_ms=now_ms - 1) for name in ("t1", "t2", "t3")])
    await timers.claim(hold_ms=20_000)
    await timers.move([Move(name="t1", old="1", new="2", due_ms=now_ms + 5), Move(name="t2", old="1", new="")])


async def use_streams(world: World) -> None:
    streams = world.store.streams
    stream = await streams.catalogue.put(a_stream())
    gone = await streams.catalogue.put(a_stream("gone"))
    await streams.catalogue.delete(gone)
    shards = [streams.shard(stream, index) for index in range(3)]
    for shard in shards:
        await streams.open_shard(shard, RecordId(0, 0))
        await streams.put(shard, [(b"k", b"a"), (b"k", b"b")])
    await world.clock.sleep(1)
    last = (await streams.put(shards[0], [(b"k", b"c")], limits=ShardLimits(records=1, bytes=9))).first
    assert not await streams.trim(shards[0], last.ms)
    assert await streams.last(shards[0]) == last == await streams.close_shard(shards[0])
    page = await streams.read(shards[1], RecordId(0, 0), limit=10, max_bytes=100, horizon_ms=0)
    assert [data for _, _, data in page.records] == [b"a", b"b"]
    waits = [asyncio.create_task(streams.watch.wait(shards[2], RecordId(2**43, 0)))]
    await asyncio.sleep(0)
    turn = asyncio.create_task(streams.watch.turn())
    await asyncio.sleep(0)
    waits.append(asyncio.create_task(streams.watch.wait(shards[1], RecordId(2**43, 0))))
    await turn
    for wait in waits:
        wait.cancel()
    await asyncio.gather(*waits, return_exceptions=True)


async def dump(client: Redis) -> dict[bytes, Any]:
    """Read the whole server, but for what wakes watches: waking twice is harmless, and seen."""
    readers: dict[bytes, Callable[[bytes], Any]] = {
        b"hash": client.hgetall,
        b"set": client.smembers,
        b"string": client.get,
        b"stream": client.xrange,
        b"zset": lambda key: client.zrange(key, 0, -1, withscores=True),
    }
    return {key: await readers[await client.type(key)](key) for key in sorted(await client.keys("{er:[^w]*"))}


def play(wrap: Callable[[Lane], Lane]) -> tuple[dict[bytes, Any], set[str]]:
    clock = StandingClock()

    async def scenario(connect: Callable[[], Redis]) -> tuple[dict[bytes, Any], set[str]]:
        client = connect()
        world = await open_world(client, clock=clock, wrap=wrap)
        await everything(world)
        assert await world.audit() == []
        left = await dump(client)
        await world.store.close()
        await client.aclose()
        return left, set(world.ran)

    with virtual_redis(lambda: clock.ms / 1_000) as connect:
        return asyncio.run(scenario(connect))


@pytest.mark.integration
def test_every_script_applied_twice_leaves_what_it_leaves_applied_once() -> None:
    once, ran = play(lambda lane: lane)
    twice, _ = play(TwiceLane)

    assert ran == OURS, "a script is not part of this test"
    assert twice == once
