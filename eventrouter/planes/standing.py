"""Where one thing stands now, and what it has before it: read from the store, so any node can tell.

It may be an asynchronous event, a message, a record, a shard of a mapping, a function or a schedule.
Asking changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from eventrouter.clock import Clock
from eventrouter.errors import AdapterError
from eventrouter.planes.shard_parts import READ_BYTES
from eventrouter.planes.shard_progress import PendingRange, ProgressReader, ShardProgress
from eventrouter.ports import SourceGone, StreamSource
from eventrouter.rules.mapping import FOREVER, EventSourceMapping
from eventrouter.rules.names import FunctionName
from eventrouter.rules.outlook import (
    Ahead,
    BlockedBatch,
    PendingEvent,
    PendingMessage,
    batch_ahead,
    delivery_ahead,
    event_ahead,
    firing_ahead,
    held_ahead,
    message_ahead,
)
from eventrouter.rules.pattern import Filters
from eventrouter.rules.record import message_ids
from eventrouter.rules.retry import event_policy
from eventrouter.rules.scheduled_rule import ScheduledRule
from eventrouter.rules.shard import precedes
from eventrouter.store import Store, StoredEvent
from eventrouter.store.queues import NoSuchQueue, QueueName, StoredMessage

ACCOUNT = "0" * 12


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """The kind of a thing, where it stands in words, what is to come, and what the store has counted of its past."""

    kind: str
    now: str
    ahead: Sequence[Ahead] = ()
    notes: Sequence[str] = ()


class Standings:
    """Looks things up, by any of the ids under which the journal has them."""

    def __init__(
        self, *, store: Store, sources: Mapping[str, StreamSource], clock: Clock, region: str, retry_base_ms: int
    ) -> None:
        self._store = store
        self._sources = sources
        self._clock = clock
        self._region = region
        self._retry_base_ms = retry_base_ms
        self._progress = ProgressReader(lanes=store.lanes, hosts=store.hosts, sources=sources, clock=clock)

    async def refresh(self) -> None:
        """See functions, mappings and schedules as they are now. Raises Unavailable."""
        await self._store.functions.refresh()
        await self._store.mappings.catalogue.refresh()
        await self._store.schedules.catalogue.refresh()

    def function_key(self, subject: str) -> str | None:
        """Return the key of the function that is meant by its name, key or ARN; None if there is no such function."""
        if subject.startswith("arn:"):
            parts = subject.split(":")
            if len(parts) < 7 or parts[2] != "lambda" or parts[5] != "function":
                return None
            name = FunctionName(account=parts[4], region=parts[3], name=parts[6])
        elif subject.count(":") == 2:
            name = FunctionName.from_key(subject)
        else:
            name = FunctionName(account=ACCOUNT, region=self._region, name=subject)
        return name.key if self._store.functions.get(name) is not None else None

    async def of(self, subject: str, hints: Iterable[str]) -> Standing | None:
        """Say where `subject` stands; None if the store does not know it (any more).

        `hints` are what it was seen with: mappings' uuids and queues' ARNs. Raises Unavailable.
        """
        if (key := self.function_key(subject)) is not None:
            return await self._function(FunctionName.from_key(key))
        if (rule := self._store.schedules.catalogue.get(subject)) is not None:
            return self._schedule(rule)
        unit, _, sequence = subject.rpartition(":")
        if unit and sequence.isdigit():
            return await self._record(unit, sequence)
        uuid, _, shard = subject.partition("/")
        if (mapping := self._store.mappings.catalogue.get(uuid)) is not None:
            return await self._mapping(mapping, shard)
        return await self._event(subject) or await self._message(subject, hints)

    # Functions, schedules and events.

    async def _function(self, name: FunctionName) -> Standing:
        waiting = await self._store.events.depth(name.key)
        held_ms = await self._store.events.held_in_ms(name.key)
        now = f"{waiting} asynchronous events wait"
        if not held_ms:
            return Standing(kind="function", now=now)
        return Standing(
            kind="function",
            now=f"throttled: no concurrency slot was free; {now}",
            ahead=[held_ahead(self._clock.now_ms() + held_ms)],
        )

    def _schedule(self, rule: ScheduledRule) -> Standing:
        due_ms = rule.due_after(self._clock.now_ms()) if rule.is_enabled else None
        now = f"{'enabled' if rule.is_enabled else 'disabled'}: {rule.expression}"
        ahead = [] if due_ms is None else [firing_ahead(due_ms, len(rule.targets))]
        return Standing(kind="schedule", now=now, ahead=ahead)

    async def _event(self, event_id: str) -> Standing | None:
        found = await self._store.events.find([event_id, *message_ids(event_id)])
        stored = found.pop(event_id, None)
        if stored is not None:
            return self._pending(stored)
        if not found:
            return None
        ahead = [delivery_ahead(self._due_ms(delivery), delivery.claims) for delivery in found.values()]
        return Standing(kind="event", now="over; what tells of its end is on its way", ahead=ahead)

    def _pending(self, event: StoredEvent) -> Standing:
        name = FunctionName.from_key(event.function_key)
        function = self._store.functions.get(name)
        if function is None:
            return Standing(kind="event", now=f"waits for {name.name}, which does not exist: it is dropped when due")
        config = function.event_invoke_config(event.qualifier)
        policy = event_policy(config, self._retry_base_ms)
        is_running = event.owner is not None
        pending = PendingEvent(
            errors=event.errors,
            accepted_at_ms=event.accepted_at_ms,
            due_at_ms=self._due_ms(event),
            held_until_ms=self._clock.now_ms() + event.held_in_ms if event.held_in_ms else None,
            is_running=is_running,
        )
        attempt = f"attempt {event.errors + 1} of {policy.maximum_retry_attempts + 1}"
        if is_running:
            now = f"{attempt} of {name.name} runs, or is about to, on node {event.owner}"
        else:
            now = f"waits for {attempt} of {name.name}"
        ahead = event_ahead(pending, policy, on_failure=config.on_failure, dead_letters=function.dead_letter_target)
        counts = f"Counted by the store: claims by nodes {event.claims}, function errors {event.errors}"
        deaths = f", nodes that died with it {event.deaths}" if event.deaths else ""
        return Standing(kind="event", now=now, ahead=ahead, notes=[f"{counts}{deaths}."])

    def _due_ms(self, event: StoredEvent) -> int:
        return self._clock.now_ms() + event.due_in_ms

    # Messages.

    async def _message(self, message_id: str, hints: Iterable[str]) -> Standing | None:
        for name in await self._queues(hints):
            try:
                stored = await self._store.queues.find(name, message_id)
            except NoSuchQueue:
                continue
            if stored is not None:
                return await self._in_queue(name, stored)
        return None

    async def _queues(self, hints: Iterable[str]) -> Sequence[QueueName]:
        """Return the queues in which a message may be: those that are hinted at first, then all of each account."""
        mappings = self._store.mappings.catalogue.all()
        arns = [arn for hint in hints for arn in (hint, *(each.source_arn for each in mappings if each.uuid == hint))]
        names = [name for arn in arns if (name := QueueName.of_arn(arn)) is not None]
        places = {(ACCOUNT, self._region), *((each.account, each.region) for each in mappings)}
        for account, region in sorted(places):
            listed = await self._store.queues.names(account, region)
            names += [QueueName(account=account, region=region, name=name) for name in listed]
        return list(dict.fromkeys(names))

    async def _in_queue(self, name: QueueName, stored: StoredMessage) -> Standing | None:
        if stored.is_leaving:
            return Standing(kind="message", now=f"on its way from {name.name} to another queue")
        queue = await self._store.queues.get(name)
        if queue is None:
            return None
        settings = queue.settings
        visible_at_ms = self._clock.now_ms() + stored.visible_in_ms if stored.visible_in_ms else None
        pending = PendingMessage(
            visible_at_ms=visible_at_ms,
            receives=stored.receives,
            most_receives=settings.max_receive_count,
            dead_letter_target=settings.dead_letter_target,
            expires_at_ms=stored.sent_at_ms + settings.retention_ms,
        )
        if visible_at_ms is None:
            now = f"visible in {name.name}"
        elif stored.owner is not None:
            now = f"held by node {stored.owner} for a mapping of {name.name}"
        else:
            now = f"{'hidden' if stored.receives else 'delayed'} in {name.name}"
        notes = [f"Counted by the store: receives {stored.receives}."]
        return Standing(kind="message", now=now, ahead=message_ahead(pending), notes=notes)

    # Streams.

    async def _mapping(self, mapping: EventSourceMapping, shard_id: str) -> Standing | None:
        feeds = f"{mapping.state.value}: {mapping.source_arn} feeds {mapping.function.name}"
        if mapping.is_queue:
            return Standing(kind="mapping", now=feeds)
        progress = await self._progress.read(mapping)
        shards = [shard for shard in progress.shards if shard_id in {"", shard.shard}]
        if not shards:
            return None
        notes = [] if progress.problem is None else [f"The stream could not be asked: {progress.problem}"]
        if not shard_id:
            blocked = [shard for shard in shards if shard.blocked_since_ms is not None]
            ahead = [each for shard in blocked for each in _shard_ahead(mapping, shard)]
            now = f"{feeds}; {len(blocked)} of {len(shards)} shards are blocked"
            return Standing(kind="mapping", now=now, ahead=ahead, notes=notes)
        [shard] = shards
        return Standing(kind="shard", now=_shard_now(shard), ahead=_shard_ahead(mapping, shard), notes=notes)

    async def _record(self, unit: str, sequence: str) -> Standing | None:
        """Tell of a record for each mapping that reads its shard."""
        uuid, _, shard_id = unit.rpartition("/")
        now: list[str] = []
        ahead: list[Ahead] = []
        for mapping in self._store.mappings.catalogue.all():
            if mapping.is_queue or uuid not in {"", mapping.uuid}:
                continue
            for shard in (await self._progress.read(mapping)).shards:
                if shard.shard != shard_id:
                    continue
                where, waits = _place(shard, sequence)
                if where == RESOLVED and not await self._passes(mapping, shard, sequence):
                    where = FILTERED
                now.append(f"{where} (mapping {mapping.uuid} of {mapping.function.name})")
                if waits:
                    ahead += _shard_ahead(mapping, shard)
        return Standing(kind="record", now="; ".join(now), ahead=ahead) if now else None

    async def _passes(self, mapping: EventSourceMapping, shard: ShardProgress, sequence: str) -> bool:
        """Say whether the filters let a record through, as they are now; so does what cannot be read any more."""
        source = self._sources.get(mapping.service)
        if source is None or not mapping.filters:
            return True
        before = str(max(int(sequence) - 1, 0))
        try:
            shards = await source.shards(mapping.source_arn)
            [found] = [each for each in shards if each.id == shard.shard]
            page = await source.read(mapping.source_arn, found, before, limit=1, max_bytes=READ_BYTES, identity_arn="")
        except (AdapterError, SourceGone, ValueError):
            return True
        if not page.records or page.records[0].sequence != sequence:
            return True
        filters = Filters.of(mapping.filters, source.data_key)
        return filters.matches(source.filterable(page.records[0].event))


RESOLVED = "resolved: the checkpoint is past it"
FILTERED = "filtered: no pattern of the mapping matches it, so it was never sent"


def _place(shard: ShardProgress, sequence: str) -> tuple[str, bool]:
    """Say where a record is in its shard, and whether it waits for what blocks the shard."""
    if shard.checkpoint is not None and not precedes(shard.checkpoint, sequence):
        return RESOLVED, False
    for lane in shard.lanes:
        for number, each in enumerate(lane.pending):
            if not precedes(sequence, each.first) and not precedes(each.last, sequence):
                tries = f"tried {each.invokes} times so far"
                if lane.is_in_flight and number == 0:
                    return f"in the batch that runs now, {tries}", True
                return f"in a batch that is to be tried again, {tries}", True
    if shard.head is not None and precedes(shard.head.sequence, sequence):
        return "not in the shard: it ends before", False
    return f"waits behind the checkpoint {shard.checkpoint or '(none yet)'}", shard.blocked_since_ms is not None


def _shard_now(shard: ShardProgress) -> str:
    if shard.is_drained:
        return "drained: every record is resolved, and none will follow"
    reader = "nobody reads it" if shard.owner is None else f"read by node {shard.owner}"
    if shard.blocked_since_ms is not None:
        return f"blocked: {shard.blocked_by}; checkpoint {shard.checkpoint or '(none yet)'}; {reader}"
    if shard.waits_for:
        return f"waits until {', '.join(shard.waits_for)} is drained; {reader}"
    behind = "caught up" if shard.unresolved is None else f"{(shard.behind_ms or 0) / 1_000:.1f} s behind"
    return f"{behind}; checkpoint {shard.checkpoint or '(none yet)'}; {reader}"


def _shard_ahead(mapping: EventSourceMapping, shard: ShardProgress) -> list[Ahead]:
    """Say what is to come of what blocks a shard."""
    pending = _blocking(shard)
    if shard.blocked_since_ms is None or pending is None:
        return []
    age_s = mapping.maximum_record_age_s
    has_limit = age_s != FOREVER and shard.unresolved is not None
    return batch_ahead(
        BlockedBatch(
            next_try_ms=shard.next_try_ms,
            retries=pending.retries,
            most_retries=mapping.maximum_retry_attempts,
            expires_at_ms=shard.unresolved.arrived_ms + age_s * 1_000 if has_limit and shard.unresolved else None,
            on_failure=mapping.on_failure,
        )
    )


def _blocking(shard: ShardProgress) -> PendingRange | None:
    """Return the range that has been tried most often."""
    return max((lane.pending[0] for lane in shard.lanes if lane.pending), key=lambda each: each.invokes, default=None)
