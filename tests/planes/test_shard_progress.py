"""How far a shard is shown to be, with sources that can and cannot tell their newest record; in virtual time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from eventrouter.planes.shard_progress import ProgressReader
from eventrouter.ports import SourceShard, StreamHead, StreamPage
from eventrouter.testing.virtual import run_virtual
from tests.planes.listed_streams import ListedStreams
from tests.planes.stream_world import ARN, StreamWorld, a_stream_world
from tests.planes.test_shard_moves import fail_on, pause

pytestmark = pytest.mark.unit


class Vague:
    """The world's streams as a source that polls shows them: no newest record, and empty pages before others."""

    def __init__(self, streams: ListedStreams, *, empty_pages: int) -> None:
        self._streams = streams
        self._empty_pages = empty_pages

    async def shards(self, arn: str) -> Sequence[SourceShard]:
        return await self._streams.shards(arn)

    async def head(self, arn: str, shard: SourceShard) -> StreamHead | None:
        return None

    async def read(self, arn: str, shard: SourceShard, after: str, **bounds: Any) -> StreamPage:
        if self._empty_pages:
            self._empty_pages -= 1
            return StreamPage()
        return await self._streams.read(arn, shard, after, **bounds)


def reader(world: StreamWorld, source: Any) -> ProgressReader:
    hosts, clock = world.base.store.hosts, world.base.clock
    return ProgressReader(lanes=world.lanes, hosts=hosts, sources={"kinesis": source}, clock=clock)


def test_the_first_record_that_is_not_resolved_is_named():
    async def scenario() -> None:
        async with a_stream_world() as world:
            _, function = await world.recorder(fail_on("poison"))
            mapping = await world.mapping(function, batch_size=1)
            sequences = world.streams.put(ARN, "good", "poison", "behind", key="a")
            await world.run(3)

            for source in (world.streams, Vague(world.streams, empty_pages=3)):
                [shard] = (await reader(world, source).read(mapping)).shards

                assert shard.unresolved is not None
                assert (shard.checkpoint, shard.unresolved.sequence) == (sequences[0], sequences[1])
                assert shard.behind_ms == pytest.approx(3_000, abs=100)

    run_virtual(scenario())


def test_a_shard_whose_newest_record_is_resolved_is_not_read_to_show_that():
    async def scenario() -> None:
        async with a_stream_world() as world:
            _, function = await world.recorder()
            mapping = await world.mapping(function)
            world.streams.put(ARN, "good")
            await world.run(3)
            mapping = await pause(world, mapping)
            world.streams.reads.clear()

            [shard] = (await reader(world, world.streams).read(mapping)).shards

            assert (shard.behind_ms, shard.unresolved, world.streams.reads) == (0, None, [])

    run_virtual(scenario())
