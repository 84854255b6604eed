"""Creating, describing, listing and deleting streams; their retention and mode. Source: lambda-semantics §7.2."""

from __future__ import annotations

import dataclasses
from random import Random
from typing import Any

from eventrouter.clock import Clock
from eventrouter.ports import Caller, Operation
from eventrouter.rules.stream import DEFAULT_RECORD_BYTES, Stream, StreamMode, StreamName, StreamStatus
from eventrouter.store import Conflict
from eventrouter.store.streams import Streams
from eventrouter_adapters.kinesis import errors
from eventrouter_adapters.kinesis.access import Access, Members
from eventrouter_adapters.kinesis.lifecycle import Lifecycle
from eventrouter_adapters.kinesis.resharding import first_shards
from eventrouter_adapters.kinesis.shown import shown_shard, shown_stream, shown_summary
from eventrouter_adapters.kinesis.tag_rules import check_tags
from eventrouter_adapters.kinesis.tokens import NamePage, decode_token

ON_DEMAND_SHARDS = 4
STREAM_PAGE = 100
SHARD_PAGE = 100
MOST_SHARDS = 10_000
MOST_CREATING = 5
SHORTEST_RETENTION_H, LONGEST_RETENTION_H = 24, 8_760


class StreamOperations:
    """The operations on streams as a whole."""

    def __init__(self, *, streams: Streams, access: Access, lifecycle: Lifecycle, clock: Clock, random: Random) -> None:
        self._streams = streams
        self._access = access
        self._lifecycle = lifecycle
        self._clock = clock
        self._random = random

    def operations(self) -> dict[str, Operation]:
        """Return the operations by their names on the wire."""
        return {
            "CreateStream": self.create_stream,
            "DecreaseStreamRetentionPeriod": self.decrease_stream_retention_period,
            "DeleteStream": self.delete_stream,
            "DescribeStream": self.describe_stream,
            "DescribeStreamSummary": self.describe_stream_summary,
            "IncreaseStreamRetentionPeriod": self.increase_stream_retention_period,
            "ListStreams": self.list_streams,
            "UpdateMaxRecordSize": self.update_max_record_size,
            "UpdateStreamMode": self.update_stream_mode,
        }

    async def create_stream(self, caller: Caller, members: Members) -> Members:
        """Create a stream; without a shard count or a mode it is an on-demand one."""
        name = StreamName(account=caller.account, region=caller.region, name=members["StreamName"])
        _refuse_throughput(members)
        if members.get("RecordDistributionStrategy") == "AUTO":
            raise errors.invalid_argument("RecordDistributionStrategy AUTO is not supported.")
        count = members.get("ShardCount")
        given = (members.get("StreamModeDetails") or {}).get("StreamMode")
        mode = StreamMode(given) if given else StreamMode.ON_DEMAND if count is None else StreamMode.PROVISIONED
        if mode is StreamMode.PROVISIONED and count is None:
            raise errors.validation("ShardCount is required for a stream in PROVISIONED mode.")
        if mode is StreamMode.ON_DEMAND and count is not None:
            raise errors.validation("ShardCount must not be given for a stream in ON_DEMAND mode.")
        if count is not None and count > MOST_SHARDS:
            raise errors.limit_exceeded(f"A stream has {MOST_SHARDS} shards at most; {count} were asked for.")
        if self._lifecycle.takes_time:
            known = await self._access.of_caller(caller)
            if sum(stream.status is StreamStatus.CREATING for stream in known) >= MOST_CREATING:
                raise errors.limit_exceeded(f"{MOST_CREATING} streams at most are in CREATING at once.")
        now_ms = self._clock.now_ms()
        stream = Stream(
            name=name,
            generation=f"{self._random.getrandbits(64):016x}",
            mode=mode,
            shards=first_shards(count or ON_DEMAND_SHARDS),
            max_record_bytes=members["MaxRecordSizeInKiB"] * 1_024
            if members.get("MaxRecordSizeInKiB")
            else DEFAULT_RECORD_BYTES,
            created_at_ms=now_ms,
            changed_at_ms=now_ms,
            tags=check_tags({}, members.get("Tags") or {}),
        )
        try:
            stream = await self._streams.catalogue.put(stream)
        except Conflict as error:
            raise errors.stream_exists(name) from error
        await self._lifecycle.begun(stream)
        return {}

    async def delete_stream(self, caller: Caller, members: Members) -> Members:
        """Delete a stream and its records; one with consumers only if asked to."""
        is_enforced = bool(members.get("EnforceConsumerDeletion"))

        def deleting(stream: Stream) -> Stream:
            if stream.consumers and not is_enforced:
                raise errors.in_use(
                    f"Stream {stream.name.name} under account {stream.name.account} has registered consumers: "
                    "deregister them, or set EnforceConsumerDeletion."
                )
            return self._changing(stream, StreamStatus.DELETING)

        stream = await self._access.change_active(self._access.name_of(caller, members), deleting)
        await self._lifecycle.begun(stream)
        return {}

    async def describe_stream(self, caller: Caller, members: Members) -> Members:
        """Answer with a stream and a page of its shards."""
        stream = await self._access.find(caller, members)
        after = members.get("ExclusiveStartShardId") or ""
        shards = [shard for shard in self._access.listed(stream) if shard.id > after]
        limit = min(members.get("Limit") or SHARD_PAGE, SHARD_PAGE)
        return {
            "StreamDescription": {
                **shown_stream(stream),
                "Shards": [shown_shard(shard) for shard in shards[:limit]],
                "HasMoreShards": len(shards) > limit,
                "EncryptionType": "NONE",
            }
        }

    async def describe_stream_summary(self, caller: Caller, members: Members) -> Members:
        """Answer with a stream without its shards."""
        stream = await self._access.find(caller, members)
        return {
            "StreamDescriptionSummary": {
                **shown_stream(stream),
                "EncryptionType": "NONE",
                "OpenShardCount": len(stream.open_shards),
                "ConsumerCount": len(stream.consumers),
                "MaxRecordSizeInKiB": stream.max_record_bytes // 1_024,
            }
        }

    async def list_streams(self, caller: Caller, members: Members) -> Members:
        """Answer with the caller's streams, by name, in pages."""
        token = members.get("NextToken")
        after = decode_token(token, NamePage).after if token else members.get("ExclusiveStartStreamName") or ""
        streams = [stream for stream in await self._access.of_caller(caller) if stream.name.name > after]
        limit = min(members.get("Limit") or STREAM_PAGE, STREAM_PAGE)
        page = streams[:limit]
        answer: dict[str, Any] = {
            "StreamNames": [stream.name.name for stream in page],
            "HasMoreStreams": len(streams) > limit,
            "StreamSummaries": [shown_summary(stream) for stream in page],
        }
        if len(streams) > limit:
            answer["NextToken"] = NamePage(page[-1].name.name).encode()
        return answer

    async def increase_stream_retention_period(self, caller: Caller, members: Members) -> Members:
        """Keep records longer."""
        hours = members["RetentionPeriodHours"]
        _check_retention(hours)

        def increased(stream: Stream) -> Stream:
            if hours < stream.retention_h:
                raise _wrong_direction(stream, hours, "shorter", "DecreaseRetentionPeriod")
            return dataclasses.replace(stream, retention_h=hours)

        await self._access.change_active(self._access.name_of(caller, members), increased)
        return {}

    async def decrease_stream_retention_period(self, caller: Caller, members: Members) -> Members:
        """Keep records for a shorter time; older ones cannot be read from now on."""
        hours = members["RetentionPeriodHours"]
        _check_retention(hours)

        def decreased(stream: Stream) -> Stream:
            if hours > stream.retention_h:
                raise _wrong_direction(stream, hours, "longer", "IncreaseRetentionPeriod")
            return dataclasses.replace(stream, retention_h=hours)

        await self._access.change_active(self._access.name_of(caller, members), decreased)
        return {}

    async def update_max_record_size(self, caller: Caller, members: Members) -> Members:
        """Change how large the stream's records may be from now on."""
        max_bytes = members["MaxRecordSizeInKiB"] * 1_024

        def changed(stream: Stream) -> Stream:
            return dataclasses.replace(stream, max_record_bytes=max_bytes)

        await self._access.change_active(self._access.name_of(caller, members), changed)
        return {}

    async def update_stream_mode(self, caller: Caller, members: Members) -> Members:
        """Change between provisioned and on-demand; the shards stay as they are."""
        _refuse_throughput(members)
        mode = StreamMode(members["StreamModeDetails"]["StreamMode"])

        def changed(stream: Stream) -> Stream:
            return self._changing(dataclasses.replace(stream, mode=mode), StreamStatus.UPDATING)

        stream = await self._access.change_active(self._access.name_of(caller, members), changed)
        await self._lifecycle.begun(stream)
        return {}

    def _changing(self, stream: Stream, status: StreamStatus) -> Stream:
        return dataclasses.replace(stream, status=status, changed_at_ms=self._clock.now_ms())


def _refuse_throughput(members: Members) -> None:
    if members.get("WarmThroughputMiBps") is not None:
        raise errors.validation("WarmThroughputMiBps is not supported.")


def _check_retention(hours: int) -> None:
    if hours < SHORTEST_RETENTION_H:
        raise errors.invalid_argument(
            f"Minimum allowed retention period is {SHORTEST_RETENTION_H} hours. "
            f"Requested retention period ({hours} hours) is too short."
        )
    if hours > LONGEST_RETENTION_H:
        raise errors.invalid_argument(
            f"Maximum allowed retention period is {LONGEST_RETENTION_H} hours. "
            f"Requested retention period ({hours} hours) is too long."
        )


def _wrong_direction(stream: Stream, hours: int, comparison: str, other: str) -> Exception:
    return errors.invalid_argument(
        f"Requested retention period ({hours} hours) for stream {stream.name.name} can not be {comparison} than "
        f"existing retention period ({stream.retention_h} hours). Use {other} API."
    )
