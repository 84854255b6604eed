"""Adapters over an in-memory store, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from itertools import count
from random import Random
from typing import Any

import pytest
from redis.asyncio import Redis

from eventrouter.errors import RequestError
from eventrouter.ports import Adapter, AdapterContext, Caller, ServiceApi, Target
from eventrouter.settings import Settings
from eventrouter.store import Store, open_store, redis_lanes
from eventrouter.testing.redis import virtual_redis
from eventrouter.testing.virtual import EPOCH_MS, VirtualClock, run_virtual, virtual_clock
from eventrouter_adapters import eventbridge, kinesis, logs, sqs

CALLER = Caller(account="000000000000", region="us-east-1", request_id="r-1", base_url="http://127.0.0.1:4566")


@dataclass(frozen=True, kw_only=True)
class World:
    """A caller's view of the adapters."""

    store: Store
    clock: VirtualClock
    services: Mapping[str, ServiceApi]
    target: Target
    kinesis_adapter: Adapter
    another_node: Callable[[], AbstractAsyncContextManager[World]]
    """Makes a further node over the same server, which learns of changes only by looking."""

    async def sqs(self, operation: str, *, caller: Caller = CALLER, **members: Any) -> dict[str, Any]:
        return dict(await self.services["sqs"].operations[operation](caller, members))

    async def logs(self, operation: str, *, caller: Caller = CALLER, **members: Any) -> dict[str, Any]:
        return dict(await self.services["logs"].operations[operation](caller, members))

    async def kinesis(self, operation: str, *, caller: Caller = CALLER, **members: Any) -> dict[str, Any]:
        return dict(await self.services["kinesis"].operations[operation](caller, members))

    async def events(self, operation: str, *, caller: Caller = CALLER, **members: Any) -> dict[str, Any]:
        return dict(await self.services["events"].operations[operation](caller, members))

    async def a_queue(self, name: str = "jobs", **attributes: str) -> str:
        """Create a queue and return its URL."""
        answer = await self.sqs("CreateQueue", QueueName=name, Attributes=attributes)
        return str(answer["QueueUrl"])

    async def a_stream(self, name: str = "orders", shards: int = 1, **members: Any) -> str:
        """Create a stream and return its ARN."""
        await self.kinesis("CreateStream", StreamName=name, ShardCount=shards, **members)
        return f"arn:aws:kinesis:{CALLER.region}:{CALLER.account}:stream/{name}"


def play(scenario: Callable[[World], Awaitable[None]], **settings: Any) -> None:
    """Run a scenario to its end in virtual time, on a store of its own."""

    async def main() -> None:
        clock = virtual_clock()
        with virtual_redis(lambda: clock.now_ms() / 1_000) as connect:
            seeds = count(5)

            def another_node() -> AbstractAsyncContextManager[World]:
                return _node(connect(), clock, next(seeds), another_node, settings)

            async with another_node() as world:
                await scenario(world)

    run_virtual(main())


@asynccontextmanager
async def _node(
    client: Redis,
    clock: VirtualClock,
    seed: int,
    another_node: Callable[[], AbstractAsyncContextManager[World]],
    settings: Mapping[str, Any],
) -> AsyncIterator[World]:
    """Run one node's adapters."""
    store = await open_store(redis_lanes(client), prefix="er", partitions=1, clock=clock, random=Random(seed))
    context = AdapterContext(settings=Settings(**settings), clock=clock, store=store)
    streams = kinesis.build(context, Random(seed + 1_000))
    adapters = [sqs.build(context), logs.build(context), streams, eventbridge.build(context)]
    watching = asyncio.create_task(_watch(store, clock))
    try:
        yield World(
            store=store,
            clock=clock,
            services={api.service: api for adapter in adapters for api in adapter.apis},
            target=adapters[0].targets[0],
            kinesis_adapter=streams,
            another_node=another_node,
        )
    finally:
        watching.cancel()
        await asyncio.wait((watching,))
        await store.close()
        await client.aclose()


async def _watch(store: Store, clock: VirtualClock) -> None:
    """Make the turns that a node makes, so that waits for records end."""
    while True:
        await clock.sleep(await store.streams.watch.turn())


async def refused(operation: Awaitable[Any]) -> RequestError:
    """Return the error with which an operation refuses."""
    with pytest.raises(RequestError) as refusal:
        await operation
    return refusal.value


__all__ = ["CALLER", "EPOCH_MS", "World", "play", "refused"]
