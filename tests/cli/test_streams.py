"""`eventrouter streams` against a node that runs as a process of its own."""

import base64
import io
import json
import sys
import uuid

import pytest

from eventrouter.cli.client import NodeClient
from tests.cli.dev_node import DevNode

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

FIRST, SECOND, THIRD, FOURTH = (f"shardId-{index:012d}" for index in range(4))


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    started = DevNode(tmp_path_factory.mktemp("streams") / "data")
    try:
        yield started
    finally:
        assert started.stop() == 0, started.log.read_text()[-4000:]


@pytest.fixture
def kinesis(node):
    """Call an operation of the streams' API."""
    client = NodeClient(node.url)
    yield lambda operation, **members: client.call("kinesis", f"Kinesis_20131202.{operation}", members, version="1.1")
    client.close()


@pytest.fixture
def stream(kinesis):
    """A stream of one shard."""
    name = f"stream-{uuid.uuid4().hex[:12]}"
    kinesis("CreateStream", StreamName=name, ShardCount=1)
    return name


def held(kinesis, stream, shard=FIRST):
    """Return the key and data of every record of a shard."""
    iterator = kinesis("GetShardIterator", StreamName=stream, ShardId=shard, ShardIteratorType="TRIM_HORIZON")
    records = kinesis("GetRecords", ShardIterator=iterator["ShardIterator"])["Records"]
    return [(record["PartitionKey"], base64.b64decode(record["Data"])) for record in records]


def test_streams_are_listed_with_their_status_and_open_shards(cli, stream):
    code, out, err = cli("streams", "ls")

    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].split("  ")[0] == "stream"
    assert [line.split()[1:] for line in lines if line.split()[0] == stream] == [
        ["ACTIVE", "PROVISIONED", "1", "0", "24"]
    ]
    code, out, _ = cli("streams", "ls", "--json")
    assert code == 0
    assert stream in {summary["StreamName"] for summary in json.loads(out)}


def test_a_record_is_put_and_its_place_is_printed(cli, kinesis, stream):
    code, out, err = cli("streams", "put", stream, '{"n": 1}', "-k", "one")

    assert (code, err) == (0, "")
    shard, sequence = out.split()
    assert shard == FIRST
    assert sequence.isdigit()
    assert held(kinesis, stream) == [("one", b'{"n": 1}')]


def test_data_may_come_from_a_file_or_stdin(cli, kinesis, stream, tmp_path, monkeypatch):
    (tmp_path / "record").write_bytes(b"\x00\xff")

    assert cli("streams", "put", stream, f"@{tmp_path / 'record'}", "-k", "file")[0] == 0
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"piped")))
    assert cli("streams", "put", stream, "-", "-k", "pipe")[0] == 0

    assert held(kinesis, stream) == [("file", b"\x00\xff"), ("pipe", b"piped")]
    code, _, err = cli("streams", "put", stream, "@nowhere")
    assert code == 2
    assert "nowhere cannot be read" in err


def test_many_records_take_a_key_each_and_are_counted_by_shard(cli, kinesis, stream):
    code, out, _ = cli("streams", "put", stream, "x", "-n", "1200")

    assert code == 0
    assert [line.split() for line in out.splitlines()] == [["shard", "records"], [FIRST, "1200"]]
    records = held(kinesis, stream)
    assert len(records) == len({key for key, _ in records}) == 1200
    code, out, _ = cli("streams", "put", stream, "x", "-n", "2", "--json")
    assert [placed["ShardId"] for placed in json.loads(out)] == [FIRST, FIRST]


def test_a_shard_is_split_in_the_middle_or_where_it_is_said_and_merged_again(cli, stream):
    code, out, err = cli("streams", "split", stream, FIRST)

    assert (code, out, err) == (0, f"opened  {SECOND}\nopened  {THIRD}\n", "")
    code, out, _ = cli("streams", "ls", stream)
    assert [line.split() for line in out.splitlines()[1:]] == [
        [FIRST, "closed", "-", "0", str(2**128 - 1)],
        [SECOND, "open", FIRST, "0", str(2**127 - 1)],
        [THIRD, "open", FIRST, str(2**127), str(2**128 - 1)],
    ]
    code, out, _ = cli("streams", "merge", stream, SECOND, THIRD, "--json")
    [merged] = json.loads(out)
    assert (code, merged["ShardId"]) == (0, FOURTH)
    assert {merged["ParentShardId"], merged["AdjacentParentShardId"]} == {SECOND, THIRD}
    code, out, _ = cli("streams", "split", stream, FOURTH, "--at", "5", "--json")
    assert [shard["HashKeyRange"]["StartingHashKey"] for shard in json.loads(out)] == ["0", "5"]


def test_what_the_node_refuses_is_told_in_its_words(cli, stream):
    assert cli("streams", "ls", "nobody")[2].startswith("error: ResourceNotFoundException: ")
    assert cli("streams", "put", "nobody", "x")[2].startswith("error: ResourceNotFoundException: ")
    code, _, err = cli("streams", "split", stream, FOURTH)
    assert (code, err.splitlines()[-1]) == (2, f"Error: {stream} has no shard {FOURTH}")
    code, _, err = cli("streams", "merge", stream, FIRST, FOURTH)
    assert code == 1
    assert err.startswith("error: ")
