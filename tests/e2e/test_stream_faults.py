"""Streams that are split, mappings that fail, and what vanishes under a mapping while it works."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import redis

from eventrouter.store.embedded import socket_path
from tests.chaos.servers import ValkeyProcess
from tests.e2e.accounts import Notes
from tests.e2e.nodes import NodeProcess, wait_until
from tests.e2e.streams import RAISES_ON_POISON, READER, Bench, Reader, Stream, a_bench

WAITS = """
def behave(batch, event):
    gate("go")
"""


def test_a_stream_maps_to_a_function_once(bench: Bench) -> None:
    stream, reader = bench.stream(), bench.reader()
    mapping = bench.map(stream, reader)

    with pytest.raises(bench.lambda_.exceptions.ResourceConflictException) as caught:
        bench.map(stream, reader)

    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 409
    assert caught.value.response["Error"]["Message"] == (
        f'The event source arn (" {stream.arn} ") and function (" {reader.name} ") provided mapping already exists. '
        f"Please update or delete the existing mapping with UUID {mapping}"
    )


def test_a_function_may_be_told_of_failed_batches(bench: Bench, notes: Notes) -> None:
    told = bench.account.function(
        "import json, os\n\ndef handler(event, context):\n"
        f"    with open({notes.path!r} + '/told', 'w') as file:\n        file.write(json.dumps(event))\n"
    )
    arn = f"arn:aws:lambda:us-east-1:{bench.account.id}:function:{told}"
    stream, reader = bench.stream(), bench.reader(RAISES_ON_POISON)
    [poison] = stream.put("poison")

    bench.map(stream, reader, MaximumRetryAttempts=0, DestinationConfig={"OnFailure": {"Destination": arn}})

    [line] = wait_until("the record", lambda: notes.lines("told"))
    record = json.loads(line)
    assert record["requestContext"]["condition"] == "RetryAttemptsExhausted"
    assert record["KinesisBatchInfo"]["startSequenceNumber"] == poison


def test_a_poison_record_blocks_its_shard_and_no_other(bench: Bench) -> None:
    stream, reader = bench.stream(shards=2), bench.reader(RAISES_ON_POISON)
    first, second = stream.open_shards()
    keys = {"first": _key_of(stream, first), "second": _key_of(stream, second)}
    mapping = bench.map(stream, reader, BatchSize=1)
    stream.put("poison", "behind", key=keys["first"])
    bench.wait_result(mapping, "PROBLEM: Function call failed")

    stream.put("free 1", "free 2", key=keys["second"])

    reader.wait_for("free 1", "free 2")
    assert "behind" not in reader.values
    bench.update(mapping, MaximumRetryAttempts=0)
    reader.wait_for("behind")
    bench.wait_result(mapping, "OK")


def _key_of(stream: Stream, shard: dict[str, Any]) -> str:
    """Return a partition key that leads to this shard."""
    for number in range(100):
        answer = stream.kinesis.put_record(StreamName=stream.name, PartitionKey=f"k{number}", Data=b"to find a key")
        if answer["ShardId"] == shard["ShardId"]:
            return f"k{number}"
    raise AssertionError(f"no key leads to {shard}")


def test_records_flow_in_order_while_their_shards_are_split_and_merged(bench: Bench) -> None:
    stream, reader = bench.stream(shards=2), bench.reader()
    bench.map(stream, reader, BatchSize=7)
    keys = [f"key{number}" for number in range(12)]
    is_over = threading.Event()
    put: list[int] = []

    def keep_putting() -> None:
        while not is_over.is_set():
            number = len(put)
            stream.put_keyed(*((key, f"{key} {number}") for key in keys))
            put.append(number)

    def wait_for_more() -> None:
        so_far = len(put)
        wait_until("more records", lambda: producer.done() or len(put) >= so_far + 3)

    with ThreadPoolExecutor(1) as producers:
        producer = producers.submit(keep_putting)
        try:
            for change in (_split_first, _split_first, _merge_first, _merge_first, _split_first):
                wait_for_more()
                change(stream)
                stream.wait_active()
            wait_for_more()
        finally:
            is_over.set()
        producer.result(10)
    total = len(put)
    wait_until("all records", lambda: len(reader.values) >= total * len(keys), seconds=20)
    for key in keys:
        mine = [int(value.split()[1]) for value in reader.values if value.startswith(f"{key} ")]
        assert mine == list(range(total))


def _split_first(stream: Stream) -> None:
    stream.split(stream.open_shards()[0])


def _merge_first(stream: Stream) -> None:
    """Merge the first two shards that are neighbours."""
    by_start = sorted(stream.open_shards(), key=lambda shard: int(shard["HashKeyRange"]["StartingHashKey"]))
    stream.merge(by_start[0], by_start[1])


def test_the_last_processing_result_says_what_became_of_the_latest_batch(bench: Bench) -> None:
    stream, reader = bench.stream(), bench.reader(RAISES_ON_POISON)
    mapping = bench.map(stream, reader, MaximumRetryAttempts=0)
    assert (bench.show(mapping) or {})["LastProcessingResult"] == "No records processed"

    stream.put("fine")
    bench.wait_result(mapping, "OK")
    stream.put("poison")
    bench.wait_result(mapping, "PROBLEM: Function call failed")
    bench.account.reserve(reader.name, 0)
    stream.put("throttled")
    bench.wait_result(mapping, "PROBLEM: Function call was throttled")
    assert "throttled" not in reader.values
    bench.lambda_.delete_function_concurrency(FunctionName=reader.name)
    reader.wait_for("throttled")  # no attempt was used up
    bench.wait_result(mapping, "OK")


def test_a_function_that_is_deleted_while_it_runs_a_batch_is_waited_for(bench: Bench) -> None:
    stream, reader = bench.stream(), bench.reader(WAITS)
    mapping = bench.map(stream, reader)
    stream.put("running")
    reader.wait_for("running")

    bench.lambda_.delete_function(FunctionName=reader.name)
    reader.notes.write("go")

    stream.put("waiting")
    bench.wait_result(mapping, "PROBLEM: Function not found")
    assert (bench.show(mapping) or {})["State"] == "Enabled"
    bench.account.function(READER + WAITS, FunctionName=reader.name, Environment=_environment(reader))
    wait_until("the waiting record", lambda: "waiting" in reader.values)
    bench.wait_result(mapping, "OK")
    assert reader.values == ["running", "waiting"]


def _environment(reader: Reader) -> dict[str, Any]:
    return {"Variables": {"NOTES": reader.notes.path}}


def test_a_stream_that_is_deleted_and_made_again_is_read_from_its_start(bench: Bench) -> None:
    stream, reader = bench.stream(), bench.reader()
    mapping = bench.map(stream, reader, StartingPosition="LATEST")
    stream.put("first life")
    reader.wait_for("first life")

    bench.kinesis.delete_stream(StreamName=stream.name)

    bench.wait_result(mapping, "PROBLEM: Stream not found")
    again = bench.stream(name=stream.name)
    again.put("second life")
    reader.wait_for("second life")
    bench.wait_result(mapping, "OK")
    assert reader.values == ["first life", "second life"]


def test_a_mapping_that_is_deleted_in_flight_ends_its_batch_and_leaves_nothing(bench: Bench, node: NodeProcess) -> None:
    stream, reader = bench.stream(), bench.reader(WAITS)
    mapping = bench.map(stream, reader, BatchSize=1)
    stream.put("running", "never run")
    reader.wait_for("running")
    with redis.Redis(unix_socket_path=str(socket_path(node.data_dir.absolute() / "valkey"))) as client:
        assert list(client.scan_iter(f"*{mapping}*", count=1_000)) != []

        bench.delete(mapping)

        assert (bench.show(mapping) or {})["State"] == "Deleting"
        reader.notes.write("go")
        bench.wait_gone(mapping)
        assert [end["values"] for end in reader.ends] == [["running"]]
        assert reader.values == ["running"]
        for tombstone in client.scan_iter(f"*{mapping}*", count=1_000):
            assert list(client.hgetall(tombstone)) in ([b"gone"], [b""])
            assert 0 < client.ttl(tombstone) <= 600
        for key in client.scan_iter(count=1_000, _type="hash"):
            assert not client.hexists(key, mapping), f"{key!r} still knows of it"


MEBIBYTE = 1_048_576
NOTES_LENGTHS = """
import json, os

def handler(event, context):
    with open(os.path.join(os.environ["NOTES"], "lengths"), "a") as file:
        file.write(json.dumps([len(record["kinesis"]["data"]) for record in event["Records"]]) + "\\n")
"""


def test_large_records_make_batches_of_six_megabytes_at_most(bench: Bench) -> None:
    stream, notes = bench.stream(), bench.reader().notes
    name = bench.account.function(NOTES_LENGTHS, Environment={"Variables": {"NOTES": notes.path}})
    for _ in range(2):
        stream.put(*[b"x" * (MEBIBYTE - 1)] * 5)

    bench.map(stream, Reader(name, notes), BatchSize=10_000)

    wait_until("all records", lambda: sum(map(len, _lengths(notes))) >= 10)
    assert [len(batch) for batch in _lengths(notes)] == [4, 4, 2]
    assert all(sum(batch) <= 6 * MEBIBYTE for batch in _lengths(notes))


def _lengths(notes: Notes) -> list[list[int]]:
    return [json.loads(line) for line in notes.lines("lengths")]


def test_a_subscriber_beside_a_mapping_is_given_the_same_records(bench: Bench) -> None:
    stream, reader = bench.stream(), bench.reader()
    bench.map(stream, reader)
    consumer = bench.kinesis.register_stream_consumer(StreamARN=stream.arn, ConsumerName="beside")["Consumer"]
    answer = bench.kinesis.subscribe_to_shard(
        ConsumerARN=consumer["ConsumerARN"],
        ShardId=stream.open_shards()[0]["ShardId"],
        StartingPosition={"Type": "TRIM_HORIZON"},
    )
    sequences = stream.put("a", "b", "c")

    seen: list[tuple[str, bytes]] = []
    for event in answer["EventStream"]:
        records = event.get("SubscribeToShardEvent", {}).get("Records", [])
        seen += [(record["SequenceNumber"], record["Data"]) for record in records]
        if len(seen) >= 3:
            break
    answer["EventStream"].close()

    assert seen == list(zip(sequences, (b"a", b"b", b"c"), strict=True))
    reader.wait_for("a", "b", "c")


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[NodeProcess, NodeProcess]]:
    """Two nodes on one server."""
    valkey = ValkeyProcess(tmp_path).start()
    nodes = [NodeProcess(tmp_path / name, redis_url=valkey.url) for name in ("one", "two")]
    try:
        yield nodes[0].start(), nodes[1].start()
    finally:
        for node in nodes:
            node.stop()
        valkey.kill()


def test_two_nodes_share_the_shards_and_one_goes_on_alone(pair: tuple[NodeProcess, NodeProcess]) -> None:
    one, two = pair
    with a_bench(one.url) as bench:
        stream, reader = bench.stream(shards=4), bench.reader()
        bench.map(stream, reader)
        keys = [_key_of(stream, shard) for shard in stream.open_shards()]
        put: list[int] = []

        def put_round() -> None:
            stream.put_keyed(*((key, f"{key} {len(put)}") for key in keys))
            put.append(len(put))

        def have_both_run() -> bool:
            put_round()
            reader.wait_for(*(f"{key} {put[-1]}" for key in keys))
            return all(node.metric("Invocations", reader.name) > 0 for node in pair)

        wait_until("both nodes to read", have_both_run, poll_s=0.2)
        two.terminate()
        assert two.process.wait(20) == 0

        put_round()
        reader.wait_for(*(f"{key} {put[-1]}" for key in keys))
        for key in keys:
            assert [int(value.split()[1]) for value in reader.values if value.startswith(f"{key} ")] == put
