"""What really happened to a queue: functions and consumers note each batch, senders what they were told of a message.

As in `stream_history`. A message's body carries its identity, so that a message is known also when its sender never
heard of its id. A consumer that receives by itself notes its batches like a function, and what it has deleted.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from tests.chaos.history import Fault

_NOTING = """
import json, os, time

def note(path, record, what):
    line = json.dumps({**record, "what": what, "t": time.monotonic_ns()}) + "\\n"
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(descriptor, line.encode())
    finally:
        os.close(descriptor)
"""

SOURCE = (
    _NOTING
    + """
def handler(event, context):
    path, records, values = os.environ["HISTORY"], [], []
    for record in event["Records"]:
        attributes = record["attributes"]
        value = json.loads(record["body"])
        group, sequence = attributes.get("MessageGroupId", ""), int(attributes.get("SequenceNumber", 0))
        count = int(attributes["ApproximateReceiveCount"])
        values.append((value, group, count, record["messageId"]))
        records.append([value["id"], record["messageId"], group, sequence, count])
    run = {"token": os.urandom(8).hex(), "pid": os.getpid(), "home": os.getppid()}
    note(path, {**run, "records": records}, "start")
    time.sleep(max(value["seconds"] for value, *_ in values))
    failed, broken = [], set()
    for value, group, count, identifier in values:
        if count <= value.get("errors", 0) or group in broken:
            failed.append((value["id"], identifier))
            broken |= {group} - {""}
    note(path, {**run, "failed": [identity for identity, _ in failed]}, "ok")
    return {"batchItemFailures": [{"itemIdentifier": identifier} for _, identifier in failed]}
"""
)
"""A function that writes the history. A batch takes as long as its longest message says. A message that is told to
fail is reported for so many receives; in a FIFO queue so is what stands behind it in its group."""

CONSUMER = (
    _NOTING
    + """
import sys
import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

endpoint, account, region, url, path = sys.argv[1:]
sqs = boto3.client("sqs", endpoint_url=endpoint, region_name=region, aws_access_key_id=account,
    aws_secret_access_key="any", config=Config(retries={"total_max_attempts": 1}))
while True:
    try:
        answer = sqs.receive_message(
            QueueUrl=url, MaxNumberOfMessages=4, WaitTimeSeconds=2, MessageSystemAttributeNames=["All"])
        messages = answer.get("Messages")
        if not messages:
            continue
        records, values = [], []
        for message in messages:
            attributes = message["Attributes"]
            value = json.loads(message["Body"])
            values.append(value)
            group, sequence = attributes.get("MessageGroupId", ""), int(attributes.get("SequenceNumber", 0))
            count = int(attributes["ApproximateReceiveCount"])
            records.append([value["id"], message["MessageId"], group, sequence, count])
        run = {"token": os.urandom(8).hex(), "pid": os.getpid(), "home": 0}
        note(path, {**run, "records": records}, "start")
        time.sleep(max(value["seconds"] for value in values))
        note(path, run, "ok")
        entries = [{"Id": str(at), "ReceiptHandle": message["ReceiptHandle"]} for at, message in enumerate(messages)]
        gone = sqs.delete_message_batch(QueueUrl=url, Entries=entries).get("Successful", [])
        note(path, {**run, "deleted": [records[int(entry["Id"])][0] for entry in gone]}, "deleted")
    except (BotoCoreError, ClientError):
        time.sleep(0.1)
"""
)
"""A program that consumes a queue by itself, until it is ended."""


class Message(NamedTuple):
    """One message: its identity, the id that the queue gave it, and where it stands. Standard queues know neither
    group nor sequence number."""

    id: str
    message_id: str
    group: str = ""
    sequence: int = 0


class Delivery(NamedTuple):
    """A message as it was delivered: for the `nth` time, by its receive count."""

    message: Message
    nth: int


class Dead(NamedTuple):
    """A message that came to the dead-letter queue."""

    id: str
    message_id: str
    group: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """One run, as the function or the consumer noted it. `end` is None when it never came to its end.

    `failed` are the identities that it reported; `deleted` those that a consumer was told are deleted. `home` is the
    process that the environment `pid` belongs to: one per node, none for a consumer.
    """

    token: str
    pid: int
    home: int
    deliveries: tuple[Delivery, ...]
    start: int
    end: int | None = None
    failed: frozenset[str] = frozenset()
    deleted: frozenset[str] = frozenset()

    def done(self) -> set[str]:
        """Return the identities of what was processed successfully."""
        return set() if self.end is None else {each.message.id for each in self.deliveries} - self.failed


@dataclass(slots=True)
class Story:
    """All that is known of one queue: what the checker reads.

    `sent` are the messages that senders were told are stored, `unknown` the identities of those whose fate they never
    heard. `repeats` are messages that were sent again under the same deduplication id, with what that was answered.
    `leaves` are nodes that left in good order: what they had received comes back, but nothing of theirs is cut short.
    `delays` are faults that keep nodes from deleting in time what is done: it may come back when its visibility ends.
    """

    batches: Sequence[Batch] = ()
    sent: dict[str, Message] = field(default_factory=dict)
    unknown: set[str] = field(default_factory=set)
    repeats: list[Message] = field(default_factory=list)
    dead: list[Dead] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    leaves: list[Fault] = field(default_factory=list)
    delays: list[Fault] = field(default_factory=list)

    def done(self) -> set[str]:
        """Return the identities of the messages that were processed successfully."""
        return set().union(*(batch.done() for batch in self.batches))

    def unresolved(self) -> set[str]:
        """Return the identities of the messages sent that were neither processed nor given up."""
        return self.sent.keys() - self.done() - {dead.id for dead in self.dead}


def read_batches(path: Path) -> list[Batch]:
    """Read every run so far, in order of start."""
    if not path.exists():
        return []
    notes: dict[str, dict[str, Mapping[str, Any]]] = defaultdict(dict)
    for line in path.read_text().splitlines():
        record = json.loads(line)
        notes[record["token"]][record["what"]] = record
    return sorted((_batch(note) for note in notes.values()), key=lambda batch: batch.start)


def _batch(notes: Mapping[str, Mapping[str, Any]]) -> Batch:
    start, end, deleted = notes["start"], notes.get("ok", {}), notes.get("deleted", {})
    return Batch(
        token=start["token"],
        pid=start["pid"],
        home=start["home"],
        deliveries=tuple(Delivery(Message(*fields), nth) for *fields, nth in start["records"]),
        start=start["t"],
        end=end.get("t"),
        failed=frozenset(end.get("failed", ())),
        deleted=frozenset(deleted.get("deleted", ())),
    )
