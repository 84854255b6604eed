"""Sends drawn requests over many connections at once, and judges every answer.

A verdict is about one answer: its status must be one that the request can be to blame for, or a fault that AWS's model
knows, with its reason; and it must come in time. What only the whole run shows (leaks, the log) is in `under_fire`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httptools

from tests.fuzz.grammar import Known
from tests.fuzz.wire import Sent

PATIENCE_S = 25.0
"""The longest that an answer may take; nothing that is asked for waits longer than a few seconds."""

_LARGEST_LESSON = 60_000
_LESSONS = frozenset(
    ("ApiId", "ConsumerARN", "ConsumerName", "FunctionArn", "IntegrationId", "NextShardIterator", "NextToken",
     "QueueUrl", "ReceiptHandle", "RouteId", "SequenceNumber", "ShardId", "ShardIterator", "StreamARN", "TaskHandle",
     "UUID", "nextToken", "EventSourceMappingArn", "RuleArn", "NextMarker", "MessageId", "apiId", "routeId",
     "integrationId", "logGroupName", "logStreamName", "QueueArn")
)  # fmt: skip
_ALSO = {
    "ReceiptHandle": ("ReceiptHandle",), "SequenceNumber": ("StartingSequenceNumber",),
    "NextShardIterator": ("ShardIterator",), "UUID": ("UUID",), "ShardId": ("ShardToSplit", "ShardToMerge"),
    "NextMarker": ("Marker",), "FunctionArn": ("Resource",), "apiId": ("ApiId",), "routeId": ("RouteId",),
    "integrationId": ("IntegrationId",),
    "EventSourceMappingArn": ("Resource",), "RuleArn": ("ResourceARN",), "ConsumerARN": ("ResourceARN",),
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back. `status` is 0 where the connection was closed without an answer."""

    status: int
    headers: dict[bytes, bytes] = field(default_factory=dict)
    body: bytes = b""
    is_complete: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """An answer that must not be."""

    sent: Sent
    answer: Answer
    why: str

    def __str__(self) -> str:
        sent, answer = self.sent, self.answer
        return f"{self.why}: {sent.label}: {sent.data[:1500]!r} -> {answer.status} {answer.body[:500]!r}"


def verdict(sent: Sent, answer: Answer) -> str | None:
    """Say what is wrong with an answer, None if nothing is."""
    status = answer.status
    if status == 0:
        return "no answer"
    if b"x-amzn-requestid" not in answer.headers and status != 400:
        return "no request id"
    if status < 500:
        return None
    code = (answer.headers.get(b"x-amzn-errortype") or b"").decode("latin-1")
    if status == 501 and code in ("UnsupportedOperationException", "UnknownOperationException"):
        return None
    if sent.is_web and b"apigw-requestid" in answer.headers:
        return None  # a function's own answer, or API Gateway's about it; that the node crashed would be in its log
    model = sent.service.errors.get(code) if sent.service is not None else None
    if model is not None and model.status == status and code != "ServiceException" and len(answer.body) > 40:
        return None
    return "a fault that is no modelled one"


def json_of(body: bytes) -> Any:
    """Return what a body holds, None if that is no JSON."""
    try:
        return json.loads(body)
    except ValueError:
        return None


class Reader:
    """Takes an answer apart."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[bytes, bytes] = {}
        self.body = bytearray()
        self.has_head = False
        self.is_complete = False
        self._parser = httptools.HttpResponseParser(self)

    def feed(self, data: bytes) -> None:
        self._parser.feed_data(data)
        self.status = self._parser.get_status_code()

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        self.has_head = self._parser.get_status_code() != 100

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.is_complete = self.has_head


class Connection:
    """One connection, opened again when it is closed."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, sent: Sent) -> Answer:
        """Send a request and return the answer."""
        is_fresh = self._streams is None
        answer = await self._ask(sent)
        if answer.status == 0 and not is_fresh:  # closed before the request came: the answer before was the last
            answer = await self._ask(sent)
        return answer

    async def _ask(self, sent: Sent) -> Answer:
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port, limit=1 << 20)
        incoming, outgoing = self._streams
        reader = Reader()
        with contextlib.suppress(ConnectionError):
            outgoing.write(sent.data)
            while not reader.is_complete:
                data = await incoming.read(1 << 18)
                if not data:
                    break
                reader.feed(data)
                if reader.has_head and (sent.is_head or b"eventstream" in reader.headers.get(b"content-type", b"")):
                    break
        answer = Answer(
            status=reader.status, headers=reader.headers, body=bytes(reader.body), is_complete=reader.is_complete
        )
        last = reader.headers.get(b"connection", b"").lower() == b"close"
        if last or not (reader.is_complete or sent.is_head) or reader.status == 0 or reader.status == 400:
            self.close()
        return answer

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


@dataclass(slots=True)
class Tally:
    """What a run came to."""

    sent: int = 0
    seconds: float = 0.0
    statuses: Counter[int] = field(default_factory=Counter)
    succeeded: Counter[str] = field(default_factory=Counter)
    slowest_s: float = 0.0
    slowest: str = ""
    failures: list[Failure] = field(default_factory=list)


async def fire(port: int, draw: Callable[[], Sent], known: Known, *, count: int, connections: int = 24) -> Tally:
    """Send `count` requests. Returns early once there are 20 failures."""
    tally = Tally()
    began = time.monotonic()
    left: Iterator[int] = iter(range(count))

    async def keep_sending() -> None:
        connection = Connection(port)
        for _ in left:
            sent = draw()
            started = time.monotonic()
            try:
                async with asyncio.timeout(PATIENCE_S):
                    answer = await connection.ask(sent)
            except TimeoutError:
                tally.failures.append(Failure(sent=sent, answer=Answer(status=0), why="no answer in time"))
                connection.close()
                continue
            except httptools.HttpParserError as error:
                tally.failures.append(Failure(sent=sent, answer=Answer(status=0), why=f"no HTTP: {error}"))
                connection.close()
                continue
            took = time.monotonic() - started
            _note(tally, sent, answer, took)
            if 200 <= answer.status < 300:
                _learn(known, answer)
            if len(tally.failures) >= 20:
                break
        connection.close()

    await asyncio.gather(*(keep_sending() for _ in range(connections)))
    tally.seconds = time.monotonic() - began
    return tally


def _note(tally: Tally, sent: Sent, answer: Answer, took: float) -> None:
    tally.sent += 1
    tally.statuses[answer.status] += 1
    if sent.service is not None and answer.status < 300:
        tally.succeeded[sent.label] += 1
    if took > tally.slowest_s:
        tally.slowest_s, tally.slowest = took, sent.label
    why = verdict(sent, answer)
    if why is not None:
        tally.failures.append(Failure(sent=sent, answer=answer, why=why))


def _learn(known: Known, answer: Answer) -> None:
    """Remember what an answer names, so that later requests speak of it."""
    if not 2 < len(answer.body) < _LARGEST_LESSON or not answer.body.startswith(b"{"):
        return
    found = json_of(answer.body)
    queue: list[Any] = [found]
    while queue:
        value = queue.pop()
        if isinstance(value, list):
            queue += value[:5]
        elif isinstance(value, dict):
            for name, inner in value.items():
                if isinstance(inner, str) and name in _LESSONS and inner:
                    for member in (name, *_ALSO.get(name, ())):
                        known.learn(member, inner)
                elif isinstance(inner, list | dict):
                    queue.append(inner)
