"""What was accepted at the door, as its callers were told: the other side of what checks compare."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

import cbor2

Answer = tuple[int, Mapping[str, str], bytes]


@dataclass(frozen=True, slots=True)
class Accepted:
    """Something that a caller was told is stored, at a virtual time in seconds.

    `where` names the function, queue or stream; `id` is a request id, a message id or `<shard>:<sequence>`; `number`
    counts what was accepted before.
    """

    kind: Literal["event", "message", "record"]
    id: str
    where: str
    at_s: float
    number: int


class Intake:
    """Everything that was accepted, in order; and the messages that callers have deleted themselves."""

    def __init__(self) -> None:
        self._accepted: list[Accepted] = []
        self._receipts: dict[str, str] = {}
        self._cleared_at: dict[str, int] = {}
        self.deleted: set[str] = set()

    def __iter__(self) -> Iterator[Accepted]:
        return iter(self._accepted)

    def was_cleared(self, accepted: Accepted) -> bool:
        """Say whether the queue of a message was purged or deleted since."""
        return accepted.number < self._cleared_at.get(accepted.where, 0)

    def see(self, url: str, headers: Mapping[str, str], body: bytes, answer: Answer, now_s: float) -> None:
        """Look at one request and its answer."""
        status, answered, _ = answer
        if status >= 300:
            return
        lower = {name.lower(): value for name, value in headers.items()}
        service, _, operation = lower.get("x-amz-target", "").partition(".")
        if service == "AmazonSQS":
            self._see_queue(operation, json.loads(body), json.loads(answer[2] or b"{}"), now_s)
        elif service.startswith("Kinesis") and operation in {"PutRecord", "PutRecords"}:
            read = cbor2.loads if "cbor" in lower.get("content-type", "") else json.loads
            self._see_stream(read(body), read(answer[2]), now_s)
        elif status == 202 and lower.get("x-amz-invocation-type") == "Event":
            name = unquote(urlsplit(url).path).partition("/functions/")[2].partition("/")[0]
            self._accept("event", answered["x-amzn-requestid"], _function_name(name), now_s)

    def _see_queue(self, operation: str, asked: Any, answered: Any, now_s: float) -> None:
        queue = asked.get("QueueUrl", "").rpartition("/")[2]
        if operation == "SendMessage":
            self._accept("message", answered["MessageId"], queue, now_s)
        elif operation == "SendMessageBatch":
            for each in answered.get("Successful", ()):
                self._accept("message", each["MessageId"], queue, now_s)
        elif operation == "ReceiveMessage":
            self._receipts |= {each["ReceiptHandle"]: each["MessageId"] for each in answered.get("Messages", ())}
        elif operation == "DeleteMessage":
            self.deleted.add(self._receipts.get(asked["ReceiptHandle"], ""))
        elif operation == "DeleteMessageBatch":
            done = {each["Id"] for each in answered.get("Successful", ())}
            self.deleted |= {
                self._receipts.get(each["ReceiptHandle"], "") for each in asked["Entries"] if each["Id"] in done
            }
        elif operation in {"PurgeQueue", "DeleteQueue"}:
            self._cleared_at[queue] = len(self._accepted)

    def _see_stream(self, asked: Any, answered: Any, now_s: float) -> None:
        stream = asked.get("StreamName") or asked.get("StreamARN", "").rpartition("/")[2]
        for each in answered.get("Records", [answered]):
            if "SequenceNumber" in each:
                self._accept("record", f"{each['ShardId']}:{each['SequenceNumber']}", stream, now_s)

    def _accept(self, kind: Literal["event", "message", "record"], name: str, where: str, now_s: float) -> None:
        self._accepted.append(Accepted(kind, name, where, now_s, len(self._accepted)))


def _function_name(reference: str) -> str:
    """Return the name in a name, a partial ARN or an ARN, with or without a qualifier."""
    return reference.rpartition("function:")[2].partition(":")[0]
