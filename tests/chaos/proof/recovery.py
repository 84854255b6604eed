"""How long it took: until what a dead node had in flight ran again, and until what a draining node read went on."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from dataclasses import dataclass, field

from tests.chaos.history import Fault, Timed
from tests.chaos.proof.recorder import Note
from tests.chaos.proof.story import Chronicle

S = 1e9
SILENCE, RESTART = "found silent", "started again at once"
KINDS = {"node kill": SILENCE, "long stop": SILENCE, "long partition": SILENCE, "node kill, restart": RESTART}


@dataclass(frozen=True, slots=True)
class Span:
    """A batch that never came to its end, as a fault sees it."""

    pid: int
    start: int
    end: int | None = None


@dataclass(slots=True)
class Recoveries:
    """Seconds, by what was recovered and how its node's death was found."""

    taken: dict[tuple[str, str], list[float]] = field(default_factory=lambda: defaultdict(list))
    handovers: list[float] = field(default_factory=list)


def measure(chronicle: Chronicle) -> Recoveries:
    """Read all recoveries off a chronicle."""
    found = Recoveries()
    starts = _starts(chronicle)
    lanes = _lanes(chronicle)
    for note, fault in zip(chronicle.fault_notes, chronicle.faults, strict=True):
        if how := KINDS.get(note["kind"]):
            for what, seconds in _after_death(chronicle, fault, starts):
                found.taken[what, how].append(seconds)
        elif note["kind"] == "drain":
            found.handovers += _after_drain(note, lanes)
    return found


def _starts(chronicle: Chronicle) -> dict[str, list[int]]:
    """Return when each event, record and message began to run, in order."""
    starts: dict[str, list[int]] = defaultdict(list)
    for run in chronicle.runs:
        if run.plane == "async":
            starts[run.op].append(run.start)
    for batches in chronicle.batches.values():
        for batch in batches:
            for identity, *_ in batch["records"]:
                starts[identity].append(batch["t"])
    return starts


def _after_death(chronicle: Chronicle, fault: Fault, starts: dict[str, list[int]]) -> list[tuple[str, float]]:
    """Return how long each thing in flight took to run again; a batch counts once."""

    def is_cut(run: Timed) -> bool:
        """Say whether this fault is the first that hit it."""
        return fault.hits(run) and all(other.until >= fault.until for other in chronicle.faults if other.hits(run))

    cut = [
        ("events", run.op, run.start)
        for run in chronicle.runs
        if run.plane == "async" and run.outcome is None and is_cut(run)
    ]
    for feed, batches in chronicle.batches.items():
        what = "shards" if feed in chronicle.facts["lanes"] else "messages"
        cut += [
            (what, batch["records"][0][0], batch["t"])
            for batch in batches
            if batch["token"] not in chronicle.ends and is_cut(Span(batch["pid"], batch["t"]))
        ]
    found = []
    for what, identity, began in cut:
        later = starts[identity][bisect_right(starts[identity], began) :]
        if later:
            found.append((what, max(later[0] - fault.t, 0) / S))
    return found


def _lanes(chronicle: Chronicle) -> dict[tuple[str, str], list[tuple[int, int, int]]]:
    """Return each shard's batches as (start, end, home)."""
    found: dict[tuple[str, str], list[tuple[int, int, int]]] = defaultdict(list)
    for feed in chronicle.facts["lanes"]:
        for batch in chronicle.batches[feed]:
            end = chronicle.ends.get(batch["token"])
            found[feed, batch["records"][0][1]].append((batch["t"], end["t"] if end else batch["t"], batch["home"]))
    return found


def _after_drain(note: Note, lanes: dict[tuple[str, str], list[tuple[int, int, int]]]) -> list[float]:
    """Return how long each shard that a draining node read stood still, until its first batch elsewhere."""
    mine, found = set(note["below"]), []
    for batches in lanes.values():
        before = [batch for batch in batches if batch[0] < note["t"]]
        if not before or before[-1][2] not in mine:
            continue  # it was another's
        since = max([end for start, end, home in batches if home in mine and start <= note["until"]] + [note["t"]])
        later = [start for start, _, home in batches if home not in mine and start >= since]
        if later:
            found.append((later[0] - since) / S)
    return found


def median(values: list[float]) -> float:
    ordered = sorted(values)
    return ordered[len(ordered) // 2] if ordered else float("nan")
