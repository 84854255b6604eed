"""Streams as their callers see them, in virtual time: creating, naming, describing, tagging, deleting."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from eventrouter.rules.stream import Stream, StreamName, StreamStatus
from eventrouter_adapters.kinesis.resharding import first_shards
from tests.adapters.world import CALLER, EPOCH_MS, World, play, refused

pytestmark = pytest.mark.integration

ARN = "arn:aws:kinesis:us-east-1:000000000000:stream/orders"


async def described(world: World, name: str = "orders") -> dict[str, Any]:
    description: dict[str, Any] = (await world.kinesis("DescribeStream", StreamName=name))["StreamDescription"]
    return description


def test_a_new_stream_is_active_with_even_shards() -> None:
    async def scenario(world: World) -> None:
        assert await world.kinesis("CreateStream", StreamName="orders", ShardCount=2) == {}

        description = await described(world)
        shards = description.pop("Shards")

        assert description == {
            "StreamName": "orders",
            "StreamARN": ARN,
            "StreamStatus": "ACTIVE",
            "StreamModeDetails": {"StreamMode": "PROVISIONED"},
            "StreamCreationTimestamp": EPOCH_MS / 1_000,
            "RetentionPeriodHours": 24,
            "EnhancedMonitoring": [{"ShardLevelMetrics": []}],
            "HasMoreShards": False,
            "EncryptionType": "NONE",
        }
        assert [(shard["ShardId"], shard["HashKeyRange"]) for shard in shards] == [
            (
                "shardId-000000000000",
                {"StartingHashKey": "0", "EndingHashKey": "170141183460469231731687303715884105727"},
            ),
            (
                "shardId-000000000001",
                {
                    "StartingHashKey": "170141183460469231731687303715884105728",
                    "EndingHashKey": "340282366920938463463374607431768211455",
                },
            ),
        ]
        assert all("EndingSequenceNumber" not in shard["SequenceNumberRange"] for shard in shards)
        taken = await refused(world.kinesis("CreateStream", StreamName="orders", ShardCount=1))
        assert (taken.code, taken.message) == (
            "ResourceInUseException",
            "Stream orders under account 000000000000 already exists.",
        )

    play(scenario)


def test_a_stream_without_a_shard_count_is_on_demand() -> None:
    async def scenario(world: World) -> None:
        await world.kinesis("CreateStream", StreamName="auto")
        await world.kinesis("CreateStream", StreamName="said", StreamModeDetails={"StreamMode": "ON_DEMAND"})

        for name in ("auto", "said"):
            description = await described(world, name)
            assert description["StreamModeDetails"] == {"StreamMode": "ON_DEMAND"}
            assert len(description["Shards"]) == 4
        for wrong in (
            {"StreamModeDetails": {"StreamMode": "PROVISIONED"}},
            {"StreamModeDetails": {"StreamMode": "ON_DEMAND"}, "ShardCount": 2},
        ):
            error = await refused(world.kinesis("CreateStream", StreamName="wrong", **wrong))
            assert error.code == "ValidationException"

    play(scenario)


def test_records_are_distributed_by_partition_key_only() -> None:
    async def scenario(world: World) -> None:
        await world.a_stream("keyed", RecordDistributionStrategy="USER_PARTITION_KEY")
        error = await refused(world.kinesis("CreateStream", StreamName="x", RecordDistributionStrategy="AUTO"))
        warm = await refused(world.kinesis("CreateStream", StreamName="x", WarmThroughputMiBps=1))

        assert "AUTO" in error.message
        assert warm.message == "WarmThroughputMiBps is not supported."

    play(scenario)


def test_a_stream_is_named_by_name_by_arn_or_by_both() -> None:
    async def scenario(world: World) -> None:
        await world.a_stream()

        for named in ({"StreamName": "orders"}, {"StreamARN": ARN}, {"StreamName": "orders", "StreamARN": ARN}):
            summary = (await world.kinesis("DescribeStreamSummary", **named))["StreamDescriptionSummary"]
            assert (summary["StreamName"], summary["OpenShardCount"]) == ("orders", 1)
        for wrong in ({}, {"StreamName": "other", "StreamARN": ARN}, {"StreamARN": f"{ARN}/x"}):
            error = await refused(world.kinesis("DescribeStream", **wrong))
            assert error.code == "InvalidArgumentException"
        missing = await refused(world.kinesis("DescribeStream", StreamName="none"))
        assert (missing.code, missing.message) == (
            "ResourceNotFoundException",
            "Stream none under account 000000000000 not found.",
        )
        for stranger in (
            dataclasses.replace(CALLER, account="111111111111"),
            dataclasses.replace(CALLER, region="eu-west-1"),
        ):
            for named in ({"StreamName": "orders"}, {"StreamARN": ARN}):
                error = await refused(world.kinesis("DescribeStream", caller=stranger, **named))
                assert error.code == "ResourceNotFoundException"

    play(scenario)


def test_the_shards_of_a_stream_are_described_in_pages() -> None:
    async def scenario(world: World) -> None:
        await world.a_stream(shards=3)

        async def page(**members: Any) -> tuple[list[str], bool]:
            answer = (await world.kinesis("DescribeStream", StreamName="orders", **members))["StreamDescription"]
            return [shard["ShardId"][-1] for shard in answer["Shards"]], answer["HasMoreShards"]

        assert await page(Limit=2) == (["0", "1"], True)
        assert await page(Limit=2, ExclusiveStartShardId="shardId-000000000001") == (["2"], False)

    play(scenario)


def test_streams_are_listed_by_name_in_pages() -> None:
    async def scenario(world: World) -> None:
        for name in ("b", "c", "a"):
            await world.a_stream(name)

        whole = await world.kinesis("ListStreams")
        first = await world.kinesis("ListStreams", Limit=2)
        rest = await world.kinesis("ListStreams", NextToken=first["NextToken"])
        behind = await world.kinesis("ListStreams", ExclusiveStartStreamName="b")

        assert (whole["StreamNames"], whole["HasMoreStreams"]) == (["a", "b", "c"], False)
        assert "NextToken" not in whole
        assert (first["StreamNames"], first["HasMoreStreams"]) == (["a", "b"], True)
        assert rest["StreamNames"] == behind["StreamNames"] == ["c"]
        assert whole["StreamSummaries"][0] == {
            "StreamName": "a",
            "StreamARN": ARN.replace("orders", "a"),
            "StreamStatus": "ACTIVE",
            "StreamModeDetails": {"StreamMode": "PROVISIONED"},
            "StreamCreationTimestamp": EPOCH_MS / 1_000,
        }
        other = dataclasses.replace(CALLER, region="eu-west-1")
        assert (await world.kinesis("ListStreams", caller=other))["StreamNames"] == []
        for wrong in ("x", "%", "W10="):
            assert (await refused(world.kinesis("ListStreams", NextToken=wrong))).message == "Invalid NextToken."

    play(scenario)


def test_no_page_is_longer_than_aws_s() -> None:
    async def scenario(world: World) -> None:
        await world.a_stream(shards=101)
        for number in range(100):
            await world.a_stream(f"s{number}")

        described = await world.kinesis("DescribeStream", StreamName="orders", Limit=10_000)
        listed = await world.kinesis("ListStreams", Limit=10_000)

        assert len(described["StreamDescription"]["Shards"]) == 100
        assert described["StreamDescription"]["HasMoreShards"]
        assert (len(listed["StreamNames"]), listed["HasMoreStreams"]) == (100, True)

    play(scenario)


def test_five_streams_at_most_are_created_at_once() -> None:
    async def scenario(world: World) -> None:
        for number in range(5):
            await world.a_stream(f"s{number}")
        sixth = await refused(world.a_stream())
        await world.clock.sleep(5)
        await world.kinesis_adapter.loops["kinesis-transitions"]()
        await world.a_stream()

        assert sixth.code == "LimitExceededException"

    play(scenario, kinesis_latency_s=2)


def test_a_tag_is_of_letters_digits_and_some_signs() -> None:
    async def scenario(world: World) -> None:
        await world.a_stream(Tags={"Größe 1": "_.:/=+-@%"})
        for tags in ({"a<b": "1"}, {"a": "\x01"}):
            error = await refused(world.kinesis("AddTagsToStream", StreamName="orders", Tags=tags))
            assert error.code == "InvalidArgumentException"
            assert error.message.startswith("Some tags contain invalid characters.")

    play(scenario)


def test_retention_is_changed_in_the_direction_that_the_operation_says() -> None:
    async def scenario(world: World) -> None:
        await world.a_stream()
        increase, decrease = "IncreaseStreamRetentionPeriod", "DecreaseStreamRetentionPeriod"

        async def refusal(operation: str, hours: int) -> str:
            error = await refused(world.kinesis(operation, StreamName="orders", RetentionPeriodHours=hours))
            assert error.code == "InvalidArgumentException"
            return error.message

        await world.kinesis(increase, StreamName="orders", RetentionPeriodHours=48)
        assert (await described(world))["RetentionPeriodHours"] == 48
        assert await refusal(increase, 47) == (
            "Requested retention period (47 hours) for stream orders can not be shorter than existing retention "
            "period (48 hours). Use DecreaseRetentionPeriod API."
        )
        assert await refusal(decrease, 49) == (
            "Requested retention period (49 hours) for stream orders can not be longer than existing retention "
            "period (48 hours). Use IncreaseRetentionPeriod API."
        )
        assert await refusal(decrease, 23) == (
            "Minimum allowed retention period is 24 hours. Requested retention period (23 hours) is too short."
        )
        assert await refusal(increase, 8761) == (
            "Maximum allowed retention period is 8760 hours. Requested retention period (8761 hours) is too long."
        )
        await world.kinesis(decrease, StreamName="orders", RetentionPeriodHours=24)
        assert (await described(world))["RetentionPeriodHours"] == 24

    play(scenario)


def test_the_mode_of_a_stream_is_changed() -> None:
    async def scenario(world: World) -> None:
        arn = await world.a_stream(shards=2)

        await world.kinesis("UpdateStreamMode", StreamARN=arn, StreamModeDetails={"StreamMode": "ON_DEMAND"})

        description = await described(world)
        assert description["StreamModeDetails"] == {"StreamMode": "ON_DEMAND"}
        assert len(description["Shards"]) == 2
        error = await refused(
            world.kinesis("UpdateShardCount", StreamARN=arn, TargetShardCount=4, ScalingType="UNIFORM_SCALING")
        )
        assert (error.code, error.message) == (
            "ValidationException",
            "Request is invalid. Stream orders under account 000000000000 is in On-Demand mode.",
        )

    play(scenario)


def test_a_stream_is_tagged_by_its_name() -> None:
    async def scenario(world: World) -> None:
        await world.a_stream(Tags={"b": "1"})
        await world.kinesis("AddTagsToStream", StreamName="orders", Tags={"a": "2", "b": "3", "c": ""})
        await world.kinesis("RemoveTagsFromStream", StreamName="orders", TagKeys=["c", "none"])

        whole = await world.kinesis("ListTagsForStream", StreamName="orders")
        first = await world.kinesis("ListTagsForStream", StreamName="orders", Limit=1)
        rest = await world.kinesis("ListTagsForStream", StreamName="orders", ExclusiveStartTagKey="a")

        assert whole == {"Tags": [{"Key": "a", "Value": "2"}, {"Key": "b", "Value": "3"}], "HasMoreTags": False}
        assert first == {"Tags": whole["Tags"][:1], "HasMoreTags": True}
        assert rest["Tags"] == whole["Tags"][1:]
        for wrong in ({"aws:x": "1"}, {str(number): "" for number in range(49)}):
            error = await refused(world.kinesis("AddTagsToStream", StreamName="orders", Tags=wrong))
            assert error.code == "InvalidArgumentException"

    play(scenario)


def test_a_stream_is_tagged_by_its_arn() -> None:
    async def scenario(world: World) -> None:
        arn = await world.a_stream()

        await world.kinesis("TagResource", ResourceARN=arn, Tags={"a": "1", "b": "2"})
        await world.kinesis("UntagResource", ResourceARN=arn, TagKeys=["a"])

        assert await world.kinesis("ListTagsForResource", ResourceARN=arn) == {"Tags": [{"Key": "b", "Value": "2"}]}

    play(scenario)


def test_a_deleted_stream_is_gone_and_its_name_free() -> None:
    async def scenario(world: World) -> None:
        await world.a_stream()
        await world.kinesis("PutRecord", StreamName="orders", PartitionKey="k", Data=b"old")

        await world.kinesis("DeleteStream", StreamName="orders")

        assert (await refused(world.kinesis("DescribeStream", StreamName="orders"))).code == "ResourceNotFoundException"
        assert await world.store.scripts.command("KEYS", "*:d") == []
        await world.a_stream()
        place = {"ShardId": "shardId-000000000000", "ShardIteratorType": "TRIM_HORIZON"}
        iterator = (await world.kinesis("GetShardIterator", StreamName="orders", **place))["ShardIterator"]
        assert (await world.kinesis("GetRecords", ShardIterator=iterator))["Records"] == []

    play(scenario)


def test_transitions_take_as_long_as_the_setting_says() -> None:
    async def scenario(world: World) -> None:
        async def wait(seconds: float) -> None:
            await world.clock.sleep(seconds)
            await world.kinesis_adapter.loops["kinesis-transitions"]()

        async def status() -> str:
            return str((await described(world))["StreamStatus"])

        await world.a_stream()
        put = {"StreamName": "orders", "PartitionKey": "k", "Data": b"x"}
        assert await status() == "CREATING"
        assert (await described(world))["Shards"] == []
        assert (await refused(world.kinesis("PutRecord", **put))).code == "ResourceNotFoundException"
        await wait(1.5)
        assert await status() == "CREATING"
        await wait(1)
        assert await status() == "ACTIVE"
        split = {"ShardToSplit": "shardId-000000000000", "NewStartingHashKey": "5"}
        await world.kinesis("SplitShard", StreamName="orders", **split)
        assert await status() == "UPDATING"
        assert (await world.kinesis("PutRecord", **put))["ShardId"] == "shardId-000000000000"
        busy = await refused(world.kinesis("DeleteStream", StreamName="orders"))
        assert busy.code == "ResourceInUseException"
        await wait(2)
        assert await status() == "ACTIVE"
        assert (await world.kinesis("PutRecord", **put))["ShardId"] == "shardId-000000000002"
        await world.kinesis("DeleteStream", StreamName="orders")
        assert await status() == "DELETING"
        await wait(2)
        assert (await refused(described(world))).code == "ResourceNotFoundException"

    play(scenario, kinesis_latency_s=2)


def test_a_transition_that_its_call_could_not_finish_is_finished_by_the_upkeep() -> None:
    async def scenario(world: World) -> None:
        name = StreamName(account=CALLER.account, region=CALLER.region, name="orders")
        begun = Stream(
            name=name,
            generation="g",
            shards=first_shards(1),
            created_at_ms=world.clock.now_ms(),
            changed_at_ms=world.clock.now_ms(),
        )
        stored = await world.store.streams.catalogue.put(begun)
        await world.kinesis_adapter.loops["kinesis-transitions"]()
        assert (await described(world))["StreamStatus"] == "CREATING"

        await world.clock.sleep(1)
        await world.kinesis_adapter.loops["kinesis-transitions"]()
        assert (await described(world))["StreamStatus"] == "ACTIVE"

        found = world.store.streams.catalogue.get(name.key)
        assert found is not None
        assert found.revision > stored.revision
        await world.store.streams.catalogue.put(dataclasses.replace(found, status=StreamStatus.DELETING))
        await world.kinesis_adapter.loops["kinesis-transitions"]()
        assert (await world.kinesis("ListStreams"))["StreamNames"] == []

    play(scenario)


def test_every_node_serves_what_was_done_on_another() -> None:
    async def scenario(world: World) -> None:
        async with world.another_node() as other:
            await world.a_stream()
            put = {"StreamName": "orders", "PartitionKey": "k", "Data": b"x"}
            place = {"StreamName": "orders", "ShardId": "shardId-000000000000", "ShardIteratorType": "TRIM_HORIZON"}
            assert (await other.kinesis("ListStreams"))["StreamNames"] == ["orders"]
            assert (await other.kinesis("PutRecord", **put))["ShardId"] == "shardId-000000000000"
            iterator = (await other.kinesis("GetShardIterator", **place))["ShardIterator"]

            split = {"ShardToSplit": "shardId-000000000000", "NewStartingHashKey": "1000"}
            await world.kinesis("SplitShard", StreamName="orders", **split)
            read = await other.kinesis("GetRecords", ShardIterator=iterator)
            assert [record["Data"] for record in read["Records"]] == [b"x"]
            assert len(read["ChildShards"]) == 2
            await other.kinesis("AddTagsToStream", StreamName="orders", Tags={"a": "1"})
            await world.kinesis("AddTagsToStream", StreamName="orders", Tags={"b": "2"})
            assert len((await world.kinesis("ListTagsForStream", StreamName="orders"))["Tags"]) == 2

            merge = {"ShardToMerge": "shardId-000000000001", "AdjacentShardToMerge": "shardId-000000000002"}
            await world.kinesis("MergeShards", StreamName="orders", **merge)
            assert (await other.kinesis("PutRecord", **put))["ShardId"] == "shardId-000000000003"
            await world.kinesis("DeleteStream", StreamName="orders")
            for asked in (
                other.kinesis("GetRecords", ShardIterator=iterator),
                other.kinesis("GetShardIterator", **{**place, "ShardIteratorType": "LATEST"}),
                other.kinesis("PutRecord", **put),
                other.kinesis("AddTagsToStream", StreamName="orders", Tags={"a": "1"}),
            ):
                assert (await refused(asked)).message == "Stream orders under account 000000000000 not found."

    play(scenario)
