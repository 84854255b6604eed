"""How fast messages go from a queue through a function to their deletion, and how soon one message gets there.

Throughput: a backlog is sent first, while the mapping is disabled; then it is enabled, and the rate is taken between
the first and the last deletion, read from the queue's own counts every 10 ms. Latency: messages sent at a steady
rate carry the time of their sending, and the function prints how long ago that was when it began; once more while
another mapping's function takes a minute for each of its messages.
"""

from __future__ import annotations

import http.client
import json
import statistics
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from bench.measure import Effort, Figure, Report
from bench.servers import ACCOUNT, REGION, BenchNode, node, valkey
from bench.wrk import MISSING, is_installed, load

if TYPE_CHECKING:
    from pathlib import Path

NOOP = "def handler(event, context):\n    pass\n"
TELL = """
import time

def handler(event, context):
    now = time.time()
    for record in event["Records"]:
        print("took", now - float(record["body"]))
"""
SLOW = "import time\n\ndef handler(event, context):\n    time.sleep(60)\n"
SLOW_MESSAGES = 100
BODY = "x" * 200
PER_SECOND = 200
STEADY_S = 3.0
SENDERS = 32
DEADLINE_S = 120.0


def measure(effort: Effort, folder: Path) -> Report:
    """Work a backlog off, watch single messages, and knock on the door, once a round."""
    drained: list[float] = []
    medians: list[float] = []
    tails: list[float] = []
    beside: list[float] = []
    doors: list[float] = []
    for number in range(effort.rounds):
        with valkey(folder / f"valkey-{number}") as url, node(folder / f"data-{number}", url) as running:
            running.create_function("noop", NOOP)
            running.create_function("tell", TELL)
            running.create_function("slow", SLOW, timeout_s=70)
            drained.append(_drain(running, effort.events))
            took = sorted(_latencies(running, seen=0))
            medians.append(statistics.median(took))
            tails.append(took[int(len(took) * 0.99) - 1])
            if is_installed():
                doors.append(_knock(running, effort.wrk_seconds))
            _occupy(running)
            beside.append(statistics.median(_latencies(running, seen=2 * len(took))))
    figures = [
        Figure(name="send, invoke, delete: BatchSize 10", unit="messages/s", values=tuple(drained), at_least=5_000),
        Figure(name=f"send to invoke at {PER_SECOND}/s, p50", unit="ms", values=tuple(medians), at_most=8.0),
        Figure(name=f"send to invoke at {PER_SECOND}/s, p99", unit="ms", values=tuple(tails), at_most=30.0),
        Figure(name="p50 beside a mapping whose function takes 60 s", unit="ms", values=tuple(beside), at_most=8.0),
    ]
    if doors:
        figures.append(
            Figure(name=f"SendMessage, {SENDERS} connections", unit="calls/s", values=tuple(doors), at_least=3_000)
        )
    what = f"{effort.events:,} messages of {len(BODY)} bytes, no-op Python function"
    return Report(benchmark="queue_mapping", what=what, figures=tuple(figures), notes=() if doors else (MISSING,))


def _drain(running: BenchNode, messages: int) -> float:
    url = running.sqs("CreateQueue", {"QueueName": "backlog"})["QueueUrl"]
    uuid = _map(running, "backlog", "noop", {"BatchSize": 10, "Enabled": False})
    connection = _connect(running)
    entries = [{"Id": str(number), "MessageBody": BODY} for number in range(10)]
    for _ in range(messages // 10):
        answer = _call(connection, "SendMessageBatch", {"QueueUrl": url, "Entries": entries})
        assert len(answer["Successful"]) == 10, answer
    running.call("PUT", f"/2015-03-31/event-source-mappings/{uuid}", {"Enabled": True})
    running.child.wait_until("first deletion", lambda: _left(connection, url) < messages, seconds=DEADLINE_S)
    began, left = time.perf_counter(), _left(connection, url)
    running.child.wait_until("empty queue", lambda: _left(connection, url) == 0, seconds=DEADLINE_S)
    elapsed = time.perf_counter() - began
    connection.close()
    return left / elapsed


def _latencies(running: BenchNode, *, seen: int) -> list[float]:
    """Send at a steady rate; return how long each message took, in milliseconds. The first half warms up.

    `seen` messages were sent and told of before.
    """
    url = running.sqs("CreateQueue", {"QueueName": "steady"})["QueueUrl"]
    if not seen:
        _map(running, "steady", "tell", {"BatchSize": 10})
    connection = _connect(running)
    total = round(PER_SECOND * STEADY_S)
    began = time.perf_counter()
    for number in range(2 * total):
        time.sleep(max(began + number / PER_SECOND - time.perf_counter(), 0))
        _call(connection, "SendMessage", {"QueueUrl": url, "MessageBody": repr(time.time())})
    connection.close()
    wanted = seen + 2 * total
    running.child.wait_until("messages", lambda: len(_taken(running)) >= wanted, seconds=60, poll_s=0.5)
    return _taken(running)[seen + total :]


def _occupy(running: BenchNode) -> None:
    """Give a mapping with a slow function more than it can do, and wait until it is at it."""
    url = running.sqs("CreateQueue", {"QueueName": "slow", "Attributes": {"VisibilityTimeout": "100"}})["QueueUrl"]
    _map(running, "slow", "slow", {"BatchSize": 1})
    connection = _connect(running)
    for _ in range(SLOW_MESSAGES):
        _call(connection, "SendMessage", {"QueueUrl": url, "MessageBody": BODY})
    names = ["ApproximateNumberOfMessagesNotVisible"]

    def is_busy() -> bool:
        answer = _call(connection, "GetQueueAttributes", {"QueueUrl": url, "AttributeNames": names})
        return int(answer["Attributes"][names[0]]) > 0

    running.child.wait_until("slow batches", is_busy, seconds=30)
    connection.close()


def _knock(running: BenchNode, seconds: int) -> float:
    """Return the SendMessage calls a second that a few kept connections get answered."""
    url = running.sqs("CreateQueue", {"QueueName": "door"})["QueueUrl"]
    body = json.dumps({"QueueUrl": url, "MessageBody": BODY})
    headers = {"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": "AmazonSQS.SendMessage"}
    return load(running.url, body, headers, connections=SENDERS, seconds=seconds).per_second


def _map(running: BenchNode, queue: str, function: str, settings: dict[str, Any]) -> str:
    arn = f"arn:aws:sqs:{REGION}:{ACCOUNT}:{queue}"
    body = {"EventSourceArn": arn, "FunctionName": function, **settings}
    uuid: str = running.call("POST", "/2015-03-31/event-source-mappings", body)["UUID"]
    path = f"/2015-03-31/event-source-mappings/{uuid}"
    steady = ("Enabled", "Disabled")
    running.child.wait_until("mapping", lambda: running.call("GET", path)["State"] in steady, seconds=30)
    return uuid


def _left(connection: http.client.HTTPConnection, url: str) -> int:
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    answer = _call(connection, "GetQueueAttributes", {"QueueUrl": url, "AttributeNames": names})
    return sum(int(answer["Attributes"][name]) for name in names)


def _taken(running: BenchNode) -> list[float]:
    return [took * 1_000 for took in running.printed("tell", "took")]


def _connect(running: BenchNode) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(urlsplit(running.url).netloc, timeout=30)


def _call(connection: http.client.HTTPConnection, operation: str, body: dict[str, Any]) -> dict[str, Any]:
    headers = {"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": f"AmazonSQS.{operation}"}
    connection.request("POST", "/", json.dumps(body), headers)
    answer = connection.getresponse()
    text = answer.read()
    assert answer.status == 200, f"{operation}: {answer.status} {text[:500]!r}"
    return json.loads(text) if text else {}
