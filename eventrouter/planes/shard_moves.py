"""What operators do to the position of a mapping: rewind it, and skip what blocks it.

Only while the mapping is Disabled, so that nobody reads its shards meanwhile; the store's fence decides if somebody
begins to. Repeating a move that failed half way is harmless.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from eventrouter.clock import Clock
from eventrouter.errors import EventRouterError
from eventrouter.planes.shard_parts import READ_BYTES, READ_RECORDS, UnitInfo
from eventrouter.ports import SourceShard, StreamRecord, StreamSource
from eventrouter.rules.mapping import EventSourceMapping, MappingState, StartingPosition
from eventrouter.rules.shard import START, LaneState, is_blocked, precedes, skip
from eventrouter.store import Held, Hosts, LaneChange, Lanes, StoredLane, Taken

EMPTY_PAGES_AT_THE_TIP = 5
"""Empty pages may stand between records. After this many in a row a shard counts as read through."""


class NotDisabled(EventRouterError):
    """The mapping is not Disabled, or a node works on one of its shards."""


class NoSuchPlace(EventRouterError):
    """The mapping has no such shard, or it must be said which one is meant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SinceTime:
    """Where to go: to the first record that arrived since, in wall milliseconds."""

    at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FromSequence:
    """Where to go: to the record of this sequence number, or the first behind it."""

    sequence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """A shard that is read on after `position`."""

    shard: str
    before: str | None
    position: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """What a lane will not try again: records, or the end of a tumbling window (then both numbers are empty)."""

    shard: str
    lane: int
    first: str
    last: str
    retries: int
    invokes: int


class ShardMoves:
    """Moves the positions of mappings. `incarnation` is this node's own.

    Shards are taken under a name that no living node has: one that could not be let go of is free all the same.
    """

    def __init__(
        self,
        *,
        lanes: Lanes,
        hosts: Hosts,
        sources: Mapping[str, StreamSource],
        clock: Clock,
        incarnation: Callable[[], str],
    ) -> None:
        self._lanes = lanes
        self._hosts = hosts
        self._sources = sources
        self._clock = clock
        self._incarnation = incarnation

    async def rewind(
        self, mapping: EventSourceMapping, to: SinceTime | FromSequence, shard_id: str | None
    ) -> list[Moved]:
        """Let every shard, or one of them, be read again from a place, together with the shards that continue it.

        A sequence number counts in its own shard only; what continues that shard is read from its beginning. Raises
        NotDisabled, NoSuchPlace, SourceGone, AdapterError.
        """
        source, shards = await self._shards(mapping)
        chosen = _chosen(shards, shard_id)
        if isinstance(to, FromSequence) and len(chosen) != 1:
            raise NoSuchPlace(f"{mapping.source_arn} has {len(chosen)} shards: say which one the number is of")
        moved: list[Moved] = []
        for shard in _with_continuations(chosen, shards):
            if isinstance(to, SinceTime):
                position = await self._since(source, mapping.source_arn, shard, to.at_ms)
            elif shard in chosen:
                position = await self._before(source, mapping.source_arn, shard, to.sequence)
            else:
                position = START
            moved.append(await self._move(mapping.uuid, shard, position))
        return moved

    async def skip(self, mapping: EventSourceMapping, shard_id: str | None) -> list[Skipped]:
        """Give up, in every shard or one of them, what is tried again and again; return what that is.

        What waits behind it, in the same lane too, is kept. Raises NotDisabled, NoSuchPlace, SourceGone,
        AdapterError.
        """
        _, shards = await self._shards(mapping)
        skipped: list[Skipped] = []
        for shard in _chosen(shards, shard_id):
            stored = await self._lanes.read(mapping.uuid, shard.unit)
            if stored is None or not _blocked(stored):
                continue
            taken = await self._take(mapping.uuid, shard.unit, stored.owner)
            blocked = _blocked(taken.lane)
            await self._store(mapping.uuid, shard.unit, taken, blocked)
            skipped += [_skipped(shard.id, index, state) for index, state in blocked.items()]
        return skipped

    async def _shards(self, mapping: EventSourceMapping) -> tuple[StreamSource, Sequence[SourceShard]]:
        if mapping.state is not MappingState.DISABLED:
            raise NotDisabled(f"the mapping is {mapping.state}: only one that is Disabled can be moved")
        source = self._sources.get(mapping.service)
        if source is None:
            raise NoSuchPlace(f"no adapter here reads {mapping.service} streams")
        return source, await source.shards(mapping.source_arn)

    async def _since(self, source: StreamSource, arn: str, shard: SourceShard, at_ms: int) -> str:
        """Return the position before the first record that arrived since an instant."""
        if StartingPosition.AT_TIMESTAMP in source.starting_positions:
            return await source.position(arn, shard, StartingPosition.AT_TIMESTAMP, at_ms)
        return await _read_past(source, arn, shard, START, lambda record: record.arrived_ms < at_ms)

    async def _before(self, source: StreamSource, arn: str, shard: SourceShard, sequence: str) -> str:
        """Return the position before a record: one that the source itself gave, since it may take no other.

        A source that finds times is searched by them for the last instant before the record.
        """
        position = START
        if StartingPosition.AT_TIMESTAMP in source.starting_positions:
            position = await self._instant_before(source, arn, shard, sequence)
        return await _read_past(source, arn, shard, position, lambda record: precedes(record.sequence, sequence))

    async def _instant_before(self, source: StreamSource, arn: str, shard: SourceShard, sequence: str) -> str:
        position, early_ms, late_ms = START, 0, self._clock.now_ms()
        while late_ms - early_ms > 1:
            middle_ms = (early_ms + late_ms) // 2
            found = await source.position(arn, shard, StartingPosition.AT_TIMESTAMP, middle_ms)
            page = await source.read(arn, shard, found, limit=1, max_bytes=READ_BYTES, identity_arn="")
            if page.records and precedes(page.records[0].sequence, sequence):
                position, early_ms = found, middle_ms
            else:
                late_ms = middle_ms
        return position

    async def _move(self, uuid: str, shard: SourceShard, position: str) -> Moved:
        stored = await self._lanes.read(uuid, shard.unit) or StoredLane()
        if stored.owner:
            taken = await self._take(uuid, shard.unit, stored.owner)
            await self._lanes.release(uuid, shard.unit, self._owner(), taken.epoch)
        if not await self._lanes.rewind(uuid, shard.unit, position):
            raise NotDisabled(f"{shard.id} is being read: the mapping was enabled meanwhile")
        return Moved(shard=shard.id, before=stored.checkpoint, position=position)

    def _owner(self) -> str:
        return f"{self._incarnation()}/operator"

    async def _take(self, uuid: str, unit: str, owner: str) -> Taken:
        """Become the owner of a shard that nobody reads; an owner that is known may only be a dead one."""
        if owner in await self._hosts.list():
            raise NotDisabled(f"{unit.partition('@')[0]} is being read: the mapping was enabled meanwhile")
        taken = await self._lanes.take(uuid, unit, self._owner(), over=owner)
        if isinstance(taken, Held):
            raise NotDisabled(f"{unit.partition('@')[0]} is being read: the mapping was enabled meanwhile")
        return taken

    async def _store(self, uuid: str, unit: str, taken: Taken, blocked: Mapping[int, LaneState]) -> None:
        """Store the lanes without what blocks them, and let go of the shard."""
        incarnation, stored = self._owner(), taken.lane
        info = msgspec.json.decode(stored.info, type=UnitInfo) if stored.info else UnitInfo()
        states = {index: skip(state) for index, state in blocked.items()}
        change = LaneChange(
            checkpoint=states[0].checkpoint if info.lanes == 1 and 0 in states else None,
            states={index: msgspec.json.encode(state) for index, state in states.items()},
            info=msgspec.json.encode(UnitInfo(lanes=info.lanes)),
        )
        try:
            await self._lanes.save(uuid, unit, incarnation, taken.epoch, change)
        finally:
            await self._lanes.release(uuid, unit, incarnation, taken.epoch)


def _chosen(shards: Sequence[SourceShard], shard_id: str | None) -> Sequence[SourceShard]:
    chosen = [shard for shard in shards if shard_id in {None, shard.id}]
    if shard_id is not None and not chosen:
        raise NoSuchPlace(f"the stream has no shard {shard_id}")
    return chosen


async def _read_past(
    source: StreamSource, arn: str, shard: SourceShard, position: str, is_before: Callable[[StreamRecord], bool]
) -> str:
    """Return the position of the last record in a row, from `position` on, for which `is_before` holds."""
    empty_pages = 0
    while empty_pages < EMPTY_PAGES_AT_THE_TIP:
        page = await source.read(arn, shard, position, limit=READ_RECORDS, max_bytes=READ_BYTES, identity_arn="")
        for record in page.records:
            if not is_before(record):
                return position
            position = record.sequence
        if page.is_end:
            break
        empty_pages = 0 if page.records else empty_pages + 1
    return position


def _with_continuations(chosen: Sequence[SourceShard], shards: Sequence[SourceShard]) -> list[SourceShard]:
    """Return the shards, and all that continue them, in the order of `shards`."""
    wanted = {shard.id for shard in chosen}
    count = 0
    while count != len(wanted):
        count = len(wanted)
        wanted |= {shard.id for shard in shards if wanted.intersection(shard.parents)}
    return [shard for shard in shards if shard.id in wanted]


def _blocked(stored: StoredLane) -> dict[int, LaneState]:
    states = {index: msgspec.json.decode(state, type=LaneState) for index, state in sorted(stored.states.items())}
    return {index: state for index, state in states.items() if is_blocked(state)}


def _skipped(shard_id: str, index: int, state: LaneState) -> Skipped:
    if state.pending:
        range_ = state.pending[0]
        return Skipped(
            shard=shard_id,
            lane=index,
            first=range_.first,
            last=range_.last,
            retries=range_.retries,
            invokes=range_.invokes,
        )
    assert state.window is not None
    retries, invokes = state.window.retries, state.window.invokes
    return Skipped(shard=shard_id, lane=index, first="", last="", retries=retries, invokes=invokes)
