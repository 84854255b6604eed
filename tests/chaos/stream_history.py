"""What really happened to a stream: functions note each batch, generators what they were told of each record.

As in `history`: a file that every run appends to, and times of the one monotonic clock. A record's data carries its
identity, so that a record is known also when the caller never heard of its sequence number.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from tests.chaos.history import Fault, Timed
from tests.chaos.processes import is_alive

T = TypeVar("T", bound=Timed)

SOURCE = """
import base64, json, os, time

PATH = os.environ["HISTORY"]

def note(record, what):
    line = json.dumps({**record, "what": what, "t": time.monotonic_ns()}) + "\\n"
    descriptor = os.open(PATH, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(descriptor, line.encode())
    finally:
        os.close(descriptor)

def begun_before(identity):
    with open(PATH) as file:
        return sum(f'"{identity}"' in line and '"what": "start"' in line for line in file) - 1

def handler(event, context):
    records, values = [], []
    for record in event["Records"]:
        kinesis = record["kinesis"]
        value = json.loads(base64.b64decode(kinesis["data"]))
        values.append(value)
        shard = record["eventID"].partition(":")[0]
        records.append([value["id"], shard, kinesis["sequenceNumber"], kinesis["partitionKey"]])
    run = {"token": os.urandom(8).hex(), "pid": os.getpid(), "home": os.getppid()}
    note({**run, "records": records}, "start")
    time.sleep(max(value["seconds"] for value in values))
    if any(begun_before(value["id"]) < value.get("errors", 0) for value in values):
        note(run, "error")
        raise RuntimeError("told to fail")
    note(run, "ok")
"""
"""A function that writes the history: a batch takes as long as its longest record says, and fails while one of its
records is told to fail that often."""


class Record(NamedTuple):
    """One record: its identity, and where it stands. Sequence numbers are numbers here."""

    id: str
    shard: str
    sequence: int
    key: str


class Dropped(NamedTuple):
    """What an on-failure record says was given up: `size` records of a shard, from `first` to `last`."""

    shard: str
    first: int
    last: int
    size: int


class Probe(NamedTuple):
    """What the store said of a shard's unit at one instant."""

    t: int
    shard: str
    epoch: int
    checkpoint: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """One run, as the function noted it. `outcome` is `ok`, `error`, or None when it never came to its end.

    `home` is the process that the environment `pid` belongs to: one per node.
    """

    token: str
    pid: int
    home: int
    records: tuple[Record, ...]
    start: int
    end: int | None = None
    outcome: str | None = None


@dataclass(slots=True)
class Story:
    """All that is known of one mapping on one stream: what the checker reads.

    `put` are the records that callers were told are stored, `unknown` the identities of those whose fate they never
    heard.
    """

    batches: Sequence[Batch] = ()
    put: dict[str, Record] = field(default_factory=dict)
    unknown: set[str] = field(default_factory=set)
    dropped: list[Dropped] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    probes: list[Probe] = field(default_factory=list)

    def done(self) -> set[str]:
        """Return the identities of the records that were processed successfully."""
        return {record.id for batch in self.batches if batch.outcome == "ok" for record in batch.records}

    def unresolved(self) -> set[str]:
        """Return the identities of the records put that were neither processed nor given up."""
        return self.put.keys() - self.done() - self.given_up()

    def given_up(self) -> set[str]:
        """Return the identities of the records that on-failure records tell of."""
        return set().union(*(self.covered(drop) for drop in self.dropped))

    def covered(self, drop: Dropped) -> set[str]:
        """Return the identities of the records that one on-failure record tells of.

        Between its ends lie records of other lanes too. So they are those of the batch that failed; or, if none of
        these ends ever ran, all in between.
        """

        def lies_within(record: Record) -> bool:
            return record.shard == drop.shard and drop.first <= record.sequence <= drop.last

        tried: set[str] = set()
        for batch in self.batches:
            within = [record for record in batch.records if lies_within(record)]
            ends = {record.sequence for record in within}
            if batch.outcome != "ok" and drop.first in ends and drop.last in ends:
                tried.update(record.id for record in within)
        return tried or {record.id for record in self.put.values() if lies_within(record)}


def read_batches(path: Path) -> list[Batch]:
    """Read every run so far, in order of start."""
    if not path.exists():
        return []
    notes: dict[str, dict[str, Mapping[str, Any]]] = defaultdict(dict)
    for line in path.read_text().splitlines():
        record = json.loads(line)
        notes[record["token"]]["start" if record["what"] == "start" else "end"] = record
    return sorted((_batch(note["start"], note.get("end")) for note in notes.values()), key=lambda batch: batch.start)


def in_flight(batches: Sequence[T]) -> list[T]:
    """Return the batches that have begun, have not ended, and still can."""
    return [batch for batch in batches if batch.end is None and is_alive(batch.pid)]


def _batch(start: Mapping[str, Any], end: Mapping[str, Any] | None) -> Batch:
    return Batch(
        token=start["token"],
        pid=start["pid"],
        home=start["home"],
        records=tuple(Record(id_, shard, int(sequence), key) for id_, shard, sequence, key in start["records"]),
        start=start["t"],
        end=end["t"] if end else None,
        outcome=end["what"] if end else None,
    )
