"""Stream mappings on this node: which shards it reads, one worker for each.

Every node computes the same fair shares of all shards over the living nodes. It takes what is its own and free, and
lets go, between two batches, of what another one should have; the store's fence decides when views differ for a
moment. A shard is read only when its parents have been drained. Source: lambda-semantics §4.6, redis-design §7.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Self

from eventrouter.errors import AdapterError, StoreError
from eventrouter.planes.loops import Loops
from eventrouter.planes.shard_parts import WorkerParts
from eventrouter.planes.shard_worker import ShardWorker
from eventrouter.ports import SourceGone, SourceShard
from eventrouter.rules.mapping import EventSourceMapping
from eventrouter.rules.shares import fair_shares
from eventrouter.settings import Role
from eventrouter.store import HostInfo, Mappings

SHARE_EVERY_S = 1.0
STRAYS_EVERY_TURNS = 5
LISTING_S = 5.0
SLOW_S = 1.0
"""A source that has failed to list shards for this long is not asked about further mappings in the same turn."""
LOOP = "streams-share"

Unit = tuple[str, str]
"""A mapping's UUID and the name of one of its shards' units."""


class StreamPlane:
    """Long-lived: `async with plane:`; leaving it lets go of every shard."""

    def __init__(
        self, *, mappings: Mappings, loops: Loops, parts: WorkerParts, polls: Callable[[], bool] = lambda: True
    ) -> None:
        """`polls` says whether this node has a share at all."""
        self._polls = polls
        self._mappings = mappings
        self._loops = loops
        self._parts = parts
        self._workers: dict[Unit, ShardWorker] = {}
        self._others: frozenset[str] = frozenset()
        self._drained: dict[str, frozenset[str]] = {}
        self._listed: dict[str, Sequence[SourceShard]] = {}
        self._shared: tuple[frozenset[Unit], str, frozenset[str]] = (frozenset(), "", frozenset())
        self._mine: frozenset[Unit] = frozenset()
        self._tasks: set[asyncio.Task[None]] = set()
        self._sharing = asyncio.Lock()
        self._turns = 0
        self._known: frozenset[Unit] = frozenset()
        self._suspects: frozenset[tuple[Unit, str, int]] = frozenset()

    async def __aenter__(self) -> Self:
        self._mappings.catalogue.on_change(self._changed)
        self._loops.start(LOOP, self._turn)
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._loops.stop(LOOP)
        self.stop_reading()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self.drain()

    def see(self, living: Mapping[str, HostInfo]) -> None:
        """Take note of the other nodes that have a share: what changes hands by it does so at once."""
        sharing = frozenset(node for node, info in living.items() if info.takes(Role.POLLER))
        before, self._others = self._others, sharing
        if before != self._others:
            self._share_soon()

    def share_soon(self) -> None:
        """Look at once what this node has to read: whether it polls has changed."""
        if not self._parts.is_draining:
            self._share_soon()

    def freed(self, units: Iterable[str]) -> None:
        """Note that other nodes have let go of these units, each `<mapping>/<unit>`."""
        for name in units:
            uuid, _, unit = name.partition("/")
            worker = self._workers.get((uuid, unit))
            if worker is not None:
                worker.freed()

    @property
    def held(self) -> int:
        """Return how many shards are this node's."""
        return sum(worker.is_held for worker in self._workers.values())

    def stop_reading(self) -> None:
        """Begin no further batch; those under way come to their end."""
        self._parts.is_draining = True
        for worker in self._workers.values():
            worker.retire()

    async def drain(self) -> None:
        """Stop reading, and wait until every shard is let go of."""
        self.stop_reading()
        await asyncio.gather(*(worker.wait_gone() for worker in list(self._workers.values())))

    def worker(self, uuid: str, unit: str) -> ShardWorker | None:
        """Return what reads a shard here, if this node does."""
        return self._workers.get((uuid, unit))

    def _changed(self, uuid: str, mapping: EventSourceMapping | None) -> None:
        """Take over a mapping's new settings at once; the next turn finds new work."""
        for (owner, _), worker in self._workers.items():
            if owner == uuid:
                if mapping is not None and mapping.runs:
                    worker.update(mapping)
                else:
                    worker.retire()
        if mapping is None or not mapping.runs:
            self._drained.pop(uuid, None)  # it may be rewound before it runs again
        if mapping is None:
            self._listed.pop(uuid, None)
            self._parts.results.forget(uuid)
        elif mapping.runs and not self._parts.is_draining:
            asyncio.get_running_loop().call_soon(self._share_soon)

    def _share_soon(self) -> None:
        if len(self._tasks) > 1:
            return  # one that has yet to look at what there is waits already
        task = asyncio.create_task(self._share_quietly(), name="streams-share-now")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _share_quietly(self) -> None:
        try:
            await self._share()
        except StoreError as error:
            self._parts.log.warning("streams.not_shared", reason=str(error))

    async def _turn(self) -> float:
        await self._share()
        await self._parts.results.flush()
        self._turns += 1
        if self._turns % STRAYS_EVERY_TURNS == 0:
            await self._release_strays()
        return SHARE_EVERY_S

    async def _release_strays(self) -> None:
        """Release what the store calls this node's and this node does not read, if it was so at the last look too.

        A failover may have forgotten that it was released: others would wait for it as long as this node lives.
        """
        incarnation, found = self._parts.incarnation(), set[tuple[Unit, str, int]]()
        for unit in sorted(self._known - self._workers.keys() - self._mine):
            lane = await self._parts.lanes.read(*unit)
            if lane is not None and lane.owner == incarnation and unit not in self._workers:
                found.add((unit, incarnation, lane.epoch))
        for unit, owner, epoch in sorted(found & self._suspects):
            self._parts.log.warning("shard.stray_released", mapping=unit[0], shard=unit[1])
            await self._parts.lanes.release(*unit, owner, epoch)
        self._suspects = frozenset(found)

    async def _share(self) -> None:
        """Start and end workers, so that this node reads exactly what is its share."""
        if not self._may_share():
            return
        async with self._sharing:
            units = await self._units() if self._polls() else {}
            if not self._may_share():
                return
            incarnation = self._parts.incarnation()
            mine = self._shares(frozenset(units), incarnation)
            self._known = frozenset(units) or self._known
            for unit, worker in list(self._workers.items()):
                if unit not in mine or worker.incarnation != incarnation:
                    worker.retire()
            for unit in sorted(mine - self._workers.keys()):
                mapping = self._mappings.catalogue.get(unit[0])
                if mapping is not None and mapping.runs:  # it may have changed since its shards were asked for
                    self._start(unit, incarnation, mapping, units[unit])

    def _may_share(self) -> bool:
        return not self._parts.is_draining and self._parts.may_take_work()

    def _shares(self, units: frozenset[Unit], incarnation: str) -> frozenset[Unit]:
        """Return the units that are this node's share; asked anew only when something has changed."""
        inputs = (units, incarnation, self._others)
        if inputs != self._shared:
            names = {f"{uuid}/{unit}": (uuid, unit) for uuid, unit in units}
            owners = fair_shares(names, (incarnation, *self._others))
            self._mine = frozenset(names[name] for name, owner in owners.items() if owner == incarnation)
            self._shared = inputs
        return self._mine

    def _start(self, unit: Unit, incarnation: str, mapping: EventSourceMapping, shard: SourceShard) -> None:
        worker = ShardWorker(self._parts, mapping, shard, incarnation)
        self._workers[unit] = worker

        def ended() -> None:
            del self._workers[unit]
            if worker.is_drained:
                self._drained[unit[0]] = self._drained.get(unit[0], frozenset()) | {unit[1]}
                self._share_soon()  # its children may be read now

        worker.start(ended)

    async def _units(self) -> dict[Unit, SourceShard]:
        """Return every unit that somebody should be reading now."""
        found: dict[Unit, SourceShard] = {}
        silent: set[str] = set()
        for mapping in self._mappings.catalogue.all():
            if not mapping.runs or mapping.is_queue:
                continue
            shards = await self._list(mapping, silent)
            if shards is None:
                continue
            drained = await self._drained_of(mapping.uuid, shards)
            living = {shard.id: shard.unit for shard in shards}
            for shard in shards:
                waits = any(living[parent] not in drained for parent in shard.parents if parent in living)
                if not waits and shard.unit not in drained:
                    found[mapping.uuid, shard.unit] = shard
            await self._forget_expired(mapping.uuid, shards)
        return found

    async def _list(self, mapping: EventSourceMapping, silent: set[str]) -> Sequence[SourceShard] | None:
        """Return the shards of a mapping's stream; those that it had, while it cannot be asked.

        `silent` are the services that do not answer, of which nothing is asked.
        """
        uuid, source = mapping.uuid, self._parts.sources.get(mapping.service)
        if source is None:
            self._parts.results.note(uuid, f"PROBLEM: No adapter reads {mapping.service} streams")
            return None
        if mapping.service in silent:
            return self._listed.get(uuid)
        began = self._parts.clock.monotonic()
        try:
            async with asyncio.timeout(LISTING_S):
                return await source.shards(mapping.source_arn)
        except SourceGone:
            self._parts.results.note(uuid, "PROBLEM: Stream not found")
            return None
        except (AdapterError, TimeoutError) as error:
            self._parts.log.warning("streams.not_listed", mapping=uuid, reason=str(error) or "no answer in time")
            self._parts.results.note(uuid, "PROBLEM: The stream could not be read")
            if self._parts.clock.monotonic() - began >= SLOW_S:
                silent.add(mapping.service)
            return self._listed.get(uuid)

    async def _drained_of(self, uuid: str, shards: Sequence[SourceShard]) -> frozenset[str]:
        """Return the units that have been read to their end; asked of the store only while it matters."""
        known = self._drained.get(uuid, frozenset())
        if any(shard.parents for shard in shards):
            lanes = await self._parts.lanes.units(uuid)
            known = self._drained[uuid] = frozenset(unit for unit, is_drained in lanes.items() if is_drained)
        return known

    async def _forget_expired(self, uuid: str, shards: Sequence[SourceShard]) -> None:
        """Remove the lanes of shards that this node has seen come and go."""
        gone = {shard.unit for shard in self._listed.get(uuid, ())} - {shard.unit for shard in shards}
        if gone:
            await self._parts.lanes.remove(uuid, sorted(gone))
        self._listed[uuid] = shards
