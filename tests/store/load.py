"""Load on a store while its servers are hurt: what was acknowledged, what was done, and what is missing in the end."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass, field
from itertools import pairwise
from random import Random
from typing import Self

from eventrouter.clock import SystemClock
from eventrouter.errors import StoreError
from eventrouter.rules.names import FunctionName
from eventrouter.store import NewEvent, Settlement, Store, open_store
from eventrouter.store.checks import Durability
from eventrouter.store.servers import Servers
from tests.store.worlds import INFO

PARTITIONS = 8
PAUSE_S = 0.001


def functions(count: int) -> list[FunctionName]:
    return [FunctionName(account="000000000000", region="us-east-1", name=f"f{n}") for n in range(count)]


@dataclass
class Load:
    """Producers that put events, and a host that claims and settles them."""

    url: str
    durability: Durability = "standard"
    replicas: int = 1
    names: list[FunctionName] = field(default_factory=lambda: functions(8))
    payload: bytes = b"{}"
    acknowledged: set[str] = field(default_factory=set)
    refused: int = 0
    done: set[str] = field(default_factory=set)
    acknowledged_at: dict[str, list[float]] = field(default_factory=dict)
    """By function, when puts were acknowledged."""

    async def __aenter__(self) -> Self:
        self._stack = contextlib.AsyncExitStack()
        servers = await self._stack.enter_async_context(
            Servers(self.url, clock=SystemClock(), durability=self.durability, replicas=self.replicas)
        )
        self.store: Store = await open_store(
            servers.make_lane, prefix="er", partitions=PARTITIONS, clock=SystemClock(), random=Random(1)
        )
        self._stack.push_async_callback(self.store.close)
        self._incs = ["h0"]
        await self.store.hosts.join("h0", INFO)
        self._tasks: list[asyncio.Task[None]] = []
        self._is_stopping = False
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.stop()
        await self._stack.aclose()

    def start(self, *, producers_each: int = 1, is_consuming: bool = True) -> None:
        """Begin: producers for every function, and one consumer of each."""
        for function in self.names:
            for number in range(producers_each):
                self._tasks.append(asyncio.create_task(self._produce(function, number)))
            if is_consuming:
                self._tasks.append(asyncio.create_task(self._consume(function)))

    async def stop(self) -> None:
        self._is_stopping = True
        tasks, self._tasks = self._tasks, []
        await asyncio.gather(*tasks)

    def first_after(self, moment: float, function: FunctionName | None = None) -> float | None:
        """Return when the first put was acknowledged after a moment; of a function, or of any."""
        wanted = [function.key] if function else list(self.acknowledged_at)
        later = [at for key in wanted for at in self.acknowledged_at.get(key, ()) if at > moment]
        return min(later, default=None)

    def longest_gap(self, function: FunctionName) -> float:
        """Return the longest time between two acknowledged puts of a function."""
        times = self.acknowledged_at[function.key]
        return max(b - a for a, b in pairwise(times))

    async def lost(self) -> set[str]:
        """Stop, do all that is left, and return what was acknowledged and is nowhere."""
        await self.stop()
        for inc in self._incs:
            await self.store.hosts.leave(inc)
        await self.store.hosts.join("last", INFO)
        for function in self.names:
            while await self._work("last", function):
                pass
        await self.store.hosts.leave("last")
        return self.acknowledged - self.done

    async def put(self, event_id: str, function: FunctionName) -> bool:
        event = NewEvent(id=event_id, function=function, qualifier=None, payload=self.payload, trace="")
        try:
            await self.store.events.put(event)
        except StoreError:
            self.refused += 1
            return False
        self.acknowledged.add(event_id)
        self.acknowledged_at.setdefault(function.key, []).append(time.monotonic())
        return True

    async def _produce(self, function: FunctionName, producer: int) -> None:
        number = 0
        while not self._is_stopping:
            number += 1
            await self.put(f"{function.name}-{producer}-{number}", function)
            await asyncio.sleep(PAUSE_S)

    async def _consume(self, function: FunctionName) -> None:
        while not self._is_stopping:
            inc = self._incs[-1]
            try:
                if not await self._work(inc, function):
                    await self.store.events.due(self.store.events.partition_of(function.key))
                    await asyncio.sleep(0.01)
            except StoreError:
                # A doubtful claim, or a host that a failover has made unknown: begin anew, as another one.
                if inc == self._incs[-1]:
                    self._incs.append(f"h{len(self._incs)}")
                    with contextlib.suppress(StoreError):
                        await self.store.hosts.join(self._incs[-1], INFO)
                await asyncio.sleep(0.05)

    async def _work(self, inc: str, function: FunctionName) -> int:
        events = self.store.events
        partition = events.partition_of(function.key)
        claims = await events.claim(inc, partition, function.key, 100)
        settlements = [Settlement(claim=claim, action="done") for claim in claims]
        settled = await events.settle(inc, partition, settlements) if settlements else []
        self.done |= {claim.id for claim, is_settled in zip(claims, settled, strict=True) if is_settled}
        return len(claims)
