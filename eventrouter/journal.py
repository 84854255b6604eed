"""The node's history: every decision about an event, a batch, a message or a schedule, with the rule behind it.

A bounded ring in memory. Noting is one append, so it is done wherever something is decided; finding is a search, so
it is left to those who ask. What happened before a restart is gone from here: the store knows its counts.

A decision is about its subject: a request id, a message id, `<mapping uuid>/<shard>`, a queue mapping's uuid, a
schedule's ARN. A batch is found by what is in it: its `members` (message ids), or its `span` of records, which are
asked for as `<shard>:<sequence>`. And what is found leads on: `links` name the invocation or the deliveries that
follow from it.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from itertools import islice
from types import MappingProxyType
from typing import NamedTuple

import msgspec

from eventrouter.clock import Clock
from eventrouter.rules.explain import Rule, Step
from eventrouter.rules.shard import numeral

Fact = str | int | float | bool | None
Facts = Mapping[str, Fact]
NO_FACTS: Facts = MappingProxyType({})


class Span(NamedTuple):
    """The records of a shard from `first` to `last`, both included. Other lanes of the shard may have some of them."""

    shard: str
    first: str
    last: str


class Decision(msgspec.Struct, frozen=True, gc=False):
    """One decision: when (wall milliseconds), about what, by which rule, and the facts that it came from."""

    at_ms: int
    subject: str
    why: Rule
    facts: Facts = NO_FACTS
    links: Sequence[str] = ()
    members: Sequence[str] = ()
    span: Span | None = None

    @property
    def step(self) -> Step:
        """Return what was decided, in one word."""
        return self.why.step

    @property
    def rule(self) -> str:
        """Return the rule behind it, as a sentence."""
        return self.why.text


class Journal:
    """The decisions of one node, oldest first.

    `limit` is how many decisions are kept, each message or record that a batch names counting as one more; None keeps
    everything: for tests.
    """

    __slots__ = ("_decisions", "_limit", "_now_ms", "_weight", "first")

    def __init__(self, clock: Clock, *, limit: int | None) -> None:
        self._now_ms = clock.now_ms
        self._limit = math.inf if limit is None else limit
        self._decisions: deque[Decision] = deque()
        self._weight = 0
        self.first = 0
        """The number of the oldest decision that is still known: so many are forgotten."""

    def note(
        self,
        subject: str,
        why: Rule,
        facts: Facts = NO_FACTS,
        links: Sequence[str] = (),
        members: Sequence[str] = (),
        span: Span | None = None,
    ) -> None:
        """Note a decision that is made now. What is given is kept as it is: it must not change any more."""
        decisions = self._decisions
        decisions.append(Decision(self._now_ms(), subject, why, facts, links, members, span))
        self._weight += 1 + len(members) if members else 1
        while self._weight > self._limit:
            self._weight -= 1 + len(decisions.popleft().members)
            self.first += 1

    def of(self, *subjects: str) -> list[Decision]:
        """Return, oldest first, what is known about `subjects`, and about what that has led to."""
        return [decision for _, decision in self.numbered(*subjects)]

    def numbered(self, *subjects: str) -> list[tuple[int, Decision]]:
        """Do as `of`, and return each decision with its number."""
        about = set(subjects)
        records = [_record(subject) for subject in subjects if ":" in subject]
        found = []
        for number, decision in enumerate(self._decisions, self.first):
            if (
                decision.subject in about
                or (decision.links and not about.isdisjoint(decision.links))
                or (decision.members and not about.isdisjoint(decision.members))
                or any(record.is_in(decision) for record in records)
            ):
                found.append((number, decision))
                about.update(decision.links)
        return found

    def since(self, number: int = 0, *, limit: int | None = None) -> list[Decision]:
        """Return the decisions from the `number`-th on that are still known, oldest first; at most `limit`."""
        start = max(number - self.first, 0)
        return list(islice(self._decisions, start, None if limit is None else start + limit))

    @property
    def count(self) -> int:
        """Return how many decisions were noted, forgotten ones included: the number of the next one."""
        return self.first + len(self._decisions)


class _Record(NamedTuple):
    """A record that is asked for: `<shard>:<sequence>`, perhaps of one mapping only."""

    unit: str
    name: str
    sequence: tuple[int, str]

    def is_in(self, decision: Decision) -> bool:
        """Say whether a decision is about this record among others."""
        span = decision.span
        if span is not None:
            is_here = self.unit in {span.shard, decision.subject}
            return is_here and numeral(span.first) <= self.sequence <= numeral(span.last)
        return self.unit == decision.subject and self.name in decision.members


def _record(subject: str) -> _Record:
    unit, _, sequence = subject.rpartition(":")
    return _Record(unit, subject.rpartition("/")[2], numeral(sequence))
