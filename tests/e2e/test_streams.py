"""Stream mappings from end to end: what each setting of a mapping does to the batches that a function is given."""

from __future__ import annotations

import json
import math
import time
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

from tests.e2e.nodes import wait_until
from tests.e2e.streams import RAISES_ON_POISON, Aged, Bench

SHARD = "shardId-000000000000"


NOTES_EVENTS = """
def behave(batch, event):
    note("events", event)
"""


def test_the_mapped_function_is_invoked_with_the_records(bench: Bench) -> None:
    role = f"arn:aws:iam::{bench.account.id}:role/reads"
    stream, reader = bench.stream(), bench.reader(NOTES_EVENTS, Role=role)
    sequences = stream.put("hello", key='quoted " ключ')
    sequences += stream.put("", key="k")
    bench.map(stream, reader)

    [line] = wait_until("the event", lambda: reader.notes.lines("events"))

    arrivals = [record["ApproximateArrivalTimestamp"].timestamp() for record in stream.records()]
    assert json.loads(line, object_pairs_hook=list) == _pairs(
        {
            "Records": [
                {
                    "kinesis": {
                        "kinesisSchemaVersion": "1.0",
                        "partitionKey": key,
                        "sequenceNumber": sequence,
                        "data": data,
                        "approximateArrivalTimestamp": arrival,
                    },
                    "eventSource": "aws:kinesis",
                    "eventVersion": "1.0",
                    "eventID": f"{SHARD}:{sequence}",
                    "eventName": "aws:kinesis:record",
                    "invokeIdentityArn": role,
                    "awsRegion": "us-east-1",
                    "eventSourceARN": stream.arn,
                }
                for key, data, sequence, arrival in zip(
                    ('quoted " ключ', "k"), ("aGVsbG8=", ""), sequences, arrivals, strict=True
                )
            ]
        }
    )


def _pairs(value: dict[str, Any]) -> Any:
    """Return an object as pairs, all the way down: so the order of members counts when compared."""
    return json.loads(json.dumps(value), object_pairs_hook=list)


def test_a_paused_mapping_goes_on_where_it_stood(bench: Bench) -> None:
    stream, reader, other = bench.stream(), bench.reader(), bench.reader()
    mapping = bench.map(stream, reader)
    bench.map(stream, other)
    stream.put("before")
    reader.wait_for("before")

    bench.update(mapping, "Disabled", Enabled=False)
    stream.put("during")
    other.wait_for("during")
    assert reader.values == ["before"]
    bench.update(mapping, "Enabled", Enabled=True)

    stream.put("after")
    reader.wait_for("after")
    assert reader.values == ["before", "during", "after"]


def test_a_batch_holds_at_most_batch_size_records(bench: Bench) -> None:
    stream, reader = bench.stream(), bench.reader()
    stream.put(*"abcdefg")
    mapping = bench.map(stream, reader, BatchSize=3)
    reader.wait_for_batches(["abc", "def", "g"])

    bench.update(mapping, BatchSize=1)

    stream.put("h", "i")
    reader.wait_for_batches(["abc", "def", "g", "h", "i"])


def test_records_that_no_filter_matches_are_passed_over(bench: Bench) -> None:
    stream, reader = bench.stream(), bench.reader()
    wanted = {"Filters": [{"Pattern": json.dumps({"data": {"n": [{"numeric": [">", 1]}]}})}]}
    stream.put('{"n": 1}', '{"n": 2}', "not JSON", '{"n": 3}', '{"n": 0}')
    mapping = bench.map(stream, reader, FilterCriteria=wanted)
    reader.wait_for_batches([['{"n": 2}', '{"n": 3}']])

    bench.update(mapping, FilterCriteria={})

    stream.put('{"n": -1}')
    reader.wait_for_batches([['{"n": 2}', '{"n": 3}'], ['{"n": -1}']])


def test_the_event_count_metrics_count_the_records_of_a_mapping(bench: Bench) -> None:
    stream, reader, uncounted = bench.stream(), bench.reader(RAISES_ON_POISON), bench.reader(RAISES_ON_POISON)
    settings = {
        "BatchSize": 1,
        "MaximumRetryAttempts": 1,
        "FilterCriteria": {"Filters": [{"Pattern": json.dumps({"partitionKey": ["yes"]})}]},
    }
    stream.put_keyed(("yes", "a"), ("no", "b"), ("yes", "poison"), ("yes", "c"))
    mapping = bench.map(stream, reader, MetricsConfig={"Metrics": ["EventCount"]}, **settings)
    silent = bench.map(stream, uncounted, **settings)
    reader.wait_for("c")
    uncounted.wait_for("c")

    assert bench.event_counts(mapping) == {
        "PolledEventCount": 4,
        "FilteredOutEventCount": 1,
        "InvokedEventCount": 4,
        "FailedInvokeEventCount": 2,
        "DroppedEventCount": 1,
        "OnFailureDestinationDeliveredEventCount": 0,
    }
    assert bench.event_counts(silent) == {}


def test_a_batch_waits_for_its_window_and_no_longer(bench: Bench) -> None:
    stream, reader = bench.stream(), bench.reader()
    bench.map(stream, reader, BatchSize=3, MaximumBatchingWindowInSeconds=2)
    put_at = time.time()
    stream.put("a")
    stream.put("b")
    reader.wait_for("a", "b")
    assert reader.batches == [["a", "b"]]
    assert 2 <= reader.runs[0]["at"] - put_at < 4

    put_at = time.time()
    stream.put("c", "d", "e")

    reader.wait_for("c")
    assert reader.batches == [["a", "b"], ["c", "d", "e"]]
    assert reader.runs[1]["at"] - put_at < 2


FIRST_ONES_MEET = """
def behave(batch, event):
    if batch[0].endswith("0"):
        wait_for(lambda: count("batches") >= 4)
"""


def test_parallel_lanes_run_together_and_keep_the_order_of_each_key(bench: Bench) -> None:
    stream, reader = bench.stream(), bench.reader(FIRST_ONES_MEET)
    keys = "abcdefgh"
    stream.put_keyed(*((key, f"{key}{number}") for number in range(4) for key in keys))

    bench.map(stream, reader, BatchSize=1, ParallelizationFactor=4)

    reader.wait_for_ends(32)
    ends = {end["id"]: end["at"] for end in reader.ends}
    for key in keys:
        mine = [run for run in reader.runs if run["values"][0][0] == key]
        assert [run["values"] for run in mine] == [[f"{key}{number}"] for number in range(4)]
        assert all(ends[before["id"]] <= after["at"] for before, after in pairwise(mine))


def test_a_batch_that_is_given_up_leaves_its_record_in_the_queue(bench: Bench) -> None:
    failures = bench.account.queue()
    stream, reader = bench.stream(), bench.reader(RAISES_ON_POISON)
    first, last = stream.put("fine", "poison")
    settings = {"MaximumRetryAttempts": 1, "DestinationConfig": {"OnFailure": {"Destination": failures.arn}}}

    bench.map(stream, reader, **settings)

    body = failures.receive()["Body"]
    timestamp = json.loads(body)["timestamp"]
    arrivals = [_iso(record["ApproximateArrivalTimestamp"]) for record in stream.records()]
    assert json.loads(body, object_pairs_hook=list) == _pairs(
        {
            "requestContext": {
                "requestId": reader.runs[1]["id"],
                "functionArn": f"arn:aws:lambda:us-east-1:{bench.account.id}:function:{reader.name}",
                "condition": "RetryAttemptsExhausted",
                "approximateInvokeCount": 2,
            },
            "responseContext": {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"},
            "version": "1.0",
            "timestamp": timestamp,
            "KinesisBatchInfo": {
                "shardId": SHARD,
                "startSequenceNumber": first,
                "endSequenceNumber": last,
                "approximateArrivalOfFirstRecord": arrivals[0],
                "approximateArrivalOfLastRecord": arrivals[1],
                "batchSize": 2,
                "streamArn": stream.arn,
            },
        }
    )
    assert abs(datetime.fromisoformat(timestamp).timestamp() - time.time()) < 20
    assert len(reader.runs) == 2


def _iso(at: datetime) -> str:
    at_ms = round(at.timestamp() * 1_000)
    return f"{datetime.fromtimestamp(at_ms // 1_000, UTC):%Y-%m-%dT%H:%M:%S}.{at_ms % 1_000:03d}Z"


def test_records_over_their_maximum_age_are_given_up(aged: Aged) -> None:
    failures = aged.bench.account.queue()
    reader = aged.bench.reader()
    aged.stream.put("young")

    aged.bench.map(
        aged.stream,
        reader,
        MaximumRecordAgeInSeconds=60,
        DestinationConfig={"OnFailure": {"Destination": failures.arn}},
    )

    reader.wait_for_batches([["young"]])
    record = json.loads(failures.receive()["Body"])
    assert list(record) == ["requestContext", "version", "timestamp", "KinesisBatchInfo"]
    assert record["requestContext"]["condition"] == "RecordAgeExceeded"
    assert record["requestContext"]["approximateInvokeCount"] == 1
    info = record["KinesisBatchInfo"]
    assert (info["startSequenceNumber"], info["endSequenceNumber"]) == (aged.sequence, aged.sequence)
    assert (info["batchSize"], failures.is_empty()) == (1, True)


def test_a_failing_batch_is_halved_until_the_poison_record_stands_alone(bench: Bench) -> None:
    failures = bench.account.queue()
    stream, reader = bench.stream(), bench.reader(RAISES_ON_POISON)
    poison = stream.put("0", "1", "2", "3", "4", "poison", "6", "7")[5]

    bench.map(
        stream,
        reader,
        BisectBatchOnFunctionError=True,
        MaximumRetryAttempts=0,
        DestinationConfig={"OnFailure": {"Destination": failures.arn}},
    )

    reader.wait_for_batches(
        [
            ["0", "1", "2", "3", "4", "poison", "6", "7"],
            ["0", "1", "2", "3"],
            ["4", "poison", "6", "7"],
            ["4", "poison"],
            ["4"],
            ["poison"],
            ["6", "7"],
        ]
    )
    record = json.loads(failures.receive()["Body"])
    info = record["KinesisBatchInfo"]
    assert (info["startSequenceNumber"], info["endSequenceNumber"], info["batchSize"]) == (poison, poison, 1)
    assert record["requestContext"]["approximateInvokeCount"] == 4
    assert failures.is_empty()


def test_maximum_retry_attempts_bounds_the_tries_of_a_batch(bench: Bench) -> None:
    stream, reader = bench.stream(), bench.reader(RAISES_ON_POISON)
    mapping = bench.map(stream, reader, BatchSize=1, MaximumRetryAttempts=1)
    stream.put("poison", "behind")
    reader.wait_for_batches([["poison"], ["poison"], ["behind"]])
    assert 1 <= reader.runs[1]["at"] - reader.runs[0]["at"] < 3

    bench.update(mapping, MaximumRetryAttempts=0)

    stream.put("poison", "end")
    reader.wait_for_batches([["poison"], ["poison"], ["behind"], ["poison"], ["end"]])


COUNTS = """
def behave(batch, event):
    note("windows", {name: value for name, value in event.items() if name != "Records"})
    return {"state": {"seen": event["state"].get("seen", []) + batch}}
"""


def test_a_tumbling_window_carries_its_state_to_the_final_invocation(bench: Bench) -> None:
    stream, reader = bench.stream(), bench.reader(COUNTS)
    stream.put("a", "b", "c")

    bench.map(stream, reader, BatchSize=1, TumblingWindowInSeconds=2)

    def windows() -> list[dict[str, Any]]:
        return [json.loads(line) for line in reader.notes.lines("windows")]

    def finals() -> list[dict[str, Any]]:
        return [window for window in windows() if window["isFinalInvokeForWindow"]]

    wait_until("the end of its windows", lambda: sum(len(final["state"]["seen"]) for final in finals()) == 3)
    assert [value for final in finals() for value in final["state"]["seen"]] == ["a", "b", "c"]
    for before, window in pairwise([{"isFinalInvokeForWindow": True}, *windows()]):
        assert list(window) == [
            "window", "state", "shardId", "eventSourceARN", "isFinalInvokeForWindow", "isWindowTerminatedEarly",
        ]  # fmt: skip
        start, end = (datetime.fromisoformat(window["window"][member]) for member in ("start", "end"))
        assert (end - start, start.timestamp() % 2) == (timedelta(seconds=2), 0)
        assert (window["shardId"], window["eventSourceARN"]) == (SHARD, stream.arn)
        assert not window["isWindowTerminatedEarly"]
        assert (window["state"] == {}) == before["isFinalInvokeForWindow"]
    for run, window in zip(reader.runs, windows(), strict=True):
        assert (run["values"] == []) == window["isFinalInvokeForWindow"]


REPORTS = """
def behave(batch, event):
    numbers = [record["kinesis"]["sequenceNumber"] for record in event["Records"]]
    is_first = count("batches") == 1
    failed = [n for n, value in zip(numbers, batch) if value == "bad" or is_first and value in "32"]
    return {"batchItemFailures": [{"itemIdentifier": number} for number in reversed(failed)]}
"""


def test_reported_item_failures_are_tried_again_from_the_lowest_on(bench: Bench) -> None:
    failures = bench.account.queue()
    stream, reader = bench.stream(), bench.reader(REPORTS)
    stream.put("0", "1", "2", "3", "4")
    mapping = bench.map(
        stream,
        reader,
        FunctionResponseTypes=["ReportBatchItemFailures"],
        MaximumRetryAttempts=1,
        DestinationConfig={"OnFailure": {"Destination": failures.arn}},
    )
    reader.wait_for_batches(["01234", "234"])

    bad = stream.put("5", "bad", "7")
    record = json.loads(failures.receive()["Body"])
    assert reader.batches[2:] == [["5", "bad", "7"], ["bad", "7"]]
    assert record["responseContext"] == {"statusCode": 200, "executedVersion": "$LATEST", "functionError": None}
    info = record["KinesisBatchInfo"]
    assert (info["startSequenceNumber"], info["endSequenceNumber"]) == (bad[1], bad[2])

    bench.update(mapping, FunctionResponseTypes=[])
    stream.put("bad", "9")
    reader.wait_for("9")
    assert reader.batches[4:] == [["bad", "9"]]


def test_each_starting_position_begins_where_it_says(bench: Bench) -> None:
    stream = bench.stream()
    first, timed, latest = bench.reader(), bench.reader(), bench.reader()
    stream.put("old")
    [old] = stream.records()
    next_second = math.floor(old["ApproximateArrivalTimestamp"].timestamp()) + 1
    wait_until("the next second", lambda: time.time() >= next_second)
    stream.put("since")

    bench.map(stream, first, StartingPosition="TRIM_HORIZON")
    bench.map(stream, timed, StartingPosition="AT_TIMESTAMP", StartingPositionTimestamp=next_second)
    bench.map(stream, latest, StartingPosition="LATEST")

    stream.put("new")
    for reader, expected in ((first, ["old", "since", "new"]), (timed, ["since", "new"]), (latest, ["new"])):
        reader.wait_for("new")
        assert reader.values == expected
