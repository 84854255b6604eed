"""Histories that can be read, compared and printed: what was decided, when, and by which rule."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import overload

from eventrouter.journal import Decision, Fact
from eventrouter.rules.explain import Step
from eventrouter.testing.virtual import EPOCH_MS

INDENT = "    "


class Moment:
    """One decision: `at` (seconds since the router was opened), `subject`, `step`, `rule` and `facts`."""

    __slots__ = ("_decision", "_start_ms")

    def __init__(self, decision: Decision, start_ms: int = EPOCH_MS) -> None:
        self._decision = decision
        self._start_ms = start_ms

    @property
    def at(self) -> float:
        """When, in seconds since the router was opened."""
        return (self._decision.at_ms - self._start_ms) / 1_000

    @property
    def subject(self) -> str:
        """About what: a request id, a mapping's uuid, `<uuid>/<shard>`, a rule's ARN."""
        return self._decision.subject

    @property
    def step(self) -> str:
        """What was decided, in one word, such as `"throttled"`."""
        return self._decision.step.value

    @property
    def rule(self) -> str:
        """The rule behind it, as a sentence."""
        return self._decision.rule

    @property
    def facts(self) -> Mapping[str, Fact]:
        """What it came from."""
        return self._decision.facts

    @property
    def members(self) -> Sequence[str]:
        """The messages or records that it is about, where they are named one by one."""
        return self._decision.members

    def __str__(self) -> str:
        known = {name: value for name, value in self.facts.items() if value is not None}
        facts = " ".join(f"{name}={self._shown(name, value)}" for name, value in known.items())
        return f"{self.at:14.3f}  {self.step:<17} {self.subject}  {facts}".rstrip()

    def _shown(self, name: str, value: Fact) -> str:
        if name.endswith(("at_ms", "due_ms")) and isinstance(value, int):
            return f"{(value - self._start_ms) / 1_000:.3f}s"
        return f"{value:g}" if isinstance(value, float) else str(value)


class History(Sequence[Moment]):
    """Decisions in the order in which they were made. Equal if they are; `text` shows them, one a line."""

    def __init__(self, decisions: Sequence[Decision], start_ms: int = EPOCH_MS) -> None:
        """`start_ms` is the wall time at which its seconds begin."""
        self._decisions = decisions
        self._start_ms = start_ms

    @overload
    def __getitem__(self, index: int) -> Moment: ...
    @overload
    def __getitem__(self, index: slice) -> History: ...
    def __getitem__(self, index: int | slice) -> Moment | History:
        if isinstance(index, slice):
            return History(self._decisions[index], self._start_ms)
        return Moment(self._decisions[index], self._start_ms)

    def __len__(self) -> int:
        return len(self._decisions)

    def __iter__(self) -> Iterator[Moment]:
        return (Moment(decision, self._start_ms) for decision in self._decisions)

    def __eq__(self, other: object) -> bool:
        return self._decisions == other._decisions if isinstance(other, History) else NotImplemented

    __hash__ = None  # type: ignore[assignment]  # a list, in effect

    def __str__(self) -> str:
        return self.text

    __repr__ = __str__

    @property
    def steps(self) -> list[str]:
        """The decisions in one word each, such as `["accepted", "invoked", "succeeded"]`."""
        return [decision.step.value for decision in self._decisions]

    @cached_property
    def text(self) -> str:
        """One line for each decision, the same for the same scenario and seed."""
        return "\n".join(map(str, self))

    @property
    def timeline(self) -> str:
        """The text, with each rule below the first decision that it is behind."""
        lines: list[str] = []
        known: set[str] = set()
        for moment in self:
            lines.append(str(moment))
            if moment.rule not in known:
                known.add(moment.rule)
                lines.append(f"{' ' * 16}{moment.rule}")
        return "\n".join(lines)

    def of(self, *steps: str) -> History:
        """Return the decisions of these steps only."""
        wanted = {Step(step) for step in steps}
        return History([decision for decision in self._decisions if decision.step in wanted], self._start_ms)


@dataclass(frozen=True, slots=True)
class Explained:
    """One thing, explained: its kind, where it stands, what happened to it, what is to come, and notes."""

    id: str
    kind: str
    now: str
    history: History
    ahead: Sequence[str]
    notes: Sequence[str]

    def __str__(self) -> str:
        parts = [f"{self.kind} {self.id}", f"now: {self.now}", self.history.timeline]
        if self.ahead:
            parts += ["to come:", *(f"{INDENT}{each}" for each in self.ahead)]
        return "\n".join([*parts, *self.notes])
