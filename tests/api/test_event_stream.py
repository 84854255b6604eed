"""Answers that go on: framing, errors on the way, and callers who leave. lambda-semantics §7.2 (SubscribeToShard)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping
from random import Random
from typing import Any

import cbor2
import pytest
import structlog
from botocore.eventstream import EventStreamBuffer

from eventrouter.api.gateway import Gateway
from eventrouter.api.protocol.cbor import decode_cbor
from eventrouter.api.protocol.event_stream import encode_message
from eventrouter.api.request_ids import RequestIds
from eventrouter.errors import RequestError, Unavailable
from eventrouter.ports import Caller, ServiceApi
from eventrouter.settings import Settings

pytestmark = pytest.mark.unit

Events = AsyncGenerator[Mapping[str, Any], None]

REQUEST = {
    "ConsumerARN": "arn:aws:kinesis:us-east-1:000000000000:stream/s/consumer/c:1",
    "ShardId": "shardId-000000000000",
    "StartingPosition": {"Type": "LATEST"},
}
EVENT = {"Records": [], "ContinuationSequenceNumber": "1", "MillisBehindLatest": 0}


class Door:
    """A gateway with one operation, whose events a test decides; and what was sent to its caller."""

    def __init__(self, events: Events, *, content_type: str = "application/x-amz-json-1.1"):
        self._events = events
        self._content_type = content_type
        self.sent: list[dict[str, Any]] = []
        self.leaves = asyncio.Event()
        api = ServiceApi(service="kinesis", operations={"SubscribeToShard": self._subscribe})
        self._gateway = Gateway(
            services={"kinesis": api},
            hot_invoke=None,  # type: ignore[arg-type]  # no test here invokes
            internal={},
            settings=Settings(),
            request_ids=RequestIds(Random(1)),
            log=structlog.get_logger(),
        )

    async def _subscribe(self, caller: Caller, members: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"EventStream": self._events}

    async def call(self) -> None:
        is_json = "json" in self._content_type
        body = json.dumps(REQUEST).encode() if is_json else cbor2.dumps(REQUEST)
        headers = [
            (b"x-amz-target", b"Kinesis_20131202.SubscribeToShard"),
            (b"content-type", self._content_type.encode()),
        ]
        scope = {
            "type": "http",
            "method": "POST",
            "path": "/",
            "raw_path": b"/",
            "query_string": b"",
            "headers": headers,
            "server": ("h", 1),
        }
        requests = [{"type": "http.request", "body": body}]

        async def receive() -> dict[str, Any]:
            if requests:
                return requests.pop()
            await self.leaves.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            self.sent.append(message)

        await self._gateway(scope, receive, send)

    def messages(self) -> list[tuple[dict[str, Any], bytes]]:
        """Return the headers and payloads of all messages sent, as botocore reads them."""
        buffer = EventStreamBuffer()
        buffer.add_data(b"".join(message.get("body", b"") for message in self.sent))
        return [(message.headers, message.payload) for message in buffer]


async def events_of(*events: Mapping[str, Any], error: Exception | None = None) -> Events:
    for event in events:
        yield event
    if error is not None:
        raise error


def test_a_message_is_framed_as_botocore_reads_it() -> None:
    buffer = EventStreamBuffer()
    buffer.add_data(encode_message({":message-type": "event", "text": "ö"}, b"payload"))
    [message] = buffer
    assert (message.headers, message.payload) == ({":message-type": "event", "text": "ö"}, b"payload")


def test_events_follow_an_empty_first_answer_until_they_end() -> None:
    async def scenario() -> None:
        door = Door(events_of({"SubscribeToShardEvent": EVENT}, {"SubscribeToShardEvent": EVENT}))
        await door.call()

        start, *bodies = door.sent
        headers = dict(start["headers"])
        assert (start["status"], headers[b"content-type"]) == (200, b"application/vnd.amazon.eventstream")
        assert b"content-length" not in headers
        assert [body.get("more_body", False) for body in bodies] == [True, True, True, False]
        first, *events = door.messages()
        json_1_1 = {":content-type": "application/x-amz-json-1.1", ":message-type": "event"}
        assert first == ({":event-type": "initial-response", **json_1_1}, b"{}")
        for event_headers, payload in events:
            assert event_headers == {":event-type": "SubscribeToShardEvent", **json_1_1}
            assert json.loads(payload) == EVENT

    asyncio.run(scenario())


def test_events_come_in_cbor_to_callers_who_speak_it() -> None:
    async def scenario() -> None:
        record = {"SequenceNumber": "1", "Data": b"\xff", "PartitionKey": "k", "ApproximateArrivalTimestamp": 1.5}
        event = {**EVENT, "Records": [record]}
        door = Door(events_of({"SubscribeToShardEvent": event}), content_type="application/x-amz-cbor-1.1")
        await door.call()

        _, (headers, payload) = door.messages()
        assert headers[":content-type"] == "application/x-amz-cbor-1.1"
        assert decode_cbor(payload) == event

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (RequestError("ResourceInUseException", "taken over"), "ResourceInUseException", "taken over"),
        (Unavailable("no answer"), "InternalFailureException", "no answer"),
    ],
)
def test_an_error_on_the_way_ends_the_stream_as_an_exception(error: Exception, code: str, text: str) -> None:
    async def scenario() -> None:
        door = Door(events_of({"SubscribeToShardEvent": EVENT}, error=error))
        await door.call()

        headers, payload = door.messages()[-1]
        assert (headers[":message-type"], headers[":exception-type"]) == ("exception", code)
        assert json.loads(payload) == {"message": text}
        assert door.sent[-1] == {"type": "http.response.body", "body": b""}

    asyncio.run(scenario())


def test_events_are_not_made_for_a_caller_who_left() -> None:
    async def scenario() -> None:
        ended = asyncio.Event()

        async def endless() -> Events:
            try:
                yield {"SubscribeToShardEvent": EVENT}
                await asyncio.Event().wait()
            finally:
                ended.set()

        door = Door(endless())
        call = asyncio.ensure_future(door.call())
        while len(door.sent) < 3:
            await asyncio.sleep(0)
        door.leaves.set()
        await call

        await asyncio.wait_for(ended.wait(), 1)
        assert len(door.sent) == 3

    asyncio.run(scenario())


def test_a_crash_on_the_way_cuts_the_connection() -> None:
    async def scenario() -> None:
        door = Door(events_of({"SubscribeToShardEvent": EVENT}, error=ZeroDivisionError()))
        with pytest.raises(ZeroDivisionError):
            await door.call()
        assert door.sent[-1]["more_body"]

    asyncio.run(scenario())
