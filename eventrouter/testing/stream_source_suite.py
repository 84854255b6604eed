"""What every StreamSource must keep to, as tests that any adapter can run.

A test module of the adapter derives a class from `StreamSourceSuite`, and gives it a fixture `play` that runs a
scenario in a `StreamWorld`: the source, and a hand on the streams behind it. See docs/stream-sources.md.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

import pytest

from eventrouter.ports import SourceGone
from eventrouter.rules.mapping import StartingPosition
from eventrouter.testing.stream_world import (
    PATIENCE_S,
    StreamWorld,
    assert_gone,
    await_record,
    document,
    first_page,
    numbers_of,
    one_shard,
    put,
    read,
    read_all,
)

__all__ = ["Play", "StreamSourceSuite", "StreamWorld"]

Play = Callable[[Callable[[StreamWorld], Awaitable[None]]], None]
"""Runs one scenario, from beginning to end, in a world of its own: in virtual time if the source can."""


def scenario(
    test: Callable[[StreamSourceSuite, StreamWorld], Awaitable[None]],
) -> Callable[[StreamSourceSuite, Play], None]:
    """Make a coroutine of a world a test that pytest can run."""

    def run(self: StreamSourceSuite, play: Play) -> None:
        play(lambda world: test(self, world))

    return run


class StreamSourceSuite:
    """The tests. A derived class overrides the fixture `play`."""

    @pytest.fixture
    def play(self) -> Play:
        """Return what runs one scenario, from beginning to end, in a world of its own."""
        raise NotImplementedError("give the suite a fixture `play`")

    @scenario
    async def test_a_source_says_what_it_is(self, world: StreamWorld) -> None:
        arn = await world.make_stream("orders")

        assert world.source.service == arn.split(":")[2]
        assert world.source.data_key
        assert world.source.batch_info.endswith("BatchInfo")
        assert world.source.starting_positions >= {StartingPosition.TRIM_HORIZON, StartingPosition.LATEST}

    @scenario
    async def test_every_shard_of_a_stream_is_named_once_and_always_alike(self, world: StreamWorld) -> None:
        arn = await world.make_stream("orders", shards=3)

        shards = await world.source.shards(arn)

        assert shards
        assert len({(shard.id, shard.generation) for shard in shards}) == len(shards)
        assert not any(shard.parents for shard in shards)
        assert set(await world.source.shards(arn)) == set(shards)

    @scenario
    async def test_records_come_in_the_order_in_which_they_were_put(self, world: StreamWorld) -> None:
        arn, shard = await one_shard(world)
        await put(world, arn, range(5))

        assert numbers_of(world, await read_all(world, arn, shard)) == [0, 1, 2, 3, 4]

    @scenario
    async def test_sequence_numbers_are_plain_decimal_numerals_that_grow(self, world: StreamWorld) -> None:
        arn, shard = await one_shard(world)
        await put(world, arn, range(12))

        sequences = [record.sequence for record in await read_all(world, arn, shard)]

        assert all(text == str(int(text)) for text in sequences)
        assert all(int(before) < int(after) for before, after in zip(["0", *sequences], sequences, strict=False))

    @scenario
    async def test_records_of_one_key_share_a_shard_and_say_the_same_key(self, world: StreamWorld) -> None:
        arn = await world.make_stream("orders", shards=3)
        for number in range(12):
            await world.put(arn, f"key-{number % 4}", document(number))

        places: dict[int, set[tuple[str, bytes]]] = {}
        for shard in await world.source.shards(arn):
            records = await read_all(world, arn, shard)
            numbers = numbers_of(world, records)
            for key in range(4):
                of_key = [number for number in numbers if number % 4 == key]
                assert of_key == sorted(of_key)
            for number, record in zip(numbers, records, strict=True):
                places.setdefault(number % 4, set()).add((shard.id, record.key))

        assert [len(places[key]) for key in range(4)] == [1, 1, 1, 1]
        assert len({place for found in places.values() for place in found}) == 4

    @scenario
    async def test_reading_goes_on_after_any_record(self, world: StreamWorld) -> None:
        arn, shard = await one_shard(world)
        await put(world, arn, range(4))
        records = await read_all(world, arn, shard)

        for index, record in enumerate(records):
            following = await read_all(world, arn, shard, after=record.sequence)
            assert [later.sequence for later in following] == [later.sequence for later in records[index + 1 :]]

    @scenario
    async def test_reading_one_position_twice_gives_the_same_records(self, world: StreamWorld) -> None:
        arn, shard = await one_shard(world)
        await put(world, arn, range(3))

        first = await read_all(world, arn, shard)
        again = await read_all(world, arn, shard)

        assert first == again

    @scenario
    async def test_two_readers_of_one_shard_do_not_disturb_each_other(self, world: StreamWorld) -> None:
        arn, shard = await one_shard(world)
        await put(world, arn, range(6))

        ahead, behind = await asyncio.gather(
            read_all(world, arn, shard, limit=1), read_all(world, arn, shard, limit=4), return_exceptions=False
        )

        assert numbers_of(world, ahead) == numbers_of(world, behind) == [0, 1, 2, 3, 4, 5]

    @scenario
    async def test_a_page_holds_no_more_records_than_asked_for(self, world: StreamWorld) -> None:
        arn, shard = await one_shard(world)
        await put(world, arn, range(7))

        page = await first_page(world, arn, shard, limit=3)
        rest = await read_all(world, arn, shard, after=page.records[-1].sequence, limit=3)

        assert 1 <= len(page.records) <= 3
        assert numbers_of(world, [*page.records, *rest]) == [0, 1, 2, 3, 4, 5, 6]

    @scenario
    async def test_a_page_is_cut_by_size_and_loses_nothing(self, world: StreamWorld) -> None:
        arn, shard = await one_shard(world)
        for number in range(12):
            await world.put(arn, "key", document(number, filler="x" * 4_000))

        page = await first_page(world, arn, shard, max_bytes=16_000)
        rest = await read_all(world, arn, shard, after=page.records[-1].sequence, max_bytes=16_000)

        assert len(page.records) < 12
        assert numbers_of(world, [*page.records, *rest]) == list(range(12))

    @scenario
    async def test_a_record_larger_than_a_page_still_comes(self, world: StreamWorld) -> None:
        arn, shard = await one_shard(world)
        await world.put(arn, "key", document(0, filler="x" * 20_000))
        await put(world, arn, [1])

        assert numbers_of(world, await read_all(world, arn, shard, max_bytes=1_000)) == [0, 1]

    @scenario
    async def test_nothing_to_read_is_an_empty_page_and_not_the_end(self, world: StreamWorld) -> None:
        arn, shard = await one_shard(world)
        empty = await read(world, arn, shard, world.source.START)
        await put(world, arn, [0])
        (record,) = await read_all(world, arn, shard)
        read_through = await read(world, arn, shard, record.sequence)

        for page in (empty, read_through):
            assert (list(page.records), page.is_end, page.has_lost) == ([], False, False)

    @scenario
    async def test_a_record_says_when_it_arrived(self, world: StreamWorld) -> None:
        arn, shard = await one_shard(world)
        before_ms = world.clock.now_ms()
        await put(world, arn, range(3))
        after_ms = world.clock.now_ms()

        arrivals = [record.arrived_ms for record in await read_all(world, arn, shard)]

        assert arrivals == sorted(arrivals)
        assert before_ms - 1_000 <= arrivals[0]  # a source may know the second only
        assert arrivals[-1] <= after_ms + 1_000

    @scenario
    async def test_an_arrival_is_rendered_as_a_moment_of_utc(self, world: StreamWorld) -> None:
        now_ms = world.clock.now_ms()

        text = world.source.arrival_text(now_ms)

        assert text.endswith("Z")
        moment = datetime.fromisoformat(text)
        assert moment.utcoffset() == timedelta(0)
        assert 0 <= now_ms - moment.timestamp() * 1_000 < 1_000

    @scenario
    async def test_an_event_is_json_that_filters_can_look_into(self, world: StreamWorld) -> None:
        arn, shard = await one_shard(world)
        await put(world, arn, [7])
        (record,) = await read_all(world, arn, shard)

        event = json.loads(record.event)
        seen = world.source.filterable(record.event)

        assert isinstance(event, dict)
        assert record.sequence in record.event.decode()
        assert json.loads(world.payload(record)) == json.loads(document(7))
        assert world.source.data_key in seen

    @scenario
    async def test_the_trim_horizon_is_before_everything_and_latest_after(self, world: StreamWorld) -> None:
        arn, shard = await one_shard(world)
        await put(world, arn, range(3))
        await world.clock.sleep(1.1)  # so that a source that knows the second only can tell old from new
        horizon = await world.source.position(arn, shard, StartingPosition.TRIM_HORIZON, 0)
        latest = await world.source.position(arn, shard, StartingPosition.LATEST, 0)
        await put(world, arn, [3])

        assert numbers_of(world, await read_all(world, arn, shard, after=horizon)) == [0, 1, 2, 3]
        assert numbers_of(world, await read_all(world, arn, shard, after=latest)) == [3]

    @scenario
    async def test_latest_of_an_empty_shard_sees_what_comes(self, world: StreamWorld) -> None:
        arn, shard = await one_shard(world)
        latest = await world.source.position(arn, shard, StartingPosition.LATEST, 0)
        await put(world, arn, [0])

        assert numbers_of(world, await read_all(world, arn, shard, after=latest)) == [0]

    @scenario
    async def test_a_timestamp_is_the_position_before_the_first_record_since(self, world: StreamWorld) -> None:
        arn, shard = await one_shard(world)
        if StartingPosition.AT_TIMESTAMP not in world.source.starting_positions:
            pytest.skip("mappings of this source cannot start at a moment")
        await put(world, arn, [0])
        await world.clock.sleep(2)
        between_ms = world.clock.now_ms() - 1_000
        await put(world, arn, [1, 2])

        since = await world.source.position(arn, shard, StartingPosition.AT_TIMESTAMP, between_ms)
        beginning = await world.source.position(arn, shard, StartingPosition.AT_TIMESTAMP, between_ms - 3_600_000)

        assert numbers_of(world, await read_all(world, arn, shard, after=since)) == [1, 2]
        assert numbers_of(world, await read_all(world, arn, shard, after=beginning)) == [0, 1, 2]

    @scenario
    async def test_waiting_ends_when_a_record_comes(self, world: StreamWorld) -> None:
        arn, shard = await one_shard(world)
        readers = [asyncio.create_task(await_record(world, arn, shard)) for _ in range(3)]
        await world.clock.sleep(0.2)
        await put(world, arn, [0])

        for reader in readers:
            assert numbers_of(world, await reader) == [0]

    @scenario
    async def test_waiting_for_what_is_there_already_ends_at_once(self, world: StreamWorld) -> None:
        arn, shard = await one_shard(world)
        await put(world, arn, [0])

        async with asyncio.timeout(PATIENCE_S):
            await world.source.wait(arn, shard, world.source.START)

    @scenario
    async def test_a_wait_that_is_given_up_leaves_the_others_waiting(self, world: StreamWorld) -> None:
        arn, shard = await one_shard(world)
        patient = asyncio.create_task(await_record(world, arn, shard))
        impatient = asyncio.create_task(await_record(world, arn, shard))
        await world.clock.sleep(0.1)
        impatient.cancel()
        await asyncio.gather(impatient, return_exceptions=True)
        await put(world, arn, [0])

        assert numbers_of(world, await patient) == [0]

    @scenario
    async def test_the_head_is_the_newest_record_or_unknown(self, world: StreamWorld) -> None:
        arn, shard = await one_shard(world)
        assert await world.source.head(arn, shard) is None
        await put(world, arn, range(3))
        newest = (await read_all(world, arn, shard))[-1]

        head = await world.source.head(arn, shard)

        assert head is None or (head.sequence, head.arrived_ms) == (newest.sequence, newest.arrived_ms)

    @scenario
    async def test_a_closed_shard_is_read_to_its_end_and_names_its_children(self, world: StreamWorld) -> None:
        arn, shard = await one_shard(world)
        await put(world, arn, range(3))
        await world.split(arn, shard)
        await put(world, arn, [3])

        shards = await world.source.shards(arn)
        children = [child for child in shards if shard.id in child.parents]
        parent_records = await read_all(world, arn, shard, to_end=True, limit=2)
        child_records = [record for child in children for record in await read_all(world, arn, child)]

        assert shard in shards
        assert len(shards) == 1 + len(children)
        assert numbers_of(world, parent_records) == [0, 1, 2]
        assert numbers_of(world, child_records) == [3]

    @scenario
    async def test_the_end_of_a_shard_shows_at_every_position_that_reaches_it(self, world: StreamWorld) -> None:
        arn, shard = await one_shard(world)
        await put(world, arn, range(3))
        last = (await read_all(world, arn, shard))[-1]
        await world.split(arn, shard)
        latest = await world.source.position(arn, shard, StartingPosition.LATEST, 0)

        for after in (world.source.START, last.sequence, latest):
            await read_all(world, arn, shard, after=after, to_end=True)
        page = await read(world, arn, shard, world.source.START, limit=1)
        assert not page.is_end

    @scenario
    async def test_a_shard_that_closed_without_records_has_an_end(self, world: StreamWorld) -> None:
        arn, shard = await one_shard(world)
        await world.split(arn, shard)
        if shard not in await world.source.shards(arn):
            return  # forgotten at once: nothing is left to read

        assert await read_all(world, arn, shard, to_end=True) == []

    @scenario
    async def test_waiting_ends_when_the_shard_is_closed(self, world: StreamWorld) -> None:
        arn, shard = await one_shard(world)
        await put(world, arn, [0])
        (record,) = await read_all(world, arn, shard)

        async def follow() -> None:
            while not (await read(world, arn, shard, record.sequence)).is_end:
                await world.source.wait(arn, shard, record.sequence)

        follower = asyncio.create_task(follow())
        await world.clock.sleep(0.1)
        await world.split(arn, shard)
        async with asyncio.timeout(PATIENCE_S):
            await follower

    @scenario
    async def test_records_that_expired_before_they_were_read_are_reported_lost(self, world: StreamWorld) -> None:
        arn, shard = await one_shard(world)
        await put(world, arn, range(3))
        first = (await read_all(world, arn, shard))[0]
        await world.outlive_retention(arn)
        await put(world, arn, [3])

        page = await first_page(world, arn, shard, after=first.sequence)

        assert page.has_lost
        assert numbers_of(world, page.records) == [3]
        assert numbers_of(world, await read_all(world, arn, shard)) == [3]

    @scenario
    async def test_what_was_read_before_it_expired_is_not_lost(self, world: StreamWorld) -> None:
        arn, shard = await one_shard(world)
        await put(world, arn, range(3))
        last = (await read_all(world, arn, shard))[-1]
        await world.outlive_retention(arn)

        page = await read(world, arn, shard, last.sequence)

        assert (list(page.records), page.is_end, page.has_lost) == ([], False, False)

    @scenario
    async def test_a_stream_that_was_deleted_is_gone(self, world: StreamWorld) -> None:
        arn, shard = await one_shard(world)
        await put(world, arn, range(2))
        first = (await first_page(world, arn, shard, limit=1)).records[0]
        await world.delete_stream(arn)

        await assert_gone(world, arn, shard, first.sequence)

    @scenario
    async def test_a_stream_that_never_was_is_gone(self, world: StreamWorld) -> None:
        arn, shard = await one_shard(world)
        await world.delete_stream(arn)

        await assert_gone(world, arn.replace("orders", "others"), shard, world.source.START)

    @scenario
    async def test_whoever_waits_is_not_left_waiting_on_a_deleted_stream(self, world: StreamWorld) -> None:
        arn, shard = await one_shard(world)

        async def follow() -> None:
            while True:
                await world.source.shards(arn)
                await read(world, arn, shard, world.source.START)
                await world.source.wait(arn, shard, world.source.START)

        follower = asyncio.create_task(follow())
        await world.clock.sleep(0.1)
        await world.delete_stream(arn)

        with pytest.raises(SourceGone):
            async with asyncio.timeout(PATIENCE_S):
                await follower

    @scenario
    async def test_a_stream_made_anew_under_its_name_begins_anew(self, world: StreamWorld) -> None:
        arn, shard = await one_shard(world)
        await put(world, arn, range(2))
        await world.delete_stream(arn)
        again, new_shard = await one_shard(world)
        await put(world, again, [2])

        assert (again, new_shard.id, new_shard.generation) != (arn, shard.id, shard.generation)
        if again == arn:
            with pytest.raises(SourceGone):
                await read(world, again, shard, world.source.START)
        assert numbers_of(world, await read_all(world, again, new_shard)) == [2]
