"""Kinesis spoken by unmodified boto3 and, in CBOR, as the SDKs of other languages speak it."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import cbor2
import pytest
from botocore.exceptions import ClientError

from eventrouter.api.protocol.cbor import decode_cbor, timestamp
from tests.e2e.accounts import Account
from tests.e2e.nodes import NodeProcess, wait_until

pytestmark = pytest.mark.conformance

SHARD = "shardId-000000000000"


@pytest.fixture
def kinesis(account: Account) -> Any:
    return account.client("kinesis")


@pytest.fixture
def orders(kinesis: Any) -> Iterator[str]:
    """Create a stream of one shard; return its ARN."""
    kinesis.create_stream(StreamName="orders", ShardCount=1)
    kinesis.get_waiter("stream_exists").wait(StreamName="orders")
    yield kinesis.describe_stream_summary(StreamName="orders")["StreamDescriptionSummary"]["StreamARN"]
    kinesis.delete_stream(StreamName="orders", EnforceConsumerDeletion=True)
    kinesis.get_waiter("stream_not_exists").wait(StreamName="orders")


def read_all(kinesis: Any, shard: str) -> tuple[list[bytes], list[str]]:
    """Return what a shard holds, and the ids of its children once it is closed."""
    place = kinesis.get_shard_iterator(StreamName="orders", ShardId=shard, ShardIteratorType="TRIM_HORIZON")
    answer = kinesis.get_records(ShardIterator=place["ShardIterator"])
    children = [child["ShardId"] for child in answer.get("ChildShards", ())]
    assert ("NextShardIterator" in answer) is not bool(children)
    return [record["Data"] for record in answer["Records"]], children


def test_records_are_put_read_and_followed_through_a_reshard(kinesis: Any, orders: str) -> None:
    one = kinesis.put_record(StreamName="orders", PartitionKey="k", Data=b"\x00\xff")
    many = kinesis.put_records(
        StreamARN=orders, Records=[{"PartitionKey": str(number), "Data": b"%d" % number} for number in range(500)]
    )
    kinesis.update_shard_count(StreamName="orders", TargetShardCount=2, ScalingType="UNIFORM_SCALING")
    after = kinesis.put_record(StreamName="orders", PartitionKey="k", Data=b"after")

    held, children = read_all(kinesis, SHARD)
    assert one["ShardId"] == SHARD
    assert (many["FailedRecordCount"], len(many["Records"])) == (0, 500)
    assert held == [b"\x00\xff", *(b"%d" % number for number in range(500))]
    assert after["ShardId"] in children
    assert read_all(kinesis, after["ShardId"]) == ([b"after"], [])
    first = kinesis.list_shards(StreamName="orders", MaxResults=1)
    rest = kinesis.list_shards(NextToken=first["NextToken"])
    assert [shard["ShardId"][-1] for shard in first["Shards"] + rest["Shards"]] == ["0", "1", "2"]
    assert [name for page in kinesis.get_paginator("list_streams").paginate() for name in page["StreamNames"]] == [
        "orders"
    ]


def test_errors_are_those_of_kinesis(kinesis: Any, orders: str) -> None:
    with pytest.raises(kinesis.exceptions.ResourceNotFoundException):
        kinesis.describe_stream(StreamName="none")
    with pytest.raises(kinesis.exceptions.ResourceInUseException):
        kinesis.create_stream(StreamName="orders", ShardCount=1)
    with pytest.raises(ClientError) as many:
        kinesis.put_records(StreamName="orders", Records=[{"PartitionKey": "k", "Data": b""}] * 501)
    with pytest.raises(ClientError) as keyless:
        kinesis.put_record(StreamName="orders", PartitionKey="", Data=b"")
    with pytest.raises(ClientError) as unserved:
        kinesis.describe_limits()

    assert many.value.response["Error"]["Code"] == keyless.value.response["Error"]["Code"] == "ValidationException"
    assert many.value.response["Error"]["Message"].endswith("Member must have length less than or equal to 500")
    assert unserved.value.response["Error"]["Code"] == "UnsupportedOperationException"


def test_a_subscription_is_an_event_stream(kinesis: Any, orders: str) -> None:
    consumer = kinesis.register_stream_consumer(StreamARN=orders, ConsumerName="reader")["Consumer"]["ConsumerARN"]
    kinesis.put_record(StreamName="orders", PartitionKey="k", Data=b"0")
    start = {"Type": "TRIM_HORIZON"}

    answer = kinesis.subscribe_to_shard(ConsumerARN=consumer, ShardId=SHARD, StartingPosition=start)
    stream = answer["EventStream"]
    events = iter(stream)
    first = next(events)["SubscribeToShardEvent"]
    with pytest.raises(kinesis.exceptions.ResourceInUseException):
        kinesis.subscribe_to_shard(ConsumerARN=consumer, ShardId=SHARD, StartingPosition=start)
    kinesis.put_record(StreamName="orders", PartitionKey="k", Data=b"1")
    second = next(event for event in events if event["SubscribeToShardEvent"]["Records"])["SubscribeToShardEvent"]
    kinesis.deregister_stream_consumer(ConsumerARN=consumer)

    assert [record["Data"] for record in first["Records"]] == [b"0"]
    assert first["Records"][0]["ApproximateArrivalTimestamp"].tzinfo is not None
    assert first["MillisBehindLatest"] == 0
    assert [record["Data"] for record in second["Records"]] == [b"1"]
    assert second["ContinuationSequenceNumber"] == second["Records"][-1]["SequenceNumber"]
    with pytest.raises(ClientError) as ended:
        for _ in events:
            pass
    assert ended.value.response["Error"]["Code"] == "ResourceNotFoundException"
    stream.close()


def test_a_caller_who_leaves_ends_its_subscription(kinesis: Any, orders: str, adapter_node: NodeProcess) -> None:
    consumer = kinesis.register_stream_consumer(StreamARN=orders, ConsumerName="reader")["Consumer"]["ConsumerARN"]
    answer = kinesis.subscribe_to_shard(ConsumerARN=consumer, ShardId=SHARD, StartingPosition={"Type": "LATEST"})
    next(iter(answer["EventStream"]))

    answer["EventStream"].close()

    kinesis.put_record(StreamName="orders", PartitionKey="k", Data=b"1")
    wait_until("the node to answer on", lambda: read_all(kinesis, SHARD)[0] == [b"1"])


class Cbor:
    """A client that speaks CBOR, unsigned but for the account."""

    def __init__(self, port: int, account: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        self._credential = f"AWS4-HMAC-SHA256 Credential={account}/20260101/us-east-1/kinesis/aws4_request, x"

    def call(self, operation: str, **members: Any) -> tuple[int, Any, str | None]:
        """Return the status, the decoded body and the error type."""
        self._connection.request(
            "POST",
            "/",
            body=cbor2.dumps(members),
            headers={
                "X-Amz-Target": f"Kinesis_20131202.{operation}",
                "Content-Type": "Application/X-Amz-CBOR-1.1",
                "Authorization": self._credential,
            },
        )
        answer = self._connection.getresponse()
        body = answer.read()
        assert answer.headers["content-type"] == "application/x-amz-cbor-1.1"
        return answer.status, decode_cbor(body), answer.headers["x-amzn-errortype"]

    def close(self) -> None:
        self._connection.close()


def test_callers_may_speak_cbor(kinesis: Any, orders: str, account: Account, adapter_node: NodeProcess) -> None:
    client = Cbor(adapter_node.port, account.id)
    before = datetime.now(UTC).timestamp() - 60

    status, put, _ = client.call("PutRecord", StreamName="orders", PartitionKey="k", Data=b"\x00\xff")
    assert (status, put["ShardId"]) == (200, SHARD)
    status, many, _ = client.call("PutRecords", StreamARN=orders, Records=[{"PartitionKey": "k", "Data": b"1"}])
    assert (status, many["FailedRecordCount"]) == (200, 0)
    place = {"StreamName": "orders", "ShardId": SHARD, "ShardIteratorType": "AT_TIMESTAMP"}
    _, iterator, _ = client.call("GetShardIterator", **place, Timestamp=timestamp(before))
    status, found, _ = client.call("GetRecords", ShardIterator=iterator["ShardIterator"])
    assert [record["Data"] for record in found["Records"]] == [b"\x00\xff", b"1"]
    assert 0 <= found["Records"][0]["ApproximateArrivalTimestamp"] - before < 120
    status, error, kind = client.call("DescribeStream", StreamName="none")
    assert (status, kind) == (400, "ResourceNotFoundException")
    assert error == {"__type": kind, "message": f"Stream none under account {account.id} not found."}
    status, error, kind = client.call("PutRecord", StreamName=7, Data="x")
    assert (status, kind) == (400, "SerializationException")
    assert client.call("CreateStream")[2] == "ValidationException"
    client.close()


def test_a_body_that_is_not_json_is_refused(adapter_node: NodeProcess) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", adapter_node.port, timeout=30)
    headers = {"X-Amz-Target": "Kinesis_20131202.PutRecord", "Content-Type": "application/x-amz-json-1.1"}
    connection.request("POST", "/", body=b"{", headers=headers)
    answer = connection.getresponse()
    refusal = json.loads(answer.read())
    connection.close()

    assert (answer.status, refusal["__type"]) == (400, "SerializationException")
