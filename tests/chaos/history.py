"""What really happened: functions write it down themselves, as their first and last statement.

The history is a file that every run appends to (one write with O_APPEND a line), so it outlives whatever is
killed. Times are CLOCK_MONOTONIC of the one machine, in nanoseconds.
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from tests.chaos.processes import is_alive

SOURCE = """
import json, os, time

def note(path, record, what):
    line = json.dumps({**record, "what": what, "t": time.monotonic_ns()}) + "\\n"
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(descriptor, line.encode())
    finally:
        os.close(descriptor)

def before(path, request_id, what):
    with open(path) as file:
        return sum(request_id in line and f'"{what}"' in line for line in file)

def handler(event, context):
    path, request_id = event["history"], context.aws_request_id
    record = {"id": request_id, "token": os.urandom(8).hex(), "pid": os.getpid()}
    note(path, record, "start")
    is_first = before(path, request_id, "start") == 1
    time.sleep(event["seconds"] if is_first else event.get("again", event["seconds"]))
    if before(path, request_id, "error") < event.get("errors", 0):
        note(path, record, "error")
        raise RuntimeError("told to fail")
    note(path, record, "ok")
    return request_id
"""
"""A function that writes the history: runs for `seconds`, later runs of one event for `again`, and fails the first
`errors` times."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run, as the function noted it. `outcome` is `ok`, `error`, or None when it never came to its end."""

    id: str
    token: str
    pid: int
    start: int
    end: int | None
    outcome: str | None


class Timed(Protocol):
    """What a fault may hit: something that ran in the process `pid`, from `start` to `end`, if it came to its end."""

    @property
    def pid(self) -> int: ...
    @property
    def start(self) -> int: ...
    @property
    def end(self) -> int | None: ...


@dataclass(frozen=True, slots=True)
class Fault:
    """Something was killed, beginning at `t`; at `until` all that it takes with it is dead.

    `pids` are the environments that it hits; None: any that runs then.
    """

    what: str
    t: int
    until: int
    pids: frozenset[int] | None = None

    def hits(self, run: Timed) -> bool:
        """Say whether the fault may have cut this run, or its finish, short."""
        return (self.pids is None or run.pid in self.pids) and self.until >= run.start


@dataclass(slots=True)
class History:
    """Runs read back from the file, what callers were told, and the faults."""

    path: Path
    accepted: set[str] = field(default_factory=set)
    unknown: int = 0
    faults: list[Fault] = field(default_factory=list)

    def runs(self) -> list[Run]:
        """Return every run so far, in order of start."""
        if not self.path.exists():
            return []
        notes: dict[str, dict[str, dict[str, object]]] = defaultdict(dict)
        for line in self.path.read_text().splitlines():
            record = json.loads(line)
            notes[record["token"]]["start" if record["what"] == "start" else "end"] = record
        return sorted((_run(token, note) for token, note in notes.items()), key=lambda run: run.start)

    def done(self) -> set[str]:
        """Return the ids that have come to a good end."""
        return {run.id for run in self.runs() if run.outcome == "ok"}

    def in_flight(self) -> list[Run]:
        """Return the runs that have begun, have not ended, and still can."""
        return [run for run in self.runs() if run.end is None and is_alive(run.pid)]


def _run(token: str, note: dict[str, dict[str, object]]) -> Run:
    start, end = note["start"], note.get("end")
    return Run(
        id=str(start["id"]),
        token=token,
        pid=int(str(start["pid"])),
        start=int(str(start["t"])),
        end=int(str(end["t"])) if end else None,
        outcome=str(end["what"]) if end else None,
    )
