"""How far a mapping has come in each shard of its stream, as operators are shown it.

Everything is read from the store and the source, so any node can tell, whoever reads the shard.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from eventrouter.clock import Clock
from eventrouter.errors import AdapterError
from eventrouter.planes.shard_moves import EMPTY_PAGES_AT_THE_TIP
from eventrouter.planes.shard_parts import READ_BYTES, UnitInfo
from eventrouter.ports import SourceGone, SourceShard, StreamHead, StreamSource
from eventrouter.rules.mapping import EventSourceMapping
from eventrouter.rules.shard import START, LaneState, precedes
from eventrouter.rules.window import OpenWindow
from eventrouter.store import HostInfo, Hosts, Lanes, StoredLane


class PendingRange(msgspec.Struct, frozen=True, kw_only=True):
    """Records that were begun together and are not resolved, from `first` to `last`, and how often they were tried."""

    first: str
    last: str
    retries: int
    invokes: int


class LaneProgress(msgspec.Struct, frozen=True, kw_only=True):
    """One lane that has something unresolved, or a window open; only its first range is tried."""

    lane: int
    is_in_flight: bool
    pending: Sequence[PendingRange]
    window: OpenWindow | None


class ShardProgress(msgspec.Struct, frozen=True, kw_only=True):
    """One shard. Times are wall milliseconds.

    `checkpoint` is None before the first read; `owner` while nobody reads the shard; `head` where there is no record,
    or the source cannot say. `unresolved` is the first record behind the checkpoint, None if there is none;
    `behind_ms` its age, 0 if there is none, None if that cannot be told. `blocked_since_ms`, `blocked_by` and
    `next_try_ms` are about the lane that is blocked the longest; without an owner there is no next try.
    """

    shard: str
    owner: str | None
    owner_url: str | None
    checkpoint: str | None
    head: StreamHead | None
    unresolved: StreamHead | None
    behind_ms: int | None
    in_flight: int
    blocked_since_ms: int | None
    blocked_by: str | None
    next_try_ms: int | None
    is_drained: bool
    waits_for: Sequence[str]
    undelivered: int
    lanes: Sequence[LaneProgress]


class MappingProgress(msgspec.Struct, frozen=True, kw_only=True):
    """All shards of a mapping. `problem` says why the source tells nothing about them, if it does not."""

    problem: str | None
    shards: Sequence[ShardProgress]


class ProgressReader:
    """Reads the progress of mappings."""

    def __init__(self, *, lanes: Lanes, hosts: Hosts, sources: Mapping[str, StreamSource], clock: Clock) -> None:
        self._lanes = lanes
        self._hosts = hosts
        self._sources = sources
        self._clock = clock

    async def read(self, mapping: EventSourceMapping) -> MappingProgress:
        """Return how far `mapping` is; of a stream that cannot be asked, what the store knows."""
        units = await self._lanes.units(mapping.uuid)
        living = await self._hosts.list()
        source = self._sources.get(mapping.service)
        try:
            if source is None:
                raise AdapterError(f"No adapter here reads {mapping.service} streams", transient=False)
            shards = await source.shards(mapping.source_arn)
            waits = _waits(shards, units)
            progress = [await self._shard(mapping, shard, units, living, waits, source) for shard in shards]
        except (AdapterError, SourceGone) as error:
            known = [SourceShard(id=unit.partition("@")[0], generation=unit.partition("@")[2]) for unit in units]
            progress = [await self._shard(mapping, shard, units, living, {}, None) for shard in known]
            return MappingProgress(problem=str(error), shards=progress)
        return MappingProgress(problem=None, shards=progress)

    async def _shard(
        self,
        mapping: EventSourceMapping,
        shard: SourceShard,
        units: Mapping[str, bool],
        living: Mapping[str, HostInfo],
        waits: Mapping[str, Sequence[str]],
        source: StreamSource | None,
    ) -> ShardProgress:
        stored = await self._lanes.read(mapping.uuid, shard.unit) or StoredLane()
        info = msgspec.json.decode(stored.info, type=UnitInfo) if stored.info else UnitInfo()
        owner = living.get(stored.owner)
        is_drained = stored.is_drained or units.get(shard.unit, False)
        lanes = [
            self._lane(index, msgspec.json.decode(state, type=LaneState), info, is_owned=owner is not None)
            for index, state in sorted(stored.states.items())
        ]
        head, unresolved = (None, None) if source is None else await self._source(mapping, shard, stored, source)
        is_blocked = info.blocked_since_ms > 0
        return ShardProgress(
            shard=shard.id,
            owner=None if owner is None else stored.owner,
            owner_url=None if owner is None else owner.url,
            checkpoint=stored.checkpoint,
            head=head,
            unresolved=None if is_drained else unresolved,
            behind_ms=0 if is_drained else None if source is None else self._age_ms(unresolved),
            in_flight=sum(lane.is_in_flight for lane in lanes),
            blocked_since_ms=info.blocked_since_ms if is_blocked else None,
            blocked_by=info.blocked_by if is_blocked else None,
            next_try_ms=info.next_try_ms if is_blocked and owner is not None else None,
            is_drained=is_drained,
            waits_for=waits.get(shard.id, ()),
            undelivered=len(stored.outbox),
            lanes=[lane for lane in lanes if lane.pending or lane.window is not None],
        )

    def _lane(self, index: int, state: LaneState, info: UnitInfo, *, is_owned: bool) -> LaneProgress:
        """Show one lane: it waits after a failure until the next try, and is in flight otherwise."""
        has_begun = bool(state.pending) or (state.window is not None and state.window.closing is not None)
        is_waiting = state.backoffs > 0 and info.next_try_ms > self._clock.now_ms()
        return LaneProgress(
            lane=index,
            is_in_flight=is_owned and has_begun and not is_waiting,
            pending=[
                PendingRange(first=each.first, last=each.last, retries=each.retries, invokes=each.invokes)
                for each in state.pending
            ],
            window=state.window,
        )

    async def _source(
        self, mapping: EventSourceMapping, shard: SourceShard, stored: StoredLane, source: StreamSource
    ) -> tuple[StreamHead | None, StreamHead | None]:
        """Return the newest record, and the first one behind the checkpoint.

        Of a source that cannot tell the newest, several pages are read: some may be empty before what follows.
        """
        arn = mapping.source_arn
        head = await source.head(arn, shard)
        after = stored.checkpoint or START
        if head is not None and not precedes(after, head.sequence):
            return head, None
        for _ in range(EMPTY_PAGES_AT_THE_TIP if head is None else 1):
            page = await source.read(arn, shard, after, limit=1, max_bytes=READ_BYTES, identity_arn="")
            if page.records:
                first = page.records[0]
                return head, StreamHead(sequence=first.sequence, arrived_ms=first.arrived_ms)
            if page.is_end:
                break
        return head, None

    def _age_ms(self, record: StreamHead | None) -> int:
        return 0 if record is None else max(self._clock.now_ms() - record.arrived_ms, 0)


def _waits(shards: Sequence[SourceShard], units: Mapping[str, bool]) -> dict[str, list[str]]:
    """Return, for each shard, the parents that must be drained before it is read."""
    living = {shard.id: shard.unit for shard in shards}
    return {
        shard.id: [parent for parent in shard.parents if parent in living and not units.get(living[parent])]
        for shard in shards
    }
