"""Our own streams as sources of event source mappings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from eventrouter.clock import Clock
from eventrouter.errors import AdapterError, StoreError
from eventrouter.ports import SourceGone, SourceShard, StreamHead, StreamPage, StreamSource
from eventrouter.rules.mapping import StartingPosition
from eventrouter.rules.stream import RecordId, Stream, StreamName, StreamShard, StreamStatus
from eventrouter.store.streams import ShardMissing, Streams
from eventrouter_adapters.kinesis.addresses import ConsumerAddress, parse_consumer_arn, parse_stream_arn
from eventrouter_adapters.kinesis.events import EventWriter, filterable
from eventrouter_adapters.kinesis.retention import horizon_ms
from eventrouter_adapters.kinesis.sequence import before_time, record_of, sequence_number


class KinesisSource(StreamSource):
    """Reads streams of this installation. A consumer's ARN leads to its stream."""

    service = "kinesis"
    data_key = "data"
    batch_info = "KinesisBatchInfo"
    starting_positions = frozenset(StartingPosition)

    def __init__(self, streams: Streams, clock: Clock) -> None:
        self._streams = streams
        self._clock = clock

    def filterable(self, event: bytes) -> Mapping[str, Any]:
        """Return the record's own members, its data decoded."""
        return filterable(event)

    def arrival_text(self, at_ms: int) -> str:
        """Render an arrival with its milliseconds, such as `2019-11-14T00:38:04.835Z`."""
        return datetime.fromtimestamp(at_ms / 1_000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

    async def shards(self, arn: str) -> Sequence[SourceShard]:
        """Return the shards that are open or hold records. Of the parents, those that are gone are left out."""
        stream = await self._stream(arn)
        ids = {shard.index: shard.id for shard in stream.shards}
        return [
            SourceShard(
                id=shard.id,
                parents=tuple(ids[parent] for parent in shard.parents if parent in ids),
                generation=stream.generation,
            )
            for shard in stream.shards
            if shard.opened is not None
        ]

    async def position(self, arn: str, shard: SourceShard, start: StartingPosition, at_ms: int) -> str:
        """Return where to begin: before everything, behind the newest record, or before the first since `at_ms`."""
        stream, found = await self._shard(arn, shard)
        if start is StartingPosition.TRIM_HORIZON or found is None:
            return self.START
        if start is StartingPosition.AT_TIMESTAMP:
            return sequence_number(before_time(at_ms), found.index)
        last = await self._last(stream, found)
        return sequence_number(last or found.opened or RecordId(0, 0), found.index)

    async def read(
        self, arn: str, shard: SourceShard, after: str, *, limit: int, max_bytes: int, identity_arn: str
    ) -> StreamPage:
        """Return the records after a position, as events. A shard that was forgotten has come to its end."""
        stream, found = await self._shard(arn, shard)
        if found is None:
            return StreamPage(is_end=True, has_lost=True)
        try:
            page = await self._streams.read(
                self._streams.shard(stream, found.index),
                record_of(after),
                limit=limit,
                max_bytes=max_bytes,
                horizon_ms=horizon_ms(stream, self._clock),
            )
        except ShardMissing:
            return StreamPage(is_end=found.closed is not None)
        except StoreError as error:
            raise AdapterError(f"{arn}: {error}", transient=True) from error
        writer = EventWriter(arn=arn, region=stream.name.region, shard=found, identity_arn=identity_arn)
        return StreamPage(records=writer.write(page.rows), is_end=page.is_end, has_lost=page.has_lost)

    async def wait(self, arn: str, shard: SourceShard, after: str) -> None:
        """Return when a record was put, or the shard was closed."""
        stream, found = await self._shard(arn, shard)
        if found is not None:
            await self._streams.watch.wait(self._streams.shard(stream, found.index), record_of(after))

    async def head(self, arn: str, shard: SourceShard) -> StreamHead | None:
        """Return the newest record of the shard."""
        stream, found = await self._shard(arn, shard)
        last = None if found is None else await self._last(stream, found)
        if last is None or found is None:
            return None
        return StreamHead(sequence=sequence_number(last, found.index), arrived_ms=last.ms)

    async def _last(self, stream: Stream, shard: StreamShard) -> RecordId | None:
        try:
            return await self._streams.last(self._streams.shard(stream, shard.index))
        except ShardMissing:
            return None
        except StoreError as error:
            raise AdapterError(f"{stream.name.arn}: {error}", transient=True) from error

    async def _stream(self, arn: str) -> Stream:
        """Return the stream that an ARN leads to. Raises SourceGone, AdapterError."""
        consumer = parse_consumer_arn(arn)
        name = parse_stream_arn(arn) if consumer is None else consumer.stream
        if name is None:
            raise AdapterError(f"{arn} is not the ARN of a stream", transient=False)
        stream = self._known(name, consumer)
        if stream is None:
            await self._refresh(arn)
            stream = self._known(name, consumer)
        if stream is None:
            of_consumer = "" if consumer is None else f" or its consumer {consumer.name}"
            raise SourceGone(f"Stream {name.name} under account {name.account}{of_consumer} not found.")
        return stream

    def _known(self, name: StreamName, consumer: ConsumerAddress | None) -> Stream | None:
        """Return the stream if this node knows it, and the consumer if one is asked for."""
        stream = self._streams.catalogue.get(name.key)
        if stream is None or stream.status is StreamStatus.DELETING:
            return None
        return stream if consumer is None or consumer.find(stream) is not None else None

    async def _shard(self, arn: str, shard: SourceShard) -> tuple[Stream, StreamShard | None]:
        """Return the stream and its shard; None for a shard that was forgotten. Raises SourceGone, AdapterError.

        A stream that was deleted and made again is another one: the shard's stream is gone.
        """
        stream = await self._stream(arn)
        found = _find(stream, shard)
        if found is None:
            await self._refresh(arn)
            stream = await self._stream(arn)
            found = _find(stream, shard)
        if stream.generation != shard.generation:
            raise SourceGone(f"Stream {stream.name.name} under account {stream.name.account} was made anew.")
        return stream, found

    async def _refresh(self, arn: str) -> None:
        try:
            await self._streams.catalogue.refresh()
        except StoreError as error:
            raise AdapterError(f"{arn}: {error}", transient=True) from error


def _find(stream: Stream, shard: SourceShard) -> StreamShard | None:
    """Return the shard by its id, which is its index in twelve digits."""
    if stream.generation != shard.generation:
        return None
    index = int(shard.id.rpartition("-")[2])
    return next((found for found in stream.shards if found.index == index), None)
