"""The demo's chapter about streams: one broken record among four shards, found by bisecting, and parked."""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from handlers.demo_stage import Narrator, client, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

STREAM = "readings"
PARKING = "readings-parked"
SHARDS = 4
BATCH = 16
HALVES = [16, 8, 4, 2]
BROKEN = 12
RETRIES = 2
BACKOFFS_S = (1, 2)
PACE_S = 0.05


@dataclass(frozen=True, slots=True)
class Try:
    """One invocation, as the function noted it."""

    shard: str
    numbers: tuple[int, ...]
    first: str
    last: str
    is_well: bool
    at: float

    @classmethod
    def of(cls, line: str) -> Try:
        note = json.loads(line)
        return cls(note["shard"], tuple(note["numbers"]), note["first"], note["last"], note["isWell"], note["at"])


class StreamChapter:
    """Tell the chapter: `tell_all` runs it on a node that template.yaml is deployed to."""

    def __init__(self, url: str, folder: Path, narrator: Narrator) -> None:
        self._tell = narrator
        self._notes = folder / "readings"
        self._lambda, self._sqs, self._kinesis = (client(name, url) for name in ("lambda", "sqs", "kinesis"))
        self._written = 0

    def tell_all(self) -> None:
        tell = self._tell
        tell.chapter(f"A stream of {SHARDS} shards, one broken record in one of them")
        hash_keys = self._create_stream()
        blocked = self._write(hash_keys, BATCH)
        self._create_mapping()
        self._write_until_unblocked(hash_keys, blocked)
        wait_for("all readings", lambda: self._number_done() >= SHARDS * self._written - 1, seconds=10)
        tries = self._tries()
        self._show_bisect([each for each in tries if each.shard == blocked])
        self._show_others(tries, blocked)
        self._show_parked(tries, blocked)

    def _create_stream(self) -> list[str]:
        """Create the stream; return a hash key of each of its shards."""
        self._kinesis.create_stream(StreamName=STREAM, ShardCount=SHARDS)
        self._kinesis.get_waiter("stream_exists").wait(StreamName=STREAM, WaiterConfig={"Delay": 1})
        shards = self._kinesis.list_shards(StreamName=STREAM)["Shards"]
        return [shard["HashKeyRange"]["StartingHashKey"] for shard in shards]

    def _create_mapping(self) -> None:
        settings = {
            "StartingPosition": "TRIM_HORIZON",
            "BatchSize": BATCH,
            "BisectBatchOnFunctionError": True,
            "MaximumRetryAttempts": RETRIES,
        }
        queue = self._sqs.get_queue_url(QueueName=PARKING)["QueueUrl"]
        wanted = self._sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])
        self._lambda.create_event_source_mapping(
            EventSourceArn=self._kinesis.describe_stream_summary(StreamName=STREAM)["StreamDescriptionSummary"][
                "StreamARN"
            ],
            FunctionName=STREAM,
            DestinationConfig={"OnFailure": {"Destination": wanted["Attributes"]["QueueArn"]}},
            **settings,
        )
        self._tell.say(f"{BATCH} readings in each shard, then one more every {PACE_S * 1000:.0f} ms; the mapping has")
        for name, value in {**settings, "OnFailure": PARKING}.items():
            self._tell.show(f"{name:26}  {value}")

    def _write(self, hash_keys: Sequence[str], count: int) -> str:
        """Put the next `count` readings into every shard; return the last shard, which gets the broken one."""
        shard = ""
        for hash_key in hash_keys:
            records = [
                {
                    "Data": self._reading(number, may_break=hash_key == hash_keys[-1]),
                    "PartitionKey": "p",
                    "ExplicitHashKey": hash_key,
                }
                for number in range(self._written + 1, self._written + count + 1)
            ]
            shard = self._kinesis.put_records(StreamName=STREAM, Records=records)["Records"][-1]["ShardId"]
        self._written += count
        return shard

    def _reading(self, number: int, *, may_break: bool) -> bytes:
        celsius = None if may_break and number == BROKEN else 20.5
        return json.dumps({"number": number, "celsius": celsius, "notes": str(self._notes)}).encode()

    def _write_until_unblocked(self, hash_keys: Sequence[str], blocked: str) -> None:
        """Write to every shard until the blocked one goes on."""

        def is_unblocked() -> bool:
            self._write(hash_keys, 1)
            return any(each.is_well and each.shard == blocked and each.numbers[0] > BROKEN for each in self._tries())

        wait_for("the blocked shard to go on", is_unblocked, seconds=12, poll_s=PACE_S)

    def _show_bisect(self, tries: Sequence[Try]) -> None:
        tell = self._tell
        tell.say(f"the function fails on reading {BROKEN}; what it noted of that batch's tries, as a tree:")
        ranges = _by_range([each for each in tries if each.numbers[0] <= BATCH])
        for line in _tree(ranges, max(ranges, key=len)):
            tell.show(line)
        failed = [each for each in tries if not each.is_well]
        alone = [each.at for each in failed if len(each.numbers) == 1]
        halved = [len(each.numbers) for each in failed] == HALVES + [1] * (1 + RETRIES)
        is_quick = alone[0] - failed[0].at < min(BACKOFFS_S)
        tell.promise("a failed batch was halved, at once, until the record was alone", holds=halved and is_quick)
        waits = [later - earlier for earlier, later in pairwise(alone)]
        in_time = len(waits) == RETRIES and all(
            0 <= wait - due < 1 for wait, due in zip(waits, BACKOFFS_S, strict=True)
        )
        tell.promise(
            f"halving used no retry: the record alone was tried 1 + {RETRIES} times, 1 s and 2 s apart", holds=in_time
        )

    def _show_others(self, tries: Sequence[Try], blocked: str) -> None:
        tell = self._tell
        tell.say("the longest time without progress in each shard, while all were written to:")
        gaps = {}
        for shard in sorted({each.shard for each in tries}):
            times = [each.at for each in tries if each.shard == shard and each.is_well]
            gaps[shard] = max(later - earlier for earlier, later in pairwise(times))
            tell.show(f"{shard}  {gaps[shard] * 1000:5.0f} ms{'  blocked by the broken record' * (shard == blocked)}")
        others = [gap for shard, gap in gaps.items() if shard != blocked]
        waited = gaps[blocked] >= sum(BACKOFFS_S) and max(others) < min(BACKOFFS_S)
        tell.promise("the blocked shard waited for its record, the other shards never did", holds=waited)
        expected = list(range(1, self._written + 1))
        done = {
            shard: [number for each in tries if each.shard == shard and each.is_well for number in each.numbers]
            for shard in gaps
        }
        in_order = all(
            numbers == [number for number in expected if shard != blocked or number != BROKEN]
            for shard, numbers in done.items()
        )
        tell.promise(
            f"{SHARDS * self._written - 1} readings done, each once, in the order of their shard", holds=in_order
        )

    def _show_parked(self, tries: Sequence[Try], blocked: str) -> None:
        tell = self._tell
        tell.say("the on-failure record, read from its queue with boto3:")
        queue = self._sqs.get_queue_url(QueueName=PARKING)["QueueUrl"]
        messages = self._sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=5).get("Messages", [])
        if not messages:
            tell.promise("the record arrived", holds=False)
            return
        record = json.loads(messages[0]["Body"])
        context, batch = record["requestContext"], record["KinesisBatchInfo"]
        for name in ("condition", "approximateInvokeCount"):
            tell.show(f"{name:22}  {context[name]}")
        for name in ("shardId", "startSequenceNumber", "endSequenceNumber", "batchSize"):
            tell.show(f"{name:22}  {batch[name]}")
        poison = next(each for each in tries if not each.is_well and len(each.numbers) == 1)
        found = context["condition"], batch["shardId"], batch["startSequenceNumber"], batch["endSequenceNumber"]
        kept = found == ("RetryAttemptsExhausted", blocked, poison.first, poison.last) and batch["batchSize"] == 1
        tell.promise("it names the broken record and no other", holds=kept)
        fetched = self._fetch(batch["shardId"], batch["startSequenceNumber"])
        tell.show(f"the stream still has it: {json.dumps({name: fetched[name] for name in ('number', 'celsius')})}")
        tell.promise("the record itself can be read again from where it says", holds=fetched["number"] == BROKEN)

    def _fetch(self, shard: str, sequence: str) -> dict[str, Any]:
        iterator = self._kinesis.get_shard_iterator(
            StreamName=STREAM, ShardId=shard, ShardIteratorType="AT_SEQUENCE_NUMBER", StartingSequenceNumber=sequence
        )["ShardIterator"]
        records = self._kinesis.get_records(ShardIterator=iterator, Limit=1)["Records"]
        found: dict[str, Any] = json.loads(records[0]["Data"])
        return found

    def _tries(self) -> list[Try]:
        """Return every complete note, in the order of time."""
        text = self._notes.read_text() if self._notes.exists() else ""
        lines = text[: text.rfind("\n") + 1].splitlines()
        return sorted((Try.of(line) for line in lines), key=lambda each: each.at)

    def _number_done(self) -> int:
        return sum(len(each.numbers) for each in self._tries() if each.is_well)


Ranges = dict[tuple[int, ...], list[Try]]


def _by_range(tries: Sequence[Try]) -> Ranges:
    """Gather tries of the same readings, in order."""
    ranges: Ranges = {}
    for each in tries:
        ranges.setdefault(each.numbers, []).append(each)
    return ranges


def _tree(ranges: Ranges, numbers: tuple[int, ...], head: str = "", below: str = "") -> Iterator[str]:
    """Draw a range and, below it, the ranges that it was cut into."""
    span = f"{numbers[0]}..{numbers[-1]}" if len(numbers) > 1 else f"{numbers[0]}"
    yield f"{head + span:26}{_result(ranges[numbers])}"
    inside = [each for each in ranges if set(each) < set(numbers)]
    parts = sorted(each for each in inside if not any(set(each) < set(other) for other in inside))
    for part in parts:
        is_last = part == parts[-1]
        yield from _tree(ranges, part, below + ("└─ " if is_last else "├─ "), below + ("   " if is_last else "│  "))


def _result(tries: Sequence[Try]) -> str:
    results = ["well" if each.is_well else "failed" for each in tries]
    waits = ["", *(f" {later.at - earlier.at:.1f} s later" for earlier, later in pairwise(tries))]
    return ", ".join(result + wait for result, wait in zip(results, waits, strict=True))
