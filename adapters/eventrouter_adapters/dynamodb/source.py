"""Shards of DynamoDB streams, read through iterators that are made from positions and forgotten at every failure.

Source: lambda-semantics §4.6, §7.6.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from eventrouter.clock import Clock, Pause
from eventrouter.ports import SourceGone, SourceShard, StreamHead, StreamPage, StreamRecord, StreamSource
from eventrouter.rules.mapping import StartingPosition
from eventrouter_adapters.dynamodb.api import ExpiredIterator, StreamsApi, TrimmedPosition
from eventrouter_adapters.dynamodb.events import padded, stream_record

PAGE_RECORDS = 1_000
"""The most that one GetRecords gives: lambda-semantics §7.6."""

EMPTY_PAGES_AT_THE_TIP = 5
"""Pages without records stand between records too. After this many in a row an open shard counts as read through."""

ITERATORS_KEPT = 4_096
"""Readers that can go on without asking for an iterator first. Those beyond pay one more call a read."""

_decode = msgspec.json.Decoder(type=dict[str, Any]).decode


class DynamoDBStreamSource(StreamSource):
    """Reads the streams of one endpoint."""

    service = "dynamodb"
    data_key = "dynamodb"
    batch_info = "DDBStreamBatchInfo"
    starting_positions = frozenset({StartingPosition.TRIM_HORIZON, StartingPosition.LATEST})

    def __init__(self, api: StreamsApi, *, clock: Clock, poll_interval_s: float) -> None:
        self._api = api
        self._clock = clock
        self._poll_interval_s = poll_interval_s
        self._iterators: dict[tuple[str, str, str], tuple[str, int]] = {}
        """By stream, shard and position: the iterator that goes on there, and the empty pages in a row before it."""

    def filterable(self, event: bytes) -> Mapping[str, Any]:
        """Return the whole record: patterns of `eventName` work on AWS too, besides those of `dynamodb`."""
        return _decode(event)

    def arrival_text(self, at_ms: int) -> str:
        """Render an arrival to the second. Source: lambda-semantics §4.7."""
        return datetime.fromtimestamp(at_ms // 1_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    async def shards(self, arn: str) -> Sequence[SourceShard]:
        """Return the shards that the stream describes; parents that it has forgotten are left out."""
        described = await self._described(arn)
        known = {shard["ShardId"] for shard in described}
        return [
            SourceShard(id=shard["ShardId"], parents=tuple(known & {shard.get("ParentShardId")})) for shard in described
        ]

    async def position(self, arn: str, shard: SourceShard, start: StartingPosition, at_ms: int) -> str:
        """Return START, or the sequence number of the last record before the moment that reading begins at.

        An iterator of type LATEST would not do: it has no number until a record comes, and would be lost with this
        node. So the shard is read up to its tip, which costs a call for every thousand records of four hours.
        """
        if start is StartingPosition.TRIM_HORIZON:
            return self.START
        since_ms = self._clock.now_ms() if start is StartingPosition.LATEST else at_ms
        position = self.START
        iterator: str | None = await self._iterator(arn, shard, position)
        empty_pages = 0
        while iterator is not None and empty_pages < EMPTY_PAGES_AT_THE_TIP:
            records, iterator = await self._page(arn, iterator, PAGE_RECORDS)
            empty_pages = 0 if records else empty_pages + 1
            for record in records:
                if record.arrived_ms >= since_ms:
                    return position
                position = record.sequence
        return position

    async def read(
        self, arn: str, shard: SourceShard, after: str, *, limit: int, max_bytes: int, identity_arn: str
    ) -> StreamPage:
        """Return one page of GetRecords: 1,000 records or 1 MB at most, whatever is asked for.

        An empty page between records is never returned: readers take it for the tip of the shard.
        """
        has_lost = False
        try:
            records, following = await self._page_after(arn, shard, after, limit)
        except TrimmedPosition:
            has_lost = True
            records, following = await self._page_after(arn, shard, self.START, limit)
        except SourceGone:
            if shard.id in {known["ShardId"] for known in await self._described(arn)}:
                raise
            return StreamPage(is_end=True, has_lost=True)  # the stream has outlived this shard
        fitting = _fitting(records, max_bytes)
        if len(fitting) < len(records):
            return StreamPage(records=fitting, has_lost=has_lost)
        if following is not None:
            empty_pages = 0 if records else EMPTY_PAGES_AT_THE_TIP
            self._keep((arn, shard.id, records[-1].sequence if records else after), following, empty_pages)
        return StreamPage(records=records, is_end=following is None, has_lost=has_lost)

    async def wait(self, arn: str, shard: SourceShard, after: str) -> None:
        """Let the poll interval pass: the API has nothing to wait on."""
        await self._clock.pause(Pause(self._poll_interval_s))

    async def head(self, arn: str, shard: SourceShard) -> StreamHead | None:
        """Return None: only reading the shard through would tell."""
        return None

    async def _described(self, arn: str) -> list[Mapping[str, Any]]:
        """Return every shard of the stream, oldest first, as DescribeStream shows them. Raises SourceGone.

        Some servers read on through the iterators of a deleted stream, so these are forgotten with it.
        """
        try:
            return await self._described_by_pages(arn)
        except SourceGone:
            for reader in [reader for reader in self._iterators if reader[0] == arn]:
                del self._iterators[reader]
            raise

    async def _described_by_pages(self, arn: str) -> list[Mapping[str, Any]]:
        """Page through DescribeStream.

        Some servers find a stream by its table alone: what they say of another stream of that table is not taken.
        """
        shards: list[Mapping[str, Any]] = []
        members: dict[str, str] = {}
        _, _, label = arn.partition("/stream/")
        while True:
            answer = await self._api.call(_region(arn), "describe_stream", StreamArn=arn, **members)
            described = answer["StreamDescription"]
            if label not in {"", described.get("StreamLabel")}:
                raise SourceGone(f"describe_stream: the table has no stream {arn} any more")
            shards += described.get("Shards", ())
            if (last := described.get("LastEvaluatedShardId")) is None:
                return shards
            members = {"ExclusiveStartShardId": last}

    async def _iterator(self, arn: str, shard: SourceShard, after: str) -> str:
        members = {"StreamArn": arn, "ShardId": shard.id}
        if after == self.START:
            members["ShardIteratorType"] = "TRIM_HORIZON"
        else:
            members |= {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": padded(after)}
        answer = await self._api.call(_region(arn), "get_shard_iterator", **members)
        return str(answer["ShardIterator"])

    async def _page_after(
        self, arn: str, shard: SourceShard, after: str, limit: int
    ) -> tuple[list[StreamRecord], str | None]:
        """Return the page after a position, through the iterator that the last read left if it is still good."""
        if (kept := self._iterators.pop((arn, shard.id, after), None)) is not None:
            try:
                return await self._page_with_records(arn, *kept, limit)
            except ExpiredIterator:
                pass
        return await self._page_with_records(arn, await self._iterator(arn, shard, after), 0, limit)

    async def _page_with_records(
        self, arn: str, iterator: str, empty_pages: int, limit: int
    ) -> tuple[list[StreamRecord], str | None]:
        """Return the next page that has records, or an empty one once the shard counts as read through."""
        while True:
            records, following = await self._page(arn, iterator, limit)
            empty_pages += 1
            if records or following is None or empty_pages >= EMPTY_PAGES_AT_THE_TIP:
                return records, following
            iterator = following

    async def _page(self, arn: str, iterator: str, limit: int) -> tuple[list[StreamRecord], str | None]:
        """Return one page of records, and the iterator of the next: None at the end of a closed shard."""
        region = _region(arn)
        answer = await self._api.call(region, "get_records", ShardIterator=iterator, Limit=min(limit, PAGE_RECORDS))
        records = [stream_record(record, arn=arn, region=region) for record in answer.get("Records", ())]
        return records, answer.get("NextShardIterator")

    def _keep(self, reader: tuple[str, str, str], iterator: str, empty_pages: int) -> None:
        self._iterators[reader] = (iterator, empty_pages)
        if len(self._iterators) > ITERATORS_KEPT:
            del self._iterators[next(iter(self._iterators))]


def _region(arn: str) -> str:
    return arn.split(":", 4)[3]


def _fitting(records: list[StreamRecord], max_bytes: int) -> list[StreamRecord]:
    """Return the leading records that fit, one in any case."""
    size = 0
    for index, record in enumerate(records):
        size += len(record.event)
        if size > max_bytes and index > 0:
            return records[:index]
    return records
