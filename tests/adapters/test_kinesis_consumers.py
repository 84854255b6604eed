"""Consumers and their subscriptions, in virtual time."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from typing import Any

import pytest

from eventrouter.errors import RequestError
from tests.adapters.world import CALLER, EPOCH_MS, World, play, refused

pytestmark = pytest.mark.integration

SHARD = "shardId-000000000000"
ARN = "arn:aws:kinesis:us-east-1:000000000000:stream/orders"

Events = AsyncIterator[dict[str, Any]]


async def a_consumer(world: World, name: str = "reader") -> str:
    answer = await world.kinesis("RegisterStreamConsumer", StreamARN=ARN, ConsumerName=name)
    return str(answer["Consumer"]["ConsumerARN"])


async def put(world: World, data: bytes) -> str:
    answer = await world.kinesis("PutRecord", StreamName="orders", PartitionKey="k", Data=data)
    return str(answer["SequenceNumber"])


async def subscribe(world: World, consumer: str, kind: str = "TRIM_HORIZON", **start: Any) -> Events:
    answer = await world.kinesis(
        "SubscribeToShard", ConsumerARN=consumer, ShardId=SHARD, StartingPosition={"Type": kind, **start}
    )
    events: Events = answer["EventStream"]
    return events


async def next_event(events: Events) -> dict[str, Any]:
    event: dict[str, Any] = (await anext(events))["SubscribeToShardEvent"]
    return event


async def next_records(events: Events) -> list[bytes]:
    """Return the next records that are pushed, past the events without any."""
    while not (records := (await next_event(events))["Records"]):
        pass
    return [record["Data"] for record in records]


def test_a_registered_consumer_is_described() -> None:
    async def scenario(world: World) -> None:
        await world.a_stream()

        answer = await world.kinesis("RegisterStreamConsumer", StreamARN=ARN, ConsumerName="reader")
        described = await world.kinesis("DescribeStreamConsumer", StreamARN=ARN, ConsumerName="reader")

        consumer = {
            "ConsumerName": "reader",
            "ConsumerARN": f"{ARN}/consumer/reader:{EPOCH_MS // 1_000}",
            "ConsumerStatus": "CREATING",
            "ConsumerCreationTimestamp": EPOCH_MS // 1_000,
        }
        assert answer == {"Consumer": consumer}
        assert described == {"ConsumerDescription": {**consumer, "ConsumerStatus": "ACTIVE", "StreamARN": ARN}}
        summary = await world.kinesis("DescribeStreamSummary", StreamARN=ARN)
        assert summary["StreamDescriptionSummary"]["ConsumerCount"] == 1
        taken = await refused(a_consumer(world))
        assert taken.code == "ResourceInUseException"

    play(scenario)


def test_a_consumer_has_tags() -> None:
    async def scenario(world: World) -> None:
        await world.a_stream(Tags={"of": "the stream"})
        registered = await world.kinesis(
            "RegisterStreamConsumer", StreamARN=ARN, ConsumerName="reader", Tags={"a": "1", "b": "2"}
        )
        consumer = registered["Consumer"]["ConsumerARN"]

        first = await world.kinesis("ListTagsForResource", ResourceARN=consumer)
        await world.kinesis("TagResource", ResourceARN=consumer, Tags={"b": "3", "c": "4"})
        await world.kinesis("UntagResource", ResourceARN=consumer, TagKeys=["a", "of"])
        then = await world.kinesis("ListTagsForResource", ResourceARN=consumer)

        assert first["Tags"] == [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}]
        assert then["Tags"] == [{"Key": "b", "Value": "3"}, {"Key": "c", "Value": "4"}]
        of_stream = await world.kinesis("ListTagsForResource", ResourceARN=ARN)
        assert of_stream["Tags"] == [{"Key": "of", "Value": "the stream"}]
        await world.kinesis("DeregisterStreamConsumer", ConsumerARN=consumer)
        gone = await refused(world.kinesis("ListTagsForResource", ResourceARN=consumer))
        assert gone.code == "ResourceNotFoundException"
        many = {f"k{number}": "" for number in range(51)}
        too_many = await refused(world.kinesis("RegisterStreamConsumer", StreamARN=ARN, ConsumerName="many", Tags=many))
        assert too_many.code == "InvalidArgumentException"

    play(scenario)


def test_a_consumer_is_named_by_its_arn_or_by_its_stream_and_name() -> None:
    async def scenario(world: World) -> None:
        await world.a_stream()
        arn = await a_consumer(world)

        for named in ({"ConsumerARN": arn}, {"StreamARN": ARN, "ConsumerName": "reader"}):
            found = await world.kinesis("DescribeStreamConsumer", **named)
            assert found["ConsumerDescription"]["ConsumerARN"] == arn
        missing = await refused(world.kinesis("DescribeStreamConsumer", StreamARN=ARN, ConsumerName="none"))
        assert (missing.code, missing.message) == (
            "ResourceNotFoundException",
            "Consumer none, account 000000000000 not found.",
        )
        for wrong in ({}, {"StreamARN": ARN}, {"ConsumerName": "reader"}, {"ConsumerARN": ARN}):
            error = await refused(world.kinesis("DescribeStreamConsumer", **wrong))
            assert error.code == "InvalidArgumentException"
        for gone in (f"{arn}1", arn.replace("us-east-1", "eu-west-1")):
            error = await refused(world.kinesis("DescribeStreamConsumer", ConsumerARN=gone))
            assert error.code == "ResourceNotFoundException"
        await world.kinesis("DeregisterStreamConsumer", ConsumerARN=arn)
        assert await world.kinesis("ListStreamConsumers", StreamARN=ARN) == {"Consumers": []}

    play(scenario)


def test_consumers_are_listed_by_name_in_pages() -> None:
    async def scenario(world: World) -> None:
        await world.a_stream()
        for name in ("b", "c", "a"):
            await a_consumer(world, name)

        first = await world.kinesis("ListStreamConsumers", StreamARN=ARN, MaxResults=2)
        rest = await world.kinesis("ListStreamConsumers", StreamARN=ARN, NextToken=first["NextToken"])

        names = [consumer["ConsumerName"] for consumer in first["Consumers"] + rest["Consumers"]]
        assert names == ["a", "b", "c"]
        assert "NextToken" not in rest
        assert "StreamARN" not in first["Consumers"][0]
        token = first["NextToken"]
        both = await refused(
            world.kinesis("ListStreamConsumers", StreamARN=ARN, NextToken=token, StreamCreationTimestamp=1.0)
        )
        assert both.message == "NextToken and StreamCreationTimestamp cannot be provided together."
        await world.clock.sleep(301)
        late = await refused(world.kinesis("ListStreamConsumers", StreamARN=ARN, NextToken=token))
        assert late.code == "ExpiredNextTokenException"

    play(scenario)


def test_a_stream_has_twenty_consumers_at_most() -> None:
    async def scenario(world: World) -> None:
        await world.a_stream()
        for number in range(20):
            await a_consumer(world, f"c{number}")
        assert (await refused(a_consumer(world, "more"))).code == "LimitExceededException"

    play(scenario)


def test_a_new_consumer_takes_as_long_as_the_setting_says() -> None:
    async def scenario(world: World) -> None:
        await world.a_stream()
        await world.clock.sleep(2)
        await world.kinesis_adapter.loops["kinesis-transitions"]()
        for number in range(5):
            await a_consumer(world, f"c{number}")

        described = await world.kinesis("DescribeStreamConsumer", StreamARN=ARN, ConsumerName="c0")
        assert described["ConsumerDescription"]["ConsumerStatus"] == "CREATING"
        assert (await refused(a_consumer(world, "c5"))).code == "LimitExceededException"
        too_early = await refused(subscribe(world, described["ConsumerDescription"]["ConsumerARN"]))
        assert too_early.code == "ResourceInUseException"
        await world.clock.sleep(2)
        described = await world.kinesis("DescribeStreamConsumer", StreamARN=ARN, ConsumerName="c0")
        assert described["ConsumerDescription"]["ConsumerStatus"] == "ACTIVE"

    play(scenario, kinesis_latency_s=2)


def test_a_stream_with_consumers_is_deleted_only_by_force() -> None:
    async def scenario(world: World) -> None:
        await world.a_stream()
        await a_consumer(world)

        error = await refused(world.kinesis("DeleteStream", StreamName="orders"))
        assert error.code == "ResourceInUseException"
        await world.kinesis("DeleteStream", StreamName="orders", EnforceConsumerDeletion=True)
        assert (await world.kinesis("ListStreams"))["StreamNames"] == []

    play(scenario)


def test_a_subscription_pushes_records_from_where_it_is_told_to() -> None:
    async def scenario(world: World) -> None:
        await world.a_stream()
        consumer = await a_consumer(world)
        numbers = []
        for data in (b"0", b"1", b"2"):
            numbers.append(await put(world, data))
            await world.clock.sleep(1)

        for kind, start, expected in (
            ("TRIM_HORIZON", {}, [b"0", b"1", b"2"]),
            ("AT_SEQUENCE_NUMBER", {"SequenceNumber": numbers[1]}, [b"1", b"2"]),
            ("AFTER_SEQUENCE_NUMBER", {"SequenceNumber": numbers[1]}, [b"2"]),
            ("AT_TIMESTAMP", {"Timestamp": EPOCH_MS / 1_000 + 1}, [b"1", b"2"]),
        ):
            await world.clock.sleep(5)
            event = await next_event(await subscribe(world, consumer, kind, **start))
            assert [record["Data"] for record in event["Records"]] == expected
            assert event["ContinuationSequenceNumber"] == numbers[2]
            assert event["MillisBehindLatest"] == 0
        await world.clock.sleep(5)
        events = await subscribe(world, consumer, "LATEST")
        assert (await next_event(events))["Records"] == []
        waiting = asyncio.ensure_future(next_records(events))
        await world.clock.sleep(1)
        await put(world, b"3")
        before = world.clock.now_ms()
        assert await waiting == [b"3"]
        assert world.clock.now_ms() - before < 1_000
        unknown = {"ConsumerARN": consumer, "ShardId": "shardId-000000000007"}
        missing = await refused(world.kinesis("SubscribeToShard", **unknown, StartingPosition={"Type": "LATEST"}))
        assert missing.code == "ResourceNotFoundException"

    play(scenario)


def test_a_subscription_ends_after_five_minutes() -> None:
    async def scenario(world: World) -> None:
        await world.a_stream()
        began = world.clock.now_ms()

        count = 0
        async for event in await subscribe(world, await a_consumer(world)):
            count += 1
            assert event["SubscribeToShardEvent"]["Records"] == []

        assert world.clock.now_ms() - began == 300_000
        assert count == 60

    play(scenario)


def test_a_second_subscription_is_refused_for_five_seconds_and_then_takes_over() -> None:
    async def scenario(world: World) -> None:
        await world.a_stream()
        consumer = await a_consumer(world)
        first = await subscribe(world, consumer)
        await next_event(first)

        await world.clock.sleep(4)
        error = await refused(subscribe(world, consumer))
        assert error.code == "ResourceInUseException"
        await world.clock.sleep(1)
        second = await subscribe(world, consumer)
        await next_event(second)
        with pytest.raises(RequestError) as replaced:
            await anext(first)
        assert replaced.value.code == "ResourceInUseException"
        await next_event(second)
        await next_event(await subscribe(world, await a_consumer(world, "other")))

    play(scenario)


def test_a_subscription_of_a_closed_shard_ends_with_its_children() -> None:
    async def scenario(world: World) -> None:
        await world.a_stream()
        events = await subscribe(world, await a_consumer(world))
        await put(world, b"0")
        assert await next_records(events) == [b"0"]
        waiting = asyncio.ensure_future(next_event(events))
        await world.clock.sleep(0.1)
        await world.kinesis("SplitShard", StreamName="orders", ShardToSplit=SHARD, NewStartingHashKey="1000")

        event = await waiting
        while "ChildShards" not in event:
            event = await next_event(events)

        assert [child["ShardId"][-1] for child in event["ChildShards"]] == ["1", "2"]
        with pytest.raises(StopAsyncIteration):
            await anext(events)

    play(scenario)


@pytest.mark.parametrize("operation", ["DeregisterStreamConsumer", "DeleteStream"])
def test_a_subscription_ends_with_its_consumer_and_with_its_stream(operation: str) -> None:
    async def scenario(world: World) -> None:
        await world.a_stream()
        consumer = await a_consumer(world)
        events = await subscribe(world, consumer)
        await next_event(events)

        members = {"ConsumerARN": consumer}
        if operation == "DeleteStream":
            members = {"StreamName": "orders", "EnforceConsumerDeletion": True}  # type: ignore[dict-item]
        await world.kinesis(operation, **members)

        with pytest.raises(RequestError) as gone:
            await anext(events)
        assert gone.value.code == "ResourceNotFoundException"

    play(scenario)


def test_another_account_cannot_subscribe() -> None:
    async def scenario(world: World) -> None:
        await world.a_stream()
        consumer = await a_consumer(world)
        stranger = dataclasses.replace(CALLER, account="111111111111")
        error = await refused(
            world.kinesis(
                "SubscribeToShard",
                caller=stranger,
                ConsumerARN=consumer,
                ShardId=SHARD,
                StartingPosition={"Type": "LATEST"},
            )
        )
        assert error.code == "ResourceNotFoundException"

    play(scenario)
