"""Splitting, merging, counting and listing shards, in virtual time."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any

import pytest

from eventrouter.rules.stream import StreamName, StreamStatus
from eventrouter_adapters.kinesis.resharding import resize
from tests.adapters.world import CALLER, EPOCH_MS, World, play, refused

pytestmark = pytest.mark.integration

NAME = StreamName(account=CALLER.account, region=CALLER.region, name="orders")
LAST = str(2**128 - 1)
HALF = 2**127
HOUR_S = 3_600.0


def shard_id(index: int) -> str:
    return f"shardId-{index:012d}"


async def listed(world: World, **members: Any) -> list[dict[str, Any]]:
    members = members if "NextToken" in members else {"StreamName": "orders", **members}
    shards: list[dict[str, Any]] = (await world.kinesis("ListShards", **members))["Shards"]
    return shards


async def indexes(world: World, **members: Any) -> list[int]:
    return [int(shard["ShardId"][-3:]) for shard in await listed(world, **members)]


async def split(world: World, index: int, at: int) -> None:
    await world.kinesis("SplitShard", StreamName="orders", ShardToSplit=shard_id(index), NewStartingHashKey=str(at))


async def merge(world: World, one: int, other: int) -> None:
    await world.kinesis(
        "MergeShards", StreamName="orders", ShardToMerge=shard_id(one), AdjacentShardToMerge=shard_id(other)
    )


async def resized(world: World, count: int) -> dict[str, Any]:
    return await world.kinesis(
        "UpdateShardCount", StreamName="orders", TargetShardCount=count, ScalingType="UNIFORM_SCALING"
    )


def test_a_split_shard_goes_on_in_two_children() -> None:
    async def scenario(world: World) -> None:
        await world.a_stream()
        last = (await world.kinesis("PutRecord", StreamName="orders", PartitionKey="k", Data=b""))["SequenceNumber"]

        await split(world, 0, 1000)

        parent, lower, upper = await listed(world)
        assert parent["SequenceNumberRange"]["EndingSequenceNumber"] == last
        assert lower["HashKeyRange"] == {"StartingHashKey": "0", "EndingHashKey": "999"}
        assert upper["HashKeyRange"] == {"StartingHashKey": "1000", "EndingHashKey": LAST}
        for child in (lower, upper):
            assert child["ParentShardId"] == shard_id(0)
            assert "AdjacentParentShardId" not in child
            assert int(child["SequenceNumberRange"]["StartingSequenceNumber"]) > int(last)
            assert "EndingSequenceNumber" not in child["SequenceNumberRange"]
        again = await refused(split(world, 0, 1000))
        assert (again.code, again.message) == (
            "InvalidArgumentException",
            (
                f"Shard {shard_id(0)} in stream orders under account 000000000000 has already been merged or split, "
                "and thus is not eligible for merging or splitting."
            ),
        )

    play(scenario)


@pytest.mark.parametrize("at", [0, 1, 2**128 - 1])
def test_a_shard_is_not_split_at_its_edges(at: int) -> None:
    async def scenario(world: World) -> None:
        await world.a_stream()
        error = await refused(split(world, 0, at))
        assert (error.code, error.message) == (
            "InvalidArgumentException",
            (
                f"NewStartingHashKey {at} used in SplitShard() on shard {shard_id(0)} in stream orders under "
                "account 000000000000 is not both greater than one plus the shard's StartingHashKey 0 and less than "
                f"the shard's EndingHashKey {LAST}."
            ),
        )

    play(scenario)


def test_merged_shards_go_on_in_one_child() -> None:
    async def scenario(world: World) -> None:
        await world.a_stream(shards=3)

        await merge(world, 1, 0)

        *_, child = await listed(world)
        assert (child["ParentShardId"], child["AdjacentParentShardId"]) == (shard_id(1), shard_id(0))
        assert child["HashKeyRange"] == {
            "StartingHashKey": "0",
            "EndingHashKey": "226854911280625642308916404954512140969",
        }
        assert (await refused(merge(world, 0, 2))).code == "InvalidArgumentException"
        for pair in ((2, 2), (3, 3)):
            assert "are not an adjacent pair of shards" in (await refused(merge(world, *pair))).message
        await merge(world, 3, 2)
        assert await indexes(world, ShardFilter={"Type": "AT_LATEST"}) == [4]

    play(scenario)


def test_a_stream_is_given_another_number_of_even_shards() -> None:
    async def scenario(world: World) -> None:
        arn = await world.a_stream(shards=2)

        answer = await resized(world, 3)

        assert answer == {"StreamName": "orders", "StreamARN": arn, "CurrentShardCount": 2, "TargetShardCount": 3}
        latest = await listed(world, ShardFilter={"Type": "AT_LATEST"})
        ranges = [shard["HashKeyRange"] for shard in latest]
        assert sorted((int(each["StartingHashKey"]), int(each["EndingHashKey"])) for each in ranges) == [
            (0, 113427455640312821154458202477256070484),
            (113427455640312821154458202477256070485, 226854911280625642308916404954512140969),
            (226854911280625642308916404954512140970, 2**128 - 1),
        ]

    play(scenario)


def test_a_stream_is_scaled_by_half_or_double_and_ten_times_a_day() -> None:
    async def scenario(world: World) -> None:
        await world.a_stream(shards=4)

        for count in (1, 9):
            assert (await refused(resized(world, count))).code == "LimitExceededException"
        for count in (2, 4, 8, 5, 3, 6, 7, 9, 5, 3):
            await resized(world, count)
        assert (await refused(resized(world, 4))).code == "LimitExceededException"
        await world.clock.sleep(24 * HOUR_S)
        await resized(world, 4)

    play(scenario)


@pytest.mark.parametrize("before", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("after", [1, 2, 3, 4, 7, 16])
def test_any_number_of_shards_becomes_any_other_by_splits_and_merges(before: int, after: int) -> None:
    async def scenario(world: World) -> None:
        await world.a_stream(shards=before)
        stream = world.store.streams.catalogue.get(NAME.key)
        assert stream is not None
        shards = resize(stream.shards, stream.open_shards, after)

        parents = {index for shard in shards for index in shard.parents}
        leaves = sorted(
            (int(shard.first_hash_key), int(shard.last_hash_key)) for shard in shards if shard.index not in parents
        )
        size = 2**128 // after
        assert [first for first, _ in leaves] == [index * size for index in range(after)]
        assert [last + 1 for _, last in leaves[:-1]] == [first for first, _ in leaves[1:]]
        assert leaves[-1][1] == 2**128 - 1
        assert [shard.index for shard in shards] == list(range(len(shards)))
        assert all(len(shard.parents) <= 2 and max(shard.parents, default=-1) < shard.index for shard in shards)

    play(scenario)


def test_a_reshard_that_stopped_anywhere_is_finished_without_losing_a_record() -> None:
    async def scenario(world: World) -> None:
        streams = world.store.streams
        for done in range(4):
            await world.a_stream(shards=2)
            for key in ("1", "test"):
                await world.kinesis("PutRecord", StreamName="orders", PartitionKey=key, Data=b"x")
            stream = streams.catalogue.get(NAME.key)
            assert stream is not None
            begun = dataclasses.replace(
                stream,
                status=StreamStatus.UPDATING,
                shards=resize(stream.shards, stream.shards, 3),
                changed_at_ms=world.clock.now_ms(),
            )
            begun = await streams.catalogue.put(begun)
            lasts = [await streams.close_shard(streams.shard(begun, index)) for index in range(min(done, 2))]
            if done == 3:
                await streams.open_shard(streams.shard(begun, 2), lasts[0]._replace(ms=lasts[0].ms + 1))

            await world.clock.sleep(1)
            await asyncio.gather(*(world.kinesis_adapter.loops["kinesis-transitions"]() for _ in range(2)))

            assert len(await listed(world, ShardFilter={"Type": "AT_LATEST"})) == 3
            for index in (0, 1):
                place = {"StreamName": "orders", "ShardId": shard_id(index), "ShardIteratorType": "TRIM_HORIZON"}
                iterator = (await world.kinesis("GetShardIterator", **place))["ShardIterator"]
                answer = await world.kinesis("GetRecords", ShardIterator=iterator)
                assert len(answer["Records"]) == 1
                assert answer["ChildShards"]
            await world.kinesis("DeleteStream", StreamName="orders")

    play(scenario)


def test_shards_are_listed_in_pages() -> None:
    async def scenario(world: World) -> None:
        await world.a_stream(shards=5)

        first = await world.kinesis("ListShards", StreamName="orders", MaxResults=2)
        rest = await world.kinesis("ListShards", NextToken=first["NextToken"], MaxResults=3)

        assert [shard["ShardId"] for shard in first["Shards"] + rest["Shards"]] == [shard_id(n) for n in range(5)]
        assert "NextToken" not in rest
        assert await indexes(world, ExclusiveStartShardId=shard_id(3)) == [4]
        both = await refused(world.kinesis("ListShards", StreamName="orders", NextToken=first["NextToken"]))
        assert both.message == "NextToken and StreamName cannot be provided together."
        assert (await refused(listed(world, NextToken="x"))).message == "Invalid NextToken."
        other = await refused(listed(world, NextToken=first["NextToken"], StreamARN=await world.a_stream("others")))
        assert other.message == "The NextToken is not one of the stream that StreamARN names."
        await world.clock.sleep(300)
        assert await indexes(world, NextToken=first["NextToken"]) == [2, 3, 4]
        await world.clock.sleep(1)
        late = await refused(listed(world, NextToken=first["NextToken"]))
        assert late.code == "ExpiredNextTokenException"

    play(scenario)


def test_shards_are_listed_as_they_were_at_a_time() -> None:
    async def scenario(world: World) -> None:
        await world.a_stream(shards=2)
        await world.clock.sleep(60)
        await split(world, 0, 1000)
        await world.clock.sleep(60)
        await merge(world, 2, 3)
        began_s = EPOCH_MS / 1_000

        async def passing(kind: str, **members: Any) -> list[int]:
            return await indexes(world, ShardFilter={"Type": kind, **members})

        assert await indexes(world) == await passing("FROM_TRIM_HORIZON") == [0, 1, 2, 3, 4]
        assert await passing("AT_TRIM_HORIZON") == [0, 1]
        assert await passing("AT_LATEST") == [1, 4]
        assert await passing("AFTER_SHARD_ID", ShardId=shard_id(2)) == [3, 4]
        assert await passing("AT_TIMESTAMP", Timestamp=began_s + 90) == [1, 2, 3]
        assert await passing("AT_TIMESTAMP", Timestamp=0.0) == [0, 1]
        assert await passing("FROM_TIMESTAMP", Timestamp=began_s + 90) == [1, 2, 3, 4]
        for kind in ("AFTER_SHARD_ID", "AT_TIMESTAMP", "FROM_TIMESTAMP"):
            assert (await refused(passing(kind))).code == "InvalidArgumentException"

    play(scenario)


def test_a_stream_created_at_another_time_is_not_found() -> None:
    async def scenario(world: World) -> None:
        arn = await world.a_stream()
        began_s = EPOCH_MS / 1_000

        assert await indexes(world, StreamCreationTimestamp=began_s) == [0]
        consumers = await world.kinesis("ListStreamConsumers", StreamARN=arn, StreamCreationTimestamp=began_s)
        assert consumers == {"Consumers": []}
        for wrong in (
            listed(world, StreamCreationTimestamp=began_s - 1),
            world.kinesis("ListStreamConsumers", StreamARN=arn, StreamCreationTimestamp=began_s - 1),
        ):
            assert (await refused(wrong)).code == "ResourceNotFoundException"

    play(scenario)


def test_a_closed_shard_is_forgotten_when_its_retention_has_passed() -> None:
    async def scenario(world: World) -> None:
        await world.a_stream()
        await world.kinesis("PutRecord", StreamName="orders", PartitionKey="k", Data=b"")
        await split(world, 0, 1000)
        keys = len(await world.store.scripts.command("KEYS", "*"))

        await world.clock.sleep(24 * HOUR_S)
        await world.kinesis_adapter.loops["kinesis-retention"]()
        assert await indexes(world) == [0, 1, 2]
        await world.clock.sleep(1)
        assert await indexes(world) == [1, 2]
        await world.kinesis_adapter.loops["kinesis-retention"]()

        stream = world.store.streams.catalogue.get(NAME.key)
        assert stream is not None
        assert [shard.index for shard in stream.shards] == [1, 2]
        assert len(await world.store.scripts.command("KEYS", "*")) < keys
        await resized(world, 4)
        assert await indexes(world) == [1, 2, 3, 4, 5, 6, 7, 8, 9, 10][: len(await indexes(world))]

    play(scenario)
