"""Read a history and say which promises it breaks. Knows the promises only, nothing of how they are kept."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise

from tests.chaos.history import Fault, History, Run


def violations(history: History, *, retries: int, reserved: int) -> list[str]:
    """Return every promise broken at quiescence, in words; an empty list when all hold.

    `retries` is the function's MaximumRetryAttempts, `reserved` its reserved concurrency.
    """
    runs, faults = history.runs(), history.faults
    by_id, by_pid = defaultdict(list), defaultdict(list)
    for run in runs:
        by_id[run.id].append(run)
        by_pid[run.pid].append(run)
    found = [f"lost: {identifier}" for identifier in sorted(history.accepted - history.done())]
    ghosts = set(by_id) - history.accepted
    if len(ghosts) > history.unknown:
        found.append(f"{len(ghosts)} events ran that nobody was told of, {history.unknown} answers were unknown")
    for identifier, attempts in by_id.items():
        found += _attempts(identifier, attempts, faults, retries)
        found += _overlaps(f"event {identifier}", attempts, faults)
    for pid, own in by_pid.items():
        found += _overlaps(f"environment {pid}", own, faults)
    return found + _concurrency(runs, faults, reserved)


def ended_at(run: Run, faults: Iterable[Fault]) -> int | None:
    """Return when a run was over: its own last statement, else the end of the first fault that hit it, else None."""
    if run.end is not None:
        return run.end
    return min((fault.until for fault in faults if fault.hits(run)), default=None)


def _attempts(identifier: str, attempts: Sequence[Run], faults: Sequence[Fault], retries: int) -> list[str]:
    errors = sum(run.outcome == "error" for run in attempts)
    found = []
    if errors > 1 + retries:
        found.append(f"event {identifier} failed {errors} times with {retries} retries")
    crashes = sum(any(fault.hits(run) for run in attempts) for fault in faults)
    if len(attempts) > 1 + errors + crashes:
        found.append(f"event {identifier} began {len(attempts)} times after {errors} errors and {crashes} crashes")
    return found


def _overlaps(what: str, runs: Sequence[Run], faults: Sequence[Fault]) -> list[str]:
    found = []
    for earlier, later in pairwise(sorted(runs, key=lambda run: run.start)):
        end = ended_at(earlier, faults)
        if end is None or end > later.start:
            found.append(f"{what}: run {later.token} began before run {earlier.token} was over")
    return found


def _concurrency(runs: Sequence[Run], faults: Sequence[Fault], reserved: int) -> list[str]:
    """Sweep over all starts and ends; at one instant ends come first."""
    edges = []
    for run in runs:
        end = ended_at(run, faults)
        edges.append((run.start, 1))
        if end is not None:
            edges.append((end, -1))
    running = most = 0
    for _, step in sorted(edges):
        running += step
        most = max(most, running)
    return [f"{most} ran at once with {reserved} reserved"] if most > reserved else []
