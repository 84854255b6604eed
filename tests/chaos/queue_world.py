"""Nodes on one Valkey, queues under load, and functions and consumers that keep a story of each."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from tests.chaos.history import Fault
from tests.chaos.node_world import NodeWorld
from tests.chaos.queue_checker import violations
from tests.chaos.queue_history import CONSUMER, SOURCE, Batch, Dead, Message, Story, read_batches
from tests.chaos.servers import ValkeyProcess
from tests.chaos.stream_history import in_flight
from tests.e2e.accounts import REGION, Queue
from tests.e2e.nodes import wait_until

BATCH_SIZE = 5
GROUPS = 12
COUNTS = [f"ApproximateNumberOfMessages{what}" for what in ("", "NotVisible", "Delayed")]


@dataclass
class Feed:
    """A queue, what works it off, and all that is known of its messages."""

    queue: Queue
    is_fifo: bool
    visibility_s: int
    path: Path
    story: Story = field(default_factory=Story)
    most: int | None = None
    dead_letters: Queue | None = None

    @property
    def faults(self) -> list[Fault]:
        return self.story.faults

    def batches(self) -> list[Batch]:
        self.story.batches = read_batches(self.path)
        return list(self.story.batches)

    def in_flight(self) -> list[Batch]:
        return in_flight(self.batches())

    def done(self) -> int:
        self.batches()
        return len(self.story.done())

    def cut(self) -> list[Batch]:
        """Return the batches that never came to their end."""
        return [batch for batch in self.batches() if batch.end is None]

    def delivered(self, *, since: int) -> set[str]:
        """Return the identities of what was delivered since then."""
        return {each.message.id for batch in self.batches() if batch.start > since for each in batch.deliveries}

    def is_drained(self) -> bool:
        """Say whether everything that was sent is resolved and the queue is empty; collect its dead letters first."""
        self._collect()
        self.batches()
        if self.story.unresolved():
            return False
        answer = self.queue.sqs.get_queue_attributes(QueueUrl=self.queue.url, AttributeNames=COUNTS)
        return set(answer["Attributes"].values()) == {"0"}

    def _collect(self) -> None:
        """Receive all dead letters there are, and delete them."""
        if self.dead_letters is None:
            return
        sqs, url = self.queue.sqs, self.dead_letters.url
        while messages := sqs.receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, MessageSystemAttributeNames=["All"]
        ).get("Messages"):
            for message in messages:
                identity, group = json.loads(message["Body"])["id"], message["Attributes"].get("MessageGroupId", "")
                self.story.dead.append(Dead(identity, message["MessageId"], group))
                sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])


def send(feed: Feed, random: Random, count: int, *, seconds: float = 0.02, **more: Any) -> set[str]:
    """Send messages in one call, to random groups, and note honestly what the caller knows afterwards.

    To a FIFO queue they are sent until it is known that they are stored, under the same deduplication ids.
    """
    wanted = {secrets.token_hex(6): f"group-{random.randrange(GROUPS)}" if feed.is_fifo else "" for _ in range(count)}
    feed.story.unknown |= wanted.keys()
    entries = [
        {
            "Id": identity,
            "MessageBody": json.dumps({"id": identity, "seconds": seconds, **more}),
            **({"MessageGroupId": group, "MessageDeduplicationId": identity} if group else {}),
        }
        for identity, group in wanted.items()
    ]
    stored = _send(feed, wanted, entries)
    if feed.is_fifo and stored is None:
        stored = wait_until("the messages to be stored", lambda: _send(feed, wanted, entries), seconds=30, poll_s=0.1)
    elif feed.is_fifo and random.random() < 0.2:
        feed.story.repeats += (_send(feed, wanted, entries) or {}).values()
    feed.story.sent |= stored or {}
    return set(stored or ())


def _send(feed: Feed, wanted: dict[str, str], entries: list[dict[str, Any]]) -> dict[str, Message] | None:
    """Send messages once, and return what they are now; None: nobody knows."""
    try:
        answer = feed.queue.sqs.send_message_batch(QueueUrl=feed.queue.url, Entries=entries)
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] not in {429, 500, 503}:
            raise
        return None
    except BotoCoreError:
        return None
    assert "Failed" not in answer, answer["Failed"]
    return {
        each["Id"]: Message(each["Id"], each["MessageId"], wanted[each["Id"]], int(each.get("SequenceNumber", 0)))
        for each in answer["Successful"]
    }


class QueueWorld(NodeWorld[Feed]):
    """A world whose feeds are queues."""

    def __init__(self, folder: Path, valkey: ValkeyProcess, *, nodes: int, seed: int) -> None:
        super().__init__(folder, valkey, nodes=nodes, seed=seed)
        self.sqs = self.account.sqs
        self._consumers: list[subprocess.Popen[bytes]] = []

    def feed(self, *, is_fifo: bool, visibility_s: int, most: int | None = None) -> Feed:
        """Make a queue; `most`: with a dead-letter queue for what was received so often."""
        dead = self._queue(is_fifo, 30) if most is not None else None
        redrive = {"deadLetterTargetArn": dead.arn, "maxReceiveCount": most} if dead is not None else None
        queue = self._queue(is_fifo, visibility_s, **({"RedrivePolicy": json.dumps(redrive)} if redrive else {}))
        path = self._folder / f"{secrets.token_hex(4)}.jsonl"
        feed = Feed(queue, is_fifo, visibility_s, path, most=most, dead_letters=dead)
        self.feeds.append(feed)
        return feed

    def map(self, feed: Feed, *, timeout_s: int, **settings: Any) -> None:
        """Let a function work a queue off."""
        variables = {"HISTORY": str(feed.path)}
        function = self.account.function(SOURCE, Timeout=timeout_s, Environment={"Variables": variables})
        self.account.lambda_.create_event_source_mapping(
            EventSourceArn=feed.queue.arn,
            FunctionName=function,
            BatchSize=BATCH_SIZE,
            FunctionResponseTypes=["ReportBatchItemFailures"],
            **settings,
        )

    def consume(self, feed: Feed) -> subprocess.Popen[bytes]:
        """Start a program that consumes a queue by itself."""
        arguments = (self.account.url, self.account.id, REGION, feed.queue.url, str(feed.path))
        program = subprocess.Popen([sys.executable, "-c", CONSUMER, *arguments])
        self._consumers.append(program)
        return program

    def load(self, feed: Feed, *, seconds: float = 0.05, poison: bool = False) -> None:
        """Send messages from now on; `poison`: some fail once, some always."""

        def step(random: Random) -> None:
            errors = random.choice([0] * 6 + [1, 99]) if poison else 0
            send(
                feed,
                random,
                random.randrange(1, 3) if errors else random.randrange(1, 6),
                seconds=seconds,
                errors=errors,
            )

        self.keep_on(step)

    def kill_consumer(self, consumer: subprocess.Popen[bytes]) -> None:
        with self.fault("consumer", {consumer.pid}):
            consumer.kill()
            consumer.wait(10)

    def settle(self, *, seconds: float = 30) -> None:
        """End all load, wait until everything sent is resolved and no queue holds anything, and check every promise."""
        self.end_load()
        for feed in self.feeds:
            wait_until("the queue to be drained", feed.is_drained, seconds=seconds, poll_s=0.1)
            wait_until("running batches to end", lambda feed=feed: not feed.in_flight())
            hidden = feed.visibility_s * 10**9 // 2
            broken = violations(feed.story, batch_size=BATCH_SIZE, hidden=hidden, most=feed.most)
            assert not broken, "\n".join(broken[:10])

    def close(self) -> None:
        for consumer in self._consumers:
            consumer.kill()
            consumer.wait(10)
        super().close()

    def _queue(self, is_fifo: bool, visibility_s: int, **attributes: str) -> Queue:
        attributes["VisibilityTimeout"] = str(visibility_s)
        if is_fifo:
            attributes["FifoQueue"] = "true"
        name = f"q-{secrets.token_hex(4)}{'.fifo' if is_fifo else ''}"
        url = self.sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
        return Queue(self.sqs, url, f"arn:aws:sqs:{REGION}:{self.account.id}:{name}")


@contextmanager
def queue_world(folder: Path, valkey: ValkeyProcess, *, nodes: int = 1, seed: int = 1) -> Iterator[QueueWorld]:
    """Run a world for the length of the block; everything it started is ended with it."""
    made = QueueWorld(folder, valkey, nodes=nodes, seed=seed)
    try:
        yield made
    finally:
        made.close()
