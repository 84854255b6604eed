"""On-failure records of streams, field by field (lambda-semantics §4.7)."""

from __future__ import annotations

import json
from dataclasses import replace

import msgspec
import pytest

from eventrouter.rules.batch_record import FailedBatch, batch_failure_id, batch_record
from eventrouter.rules.shard import Drop, DropCondition

pytestmark = pytest.mark.unit

DROP = Drop(
    first="49601189658422359378836298521827638475320189012309704722",
    last="49601189658422359378836298522902373528957594348623495186",
    size=500,
    arrived_first_ms=1_573_689_844_835,
    arrived_last_ms=1_573_689_845_580,
    condition=DropCondition.RETRY_ATTEMPTS_EXHAUSTED,
    invokes=2,
)
FAILED = FailedBatch(
    request_id="c9b8fa9f-5a7f-xmpl-af9c-0c604cde93a5",
    function_arn="arn:aws:lambda:us-east-2:123456789012:function:myfunction",
    drop=DROP,
    batch_info="KinesisBatchInfo",
    shard_id="shardId-000000000001",
    stream_arn="arn:aws:kinesis:us-east-2:123456789012:stream/mystream",
    arrived_first="2019-11-14T00:04:04.835Z",
    arrived_last="2019-11-14T00:04:05.580Z",
    ended_at_ms=1_573_689_846_021,
    function_error="Unhandled",
)


def because(condition: DropCondition) -> FailedBatch:
    return replace(FAILED, drop=msgspec.structs.replace(DROP, condition=condition))


def test_a_record_has_every_member_in_awss_order() -> None:
    expected = (
        b'{"requestContext":{"requestId":"c9b8fa9f-5a7f-xmpl-af9c-0c604cde93a5",'
        b'"functionArn":"arn:aws:lambda:us-east-2:123456789012:function:myfunction",'
        b'"condition":"RetryAttemptsExhausted","approximateInvokeCount":2},'
        b'"responseContext":{"statusCode":200,"executedVersion":"$LATEST","functionError":"Unhandled"},'
        b'"version":"1.0","timestamp":"2019-11-14T00:04:06.021Z",'
        b'"KinesisBatchInfo":{"shardId":"shardId-000000000001",'
        b'"startSequenceNumber":"49601189658422359378836298521827638475320189012309704722",'
        b'"endSequenceNumber":"49601189658422359378836298522902373528957594348623495186",'
        b'"approximateArrivalOfFirstRecord":"2019-11-14T00:04:04.835Z",'
        b'"approximateArrivalOfLastRecord":"2019-11-14T00:04:05.580Z",'
        b'"batchSize":500,"streamArn":"arn:aws:kinesis:us-east-2:123456789012:stream/mystream"}}'
    )

    assert batch_record(FAILED) == expected


def test_a_batch_that_failed_by_its_answer_has_a_null_error() -> None:
    record = json.loads(batch_record(replace(FAILED, function_error=None, executed_version="7")))

    assert record["responseContext"] == {"statusCode": 200, "executedVersion": "7", "functionError": None}


def test_records_that_grew_too_old_have_no_response() -> None:
    record = json.loads(batch_record(because(DropCondition.RECORD_AGE_EXCEEDED)))

    assert list(record) == ["requestContext", "version", "timestamp", "KinesisBatchInfo"]
    assert record["requestContext"]["condition"] == "RecordAgeExceeded"


def test_a_record_that_was_too_large_has_a_null_response() -> None:
    record = json.loads(batch_record(because(DropCondition.MAXIMUM_PAYLOAD_SIZE_EXCEEDED)))

    assert list(record) == ["requestContext", "responseContext", "version", "timestamp", "KinesisBatchInfo"]
    assert record["responseContext"] is None


def test_a_source_names_its_batch_and_renders_its_arrivals() -> None:
    record = json.loads(
        batch_record(replace(FAILED, batch_info="DDBStreamBatchInfo", arrived_first="2022-07-13T13:48:01Z"))
    )

    assert record["DDBStreamBatchInfo"]["approximateArrivalOfFirstRecord"] == "2022-07-13T13:48:01Z"


def test_the_id_of_a_record_is_the_same_whenever_it_is_built_and_differs_with_what_it_tells() -> None:
    original = batch_failure_id("m-1", "shardId-000000000001", DROP)
    others = [
        batch_failure_id("m-2", "shardId-000000000001", DROP),
        batch_failure_id("m-1", "shardId-000000000002", DROP),
        *(
            batch_failure_id("m-1", "shardId-000000000001", msgspec.structs.replace(DROP, **change))
            for change in ({"first": "1"}, {"last": "1"}, {"condition": DropCondition.RECORD_AGE_EXCEEDED})
        ),
    ]

    assert original == batch_failure_id("m-1", "shardId-000000000001", DROP)
    assert len({original, *others}) == 1 + len(others)
