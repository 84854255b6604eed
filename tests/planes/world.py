"""A small world for the planes: a store in virtual time, handlers in process, and targets that keep what they get."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any
from uuid import UUID

import pytest

from eventrouter.errors import AdapterError, StoreError
from eventrouter.journal import Journal
from eventrouter.logging import get_logger
from eventrouter.metrics import Metrics
from eventrouter.planes.claims import Claims
from eventrouter.planes.destinations import DestinationPlane
from eventrouter.planes.events import EventPlane
from eventrouter.planes.loops import Loops
from eventrouter.planes.sync import SyncPlane
from eventrouter.ports import Delivery
from eventrouter.rules.function import Code, EventInvokeConfig, Function, LoggingConfig, State
from eventrouter.rules.invocation import Invocation
from eventrouter.rules.names import FunctionName, FunctionReference
from eventrouter.rules.outcome import Run, Throttled
from eventrouter.store import HostInfo, Store, open_store, redis_lanes
from eventrouter.testing.inprocess import Handler, InProcessEnvironments
from eventrouter.testing.redis import virtual_redis
from eventrouter.testing.virtual import VirtualClock, virtual_clock

INCARNATION = "host-1"
ACCOUNT = "000000000000"
REGION = "us-east-1"


def queue_arn(name: str) -> str:
    return f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}"


@dataclass
class KeptTarget:
    """A target that keeps its deliveries; the first `failures` tries of each fail."""

    service: str = "sqs"
    failures: int = 0
    tries: int = 0
    kept: list[tuple[str, Delivery]] = field(default_factory=list)

    async def exists(self, arn: str) -> bool:
        return True

    async def deliver(self, arn: str, delivery: Delivery) -> None:
        self.tries += 1
        if self.failures:
            self.failures -= 1
            raise AdapterError("the queue is away", transient=True)
        self.kept.append((arn, delivery))

    def bodies(self, arn: str) -> list[Any]:
        return [json.loads(delivery.body) for at, delivery in self.kept if at == arn]


@dataclass
class World:
    clock: VirtualClock
    store: Store
    environments: InProcessEnvironments
    metrics: Metrics
    journal: Journal
    sync: SyncPlane
    events: EventPlane
    destinations: DestinationPlane
    target: KeptTarget
    ids: Callable[[], UUID]
    loops: Loops
    server: Any
    pool: Any

    @contextlib.asynccontextmanager
    async def redis_away(self) -> AsyncIterator[None]:
        """Cut every connection to Redis, and refuse new ones, for a while."""
        self.server.connected = False
        try:
            yield
        finally:
            self.server.connected = True

    async def function(
        self, handler: Handler, *, name: str = "orders", config: EventInvokeConfig | None = None, **changes: Any
    ) -> Function:
        """Store a function whose code is `handler`."""
        function = Function(
            name=FunctionName(account=ACCOUNT, region=REGION, name=name),
            runtime="python3.11",
            handler="app.handler",
            role="arn:aws:iam::000000000000:role/r",
            code=Code(sha256="0" * 64, size_bytes=1),
            logging=LoggingConfig(group=f"/aws/lambda/{name}"),
            state=State.ACTIVE,
            last_modified_ms=0,
            revision_id="rev",
            event_invoke={"$LATEST": config} if config else {},
        )
        self.environments.install(function.name, handler)
        return await self.put(replace(function, **changes))

    async def put(self, function: Function) -> Function:
        return await self.store.functions.put(function, account_limit=1_000, minimum_unreserved=100)

    async def send(self, function: Function, payload: Any = None) -> str:
        """Accept one event; return its request id."""
        invocation = self.invocation(function, payload)
        await self.events.accept(function, invocation)
        return invocation.request_id

    def invocation(self, function: Function, payload: Any = None) -> Invocation:
        return Invocation(
            request_id=str(self.ids()),
            reference=FunctionReference(function=function.name),
            payload=json.dumps(payload if payload is not None else {}).encode(),
        )

    async def sync_in_background(self, function: Function, payload: Any = None) -> asyncio.Task[Run | Throttled]:
        """Invoke synchronously in a task of its own; return once the handler has begun."""
        started = len(self.environments.starts)
        task = asyncio.create_task(self.sync.invoke(function, self.invocation(function, payload)))
        while len(self.environments.starts) == started:
            await self.clock.sleep(0.01)
        return task

    def times(self, request_id: str) -> list[float]:
        """Return when the event's attempts began, in seconds since the first."""
        starts = [start.at for start in self.environments.starts if start.request_id == request_id]
        return [round(at - starts[0], 2) for at in starts]

    async def run(self, seconds: float) -> None:
        """Let virtual time pass."""
        await self.clock.sleep(seconds)

    def metric(self, name: str, function: str = "orders") -> float:
        return self.metrics.registry.get_sample_value(name, {"FunctionName": function}) or 0.0

    async def assert_settled(self) -> None:
        """Nothing is queued, claimed, held or running any more."""
        assert await self.store.events.counts() == {}
        for partition in range(self.store.events.partitions):
            assert await self.store.events.owned(INCARNATION, partition) == {}
        for function in self.store.functions.all():
            assert await self.store.slots.in_use(function.name.key) == 0
        assert await self.store.slots.audit() == {}


@contextlib.asynccontextmanager
async def a_world(
    *, failures: int = 0, retry_base_ms: int = 60_000, account_limit: int = 1_000, beats: bool = False
) -> AsyncIterator[World]:
    """Open a world on the running virtual loop. With `beats` its node's heart beats, for others to see."""
    clock = virtual_clock()
    random = Random(7)
    with virtual_redis(lambda: clock.now_ms() / 1_000) as make_redis:
        client = make_redis()
        store = await open_store(
            redis_lanes(client), prefix="er", partitions=2, clock=clock, random=random, account_limit=account_limit
        )
        await store.hosts.join(INCARNATION, HostInfo(url="http://127.0.0.1:1", started_at_ms=0, version="0"))
        metrics = Metrics()
        journal = Journal(clock, limit=None)
        log = get_logger()
        environments = InProcessEnvironments(clock)
        target = KeptTarget(failures=failures)
        claims = Claims(incarnation=lambda: INCARNATION, events=store.events, clock=clock, metrics=metrics, log=log)

        def new_id() -> UUID:
            return UUID(int=random.getrandbits(128), version=4)

        destinations = DestinationPlane(
            claims=claims, targets={"sqs": target}, clock=clock, metrics=metrics, journal=journal, log=log
        )
        loops = Loops(clock=clock, metrics=metrics, log=log, give_up=pytest.fail)
        events = EventPlane(
            incarnation=lambda: INCARNATION,
            functions=store.functions,
            events=store.events,
            claims=claims,
            loops=loops,
            slots=store.slots,
            environments=environments,
            clock=clock,
            metrics=metrics,
            journal=journal,
            log=log,
            new_id=new_id,
            may_take_work=lambda: True,
            retry_base_ms=retry_base_ms,
            on_deliveries_due=destinations.wake,
            on_dead=lambda: None,
        )
        sync = SyncPlane(
            incarnation=lambda: INCARNATION,
            slots=store.slots,
            environments=environments,
            metrics=metrics,
            journal=journal,
        )
        async with destinations, loops, events, beating(store, clock) if beats else contextlib.nullcontext():
            yield World(
                clock=clock,
                store=store,
                environments=environments,
                metrics=metrics,
                journal=journal,
                sync=sync,
                events=events,
                destinations=destinations,
                target=target,
                ids=new_id,
                loops=loops,
                server=client.connection_pool.connection_kwargs["server"],
                pool=client.connection_pool,
            )
        await store.close()


@contextlib.asynccontextmanager
async def beating(store: Store, clock: VirtualClock) -> AsyncIterator[None]:
    """Keep the world's own node alive in the eyes of others."""

    async def beat() -> None:
        for counter in itertools.count(1):
            with contextlib.suppress(StoreError):
                await store.hosts.beat(INCARNATION, counter)
            await clock.sleep(1)

    task = asyncio.create_task(beat())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
