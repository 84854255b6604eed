"""Streams over plain lists: an implementation of the port `StreamSource` that shows what it holds.

Records arrive by `put`, in the time of the clock it is given. Whoever waits is woken by a record, by the end of its
shard and by the end of its stream. `away` makes every question fail for a while.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from eventrouter.clock import Clock
from eventrouter.ports import SourceGone, SourceShard, StreamHead, StreamPage, StreamRecord
from eventrouter.rules.mapping import StartingPosition

DAY_MS = 86_400_000
START = "0"


def stream_arn(name: str, *, account: str = "000000000000", region: str = "us-east-1") -> str:
    return f"arn:aws:kinesis:{region}:{account}:stream/{name}"


@dataclass(frozen=True)
class Row:
    """One record as it was put."""

    sequence: int
    arrived_ms: int
    key: str
    data: bytes


@dataclass
class ListedShard:
    shard: SourceShard
    rows: list[Row] = field(default_factory=list)
    is_closed: bool = False
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def wake(self) -> None:
        self.changed.set()
        self.changed = asyncio.Event()


@dataclass(frozen=True)
class Read:
    """One read that was made."""

    shard: str
    after: str
    given: int


class ListedStreams:
    """Any number of streams, by ARN. Sequence numbers count up over all of them, so none means two records."""

    START = START
    service = "kinesis"
    data_key = "data"
    batch_info = "KinesisBatchInfo"
    starting_positions = frozenset(StartingPosition)

    def __init__(self, clock: Clock, *, retention_ms: int = DAY_MS) -> None:
        self.retention_ms = retention_ms
        self.away: Exception | None = None
        """What every question raises while it is set."""
        self.reads: list[Read] = []
        self._clock = clock
        self._streams: dict[str, dict[str, ListedShard]] = {}
        self._sequences = itertools.count(1)
        self._generations = itertools.count(1)

    # What tests do to streams.

    def create(self, arn: str, *, shards: int = 1) -> list[str]:
        """Make a stream; return the ids of its shards."""
        assert arn not in self._streams, f"{arn} exists"
        self._streams[arn] = {}
        generation = f"g{next(self._generations)}"
        return [self._open(arn, (), generation) for _ in range(shards)]

    def delete(self, arn: str) -> None:
        for listed in self._streams.pop(arn).values():
            listed.wake()

    def put(self, arn: str, *values: Any, key: str = "k", shard: str | None = None) -> list[str]:
        """Add a record of JSON (or of bytes, as they are) for each value; return their sequence numbers.

        Without `shard`, the key says which open shard it is.
        """
        listed = self._listed(arn, shard) if shard is not None else self._shard_of(arn, key)
        assert not listed.is_closed, f"{listed.shard.id} is closed"
        now_ms = self._clock.now_ms()
        rows = [
            Row(
                sequence=next(self._sequences),
                arrived_ms=now_ms,
                key=key,
                data=value if isinstance(value, bytes) else json.dumps(value).encode(),
            )
            for value in values
        ]
        listed.rows += rows
        listed.wake()
        return [str(row.sequence) for row in rows]

    def close(self, arn: str, shard: str) -> None:
        """End a shard: it takes no more records."""
        listed = self._listed(arn, shard)
        listed.is_closed = True
        listed.wake()

    def split(self, arn: str, shard: str) -> list[str]:
        """End a shard and open two that continue it; return their ids."""
        generation = self._listed(arn, shard).shard.generation
        self.close(arn, shard)
        return [self._open(arn, (shard,), generation) for _ in range(2)]

    def merge(self, arn: str, one: str, other: str) -> str:
        """End two shards and open one that continues both; return its id."""
        generation = self._listed(arn, one).shard.generation
        self.close(arn, one)
        self.close(arn, other)
        return self._open(arn, (one, other), generation)

    def forget(self, arn: str, shard: str) -> None:
        """Drop a closed shard, as sources do when its last record has passed the retention."""
        self._streams[arn].pop(shard).wake()

    def records(self, arn: str, shard: str) -> list[Any]:
        """Return what a shard holds, as JSON."""
        return [json.loads(row.data) for row in self._kept(self._listed(arn, shard))]

    # The port.

    def filterable(self, event: bytes) -> Mapping[str, Any]:
        kinesis = json.loads(event)["kinesis"]
        try:
            kinesis["data"] = json.loads(base64.b64decode(kinesis["data"]))
        except ValueError:
            del kinesis["data"]
        return dict(kinesis)

    def arrival_text(self, at_ms: int) -> str:
        return f"{datetime.fromtimestamp(at_ms // 1_000, UTC):%Y-%m-%dT%H:%M:%S}.{at_ms % 1_000:03d}Z"

    async def shards(self, arn: str) -> Sequence[SourceShard]:
        return [listed.shard for listed in self._stream(arn).values()]

    async def position(self, arn: str, shard: SourceShard, start: StartingPosition, at_ms: int) -> str:
        rows = self._listed(arn, shard.id).rows
        if start is StartingPosition.TRIM_HORIZON:
            return START
        before = rows if start is StartingPosition.LATEST else [row for row in rows if row.arrived_ms < at_ms]
        return str(before[-1].sequence) if before else START

    async def read(
        self, arn: str, shard: SourceShard, after: str, *, limit: int, max_bytes: int, identity_arn: str
    ) -> StreamPage:
        listed = self._listed(arn, shard.id)
        behind = [row for row in listed.rows if row.sequence > int(after)]
        kept = [row for row in self._kept(listed) if row.sequence > int(after)]
        records: list[StreamRecord] = []
        room = max_bytes
        for row in kept[:limit]:
            record = _record(arn, shard, row, identity_arn)
            room -= len(record.event)
            if records and room < 0:
                break
            records.append(record)
        self.reads.append(Read(shard=shard.id, after=after, given=len(records)))
        return StreamPage(
            records=records,
            is_end=listed.is_closed and len(records) == len(kept),
            has_lost=len(kept) < len(behind),
        )

    async def wait(self, arn: str, shard: SourceShard, after: str) -> None:
        listed = self._listed(arn, shard.id)
        if not listed.is_closed and not any(row.sequence > int(after) for row in listed.rows):
            await listed.changed.wait()

    async def head(self, arn: str, shard: SourceShard) -> StreamHead | None:
        kept = list(self._kept(self._listed(arn, shard.id)))
        return StreamHead(sequence=str(kept[-1].sequence), arrived_ms=kept[-1].arrived_ms) if kept else None

    def _open(self, arn: str, parents: tuple[str, ...], generation: str) -> str:
        stream = self._streams[arn]
        index = 1 + max((int(name.removeprefix("shardId-")) for name in stream), default=-1)
        shard = SourceShard(id=f"shardId-{index:012d}", parents=parents, generation=generation)
        stream[shard.id] = ListedShard(shard)
        return shard.id

    def _stream(self, arn: str) -> dict[str, ListedShard]:
        if self.away is not None:
            raise self.away
        if arn not in self._streams:
            raise SourceGone(f"Stream not found: {arn}")
        return self._streams[arn]

    def _listed(self, arn: str, shard: str) -> ListedShard:
        listed = self._stream(arn).get(shard)
        if listed is None:
            raise SourceGone(f"{arn} has no {shard}")
        return listed

    def _shard_of(self, arn: str, key: str) -> ListedShard:
        takers = [listed for listed in self._streams[arn].values() if not listed.is_closed]
        return takers[zlib.crc32(key.encode()) % len(takers)]

    def _kept(self, listed: ListedShard) -> Iterator[Row]:
        horizon_ms = self._clock.now_ms() - self.retention_ms
        return (row for row in listed.rows if row.arrived_ms >= horizon_ms)


def _record(arn: str, shard: SourceShard, row: Row, identity_arn: str) -> StreamRecord:
    sequence = str(row.sequence)
    event = {
        "kinesis": {
            "kinesisSchemaVersion": "1.0",
            "partitionKey": row.key,
            "sequenceNumber": sequence,
            "data": base64.b64encode(row.data).decode(),
            "approximateArrivalTimestamp": row.arrived_ms / 1_000,
        },
        "eventSource": "aws:kinesis",
        "eventVersion": "1.0",
        "eventID": f"{shard.id}:{sequence}",
        "eventName": "aws:kinesis:record",
        "invokeIdentityArn": identity_arn,
        "awsRegion": arn.split(":")[3],
        "eventSourceARN": arn,
    }
    return StreamRecord(
        sequence=sequence,
        arrived_ms=row.arrived_ms,
        key=row.key.encode(),
        event=json.dumps(event, separators=(",", ":")).encode(),
    )
