"""A world with queues: the plane over listed queues, in virtual time; and other nodes beside the first."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from eventrouter.logging import get_logger
from eventrouter.planes.queue_parts import QueueParts
from eventrouter.planes.queues import QueuePlane
from eventrouter.planes.sync import SyncPlane
from eventrouter.ports import QueueSource
from eventrouter.rules.function import Function
from eventrouter.rules.invocation import Invocation
from eventrouter.rules.mapping import EventSourceMapping, MappingState
from eventrouter.rules.names import FunctionName
from eventrouter.store import HostInfo
from eventrouter.store.mappings import Mappings
from tests.planes.listed_queues import ListedQueues, queue_arn
from tests.planes.world import ACCOUNT, INCARNATION, REGION, World, a_world

ARN = queue_arn("jobs")
HOST = HostInfo(url="http://127.0.0.1:2", started_at_ms=0, version="0")


@dataclass
class Seen:
    """What a handler was given: the bodies, the ids, the whole event, and when (seconds since the start)."""

    bodies: list[Any]
    ids: list[str]
    event: dict[str, Any]
    at: float


@dataclass
class Worked:
    """A handler that keeps what it sees. `behave` decides, from the bodies, whether it raises or what it returns."""

    world: QueueWorld
    behave: Any = None
    seconds: float = 0.0
    seen: list[Seen] = field(default_factory=list)
    running: int = 0
    most_at_once: int = 0

    async def __call__(self, event: dict[str, Any], invocation: Invocation) -> Any:
        bodies = [json.loads(record["body"]) for record in event["Records"]]
        ids = [record["messageId"] for record in event["Records"]]
        self.seen.append(Seen(bodies=bodies, ids=ids, event=event, at=self.world.now()))
        self.running += 1
        self.most_at_once = max(self.most_at_once, self.running)
        try:
            if self.seconds:
                await self.world.base.clock.sleep(self.seconds)
            return self.behave(bodies) if self.behave is not None else None
        finally:
            self.running -= 1

    @property
    def batches(self) -> list[list[Any]]:
        return [seen.bodies for seen in self.seen]

    @property
    def bodies(self) -> list[Any]:
        return [body for seen in self.seen for body in seen.bodies]

    @property
    def times(self) -> list[float]:
        return [seen.at for seen in self.seen]


@dataclass
class QueueWorld:
    base: World
    source: QueueSource
    mappings: Mappings
    planes: dict[str, QueuePlane] = field(default_factory=dict)
    stack: contextlib.AsyncExitStack = field(default_factory=contextlib.AsyncExitStack)
    began: float = 0.0
    most_runs: int = 500
    drained: set[str] = field(default_factory=set)
    renamed: dict[str, str] = field(default_factory=dict)
    """The incarnations of nodes that have joined anew, by the one they began with."""

    @property
    def queues(self) -> ListedQueues:
        """Return the source, where it is one that shows what it holds."""
        assert isinstance(self.source, ListedQueues)
        return self.source

    def now(self) -> float:
        return round(self.base.clock.monotonic() - self.began, 2)

    async def node(self, incarnation: str = INCARNATION) -> QueuePlane:
        """Start the queue plane of a node; its view of the other nodes is set by `see`."""
        base = self.base
        if incarnation != INCARNATION:
            await base.store.hosts.join(incarnation, HOST)
        parts = QueueParts(
            incarnation=lambda: self.renamed.get(incarnation, incarnation),
            sources={"sqs": self.source},
            lanes=base.store.lanes,
            hosts=base.store.hosts,
            functions=base.store.functions,
            sync=SyncPlane(
                incarnation=lambda: self.renamed.get(incarnation, incarnation),
                slots=base.store.slots,
                environments=base.environments,
                metrics=base.metrics,
                journal=base.journal,
            ),
            clock=base.clock,
            metrics=base.metrics,
            journal=base.journal,
            log=get_logger(),
            new_id=base.ids,
            may_take_work=lambda: True,
            max_backoff_ms=12_000,
            most_runs=self.most_runs,
        )
        plane = QueuePlane(
            mappings=self.mappings, loops=base.loops, parts=parts, polls=lambda: incarnation not in self.drained
        )
        self.planes[incarnation] = plane
        await self.stack.enter_async_context(plane)
        return plane

    async def rejoin(self, incarnation: str, anew: str) -> None:
        """Bury a node, which joins again at once: what it has received is given back."""
        await self.base.store.hosts.join(anew, HOST)
        self.renamed[incarnation] = anew
        self.queues.bury(incarnation)

    async def mapping(self, function: Function, *, arn: str = ARN, **settings: Any) -> EventSourceMapping:
        mapping = EventSourceMapping(
            uuid=str(UUID(int=self.base.ids().int)),
            account=ACCOUNT,
            region=REGION,
            source_arn=arn,
            is_queue=True,
            function=FunctionName(account=ACCOUNT, region=REGION, name=function.name.name),
            state=MappingState.ENABLED,
            batch_size=10,
        )
        return await self.mappings.catalogue.put(replace(mapping, **settings))

    async def change(self, mapping: EventSourceMapping, **settings: Any) -> EventSourceMapping:
        """Store new settings of a mapping."""
        current = self.mappings.catalogue.get(mapping.uuid)
        assert current is not None
        return await self.mappings.catalogue.put(replace(current, **settings))

    async def worked(
        self, behave: Any = None, *, seconds: float = 0.0, name: str = "orders", **changes: Any
    ) -> tuple[Worked, Function]:
        worked = Worked(self, behave, seconds)
        return worked, await self.base.function(worked, name=name, **{"timeout_s": 30, **changes})

    def pollers(self, mapping: EventSourceMapping, node: str = INCARNATION) -> int:
        worker = self.planes[node].worker(mapping.uuid)
        return 0 if worker is None else worker.pollers

    def metric(self, name: str, mapping: EventSourceMapping) -> float:
        labels = {"EventSourceMappingUUID": mapping.uuid}
        return self.base.metrics.registry.get_sample_value(f"eventrouter_{name}", labels) or 0.0

    async def run(self, seconds: float) -> None:
        await self.base.clock.sleep(seconds)


@contextlib.asynccontextmanager
async def a_queue_world(*, account_limit: int = 1_000, most_runs: int = 500, **queue: Any) -> AsyncIterator[QueueWorld]:
    """Open a world with one node and the queue ARN."""

    def listed(base: World) -> QueueSource:
        queues = ListedQueues(base.clock)
        queues.create(ARN, **queue)
        return queues

    async with a_world_of(listed, account_limit=account_limit, most_runs=most_runs) as world:
        yield world


@contextlib.asynccontextmanager
async def a_world_of(
    make_source: Callable[[World], QueueSource],
    *,
    account_limit: int = 1_000,
    most_runs: int = 500,
    beats: bool = False,
) -> AsyncIterator[QueueWorld]:
    """Open a world with one node and any source."""
    async with a_world(account_limit=account_limit, beats=beats) as base:
        world = QueueWorld(
            base, make_source(base), base.store.mappings, began=base.clock.monotonic(), most_runs=most_runs
        )
        async with world.stack:
            await world.node()
            yield world
