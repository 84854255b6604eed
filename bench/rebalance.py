"""How long records wait when nodes come and go: a third node joins, is drained, takes its share again, and ends.

Every 50 ms a record is put into each of 16 shards. Each carries the time at which its put was sent; the function
notes how long ago that was when it began. The longest wait of a phase is the pause that a shard had in it.
"""

from __future__ import annotations

import base64
import json
import statistics
import tempfile
import threading
import time
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Self

from bench.measure import Effort, Figure, Report
from bench.servers import ACCOUNT, REGION, BenchNode, node, valkey

if TYPE_CHECKING:
    from collections.abc import Callable

SHARDS = 16
EVERY_S = 0.05
SETTLE_S = 1.5
"""How long records are put before and after what happens in a phase."""
STREAM = "clicks"
NODES = "/_eventrouter/nodes"
NOTE = """
import base64, time

def handler(event, context):
    now = time.time()
    took = [now - float(base64.b64decode(record["kinesis"]["data"])) for record in event["Records"]]
    with open({path!r}, "a") as file:
        file.write("".join(f"{{each}}\\n" for each in took))
"""


class Load:
    """Puts records into every shard until the block ends; counts them."""

    def __init__(self, running: BenchNode) -> None:
        self._node = running
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._put_all)
        self.records = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._end.set()
        self._thread.join()

    def _put_all(self) -> None:
        step = 2**128 // SHARDS
        while not self._end.wait(EVERY_S):
            data = base64.b64encode(repr(time.time()).encode()).decode()
            records = [
                {"Data": data, "PartitionKey": "k", "ExplicitHashKey": str(shard * step)} for shard in range(SHARDS)
            ]
            answer = self._node.kinesis("PutRecords", {"StreamName": STREAM, "Records": records})
            assert answer["FailedRecordCount"] == 0
            self.records += SHARDS


class Notes:
    """What the function notes, phase by phase."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen = 0

    def since(self, records: int) -> list[float]:
        """Wait until so many more records have been seen; return how long each waited, in milliseconds."""
        deadline = time.monotonic() + 60
        while (lines := self._path.read_text().splitlines()) and len(lines) < self._seen + records:
            assert time.monotonic() < deadline, f"{len(lines) - self._seen} of {records} records were seen"
            time.sleep(0.1)
        fresh = lines[self._seen :]
        self._seen = len(lines)
        return [float(line) * 1_000 for line in fresh]


def measure(effort: Effort, folder: Path) -> Report:
    """Go through all phases, round by round."""
    phases = ("steady", "join", "drain", "undo", "stop")
    worst: dict[str, list[float]] = {phase: [] for phase in phases}
    medians: list[float] = []
    twice = 0
    memory = Path("/dev/shm")
    with ExitStack() as stack:
        shared = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None)))
        url = stack.enter_context(valkey(folder / "valkey"))
        first = stack.enter_context(node(folder / "first", url))
        stack.enter_context(node(folder / "second", url))
        path = shared / "notes"
        path.touch()
        first.create_function("note", NOTE.format(path=str(path)))
        first.kinesis("CreateStream", {"StreamName": STREAM, "ShardCount": SHARDS})
        arn = f"arn:aws:kinesis:{REGION}:{ACCOUNT}:stream/{STREAM}"
        body = {"EventSourceArn": arn, "FunctionName": "note", "StartingPosition": "TRIM_HORIZON"}
        first.call("POST", "/2015-03-31/event-source-mappings", body)
        notes = Notes(path)
        time.sleep(2)  # both have their share

        def phase(name: str, act: Callable[[], None]) -> list[float]:
            nonlocal twice
            with Load(first) as load:
                time.sleep(SETTLE_S)
                act()
                time.sleep(SETTLE_S)
            waits = notes.since(load.records)
            twice += len(waits) - load.records
            worst[name].append(max(waits))
            return waits

        phase("steady", lambda: None)
        worst["steady"].clear()  # environments are started before anything counts
        for _ in range(effort.rounds):
            medians.append(statistics.median(phase("steady", lambda: None)))
            with ExitStack() as third:
                running: list[BenchNode] = []
                number = len(medians)
                phase("join", lambda: running.append(third.enter_context(node(folder / f"third-{number}", url))))  # noqa: B023
                phase("drain", lambda: _drain(first, running[0], {}))  # noqa: B023
                phase("undo", lambda: _drain(first, running[0], {"undo": True}))  # noqa: B023
                phase("stop", third.close)
    figures = [Figure(name="put to invoke, steady, p50", unit="ms", values=tuple(medians))]
    figures.append(Figure(name="longest wait, steady", unit="ms", values=tuple(worst["steady"])))
    for name, title in {
        "join": "a node joins",
        "drain": "a node is drained",
        "undo": "it takes its share again",
        "stop": "it is stopped",
    }.items():
        figures.append(Figure(name=f"longest wait, {title}", unit="ms", values=tuple(worst[name]), at_most=1_000.0))
    what = f"{SHARDS} shards over 2 nodes and a third, a record into each every {EVERY_S * 1_000:g} ms"
    notes_ = () if twice == 0 else (f"{twice} records were seen twice",)
    return Report(benchmark="rebalance", what=what, figures=tuple(figures), notes=notes_)


def _drain(asked: BenchNode, which: BenchNode, body: dict[str, bool]) -> None:
    """Have one node told by another to drain, and wait until the shards have found their places."""
    with urllib.request.urlopen(asked.url + NODES, timeout=10) as answer:
        [incarnation] = [each["incarnation"] for each in json.load(answer)["nodes"] if each["url"] == which.url]
    path = f"{asked.url}{NODES}/{incarnation}/drain"
    with urllib.request.urlopen(path, json.dumps(body).encode(), timeout=10) as answer:
        answer.read()
