"""The merged history, read: requests with what became of them, runs, faults; and the stories of streams and queues."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.chaos import queue_history, stream_history
from tests.chaos.history import Fault
from tests.chaos.proof.recorder import Note

NODE_DEATHS = {"node kill", "node kill, restart", "long stop", "long partition"}

DELAYS = {"server kill", "server stop", "disk full", "stop", "partition", "held link", "reset link", "slow link"}
"""Faults that kill nothing, and keep a node from its server for seconds."""


@dataclass(slots=True)
class Request:
    """What was sent, and what its sender knows: `ok`, `fail`, `info`, or None if the run ended before."""

    op: str
    plane: str
    t: int
    inv: Note
    answer: Note | None = None

    @property
    def outcome(self) -> str | None:
        return self.answer["what"] if self.answer else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run of an event or of a call."""

    plane: str
    op: str
    id: str
    token: str
    pid: int
    home: int
    version: int
    start: int
    end: int | None
    outcome: str | None
    note: Note


@dataclass(slots=True)
class Chronicle:
    """Everything that is known of a chaos run."""

    facts: dict[str, Any]
    requests: dict[str, Request] = field(default_factory=dict)
    runs: list[Run] = field(default_factory=list)
    batches: dict[str, list[Note]] = field(default_factory=lambda: defaultdict(list))
    ends: dict[str, Note] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    leaves: list[Fault] = field(default_factory=list)
    fault_notes: list[Note] = field(default_factory=list)
    deploys: list[Note] = field(default_factory=list)
    dead: dict[str, list[Note]] = field(default_factory=lambda: defaultdict(list))
    probes: list[Note] = field(default_factory=list)
    final: Note = field(default_factory=dict)

    def of_plane(self, plane: str) -> list[Request]:
        return [request for request in self.requests.values() if request.plane == plane]

    def runs_by_op(self, plane: str) -> dict[str, list[Run]]:
        """Return the runs of a plane, by what was sent, in order of start."""
        found: dict[str, list[Run]] = defaultdict(list)
        for run in self.runs:
            if run.plane == plane:
                found[run.op].append(run)
        return found


def read(notes: Sequence[Note]) -> Chronicle:
    """Read a merged history."""
    told = next(note for note in notes if note["what"] == "facts")
    chronicle = Chronicle(facts=told)
    starts: list[Note] = []
    for note in notes:
        match note["what"]:
            case "inv":
                chronicle.requests[note["op"]] = Request(note["op"], note["plane"], note["t"], note)
            case "ok" | "fail" | "info":
                chronicle.requests[note["op"]].answer = note
            case "start":
                starts.append(note)
            case "end":
                chronicle.ends[note["token"]] = note
            case "fault":
                chronicle.fault_notes.append(note)
            case "deploy":
                chronicle.deploys.append(note)
            case "dest":
                chronicle.dead[note["queue"]].append(note)
            case "probe":
                chronicle.probes.append(note)
            case "final":
                chronicle.final = note
    for start in starts:
        if start["plane"] in {"stream", "queue"}:
            chronicle.batches[start["feed"]].append(start)
        else:
            chronicle.runs.append(_run(start, chronicle.ends.get(start["token"])))
    homes: dict[int, set[tuple[int, int]]] = defaultdict(set)
    for start in starts:
        homes[start["home"]].add((start["t"], start["pid"]))
    for note in chronicle.fault_notes:
        what = "node" if note["kind"] in NODE_DEATHS else note["kind"]
        chronicle.faults.append(Fault(what, note["t"], note["until"], _hit(note, note["pids"], homes)))
        if "below" in note:
            chronicle.leaves.append(Fault(what, note["t"], note["until"], _hit(note, note["below"], homes)))
    return chronicle


def _hit(note: Note, pids: list[int] | None, homes: dict[int, set[tuple[int, int]]]) -> frozenset[int] | None:
    """Return the environments among these processes and below them; None: any."""
    if pids is None:
        return None
    below = {child for pid in pids for t, child in homes.get(pid, ()) if t <= note["until"]}
    return frozenset(pids) | below


def _run(start: Note, end: Note | None) -> Run:
    return Run(
        plane=start["plane"],
        op=start.get("op", ""),
        id=start["id"],
        token=start["token"],
        pid=start["pid"],
        home=start["home"],
        version=start["v"],
        start=start["t"],
        end=end["t"] if end else None,
        outcome=end["outcome"] if end else None,
        note=start,
    )


def stream_story(chronicle: Chronicle, feed: str) -> stream_history.Story:
    """Tell what happened to one stream and its mapping."""
    batches = []
    for start in chronicle.batches[feed]:
        end = chronicle.ends.get(start["token"])
        batches.append(
            stream_history.Batch(
                token=start["token"],
                pid=start["pid"],
                home=start["home"],
                records=tuple(
                    stream_history.Record(identity, shard, int(sequence), key)
                    for identity, shard, sequence, key in start["records"]
                ),
                start=start["t"],
                end=end["t"] if end else None,
                outcome=end["outcome"] if end else None,
            )
        )
    story = stream_history.Story(batches=batches, faults=chronicle.faults)
    for request in chronicle.of_plane("stream"):
        if request.inv["feed"] != feed:
            continue
        if request.answer is None or request.outcome == "info":
            story.unknown |= {identity for identity, _ in request.inv["items"]}
        elif request.outcome == "ok":
            for identity, key, shard, sequence, error in request.answer["items"]:
                if error is None:
                    story.put[identity] = stream_history.Record(identity, shard, int(sequence), key)
                elif error == "InternalFailure":
                    story.unknown.add(identity)
    for note in chronicle.probes:
        for shard, epoch, checkpoint in note["lanes"].get(feed, ()):
            story.probes.append(stream_history.Probe(note["t"], shard, epoch, int(checkpoint)))
    return story


def queue_story(chronicle: Chronicle, feed: str) -> queue_history.Story:
    """Tell what happened to one queue and what worked it off."""
    batches = []
    for start in chronicle.batches[feed]:
        end = chronicle.ends.get(start["token"])
        batches.append(
            queue_history.Batch(
                token=start["token"],
                pid=start["pid"],
                home=start["home"],
                deliveries=tuple(
                    queue_history.Delivery(queue_history.Message(*fields), nth) for *fields, nth in start["records"]
                ),
                start=start["t"],
                end=end["t"] if end else None,
                failed=frozenset(end["failed"]) if end else frozenset(),
            )
        )
    story = queue_history.Story(batches=batches, faults=chronicle.faults)
    for request in chronicle.of_plane("queue"):
        if request.inv["feed"] != feed:
            continue
        if request.answer is None or request.outcome == "info":
            story.unknown |= {identity for identity, _ in request.inv["items"]}
        elif request.outcome == "ok":
            for identity, group, message_id, sequence in request.answer["items"]:
                message = queue_history.Message(identity, message_id, group, sequence)
                if identity in story.sent:
                    story.repeats.append(message)
                story.sent.setdefault(identity, message)
    story.leaves = chronicle.leaves
    story.delays = [
        Fault(note["kind"], note["t"], note["until"]) for note in chronicle.fault_notes if note["kind"] in DELAYS
    ]
    story.dead = [
        queue_history.Dead(note["id"], note["message"], note["group"]) for note in chronicle.dead.get(feed, ())
    ]
    return story
