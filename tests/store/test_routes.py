"""HTTP APIs in the store, on both servers."""

from __future__ import annotations

import asyncio
import dataclasses

import pytest

from eventrouter.rules.http_api import HttpApi, HttpIntegration, HttpRoute
from eventrouter.store import Conflict, Routes
from tests.store.worlds import Server, World

pytestmark = pytest.mark.integration

API = HttpApi(
    id="abc123def4",
    account="000000000000",
    region="us-east-1",
    name="shop",
    tags={"team": "ä"},
    created_at_ms=1_700_000_000_123,
    integrations=(HttpIntegration(id="i", uri="arn:x", function_arn="arn:x", payload_format="2.0", timeout_ms=50),),
    routes=(HttpRoute(id="r", key="GET /orders/{id}", integration="i"),),
)


def test_an_api_is_stored_whole_and_known_to_every_node(server: Server) -> None:
    async def scenario(world: World) -> None:
        routes, elsewhere = world.store.routes, Routes(world.store.scripts, world.keys)
        stored = await routes.put(API)
        assert stored == dataclasses.replace(API, revision=stored.revision)
        await elsewhere.refresh()
        assert elsewhere.get(API.id) == stored

        changed = await elsewhere.put(dataclasses.replace(stored, name="store"))
        with pytest.raises(Conflict):
            await routes.put(dataclasses.replace(stored, name="late"))
        await world.store.refresh()
        assert routes.get(API.id) == changed

        assert await elsewhere.delete(changed)
        await world.store.refresh()
        assert routes.all() == []

    server.run(scenario)


def test_two_nodes_cannot_both_make_an_api_of_one_id(server: Server) -> None:
    async def scenario(world: World) -> None:
        others = (world.store.routes, Routes(world.store.scripts, world.keys))
        puts = (routes.put(dataclasses.replace(API, name=f"by-{n}")) for n, routes in enumerate(others))
        results = await asyncio.gather(*puts, return_exceptions=True)
        assert sorted(type(result).__name__ for result in results) == ["Conflict", "HttpApi"]

    server.run(scenario)
