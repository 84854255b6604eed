"""What `stream_source_suite` needs of an adapter, and its ways of reading a shard."""

from __future__ import annotations

import asyncio
import json
from abc import ABC, abstractmethod
from collections.abc import Sequence

import pytest

from eventrouter.clock import Clock
from eventrouter.ports import SourceGone, SourceShard, StreamPage, StreamRecord, StreamSource
from eventrouter.rules.mapping import StartingPosition

IDENTITY = "arn:aws:iam::000000000000:role/reader"
PATIENCE_S = 20.0
"""How long a reader waits for what must come: several poll intervals of a source that polls."""

EMPTY_PAGES = 10
"""Empty pages in a row after which a shard counts as read through: sources may give some before what follows."""

PAGES = 200
"""Pages after which a reader gives up what must come."""

ROOM = 1 << 20


class StreamWorld(ABC):
    """The source under test, and a hand on its streams. What a source cannot do skips the tests that need it."""

    source: StreamSource
    clock: Clock

    @abstractmethod
    async def make_stream(self, name: str, *, shards: int = 1) -> str:
        """Make a stream and return its ARN once it takes records. `shards` is a wish, if the source decides."""

    @abstractmethod
    async def put(self, arn: str, key: str, payload: str) -> None:
        """Add one record: `payload`, a JSON document, under the partition key `key`."""

    @abstractmethod
    async def delete_stream(self, arn: str) -> None:
        """Delete the stream, and return once it is gone."""

    @abstractmethod
    def payload(self, record: StreamRecord) -> str:
        """Return the payload of `put` out of a record's event."""

    async def split(self, arn: str, shard: SourceShard) -> None:
        """Close the shard and open one child or more in its place."""
        pytest.skip("shards of this source cannot be closed at will")

    async def outlive_retention(self, arn: str) -> None:
        """Let all records that are there pass the retention of the source."""
        pytest.skip("retention of this source cannot be passed at will")


def document(number: int, *, filler: str = "") -> str:
    return json.dumps({"number": number, "filler": filler})


def numbers_of(world: StreamWorld, records: Sequence[StreamRecord]) -> list[int]:
    return [json.loads(world.payload(record))["number"] for record in records]


async def one_shard(world: StreamWorld) -> tuple[str, SourceShard]:
    """Make the stream `orders` and return it with its first shard."""
    arn = await world.make_stream("orders")
    return arn, (await world.source.shards(arn))[0]


async def put(world: StreamWorld, arn: str, numbers: Sequence[int]) -> None:
    for number in numbers:
        await world.put(arn, "key", document(number))


async def read(
    world: StreamWorld, arn: str, shard: SourceShard, after: str, *, limit: int = 100, max_bytes: int = ROOM
) -> StreamPage:
    return await world.source.read(arn, shard, after, limit=limit, max_bytes=max_bytes, identity_arn=IDENTITY)


async def first_page(
    world: StreamWorld,
    arn: str,
    shard: SourceShard,
    *,
    after: str = StreamSource.START,
    limit: int = 100,
    max_bytes: int = ROOM,
) -> StreamPage:
    """Return the first page that is not empty."""
    has_lost = False
    for _ in range(PAGES):
        page = await read(world, arn, shard, after, limit=limit, max_bytes=max_bytes)
        has_lost |= page.has_lost
        if page.records:
            return StreamPage(records=page.records, is_end=page.is_end, has_lost=has_lost)
    raise AssertionError(f"{PAGES} reads of {arn} {shard.id} after {after} gave nothing")


async def read_all(
    world: StreamWorld,
    arn: str,
    shard: SourceShard,
    *,
    after: str = StreamSource.START,
    limit: int = 100,
    max_bytes: int = ROOM,
    to_end: bool = False,
) -> list[StreamRecord]:
    """Read until a few pages in a row are empty; `to_end`: until the end, which must come."""
    records: list[StreamRecord] = []
    empty = 0
    while empty < (PAGES if to_end else EMPTY_PAGES):
        page = await read(world, arn, shard, after, limit=limit, max_bytes=max_bytes)
        records += page.records
        empty = 0 if page.records else empty + 1
        if page.records:
            after = page.records[-1].sequence
        if page.is_end:
            return records
    assert not to_end, f"the end of {arn} {shard.id} does not come"
    return records


async def await_record(world: StreamWorld, arn: str, shard: SourceShard) -> Sequence[StreamRecord]:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            await world.source.wait(arn, shard, world.source.START)
            if (page := await read(world, arn, shard, world.source.START)).records:
                return page.records


async def assert_gone(world: StreamWorld, arn: str, shard: SourceShard, after: str) -> None:
    source = world.source
    with pytest.raises(SourceGone):
        await source.shards(arn)
    for start in sorted(source.starting_positions - {StartingPosition.TRIM_HORIZON}):
        with pytest.raises(SourceGone):
            await source.position(arn, shard, start, world.clock.now_ms())
    for position in (source.START, after):
        with pytest.raises(SourceGone):
            await read(world, arn, shard, position)
