"""Iterators and what they give, in virtual time."""

from __future__ import annotations

from typing import Any

import pytest

from tests.adapters.world import EPOCH_MS, World, play, refused

pytestmark = pytest.mark.integration

SHARD = "shardId-000000000000"
HOUR_S = 3_600.0


async def put(world: World, *data: bytes) -> list[str]:
    """Put records a second after another; return their sequence numbers."""
    numbers = []
    for each in data:
        answer = await world.kinesis("PutRecord", StreamName="orders", PartitionKey="k", Data=each)
        numbers.append(str(answer["SequenceNumber"]))
        await world.clock.sleep(1)
    return numbers


async def iterator(world: World, kind: str = "TRIM_HORIZON", shard: str = SHARD, **members: Any) -> str:
    answer = await world.kinesis(
        "GetShardIterator", StreamName="orders", ShardId=shard, ShardIteratorType=kind, **members
    )
    return str(answer["ShardIterator"])


async def read(world: World, place: str, **members: Any) -> list[bytes]:
    answer = await world.kinesis("GetRecords", ShardIterator=place, **members)
    return [record["Data"] for record in answer["Records"]]


def test_every_iterator_type_begins_where_it_says() -> None:
    async def scenario(world: World) -> None:
        await world.a_stream()
        numbers = await put(world, b"0", b"1", b"2")
        latest = await iterator(world, "LATEST")
        second_s = EPOCH_MS / 1_000 + 1

        assert await read(world, await iterator(world)) == [b"0", b"1", b"2"]
        at = await iterator(world, "AT_SEQUENCE_NUMBER", StartingSequenceNumber=numbers[1])
        assert await read(world, at) == [b"1", b"2"]
        after = await iterator(world, "AFTER_SEQUENCE_NUMBER", StartingSequenceNumber=numbers[1])
        assert await read(world, after) == [b"2"]
        zero = await iterator(world, "AT_SEQUENCE_NUMBER", StartingSequenceNumber="0")
        assert await read(world, zero) == [b"0", b"1", b"2"]
        for time, expected in ((second_s, [b"1", b"2"]), (second_s + 0.001, [b"2"]), (0.0, [b"0", b"1", b"2"])):
            assert await read(world, await iterator(world, "AT_TIMESTAMP", Timestamp=time)) == expected
        assert await read(world, latest) == []
        await put(world, b"3")
        assert await read(world, latest) == [b"3"]

    play(scenario)


def test_an_iterator_without_its_start_or_with_a_wrong_one_is_refused() -> None:
    async def scenario(world: World) -> None:
        await world.a_stream(shards=2)
        [number] = await put(world, b"0")

        for kind in ("AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER", "AT_TIMESTAMP"):
            assert (await refused(iterator(world, kind))).code == "InvalidArgumentException"
        for wrong in ("12", "4959" + "9" * 120):
            error = await refused(iterator(world, "AT_SEQUENCE_NUMBER", StartingSequenceNumber=wrong))
            assert "is invalid because it did not come from this stream." in error.message
        other = "shardId-000000000000" if number.endswith("1") else "shardId-000000000001"
        error = await refused(iterator(world, "AT_SEQUENCE_NUMBER", shard=other, StartingSequenceNumber=number))
        assert error.message.startswith("Invalid StartingSequenceNumber. It encodes shardId-")
        future = await refused(iterator(world, "AT_TIMESTAMP", Timestamp=EPOCH_MS / 1_000 + 60))
        assert "cannot be greater than the currentTimestampInMillis" in future.message
        missing = await refused(iterator(world, shard="shardId-000000000007"))
        assert (missing.code, missing.message) == (
            "ResourceNotFoundException",
            "Could not find shard shardId-000000000007 in stream orders under account 000000000000.",
        )

    play(scenario)


def test_records_come_in_order_and_no_more_than_asked_for() -> None:
    async def scenario(world: World) -> None:
        await world.a_stream()
        [number, *_] = await put(world, b"0", b"1", b"2")

        first = await world.kinesis("GetRecords", ShardIterator=await iterator(world), Limit=2)
        rest = await world.kinesis("GetRecords", ShardIterator=first["NextShardIterator"], Limit=2)
        none = await world.kinesis("GetRecords", ShardIterator=rest["NextShardIterator"])

        assert [record["Data"] for record in first["Records"]] == [b"0", b"1"]
        assert first["Records"][0] == {
            "SequenceNumber": number,
            "ApproximateArrivalTimestamp": EPOCH_MS / 1_000,
            "Data": b"0",
            "PartitionKey": "k",
            "EncryptionType": "NONE",
        }
        assert first["MillisBehindLatest"] == 2_000
        assert [record["Data"] for record in rest["Records"]] == [b"2"]
        assert rest["MillisBehindLatest"] == none["MillisBehindLatest"] == 0
        assert none["Records"] == []
        await world.clock.sleep(0.001)
        again = await world.kinesis("GetRecords", ShardIterator=none["NextShardIterator"])
        assert again["NextShardIterator"] not in (none["NextShardIterator"], None)
        assert "ChildShards" not in again

    play(scenario)


def test_an_answer_holds_ten_mebibytes_at_most() -> None:
    async def scenario(world: World) -> None:
        await world.a_stream()
        for _ in range(3):
            records = [{"PartitionKey": "k", "Data": bytes(1_000_000)}] * 5
            await world.kinesis("PutRecords", StreamName="orders", Records=records)

        first = await world.kinesis("GetRecords", ShardIterator=await iterator(world))
        rest = await world.kinesis("GetRecords", ShardIterator=first["NextShardIterator"])

        assert [len(first["Records"]), len(rest["Records"])] == [10, 5]

    play(scenario)


def test_an_iterator_lives_five_minutes() -> None:
    async def scenario(world: World) -> None:
        await world.a_stream()
        place = await iterator(world)

        await world.clock.sleep(300)
        assert await read(world, place) == []
        await world.clock.sleep(1)
        error = await refused(read(world, place))

        assert (error.code, error.message) == (
            "ExpiredIteratorException",
            (
                "Iterator expired. The iterator was created at time Thu Jan 01 00:00:00 UTC 2026 while right now it is "
                "Thu Jan 01 00:05:01 UTC 2026 which is further in the future than the tolerated delay of 300000 "
                "milliseconds."
            ),
        )

    play(scenario)


def test_an_iterator_that_was_not_issued_here_is_refused() -> None:
    async def scenario(world: World) -> None:
        arn = await world.a_stream()
        await world.a_stream("other")
        place = await iterator(world)

        for wrong in ("x", place[:-8], "W10=", "WzEsMl0="):
            error = await refused(read(world, wrong))
            assert (error.code, error.message) == ("InvalidArgumentException", "Invalid ShardIterator.")
        assert await read(world, place, StreamARN=arn) == []
        mixed = await refused(read(world, place, StreamARN=arn.replace("orders", "other")))
        assert mixed.code == "InvalidArgumentException"
        await world.kinesis("DeleteStream", StreamName="orders")
        await world.a_stream()
        gone = await refused(read(world, place))
        assert gone.code == "ResourceNotFoundException"

    play(scenario)


def test_a_closed_shard_is_read_to_its_end_and_then_names_its_children() -> None:
    async def scenario(world: World) -> None:
        await world.a_stream()
        await put(world, b"0", b"1")
        place = await iterator(world)
        split = {"ShardToSplit": SHARD, "NewStartingHashKey": "1000"}
        await world.kinesis("SplitShard", StreamName="orders", **split)

        first = await world.kinesis("GetRecords", ShardIterator=place, Limit=1)
        last = await world.kinesis("GetRecords", ShardIterator=first["NextShardIterator"])

        assert "ChildShards" not in first
        assert [record["Data"] for record in last["Records"]] == [b"1"]
        assert "NextShardIterator" not in last
        assert last["ChildShards"] == [
            {
                "ShardId": "shardId-000000000001",
                "ParentShards": [SHARD],
                "HashKeyRange": {"StartingHashKey": "0", "EndingHashKey": "999"},
            },
            {
                "ShardId": "shardId-000000000002",
                "ParentShards": [SHARD],
                "HashKeyRange": {
                    "StartingHashKey": "1000",
                    "EndingHashKey": "340282366920938463463374607431768211455",
                },
            },
        ]
        at_end = await world.kinesis("GetRecords", ShardIterator=await iterator(world, "LATEST"))
        assert (at_end["Records"], "NextShardIterator" in at_end) == ([], False)

    play(scenario)


def test_records_past_their_retention_are_not_given_and_only_they_are_trimmed() -> None:
    async def scenario(world: World) -> None:
        await world.a_stream()
        await put(world, b"old")
        await world.clock.sleep(12 * HOUR_S)
        await put(world, b"new")

        await world.clock.sleep(12 * HOUR_S)
        assert await read(world, await iterator(world)) == [b"new"]
        await world.kinesis_adapter.loops["kinesis-retention"]()
        [key] = await world.store.scripts.command("KEYS", "*:d")
        assert await world.store.scripts.command("XLEN", key) == 1
        await world.kinesis("IncreaseStreamRetentionPeriod", StreamName="orders", RetentionPeriodHours=48)
        await world.clock.sleep(12 * HOUR_S)
        await world.kinesis_adapter.loops["kinesis-retention"]()
        assert await read(world, await iterator(world)) == [b"new"]

    play(scenario)


def test_a_dry_run_checks_the_request_and_does_nothing() -> None:
    async def scenario(world: World) -> None:
        arn = await world.a_stream()
        place = await iterator(world)
        answer = await world.kinesis("RegisterStreamConsumer", StreamARN=arn, ConsumerName="c")
        record = {"PartitionKey": "k", "Data": b"x"}
        start = {"Type": "TRIM_HORIZON"}
        requests: list[tuple[str, dict[str, Any]]] = [
            ("PutRecord", {"StreamName": "orders", **record}),
            ("PutRecords", {"StreamName": "orders", "Records": [record]}),
            ("GetShardIterator", {"StreamName": "orders", "ShardId": SHARD, "ShardIteratorType": "LATEST"}),
            ("GetRecords", {"ShardIterator": place}),
            (
                "SubscribeToShard",
                {"ConsumerARN": answer["Consumer"]["ConsumerARN"], "ShardId": SHARD, "StartingPosition": start},
            ),
        ]

        for operation, members in requests:
            error = await refused(world.kinesis(operation, DryRun=True, **members))
            assert error.code == "DryRunOperationException"
        assert await read(world, place) == []
        missing = await refused(world.kinesis("PutRecord", StreamName="none", DryRun=True, **record))
        assert missing.code == "ResourceNotFoundException"

    play(scenario)
