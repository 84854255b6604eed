"""A server whose tests travel in time: over HTTP, from any language, with functions in real processes."""

from __future__ import annotations

import json
import urllib.error
import urllib.request

import pytest

from eventrouter.cli import main
from eventrouter.testing.server import NodeProcess

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

CODE = """
import json, time

def fail(event, context):
    raise ValueError("no")

def batch(event, context):
    return {"batchItemFailures": []}
"""
ROLE = "arn:aws:iam::000000000000:role/r"


@pytest.fixture(scope="module")
def node():
    with NodeProcess(clock="virtual") as started:
        folder = started.folder / "code"
        folder.mkdir()
        (folder / "app.py").write_text(CODE)
        client = started.client("lambda")
        for name in ("fail", "batch"):
            client.create_function(
                FunctionName=name,
                Runtime="python3.11",
                Role=ROLE,
                Handler=f"app.{name}",
                Code={"S3Bucket": "hot-reload", "S3Key": str(folder)},
            )
            client.get_waiter("function_active_v2").wait(FunctionName=name)
        yield started


def advance(node, **journey):
    request = urllib.request.Request(
        f"{node.url}/_eventrouter/clock/advance", data=json.dumps(journey).encode(), method="POST"
    )
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def now_ms(node):
    with urllib.request.urlopen(f"{node.url}/_eventrouter/clock") as answer:
        return json.load(answer)["now_ms"]


def starts(node, function, request_id):
    """Return when the attempts of an event began, in seconds since the first, by the node's history."""
    with urllib.request.urlopen(f"{node.url}/_eventrouter/explain/{request_id}") as answer:
        told = json.load(answer)
    begun = [each["at_ms"] for each in told["history"] if each["step"] == "invoked"]
    return [(at - begun[0]) / 1_000 for at in begun]


def test_three_attempts_take_three_minutes_of_virtual_time(node):
    answer = node.client("lambda").invoke(FunctionName="fail", InvocationType="Event", Payload=b"{}")
    request_id = answer["ResponseMetadata"]["RequestId"]

    advance(node, seconds=59)
    before = starts(node, "fail", request_id)
    advance(node, seconds=31)
    after_90_s = starts(node, "fail", request_id)
    advance(node, until="idle")
    at_the_end = starts(node, "fail", request_id)

    assert before == [0]
    assert after_90_s == pytest.approx([0, 60], abs=1)
    assert at_the_end == pytest.approx([0, 60, 180], abs=1)


def test_the_nodes_time_is_what_it_was_advanced_to(node):
    before = now_ms(node)

    answer = advance(node, seconds=86_400)

    assert answer["virtual"] is True
    assert answer["now_ms"] - before == pytest.approx(86_400_000, abs=5_000)
    assert now_ms(node) >= answer["now_ms"]


def test_a_delayed_message_and_a_batch_window_are_travelled_through(node):
    sqs, functions = node.client("sqs"), node.client("lambda")
    url = sqs.create_queue(QueueName="jobs", Attributes={"VisibilityTimeout": "30"})["QueueUrl"]
    mapping = functions.create_event_source_mapping(
        FunctionName="batch",
        EventSourceArn="arn:aws:sqs:us-east-1:000000000000:jobs",
        BatchSize=100,
        MaximumBatchingWindowInSeconds=120,
    )
    advance(node, seconds=1)
    assert functions.get_event_source_mapping(UUID=mapping["UUID"])["State"] == "Enabled"

    message = sqs.send_message(QueueUrl=url, MessageBody="{}", DelaySeconds=600)["MessageId"]
    advance(node, until="idle")

    with urllib.request.urlopen(f"{node.url}/_eventrouter/explain/{message}") as answer:
        steps = [each["step"] for each in json.load(answer)["history"]]
    assert "succeeded" in steps
    counts = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert (counts["ApproximateNumberOfMessages"], counts["ApproximateNumberOfMessagesNotVisible"]) == ("0", "0")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"{}", "one of"),
        (b'{"seconds": 1, "until": "idle"}', "one of"),
        (b'{"until": "tomorrow"}', "tomorrow"),
        (b'{"seconds": -1}', "-1"),
        (b'{"seconds": 1e300}', "1e+300"),
        (b'{"minutes": 1}', "minutes"),
        (b"no", "the body must be"),
    ],
)
def test_a_journey_that_cannot_be_is_refused_with_the_reason(node, body, reason):
    request = urllib.request.Request(f"{node.url}/_eventrouter/clock/advance", data=body, method="POST")

    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request)

    assert refused.value.code == 400
    assert reason in json.load(refused.value)["message"]


def test_the_command_line_shows_the_time_and_advances_it(node, capsys):
    assert main(["clock", "now", "--url", node.url, "--json"]) == 0
    before = json.loads(capsys.readouterr().out)["now_ms"]
    assert main(["clock", "advance", "90s", "--url", node.url, "--json"]) == 0
    after = json.loads(capsys.readouterr().out)["now_ms"]
    assert main(["clock", "advance", "--until", "idle", "--url", node.url]) == 0
    assert capsys.readouterr().out.startswith("20")

    assert after - before >= 90_000


@pytest.mark.parametrize("arguments", [["soon"], ["90s", "--until", "idle"], []])
def test_the_command_line_refuses_what_is_no_duration(arguments, capsys):
    assert main(["clock", "advance", *arguments]) == 2
    assert "90s" in capsys.readouterr().err


def test_a_node_that_keeps_the_machines_time_does_not_travel():
    with NodeProcess() as node, pytest.raises(urllib.error.HTTPError) as refused:
        advance(node, seconds=1)

    assert refused.value.code == 409
    assert "--clock virtual" in json.load(refused.value)["message"]
