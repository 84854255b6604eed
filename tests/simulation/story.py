"""What happened in one run, as functions, callers and the nemesis saw it: all that the checkers read.

Times are whole milliseconds of virtual time. A run of a function has a process number (`pid`) of its own, so that a
fault can name the runs that it hit.
"""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True, eq=False)
class Ran:
    """One run of a function. `outcome` is `ok`, `error`, or None while it runs and when it was killed."""

    pid: int
    function: str
    node: int
    request_id: str
    generation: int
    event: Any
    start: int
    end: int | None = None
    outcome: str | None = None
    result: Any = None
    why: str = ""

    @property
    def token(self) -> str:
        return f"run{self.pid}"


@dataclass(slots=True, eq=False)
class Sent:
    """Something that a caller sent. `told` is `ok`, `refused` (certainly not stored), or `unknown`."""

    plane: str
    where: str
    id: str
    value: Any
    at: int
    answered: int | None = None
    told: str = "unknown"
    answer: Any = None


@dataclass(slots=True)
class Struck:
    """One fault: from when, until all that it takes with it is over; `node` None: all; `pids` None: whoever runs."""

    what: str
    at: int
    until: int
    node: int | None = None
    pids: frozenset[int] | None = None


@dataclass(slots=True)
class Lost:
    """The server has forgotten what it did between two times."""

    since: int
    until: int


@dataclass(slots=True)
class Story:
    """One run's."""

    runs: list[Ran] = field(default_factory=list)
    sent: list[Sent] = field(default_factory=list)
    struck: list[Struck] = field(default_factory=list)
    lost: list[Lost] = field(default_factory=list)
    breaches: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    buried: list[tuple[int, int]] = field(default_factory=list)
    messages: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    probes: list[tuple[int, str, int, str]] = field(default_factory=list)
    changed: list[tuple[int, str, str, int]] = field(default_factory=list)
    ticked_s: float = 0.0
    _pids: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def note(self, *what: object) -> None:
        """Keep something for whoever reads the story."""
        self.notes.append(" ".join(map(str, what)))

    def lost_between(self, since: int, until: int) -> bool:
        """Say whether the server has forgotten something of that time, or shortly before."""
        return any(lost.since <= until and lost.until >= since - 5_000 for lost in self.lost)

    def was_buried(self, node: int, since: int, until: int) -> bool:
        """Say whether a node has found itself declared dead between two times."""
        return any(number == node and since <= at <= until for number, at in self.buried)

    def breach(self, what: str) -> None:
        """Note a broken promise."""
        self.breaches.append(what)

    def begin(self, function: str, node: int, request_id: str, generation: int, event: Any, now: int) -> Ran:
        """Note that a run begins."""
        ran = Ran(next(self._pids), function, node, request_id, generation, event, now)
        self.runs.append(ran)
        return ran

    def in_flight(self, node: int | None = None) -> frozenset[int]:
        """Return the runs that have begun and not ended."""
        return frozenset(ran.pid for ran in self.runs if ran.end is None and (node is None or ran.node == node))

    def was_lost(self, sent: Sent) -> bool:
        """Say whether the server may have forgotten what it had confirmed."""
        return any(
            (sent.answered is None or lost.since <= sent.answered) and sent.at <= lost.until for lost in self.lost
        )
