"""Waiting for records: who waits is told, whoever else is not; over one connection. On both servers."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from eventrouter.errors import Unavailable
from eventrouter.rules.stream import RecordId
from eventrouter.store import ShardKeys, Watch
from eventrouter.store.embedded import EmbeddedValkey
from eventrouter.store.inbox import BLOCK_S
from eventrouter.testing.redis import virtual_redis
from eventrouter.testing.virtual import EPOCH_MS, run_virtual, virtual_clock
from tests.store.test_catalogue import a_stream
from tests.store.test_streams import START, open_shard, put, read
from tests.store.worlds import Server, World, open_world, valkey_server

PATIENCE_S = 10.0


@contextlib.asynccontextmanager
async def watching(world: World) -> AsyncIterator[Watch]:
    """Make the turns of a world's watch meanwhile, as a node's loop does."""
    watch = world.store.streams.watch

    async def loop() -> None:
        while True:
            try:
                pause_s = await watch.turn()
            except Unavailable:
                pause_s = 1.0
            await asyncio.sleep(pause_s)

    task = asyncio.create_task(loop())
    try:
        yield watch
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def waiting(watch: Watch, shard: ShardKeys, after: RecordId = START) -> asyncio.Task[None]:
    return asyncio.create_task(watch.wait(shard, after))


async def soon(awaitable: Awaitable[Any]) -> Any:
    async with asyncio.timeout(PATIENCE_S):
        return await awaitable


def in_virtual_time(scenario: Callable[[World], Awaitable[None]]) -> None:
    """Play a scenario on an in-memory server in virtual time."""

    async def main() -> None:
        clock = virtual_clock()
        with virtual_redis(lambda: clock.now_ms() / 1_000) as connect:
            client = connect()
            world = await open_world(client, clock=clock)
            await scenario(world)
            await world.store.close()
            await client.aclose()

    run_virtual(main())


@pytest.mark.integration
def test_a_record_ends_the_waits_for_it_and_no_others(server: Server) -> None:
    async def scenario(world: World) -> None:
        shard, other = await open_shard(world), await open_shard(world, 1)
        async with watching(world) as watch:
            mine, another = waiting(watch, shard), waiting(watch, shard)
            elsewhere = waiting(watch, other)
            later = waiting(watch, shard, RecordId(2**43, 0))
            await asyncio.sleep(0)

            await put(world, shard, b"a")

            await soon(asyncio.gather(mine, another))
            assert not elsewhere.done()
            assert not later.done()
            await put(world, other, b"b")
            await soon(elsewhere)
            later.cancel()

    server.run(scenario)


@pytest.mark.integration
def test_a_record_that_is_there_already_ends_a_wait_at_once(server: Server) -> None:
    async def scenario(world: World) -> None:
        shard = await open_shard(world)
        first = await put(world, shard, b"a")
        async with watching(world) as watch:
            await soon(watch.wait(shard, START))
            wait = waiting(watch, shard, first)
            await put(world, shard, b"b")
            await soon(wait)

    server.run(scenario)


@pytest.mark.integration
def test_a_wait_that_begins_while_a_read_is_blocked_joins_it(server: Server) -> None:
    async def scenario(world: World) -> None:
        shards = [await open_shard(world, index) for index in range(20)]
        async with watching(world) as watch:
            idle = waiting(watch, shards[0])
            for shard in shards[1:]:
                wait = waiting(watch, shard)
                await asyncio.sleep(0)  # the wait begins before the record comes
                await put(world, shard, b"a")
                began = asyncio.get_running_loop().time()
                await soon(wait)
                assert asyncio.get_running_loop().time() - began < BLOCK_S / 2
            assert not idle.done()
            idle.cancel()

    server.run(scenario)


@pytest.mark.integration
def test_closing_a_shard_ends_waits_on_every_node(server: Server) -> None:
    async def scenario(world: World) -> None:
        node = await open_world(world.client)
        shard = await open_shard(world)
        last = await put(world, shard, b"a")
        async with watching(world) as here, watching(node) as there:
            waits = [waiting(here, shard, last), waiting(there, node.store.streams.shard(a_stream(), 0), last)]
            await asyncio.sleep(0)
            await world.store.streams.close_shard(shard)
            await soon(asyncio.gather(*waits))
            await soon(here.wait(shard, last))
        await node.store.close()

    server.run(scenario)


@pytest.mark.integration
def test_removing_a_shard_ends_waits_here_and_forgetting_its_stream_those_elsewhere(server: Server) -> None:
    async def scenario(world: World) -> None:
        node = await open_world(world.client)
        stream = await world.store.streams.catalogue.put(a_stream())
        await node.store.refresh()
        shard = await open_shard(world)
        async with watching(world) as here, watching(node) as there:
            mine = waiting(here, shard)
            theirs = waiting(there, node.store.streams.shard(stream, 0))
            await asyncio.sleep(0)

            await world.store.streams.remove_shard(shard)
            await soon(mine)
            await world.store.streams.catalogue.delete(stream)
            assert not theirs.done()
            await node.store.refresh()
            await soon(theirs)
        await node.store.close()

    server.run(scenario)


@pytest.mark.integration
def test_after_records_that_have_all_expired_a_wait_is_one_for_newer_ones(server: Server) -> None:
    async def scenario(world: World) -> None:
        shard = await open_shard(world)
        first = await put(world, shard, b"a")
        async with watching(world) as watch:
            for _ in range(2):
                assert (await read(world, shard, horizon=first.ms + 60_000)).records == []
                wait = waiting(watch, shard)
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.05):
                        await asyncio.shield(wait)
                await put(world, shard, b"b")
                await soon(wait)

    server.run(scenario)


@pytest.mark.integration
def test_a_cancelled_wait_leaves_nothing_behind(server: Server) -> None:
    async def scenario(world: World) -> None:
        shard = await open_shard(world)
        async with watching(world) as watch:
            kept, dropped = waiting(watch, shard), waiting(watch, shard)
            await asyncio.sleep(0)
            dropped.cancel()
            await asyncio.gather(dropped, return_exceptions=True)
            await put(world, shard, b"a")
            await soon(kept)
            await soon(watch.wait(shard, START))

    server.run(scenario)


@pytest.mark.integration
def test_a_read_that_fails_lets_everybody_look_again(valkey: EmbeddedValkey) -> None:
    async def scenario(world: World) -> None:
        shard = await open_shard(world)
        await world.client.set(shard.new, "not a stream")
        watch = world.store.streams.watch
        wait = waiting(watch, shard)
        await asyncio.sleep(0)

        with pytest.raises(Unavailable):
            await watch.turn()
        await soon(wait)
        await world.client.delete(shard.new)

    valkey_server(valkey.url).run(scenario)


@pytest.mark.integration
def test_a_turn_can_be_ended_at_any_point(server: Server) -> None:
    async def scenario(world: World) -> None:
        shard = await open_shard(world)
        watch = world.store.streams.watch
        wait = waiting(watch, shard)
        await asyncio.sleep(0)
        for steps in range(60):
            turn = asyncio.create_task(watch.turn())
            for _ in range(steps):
                await asyncio.sleep(0)
            turn.cancel()
            await soon(asyncio.wait([turn]))
            assert turn.cancelled()
        async with watching(world):
            await put(world, shard, b"a")
            await soon(wait)

    server.run(scenario)


@pytest.mark.integration
def test_waits_work_in_virtual_time() -> None:
    async def scenario(world: World) -> None:
        shard, other = await open_shard(world), await open_shard(world, 1)
        async with watching(world) as watch:
            await asyncio.sleep(20)  # nobody waits: turns end and begin again
            wait = waiting(watch, shard)
            await asyncio.sleep(3_600)
            late = waiting(watch, other)
            await asyncio.sleep(1)
            assert not wait.done()
            now_ms = round(asyncio.get_running_loop().time() * 1_000) + EPOCH_MS
            await put(world, shard, b"a")
            await wait
            assert (await put(world, other, b"b")).ms - now_ms < 100
            await late

    in_virtual_time(scenario)


@pytest.mark.integration
def test_a_stream_that_is_busy_does_not_make_reads_of_many_idle_shards_frequent() -> None:
    async def scenario(world: World) -> None:
        shards = [await open_shard(world, index) for index in range(1_000)]
        async with watching(world) as watch:
            idle = [waiting(watch, shard) for shard in shards[1:]]
            began = asyncio.get_running_loop().time()
            position = START
            for _ in range(20):
                wait = waiting(watch, shards[0], position)
                await asyncio.sleep(0)
                position = await put(world, shards[0], b"a")
                await wait
            assert 0.15 < asyncio.get_running_loop().time() - began < 0.25
            for wait in idle:
                wait.cancel()

    in_virtual_time(scenario)
