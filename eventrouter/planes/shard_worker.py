"""One shard of one mapping: owned, read ahead, spread over its lanes, and remembered.

The owner reads after its position, drops what no filter lets through, and gives each record to the lane of its
partition key. The checkpoint is before the first record that any lane has not resolved. What lanes decide is stored
by one fenced write at a time, before a batch is sent and before a failed one waits; so a takeover repeats at most
the batches in flight. Source: lambda-semantics §4.6, redis-design §7.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from eventrouter.clock import Pause, first_of
from eventrouter.errors import AdapterError, StoreError, Unavailable
from eventrouter.planes.lane_runner import LaneRunner
from eventrouter.planes.shard_outbox import ShardOutbox
from eventrouter.planes.shard_parts import READ_BYTES, READ_RECORDS, UnitInfo, WorkerParts
from eventrouter.planes.shard_report import ShardReport
from eventrouter.planes.shard_tenure import ShardTenure
from eventrouter.ports import SourceGone, SourceShard, StreamPage, StreamRecord
from eventrouter.rules.batch import lane_of
from eventrouter.rules.mapping import EventSourceMapping
from eventrouter.rules.pattern import Filters
from eventrouter.rules.shard import (
    START,
    LaneState,
    RetryPolicy,
    numeral,
    precedes,
)
from eventrouter.store import (
    LaneChange,
    LaneLost,
    StoredLane,
)

READ_AHEAD_BATCHES = 2
READ_AHEAD_RECORDS = 200
"""Records that a lane keeps ready at least, so that small batches are not read one by one."""
READ_AHEAD_BYTES = 16_777_216
NODE_READ_AHEAD_BYTES = 268_435_456
"""Bytes of records that all shards of a node keep together; beyond it each keeps one read at a time."""
AGAIN_S = 1.0


class ShardWorker:
    """Reads one shard while it is this node's. `start`, then `retire`; `update` changes its settings."""

    def __init__(self, parts: WorkerParts, mapping: EventSourceMapping, shard: SourceShard, incarnation: str) -> None:
        self.parts = parts
        self.mapping = mapping
        self.shard = shard
        self.incarnation = incarnation
        self.source = parts.sources[mapping.service]
        self.is_drained = False
        self.is_retiring = False
        self.position = START
        self.is_caught_up = False
        self.report = ShardReport(
            source=self.source,
            shard=shard,
            clock=parts.clock,
            metrics=parts.metrics,
            journal=parts.journal,
            results=parts.results,
            log=parts.log,
        )
        self._tenure = ShardTenure(parts, mapping.uuid, shard, incarnation)
        self._outbox = ShardOutbox(
            mapping=mapping,
            unit=shard.unit,
            events=parts.events,
            lanes=parts.lanes,
            clock=parts.clock,
            log=parts.log,
            on_deliveries_due=parts.on_deliveries_due,
        )
        self._configure(mapping)
        self._lanes: list[LaneRunner] = []
        self._barrier: str | None = None
        self._is_fresh = False
        self._saved_checkpoint = ""
        self._saved_info = UnitInfo(lanes=0)
        self._parcels: dict[str, bytes] = {}
        self._saving = asyncio.Lock()
        self._room = asyncio.Event()
        self._retired = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._failure: BaseException | None = None

    # Life.

    def start(self, ended: Callable[[], None]) -> None:
        """Take the shard and read it; `ended` is called once it is let go of, or was not to be had."""
        self._task = asyncio.create_task(self._run(), name=f"shard-{self.mapping.uuid}-{self.shard.unit}")

        def done(task: asyncio.Task[None]) -> None:
            self._say_how_it_ended(task)
            ended()

        self._task.add_done_callback(done)

    def update(self, mapping: EventSourceMapping) -> None:
        """Take over new settings: they count from the next batch on."""
        self._configure(mapping)
        self._room.set()
        for lane in self._lanes:
            lane.wake()

    def retire(self) -> None:
        """Let go of the shard between two batches."""
        self.is_retiring = True
        self._retired.set()
        self._room.set()
        for lane in self._lanes:
            lane.wake()

    def freed(self) -> None:
        """Note that the node that had the shard has let go of it."""
        self._tenure.freed()

    @property
    def is_held(self) -> bool:
        """Say whether the shard is this node's."""
        return self._tenure.is_held

    async def wait_gone(self) -> None:
        """Wait until the shard is let go of."""
        if self._task is not None:
            await asyncio.wait((self._task,))

    def _configure(self, mapping: EventSourceMapping) -> None:
        self.mapping = mapping
        self.policy = RetryPolicy.of(mapping, self.parts.max_backoff_ms)
        self._filters = Filters.of(mapping.filters, self.source.data_key) if mapping.filters else None
        self.report.configure(mapping)

    def _say_how_it_ended(self, task: asyncio.Task[None]) -> None:
        self.report.end()
        error = None if task.cancelled() else task.exception()
        if error is None:
            return
        if isinstance(error, LaneLost):
            self.parts.metrics.fenced.inc()
            self.parts.log.info("shard.lost", mapping=self.mapping.uuid, shard=self.shard.id)
        elif isinstance(error, StoreError):
            self.parts.log.warning("shard.interrupted", mapping=self.mapping.uuid, reason=str(error))
        else:
            self.parts.metrics.loop_failures.labels("shard").inc()
            self.parts.log.error("shard.failed", mapping=self.mapping.uuid, shard=self.shard.id, exc_info=error)

    async def _run(self) -> None:
        stored = await self._tenure.take(self._retired)
        if stored is None:
            return
        try:
            self._restore(stored)
            self._outbox.add(stored.outbox)
            if not stored.is_drained:
                await self._read()
            else:
                self.is_drained = True
        finally:
            await self._let_go()
        if self._failure is not None:
            raise self._failure

    async def _let_go(self) -> None:
        """Wait for what runs, store what it did, and free the shard for others."""
        self.retire()
        running = [lane.task for lane in self._lanes if lane.task is not None]
        if running:
            await asyncio.wait(running)
        for lane in self._lanes:
            self.parts.buffered_bytes -= lane.bytes
        while self._tenure.is_held:
            try:
                await self.save()
                await self._tenure.release()
                self.parts.on_released(self.mapping.uuid, self.shard.unit)
            except StoreError as error:
                self.parts.log.info("shard.not_released", mapping=self.mapping.uuid, reason=str(error))
                if self.parts.is_draining or not isinstance(error, Unavailable):
                    break
                await self.parts.clock.sleep(AGAIN_S)  # nobody else frees a shard of a node that lives
        await self._outbox.close()

    # Reading.

    def _restore(self, stored: StoredLane) -> None:
        """Go on where the last owner stopped, with as many lanes as it had."""
        info = msgspec.json.decode(stored.info, type=UnitInfo) if stored.info else UnitInfo(lanes=0)
        states = {index: msgspec.json.decode(state, type=LaneState) for index, state in stored.states.items()}
        self.position = self._saved_checkpoint = stored.checkpoint or START
        self._open_lanes(info.lanes or self.mapping.parallelization_factor, states)

    def _open_lanes(self, number: int, states: Mapping[int, LaneState]) -> None:
        self._lanes = [LaneRunner(self, index, states.get(index, LaneState())) for index in range(number)]

    async def _read(self) -> None:
        """Read until the shard ends or is let go of. What the source says is wrong is tried again."""
        while not self.is_retiring:
            if not await self._may_read():
                continue
            try:
                page = await self._page(self.position, READ_RECORDS)
            except (AdapterError, SourceGone, StoreError) as error:
                await self._source_failed(error)
                continue
            self._take_in(page)
            if not page.records and self._barrier is not None:
                self._barrier = self.position  # what lay before it is gone from the source
            elif page.is_end and self._barrier is None:
                await self._finish()
                return
            elif not page.records:
                await self._wait_for_records()
                if page.has_lost:  # until it is trimmed, what has expired wakes whoever waits behind it
                    await self._rest()

    async def _may_read(self) -> bool:
        """Wait until there is room for more; change the number of lanes when everything read is resolved."""
        self._room.clear()
        wanted = self.mapping.parallelization_factor
        if self._barrier is None and wanted != len(self._lanes):
            reached = [lane.reached for lane in self._lanes]
            self._barrier = max((*reached, self.position), key=numeral)
        if self._barrier is not None and not precedes(self.position, self._barrier):
            for lane in self._lanes:
                lane.close()  # its windows end here: what follows them is for other lanes
            if any(lane.has_work for lane in self._lanes):
                await self._room.wait()
                return False
            self._barrier = None
            removed = range(wanted, len(self._lanes))
            self._open_lanes(wanted, {})
            for lane in self._lanes:
                lane.is_changed = True
            await self.save(removed=removed)
        waiting = sum(len(lane.queue) for lane in self._lanes)
        size = sum(lane.bytes for lane in self._lanes)
        ahead = max(READ_AHEAD_BATCHES * self.mapping.batch_size, READ_AHEAD_RECORDS) * len(self._lanes)
        is_crowded = waiting and self.parts.buffered_bytes >= NODE_READ_AHEAD_BYTES
        is_full = waiting >= ahead or size >= READ_AHEAD_BYTES or is_crowded
        if is_full and not any(lane.is_incomplete for lane in self._lanes):
            await self._room.wait()
            return False
        return True

    def _take_in(self, page: StreamPage) -> None:
        """Give each record to its lane, unless it is filtered out or resolved already."""
        records, before = page.records, self.position
        if self._barrier is not None:
            mark = self._barrier
            records = [record for record in records if not precedes(mark, record.sequence)]
        if len(records) < len(page.records) and self._barrier is not None:
            self.position = self._barrier
        elif records:
            self.position = records[-1].sequence
        if not self._is_fresh:
            records = self._unresolved(records)
        wanted, filtered = records, records[:0]
        if self._filters is not None:
            matches, filterable = self._filters.matches, self.source.filterable
            wanted = [record for record in records if matches(filterable(record.event))]
            if len(wanted) < len(records):
                kept = {record.sequence for record in wanted}
                filtered = [record for record in records if record.sequence not in kept]
        now = self.parts.clock.monotonic()
        for lane, mine in self._by_lane(wanted):
            self.parts.buffered_bytes += lane.extend(mine, before, now)
        if page.has_lost:
            self.report.lost()
        self.report.read(len(records), filtered)
        self.is_caught_up = not page.records
        for lane in self._lanes:
            lane.wake()

    def _by_lane(self, records: Sequence[StreamRecord]) -> Iterable[tuple[LaneRunner, Sequence[StreamRecord]]]:
        if not records:
            return ()
        if len(self._lanes) == 1:
            return ((self._lanes[0], records),)
        spread: dict[int, list[StreamRecord]] = {}
        for record in records:
            spread.setdefault(lane_of(record.key, len(self._lanes)), []).append(record)
        return [(self._lanes[index], mine) for index, mine in spread.items()]

    def _unresolved(self, records: Sequence[StreamRecord]) -> Sequence[StreamRecord]:
        """Leave out what lanes had resolved before the shard was taken over; past all of it there is nothing to do."""
        number = len(self._lanes)
        kept = [
            record
            for record in records
            if precedes(self._lanes[lane_of(record.key, number)].state.checkpoint, record.sequence)
        ]
        self._is_fresh = not any(precedes(self.position, lane.state.checkpoint) for lane in self._lanes)
        return kept

    async def _wait_for_records(self) -> None:
        """Store how far filtered records have brought the checkpoint, then wait for the source."""
        await self.save()
        try:
            waiting = self.source.wait(self.mapping.source_arn, self.shard, self.position)
            await first_of(waiting, self._retired.wait())
        except (AdapterError, SourceGone, StoreError) as error:
            await self._source_failed(error)

    async def _source_failed(self, error: Exception) -> None:
        is_gone = isinstance(error, SourceGone)
        self.report.problem("Stream not found" if is_gone else "The stream could not be read")
        self.parts.log.warning(
            "shard.not_read", mapping=self.mapping.uuid, shard=self.shard.id, reason=str(error) or type(error).__name__
        )
        await self._rest()

    async def _finish(self) -> None:
        """Wait until everything that was read is resolved; then the shard is drained, and its children are next."""
        for lane in self._lanes:
            lane.close()
        while any(lane.has_work for lane in self._lanes) and not self.is_retiring:
            self._room.clear()
            await self._room.wait()
        if not any(lane.has_work for lane in self._lanes):
            await self.save(is_drained=True)
            self.is_drained = True

    async def _page(self, after: str, limit: int) -> StreamPage:
        function = self.parts.functions.get(self.mapping.function)
        return await self.source.read(
            self.mapping.source_arn,
            self.shard,
            after,
            limit=limit,
            max_bytes=READ_BYTES,
            identity_arn=function.role if function is not None else "",
        )

    # What lanes use.

    @property
    def may_send(self) -> bool:
        """Say whether a batch may be sent now: the shard is kept, and this node is who took it, and lives."""
        parts = self.parts
        return not self.is_retiring and parts.may_take_work() and parts.incarnation() == self.incarnation

    async def _rest(self) -> None:
        """Let the shard be for a moment: nothing is due."""
        await first_of(self.parts.clock.pause(Pause(AGAIN_S)), self._retired.wait())

    async def pause(self, seconds: float) -> None:
        """Wait, but not longer than until the shard is let go of."""
        await first_of(self.parts.clock.sleep(seconds), self._retired.wait())

    async def first_held(self, after: str) -> str | None:
        """Return the first record behind a position that the source still holds; None if there is none.

        Raises AdapterError, SourceGone, StoreError.
        """
        page = await self._page(after, 1)
        return page.records[0].sequence if page.records else None

    def lane_ended(self, task: asyncio.Task[None]) -> None:
        """Take note that a lane's task ended; one that failed ends the whole shard here."""
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._failure = self._failure or error
            self.retire()

    def applied(self, freed: int, parcels: Mapping[str, bytes]) -> None:
        """Take note that a lane got rid of `freed` bytes of records, and has on-failure records to be stored."""
        self.parts.buffered_bytes -= freed
        self._parcels.update(parcels)
        self._room.set()

    @property
    def checkpoint(self) -> str:
        """Return the sequence number up to which every record is resolved."""
        return min((*(lane.resolved for lane in self._lanes if lane.queue), self.position), key=numeral)

    async def save(self, *, is_drained: bool = False, removed: range = range(0)) -> None:
        """Store what has changed; return once everything decided before is stored. Raises LaneLost."""
        async with self._saving:
            changed = {lane.index: lane for lane in self._lanes if lane.is_changed}
            checkpoint, info, parcels = self.checkpoint, self._info(), self._parcels
            if not (changed or parcels or is_drained or removed) and checkpoint == self._saved_checkpoint:
                return
            change = LaneChange(
                checkpoint=checkpoint,
                states={index: lane.encoded() for index, lane in changed.items()},
                removed=removed,
                outbox=parcels,
                is_drained=is_drained,
                info=None if info == self._saved_info else msgspec.json.encode(info),
            )
            for lane in changed.values():
                lane.is_changed = False
            self._parcels = {}
            await self._tenure.store(change)
            self._saved_checkpoint, self._saved_info = checkpoint, info
        self._outbox.add(parcels)

    def _info(self) -> UnitInfo:
        blocked = [lane.blocked for lane in self._lanes if lane.blocked is not None]
        if not blocked:
            return UnitInfo(lanes=len(self._lanes))
        longest = min(blocked)
        return UnitInfo(len(self._lanes), longest.since_ms, longest.by, longest.next_try_ms)
