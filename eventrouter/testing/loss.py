"""Whether everything that was accepted has come to an end that somebody knows of, or is still to be done.

What handlers have finished is taken from their runs; what the store still has, from the store; ends without success,
from the journal.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from eventrouter.clock import Clock
from eventrouter.journal import Decision, Journal
from eventrouter.planes.shard_progress import ProgressReader, ShardProgress
from eventrouter.ports import StreamSource
from eventrouter.rules.explain import Rule, Step
from eventrouter.rules.mapping import EventSourceMapping, StartingPosition
from eventrouter.rules.record import message_ids
from eventrouter.rules.shard import numeral, precedes
from eventrouter.store import Store
from eventrouter.store.queues import NoSuchQueue, QueueName
from eventrouter.testing.intake import Accepted, Intake
from eventrouter.testing.order import failed_items, name_of
from eventrouter.testing.runs import TestRun

_TOLD = frozenset({Step.DEAD_LETTERED, Step.DESTINATION_SENT})
_GIVEN_UP = frozenset({Rule.SHARD_RETRIES_EXHAUSTED, Rule.RECORD_AGE_EXCEEDED, Rule.RECORD_TOO_LARGE, Rule.SKIPPED})


@dataclass(frozen=True, slots=True)
class Lost:
    """Something that was accepted and is nowhere any more, and what is known of it."""

    id: str
    text: str


class LossCheck:
    """Compares what was accepted with what became of it."""

    def __init__(
        self,
        *,
        intake: Intake,
        runs: Iterable[TestRun],
        journal: Journal,
        store: Store,
        sources: Mapping[str, StreamSource],
        clock: Clock,
        account: str,
        region: str,
    ) -> None:
        self._intake = intake
        self._journal = journal
        self._store = store
        self._clock = clock
        self._account, self._region = account, region
        self._progress = ProgressReader(lanes=store.lanes, hosts=store.hosts, sources=sources, clock=clock)
        self._done: set[tuple[str, str]] = set()
        self._handed: set[tuple[str, str]] = set()
        for run in runs:
            self._note_run(run)

    def _note_run(self, run: TestRun) -> None:
        names = [name_of(record) for record in run.records] or [run.request_id]
        self._handed.update((run.function, name) for name in names)
        if run.outcome == "succeeded":
            self._done.update((run.function, name) for name in set(names) - failed_items(run))

    async def lost(self) -> list[Lost]:
        """Return what is lost, in the order in which it was accepted."""
        accepted = list(self._intake)
        found = await self._lost_events([each for each in accepted if each.kind == "event"])
        found += await self._lost_messages([each for each in accepted if each.kind == "message"])
        return found + await self._lost_records([each for each in accepted if each.kind == "record"])

    # Events.

    async def _lost_events(self, accepted: Sequence[Accepted]) -> list[Lost]:
        wanted = {each.id: each.where for each in accepted}
        told: set[str] = set()
        for decision in self._journal.since():
            if decision.why is Rule.ACCEPTED:
                wanted.setdefault(decision.subject, str(decision.facts["function"]))
            elif decision.step in _TOLD:
                told.add(decision.subject)
        open_ids = [
            each for each, function in wanted.items() if (function, each) not in self._done and each not in told
        ]
        names = [name for each in open_ids for name in (each, *message_ids(each))]
        stored = await self._store.events.find(names) if names else {}
        return [
            Lost(each, f"event {each} of {wanted[each]} has not succeeded, and nobody was told of its end")
            for each in open_ids
            if not any(name in stored for name in (each, *message_ids(each)))
        ]

    # Messages.

    async def _lost_messages(self, accepted: Sequence[Accepted]) -> list[Lost]:
        done = {name for _, name in self._done} | self._intake.deleted
        for decision in self._journal.since():
            if decision.why is Rule.FILTERED:
                done.update(decision.members)
        open_ones = [each for each in accepted if each.id not in done and not self._intake.was_cleared(each)]
        held = await self._held() if open_ones else set()
        return [
            Lost(each.id, f"message {each.id} was sent to {each.where}, was never processed, and is in no queue")
            for each in open_ones
            if each.id not in held and not await self._is_expired(each)
        ]

    async def _held(self) -> set[str]:
        """Return the ids of all messages in all queues."""
        found: set[str] = set()
        for name in await self._store.queues.names(self._account, self._region):
            queue = QueueName(account=self._account, region=self._region, name=name)
            start = 0
            while page := await self._store.queues.peek(queue, start=start):
                found.update(each.message.receipt.id for each in page)
                start += len(page)
        return found

    async def _is_expired(self, accepted: Accepted) -> bool:
        name = QueueName(account=self._account, region=self._region, name=accepted.where)
        try:
            queue = await self._store.queues.get(name)
        except NoSuchQueue:
            queue = None
        return queue is None or self._clock.monotonic() >= accepted.at_s + queue.settings.retention_ms / 1_000

    # Records.

    async def _lost_records(self, accepted: Sequence[Accepted]) -> list[Lost]:
        lost: list[Lost] = []
        for mapping in self._store.mappings.catalogue.all():
            if mapping.is_queue or not accepted:
                continue
            stream = mapping.source_arn.partition("/")[2]
            shards = {shard.shard: shard for shard in (await self._progress.read(mapping)).shards}
            ends = _Ends(mapping, self._journal)
            lost += [
                Lost(each.id, f"record {each.id} of {stream} was given up, or passed over, by {_name(mapping)}")
                for each in accepted
                if each.where == stream and not self._is_resolved(each, mapping, shards, ends)
            ]
        return lost

    def _is_resolved(
        self, accepted: Accepted, mapping: EventSourceMapping, shards: Mapping[str, ShardProgress], ends: _Ends
    ) -> bool:
        key = (mapping.function.name, accepted.id)
        if key in self._done or ends.has_told(accepted.id):
            return True
        shard_id, _, sequence = accepted.id.rpartition(":")
        shard = shards.get(shard_id)
        if shard is None or shard.checkpoint is None or precedes(shard.checkpoint, sequence):
            return True  # it waits, or its shard is gone with its stream
        begins_late = mapping.starting_position is not StartingPosition.TRIM_HORIZON
        return begins_late and key not in self._handed


class _Ends:
    """Which records a mapping has filtered, or given up and told of, or found gone."""

    def __init__(self, mapping: EventSourceMapping, journal: Journal) -> None:
        own = f"{mapping.uuid}/"
        self._named: set[str] = set()
        self._spans: dict[str, list[tuple[tuple[int, str], tuple[int, str]]]] = {}
        self._has_nameless: set[str] = set()
        for decision in journal.since():
            if decision.subject.startswith(own):
                self._note(decision)

    def _note(self, decision: Decision) -> None:
        if decision.why is Rule.FILTERED:
            self._named.update(decision.members)
            if not decision.members:
                self._has_nameless.add(decision.subject.partition("/")[2])
        is_told = decision.why in _GIVEN_UP and decision.facts.get("destination") is not None
        if decision.span is not None and (is_told or decision.why is Rule.RECORDS_GONE):
            shard, first, last = decision.span
            self._spans.setdefault(shard, []).append((numeral(first), numeral(last)))

    def has_told(self, name: str) -> bool:
        """Say whether a record has ended without success, and somebody was told or it was meant to."""
        shard, _, sequence = name.rpartition(":")
        if name in self._named or shard in self._has_nameless:
            return True
        at = numeral(sequence)
        return any(first <= at <= last for first, last in self._spans.get(shard, ()))


def _name(mapping: EventSourceMapping) -> str:
    return f"the mapping {mapping.uuid} to {mapping.function.name}"
