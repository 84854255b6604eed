"""Streams, shards and consumers as the API shows them. Source: lambda-semantics §7.2."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from eventrouter.rules.stream import RecordId, Stream, StreamShard
from eventrouter_adapters.kinesis.sequence import sequence_number


def shown_summary(stream: Stream) -> dict[str, Any]:
    """Return a stream as ListStreams shows it."""
    return {
        "StreamName": stream.name.name,
        "StreamARN": stream.name.arn,
        "StreamStatus": stream.status,
        "StreamModeDetails": {"StreamMode": stream.mode},
        "StreamCreationTimestamp": stream.created_at_ms / 1_000,
    }


def shown_stream(stream: Stream) -> dict[str, Any]:
    """Return what DescribeStream and DescribeStreamSummary both show."""
    return {
        **shown_summary(stream),
        "RetentionPeriodHours": stream.retention_h,
        "EnhancedMonitoring": [{"ShardLevelMetrics": []}],
    }


def shown_shard(shard: StreamShard) -> dict[str, Any]:
    """Return a shard that is open or was."""
    numbers = {"StartingSequenceNumber": sequence_number(shard.opened or RecordId(0, 0), shard.index)}
    if shard.closed is not None:
        numbers["EndingSequenceNumber"] = sequence_number(shard.closed, shard.index)
    shown: dict[str, Any] = {
        "ShardId": shard.id,
        "HashKeyRange": _shown_range(shard),
        "SequenceNumberRange": numbers,
    }
    for name, parent in zip(("ParentShardId", "AdjacentParentShardId"), shard.parents, strict=False):
        shown[name] = shard_id(parent)
    return shown


def children_of(shards: Iterable[StreamShard], parent: StreamShard) -> list[dict[str, Any]]:
    """Return the shards that continue a closed one, as its reader is told about them."""
    return [
        {
            "ShardId": shard.id,
            "ParentShards": [shard_id(index) for index in shard.parents],
            "HashKeyRange": _shown_range(shard),
        }
        for shard in shards
        if parent.index in shard.parents
    ]


def shard_id(index: int) -> str:
    return f"shardId-{index:012d}"


def _shown_range(shard: StreamShard) -> dict[str, str]:
    return {"StartingHashKey": shard.first_hash_key, "EndingHashKey": shard.last_hash_key}
