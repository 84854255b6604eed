"""Read a chronicle and say which promises it breaks, by the names of the invariants. Knows the promises only.

Streams and queues are judged by `stream_checker` and `queue_checker`; here is what is promised to events, to callers,
of concurrency, of schedules, and everywhere.
"""

from __future__ import annotations

import re
import sys
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path

from tests.chaos import queue_checker, stream_checker
from tests.chaos.history import Fault
from tests.chaos.proof.recorder import Note, read_notes
from tests.chaos.proof.story import Chronicle, Run, queue_story, read, stream_story

S = 1_000_000_000
FINISHING_NS = 5 * S
"""How long a fault may come after a run's end and still keep its result from being stored: as long as a node that has
lost its server holds results before it is judged dead."""
CLOCK_KINDS = {"clock", "server stop", "server kill", "disk full"}
"""Faults that may move what is due, by their length and 2 s (G8)."""
CALLER_S = 20.0


FAILOVER = "failover"
KEPT = re.compile(r"A1|A2|A9: the record|S1|S2|S3|S7|G|schedules: .* did not fire|[KQ] \w+: (lost|ghost)")
"""What holds through a failover too, in the words of `judge`: nothing that was acknowledged is lost, nothing runs that
was not sent, callers get their own answers, all comes to rest. The rest rests on claims, results, slots and receives:
a new primary may have forgotten the latest of these, and then something runs again, at worst beside itself."""


def split(broken: Iterable[str], chronicle: Chronicle) -> tuple[list[str], list[str]]:
    """Return the broken promises, and what is no broken promise because a failover happened."""
    found = list(broken)
    if not any(note["kind"] == FAILOVER for note in chronicle.fault_notes):
        return found, []
    return [text for text in found if KEPT.match(text)], [text for text in found if not KEPT.match(text)]


def judge(chronicle: Chronicle) -> list[str]:
    """Return everything that should not be, in words, the invariant first; an empty list when all invariants hold."""
    facts = chronicle.facts
    found = [
        *_events(chronicle),
        *_calls(chronicle),
        *_concurrency(chronicle),
        *_deploys(chronicle),
        *_schedules(chronicle),
        *_everywhere(chronicle),
    ]
    for feed, lanes in facts["lanes"].items():
        broken = stream_checker.violations(
            stream_story(chronicle, feed), lanes=lanes, batch_size=facts["records_batch"], finishing=FINISHING_NS
        )
        found += [f"K {feed}: {text}" for text in broken]
    for feed in ("queue", "fifo"):
        broken = queue_checker.violations(
            queue_story(chronicle, feed),
            batch_size=facts["batch"],
            hidden=facts["visibility_s"] * S // 2,
            most=facts["most"],
            finishing=FINISHING_NS,
        )
        found += [f"Q {feed}: {text}" for text in broken]
    return found


def over_at(run: Run, faults: Iterable[Fault]) -> int | None:
    """Return when a run was over: its own last statement, else the end of the first fault that hit it, else None."""
    return stream_checker.ended_at(run, faults)


def cause(earlier: Run, later: Run, faults: Sequence[Fault]) -> Fault | None:
    """Return the fault that may have kept the earlier run from its end, or its result from being stored."""
    for fault in faults:
        if stream_checker.explained(earlier, later, [fault], FINISHING_NS):
            return fault
    return None


# A: events.


def _events(chronicle: Chronicle) -> Iterator[str]:
    faults, retries = chronicle.faults, chronicle.facts["retries"]
    requests = {request.op: request for request in chronicle.of_plane("async")}
    dead = Counter(note["op"] for note in chronicle.dead.get("events", ()))
    by_op = chronicle.runs_by_op("async")
    for op in by_op.keys() - requests.keys():
        yield f"A2 ghost: {op} ran and was never sent"
    for op, request in requests.items():
        runs = by_op.get(op, [])
        if request.outcome == "fail" and runs:
            yield f"A2 ghost: {op} was refused and ran"
        is_done = any(run.outcome == "ok" for run in runs)
        if request.outcome == "ok":
            assert request.answer is not None
            if not is_done and not dead[op]:
                yield f"A1 lost: {op}"
            if any(run.id != request.answer["id"] for run in runs):
                yield f"A2: {op} was accepted as {request.answer['id']} and ran as {runs[0].id}"
        if len({run.id for run in runs}) > 1:
            yield f"A11: {op} became several events"
        yield from _attempts(op, runs, faults, retries, request.inv.get("errors", 0), chronicle)
        if dead[op] > 1:
            yield f"A9: {op} is a dead letter {dead[op]} times"
        if dead[op] and is_done and not _may_be_unstored(runs, faults):
            yield f"A9: {op} succeeded and is a dead letter"
    for note in chronicle.dead.get("events", ()):
        runs = by_op.get(note["op"], [])
        if runs and note["id"] != runs[0].id:
            yield f"A9: the record of {note['op']} names {note['id']}, it was {runs[0].id}"
        if note["condition"] != "RetriesExhausted" or note["count"] < retries + 1:
            yield f"A9: {note['op']} was given up for {note['condition']} after {note['count']} invocations"


def _may_be_unstored(runs: Sequence[Run], faults: Sequence[Fault]) -> bool:
    return any(
        run.outcome == "ok" and fault.hits(run) and (run.end or 0) >= fault.t - FINISHING_NS
        for run in runs
        for fault in faults
    )


def _attempts(
    op: str, runs: Sequence[Run], faults: Sequence[Fault], retries: int, errors: int, chronicle: Chronicle
) -> Iterator[str]:
    """A3, A4, A5, A6: no more errors than the policy, retries in time, repeats by faults only, never two at once."""
    failed = sum(run.outcome == "error" for run in runs)
    if failed > 1 + retries:
        yield f"A3: {op} failed {failed} times with {retries} retries"
    number = 0
    for earlier, later in pairwise(runs):
        end = over_at(earlier, faults)
        if end is None or end > later.start:
            yield f"A6 overlap: {op}: {later.token} began before {earlier.token} was over"
            continue
        why = cause(earlier, later, faults)
        if earlier.outcome == "error":
            number += 1
            wait = later.start - end
            wanted = int(chronicle.facts["retry_base_s"] * number * S) - S // 20
            if wait < wanted and why is None and not _moves_deadlines(end, later.start, chronicle):
                yield f"A4: {op} was tried again after {wait / S:.2f} s, {wanted / S:.2f} s are due"
        elif why is None:
            yield f"A5: {op}: {later.token} repeats {earlier.token} ({earlier.outcome}) without a cause"
    if runs and runs[-1].outcome is None and over_at(runs[-1], faults) is None:
        yield f"A1: {op}: {runs[-1].token} never came to an end, and nothing killed it"
    if failed > errors:
        yield f"A3: {op} failed {failed} times and was told to fail {errors} times"


def _moves_deadlines(since: int, until: int, chronicle: Chronicle) -> bool:
    return any(
        note["kind"] in CLOCK_KINDS and note["t"] <= until + 2 * S and note["until"] >= since - 2 * S
        for note in chronicle.fault_notes
    )


# S: calls.


def _calls(chronicle: Chronicle) -> Iterator[str]:
    limit = chronicle.facts["reserved"]["calls"]
    requests = {request.op: request for request in chronicle.of_plane("sync")}
    by_op = chronicle.runs_by_op("sync")
    busy = _Busy(chronicle, requests.keys())
    for op in by_op.keys() - requests.keys():
        yield f"A2 ghost: call {op} ran and was never sent"
    for op, request in requests.items():
        runs = by_op.get(op, [])
        answer = request.answer
        if len(runs) > 1:
            yield f"S1: call {op} ran {len(runs)} times"
        if answer is None:
            yield f"S3: call {op} was never answered"
            continue
        took = (answer["t"] - request.t) / S
        if took > CALLER_S + 1:
            yield f"S3: call {op} was answered after {took:.1f} s"
        if request.outcome == "fail" and runs:
            yield f"A2 ghost: call {op} was refused ({answer.get('status', answer.get('why'))}) and ran"
        if request.outcome == "ok":
            told = request.inv.get("errors", 0)
            if not answer["error"] and answer["echo"] != op:
                yield f"S2: call {op} was answered with {answer['echo']}"
            if not runs and not answer["error"]:
                yield f"S1: call {op} was answered and never ran"
            if answer["error"] and answer["kind"] == "RuntimeError" and not told:
                yield f"S7: call {op} failed without having been told to"
            if answer["error"] and answer["kind"] != "RuntimeError" and runs and runs[0].outcome is not None:
                yield f"S7: call {op} came to its end and was answered with {answer['kind']}"
        if _is_throttled(answer) and not busy.reaches(limit, request.t, answer["t"]):
            yield f"S4: call {op} was refused with 429 and nothing else was running"


def _is_throttled(answer: Note) -> bool:
    return answer.get("status") == 429 and "ConcurrentInvocationLimitExceeded" in answer["why"]


class _Busy:
    """How many calls may have held a slot: from their request to their end, or until a dead node's are free again."""

    def __init__(self, chronicle: Chronicle, ops: Iterable[str]) -> None:
        edges = []
        ends = {run.op: run for run in chronicle.runs if run.plane == "sync"}
        for op in ops:
            request = chronicle.requests[op]
            if request.outcome == "fail":
                continue
            until = request.answer["t"] if request.answer else request.t + int(CALLER_S * S)
            run = ends.get(op)
            if run is not None:
                until = max(until, run.end if run.end is not None else run.start + int(15 * S))
            elif request.outcome == "info":
                until = request.t + int(15 * S)
            edges += [(request.t, 1), (until + S // 2, -1)]
        edges.sort()
        self._times, self._counts, count = [], [], 0
        for t, step in edges:
            count += step
            self._times.append(t)
            self._counts.append(count)

    def reaches(self, limit: int, since: int, until: int) -> bool:
        first = max(bisect_right(self._times, since) - 1, 0)
        last = bisect_right(self._times, until)
        return max(self._counts[first:last], default=0) >= limit


# C: concurrency.


def _concurrency(chronicle: Chronicle) -> Iterator[str]:
    faults = chronicle.faults
    for plane, function in (("async", "events"), ("sync", "calls")):
        limit = chronicle.facts["reserved"][function]
        most = _most_at_once((run for run in chronicle.runs if run.plane == plane), faults)
        if most > limit:
            yield f"C1: {most} of {function} ran at once with {limit} reserved"
    by_process: dict[tuple[int, int], list[Run]] = defaultdict(list)
    for run in chronicle.runs:
        by_process[run.home, run.pid].append(run)
    for (_, pid), runs in by_process.items():
        for earlier, later in pairwise(runs):
            end = over_at(earlier, faults)
            if end is None or end > later.start:
                yield f"C3: environment {pid} began {later.token} before {earlier.token} was over"


def _most_at_once(runs: Iterable[Run], faults: Sequence[Fault]) -> int:
    """Sweep over all starts and ends; at one instant ends come first."""
    edges = []
    for run in runs:
        end = over_at(run, faults)
        edges.append((run.start, 1))
        if end is not None:
            edges.append((end, -1))
    running = most = 0
    for _, step in sorted(edges):
        running += step
        most = max(most, running)
    return most


# G12: deploys.


def _deploys(chronicle: Chronicle) -> Iterator[str]:
    """What is accepted a second after an update was told to be done runs the new code."""
    planes = {"events": "async", "calls": "sync"}
    for function, plane in planes.items():
        done = sorted((note["t"], note["version"]) for note in chronicle.deploys if note["function"] == function)
        times = [t + S for t, _ in done]
        for run in chronicle.runs:
            request = chronicle.requests.get(run.op)
            if run.plane != plane or request is None:
                continue
            at = bisect_right(times, request.t)
            wanted = done[at - 1][1] if at else 1
            if run.version < wanted:
                yield f"G12: {run.op} was sent after version {wanted} was deployed and ran version {run.version}"


# Schedules.


def _schedules(chronicle: Chronicle) -> Iterator[str]:
    """One event for each rule and due minute, however many nodes run; and none is left out."""
    ids: dict[tuple[str, str], set[str]] = defaultdict(set)
    done: set[tuple[str, str]] = set()
    runs: dict[str, list[Run]] = defaultdict(list)
    for run in chronicle.runs:
        if run.plane == "schedule":
            firing = (run.note["rule"], run.note["due"])
            ids[firing].add(run.id)
            runs[run.id].append(run)
            if run.outcome == "ok":
                done.add(firing)
    for (rule, due), found in ids.items():
        if len(found) > 1:
            yield f"schedules: {rule} at {due} became {len(found)} events"
    for rule in {f"every-minute-{number}" for number in range(chronicle.facts["rules"])}:
        for due in chronicle.final.get("due", ()):
            if (rule, due) not in done:
                yield f"schedules: {rule} did not fire at {due}"
    for of_one in runs.values():
        for earlier, later in pairwise(of_one):
            if earlier.outcome == "ok" and cause(earlier, later, chronicle.faults) is None:
                yield f"A5: firing {later.id} ran twice without a cause"


# G: everywhere.


def _everywhere(chronicle: Chronicle) -> Iterator[str]:
    final = chronicle.final
    for name, text in (
        ("unresolved", "G4: not resolved within its time"),
        ("slots", "C2: slots still held"),
        ("queues", "Q1: queues still hold something"),
        ("keys", "G3: keys left behind"),
        ("processes", "G6: processes left behind"),
        ("logs", "G5: the log tells of something unexpected"),
        ("exits", "G5: a node ended by itself"),
    ):
        yield from (f"{text}: {each}" for each in final.get(name, ()))


def main() -> int:
    """Judge a history that was kept: `python -m tests.chaos.proof.judge chaos-report/history.jsonl`."""
    chronicle = read(list(read_notes(Path(sys.argv[1]))))
    broken, _ = split(judge(chronicle), chronicle)
    print("\n".join(broken) or "every promise was kept")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
