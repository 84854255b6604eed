"""`eventrouter explain` against a node that runs as a process of its own."""

import base64
import json
import re
import threading
import time
import urllib.request

import pytest

from eventrouter.cli.client import NodeClient, Refused
from eventrouter.cli.explain import facts_text
from tests.cli.dev_node import DevNode

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

BROKEN = "def handler(event, context):\n    raise ValueError('broken')\n"
FINE = "def handler(event, context):\n    return event\n"
PATIENCE_S = 30
SQS = "AmazonSQS."
ARN = "arn:aws:sqs:us-east-1:000000000000:"


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    started = DevNode(tmp_path_factory.mktemp("explain") / "data")
    try:
        yield started
    finally:
        assert started.stop() == 0, started.log.read_text()[-4000:]


@pytest.fixture
def client(node):
    opened = NodeClient(node.url)
    yield opened
    opened.close()


def explained(client, subject, *, until):
    """Return the explanation of `subject` once its history ends with the step `until`."""
    pause, deadline = threading.Event(), time.monotonic() + PATIENCE_S
    while True:
        try:
            told = client.get(f"/_eventrouter/explain/{urllib.request.quote(subject, safe='')}")
        except Refused:
            told = {"history": []}
        if told["history"] and told["history"][-1]["step"] == until:
            return told
        assert time.monotonic() < deadline, json.dumps(told)
        pause.wait(0.02)


def send_event(node, name):
    request = urllib.request.Request(
        f"{node.url}/2015-03-31/functions/{name}/invocations",
        data=b"{}",
        headers={"X-Amz-Invocation-Type": "Event"},
    )
    with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
        return answer.headers["x-amzn-requestid"]


def test_an_event_that_failed_tells_its_past_and_its_future(node, client, cli, tmp_path):
    node.create("broken", BROKEN, tmp_path)
    request_id = send_event(node, "broken")
    explained(client, request_id, until="scheduled")

    code, out, _ = cli("explain", request_id)

    assert code == 0
    lines = out.splitlines()
    assert lines[:2] == [f"event {request_id}", "now: waits for attempt 2 of 3 of broken"]
    shown = [line.split()[1] for line in lines if re.match(r"  \d{4}-", line)]
    assert shown[:4] == ["accepted", "invoked", "failed", "scheduled"]
    assert "attempt 2 of 3 is due" in out
    assert "Up to 2 retries after function errors, 1 and then 2 minutes later" in out
    assert out.count("Up to 2 retries after function errors") == 1
    assert re.search(r"failed  duration=\d+\.\dms  environment=\S+  error=ValueError", out)
    assert "Counted by the store: claims by nodes 1, function errors 1." in out


def test_the_explanation_comes_as_json(node, client, cli, tmp_path):
    node.create("fine", FINE, tmp_path)
    request_id = send_event(node, "fine")
    explained(client, request_id, until="succeeded")

    code, out, _ = cli("explain", request_id, "--json")

    assert code == 0
    told = json.loads(out)
    assert [each["step"] for each in told["history"]] == ["accepted", "invoked", "succeeded"]
    assert {each["node"] for each in told["history"]} == {client.get("/_eventrouter/health")["incarnation"]}
    assert told["history"][0]["rule"].startswith("The event was stored before the caller got its 202")


def test_what_nobody_knows_is_an_error(cli):
    code, out, err = cli("explain", "no-such-thing")

    assert (code, out) == (1, "")
    assert "nothing is known of no-such-thing" in err


def test_a_message_is_followed_through_its_mapping_to_the_dead_letter_queue(node, client, cli, tmp_path):
    node.create("receiver", BROKEN, tmp_path)
    client.call("sqs", f"{SQS}CreateQueue", {"QueueName": "explained-dead"})
    policy = json.dumps({"deadLetterTargetArn": f"{ARN}explained-dead", "maxReceiveCount": 1})
    attributes = {"RedrivePolicy": policy, "VisibilityTimeout": "1"}
    url = client.call("sqs", f"{SQS}CreateQueue", {"QueueName": "explained", "Attributes": attributes})["QueueUrl"]
    node.request("PUT", "/2015-03-31/functions/receiver/configuration", {"Timeout": 1})
    mapping = node.request(
        "POST",
        "/2015-03-31/event-source-mappings",
        {"FunctionName": "receiver", "EventSourceArn": f"{ARN}explained", "BatchSize": 1},
    )
    message_id = client.call("sqs", f"{SQS}SendMessage", {"QueueUrl": url, "MessageBody": "hello"})["MessageId"]

    told = explained(client, message_id, until="redriven")

    steps = [each["step"] for each in told["history"]]
    assert steps == ["received", "batch_formed", "invoked", "failed", "returned", "redriven"]
    assert told["now"] == "visible in explained-dead"
    assert told["history"][-1]["facts"]["to"] == f"{ARN}explained-dead"
    node.request("DELETE", f"/2015-03-31/event-source-mappings/{mapping['UUID']}")


def test_records_that_an_operator_skips_are_told(node, client, cli, tmp_path):
    node.create("stuck", BROKEN, tmp_path)
    client.call("kinesis", "Kinesis_20131202.CreateStream", {"StreamName": "stuck", "ShardCount": 1}, version="1.1")
    arn = "arn:aws:kinesis:us-east-1:000000000000:stream/stuck"
    members = {"FunctionName": "stuck", "EventSourceArn": arn, "StartingPosition": "TRIM_HORIZON"}
    uuid = node.request("POST", "/2015-03-31/event-source-mappings", members)["UUID"]
    put = {"StreamName": "stuck", "PartitionKey": "k", "Data": base64.b64encode(b"x").decode()}
    answer = client.call("kinesis", "Kinesis_20131202.PutRecord", put, version="1.1")
    record = f"{answer['ShardId']}:{answer['SequenceNumber']}"
    explained(client, record, until="scheduled")

    assert cli("mappings", "pause", uuid)[0] == 0
    assert cli("mappings", "unblock", uuid, "--skip")[0] == 0

    told = explained(client, record, until="skipped")
    assert told["now"].startswith("resolved: the checkpoint is past it")


def test_a_node_shows_its_own_decisions_one_after_the_other(client):
    everything = client.get("/_eventrouter/history")
    assert everything["forgotten"] == 0
    numbers = [each["number"] for each in everything["decisions"]]
    assert numbers == list(range(len(numbers)))

    two = client.get("/_eventrouter/history?since=1&limit=2")
    assert [each["number"] for each in two["decisions"]] == numbers[1:3]
    with pytest.raises(Refused, match="BadRequest"):
        client.get("/_eventrouter/history?since=x")
    assert client.request("POST", "/_eventrouter/history", body=b"{").status == 400
    assert client.request("POST", "/_eventrouter/explain/x").status == 405


def test_facts_are_shown_as_what_they_are():
    facts = {"due_at_ms": 1_767_225_600_000, "duration_ms": 1.26, "records": 3, "destination": None, "reason": "busy"}

    assert facts_text(facts) == "due=2026-01-01T00:00:00.000Z  duration=1.3ms  records=3  reason=busy"
