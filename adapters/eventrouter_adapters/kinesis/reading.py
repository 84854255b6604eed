"""Reading shards: iterators, and what they give. Source: lambda-semantics §7.2, §7.4."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from eventrouter.clock import Clock
from eventrouter.errors import RequestError
from eventrouter.ports import Caller, Operation
from eventrouter.rules.stream import RecordId, Stream, StreamShard
from eventrouter.store.streams import ShardMissing, ShardPage, Streams
from eventrouter_adapters.kinesis import errors
from eventrouter_adapters.kinesis.access import Access, Members
from eventrouter_adapters.kinesis.retention import horizon_ms
from eventrouter_adapters.kinesis.sequence import START, before, before_time, parse_sequence_number, sequence_number
from eventrouter_adapters.kinesis.shown import children_of, shard_id
from eventrouter_adapters.kinesis.tokens import ShardIterator, decode_token

MOST_RECORDS = 10_000
ANSWER_BYTES = 10_485_760


@dataclass(frozen=True, slots=True, kw_only=True)
class StartingPoint:
    """Where a reader wants to begin: the iterator's type, and the sequence number or time (epoch seconds) it needs."""

    kind: str
    sequence: str | None = None
    time: float | None = None


class Reader:
    """Reads shards as callers do: positions in, records as the API shows them out."""

    def __init__(self, *, streams: Streams, access: Access, clock: Clock) -> None:
        self._streams = streams
        self._access = access
        self._clock = clock

    async def position(self, stream: Stream, shard: StreamShard, start: StartingPoint) -> RecordId:
        """Return the record after which reading begins. Raises RequestError."""
        match start.kind:
            case "TRIM_HORIZON":
                return RecordId(0, 0)
            case "LATEST":
                return await self._newest(stream, shard) or shard.opened or RecordId(0, 0)
            case "AT_TIMESTAMP":
                return before_time(self._past(start))
        record = self._sequence(stream, shard, start)
        return before(record) if start.kind == "AT_SEQUENCE_NUMBER" and record > (0, 0) else record

    async def read(
        self, stream: Stream, shard: StreamShard, after: RecordId, *, limit: int, max_bytes: int
    ) -> ShardPage:
        """Return the records after a position, of `max_bytes` at most where that is not less than one record.

        Raises RequestError.
        """
        try:
            page = await self._streams.read(
                self._streams.shard(stream, shard.index),
                after,
                limit=limit,
                max_bytes=max_bytes,
                horizon_ms=horizon_ms(stream, self._clock),
            )
        except ShardMissing as error:
            raise await self._missing(stream, shard) from error
        size = 0
        for number, (_, key, data) in enumerate(page.rows):
            size += len(key) + len(data)
            if size > max_bytes and number:
                return ShardPage(rows=page.rows[:number], is_end=False, has_lost=page.has_lost)
        return page

    async def wait(self, stream: Stream, shard: StreamShard, after: RecordId) -> None:
        """Return when there may be more to read."""
        await self._streams.watch.wait(self._streams.shard(stream, shard.index), after)

    async def behind_ms(self, stream: Stream, shard: StreamShard, page: ShardPage) -> int:
        """Return how old the last record of a page is if others follow it; 0 at the tip of the shard."""
        if page.is_end or not page.rows:
            return 0
        newest = await self._newest(stream, shard)
        return 0 if newest is None or newest <= page.last else max(0, self._clock.now_ms() - page.last.ms)

    async def children(self, stream: Stream, shard: StreamShard) -> list[dict[str, Any]]:
        """Return the children of a closed shard; a node that has not heard of them yet asks."""
        found = children_of(stream.shards, shard)
        if not found and (newer := await self._access.refreshed(stream.name)) is not None:
            found = children_of(newer.shards, shard)
        return found

    async def _newest(self, stream: Stream, shard: StreamShard) -> RecordId | None:
        try:
            return await self._streams.last(self._streams.shard(stream, shard.index))
        except ShardMissing as error:
            raise await self._missing(stream, shard) from error

    async def _missing(self, stream: Stream, shard: StreamShard) -> RequestError:
        """Return what to say of a shard that another node has removed."""
        newer = await self._access.refreshed(stream.name)
        if newer is None or newer.generation != stream.generation:
            return errors.no_such_stream(stream.name)
        return errors.no_such_shard(shard.id, stream.name)

    def _past(self, start: StartingPoint) -> int:
        if start.time is None:
            raise errors.invalid_argument("Must specify a Timestamp for AT_TIMESTAMP.")
        at_ms, now_ms = round(start.time * 1_000), self._clock.now_ms()
        if at_ms > now_ms:
            raise errors.invalid_argument(
                "The timestampInMillis parameter cannot be greater than the currentTimestampInMillis. "
                f"timestampInMillis: {at_ms}, currentTimestampInMillis: {now_ms}"
            )
        return at_ms

    def _sequence(self, stream: Stream, shard: StreamShard, start: StartingPoint) -> RecordId:
        if start.sequence is None:
            raise errors.invalid_argument(f"Must specify a StartingSequenceNumber for {start.kind}.")
        if start.sequence == START:
            return RecordId(0, 0)
        try:
            record, index = parse_sequence_number(start.sequence)
        except ValueError as error:
            raise errors.invalid_argument(
                f"StartingSequenceNumber {start.sequence} used in GetShardIterator on shard {shard.id} in stream "
                f"{stream.name.name} under account {stream.name.account} is invalid because it did not come from "
                "this stream."
            ) from error
        if index != shard.index:
            raise errors.invalid_argument(
                f"Invalid StartingSequenceNumber. It encodes shardId-{index:012d}, while it was used in a call to a "
                f"shard with {shard.id}"
            )
        return record


class ReadOperations:
    """The operations that read records."""

    def __init__(self, *, reader: Reader, access: Access, clock: Clock) -> None:
        self._reader = reader
        self._access = access
        self._clock = clock

    def operations(self) -> dict[str, Operation]:
        """Return the operations by their names on the wire."""
        return {"GetRecords": self.get_records, "GetShardIterator": self.get_shard_iterator}

    async def get_shard_iterator(self, caller: Caller, members: Members) -> Members:
        """Answer with an iterator at the position asked for."""
        stream = await self._access.find_usable(caller, members)
        shard = self._access.shard(stream, members["ShardId"])
        start = StartingPoint(
            kind=members["ShardIteratorType"],
            sequence=members.get("StartingSequenceNumber"),
            time=members.get("Timestamp"),
        )
        after = await self._reader.position(stream, shard, start)
        if members.get("DryRun"):
            raise errors.dry_run()
        return {"ShardIterator": ShardIterator.at(stream, shard, after, self._clock.now_ms()).encode()}

    async def get_records(self, caller: Caller, members: Members) -> Members:
        """Answer with the records behind an iterator, and with the iterator behind them.

        At the end of a closed shard there is none: the answer names the shards that continue it.
        """
        iterator = decode_token(members["ShardIterator"], ShardIterator, "ShardIterator")
        stream, shard = await self._place(caller, iterator, members)
        if members.get("DryRun"):
            raise errors.dry_run()
        limit = members.get("Limit") or MOST_RECORDS
        after = RecordId(iterator.ms, iterator.n)
        page = await self._reader.read(stream, shard, after, limit=limit, max_bytes=ANSWER_BYTES)
        answer: dict[str, Any] = {
            "Records": shown_records(page.records, shard.index),
            "MillisBehindLatest": await self._reader.behind_ms(stream, shard, page),
        }
        if page.is_end:
            answer["ChildShards"] = await self._reader.children(stream, shard)
        else:
            last = page.last if page.rows else after
            answer["NextShardIterator"] = ShardIterator.at(stream, shard, last, self._clock.now_ms()).encode()
        return answer

    async def _place(self, caller: Caller, iterator: ShardIterator, members: Members) -> tuple[Stream, StreamShard]:
        """Return the stream and the shard of an iterator. Raises RequestError."""
        name, now_ms = iterator.stream, self._clock.now_ms()
        if members.get("StreamARN") is not None and self._access.name_of(caller, members) != name:
            raise errors.invalid_argument("The ShardIterator is not one of the stream that StreamARN names.")
        if (name.account, name.region) != (caller.account, caller.region):
            raise errors.no_such_stream(name)
        if now_ms - iterator.issued_at_ms > errors.ITERATOR_LIFE_MS:
            raise errors.iterator_expired(iterator.issued_at_ms, now_ms)
        stream = self._access.usable(await self._access.get(name))
        if stream.generation != iterator.generation:
            raise errors.no_such_stream(name)
        return stream, self._access.shard(stream, shard_id(iterator.index))


def shown_records(records: Sequence[tuple[RecordId, bytes, bytes]], index: int) -> list[dict[str, Any]]:
    """Return records as the API shows them."""
    return [
        {
            "SequenceNumber": sequence_number(record, index),
            "ApproximateArrivalTimestamp": record.ms / 1_000,
            "Data": data,
            "PartitionKey": key.decode(),
            "EncryptionType": "NONE",
        }
        for record, key, data in records
    ]
