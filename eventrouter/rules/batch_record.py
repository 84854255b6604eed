"""The record that a stream's on-failure destination receives for records that were given up.

Source: lambda-semantics §4.7.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

import msgspec

from eventrouter.rules.names import LATEST
from eventrouter.rules.record import iso_timestamp
from eventrouter.rules.shard import Drop, DropCondition


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedBatch:
    """Records that were given up, with all that their record tells.

    `function_arn` is as mapped. `batch_info` names the member about the batch (`KinesisBatchInfo`).
    `arrived_first` and `arrived_last` are rendered as the source renders arrivals. `function_error` is `Unhandled`
    if the last invocation failed, None if its answer reported the failure.
    """

    request_id: str
    function_arn: str
    drop: Drop
    batch_info: str
    shard_id: str
    stream_arn: str
    arrived_first: str
    arrived_last: str
    ended_at_ms: int
    executed_version: str = LATEST
    function_error: str | None = None


def batch_record(failed: FailedBatch) -> bytes:
    """Build the record as JSON, in AWS's key order.

    There is no responseContext for records that grew too old, and a null one for a record that no event can carry
    (known of Kafka only).
    """
    drop = failed.drop
    record: dict[str, Any] = {
        "requestContext": {
            "requestId": failed.request_id,
            "functionArn": failed.function_arn,
            "condition": drop.condition.value,
            "approximateInvokeCount": drop.invokes,
        }
    }
    match drop.condition:
        case DropCondition.RETRY_ATTEMPTS_EXHAUSTED:
            record["responseContext"] = {
                "statusCode": 200,
                "executedVersion": failed.executed_version,
                "functionError": failed.function_error,
            }
        case DropCondition.MAXIMUM_PAYLOAD_SIZE_EXCEEDED:
            record["responseContext"] = None
        case DropCondition.RECORD_AGE_EXCEEDED:
            pass
    record["version"] = "1.0"
    record["timestamp"] = iso_timestamp(failed.ended_at_ms)
    record[failed.batch_info] = {
        "shardId": failed.shard_id,
        "startSequenceNumber": drop.first,
        "endSequenceNumber": drop.last,
        "approximateArrivalOfFirstRecord": failed.arrived_first,
        "approximateArrivalOfLastRecord": failed.arrived_last,
        "batchSize": drop.size,
        "streamArn": failed.stream_arn,
    }
    return msgspec.json.encode(record)


def batch_failure_id(mapping_uuid: str, shard_id: str, drop: Drop) -> str:
    """Return the id of a drop's record, the same whenever and wherever it is built again, and of a fixed length."""
    name = f"{mapping_uuid}:{shard_id}:{drop.first}:{drop.last}:{drop.condition}"
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"eventrouter:{name}"))
