"""Our streams as sources of event source mappings, in virtual time."""

from __future__ import annotations

import asyncio
import json

import pytest

from eventrouter.errors import AdapterError
from eventrouter.ports import SourceGone, SourceShard, StreamSource
from eventrouter.rules.mapping import StartingPosition
from eventrouter_adapters.kinesis.source import KinesisSource
from tests.adapters.world import EPOCH_MS, World, play

pytestmark = pytest.mark.integration

ROLE = "arn:aws:iam::000000000000:role/r"
HOUR_S = 3_600.0


def source_of(world: World) -> StreamSource:
    [source] = world.kinesis_adapter.streams
    return source


async def put(world: World, *data: bytes) -> list[str]:
    numbers = []
    for each in data:
        answer = await world.kinesis("PutRecord", StreamName="orders", PartitionKey="k", Data=each)
        numbers.append(str(answer["SequenceNumber"]))
    return numbers


async def read(
    source: StreamSource, arn: str, shard: SourceShard, after: str = KinesisSource.START, *, limit: int = 100
) -> tuple[list[str], bool, bool]:
    page = await source.read(arn, shard, after, limit=limit, max_bytes=1 << 20, identity_arn=ROLE)
    return [record.sequence for record in page.records], page.is_end, page.has_lost


def test_records_are_read_after_a_position() -> None:
    async def scenario(world: World) -> None:
        source, arn = source_of(world), await world.a_stream()
        numbers = await put(world, b"0", b"1", b"2")
        [shard] = await source.shards(arn)

        assert await read(source, arn, shard, limit=2) == (numbers[:2], False, False)
        assert await read(source, arn, shard, numbers[1]) == (numbers[2:], False, False)
        assert await read(source, arn, shard, numbers[2]) == ([], False, False)
        page = await source.read(arn, shard, "0", limit=1, max_bytes=1 << 20, identity_arn=ROLE)
        event = json.loads(page.records[0].event)
        assert (event["invokeIdentityArn"], event["eventSourceARN"]) == (ROLE, arn)
        assert page.records[0].key == b"k"
        head = await source.head(arn, shard)
        assert head is not None
        assert (head.sequence, head.arrived_ms) == (numbers[2], EPOCH_MS)

    play(scenario)


def test_a_consumer_of_a_stream_is_a_source_too() -> None:
    async def scenario(world: World) -> None:
        source, arn = source_of(world), await world.a_stream()
        numbers = await put(world, b"0")
        answer = await world.kinesis("RegisterStreamConsumer", StreamARN=arn, ConsumerName="reader")
        consumer = answer["Consumer"]["ConsumerARN"]

        [shard] = await source.shards(consumer)
        page = await source.read(consumer, shard, "0", limit=1, max_bytes=1 << 20, identity_arn=ROLE)

        assert [record.sequence for record in page.records] == numbers
        assert json.loads(page.records[0].event)["eventSourceARN"] == consumer
        await world.kinesis("DeregisterStreamConsumer", ConsumerARN=consumer)
        with pytest.raises(SourceGone, match="consumer reader not found"):
            await source.shards(consumer)

    play(scenario)


def test_reading_begins_where_a_mapping_wants() -> None:
    async def scenario(world: World) -> None:
        source, arn = source_of(world), await world.a_stream()
        [shard] = await source.shards(arn)
        empty = await source.position(arn, shard, StartingPosition.LATEST, 0)
        first = await put(world, b"0")
        await world.clock.sleep(1)
        second = await put(world, b"1")

        latest = await source.position(arn, shard, StartingPosition.LATEST, 0)
        oldest = await source.position(arn, shard, StartingPosition.TRIM_HORIZON, 0)
        at = await source.position(arn, shard, StartingPosition.AT_TIMESTAMP, EPOCH_MS + 1)

        assert (await read(source, arn, shard, empty))[0] == (await read(source, arn, shard, oldest))[0]
        assert (await read(source, arn, shard, oldest))[0] == first + second
        assert (await read(source, arn, shard, at))[0] == second
        assert (await read(source, arn, shard, latest))[0] == []
        assert oldest == "0"

    play(scenario)


def test_children_name_the_parents_that_are_to_be_read_first() -> None:
    async def scenario(world: World) -> None:
        source, arn = source_of(world), await world.a_stream()
        numbers = await put(world, b"0")
        split = {"ShardToSplit": "shardId-000000000000", "NewStartingHashKey": "1000"}
        await world.kinesis("SplitShard", StreamName="orders", **split)
        after = await put(world, b"1")

        parent, lower, upper = await source.shards(arn)

        assert lower.parents == upper.parents == (parent.id,)
        assert parent.parents == ()
        assert await read(source, arn, parent) == (numbers, True, False)
        assert await read(source, arn, upper) == (after, False, False)
        assert int(after[0]) > int(numbers[0])
        await world.clock.sleep(25 * HOUR_S)
        await world.kinesis_adapter.loops["kinesis-retention"]()
        lower, upper = await source.shards(arn)
        assert lower.parents == upper.parents == ()
        assert await read(source, arn, parent) == ([], True, True)
        assert await source.head(arn, parent) is None

    play(scenario)


def test_a_waiting_reader_is_woken_by_a_record_and_by_the_end_of_the_shard() -> None:
    async def scenario(world: World) -> None:
        source, arn = source_of(world), await world.a_stream()
        [shard] = await source.shards(arn)

        waiting = asyncio.ensure_future(source.wait(arn, shard, "0"))
        await world.clock.sleep(30)
        assert not waiting.done()
        [number] = await put(world, b"0")
        await asyncio.wait_for(waiting, 0.1)
        waiting = asyncio.ensure_future(source.wait(arn, shard, number))
        await world.clock.sleep(0.1)
        split = {"ShardToSplit": "shardId-000000000000", "NewStartingHashKey": "1000"}
        await world.kinesis("SplitShard", StreamName="orders", **split)
        await asyncio.wait_for(waiting, 1)

    play(scenario)


def test_records_that_expired_unread_are_reported_as_lost() -> None:
    async def scenario(world: World) -> None:
        source, arn = source_of(world), await world.a_stream()
        [shard] = await source.shards(arn)
        numbers = await put(world, b"0", b"1")
        await world.clock.sleep(24 * HOUR_S + 1)

        assert await read(source, arn, shard, numbers[0]) == ([], False, True)

    play(scenario)


def test_the_shards_of_a_deleted_stream_are_gone_even_if_its_name_comes_back() -> None:
    async def scenario(world: World) -> None:
        source, arn = source_of(world), await world.a_stream()
        [shard] = await source.shards(arn)
        await world.kinesis("DeleteStream", StreamName="orders")

        for comes_back in (False, True):
            if comes_back:
                await world.a_stream()
            for asked in (
                read(source, arn, shard),
                source.wait(arn, shard, "0"),
                source.head(arn, shard),
                source.position(arn, shard, StartingPosition.LATEST, 0),
            ):
                with pytest.raises(SourceGone):
                    await asked
        [again] = await source.shards(arn)
        assert (again.id, again.generation == shard.generation) == (shard.id, False)
        with pytest.raises(SourceGone, match="Stream none under account 000000000000 not found"):
            await source.shards(arn.replace("orders", "none"))
        with pytest.raises(AdapterError):
            await source.shards("arn:aws:sqs:us-east-1:000000000000:q")

    play(scenario)


def test_arrivals_are_rendered_with_their_milliseconds() -> None:
    async def scenario(world: World) -> None:
        source = source_of(world)
        assert source.arrival_text(1_573_691_884_835) == "2019-11-14T00:38:04.835Z"
        assert source.arrival_text(1_573_691_884_000) == "2019-11-14T00:38:04.000Z"

    play(scenario)
