"""Show what eventrouter promises, on real processes, in under a minute: `python -m handlers.demo`.

It starts a node with an embedded Valkey in a temporary folder, deploys template.yaml with boto3, and tells what
it does with the answers it gets. It ends with 1 if any promise is broken.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from handlers.demo_queue import QueueChapter
from handlers.demo_stage import HERE, DevNode, Narrator, Template, client, stopping, wait_for
from handlers.demo_stream import StreamChapter

RETRY_BASE_S = 1
BACKLOG = 300
SHARED_MEMORY = Path("/dev/shm")


class Demo:
    """The story, chapter by chapter. Every chapter stands alone."""

    def __init__(self, node: DevNode, folder: Path, narrator: Narrator) -> None:
        self._node, self._folder, self._tell = node, folder, narrator
        self._lambda = client("lambda", node.url)
        self._sqs = client("sqs", node.url)

    def open(self) -> None:
        tell = self._tell
        tell.chapter("A node")
        tell.say(f"EVENTROUTER_ASYNC_RETRY_BASE_DELAY={RETRY_BASE_S} eventrouter dev --port {self._node.port}")
        tell.say("(AWS waits 60 s and 120 s between the attempts of an event; this demo waits 1 s and 2 s)")
        took = self._node.start()
        tell.show(self._node.banner())
        tell.say(f"ready after {took * 1000:.0f} ms, pid {self._node.pid}")
        names = Template(HERE / "template.yaml").deploy(self._lambda, self._sqs)
        tell.say(f"deployed template.yaml with boto3: {', '.join(names)}")

    def synchronous_call(self) -> None:
        tell = self._tell
        tell.chapter("A synchronous call")
        answer, milliseconds = self._invoke("hello", {"name": "Grace"})
        tell.show(f"{answer['StatusCode']} in {milliseconds:.1f} ms  {json.dumps(answer['Body'])}")
        answer, milliseconds = self._invoke("hello", {"name": "Ada"})
        tell.show(f"{answer['StatusCode']} in {milliseconds:.1f} ms  {json.dumps(answer['Body'])}")
        tell.promise("the handler's result comes back", holds=answer["Body"].get("message") == "Hello, Ada!")
        tell.promise(
            "the second call found a warm environment", holds=answer["Body"].get("callsInThisEnvironment") == 2
        )
        answer, milliseconds = self._invoke("calls-aws", {"function": "hello", "payload": {"name": "from a handler"}})
        tell.show(f"{answer['StatusCode']} in {milliseconds:.1f} ms  {json.dumps(answer['Body'])}")
        tell.promise("boto3 inside a handler reaches the node", holds=answer["Body"].get("status") == 200)

    def function_error(self) -> None:
        tell = self._tell
        tell.chapter("A function error")
        answer, _ = self._invoke("orders", {"id": "A-1", "items": []})
        tell.show(f"status {answer['StatusCode']}, X-Amz-Function-Error: {answer.get('FunctionError')}")
        tell.show(json.dumps(answer["Body"], indent=2))
        seen = answer["StatusCode"], answer.get("FunctionError"), answer["Body"].get("errorType")
        tell.promise("HTTP 200, Unhandled, and the exception as JSON", holds=seen == (200, "Unhandled", "OrderError"))
        trace = "".join(answer["Body"].get("stackTrace", []))
        tell.promise("the stack trace names /var/task, as on AWS", holds="/var/task/orders.py" in trace)

    def retries(self) -> None:
        """Send both events at once: their seconds of waiting are then spent together."""
        tell = self._tell
        tell.chapter("Two events, sent asynchronously")
        flaky = self._send("flaky", {"directory": str(self._folder), "failures": 2})
        poison = self._send("poison", {"id": 13, "note": "never"})
        tell.show(f"202 flaky   {flaky}\n202 poison  {poison}")
        notes = self._folder / f"{flaky}.attempts"
        wait_for("three attempts of flaky", lambda: len(_lines(notes)) >= 3, seconds=15)
        times = [float(line) for line in _lines(notes)]
        tell.say("flaky fails twice and then succeeds; its attempts began at")
        for number, at in enumerate(times, 1):
            tell.show(f"attempt {number}  +{at - times[0]:.2f} s")
        gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
        in_time = all(RETRY_BASE_S * n - 0.05 <= gap <= RETRY_BASE_S * n + 2 for n, gap in enumerate(gaps, 1))
        tell.promise(
            f"retried after {RETRY_BASE_S} s and then {2 * RETRY_BASE_S} s, under one request id", holds=in_time
        )
        self._dead_letter(poison)

    def _dead_letter(self, request_id: str) -> None:
        tell = self._tell
        tell.say("poison never succeeds; its event is read from the dead-letter queue with boto3:")
        queue = self._sqs.get_queue_url(QueueName="poison-dead-letters")["QueueUrl"]
        answer = self._sqs.receive_message(QueueUrl=queue, MessageAttributeNames=["All"], WaitTimeSeconds=10)
        messages = answer.get("Messages", [])
        tell.promise("the dead letter arrived", holds=bool(messages))
        if not messages:
            return
        message, attributes = messages[0], messages[0].get("MessageAttributes", {})
        tell.show(f"body  {message['Body']}")
        for name, value in sorted(attributes.items()):
            tell.show(f"{name:12}  {value['DataType']:6}  {value['StringValue']}")
        self._sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
        tell.promise("the original event, unchanged", holds=json.loads(message["Body"]) == {"id": 13, "note": "never"})
        seen = {name: value["StringValue"] for name, value in attributes.items()}
        tell.promise("RequestID is the id that the 202 named", holds=seen.get("RequestID") == request_id)
        tell.promise(
            "ErrorCode is the number 200, as AWS sends for function errors", holds=seen.get("ErrorCode") == "200"
        )

    def throttle(self) -> None:
        tell = self._tell
        tell.chapter("A throttle: reserved concurrency 1, two callers at once")
        with ThreadPoolExecutor(2) as callers:
            calls = [callers.submit(self._status_of_slow_call) for _ in range(2)]
            results = sorted(call.result() for call in calls)
        for status, text in results:
            tell.show(f"{status}  {text}")
        reason = "ReservedFunctionConcurrentInvocationLimitExceeded"
        kept = [status for status, _ in results] == [200, 429] and reason in results[1][1]
        tell.promise("one runs, the other is told 429 and why", holds=kept)

    def stream(self) -> None:
        StreamChapter(self._node.url, self._folder, self._tell).tell_all()

    def queue(self) -> None:
        QueueChapter(self._node.url, self._folder, self._tell).tell_all()

    def power_cut(self) -> None:
        tell = self._tell
        tell.chapter("kill -9 of the node in the middle of queued events")
        ledger = self._folder / "ledger"
        expected = {f"event-{number}" for number in range(BACKLOG)}
        for entry in sorted(expected):
            self._send("ledger", {"file": str(ledger), "entry": entry, "seconds": 0.02})
        wait_for("the first runs", lambda: len(_lines(ledger)) >= 20, seconds=20, poll_s=0.005)
        before = len(_lines(ledger))
        tell.say(f"{BACKLOG} events accepted, {before} processed; kill -9 {self._node.pid}")
        self._node.kill()
        took = self._node.start()
        tell.say(f"started again on the same folder after {took * 1000:.0f} ms, pid {self._node.pid}")
        tell.promise("the kill came before the queue was empty", holds=before < BACKLOG)
        try:
            wait_for("all events", lambda: expected <= set(_lines(ledger)), seconds=25)
        except TimeoutError:
            missing = len(expected - set(_lines(ledger)))
            tell.say(f"{missing} events have not run")
        lines = _lines(ledger)
        tell.promise(f"all {BACKLOG} events processed, none lost", holds=set(lines) == expected)
        again = len(lines) - len(set(lines))
        why = ", because the kill came between their run and its note in the store" if again else ""
        tell.say(f"{again or 'none'} ran once more{why}")

    def _invoke(self, name: str, event: dict[str, Any]) -> tuple[dict[str, Any], float]:
        began = time.perf_counter()
        answer = self._lambda.invoke(FunctionName=name, Payload=json.dumps(event))
        body = json.loads(answer["Payload"].read())
        return {**answer, "Body": body}, (time.perf_counter() - began) * 1000

    def _send(self, name: str, event: dict[str, Any]) -> str:
        answer = self._lambda.invoke(FunctionName=name, InvocationType="Event", Payload=json.dumps(event))
        return str(answer["ResponseMetadata"]["RequestId"])

    def _status_of_slow_call(self) -> tuple[int, str]:
        try:
            answer, _ = self._invoke("slow", {"seconds": 1})
        except ClientError as error:
            refused = error.response
            code, reason = refused["Error"]["Code"], refused.get("Reason")
            return refused["ResponseMetadata"]["HTTPStatusCode"], f"{code} {reason}"
        return answer["StatusCode"], json.dumps(answer["Body"])


def _lines(path: Path) -> list[str]:
    """Return the complete lines of a file that may not exist yet."""
    return path.read_text().splitlines() if path.exists() else []


def main() -> int:
    """Run every chapter. Return 0 if all promises were kept."""
    narrator = Narrator()
    # Functions have a /tmp of their own, so what they share with the demo lies elsewhere.
    shared = SHARED_MEMORY if SHARED_MEMORY.is_dir() else None
    with (
        tempfile.TemporaryDirectory(prefix="eventrouter-demo-") as own,
        tempfile.TemporaryDirectory(prefix="eventrouter-demo-", dir=shared) as folder,
    ):
        node = DevNode(Path(own) / "data", {"EVENTROUTER_ASYNC_RETRY_BASE_DELAY": str(RETRY_BASE_S)})
        demo = Demo(node, Path(folder), narrator)
        with stopping(node):
            demo.open()
            demo.synchronous_call()
            demo.function_error()
            demo.retries()
            demo.throttle()
            demo.stream()
            demo.queue()
            demo.power_cut()
    narrator.chapter(f"{'BROKEN PROMISES' if narrator.broken else 'All promises kept'}, {narrator.elapsed_s:.0f} s")
    for text in narrator.broken:
        narrator.say(text)
    return 1 if narrator.broken else 0


if __name__ == "__main__":
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    sys.exit(main())
