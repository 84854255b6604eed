"""Every queue source of ours keeps to what the port promises, and shows messages as AWS does."""

from __future__ import annotations

import json
from typing import Any

import pytest

from eventrouter.testing.queue_source_suite import OWNER, Play, QueueSourceSuite, receive
from tests.adapters.queue_worlds import SqsWorld, play_listed, play_sqs

pytestmark = pytest.mark.integration


class TestListed(QueueSourceSuite):
    """The lists with which the plane is tested are a source like any other."""

    @pytest.fixture
    def play(self) -> Play:
        return play_listed


class TestSqs(QueueSourceSuite):
    @pytest.fixture
    def play(self) -> Play:
        return play_sqs  # type: ignore[return-value]


async def the_event(world: SqsWorld, arn: str, *, has_window: bool = False) -> dict[str, Any]:
    [message] = await world.source.receive(arn, limit=1, visibility_ms=30_000, owner=OWNER, has_window=has_window)
    event: dict[str, Any] = json.loads(message.event)
    assert event["messageId"] == message.id
    assert event["receiptHandle"] == message.receipt
    return event


def test_an_event_has_exactly_the_members_that_aws_sends():
    async def scenario(world: SqsWorld) -> None:
        arn = await world.make_queue("my-queue")
        now_ms = world.clock.now_ms()
        sent = await world.send(arn, 'Test "message".\n')
        event = await the_event(world, arn)
        assert event == {
            "messageId": sent,
            "receiptHandle": event["receiptHandle"],
            "body": 'Test "message".\n',
            "attributes": {
                "ApproximateReceiveCount": "1",
                "SentTimestamp": str(now_ms),
                "SenderId": "000000000000",
                "ApproximateFirstReceiveTimestamp": str(now_ms),
            },
            "messageAttributes": {},
            "md5OfBody": "7de3d0d5b4bf3f58eb230d12950017df",
            "eventSource": "aws:sqs",
            "eventSourceARN": arn,
            "awsRegion": "us-east-1",
        }
        assert list(event)[-4:] == ["md5OfBody", "eventSource", "eventSourceARN", "awsRegion"]

    play_sqs(scenario)


def test_row_39_the_digest_of_no_attributes_is_null_with_a_window_and_absent_without():
    async def scenario(world: SqsWorld) -> None:
        arn = await world.make_queue("jobs")
        await world.send(arn, "one")
        assert "md5OfMessageAttributes" not in await the_event(world, arn)
        await world.send(arn, "two")
        assert (await the_event(world, arn, has_window=True))["md5OfMessageAttributes"] is None

    play_sqs(scenario)


def test_attributes_are_shown_with_their_lists_and_digest():
    async def scenario(world: SqsWorld) -> None:
        arn = await world.make_queue("jobs")
        attributes = {"Foo": {"StringValue": "Bar", "DataType": "String"}}
        await world.send(arn, "one", MessageAttributes=attributes)
        event = await the_event(world, arn)
        assert event["messageAttributes"] == {
            "Foo": {"stringValue": "Bar", "stringListValues": [], "binaryListValues": [], "dataType": "String"}
        }
        assert event["md5OfMessageAttributes"] == "ae7155c6026991b6d54b11589678bf9c"
        binary = {"B": {"BinaryValue": b"\x00\xff", "DataType": "Binary"}}
        trace = {"AWSTraceHeader": {"StringValue": "Root=1-5e2f3c2b-0", "DataType": "String"}}
        await world.send(arn, "two", MessageAttributes=binary, MessageSystemAttributes=trace)
        event = await the_event(world, arn)
        assert event["messageAttributes"]["B"]["binaryValue"] == "AP8="
        assert "stringValue" not in event["messageAttributes"]["B"]
        assert event["attributes"]["AWSTraceHeader"] == "Root=1-5e2f3c2b-0"

    play_sqs(scenario)


def test_a_fifo_message_shows_its_group_and_numbers():
    async def scenario(world: SqsWorld) -> None:
        arn = await world.make_queue("steps", is_fifo=True)
        await world.send(arn, "one", group="g")
        attributes = (await the_event(world, arn))["attributes"]
        assert attributes["MessageGroupId"] == "g"
        assert attributes["MessageDeduplicationId"] == "d1"
        assert len(attributes["SequenceNumber"]) == 20

    play_sqs(scenario)


def test_a_group_on_a_standard_queue_orders_nothing():
    async def scenario(world: SqsWorld) -> None:
        arn = await world.make_queue("jobs")
        await world.call("SendMessage", QueueUrl="jobs", MessageBody="one", MessageGroupId="tenant")
        [message] = await receive(world, arn)
        assert message.group == ""
        assert json.loads(message.event)["attributes"]["MessageGroupId"] == "tenant"

    play_sqs(scenario)


def test_what_this_node_sends_is_received_at_once_although_the_look_was_empty():
    async def scenario(world: SqsWorld) -> None:
        arn = await world.make_queue("jobs")
        assert list(await receive(world, arn)) == []
        await world.send(arn, "one")  # between the look and the wait
        began = world.clock.monotonic()
        await world.source.wait(arn)
        assert world.clock.monotonic() == began

    play_sqs(scenario)
