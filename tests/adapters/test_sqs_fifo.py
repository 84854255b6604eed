"""FIFO queues as callers see them. lambda-semantics §8.3, §8.5."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.adapters.queue_steps import delete, receive, texts
from tests.adapters.world import World, play, refused

pytestmark = pytest.mark.integration

NO_DEDUPLICATION = (
    "The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly"
)
NO_GROUP = "The request must contain the parameter MessageGroupId."


async def a_fifo_queue(world: World, **attributes: str) -> str:
    given = {"FifoQueue": "true", "ContentBasedDeduplication": "true"} | attributes
    return await world.a_queue("jobs.fifo", **given)


async def send(world: World, url: str, body: str, group: str = "g", **members: Any) -> dict[str, Any]:
    return await world.sqs("SendMessage", QueueUrl=url, MessageBody=body, MessageGroupId=group, **members)


def test_groups_are_received_in_order_and_one_at_a_time() -> None:
    async def scenario(world: World) -> None:
        url = await a_fifo_queue(world)
        for group, body in (("g1", "1-1"), ("g2", "2-1"), ("g1", "1-2"), ("g1", "1-3")):
            await send(world, url, body, group)

        first = await receive(world, url, MaxNumberOfMessages=2)
        second = await receive(world, url)
        assert (texts(first), texts(second)) == (["1-1", "1-2"], ["2-1"])
        await send(world, url, "2-2", "g2")
        assert await receive(world, url) == []
        await delete(world, url, *first)
        assert texts(await receive(world, url)) == ["1-3"]

    play(scenario)


def test_a_fifo_message_shows_its_group_deduplication_and_sequence_number() -> None:
    async def scenario(world: World) -> None:
        url = await a_fifo_queue(world)

        sent = await send(world, url, "hello", MessageDeduplicationId="d")
        later = await send(world, url, "again")
        messages = await receive(world, url, MessageSystemAttributeNames=["All"])

        assert [len(sent["SequenceNumber"]), len(later["SequenceNumber"])] == [20, 20]
        assert sent["SequenceNumber"] < later["SequenceNumber"]
        shown = messages[0]["Attributes"]
        assert {name: shown[name] for name in ("MessageGroupId", "MessageDeduplicationId", "SequenceNumber")} == {
            "MessageGroupId": "g",
            "MessageDeduplicationId": "d",
            "SequenceNumber": sent["SequenceNumber"],
        }
        assert len(messages[1]["Attributes"]["MessageDeduplicationId"]) == 64  # SHA-256 of the body

    play(scenario)


def test_a_deduplication_id_stores_one_message() -> None:
    async def scenario(world: World) -> None:
        url = await a_fifo_queue(world)

        first = await send(world, url, "a", MessageDeduplicationId="d")
        again = await send(world, url, "b", "other", MessageDeduplicationId="d")
        [message] = await receive(world, url)
        await delete(world, url, message)
        await send(world, url, "c", MessageDeduplicationId="d")

        assert (again["MessageId"], again["SequenceNumber"]) == (first["MessageId"], first["SequenceNumber"])
        assert await receive(world, url) == []
        await world.clock.sleep(300)
        await send(world, url, "d", MessageDeduplicationId="d")
        assert texts(await receive(world, url)) == ["d"]

    play(scenario)


def test_content_makes_the_deduplication_id_where_the_queue_says_so() -> None:
    async def scenario(world: World) -> None:
        url = await a_fifo_queue(world)
        entries = [{"Id": str(n), "MessageBody": "same", "MessageGroupId": "g"} for n in range(3)]

        answer = await world.sqs("SendMessageBatch", QueueUrl=url, Entries=entries)

        assert len({entry["MessageId"] for entry in answer["Successful"]}) == 1
        assert texts(await receive(world, url)) == ["same"]

    play(scenario)


def test_groups_deduplicate_on_their_own_in_their_own_scope() -> None:
    async def scenario(world: World) -> None:
        url = await a_fifo_queue(world, DeduplicationScope="messageGroup")
        for group in ("a", "b", "a"):
            await send(world, url, group, group, MessageDeduplicationId="d")

        assert texts(await receive(world, url)) == ["a", "b"]

    play(scenario)


def test_what_a_fifo_message_lacks_is_told() -> None:
    async def scenario(world: World) -> None:
        url = await a_fifo_queue(world, ContentBasedDeduplication="false")
        no_group = await refused(world.sqs("SendMessage", QueueUrl=url, MessageBody="x", MessageDeduplicationId="d"))
        no_id = await refused(send(world, url, "x"))
        assert (no_group.code, no_group.message) == ("MissingRequiredParameterException", NO_GROUP)
        assert (no_id.code, no_id.message) == ("InvalidParameterValueException", NO_DEDUPLICATION)

        good = {"Id": "good", "MessageBody": "x", "MessageGroupId": "g", "MessageDeduplicationId": "d"}
        for lacking, message in (("MessageGroupId", NO_GROUP), ("MessageDeduplicationId", NO_DEDUPLICATION)):
            bad = {name: value for name, value in good.items() if name != lacking} | {"Id": "bad"}
            error = await refused(world.sqs("SendMessageBatch", QueueUrl=url, Entries=[good, bad]))
            assert (error.code, error.message) == ("InvalidParameterValueException", message)
        assert await receive(world, url) == []

        nowhere = url.replace("jobs", "none")
        assert (await refused(send(world, nowhere, "x"))).code == "QueueDoesNotExist"

    play(scenario)


@pytest.mark.parametrize("member", ["MessageGroupId", "MessageDeduplicationId"])
@pytest.mark.parametrize("value", ["", "a b", "é", "x" * 129])
def test_a_wrong_id_is_refused_with_its_reason(member: str, value: str) -> None:
    async def scenario(world: World) -> None:
        url = await a_fifo_queue(world)
        members = {"MessageGroupId": "g", "MessageDeduplicationId": "d", member: value}

        error = await refused(world.sqs("SendMessage", QueueUrl=url, MessageBody="x", **members))

        assert error.message == (
            f"Value {value} for parameter {member} is invalid. "
            f"Reason: {member} can only include alphanumeric and punctuation characters. 1 to 128 in length."
        )

    play(scenario)


def test_a_fifo_message_has_the_delay_of_its_queue() -> None:
    async def scenario(world: World) -> None:
        url = await a_fifo_queue(world, DelaySeconds="2")

        error = await refused(send(world, url, "x", DelaySeconds=2))
        assert error.message == (
            "Value 2 for parameter DelaySeconds is invalid. "
            "Reason: The request include parameter that is not valid for this queue type."
        )
        await send(world, url, "x", DelaySeconds=0)
        assert await receive(world, url) == []
        await world.clock.sleep(2)
        assert texts(await receive(world, url)) == ["x"]

    play(scenario)


def test_an_expired_handle_deletes_nothing_of_a_fifo_queue() -> None:
    async def scenario(world: World) -> None:
        url = await a_fifo_queue(world)
        await send(world, url, "x")
        [message] = await receive(world, url, VisibilityTimeout=1)
        await world.clock.sleep(2)
        handle = message["ReceiptHandle"]
        text = f"Value {handle} for parameter ReceiptHandle is invalid. Reason: The receipt handle has expired."

        expired = await refused(world.sqs("DeleteMessage", QueueUrl=url, ReceiptHandle=handle))
        batch = await world.sqs("DeleteMessageBatch", QueueUrl=url, Entries=[{"Id": "a", "ReceiptHandle": handle}])
        assert texts(await receive(world, url)) == ["x"]
        stale = await refused(world.sqs("DeleteMessage", QueueUrl=url, ReceiptHandle=handle))

        assert expired.message == stale.message == text
        assert batch["Failed"] == [{"Id": "a", "Code": "InvalidParameterValue", "Message": text, "SenderFault": True}]

    play(scenario)


def test_an_extended_handle_still_deletes() -> None:
    async def scenario(world: World) -> None:
        url = await a_fifo_queue(world)
        await send(world, url, "x")
        [message] = await receive(world, url, VisibilityTimeout=2)
        handle = message["ReceiptHandle"]
        await world.sqs("ChangeMessageVisibility", QueueUrl=url, ReceiptHandle=handle, VisibilityTimeout=10)
        await world.clock.sleep(5)

        await delete(world, url, message)

        await world.clock.sleep(10)
        assert await receive(world, url) == []

    play(scenario)


def test_a_freed_group_wakes_a_long_poll() -> None:
    async def scenario(world: World) -> None:
        url = await a_fifo_queue(world)
        await send(world, url, "1")
        await send(world, url, "2")
        held = await receive(world, url, MaxNumberOfMessages=1)
        poll = asyncio.create_task(receive(world, url, WaitTimeSeconds=20))
        await world.clock.sleep(3.5)
        began = world.clock.monotonic()

        await delete(world, url, *held)

        assert texts(await poll) == ["2"]
        assert world.clock.monotonic() - began < 0.1

    play(scenario)


def test_a_receive_is_repeated_by_its_attempt_id() -> None:
    async def scenario(world: World) -> None:
        url = await a_fifo_queue(world)
        await send(world, url, "1")
        await send(world, url, "2", "other")

        first = await receive(world, url, MaxNumberOfMessages=1, ReceiveRequestAttemptId="a")
        again = await receive(world, url, MaxNumberOfMessages=1, ReceiveRequestAttemptId="a")
        other = await receive(world, url, MaxNumberOfMessages=1, ReceiveRequestAttemptId="b")

        assert (texts(first), texts(again), texts(other)) == (["1"], ["1"], ["2"])
        wrong = await refused(receive(world, url, ReceiveRequestAttemptId="a b"))
        assert wrong.message.startswith("Value a b for parameter ReceiveRequestAttemptId is invalid.")

    play(scenario)
