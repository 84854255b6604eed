"""A world with streams: the plane over listed streams, in virtual time; and other nodes beside the first."""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from eventrouter.logging import get_logger
from eventrouter.planes.mapping_results import MappingResults
from eventrouter.planes.shard_parts import WorkerParts
from eventrouter.planes.streams import StreamPlane
from eventrouter.planes.sync import SyncPlane
from eventrouter.ports import StreamSource
from eventrouter.rules.function import Function
from eventrouter.rules.invocation import Invocation
from eventrouter.rules.mapping import EventSourceMapping, MappingState
from eventrouter.rules.names import FunctionName
from eventrouter.store import HostInfo
from eventrouter.store.lanes import Lanes
from eventrouter.store.mappings import Mappings
from tests.planes.listed_streams import ListedStreams, stream_arn
from tests.planes.world import ACCOUNT, INCARNATION, REGION, World, a_world

ARN = stream_arn("clicks")


@dataclass
class Seen:
    """What a handler was given: the values of its records, the whole event, and when (seconds since the start)."""

    values: list[Any]
    event: dict[str, Any]
    at: float


@dataclass
class Recorder:
    """A handler that keeps what it sees. `fail` decides, from the values, whether a call raises or what it returns."""

    world: StreamWorld
    behave: Any = None
    seconds: float = 0.0
    seen: list[Seen] = field(default_factory=list)
    running: int = 0
    most_at_once: int = 0

    async def __call__(self, event: dict[str, Any], invocation: Invocation) -> Any:
        values = values_of(event)
        self.seen.append(Seen(values=values, event=event, at=self.world.now()))
        self.running += 1
        self.most_at_once = max(self.most_at_once, self.running)
        try:
            if self.seconds:
                await self.world.base.clock.sleep(self.seconds)
            return self.behave(values) if self.behave is not None else None
        finally:
            self.running -= 1

    @property
    def batches(self) -> list[list[Any]]:
        return [seen.values for seen in self.seen]

    @property
    def values(self) -> list[Any]:
        return [value for seen in self.seen for value in seen.values]

    @property
    def times(self) -> list[float]:
        return [seen.at for seen in self.seen]


def values_of(event: dict[str, Any]) -> list[Any]:
    """Return the records' data as JSON."""
    return [json.loads(base64.b64decode(record["kinesis"]["data"])) for record in event["Records"]]


@dataclass
class StreamWorld:
    base: World
    streams: ListedStreams
    lanes: Lanes
    mappings: Mappings
    planes: dict[str, StreamPlane] = field(default_factory=dict)
    stack: contextlib.AsyncExitStack = field(default_factory=contextlib.AsyncExitStack)
    began: float = 0.0
    sources: dict[str, StreamSource] = field(default_factory=dict)
    drained: set[str] = field(default_factory=set)
    tells: bool = False

    def __post_init__(self) -> None:
        self.sources["kinesis"] = self.streams

    def released(self, uuid: str, unit: str) -> None:
        """Tell all nodes that a unit is free, unless they are to find out by themselves."""
        for plane in self.planes.values() if self.tells else ():
            plane.freed([f"{uuid}/{unit}"])

    def now(self) -> float:
        return round(self.base.clock.monotonic() - self.began, 2)

    async def node(self, incarnation: str = INCARNATION) -> StreamPlane:
        """Start the stream plane of a node; its view of the other nodes is set by `see`."""
        base = self.base
        if incarnation != INCARNATION:
            await base.store.hosts.join(incarnation, HostInfo(url="http://127.0.0.1:2", started_at_ms=0, version="0"))
        parts = WorkerParts(
            incarnation=lambda: incarnation,
            sources=self.sources,
            lanes=self.lanes,
            hosts=base.store.hosts,
            functions=base.store.functions,
            events=base.store.events,
            sync=SyncPlane(
                incarnation=lambda: incarnation,
                slots=base.store.slots,
                environments=base.environments,
                metrics=base.metrics,
                journal=base.journal,
            ),
            results=MappingResults(self.mappings),
            clock=base.clock,
            metrics=base.metrics,
            journal=base.journal,
            log=get_logger(),
            new_id=base.ids,
            may_take_work=lambda: True,
            max_backoff_ms=12_000,
            on_deliveries_due=base.destinations.wake,
            on_released=self.released,
        )
        plane = StreamPlane(
            mappings=self.mappings, loops=base.loops, parts=parts, polls=lambda: incarnation not in self.drained
        )
        self.planes[incarnation] = plane
        await self.stack.enter_async_context(plane)
        return plane

    async def mapping(self, function: Function, *, arn: str = ARN, **settings: Any) -> EventSourceMapping:
        mapping = EventSourceMapping(
            uuid=str(UUID(int=self.base.ids().int)),
            account=ACCOUNT,
            region=REGION,
            source_arn=arn,
            function=FunctionName(account=ACCOUNT, region=REGION, name=function.name.name),
            state=MappingState.ENABLED,
        )
        return await self.mappings.catalogue.put(replace(mapping, **settings))

    async def change(self, mapping: EventSourceMapping, **settings: Any) -> EventSourceMapping:
        """Store new settings of a mapping."""
        current = self.mappings.catalogue.get(mapping.uuid)
        assert current is not None
        return await self.mappings.catalogue.put(replace(current, **settings))

    async def recorder(
        self, behave: Any = None, *, seconds: float = 0.0, name: str = "orders"
    ) -> tuple[Recorder, Function]:
        recorder = Recorder(self, behave, seconds)
        return recorder, await self.base.function(recorder, name=name)

    async def result(self, mapping: EventSourceMapping) -> str | None:
        [text] = await self.mappings.results([mapping.uuid])
        return text

    async def checkpoints(self, mapping: EventSourceMapping, units: Sequence[str]) -> list[str | None]:
        stored = [await self.lanes.read(mapping.uuid, unit) for unit in units]
        return [None if lane is None else lane.checkpoint for lane in stored]

    async def run(self, seconds: float) -> None:
        await self.base.clock.sleep(seconds)


@contextlib.asynccontextmanager
async def a_stream_world(*, shards: int = 1, account_limit: int = 1_000) -> AsyncIterator[StreamWorld]:
    """Open a world with one node and the stream ARN."""
    async with a_world(account_limit=account_limit) as base:
        lanes = base.store.lanes
        mappings = base.store.mappings
        streams = ListedStreams(base.clock)
        streams.create(ARN, shards=shards)
        world = StreamWorld(base, streams, lanes, mappings, began=base.clock.monotonic())
        async with world.stack:
            await world.node()
            yield world
