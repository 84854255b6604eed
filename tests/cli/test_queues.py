"""`eventrouter queues` against a node that runs as a process of its own."""

import io
import json
import os
import signal
import subprocess
import sys
import threading
import uuid

import pytest

from eventrouter.cli.client import NodeClient
from tests.cli.dev_node import DevNode

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    started = DevNode(tmp_path_factory.mktemp("queues") / "data")
    try:
        yield started
    finally:
        assert started.stop() == 0, started.log.read_text()[-4000:]


@pytest.fixture
def sqs(node):
    """Call an operation of the queues' API."""
    client = NodeClient(node.url)
    yield lambda operation, **members: client.call("sqs", f"AmazonSQS.{operation}", members)
    client.close()


@pytest.fixture
def new_queue(sqs):
    """Create a queue with some attributes; return its name and URL."""

    def create(*, suffix="", **attributes):
        name = f"queue-{uuid.uuid4().hex[:12]}{suffix}"
        return name, sqs("CreateQueue", QueueName=name, Attributes=attributes)["QueueUrl"]

    return create


@pytest.fixture
def queue(new_queue):
    """The name of a standard queue."""
    return new_queue()[0]


@pytest.fixture
def redriven(new_queue, sqs):
    """A queue and its dead-letter queue, which holds so many messages."""

    def create(messages):
        dead, dead_url = new_queue()
        arn = sqs("GetQueueAttributes", QueueUrl=dead_url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 1})
        source, source_url = new_queue(RedrivePolicy=policy, VisibilityTimeout="0")
        for at in range(0, messages, 10):
            entries = [{"Id": str(number), "MessageBody": "late"} for number in range(at, min(at + 10, messages))]
            sqs("SendMessageBatch", QueueUrl=source_url, Entries=entries)
        while depth(sqs, source_url):
            sqs("ReceiveMessage", QueueUrl=source_url, MaxNumberOfMessages=10)
        assert depth(sqs, dead_url) == messages
        return source, dead

    return create


def depth(sqs, url):
    name = "ApproximateNumberOfMessages"
    return int(sqs("GetQueueAttributes", QueueUrl=url, AttributeNames=[name])["Attributes"][name])


def depth_of(sqs, queue):
    return depth(sqs, sqs("GetQueueUrl", QueueName=queue)["QueueUrl"])


def rows(out):
    return [line.split() for line in out.splitlines()[1:]]


def test_queues_are_listed_with_their_counts_and_where_their_dead_letters_go(cli, redriven):
    source, dead = redriven(3)

    code, out, err = cli("queues", "ls")

    assert (code, err) == (0, "")
    assert out.splitlines()[0].split("  ")[0] == "queue"
    listed = {row[0]: row[1:] for row in rows(out)}
    assert listed[source] == ["0", "0", "0", dead, "1"]
    assert listed[dead] == ["3", "0", "0", "-", "-"]
    code, out, _ = cli("queues", "ls", "--json")
    assert code == 0
    assert {source, dead} <= {each["QueueUrl"].rpartition("/")[2] for each in json.loads(out)}


def test_a_queue_is_shown_with_its_attributes_and_what_is_connected_to_it(cli, sqs, node, redriven, tmp_path):
    source, dead = redriven(1)
    url = sqs("GetQueueUrl", QueueName=dead)["QueueUrl"]
    sqs("TagQueue", QueueUrl=url, Tags={"team": "mail"})
    node.create("reader", "def handler(event, context):\n    raise ValueError\n", tmp_path)
    mapping = node.request(
        "POST",
        "/2015-03-31/event-source-mappings",
        {"FunctionName": "reader", "EventSourceArn": f"arn:aws:sqs:us-east-1:000000000000:{dead}", "Enabled": False},
    )

    code, out, err = cli("queues", "show", dead)

    assert (code, err) == (0, "")
    shown = dict(line.split("  ", 1) for line in out.splitlines())
    shown = {name: value.strip() for name, value in shown.items()}
    assert (shown["messages"], shown["VisibilityTimeout"], shown["tag team"]) == ("1", "30", "mail")
    assert shown["dead letters of"] == source
    assert (shown["read by"].split()[0], shown["read by"].split()[-1]) == ("reader", mapping["UUID"])
    code, out, _ = cli("queues", "show", dead, "--json")
    assert [each["UUID"] for each in json.loads(out)["EventSourceMappings"]] == [mapping["UUID"]]


def test_a_message_is_sent_and_its_id_is_printed(cli, sqs, queue):
    code, out, err = cli("queues", "send", queue, '{"n": 1}', "-a", "kind=a=b", "-a", "of=x")

    assert (code, err) == (0, "")
    url = sqs("GetQueueUrl", QueueName=queue)["QueueUrl"]
    [message] = sqs("ReceiveMessage", QueueUrl=url, MessageAttributeNames=["All"])["Messages"]
    assert (message["MessageId"], message["Body"]) == (out.strip(), '{"n": 1}')
    assert {name: each["StringValue"] for name, each in message["MessageAttributes"].items()} == {
        "kind": "a=b",
        "of": "x",
    }


def test_a_body_may_come_from_a_file_or_stdin_and_is_text(cli, queue, tmp_path, monkeypatch):
    (tmp_path / "body").write_text("from a file")
    (tmp_path / "bytes").write_bytes(b"\xff")

    assert cli("queues", "send", queue, f"@{tmp_path / 'body'}")[0] == 0
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"piped")))
    assert cli("queues", "send", queue, "-")[0] == 0

    _, out, _ = cli("queues", "peek", queue, "--json")
    assert [message["Body"] for message in json.loads(out)] == ["from a file", "piped"]
    code, _, err = cli("queues", "send", queue, f"@{tmp_path / 'bytes'}")
    assert (code, err.splitlines()[-1]) == (2, "Error: a message's body is text: this is not UTF-8")
    code, _, err = cli("queues", "send", queue, "x", "-a", "nothing")
    assert (code, err.splitlines()[-1]) == (2, "Error: 'nothing' is no attribute: it must look like name=text")


@pytest.mark.parametrize(("size", "number"), [(1, 25), (300_000, 5)])
def test_many_messages_are_sent_as_the_calls_take_them(cli, sqs, queue, tmp_path, size, number):
    (tmp_path / "body").write_text("x" * size)

    code, out, err = cli("queues", "send", queue, f"@{tmp_path / 'body'}", "-n", str(number))

    assert (code, out, err) == (0, f"sent  {number} messages\n", "")
    assert depth_of(sqs, queue) == number
    code, out, _ = cli("queues", "send", queue, "y", "-n", "12", "--json")
    assert len({sent["MessageId"] for sent in json.loads(out)}) == 12


def test_a_fifo_queue_takes_equal_messages_of_a_group_unless_they_share_a_deduplication_id(cli, sqs, new_queue):
    name, url = new_queue(suffix=".fifo", FifoQueue="true")

    _, first, _ = cli("queues", "send", name, "same", "-g", "one")
    _, second, _ = cli("queues", "send", name, "same", "-g", "one")
    assert first.split()[1] < second.split()[1]
    assert depth(sqs, url) == 2
    assert cli("queues", "send", name, "same", "-g", "one", "--dedup", "id", "-n", "3")[0] == 0

    assert depth(sqs, url) == 3
    code, out, _ = cli("queues", "peek", name)
    assert code == 0
    assert [row[2] for row in rows(out)] == ["one"] * 3
    code, _, err = cli("queues", "send", name, "no group")
    assert (code, err.split(":")[0]) == (1, "error")


def test_peeking_receives_nothing_and_shows_what_is_hidden_if_asked(cli, sqs, new_queue):
    name, url = new_queue()
    sqs("SendMessage", QueueUrl=url, MessageBody="taken")
    assert sqs("ReceiveMessage", QueueUrl=url)["Messages"]
    cli("queues", "send", name, "late", "--delay", "900")
    cli("queues", "send", name, "a\x0ab" + "c" * 200)

    code, out, err = cli("queues", "peek", name)
    assert (code, err) == (0, "")
    [[_, received, _, body]] = rows(out)
    assert (received, body[:4], body[-1], len(body)) == ("0", "a\\nb", "…", 102)
    _, out, _ = cli("queues", "peek", name, "--hidden")
    assert [(row[1], row[3][:5]) for row in rows(out)] == [("1", "taken"), ("0", "late"), ("0", "a\\nbc")]
    _, out, _ = cli("queues", "peek", name, "--hidden", "-n", "1", "--json")
    assert [message["Body"] for message in json.loads(out)] == ["taken"]
    assert depth(sqs, url) == 1


def test_a_purge_empties_a_queue_and_says_of_what(cli, sqs, queue):
    cli("queues", "send", queue, "-n", "3")
    cli("queues", "send", queue, "--delay", "900")

    code, out, err = cli("queues", "purge", queue)

    assert (code, out, err) == (0, f"purged  {queue}  3 messages, 0 in flight, 1 delayed\n", "")
    assert depth_of(sqs, queue) == 0
    code, _, err = cli("queues", "purge", queue)
    assert code == 1
    assert err.startswith("error: PurgeQueueInProgress: ")


def test_dead_letters_go_back_to_where_they_came_from_or_to_another_queue(cli, sqs, redriven, queue):
    source, dead = redriven(12)

    assert cli("queues", "redrive", dead) == (0, "moved  12 messages\n", "")

    assert (depth_of(sqs, source), depth_of(sqs, dead)) == (12, 0)
    _, dead = redriven(1)
    code, out, err = cli("queues", "redrive", dead, "--to", queue, "--quiet", "--json")
    ended = json.loads(out)
    assert (code, err, ended["Status"], ended["ApproximateNumberOfMessagesMoved"]) == (0, "", "COMPLETED", 1)
    assert (depth_of(sqs, queue), depth_of(sqs, dead)) == (1, 0)
    _, out, _ = cli("queues", "show", dead)
    assert out.splitlines()[-1].endswith(f"COMPLETED  1 of 1 to {queue}")


def test_a_redrive_that_fails_says_why(cli, redriven):
    _, dead = redriven(1)
    cli("queues", "send", dead, "from nowhere")

    code, out, err = cli("queues", "redrive", dead)

    reason = "the task has ended as FAILED: CouldNotDetermineMessageSource; 1 of 2 messages moved"
    assert (code, out, err) == (1, "", f"error: {reason}\n")


def test_ctrl_c_cancels_a_redrive_and_says_how_far_it_got(cli, node, sqs, redriven):
    _, dead = redriven(30)
    command = [sys.executable, "-m", "eventrouter", "queues", "redrive", dead, "--rate", "1", "--url", node.url]
    started = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ)
    arn = f"arn:aws:sqs:us-east-1:000000000000:{dead}"
    pause = threading.Event()
    while not any(
        task["ApproximateNumberOfMessagesMoved"]
        for task in sqs("ListMessageMoveTasks", SourceArn=arn).get("Results", [])
    ):
        assert started.poll() is None, started.communicate()
        pause.wait(0.05)

    started.send_signal(signal.SIGINT)
    out, err = started.communicate(timeout=30)

    assert (started.returncode, out) == (130, "")
    assert err.startswith("cancelled: ")
    assert err.endswith(" of 30 messages moved\n")
    while (status := sqs("ListMessageMoveTasks", SourceArn=arn)["Results"][0]["Status"]) == "CANCELLING":
        pause.wait(0.05)
    assert status == "CANCELLED"
    assert depth_of(sqs, dead) > 0


def test_what_the_node_refuses_is_told_in_its_words(cli, queue):
    for command in ("show", "peek", "send", "purge", "redrive"):
        code, _, err = cli("queues", command, "nobody")
        assert (code, err.split(": ")[:2]) == (1, ["error", "QueueDoesNotExist"])
    code, _, err = cli("queues", "redrive", queue)
    assert (code, err.splitlines()) == (
        1,
        ["error: InvalidParameterValueException: Source queue must be configured as a Dead Letter Queue."],
    )
