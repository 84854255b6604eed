"""The intake closes before Redis is full; what was accepted still runs."""

from __future__ import annotations

import asyncio
from pathlib import Path
from random import Random
from uuid import uuid4

import pytest
import structlog

from eventrouter.clock import SystemClock
from eventrouter.errors import IntakeRefused
from eventrouter.metrics import Metrics
from eventrouter.planes.intake import IntakeGuard
from eventrouter.planes.loops import Loops
from eventrouter.rules.names import FunctionName
from eventrouter.store import HostInfo, NewEvent, Settlement, Store, make_client, open_store, redis_lanes
from eventrouter.store.embedded import EmbeddedValkey

pytestmark = pytest.mark.integration

NAME = FunctionName(account="000000000000", region="us-east-1", name="orders")
MAXIMUM = 24_000_000


async def fill(store: Store, guard: IntakeGuard) -> IntakeRefused | None:
    """Store events until one is refused."""
    for _ in range(2 * MAXIMUM // 100_000):
        await guard.look()
        event = NewEvent(id=str(uuid4()), function=NAME, qualifier=None, payload=b"x" * 100_000, trace="")
        try:
            await store.events.put(event)
        except IntakeRefused as refused:
            return refused
    return None


def test_events_are_refused_above_80_percent_and_those_accepted_still_finish(tmp_path: Path) -> None:
    async def main() -> None:
        async with EmbeddedValkey(tmp_path, "standard", maxmemory=MAXIMUM) as valkey:
            store = await open_store(
                redis_lanes(make_client(valkey.url)), prefix="er", partitions=1, clock=SystemClock(), random=Random(1)
            )
            await store.hosts.join("host-1", HostInfo(url="", started_at_ms=0, version="0"))
            loops = Loops(clock=SystemClock(), metrics=Metrics(), log=structlog.get_logger(), give_up=pytest.fail)
            guard = IntakeGuard(store=store, loops=loops, log=structlog.get_logger())

            refused = await fill(store, guard)

            used, maximum = await store.memory()
            assert "over 80% of its maxmemory" in str(refused)
            assert used < maximum == MAXIMUM

            while claims := await store.events.claim("host-1", 0, NAME.key, 100):
                done = [Settlement(claim=claim, action="done") for claim in claims]
                assert all(await store.events.settle("host-1", 0, done))

            assert await store.events.depth(NAME.key) == 0
            await guard.look()
            assert await store.events.put(
                NewEvent(id=str(uuid4()), function=NAME, qualifier=None, payload=b"{}", trace="")
            )
            await store.close()

    asyncio.run(main())
