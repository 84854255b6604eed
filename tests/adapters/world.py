"""Adapters over an in-memory store, in virtual time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

import pytest

from eventrouter.errors import RequestError
from eventrouter.ports import AdapterContext, Caller, ServiceApi, Target
from eventrouter.settings import Settings
from eventrouter.store import Store, open_store
from eventrouter.testing.redis import virtual_redis
from eventrouter.testing.virtual import EPOCH_MS, VirtualClock, run_virtual, virtual_clock
from eventrouter_adapters import logs, sqs

CALLER = Caller(account="000000000000", region="us-east-1", request_id="r-1", base_url="http://127.0.0.1:4566")


@dataclass(frozen=True, kw_only=True)
class World:
    """A caller's view of the adapters."""

    store: Store
    clock: VirtualClock
    services: Mapping[str, ServiceApi]
    target: Target

    async def sqs(self, operation: str, *, caller: Caller = CALLER, **members: Any) -> dict[str, Any]:
        return dict(await self.services["sqs"].operations[operation](caller, members))

    async def logs(self, operation: str, *, caller: Caller = CALLER, **members: Any) -> dict[str, Any]:
        return dict(await self.services["logs"].operations[operation](caller, members))

    async def a_queue(self, name: str = "jobs", **attributes: str) -> str:
        """Create a queue and return its URL."""
        answer = await self.sqs("CreateQueue", QueueName=name, Attributes=attributes)
        return str(answer["QueueUrl"])


def play(scenario: Callable[[World], Awaitable[None]]) -> None:
    """Run a scenario to its end in virtual time, on a store of its own."""

    async def main() -> None:
        clock = virtual_clock()
        with virtual_redis(lambda: clock.now_ms() / 1_000) as connect:
            client = connect()
            store = await open_store(client, prefix="er", partitions=1, clock=clock, random=Random(5))
            context = AdapterContext(settings=Settings(), clock=clock, store=store)
            adapters = [sqs.build(context), logs.build(context)]
            services = {api.service: api for adapter in adapters for api in adapter.apis}
            try:
                await scenario(World(store=store, clock=clock, services=services, target=adapters[0].targets[0]))
            finally:
                await store.close()
                await client.aclose()

    run_virtual(main())


async def refused(operation: Awaitable[Any]) -> RequestError:
    """Return the error with which an operation refuses."""
    with pytest.raises(RequestError) as refusal:
        await operation
    return refusal.value


__all__ = ["CALLER", "EPOCH_MS", "World", "play", "refused"]
