"""Catalogues: compare-and-set, what other nodes read, and that one revision counter tells of every change."""

from __future__ import annotations

import asyncio
import dataclasses

import pytest

from eventrouter.rules.stream import RecordId, Stream, StreamConsumer, StreamName, StreamShard, StreamStatus
from eventrouter.store import Catalogue, Conflict
from tests.store.test_slots import a_function
from tests.store.twice import Twice
from tests.store.worlds import FN, Server, World, open_world

pytestmark = pytest.mark.integration


def a_stream(name: str = "orders", **more: object) -> Stream:
    fields: dict[str, object] = {"generation": "g1", **more}
    return Stream(name=StreamName(account="000000000000", region="us-east-1", name=name), **fields)  # type: ignore[arg-type]


def another_node(world: World) -> Catalogue[Stream]:
    return Catalogue(world.store.scripts, world.keys, name="streams", record=Stream, key=lambda stream: stream.name.key)


def test_a_record_comes_back_as_it_was_stored(server: Server) -> None:
    async def scenario(world: World) -> None:
        shard = StreamShard(
            index=1,
            first_hash_key="0",
            last_hash_key=str(2**128 - 1),
            parents=(0,),
            opened=RecordId(5, 0),
            closed=RecordId(9, 3),
        )
        stream = a_stream(
            status=StreamStatus.UPDATING,
            shards=(shard,),
            tags={"team": "ü"},
            consumers=(StreamConsumer(name="c", created_at_ms=1),),
            resized_at_ms=(4, 5),
        )
        stored = await world.store.streams.catalogue.put(stream)
        other = another_node(world)

        assert await other.refresh() == {stream.name.key}

        read = other.get(stream.name.key)
        assert read == stored == dataclasses.replace(stream, revision=stored.revision)
        assert read is not None
        assert read.shards[0].closed is not None
        assert read.shards[0].closed.ms == 9
        assert await other.refresh() == frozenset()

    server.run(scenario)


def test_only_the_newest_revision_can_be_changed_or_deleted(server: Server) -> None:
    async def scenario(world: World) -> None:
        catalogue = world.store.streams.catalogue
        first = await catalogue.put(a_stream())
        second = await catalogue.put(dataclasses.replace(first, retention_h=48))

        with pytest.raises(Conflict):
            await catalogue.put(dataclasses.replace(first, retention_h=72))
        with pytest.raises(Conflict):
            await catalogue.put(a_stream(retention_h=72))
        with pytest.raises(Conflict):
            await catalogue.delete(first)

        assert catalogue.get(first.name.key) == second
        assert await catalogue.delete(second)
        assert not await catalogue.delete(second)
        assert catalogue.all() == []

    server.run(scenario)


def test_storing_the_same_record_again_answers_the_same(server: Server) -> None:
    async def scenario(world: World) -> None:
        node = await open_world(world.client, wrap=Twice)
        catalogue = node.store.streams.catalogue

        first = await catalogue.put(a_stream())
        assert await catalogue.put(a_stream()) == first
        changed = await catalogue.put(dataclasses.replace(first, retention_h=48))
        assert await catalogue.put(dataclasses.replace(first, retention_h=48)) == changed
        await catalogue.delete(changed)

        await world.store.refresh()
        assert catalogue.all() == world.store.streams.catalogue.all() == []
        await node.store.close()

    server.run(scenario)


def test_other_nodes_read_what_changed_and_what_was_deleted_and_tell_listeners(server: Server) -> None:
    async def scenario(world: World) -> None:
        catalogue, other = world.store.streams.catalogue, another_node(world)
        news: list[tuple[str, Stream | None]] = []
        kept = await catalogue.put(a_stream("b"))
        gone = await catalogue.put(a_stream("a"))
        assert await other.refresh() == {kept.name.key, gone.name.key}
        assert other.all() == [gone, kept]
        other.on_change(lambda key, stream: news.append((key, stream)))

        await catalogue.delete(gone)
        kept = await catalogue.put(dataclasses.replace(kept, retention_h=48))

        assert await other.refresh() == {kept.name.key, gone.name.key}
        assert news == [(gone.name.key, None), (kept.name.key, kept)]
        assert other.all() == [kept]

    server.run(scenario)


def test_a_late_duplicate_of_a_creation_does_not_bring_a_deleted_record_back(server: Server) -> None:
    async def scenario(world: World) -> None:
        catalogue, creator = world.store.streams.catalogue, another_node(world)
        await creator.refresh()
        created = await creator.put(a_stream())
        await catalogue.refresh()
        await catalogue.delete(created)
        key, names = created.name.key, ("streams", "streams:rev", "streams:gone", "rev", "meta")
        keys = [world.keys.installation(name) for name in names]

        answer = await world.store.scripts.call(
            "catalogue_put", keys, (key, 0, created.revision - 1, b"{}", "floor:streams")
        )

        assert answer == [b"BEHIND", created.revision + 1]
        again = await creator.put(a_stream())
        assert again.revision == created.revision + 2

    server.run(scenario)


def test_a_node_that_missed_more_deletions_than_are_kept_reads_everything(server: Server) -> None:
    async def scenario(world: World) -> None:
        catalogue, other = world.store.streams.catalogue, another_node(world)
        kept = await catalogue.put(a_stream("a"))
        gone = await catalogue.put(a_stream("b"))
        await other.refresh()
        old = {f"old{number}": number - 2_000 for number in range(1_000)}
        await world.client.zadd(world.keys.installation("streams:gone"), old)
        await world.client.zadd(world.keys.installation("streams:rev"), old)

        await catalogue.delete(gone)
        assert await world.client.hget(world.keys.installation("meta"), "floor:streams") == b"-2000"
        # What dropping the record of that deletion too leaves behind:
        newest = int(await world.client.incr(world.keys.installation("rev")))
        await world.client.delete(world.keys.installation("streams:gone"))
        await world.client.zrem(world.keys.installation("streams:rev"), gone.name.key, *old)
        await world.client.hset(world.keys.installation("meta"), "floor:streams", newest)

        assert await other.refresh() == {gone.name.key}
        assert other.all() == [kept]

    server.run(scenario)


def test_more_records_than_one_page_are_read(server: Server) -> None:
    async def scenario(world: World) -> None:
        names = [f"s{number:03d}" for number in range(120)]
        for name in names:
            await world.store.streams.catalogue.put(a_stream(name))
        other = another_node(world)

        assert len(await other.refresh()) == 120
        assert [stream.name.name for stream in other.all()] == names

    server.run(scenario)


def test_the_beat_tells_of_a_change_of_any_catalogue_and_one_refresh_reads_them_all(server: Server) -> None:
    async def scenario(world: World) -> None:
        node = await open_world(world.client)
        await world.join("h1")
        before = await world.store.hosts.beat("h1", 1)

        await world.store.functions.put(a_function(), account_limit=1_000, minimum_unreserved=100)
        stored = await world.store.streams.catalogue.put(a_stream())

        assert before < await world.store.hosts.beat("h1", 2) == stored.revision
        node.batches.clear()
        await node.store.refresh()
        assert node.batches == [5], "all in one pipeline"
        assert node.store.functions.get(FN) == world.store.functions.get(FN) is not None
        assert node.store.streams.catalogue.all() == [stored]
        await node.store.close()

    server.run(scenario)


def test_a_flushed_installation_is_noticed_by_every_node(server: Server) -> None:
    async def scenario(world: World) -> None:
        node = await open_world(world.client)
        await world.store.streams.catalogue.put(a_stream("a"))
        await node.store.refresh()

        await asyncio.sleep(0.01)  # an installation counts revisions from the ms it is made in: at most one in each ms
        await world.store.flush()

        assert world.store.streams.catalogue.all() == []
        stored = await world.store.streams.catalogue.put(a_stream("b"))
        await node.store.refresh()
        assert node.store.streams.catalogue.all() == [stored]
        await node.store.close()

    server.run(scenario)
