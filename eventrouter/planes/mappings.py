"""Brings event source mappings from one state to the next, on whichever node can.

A mapping is Enabled once it stands at its starting position in every shard that there is, Disabled once nobody works
on its shards any more, and gone once nothing of it is left. A node that dies half way leaves the record as it was; the
sweep of any other finishes it. Source: lambda-semantics §4.2.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Self

from structlog.typing import FilteringBoundLogger

from eventrouter.clock import Clock
from eventrouter.errors import AdapterError, EventRouterError
from eventrouter.planes.loops import Loops
from eventrouter.ports import SourceGone, StreamSource
from eventrouter.rules.mapping import EventSourceMapping, MappingState, StartingPosition
from eventrouter.store import Conflict, Hosts, Lanes, Mappings

SWEEP_EVERY_S = 5.0
FIRST_PAUSE_S = 0.05
LONGEST_PAUSE_S = 1.0
"""Between two looks whether the last batch of a mapping has ended."""
NEWS_S = 2.0
"""By then every node that takes work has heard of a change: two beats."""
NOT_READ = "PROBLEM: The stream could not be read"
"""The LastProcessingResult of a mapping whose source does not answer."""

_SETTLED = frozenset({MappingState.ENABLED, MappingState.DISABLED})
_ENDS_WORK = frozenset({MappingState.DISABLING, MappingState.DELETING})


class MappingTransitions:
    """Long-lived: `async with transitions:`. `begin(mapping)` finishes one soon.

    `sources` maps an ARN's service to what reads there; it may be filled in later.
    """

    def __init__(
        self,
        *,
        mappings: Mappings,
        lanes: Lanes,
        sources: Mapping[str, StreamSource],
        hosts: Hosts,
        loops: Loops,
        clock: Clock,
        log: FilteringBoundLogger,
    ) -> None:
        self._mappings = mappings
        self._lanes = lanes
        self._sources = sources
        self._hosts = hosts
        self._loops = loops
        self._clock = clock
        self._log = log
        self._running: dict[str, asyncio.Task[None]] = {}

    async def __aenter__(self) -> Self:
        self._loops.start("mappings-sweep", self._sweep)
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._loops.stop("mappings-sweep")
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def begin(self, mapping: EventSourceMapping) -> None:
        """Finish what `mapping`'s state says is under way; returns at once."""
        self._start(mapping.uuid)

    def _start(self, uuid: str) -> None:
        if uuid not in self._running:
            self._running[uuid] = asyncio.create_task(self._finish(uuid), name=f"mapping-{uuid}")

    async def _sweep(self) -> float:
        for mapping in self._mappings.catalogue.all():
            if is_unfinished(mapping):
                self._start(mapping.uuid)
        return SWEEP_EVERY_S

    async def _finish(self, uuid: str) -> None:
        catalogue, pause_s = self._mappings.catalogue, FIRST_PAUSE_S
        try:
            while (mapping := catalogue.get(uuid)) is not None and is_unfinished(mapping):
                if await self._is_prepared(mapping):
                    try:
                        await self._conclude(mapping)
                    except Conflict:
                        await catalogue.refresh()
                else:
                    await self._clock.sleep(pause_s)
                    pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
        except EventRouterError as error:
            self._log.warning("mapping.delayed", mapping=uuid, reason=str(error))
        finally:
            del self._running[uuid]  # at once: what begins from here on starts anew

    async def _is_prepared(self, mapping: EventSourceMapping) -> bool:
        """Do what the next state requires; say whether it is reached."""
        if mapping.state in _ENDS_WORK:
            return await self._is_quiet(mapping)
        if mapping.state is MappingState.CREATING:
            try:
                await self._place(mapping)
            except AdapterError:
                await self._mappings.set_result(mapping.uuid, NOT_READ)
                raise
            if await self._mappings.results([mapping.uuid]) == [NOT_READ]:
                await self._mappings.remove_result(mapping.uuid)
        return True

    async def _conclude(self, mapping: EventSourceMapping) -> None:
        """Store the state that the mapping has reached. Raises Conflict."""
        if mapping.state is MappingState.DELETING:
            await self._lanes.remove(mapping.uuid)
            await self._mappings.remove_result(mapping.uuid)
            await self._mappings.catalogue.delete(mapping)
        else:
            state = MappingState.ENABLED if mapping.is_enabled else MappingState.DISABLED
            await self._mappings.catalogue.put(replace(mapping, state=state))

    async def _place(self, mapping: EventSourceMapping) -> None:
        """Note where reading begins in every shard that there is now; later ones are read from their start.

        A position that is noted already stays, so this may be repeated. A stream that is gone has no shards; should
        it come back, everything in it is new.
        """
        if mapping.starting_position is StartingPosition.TRIM_HORIZON:
            return
        source = self._sources.get(mapping.service)
        if source is None:
            raise AdapterError(f"no adapter here reads {mapping.service} streams", transient=True)
        arn, start = mapping.source_arn, mapping.starting_position
        try:
            for shard in await source.shards(arn):
                position = await source.position(arn, shard, start, mapping.starting_timestamp_ms)
                await self._lanes.place(mapping.uuid, shard.unit, position)
        except SourceGone:
            self._log.info("mapping.source_gone", mapping=mapping.uuid, source=arn)

    async def _is_quiet(self, mapping: EventSourceMapping) -> bool:
        """Say whether no living node works on the mapping, nor will."""
        living = await self._hosts.list()
        if len(living) > 1 and self._clock.now_ms() < mapping.last_modified_ms + NEWS_S * 1_000:
            return False  # a node that has not heard of the change might still begin
        for unit in await self._lanes.units(mapping.uuid):
            lane = await self._lanes.read(mapping.uuid, unit)
            if lane is not None and lane.owner in living:
                return False
        return True


def is_unfinished(mapping: EventSourceMapping) -> bool:
    """Say whether a change of state is under way."""
    return mapping.state not in _SETTLED
