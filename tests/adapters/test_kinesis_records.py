"""Putting records as callers see it, in virtual time."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any

import pytest

from eventrouter.rules.stream import RecordId, StreamName
from eventrouter_adapters.kinesis.sequence import parse_sequence_number
from tests.adapters.world import CALLER, World, play, refused

pytestmark = pytest.mark.integration

NAME = StreamName(account=CALLER.account, region=CALLER.region, name="orders")
SHARDS = [f"shardId-{index:012d}" for index in range(8)]


async def put(world: World, *keys: str, data: bytes = b"x", **members: Any) -> dict[str, Any]:
    records = [{"PartitionKey": key, "Data": data} for key in keys]
    return await world.kinesis("PutRecords", StreamName="orders", Records=records, **members)


async def read(world: World, shard: str) -> list[tuple[str, bytes]]:
    """Return everything that a shard holds."""
    place = {"StreamName": "orders", "ShardId": shard, "ShardIteratorType": "TRIM_HORIZON"}
    iterator = (await world.kinesis("GetShardIterator", **place))["ShardIterator"]
    answer = await world.kinesis("GetRecords", ShardIterator=iterator)
    return [(record["PartitionKey"], record["Data"]) for record in answer["Records"]]


def test_a_record_is_stored_in_the_shard_of_its_partition_key() -> None:
    async def scenario(world: World) -> None:
        await world.a_stream(shards=2)

        upper = await world.kinesis("PutRecord", StreamName="orders", PartitionKey="1", Data=b"one")
        lower = await world.kinesis("PutRecord", StreamName="orders", PartitionKey="test", Data=b"")
        both = await put(world, "test", "1", "ключ")

        assert upper.pop("SequenceNumber").startswith("4959")
        assert upper == {"ShardId": SHARDS[1], "EncryptionType": "NONE"}
        assert lower["ShardId"] == SHARDS[0]
        assert (both["FailedRecordCount"], both["EncryptionType"]) == (0, "NONE")
        assert [record["ShardId"] for record in both["Records"]][:2] == [SHARDS[0], SHARDS[1]]
        held = await read(world, SHARDS[0]) + await read(world, SHARDS[1])
        assert sorted(held) == sorted([("test", b""), ("test", b"x"), ("1", b"one"), ("1", b"x"), ("ключ", b"x")])
        keyless = await refused(world.kinesis("PutRecord", StreamName="orders", Data=b""))
        assert keyless.message == (
            "1 validation error detected: Value null at 'partitionKey' failed to satisfy constraint: "
            "Member must not be null"
        )

    play(scenario)


def test_an_explicit_hash_key_replaces_the_hash() -> None:
    async def scenario(world: World) -> None:
        await world.a_stream(shards=2)
        border = 170141183460469231731687303715884105728

        async def shard_of(hash_key: int) -> str:
            record = {"PartitionKey": "same", "Data": b"", "ExplicitHashKey": str(hash_key)}
            one = await world.kinesis("PutRecord", StreamName="orders", **record)
            many = await world.kinesis("PutRecords", StreamName="orders", Records=[record])
            assert many["Records"][0]["ShardId"] == one["ShardId"]
            return str(one["ShardId"])

        assert [await shard_of(key) for key in (0, border - 1, border, 2**128 - 1)] == [
            SHARDS[0],
            SHARDS[0],
            SHARDS[1],
            SHARDS[1],
        ]
        error = await refused(shard_of(2**128))
        assert error.code == "InvalidArgumentException"
        assert "must be in the range: [0, 2^128-1]" in error.message

    play(scenario)


def test_sequence_numbers_grow_as_integers_within_a_shard() -> None:
    async def scenario(world: World) -> None:
        await world.a_stream(shards=2)

        first = await put(world, *(str(number) for number in range(40)))
        await world.clock.sleep(3_600)
        second = await put(world, *(str(number) for number in range(40)))

        for shard in SHARDS[:2]:
            numbers = [
                int(record["SequenceNumber"])
                for record in first["Records"] + second["Records"]
                if record["ShardId"] == shard
            ]
            assert numbers == sorted(set(numbers))
        assert len({record["SequenceNumber"] for record in first["Records"] + second["Records"]}) == 80

    play(scenario)


def test_a_record_is_as_large_as_its_stream_allows() -> None:
    async def scenario(world: World) -> None:
        await world.a_stream()
        await world.a_stream("large", MaxRecordSizeInKiB=2048)
        larger = await world.a_stream("larger")
        await world.kinesis("UpdateMaxRecordSize", StreamARN=larger, MaxRecordSizeInKiB=10_240)
        limit = 1_048_576

        await world.kinesis("PutRecord", StreamName="orders", PartitionKey="key", Data=bytes(limit - 3))
        for name in ("large", "larger"):
            await world.kinesis("PutRecord", StreamName=name, PartitionKey="key", Data=bytes(limit))
        one = await refused(world.kinesis("PutRecord", StreamName="orders", PartitionKey="key", Data=bytes(limit - 2)))
        many = await refused(put(world, "a", "key", data=bytes(limit - 2)))

        assert (one.code, one.message) == (
            "ValidationException",
            (
                "1 validation error detected: Value at 'data' failed to satisfy constraint: "
                "Member must have length less than or equal to 1048576"
            ),
        )
        assert "'records.2.member.data'" in many.message

    play(scenario)


def test_all_records_of_a_request_are_bounded_together() -> None:
    async def scenario(world: World) -> None:
        await world.a_stream()

        await put(world, *("k" * 10), data=bytes(1_048_575))
        error = await refused(put(world, *("k" * 11), data=bytes(1_048_575)))

        assert (error.code, error.message) == ("InvalidArgumentException", "Records size exceeds 10 MB limit")

    play(scenario)


def test_failed_records_are_told_one_by_one_in_a_request_that_succeeds() -> None:
    async def scenario(world: World) -> None:
        await world.a_stream(shards=2)

        answer = await put(world, *(["1"] * 450 + ["test"] * 50))
        again = await put(world, *(["1"] * 500))
        more = await put(world, *(["1"] * 100 + ["test"] * 2))

        assert answer["FailedRecordCount"] == again["FailedRecordCount"] == 0
        assert more["FailedRecordCount"] == 50
        assert all("SequenceNumber" in record for record in more["Records"][:50] + more["Records"][100:])
        assert more["Records"][50] == {
            "ErrorCode": "ProvisionedThroughputExceededException",
            "ErrorMessage": "Rate exceeded for shard shardId-000000000001 in stream orders under account 000000000000.",
        }
        one = await refused(world.kinesis("PutRecord", StreamName="orders", PartitionKey="1", Data=b""))
        assert (one.code, one.message) == (
            "ProvisionedThroughputExceededException",
            more["Records"][50]["ErrorMessage"],
        )
        await world.clock.sleep(1)
        assert (await put(world, "1"))["FailedRecordCount"] == 0

    play(scenario, kinesis_throughput_limits=True)


def test_nothing_is_limited_by_default() -> None:
    async def scenario(world: World) -> None:
        await world.a_stream()
        for _ in range(4):
            assert (await put(world, *("k" * 500)))["FailedRecordCount"] == 0

    play(scenario)


def test_as_many_records_fail_as_the_setting_says() -> None:
    async def scenario(world: World) -> None:
        await world.a_stream()

        answer = await put(world, *(str(number) for number in range(400)))

        failed = answer["FailedRecordCount"]
        assert 130 < failed < 270
        assert len(await read(world, SHARDS[0])) == 400 - failed
        errors = {record["ErrorCode"] for record in answer["Records"] if "ErrorCode" in record}
        assert errors == {"ProvisionedThroughputExceededException"}

    play(scenario, kinesis_error_probability=0.5)


def test_puts_go_on_in_the_children_while_a_stream_is_resharded() -> None:
    async def scenario(world: World) -> None:
        await world.a_stream()

        async def put_many() -> list[str]:
            shards = []
            for number in range(60):
                answer = await world.kinesis(
                    "PutRecord", StreamName="orders", PartitionKey=str(number), Data=b"%d" % number
                )
                shards.append(answer["ShardId"])
                await world.clock.sleep(0.001)
            return shards

        async def reshard() -> None:
            for target in (2, 3, 2, 1):
                await world.clock.sleep(0.01)
                await world.kinesis(
                    "UpdateShardCount", StreamName="orders", TargetShardCount=target, ScalingType="UNIFORM_SCALING"
                )

        shards, _ = await asyncio.gather(put_many(), reshard())

        listed = (await world.kinesis("ListShards", StreamName="orders"))["Shards"]
        held = [data for shard in listed for _, data in await read(world, shard["ShardId"])]
        assert len(set(shards)) > 3
        assert sorted(held, key=int) == [b"%d" % number for number in range(60)]

    play(scenario)


def test_a_put_waits_for_a_reshard_that_another_node_has_not_finished() -> None:
    async def scenario(world: World) -> None:
        await world.a_stream()
        streams = world.store.streams
        stream = streams.catalogue.get(NAME.key)
        assert stream is not None
        await streams.close_shard(streams.shard(stream, 0))
        child = dataclasses.replace(stream.shards[0], index=1, opened=RecordId(stream.created_at_ms + 1, 0))

        async def finish_elsewhere() -> None:
            await world.clock.sleep(2)
            await streams.open_shard(streams.shard(stream, 1), child.opened or RecordId(0, 0))
            closed = dataclasses.replace(stream.shards[0], closed=stream.shards[0].opened)
            await streams.catalogue.put(dataclasses.replace(stream, shards=(closed, child)))

        answer, _ = await asyncio.gather(put(world, "k"), finish_elsewhere())

        [record] = answer["Records"]
        assert record["ShardId"] == SHARDS[1]
        assert parse_sequence_number(record["SequenceNumber"])[1] == 1

    play(scenario)


def test_a_put_gives_up_on_a_reshard_that_is_not_finished_within_seconds() -> None:
    async def scenario(world: World) -> None:
        await world.a_stream()
        stream = world.store.streams.catalogue.get(NAME.key)
        assert stream is not None
        await world.store.streams.close_shard(world.store.streams.shard(stream, 0))

        answer = await put(world, "k")

        assert answer["FailedRecordCount"] == 1
        assert answer["Records"][0]["ErrorCode"] == "InternalFailure"
        one = await refused(world.kinesis("PutRecord", StreamName="orders", PartitionKey="1", Data=b""))
        assert (one.code, one.status) == ("InternalFailureException", 500)

    play(scenario)
