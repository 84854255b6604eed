"""ChangeMessageVisibility. lambda-semantics §8.4, §8.5."""

from __future__ import annotations

import asyncio

import pytest

from tests.adapters.queue_steps import delete, receive, texts
from tests.adapters.world import World, play, refused

pytestmark = pytest.mark.integration


async def a_held_message(world: World, visibility_s: int = 30) -> tuple[str, str]:
    """Return a queue's URL, and the handle of its only message."""
    url = await world.a_queue("jobs")
    await world.sqs("SendMessage", QueueUrl=url, MessageBody="x")
    [message] = await receive(world, url, VisibilityTimeout=visibility_s)
    return url, message["ReceiptHandle"]


def test_a_changed_visibility_counts_from_now() -> None:
    async def scenario(world: World) -> None:
        url, handle = await a_held_message(world)
        await world.clock.sleep(20)

        await world.sqs("ChangeMessageVisibility", QueueUrl=url, ReceiptHandle=handle, VisibilityTimeout=20)
        await world.clock.sleep(19)
        assert await receive(world, url) == []
        await world.clock.sleep(1)
        assert texts(await receive(world, url)) == ["x"]

    play(scenario)


def test_no_visibility_wakes_a_long_poll() -> None:
    async def scenario(world: World) -> None:
        url, handle = await a_held_message(world)
        began = world.clock.monotonic()
        poll = asyncio.create_task(receive(world, url, WaitTimeSeconds=20))
        await world.clock.sleep(3.5)

        await world.sqs("ChangeMessageVisibility", QueueUrl=url, ReceiptHandle=handle, VisibilityTimeout=0)

        assert texts(await poll) == ["x"]
        assert world.clock.monotonic() - began < 3.6

    play(scenario)


def test_the_visibility_of_a_standard_message_changes_after_it_ran_out() -> None:
    async def scenario(world: World) -> None:
        url, handle = await a_held_message(world, visibility_s=1)
        await world.clock.sleep(2)

        await world.sqs("ChangeMessageVisibility", QueueUrl=url, ReceiptHandle=handle, VisibilityTimeout=10)

        assert await receive(world, url) == []

    play(scenario)


def test_a_message_is_hidden_for_twelve_hours_at_most() -> None:
    async def scenario(world: World) -> None:
        url, handle = await a_held_message(world)
        await world.clock.sleep(10)

        error = await refused(
            world.sqs("ChangeMessageVisibility", QueueUrl=url, ReceiptHandle=handle, VisibilityTimeout=43_200)
        )

        assert error.code == "InvalidParameterValueException"
        assert error.message == (
            "Value 43200 for parameter VisibilityTimeout is invalid. "
            "Reason: Total VisibilityTimeout for the message is beyond the limit [43200 seconds]"
        )
        wide = await refused(
            world.sqs("ChangeMessageVisibility", QueueUrl=url, ReceiptHandle=handle, VisibilityTimeout=43_201)
        )
        assert wide.message == (
            "Value 43201 for parameter VisibilityTimeout is invalid. Reason: Must be between 0 and 43200, if provided."
        )

    play(scenario)


def test_a_deleted_message_has_no_visibility() -> None:
    async def scenario(world: World) -> None:
        url, handle = await a_held_message(world)
        await delete(world, url, {"ReceiptHandle": handle})

        gone = await refused(
            world.sqs("ChangeMessageVisibility", QueueUrl=url, ReceiptHandle=handle, VisibilityTimeout=1)
        )
        garbage = await refused(
            world.sqs("ChangeMessageVisibility", QueueUrl=url, ReceiptHandle="garbage", VisibilityTimeout=1)
        )
        nowhere = await refused(
            world.sqs("ChangeMessageVisibility", QueueUrl="none", ReceiptHandle=handle, VisibilityTimeout=1)
        )

        assert gone.message == (
            f"Value {handle} for parameter ReceiptHandle is invalid. "
            "Reason: Message does not exist or is not available for visibility timeout change."
        )
        assert (garbage.code, nowhere.code) == ("ReceiptHandleIsInvalid", "QueueDoesNotExist")

    play(scenario)


def test_a_fifo_message_whose_visibility_ran_out_is_not_in_flight() -> None:
    async def scenario(world: World) -> None:
        url = await world.a_queue("jobs.fifo", FifoQueue="true", ContentBasedDeduplication="true")
        await world.sqs("SendMessage", QueueUrl=url, MessageBody="x", MessageGroupId="g")
        [message] = await receive(world, url, VisibilityTimeout=1)
        await world.clock.sleep(2)

        handle = message["ReceiptHandle"]
        error = await refused(
            world.sqs("ChangeMessageVisibility", QueueUrl=url, ReceiptHandle=handle, VisibilityTimeout=10)
        )

        assert error.code == "MessageNotInflight"
        assert error.headers["x-amzn-query-error"] == "AWS.SimpleQueueService.MessageNotInflight;Sender"

    play(scenario)


def test_a_queue_of_which_too_many_messages_are_held_gives_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(world: World) -> None:
        monkeypatch.setattr(world.store.queues, "_in_flight_limit", 2)
        url = await world.a_queue("jobs")
        fifo = await world.a_queue("jobs.fifo", FifoQueue="true", ContentBasedDeduplication="true")
        for body in ("1", "2", "3"):
            await world.sqs("SendMessage", QueueUrl=url, MessageBody=body)
            await world.sqs("SendMessage", QueueUrl=fifo, MessageBody=body, MessageGroupId=body)
        held = await receive(world, url, MaxNumberOfMessages=2)
        await receive(world, fifo, MaxNumberOfMessages=2)

        error = await refused(receive(world, url))
        assert (error.code, error.status) == ("OverLimit", 403)
        assert await receive(world, url, WaitTimeSeconds=1) == []
        assert await receive(world, fifo) == []
        await delete(world, url, held[0])
        assert len(await receive(world, url)) == 1

    play(scenario)
