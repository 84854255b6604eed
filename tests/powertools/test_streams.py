"""Powertools' batch processors over streams: a shard resumes at the first record that failed."""

from __future__ import annotations

import json
import secrets
from typing import Any

import pytest

from tests.e2e.accounts import Account, Queue
from tests.e2e.nodes import wait_until
from tests.e2e.streams import REGION, Stream
from tests.powertools.functions import Functions
from tests.powertools.tables import Tables

KINESIS = """
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.data_classes.kinesis_stream_event import KinesisStreamRecord
from told import note, process

processor = BatchProcessor(event_type=EventType.KinesisDataStreams)

def record_handler(record: KinesisStreamRecord):
    return process(record.kinesis.data_as_text())

def handler(event, context):
    note("batches", len(event["Records"]))
    return process_partial_response(event=event, record_handler=record_handler, processor=processor, context=context)
"""

RAISING = """
from aws_lambda_powertools.utilities.data_classes import KinesisStreamEvent, event_source
from told import process

@event_source(data_class=KinesisStreamEvent)
def handler(event, context):
    values = [record.kinesis.data_as_text() for record in event.records]
    assert "bad" not in values
    for value in values:
        process(value)
"""

DYNAMODB = """
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.data_classes.dynamo_db_stream_event import DynamoDBRecord
from told import note, process

processor = BatchProcessor(event_type=EventType.DynamoDBStreams)

def record_handler(record: DynamoDBRecord):
    item = record.dynamodb.new_image or record.dynamodb.old_image
    note("names", record.event_name.name)
    return process(item["status"])

def handler(event, context):
    return process_partial_response(event=event, record_handler=record_handler, processor=processor, context=context)
"""


@pytest.fixture
def stream(account: Account) -> Any:
    kinesis = account.client("kinesis")
    name = f"s-{secrets.token_hex(4)}"
    kinesis.create_stream(StreamName=name, ShardCount=1)
    stream = Stream(kinesis, name, f"arn:aws:kinesis:{REGION}:{account.id}:stream/{name}")
    stream.wait_active()
    yield stream
    kinesis.close()


def on_failure(queue: Queue) -> dict[str, Any]:
    return {"OnFailure": {"Destination": queue.arn}}


def test_a_shard_resumes_at_the_record_that_failed(functions: Functions, stream: Stream) -> None:
    stream.put("one", "once", "three")
    functions.map(stream.arn, functions.make(KINESIS), StartingPosition="TRIM_HORIZON")

    functions.wait_noted("processed", 5)
    stream.put("four")
    functions.wait_noted("processed", 6)

    assert functions.noted("batches") == [3, 2, 1]
    assert functions.noted("processed") == ["one", "once", "three", "once", "three", "four"]


def test_a_poison_record_is_given_up_with_what_follows_it_in_its_batch(
    functions: Functions, stream: Stream, account: Account
) -> None:
    """As on AWS: a report splits the batch before the record that failed, never behind it. Nothing before it is lost,
    and what follows has been processed each time.
    """
    failures = account.queue()
    sent = stream.put("one", "bad", "three")
    functions.map(
        stream.arn,
        functions.make(KINESIS),
        StartingPosition="TRIM_HORIZON",
        MaximumRetryAttempts=1,
        BisectBatchOnFunctionError=True,
        DestinationConfig=on_failure(failures),
    )

    record = json.loads(failures.receive()["Body"])
    stream.put("four")
    wait_until("the next record", lambda: "four" in functions.noted("processed"))

    info = record["KinesisBatchInfo"]
    assert record["requestContext"]["condition"] == "RetryAttemptsExhausted"
    assert record["responseContext"]["functionError"] is None
    assert (info["startSequenceNumber"], info["endSequenceNumber"], info["batchSize"]) == (sent[1], sent[2], 2)
    *tries, last = functions.noted("processed")
    assert tries == ["one", *["bad", "three"] * (len(tries) // 2)]
    assert last == "four"


def test_a_poison_record_is_given_up_alone_when_the_function_raises_and_batches_are_bisected(
    functions: Functions, stream: Stream, account: Account
) -> None:
    failures = account.queue()
    sent = stream.put("one", "two", "bad", "four")
    functions.map(
        stream.arn,
        functions.make(RAISING),
        StartingPosition="TRIM_HORIZON",
        MaximumRetryAttempts=1,
        BisectBatchOnFunctionError=True,
        DestinationConfig=on_failure(failures),
    )

    info = json.loads(failures.receive()["Body"])["KinesisBatchInfo"]
    functions.wait_noted("processed", 3)

    assert (info["startSequenceNumber"], info["endSequenceNumber"], info["batchSize"]) == (sent[2], sent[2], 1)
    assert functions.noted("processed") == ["one", "two", "four"]


def test_a_batch_that_fails_altogether_is_a_function_error(
    functions: Functions, stream: Stream, account: Account
) -> None:
    """The processor raises then, so the record of the failure says so; a reported failure has none."""
    failures = account.queue()
    sent = stream.put("bad-1", "bad-2")
    name = functions.make(KINESIS)
    functions.map(
        stream.arn,
        name,
        StartingPosition="TRIM_HORIZON",
        MaximumRetryAttempts=1,
        DestinationConfig=on_failure(failures),
    )

    record = json.loads(failures.receive()["Body"])

    assert record["responseContext"]["functionError"] == "Unhandled"
    assert record["requestContext"]["approximateInvokeCount"] == 2
    assert record["KinesisBatchInfo"]["startSequenceNumber"] == sent[0]
    assert record["KinesisBatchInfo"]["endSequenceNumber"] == sent[1]
    assert functions.noted("processed") == ["bad-1", "bad-2"] * 2


def test_changes_of_a_table_resume_at_the_one_that_failed(functions: Functions, tables: Tables) -> None:
    table = tables.make()
    table.put(id="order-1", status="placed")
    table.put(id="order-1", status="once")
    table.put(id="order-1", status="shipped")
    table.delete("order-1")

    functions.map(table.stream_arn, functions.make(DYNAMODB), StartingPosition="TRIM_HORIZON")
    functions.wait_noted("processed", 7)

    tail = ["once", "shipped", "shipped"]
    assert functions.noted("processed") == ["placed", *tail, *tail]
    changes = ["MODIFY", "MODIFY", "REMOVE"]
    assert functions.noted("names") == ["INSERT", *changes, *changes]
