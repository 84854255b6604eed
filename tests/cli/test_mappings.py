"""`eventrouter mappings` against a node that runs as a process of its own."""

import base64
import json
import re
import threading
import time
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from eventrouter.cli.client import NodeClient, Refused
from eventrouter.cli.mappings import short
from tests.cli.dev_node import DevNode

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

SHARD = "shardId-000000000000"
KEEP = """
import base64
def handler(event, context):
    for record in event["Records"]:
        value = base64.b64decode(record["kinesis"]["data"]).decode()
        print("seen", value)
        if value == "poison":
            raise ValueError(value)
"""
PATIENCE_S = 30


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    started = DevNode(tmp_path_factory.mktemp("mappings") / "data")
    try:
        yield started
    finally:
        assert started.stop() == 0, started.log.read_text()[-4000:]


@pytest.fixture
def client(node):
    opened = NodeClient(node.url)
    yield opened
    opened.close()


def until(holds, what):
    """Wait until `holds()`."""
    pause, deadline = threading.Event(), time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline, json.dumps(what())
        pause.wait(0.02)


@dataclass
class Feed:
    """A stream that feeds a function which prints the data it sees and fails at `poison`."""

    client: NodeClient
    stream: str
    uuid: str
    forgotten: int = 0
    sequences: list[str] = field(default_factory=list)

    def put(self, *values: str) -> None:
        for value in values:
            members = {
                "StreamName": self.stream,
                "PartitionKey": "key",
                "Data": base64.b64encode(value.encode()).decode(),
            }
            answer = self.client.call("kinesis", "Kinesis_20131202.PutRecord", members, version="1.1")
            self.sequences.append(answer["SequenceNumber"])

    def progress(self) -> Any:
        return self.client.get(f"/_eventrouter/mappings/{self.uuid}")

    @property
    def seen(self) -> list[str]:
        """Return what the function has printed since `forget`."""
        return self._printed()[self.forgotten :]

    def _printed(self) -> list[str]:
        members = {"logGroupName": f"/aws/lambda/{self.stream}"}
        try:
            events = self.client.call("logs", "Logs_20140328.FilterLogEvents", members, version="1.1")["events"]
        except Refused:
            return []  # the group is made with the first line
        lines = [event["message"].split() for event in events]
        return [words[1] for words in lines if words[:1] == ["seen"]]

    def wait_seen(self, *values: str) -> None:
        until(lambda: self.seen == list(values), lambda: self.seen)

    def wait_resolved(self) -> None:
        """Wait until the checkpoint is at the newest record."""
        until(lambda: self.progress()["shards"][0]["behind_ms"] == 0, self.progress)

    def forget(self) -> None:
        self.forgotten = len(self._printed())

    @property
    def state(self) -> str:
        return str(self.client.get(f"/2015-03-31/event-source-mappings/{self.uuid}")["State"])


@pytest.fixture
def feed(node, client, cli, tmp_path):
    name = f"feed-{uuid.uuid4().hex[:12]}"
    node.create(name, KEEP, tmp_path)
    client.call("kinesis", "Kinesis_20131202.CreateStream", {"StreamName": name, "ShardCount": 1}, version="1.1")
    mapping = node.request(
        "POST",
        "/2015-03-31/event-source-mappings",
        {
            "FunctionName": name,
            "EventSourceArn": f"arn:aws:kinesis:us-east-1:000000000000:stream/{name}",
            "StartingPosition": "TRIM_HORIZON",
            "BatchSize": 1,
        },
    )
    made = Feed(client=client, stream=name, uuid=mapping["UUID"])
    until(lambda: made.state == "Enabled", lambda: made.state)
    yield made
    node.request("DELETE", f"/2015-03-31/event-source-mappings/{made.uuid}")


def test_mappings_are_listed(cli, feed):
    code, out, err = cli("mappings", "ls")

    assert (code, err) == (0, "")
    [line] = [line.split("  ") for line in out.splitlines() if line.startswith(feed.uuid)]
    assert line[1] == "Enabled"
    assert feed.stream in line
    code, out, _ = cli("mappings", "ls", "--json")
    assert code == 0
    assert feed.uuid in {mapping["UUID"] for mapping in json.loads(out)}


def test_each_shard_is_one_line(cli, feed):
    feed.put("a")
    feed.wait_resolved()

    code, out, err = cli("mappings", "show", feed.uuid)

    assert (code, err) == (0, "")
    [line] = [line for line in out.splitlines() if line.startswith(SHARD)]
    assert len(line) <= 88
    assert re.fullmatch(SHARD + r" +\d\d:\d\d:\d\dZ +at the end +0\.0 s +0 +127\.0\.0\.1:\d+", line), line
    assert "blocked" in out
    assert "next attempt" not in out, "nothing is blocked"


def test_a_blocked_shard_shows_why_and_when_it_is_tried_next(cli, feed):
    feed.put("a", "poison", "behind")
    until(lambda: feed.progress()["shards"][0]["blocked_by"], feed.progress)

    code, out, _ = cli("mappings", "show", feed.uuid)

    assert code == 0
    [line] = [line for line in out.splitlines() if line.startswith(f"{SHARD}  ")]
    assert "Function call failed" in line
    assert "1 of 1 shards" in out
    times = re.findall(r"\d\d:\d\d:\d\dZ", line)
    assert len(times) == 4, "the head, the first record that is not resolved, blocked since, next attempt"
    assert f"before {times[1]}" in line
    assert times[2] <= times[3] or times[3] < "00:01", "unless midnight lies between them"
    lines = out.splitlines()
    pending = lines[lines.index(f"{SHARD} lane 0") + 1]
    assert re.fullmatch(rf"  (next|in flight) +{feed.sequences[1]}  failed \d+x", pending)
    assert all(len(each) <= 80 for each in lines[lines.index(f"{SHARD} lane 0") :])
    code, out, _ = cli("mappings", "show", feed.uuid, "--json")
    [shard] = json.loads(out)["shards"]
    assert shard["checkpoint"] == feed.sequences[0]
    assert shard["unresolved"]["sequence"] == feed.sequences[1]
    assert shard["head"]["sequence"] == feed.sequences[2]
    assert shard["behind_ms"] > 0
    assert shard["next_try_ms"] > shard["blocked_since_ms"] > 0


@pytest.mark.parametrize(
    ("milliseconds", "shown"), [(None, None), (0, "1970-01-01T00:00Z"), (1_767_608_427_102, "2026-01-05T10:20Z")]
)
def test_times_of_other_days_keep_their_date(milliseconds, shown):
    assert short(milliseconds) == shown


def test_a_blocked_shard_goes_on_without_what_is_skipped(cli, feed):
    feed.put("a", "poison", "behind")
    until(lambda: feed.progress()["shards"][0]["blocked_by"], feed.progress)
    assert cli("mappings", "unblock", feed.uuid)[0] == 2, "it must be said that records are skipped"

    code, out, err = cli("mappings", "unblock", feed.uuid, "--skip", "--json")

    assert (code, err) == (0, "")
    [skipped] = json.loads(out)["skipped"]
    assert (skipped["shard"], skipped["first"], skipped["last"]) == (SHARD, feed.sequences[1], feed.sequences[1])
    feed.wait_resolved()
    until(lambda: [value for value in feed.seen if value != "poison"] == ["a", "behind"], lambda: feed.seen)
    assert feed.state == "Enabled"
    assert cli("mappings", "unblock", feed.uuid, "--skip") == (0, "nothing is blocked: nothing was skipped\n", "")


def test_what_is_skipped_is_named_by_its_full_numbers(cli, feed):
    feed.put("poison")
    until(lambda: feed.progress()["shards"][0]["blocked_by"], feed.progress)

    code, out, _ = cli("mappings", "unblock", feed.uuid, "--skip", "--shard", SHARD)

    assert code == 0
    place, skipped = out.splitlines()
    assert place == f"{SHARD} lane 0"
    assert re.fullmatch(rf"  skipped +{feed.sequences[0]}  failed \d+x", skipped)


def test_dead_letters_include_where_a_mapping_sends_what_it_gives_up(cli, client, node, feed):
    queue = client.call("sqs", "AmazonSQS.CreateQueue", {"QueueName": f"{feed.stream}-failed"})
    assert queue["QueueUrl"]
    arn = f"arn:aws:sqs:us-east-1:000000000000:{feed.stream}-failed"
    path = f"/2015-03-31/event-source-mappings/{feed.uuid}"
    node.request("PUT", path, {"DestinationConfig": {"OnFailure": {"Destination": arn}}})

    code, out, _ = cli("dlq", "ls", "--json")

    assert code == 0
    [row] = [row for row in json.loads(out)["targets"] if row["target"] == arn]
    assert row["used_by"] == [f"{feed.stream} (on failure of stream/{feed.stream})"]
    assert row["messages"] == 0


def test_a_paused_mapping_goes_on_at_the_same_place(cli, feed):
    feed.put("a")
    feed.wait_seen("a")
    feed.wait_resolved()

    assert cli("mappings", "pause", feed.uuid) == (0, f"paused  {feed.uuid}\n", "")
    feed.put("b", "c")
    assert feed.seen == ["a"]
    code, out, _ = cli("mappings", "resume", feed.uuid, "--json")

    assert (code, json.loads(out)["State"]) == (0, "Enabled")
    feed.wait_seen("a", "b", "c")


def test_a_rewind_to_a_sequence_number_repeats_exactly_from_there(cli, feed):
    feed.put("a", "b", "c")
    feed.wait_seen("a", "b", "c")
    feed.wait_resolved()
    feed.forget()

    code, out, err = cli("mappings", "rewind", feed.uuid, "--to", feed.sequences[1])

    assert (code, err) == (0, "")
    assert out.splitlines()[:2] == [SHARD, f"  was behind      {feed.sequences[2]}"]
    feed.wait_seen("b", "c")
    assert feed.state == "Enabled"


def test_a_rewind_to_a_time_repeats_exactly_from_there(cli, feed):
    feed.put("a")
    feed.wait_resolved()
    since_ms = feed.progress()["shards"][0]["head"]["arrived_ms"] + 1
    until(lambda: time.time() * 1_000 > since_ms + 1, lambda: since_ms)
    feed.put("b", "c")
    feed.wait_seen("a", "b", "c")
    feed.wait_resolved()
    iso = datetime.fromtimestamp(since_ms / 1_000, UTC).isoformat()
    for place, values in ((iso, ["b", "c"]), (f"{since_ms / 1_000:.3f}", ["b", "c"]), ("0", ["a", "b", "c"])):
        feed.forget()

        code, out, _ = cli("mappings", "rewind", feed.uuid, "--to", place, "--shard", SHARD, "--json")

        assert (code, [moved["shard"] for moved in json.loads(out)["rewound"]]) == (0, [SHARD])
        feed.wait_seen(*values)
        feed.wait_resolved()


def test_a_mapping_that_was_paused_stays_so_and_one_that_ran_runs_again_after_a_mistake(cli, feed):
    code, _, err = cli("mappings", "rewind", feed.uuid, "--to", "yesterday")
    assert (code, feed.state) == (1, "Enabled")
    assert "must be a sequence number, a time such as" in err
    code, _, err = cli("mappings", "rewind", feed.uuid, "--to", "2999-01-01")
    assert (code, feed.state) == (1, "Enabled")
    assert "to '2999-01-01': is in the future" in err
    code, _, err = cli("mappings", "rewind", feed.uuid, "--to", "0", "--shard", "other")
    assert (code, feed.state) == (1, "Enabled")
    assert "the stream has no shard other" in err

    assert cli("mappings", "pause", feed.uuid)[0] == 0
    assert cli("mappings", "rewind", feed.uuid, "--to", "0")[0] == 0
    assert feed.state == "Disabled"


def test_a_node_moves_no_mapping_that_is_enabled_and_says_what_it_cannot_read(client, feed):
    path = f"/_eventrouter/mappings/{feed.uuid}"
    for method, where, body, status, told in (
        ("POST", f"{path}/rewind", b'{"to": 0}', 409, "Pause it first"),
        ("POST", f"{path}/unblock", b'{"skip": true}', 409, "Pause it first"),
        ("POST", f"{path}/unblock", b"{}", 400, "skip must be true"),
        ("POST", f"{path}/rewind", b"no", 400, "the body cannot be read"),
        ("GET", f"{path}/rewind", b"", 405, "takes POST"),
        ("GET", f"{path}/other", b"", 404, "no other"),
        ("GET", "/_eventrouter/mappings/nobody", b"", 404, "no mapping nobody"),
    ):
        with pytest.raises(Refused, match=told) as refused:
            client.request(method, where, body=body).document()
        assert refused.value.status == status


def test_what_the_node_does_not_know_is_told_in_its_words(cli, node):
    nobody = str(uuid.uuid4())

    assert cli("mappings", "show", nobody) == (1, "", f"error: ResourceNotFoundException: no mapping {nobody}\n")
    for command in (["pause"], ["resume"], ["rewind", "--to", "0"], ["unblock", "--skip"]):
        code, _, err = cli("mappings", command[0], nobody, *command[1:])
        assert code == 1
        assert err.startswith("error: ResourceNotFoundException: ")
