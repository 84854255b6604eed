"""Shards: order, ids, closing, retention, limits, and that a repeated put stores nothing twice. On every server."""

from __future__ import annotations

import asyncio
import time

import pytest

from eventrouter.rules.stream import RecordId
from eventrouter.store import ShardClosed, ShardKeys, ShardLimits, ShardMissing, ShardPage
from tests.store.test_catalogue import a_stream
from tests.store.twice import Twice
from tests.store.worlds import Server, World, open_world

pytestmark = pytest.mark.integration

START = RecordId(0, 0)
FUTURE_MS = 4_000_000_000_000
"""Ahead of every clock: ids of a shard that was opened after it do not depend on the clock."""


async def open_shard(world: World, index: int = 0, after: RecordId = START) -> ShardKeys:
    shard = world.store.streams.shard(a_stream(), index)
    await world.store.streams.open_shard(shard, after)
    return shard


async def put(world: World, shard: ShardKeys, *data: bytes) -> RecordId:
    """Put records, each its own key; return the id of the first."""
    stored = await world.store.streams.put(shard, [(each, each) for each in data])
    assert stored.accepted == len(data)
    return stored.first


async def read(
    world: World,
    shard: ShardKeys,
    after: RecordId = START,
    *,
    limit: int = 100,
    max_bytes: int = 10**6,
    horizon: int = 0,
) -> ShardPage:
    return await world.store.streams.read(shard, after, limit=limit, max_bytes=max_bytes, horizon_ms=horizon)


def data_of(page: ShardPage) -> list[bytes]:
    return [data for _, _, data in page.records]


async def pass_lease_s(world: World, shard: ShardKeys, seconds: int) -> None:
    """Let the shard's lease time pass, in the steps that its clock allows."""
    for _ in range(seconds // 2):
        await world.client.hincrby(shard.all[0], "w", -2_000)
        await world.store.scripts.call("shard_put", shard.all, (b"tick", "", 0, 0))


def test_records_come_back_in_order_with_their_keys_and_ids_in_a_row(server: Server) -> None:
    async def scenario(world: World) -> None:
        shard = await open_shard(world)
        records = [(b"k\x00%d" % n, bytes([n, 255])) for n in range(200)]

        began = int(time.time() * 1_000)
        first = await world.store.streams.put(shard, records[:150])
        second = await world.store.streams.put(shard, records[150:])

        page = await read(world, shard, limit=500)
        assert [(key, data) for _, key, data in page.records] == records
        ids = [each for each, _, _ in page.records]
        assert ids[:150] == [RecordId(first.first.ms, first.first.n + n) for n in range(150)]
        assert ids[150:] == [RecordId(second.first.ms, second.first.n + n) for n in range(50)]
        assert ids == sorted(set(ids))
        assert began - 1 <= first.first.ms <= time.time() * 1_000
        assert (page.is_end, page.has_lost) == (False, False)

    server.run(scenario)


def test_reading_goes_on_after_an_id(server: Server) -> None:
    async def scenario(world: World) -> None:
        shard = await open_shard(world)
        await put(world, shard, *(b"%d" % n for n in range(7)))
        seen: list[bytes] = []
        position = START
        while (page := await read(world, shard, position, limit=3)).records:
            seen += data_of(page)
            position = page.records[-1][0]

        assert seen == [b"%d" % n for n in range(7)]
        assert await world.store.streams.last(shard) == position

    server.run(scenario)


def test_ids_never_go_back_whatever_the_clock_does(server: Server) -> None:
    async def scenario(world: World) -> None:
        shard = await open_shard(world, after=RecordId(FUTURE_MS, 7))

        assert await put(world, shard, b"a", b"b") == (FUTURE_MS, 8)
        assert await put(world, shard, b"c") == (FUTURE_MS, 10)
        assert await world.store.streams.close_shard(shard) == (FUTURE_MS, 10)

    server.run(scenario)


def test_a_shard_that_is_not_open_takes_and_gives_nothing_and_leaves_nothing(server: Server) -> None:
    async def scenario(world: World) -> None:
        streams = world.store.streams
        shard = streams.shard(a_stream(), 0)

        with pytest.raises(ShardMissing):
            await put(world, shard, b"a")
        with pytest.raises(ShardMissing):
            await read(world, shard)
        with pytest.raises(ShardMissing):
            await streams.last(shard)
        with pytest.raises(ShardMissing):
            await streams.close_shard(shard)
        assert await streams.trim(shard, FUTURE_MS)
        assert await world.client.exists(*shard.all) == 0

    server.run(scenario)


def test_opening_again_changes_nothing(server: Server) -> None:
    async def scenario(world: World) -> None:
        shard = await open_shard(world, after=RecordId(FUTURE_MS, 0))
        await put(world, shard, b"a")

        await open_shard(world, after=START)
        assert await put(world, shard, b"b") == (FUTURE_MS, 2)
        closed = await world.store.streams.close_shard(shard)
        await open_shard(world, after=START)
        with pytest.raises(ShardClosed):
            await put(world, shard, b"c")
        assert await world.store.streams.close_shard(shard) == closed == (FUTURE_MS, 2)

    server.run(scenario)


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
def test_a_closed_shard_is_read_to_its_end(server: Server, limit: int) -> None:
    async def scenario(world: World) -> None:
        shard = await open_shard(world)
        await put(world, shard, b"a", b"b", b"c")
        end = await world.store.streams.close_shard(shard)

        seen: list[bytes] = []
        position, is_end = START, False
        while not is_end:
            page = await read(world, shard, position, limit=limit)
            assert page.records, "the end is told with the last record"
            seen, position, is_end = seen + data_of(page), page.records[-1][0], page.is_end
        assert seen == [b"a", b"b", b"c"]
        assert position == end
        assert (await read(world, shard, end)).is_end

    server.run(scenario)


def test_an_empty_closed_shard_is_at_its_end_and_closed_after_where_it_was_opened(server: Server) -> None:
    async def scenario(world: World) -> None:
        shard = await open_shard(world, after=RecordId(5, 3))

        assert await world.store.streams.last(shard) is None
        assert await world.store.streams.close_shard(shard) == (5, 3)
        assert await read(world, shard) == ShardPage(rows=[], is_end=True, has_lost=False)

    server.run(scenario)


def test_a_backlog_is_read_as_it_stands_while_others_put_close_and_remove(server: Server) -> None:
    async def scenario(world: World) -> None:
        shard = await open_shard(world)
        first = await put(world, shard, *(b"%d" % n for n in range(10)))
        before = world.ran.get("shard_read", 0)
        page = await read(world, shard, limit=4)
        page = await read(world, shard, page.records[-1][0], limit=4)
        assert data_of(page) == [b"4", b"5", b"6", b"7"]
        assert world.ran["shard_read"] == before + 1, "the second was a plain read"

        await put(world, shard, b"10")
        end = await world.store.streams.close_shard(shard)
        page = await read(world, shard, page.records[-1][0], limit=4)
        assert (data_of(page), page.is_end, page.records[-1][0]) == ([b"8", b"9", b"10"], True, end)
        await read(world, shard, limit=2)
        await world.store.streams.trim(shard, first.ms + 1_000_000)
        assert await read(world, shard, first, limit=2) == ShardPage(rows=[], is_end=True, has_lost=True)
        await world.store.streams.remove_shard(shard)
        with pytest.raises(ShardMissing):
            await read(world, shard, first, limit=2)

    server.run(scenario)


def test_an_answer_stays_near_the_bytes_asked_for(server: Server) -> None:
    async def scenario(world: World) -> None:
        shard = await open_shard(world)
        await world.store.streams.put(shard, [(b"k", b"x" * 99)] * 300)
        assert len((await read(world, shard, limit=1_000, max_bytes=5_000)).records) == 50
        await world.store.streams.put(shard, [(b"k", b"y" * 3_999)] * 10)

        assert len((await read(world, shard, limit=1_000, max_bytes=1)).records) == 1, "never none"
        position = START
        sizes: list[int] = []
        while (page := await read(world, shard, position, limit=1_000, max_bytes=5_000)).records:
            position = page.records[-1][0]
            sizes.append(sum(len(key) + len(data) for _, key, data in page.records))
        assert sum(sizes) == 300 * 100 + 10 * 4_000
        assert max(sizes) < 5_000 + 4_000
        assert min(sizes[:-1]) >= 5_000

    server.run(scenario)


def test_a_put_whose_answer_is_lost_stores_once(server: Server) -> None:
    async def scenario(world: World) -> None:
        node = await open_world(world.client, wrap=Twice)
        shard = await open_shard(node)

        first = await put(node, shard, b"a", b"b")
        await put(node, shard, b"c")
        await node.store.streams.close_shard(shard)

        page = await read(world, shard)
        assert data_of(page) == [b"a", b"b", b"c"]
        assert page.records[0][0] == first
        assert page.is_end
        await node.store.close()

    server.run(scenario)


def test_a_late_repetition_stores_nothing_even_after_the_shard_was_closed(server: Server) -> None:
    async def scenario(world: World) -> None:
        shard = await open_shard(world)
        scripts, streams = world.store.scripts, world.store.streams
        stored = await scripts.call("shard_put", shard.all, (b"call", "", "", "", b"k", b"a"))
        issued = stored[1]
        await pass_lease_s(world, shard, 118)

        again = await scripts.call("shard_put", shard.all, (b"call", issued, "", "", b"k", b"a"))
        assert again[2:] == stored[2:]
        unknown = await scripts.call("shard_put", shard.all, (b"later", issued, "", "", b"k", b"b"))
        assert unknown[0] == b"STALE"
        await streams.close_shard(shard)
        again = await scripts.call("shard_put", shard.all, (b"call", issued, "", "", b"k", b"a"))
        assert (again[0], again[2:]) == (b"OK", stored[2:])
        assert data_of(await read(world, shard)) == [b"a"]

    server.run(scenario)


def test_calls_are_forgotten_in_time_and_a_node_that_was_away_can_put(server: Server) -> None:
    async def scenario(world: World) -> None:
        shard = await open_shard(world)
        await put(world, shard, b"a")
        remembered = await world.client.hkeys(shard.all[4]) + await world.client.hkeys(shard.all[5])
        remembered += await world.client.hkeys(shard.all[6])

        await pass_lease_s(world, shard, 400)

        left = [call for key in shard.all[4:] for call in await world.client.hkeys(key)]
        assert len(remembered) == 1
        assert remembered[0] not in left
        await put(world, shard, b"b")
        assert data_of(await read(world, shard)) == [b"a", b"b"]

    server.run(scenario)


def test_what_exceeds_the_shards_limits_is_not_accepted_until_the_next_second(server: Server) -> None:
    async def scenario(world: World) -> None:
        limits = ShardLimits(records=5, bytes=1_000)
        shard = await open_shard(world, after=RecordId(FUTURE_MS, 0))
        streams = world.store.streams

        assert (await streams.put(shard, [(b"k", b"x" * 99)] * 3, limits=limits)).accepted == 3
        assert (await streams.put(shard, [(b"k", b"x" * 99)] * 3, limits=limits)).accepted == 2
        assert (await streams.put(shard, [(b"k", b"x")], limits=limits)).accepted == 0
        assert (await streams.put(shard, [(b"k", b"x")])).accepted == 1
        await world.client.hset(shard.meta[0], "ts", FUTURE_MS // 1_000 - 1)
        assert (await streams.put(shard, [(b"k", b"x" * 499)] * 3, limits=limits)).accepted == 2
        assert len((await read(world, shard)).records) == 8

    server.run(scenario)


def test_expired_records_are_left_out_and_their_loss_is_told(server: Server) -> None:
    async def scenario(world: World) -> None:
        shard = await open_shard(world)
        first = await put(world, shard, b"a")
        before = RecordId(first.ms - 1, 0)
        while (newest := await put(world, shard, b"c")).ms == first.ms:
            pass
        horizon = newest.ms

        page = await read(world, shard, before, horizon=horizon)
        assert data_of(page)[-1:] == [b"c"]
        assert all(each.ms >= horizon for each, _, _ in page.records)
        assert page.has_lost
        assert not (await read(world, shard, START, horizon=horizon)).has_lost, "a first read has lost nothing"
        assert not (await read(world, shard, RecordId(horizon - 1, 10**6), horizon=horizon)).has_lost

        assert not await world.store.streams.trim(shard, horizon)
        assert data_of(await read(world, shard)) == data_of(page)
        assert (await read(world, shard, before)).has_lost, "trimming does not hide the loss"
        assert not (await read(world, shard, newest)).has_lost

    server.run(scenario)


def test_a_callers_clock_that_is_ahead_expires_nothing(server: Server) -> None:
    async def scenario(world: World) -> None:
        shard = await open_shard(world)
        await put(world, shard, b"a")
        day_ms = 86_400_000
        ahead = int(time.time() * 1_000) + 10 * day_ms
        args = (0, 0, 10, 1_000, ahead - day_ms, ahead)

        assert (await world.store.scripts.call("shard_read", shard.read, args))[7:] == [b"a", b"a"]
        answer = await world.store.scripts.call("shard_trim", shard.read, (ahead - day_ms, ahead))
        assert answer == [b"OK", 1]

    server.run(scenario)


def test_trimming_drops_exactly_what_has_expired_however_much_it_is(server: Server) -> None:
    async def scenario(world: World) -> None:
        streams = world.store.streams
        shard = await open_shard(world)
        for _ in range(12):
            await streams.put(shard, [(b"k", b"x")] * 500)
        last = kept = await streams.put(shard, [(b"k", b"x")])
        while kept.first.ms == last.first.ms:
            kept = await streams.put(shard, [(b"k", b"y")])
        before = await world.client.xlen(shard.read[1])
        staying = await world.client.xrange(shard.read[1], min=f"{kept.first.ms}-0")

        assert not await streams.trim(shard, kept.first.ms)

        assert before > 6_000
        assert await world.client.xrange(shard.read[1]) == staying
        assert await streams.last(shard) == kept.first

    server.run(scenario)


def test_a_shard_whose_records_have_all_expired_is_empty_and_its_ids_go_on(server: Server) -> None:
    async def scenario(world: World) -> None:
        streams = world.store.streams
        shard = await open_shard(world, after=RecordId(FUTURE_MS, 0))
        first = await put(world, shard, b"a")

        assert await streams.trim(shard, FUTURE_MS + 1)
        assert await streams.last(shard) is None
        second = await put(world, shard, b"b")
        assert second == (FUTURE_MS, 2) > first
        assert await streams.last(shard) == second

    server.run(scenario)


def test_removing_a_shard_leaves_no_key_of_it(server: Server) -> None:
    async def scenario(world: World) -> None:
        before = set(await world.client.keys("*"))
        shard, other = await open_shard(world), await open_shard(world, 1)
        await put(world, shard, b"a")
        await put(world, other, b"b")

        await world.store.streams.remove_shard(shard)
        await world.store.streams.remove_shard(shard)
        assert data_of(await read(world, other)) == [b"b"]
        await world.store.streams.remove_shard(other)
        assert set(await world.client.keys("*")) == before

    server.run(scenario)


def test_puts_of_many_writers_at_once_are_all_there_in_each_writers_order(server: Server) -> None:
    async def scenario(world: World) -> None:
        shard = await open_shard(world)

        async def write(writer: int) -> None:
            for n in range(20):
                await put(world, shard, b"%d:%d" % (writer, n))

        await asyncio.gather(*map(write, range(8)))
        data = data_of(await read(world, shard, limit=1_000))
        for writer in range(8):
            mine = [each for each in data if each.startswith(b"%d:" % writer)]
            assert mine == [b"%d:%d" % (writer, n) for n in range(20)]
        assert len(data) == 160

    server.run(scenario)
