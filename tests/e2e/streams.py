"""Streams of an account, functions that note what they are given, and the mappings between them."""

from __future__ import annotations

import json
import secrets
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tests.e2e.accounts import REGION, Account, Notes
from tests.e2e.nodes import shared_folder, wait_until

READER = """
import base64, json, os, time

NOTES = os.environ["NOTES"]

def note(name, value):
    with open(os.path.join(NOTES, name), "a") as file:
        file.write(json.dumps(value) + "\\n")

def count(name):
    path = os.path.join(NOTES, name)
    return len(open(path).readlines()) if os.path.exists(path) else 0

def wait_for(condition):
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)

def gate(name):
    wait_for(lambda: os.path.exists(os.path.join(NOTES, name)))

def handler(event, context):
    batch = [base64.b64decode(record["kinesis"]["data"]).decode() for record in event["Records"]]
    note("batches", {"values": batch, "at": time.time(), "id": context.aws_request_id})
    answer = behave(batch, event)
    note("ends", {"values": batch, "at": time.time(), "id": context.aws_request_id})
    return answer
"""
"""Notes each batch in the file `batches` and, unless `behave` raises, in `ends`; answers what `behave` does."""

BEHAVES = """
def behave(batch, event):
    return None
"""

RAISES_ON_POISON = """
def behave(batch, event):
    assert "poison" not in batch, "a poison record"
"""


@dataclass(frozen=True, slots=True)
class Stream:
    """One stream, and what tests do to it."""

    kinesis: Any
    name: str
    arn: str

    def put(self, *values: str | bytes, key: str = "k") -> list[str]:
        """Add records in this order, in one call; return their sequence numbers."""
        return self.put_keyed(*((key, value) for value in values))

    def put_keyed(self, *records: tuple[str, str | bytes]) -> list[str]:
        answer = self.kinesis.put_records(
            StreamName=self.name, Records=[{"PartitionKey": key, "Data": data} for key, data in records]
        )
        assert answer["FailedRecordCount"] == 0
        return [record["SequenceNumber"] for record in answer["Records"]]

    def open_shards(self) -> list[dict[str, Any]]:
        """Return the shards that take records, in the order of their ids."""
        shards = self.kinesis.list_shards(StreamName=self.name)["Shards"]
        return [shard for shard in shards if "EndingSequenceNumber" not in shard["SequenceNumberRange"]]

    def records(self, shard_id: str = "shardId-000000000000") -> list[dict[str, Any]]:
        """Return what a shard holds."""
        start = self.kinesis.get_shard_iterator(
            StreamName=self.name, ShardId=shard_id, ShardIteratorType="TRIM_HORIZON"
        )
        records: list[dict[str, Any]] = self.kinesis.get_records(ShardIterator=start["ShardIterator"])["Records"]
        return records

    def split(self, shard: dict[str, Any]) -> None:
        """Split a shard in the middle of its hash keys."""
        first, last = (int(shard["HashKeyRange"][end]) for end in ("StartingHashKey", "EndingHashKey"))
        middle = str((first + last) // 2 + 1)
        self.kinesis.split_shard(StreamName=self.name, ShardToSplit=shard["ShardId"], NewStartingHashKey=middle)

    def merge(self, one: dict[str, Any], other: dict[str, Any]) -> None:
        self.kinesis.merge_shards(
            StreamName=self.name, ShardToMerge=one["ShardId"], AdjacentShardToMerge=other["ShardId"]
        )

    def wait_active(self) -> None:
        def is_active() -> bool:
            summary = self.kinesis.describe_stream_summary(StreamName=self.name)["StreamDescriptionSummary"]
            return bool(summary["StreamStatus"] == "ACTIVE")

        wait_until(f"{self.name} to be active", is_active)


@dataclass(frozen=True, slots=True)
class Reader:
    """A function that notes its batches, and what it noted."""

    name: str
    notes: Notes

    @property
    def runs(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.notes.lines("batches")]

    @property
    def ends(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.notes.lines("ends")]

    @property
    def batches(self) -> list[list[str]]:
        return [run["values"] for run in self.runs]

    @property
    def values(self) -> list[str]:
        return [value for batch in self.batches for value in batch]

    def wait_for(self, *values: str, seconds: float = 15) -> None:
        """Wait until all of these have been in a batch."""
        wait_until(f"{values} to arrive", lambda: set(values) <= set(self.values), seconds=seconds)

    def wait_for_ends(self, count: int) -> None:
        wait_until(f"{count} batches to succeed", lambda: len(self.ends) >= count)

    def wait_for_batches(self, expected: Sequence[Sequence[str]], seconds: float = 15) -> None:
        """Wait for as many batches as these, and check that they are these."""
        wait_until(f"{len(expected)} batches", lambda: len(self.batches) >= len(expected), seconds=seconds)
        assert self.batches == [list(batch) for batch in expected]


class Bench:
    """An account with streams: `reader`, `stream` and `map` make what a test needs."""

    def __init__(self, account: Account, new_notes: Callable[[], Notes]) -> None:
        self.account = account
        self.lambda_ = account.lambda_
        self.kinesis = account.client("kinesis")
        self._new_notes = new_notes

    def stream(self, *, shards: int = 1, name: str | None = None) -> Stream:
        name = name or f"s-{secrets.token_hex(4)}"
        self.kinesis.create_stream(StreamName=name, ShardCount=shards)
        stream = Stream(self.kinesis, name, f"arn:aws:kinesis:{REGION}:{self.account.id}:stream/{name}")
        stream.wait_active()
        return stream

    def reader(self, behave: str = BEHAVES, **settings: Any) -> Reader:
        """Create a function that notes its batches and then does what `behave(batch, event)` says."""
        notes = self._new_notes()
        name = self.account.function(READER + behave, Environment={"Variables": {"NOTES": notes.path}}, **settings)
        return Reader(name, notes)

    def map(self, stream: Stream, reader: Reader, **settings: Any) -> str:
        """Map a stream to a function, from its oldest record on; return the mapping's UUID once it is enabled."""
        wanted = {"StartingPosition": "TRIM_HORIZON", **settings}
        answer = self.lambda_.create_event_source_mapping(EventSourceArn=stream.arn, FunctionName=reader.name, **wanted)
        self.wait_state(answer["UUID"], "Enabled" if settings.get("Enabled", True) else "Disabled")
        return str(answer["UUID"])

    def update(self, uuid: str, state: str = "Enabled", **settings: Any) -> None:
        """Change a mapping, and wait for the state that this leads to."""
        self.lambda_.update_event_source_mapping(UUID=uuid, **settings)
        self.wait_state(uuid, state)

    def delete(self, uuid: str) -> None:
        self.lambda_.delete_event_source_mapping(UUID=uuid)

    def show(self, uuid: str) -> dict[str, Any] | None:
        """Return a mapping as it is shown; None once it is gone."""
        try:
            answer: dict[str, Any] = self.lambda_.get_event_source_mapping(UUID=uuid)
            return answer
        except self.lambda_.exceptions.ResourceNotFoundException:
            return None

    def wait_state(self, uuid: str, state: str) -> None:
        wait_until(f"{uuid} to be {state}", lambda: (self.show(uuid) or {}).get("State") == state)

    def wait_result(self, uuid: str, text: str, seconds: float = 15) -> None:
        """Wait until this is what a mapping's latest batch came to."""
        wait_until(
            f"LastProcessingResult {text!r}",
            lambda: (self.show(uuid) or {}).get("LastProcessingResult") == text,
            seconds=seconds,
        )

    def wait_gone(self, uuid: str) -> None:
        wait_until(f"{uuid} to be gone", lambda: self.show(uuid) is None)

    def event_counts(self, uuid: str) -> dict[str, float]:
        """Return CloudWatch's metrics of a mapping, by name; empty if it has none."""
        with urllib.request.urlopen(f"{self.account.url}/metrics", timeout=10) as answer:
            lines = answer.read().decode().splitlines()
        label = f'_total{{EventSourceMappingUUID="{uuid}"}} '
        counts = (line.removeprefix("eventrouter_").split(label) for line in lines if label in line)
        return {name: float(value) for name, value in counts}


@contextmanager
def a_bench(url: str) -> Iterator[Bench]:
    """Open an account of its own on a node, with a folder of notes for each of its readers."""
    account = Account(url)
    with shared_folder() as folder:

        def new_notes() -> Notes:
            mine = folder / secrets.token_hex(4)
            mine.mkdir()
            return Notes(mine)

        bench = Bench(account, new_notes)
        try:
            yield bench
        finally:
            for mapping in bench.lambda_.list_event_source_mappings()["EventSourceMappings"]:
                bench.delete(mapping["UUID"])
            bench.kinesis.close()
            account.close()


@dataclass(frozen=True, slots=True)
class Aged:
    """A stream that a record was put to a while ago."""

    bench: Bench
    stream: Stream
    sequence: str
