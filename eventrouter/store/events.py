"""Asynchronous events: durable, claimed by one host at a time, due again when a rule says so.

An event is ready or claimed. Ready ones of a function wait in one queue, scored by the lease time at which they are
due, so a delayed retry needs no mover. Claiming moves events to the claiming incarnation's own list; every later
step is fenced by (incarnation, attempt). Lease time advances by the server's clock but by 2 s a step at most, so no
clock step brings a retry forward by more. Source: redis-design §3, §4.

Between Python and Lua events travel as flat arrays of strings and integers; nothing on the way is JSON.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from eventrouter.clock import Clock
from eventrouter.errors import NodeDead, Unavailable
from eventrouter.rules.names import FunctionName
from eventrouter.store.connect import Argument, Scripts
from eventrouter.store.keys import Keys

DESTINATIONS = "~dest"
"""The reserved function that owns records on their way to a destination, in every partition."""

MAX_ITEMS = 100
"""Items that one script handles: redis-design §1, R9."""

PUT_BUDGET_S = 10.0
"""Less than the 60 s after which a put is stale, far less than the 120 s that a tombstone lives at least."""

_CLAIM_FIELDS = 10
_SETTLED = ord("1")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewEvent:
    """An event to accept. `id` is made before the first try and kept for every further one."""

    id: str
    function: FunctionName
    qualifier: str | None
    payload: bytes
    trace: str


class Claim(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One event that this incarnation owns.

    `attempt` counts claims from 1 and is its fence; `errors` are function errors so far, `deaths` hosts that died
    with it. `age_ms` is agreed wall time since acceptance. `last_response` is what the last failed attempt answered.
    """

    id: str
    function_key: str
    qualifier: str | None
    attempt: int
    errors: int
    deaths: int
    age_ms: int
    payload: bytes
    trace: str
    last_response: bytes | None


class OutboxRecord(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A record for a destination; it becomes an event of `DESTINATIONS` in the same partition.

    `id` is derived from the event and its condition, so a record made twice is stored once.
    """

    id: str
    payload: bytes


class Settlement(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What follows a claim.

    done: the event is over; `records` are stored in the same step. retry: one more function error, due again after
    `delay_ms` of lease time, `last_response` is kept if given. back: not counted; with `delay_ms` 0 the event
    returns to its old place in the queue.
    """

    claim: Claim
    action: Literal["done", "retry", "back"]
    delay_ms: int = 0
    records: tuple[OutboxRecord, ...] = ()
    last_response: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """What a partition has to do: functions with an event due (at most 16), and when to look again."""

    functions: tuple[str, ...]
    next_in_ms: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredEvent:
    """Where an event stands. Times are ms from now; those of one that is claimed say nothing.

    `owner` is the incarnation that has claimed it, None while it waits. `claims`, `errors` and `deaths` are counted so
    far. `held_in_ms`: its function is held back for so long.
    """

    function_key: str
    qualifier: str | None
    owner: str | None
    claims: int
    errors: int
    deaths: int
    due_in_ms: int
    held_in_ms: int
    accepted_at_ms: int


class _Partition:
    """The keys of one partition, and the lease time last seen there."""

    __slots__ = ("_of", "clock", "ev", "hold", "idx", "lease", "lr", "pl", "reg", "tombs")

    def __init__(self, keys: Keys, number: int) -> None:
        self._of = keys.of(f"e{number}", "")
        self.clock = self._of + "clk"
        self.ev = self._of + "ev"
        self.pl = self._of + "pl"
        self.lr = self._of + "lr"
        self.idx = self._of + "idx"
        self.hold = self._of + "hold"
        self.reg = self._of + "reg"
        self.tombs = tuple(f"{self._of}tomb:{turn}" for turn in range(3))
        self.lease: int | None = None

    def queue(self, function_key: str) -> str:
        return f"{self._of}q:{function_key}"

    def own(self, inc: str) -> str:
        return f"{self._of}own:{inc}"

    def seq(self, inc: str) -> str:
        return f"{self._of}seq:{inc}"


class Events:
    """The partitions of asynchronous events. One instance serves one node."""

    def __init__(self, scripts: Scripts, keys: Keys, clock: Clock) -> None:
        self.partitions = keys.partitions
        self._scripts = scripts
        self._keys = keys
        self._clock = clock
        self._parts = tuple(_Partition(keys, number) for number in range(keys.partitions))
        self._claims = itertools.count(1)

    def partition_of(self, function_key: str) -> int:
        """Return the partition of a function's events."""
        return self._keys.partition_of(function_key)

    async def put(self, event: NewEvent) -> bool:
        """Store one event; False if its id is known already (stored before, or settled less than 120 s ago).

        Raises IntakeRefused (nothing was stored) and Unavailable (unknown: put the same id again, within 30 s).
        """
        fn = event.function.key
        facts = (event.id, fn, event.qualifier or "", event.trace, event.payload)
        return await self._put(self._parts[self.partition_of(fn)], facts)

    async def put_record(self, partition: int, record: OutboxRecord) -> bool:
        """Store a record for a destination in `partition`, as `put` stores an event."""
        return await self._put(self._parts[partition], (record.id, DESTINATIONS, "", "", record.payload))

    async def _put(self, part: _Partition, facts: tuple[str, str, str, str, bytes]) -> bool:
        """Store one event: its id, its function's key, qualifier, trace and payload."""
        keys = (part.clock, part.ev, part.pl, part.idx, part.hold, part.queue(facts[1]), *part.tombs)
        began = self._clock.monotonic()
        while True:
            issued = "" if part.lease is None else part.lease
            answer = await self._scripts.call(
                "events_put", keys, (*facts, self._clock.now_ms(), issued), budget_s=PUT_BUDGET_S
            )
            part.lease = answer[1]
            if answer[0] != b"STALE":
                return bool(answer[0] == b"OK")
            # Only this node's idea of the lease time was old. Trying afresh is safe while the first try is recent.
            if self._clock.monotonic() - began > PUT_BUDGET_S:
                raise Unavailable("Redis answered too late to say whether the event was stored")

    async def due(self, partition: int) -> Due:
        """Tick one partition's lease time and say what is due there."""
        [answer] = await self._scripts.call_each("events_due", [(self._due_keys(partition), ())])
        return self._read_due(partition, answer)

    async def due_all(self) -> list[Due]:
        """Do as `due` for every partition, in one round trip."""
        calls = [(self._due_keys(partition), ()) for partition in range(self.partitions)]
        answers = await self._scripts.call_each("events_due", calls)
        return [self._read_due(partition, answer) for partition, answer in enumerate(answers)]

    def _due_keys(self, partition: int) -> tuple[str, ...]:
        part = self._parts[partition]
        return (part.clock, part.idx, part.hold, *part.tombs)

    def _read_due(self, partition: int, answer: list[Any]) -> Due:
        self._parts[partition].lease = answer[1]
        functions = tuple(fn.decode() for fn in answer[3:])
        return Due(functions=functions, next_in_ms=None if answer[2] < 0 else answer[2])

    async def claim(
        self, inc: str, partition: int, function_key: str, limit: int, *, has_slot: bool = False
    ) -> list[Claim]:
        """Claim up to `limit` (at most 100) due events of a function, oldest first.

        None while it is held; but a caller that has a slot of the function may claim, and ends the hold.
        Claims of one function by one incarnation must not overlap: the earlier one would claim nothing.
        Raises NodeDead, Unavailable (some may have been claimed: see `owned` and `recall`).
        """
        part = self._parts[partition]
        answer = await self._scripts.call(
            "events_claim",
            (
                part.clock,
                part.ev,
                part.pl,
                part.lr,
                part.idx,
                part.hold,
                part.reg,
                part.own(inc),
                part.seq(inc),
                part.queue(function_key),
            ),
            (inc, function_key, next(self._claims), min(limit, MAX_ITEMS), self._clock.now_ms(), int(has_slot)),
        )
        if answer[0] == b"DEAD":
            raise NodeDead(inc)
        return self._read_claims(part, answer)

    async def recall(self, inc: str, partition: int, ids: Sequence[str]) -> list[Claim]:
        """Describe events that `inc` owns, such as those that `owned` names and nobody runs. Others are left out."""
        part = self._parts[partition]
        keys = (part.clock, part.ev, part.pl, part.lr)
        head: tuple[Argument, ...] = (inc, self._clock.now_ms())
        calls = [(keys, head + tuple(ids[at : at + MAX_ITEMS])) for at in range(0, len(ids), MAX_ITEMS)]
        answers = await self._scripts.call_each("events_recall", calls)
        return [claim for answer in answers for claim in self._read_claims(part, answer)]

    @staticmethod
    def _read_claims(part: _Partition, answer: list[Any]) -> list[Claim]:
        if answer[0] != b"OK":
            return []
        part.lease = answer[1]
        fields = iter(answer[2:])
        return [
            Claim(
                id=event_id.decode(),
                function_key=fn.decode(),
                attempt=attempt,
                errors=errors,
                deaths=deaths,
                age_ms=age_ms,
                qualifier=qualifier.decode() or None,
                trace=trace.decode(),
                payload=payload,
                last_response=response,
            )
            for event_id, fn, attempt, errors, deaths, age_ms, qualifier, trace, payload, response in zip(
                *[fields] * _CLAIM_FIELDS, strict=True
            )
        ]

    async def settle(self, inc: str, partition: int, settlements: Sequence[Settlement]) -> list[bool]:
        """End attempts: one flag for each settlement, False where (inc, attempt) no longer owns the event.

        Nothing changes for a fenced one. At most 100 settlements and 100 records go into one script; each script is
        one atomic step. Raises Unavailable: some may have been applied, and settling again is harmless.
        """
        part = self._parts[partition]
        batches = list(_batches(settlements))
        head = (inc, self._clock.now_ms(), DESTINATIONS)
        calls = [_settle_call(part, inc, head, batch) for batch in batches]
        flags: list[bool] = []
        for answer in await self._scripts.call_each("events_settle", calls):
            part.lease = answer[1]
            flags += [flag == _SETTLED for flag in answer[2]]
        return flags

    async def find(self, ids: Sequence[str]) -> dict[str, StoredEvent]:
        """Say where events stand, whatever their function. Those that are over, or were never here, are left out.

        Costs one small script for each id and partition.
        """
        asked = [(part, event_id) for part in self._parts for event_id in ids]
        calls = [((part.clock, part.ev, part.hold), (event_id,)) for part, event_id in asked]
        found: dict[str, StoredEvent] = {}
        for (_, event_id), answer in zip(asked, await self._scripts.call_each("events_find", calls), strict=True):
            if answer[0] == b"OK":
                _, _, state, owner, claims, errors, deaths, due_in_ms, held_in_ms, accepted_at_ms, fn, qualifier = (
                    answer
                )
                found[event_id] = StoredEvent(
                    function_key=fn.decode(),
                    qualifier=qualifier.decode() or None,
                    owner=owner.decode() if state == b"C" else None,
                    claims=claims,
                    errors=errors,
                    deaths=deaths,
                    due_in_ms=due_in_ms,
                    held_in_ms=held_in_ms,
                    accepted_at_ms=accepted_at_ms,
                )
        return found

    async def held_in_ms(self, function_key: str) -> int:
        """Return for how long a function is held back, as of the last look at its partition."""
        part = self._part(function_key, None)
        until = await self._scripts.command("ZSCORE", part.hold, function_key)
        return 0 if until is None or part.lease is None else max(int(float(until)) - part.lease, 0)

    async def owned(self, inc: str, partition: int) -> dict[str, int]:
        """Return what `inc` owns in a partition: id to attempt."""
        fields = iter(await self._scripts.command("HGETALL", self._parts[partition].own(inc)))
        return {event_id.decode(): int(own.split(b"|", 1)[0]) for event_id, own in zip(fields, fields, strict=True)}

    async def hold(self, function_key: str, delay_ms: int, *, partition: int | None = None) -> None:
        """Let nobody claim events of a function for `delay_ms` of lease time. No event is touched.

        `partition` is needed for DESTINATIONS only, which has events in every partition.
        """
        part = self._part(function_key, partition)
        issued = "" if part.lease is None else part.lease
        keys = (part.clock, part.idx, part.hold, part.queue(function_key))
        part.lease = (await self._scripts.call("events_hold", keys, (function_key, delay_ms, issued)))[1]

    async def unhold(self, function_key: str, *, partition: int | None = None) -> None:
        """End a hold now."""
        part = self._part(function_key, partition)
        keys = (part.clock, part.idx, part.hold, part.queue(function_key))
        part.lease = (await self._scripts.call("events_unhold", keys, (function_key,)))[1]

    def _part(self, function_key: str, partition: int | None) -> _Partition:
        return self._parts[self.partition_of(function_key) if partition is None else partition]

    async def depth(self, function_key: str) -> int:
        """Return how many events of a function wait (ready or delayed); DESTINATIONS is summed over partitions."""
        parts = self._parts if function_key == DESTINATIONS else (self._part(function_key, None),)
        return sum(await self._scripts.command_each([("ZCARD", part.queue(function_key)) for part in parts]))

    async def counts(self) -> dict[str, int]:
        """Return how many events of each function wait. Costs one small command a function."""
        indexes = await self._scripts.command_each([("ZRANGE", part.idx, 0, -1) for part in self._parts])
        queues = [
            (fn.decode(), part.queue(fn.decode()))
            for part, functions in zip(self._parts, indexes, strict=True)
            for fn in functions
        ]
        counts: dict[str, int] = {}
        sizes = await self._scripts.command_each([("ZCARD", queue) for _, queue in queues])
        for (fn, _), size in zip(queues, sizes, strict=True):
            counts[fn] = counts.get(fn, 0) + size
        return counts


def _batches(settlements: Sequence[Settlement]) -> Iterator[list[Settlement]]:
    """Cut settlements into scripts of at most 100 items and 100 records."""
    batch: list[Settlement] = []
    records = 0
    for settlement in settlements:
        records += len(settlement.records)
        if batch and (len(batch) == MAX_ITEMS or records > MAX_ITEMS):
            yield batch
            batch, records = [], len(settlement.records)
        batch.append(settlement)
    if batch:
        yield batch


def _settle_call(
    part: _Partition, inc: str, head: tuple[Argument, ...], batch: Sequence[Settlement]
) -> tuple[list[str], list[Argument]]:
    """Lay out one events_settle call; the layout is in the script's header."""
    keys = [part.clock, part.ev, part.pl, part.lr, part.idx, part.hold, part.reg, part.own(inc), *part.tombs]
    keys.append(part.queue(DESTINATIONS))
    queues: dict[str, int] = {}
    args: list[Argument] = [*head, len(batch)]
    for settlement in batch:
        claim = settlement.claim
        if settlement.action == "done":
            if not settlement.records:
                args += ("d", claim.id, claim.attempt)
            else:
                args += ("o", claim.id, claim.attempt, len(settlement.records))
                for record in settlement.records:
                    args += (record.id, record.payload)
            continue
        fn = claim.function_key
        queue = queues.get(fn)
        if queue is None:
            keys.append(part.queue(fn))
            queue = queues[fn] = len(keys)
        if settlement.action == "back":
            args += ("b", claim.id, claim.attempt, queue, settlement.delay_ms)
        elif settlement.last_response is None:
            args += ("r", claim.id, claim.attempt, queue, settlement.delay_ms)
        else:
            args += ("R", claim.id, claim.attempt, queue, settlement.delay_ms, settlement.last_response)
    return keys, args
