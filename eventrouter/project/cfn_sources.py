"""AWS::SQS::Queue and AWS::Kinesis::Stream. Source: lambda-semantics §7.2, §8.2."""

from __future__ import annotations

import json
from typing import Any

from eventrouter.project.cfn_members import input_shape, tags, whole_number
from eventrouter.project.cfn_parts import Parts, Properties
from eventrouter.project.model import Place, QueueResource, StreamResource

_ATTRIBUTES = (
    "ContentBasedDeduplication", "DeduplicationScope", "DelaySeconds", "FifoQueue", "FifoThroughputLimit",
    "MaximumMessageSize", "MessageRetentionPeriod", "ReceiveMessageWaitTimeSeconds", "SqsManagedSseEnabled",
    "VisibilityTimeout",
)  # fmt: skip
_NO_KEYS = "messages and records are stored as they are: no key service encrypts them"


def read_queue(logical_id: str, properties: Properties) -> None:
    """Add an AWS::SQS::Queue."""
    parts = properties.parts
    properties.take("QueueName")
    attributes = {name: node.text for name in _ATTRIBUTES if (node := properties.take(name))}
    if attributes.get("FifoQueue") == "false":
        del attributes["FifoQueue"]  # for SQS, a queue that is not FIFO has no such attribute
    for name in ("RedrivePolicy", "RedriveAllowPolicy"):
        policy = properties.take(name)
        if policy:
            is_text = isinstance(policy.value, str)
            attributes[name] = policy.text if is_text else json.dumps(policy.plain, separators=(",", ":"))
    tagged = properties.take("Tags")
    properties.skip({"KmsMasterKeyId": _NO_KEYS, "KmsDataKeyReusePeriodSeconds": _NO_KEYS})
    properties.finish()
    queue = QueueResource(
        name=parts.scope.identity(logical_id, properties.place).name,
        place=properties.place,
        attributes=attributes,
        tags=tags(tagged) if tagged else {},
    )
    parts.add(queue, parts.queues)


def read_stream(logical_id: str, properties: Properties) -> None:
    """Add an AWS::Kinesis::Stream."""
    parts = properties.parts
    properties.take("Name")
    shape = input_shape("kinesis", "CreateStream")
    members: dict[str, Any] = properties.members(("ShardCount", "StreamModeDetails", "MaxRecordSizeInKiB"), shape)
    if members.get("StreamModeDetails", {}).get("StreamMode") != "ON_DEMAND":
        members.setdefault("ShardCount", 1)
    tagged = properties.take("Tags")
    if tagged:
        members["Tags"] = tags(tagged)
    retention = properties.take("RetentionPeriodHours")
    properties.skip(
        {
            "StreamEncryption": _NO_KEYS,
            "DesiredShardLevelMetrics": "shard-level metrics of CloudWatch are not kept",
            "WarmThroughputMiBps": "capacity is not reserved",
        }
    )
    properties.finish()
    stream = StreamResource(
        name=parts.scope.identity(logical_id, properties.place).name,
        place=properties.place,
        members=members,
        retention_hours=whole_number(retention) if retention else 24,
    )
    parts.add(stream, parts.streams)


def add_queue(parts: Parts, logical_id: str, place: Place) -> str:
    """Add a queue that SAM makes for something else, and return its ARN."""
    scope = parts.scope
    name = scope.stack.physical_name(logical_id)
    parts.add(QueueResource(name=name, place=place), parts.queues)
    return scope.stack.arn("sqs", name)
