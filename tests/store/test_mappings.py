"""Mappings in the store, on every server."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable

import pytest

from eventrouter.rules.mapping import EventSourceMapping, MappingState, StartingPosition
from eventrouter.store import Conflict, make_client
from eventrouter.store.embedded import EmbeddedValkey
from eventrouter.store.lanes import Lanes
from eventrouter.store.mappings import Mappings
from tests.store.worlds import FN, Server, World, open_world

pytestmark = pytest.mark.integration

MAPPING = EventSourceMapping(
    uuid="14e0db71-5d35-4eb5-b481-8945cf9d10c2",
    account="000000000000",
    region="us-east-1",
    source_arn="arn:aws:kinesis:us-east-1:000000000000:stream/orders",
    function=FN,
    qualifier="live",
    starting_position=StartingPosition.AT_TIMESTAMP,
    starting_timestamp_ms=1_700_000_000_123,
    filters=('{"data":{"total":[{"numeric":[">",10]}]}}',),
    on_failure="arn:aws:sqs:us-east-1:000000000000:dead",
    metrics=("EventCount",),
    tags={"team": "ä"},
)


def with_mappings(server: Server, scenario: Callable[[Mappings, World], Awaitable[None]]) -> None:
    async def play(world: World) -> None:
        await scenario(Mappings(world.store.scripts, world.keys), world)

    server.run(play)


def test_a_mapping_is_stored_whole_and_known_to_every_node(server: Server) -> None:
    async def scenario(mappings: Mappings, world: World) -> None:
        elsewhere = Mappings(world.store.scripts, world.keys)
        stored = await mappings.catalogue.put(MAPPING)
        await elsewhere.catalogue.refresh()
        assert elsewhere.catalogue.get(MAPPING.uuid) == stored == dataclasses.replace(MAPPING, revision=stored.revision)

        enabled = await elsewhere.catalogue.put(dataclasses.replace(stored, state=MappingState.ENABLED))
        with pytest.raises(Conflict):
            await mappings.catalogue.put(dataclasses.replace(stored, state=MappingState.DELETING))
        assert await mappings.catalogue.refresh() == {MAPPING.uuid}
        assert mappings.catalogue.all() == [enabled]

        assert await mappings.catalogue.delete(enabled)
        await elsewhere.catalogue.refresh()
        assert elsewhere.catalogue.all() == []

    with_mappings(server, scenario)


def test_results_are_shown_until_the_mapping_goes(server: Server) -> None:
    async def scenario(mappings: Mappings, world: World) -> None:
        await mappings.set_result("one", "OK")
        await mappings.set_result("two", "PROBLEM: Function call failed")
        await mappings.set_result("one", "PROBLEM: ä")
        assert await mappings.results(["two", "none", "one"]) == ["PROBLEM: Function call failed", None, "PROBLEM: ä"]
        assert await mappings.results([]) == []

        await Lanes(world.store.scripts, world.keys).remove("one")
        await mappings.remove_result("one")
        await mappings.set_result("one", "OK")
        assert await mappings.results(["one", "two"]) == [None, "PROBLEM: Function call failed"]

    with_mappings(server, scenario)


def test_results_are_noted_on_a_full_server(valkey: EmbeddedValkey) -> None:
    async def scenario() -> None:
        client = make_client(valkey.url)
        await client.flushall()
        world = await open_world(client)
        mappings = Mappings(world.store.scripts, world.keys)
        limit = (await client.config_get("maxmemory"))["maxmemory"]
        await client.config_set("maxmemory", 1)
        try:
            await mappings.set_result("one", "OK")
            await mappings.remove_result("one")
        finally:
            await client.config_set("maxmemory", limit)
        assert await mappings.results(["one"]) == [None]
        await world.store.close()
        await client.aclose()

    asyncio.run(scenario())
