"""What every QueueSource must keep to, as tests that any adapter can run.

A test module of the adapter derives a class from `QueueSourceSuite`, and gives it a fixture `play` that runs a
scenario in a `QueueWorld`: the source, and a hand on the queues behind it. See docs/queue-sources.md.
"""

from __future__ import annotations

import asyncio
import json
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence

import pytest

from eventrouter.clock import Clock
from eventrouter.ports import QueueMessage, QueueSource, SourceGone

__all__ = ["Play", "QueueSourceSuite", "QueueWorld"]

OWNER = "node-1"
OTHER_OWNER = "node-2"
PATIENCE_S = 20.0
"""How long a receiver waits for what must come: several poll intervals of a source that polls."""
VISIBILITY_S = 5


class QueueWorld(ABC):
    """The source under test, and a hand on its queues. What a source cannot do skips the tests that need it."""

    source: QueueSource
    clock: Clock

    @abstractmethod
    async def make_queue(self, name: str, *, is_fifo: bool = False) -> str:
        """Make a queue that hides messages for VISIBILITY_S, and return its ARN once it takes messages."""

    @abstractmethod
    async def send(self, arn: str, payload: str, *, group: str = "") -> str:
        """Send one message, a JSON document, in a group if the queue is FIFO; return its id."""

    @abstractmethod
    async def delete_queue(self, arn: str) -> None:
        """Delete the queue, and return once it is gone."""

    @abstractmethod
    def payload(self, message: QueueMessage) -> str:
        """Return the payload of `send` out of a message's event."""

    async def bury(self, owner: str) -> None:
        """Let the node of that name be found dead. OWNER and OTHER_OWNER live from the beginning."""
        pytest.skip("nodes of this source do not die")


Play = Callable[[Callable[[QueueWorld], Awaitable[None]]], None]
"""Runs one scenario, from beginning to end, in a world of its own: in virtual time if the source can."""


def scenario(
    test: Callable[[QueueSourceSuite, QueueWorld], Awaitable[None]],
) -> Callable[[QueueSourceSuite, Play], None]:
    """Make a coroutine of a world a test that pytest can run."""

    def run(self: QueueSourceSuite, play: Play) -> None:
        play(lambda world: test(self, world))

    return run


class QueueSourceSuite:
    """The tests. A derived class overrides the fixture `play`."""

    @pytest.fixture
    def play(self) -> Play:
        """Return what runs one scenario, from beginning to end, in a world of its own."""
        raise NotImplementedError("give the suite a fixture `play`")

    @scenario
    async def test_a_source_says_what_it_and_its_queues_are(self, world: QueueWorld) -> None:
        plain = await world.make_queue("jobs")
        ordered = await world.make_queue("steps", is_fifo=True)

        assert world.source.service == plain.split(":")[2]
        assert world.source.data_key
        assert world.source.receive_limit >= 1
        traits = await world.source.traits(plain)
        assert (traits.visibility_ms, traits.is_fifo) == (VISIBILITY_S * 1_000, False)
        assert (await world.source.traits(ordered)).is_fifo

    @scenario
    async def test_messages_are_handed_out_once(self, world: QueueWorld) -> None:
        arn = await world.make_queue("jobs")
        sent = [await world.send(arn, document(number)) for number in range(15)]

        received = await receive_all(world, arn)

        assert sorted(message.id for message in received) == sorted(sent)
        assert sorted(numbers_of(world, received)) == list(range(15))
        assert len({message.receipt for message in received}) == 15

    @scenario
    async def test_a_receive_gives_no_more_than_is_asked_for(self, world: QueueWorld) -> None:
        arn = await world.make_queue("jobs")
        for number in range(5):
            await world.send(arn, document(number))

        assert len(await receive(world, arn, limit=2)) == 2
        assert 1 <= len(await receive(world, arn, limit=world.source.receive_limit)) <= 3

    @scenario
    async def test_an_empty_queue_gives_nothing_at_once(self, world: QueueWorld) -> None:
        arn = await world.make_queue("jobs")
        began = world.clock.monotonic()

        assert list(await receive(world, arn)) == []
        assert world.clock.monotonic() - began < 1

    @scenario
    async def test_an_event_is_json_that_filters_can_look_into(self, world: QueueWorld) -> None:
        arn = await world.make_queue("jobs")
        await world.send(arn, document(7))
        [message] = await receive_all(world, arn)

        event = json.loads(message.event)
        assert isinstance(event, dict)
        assert message.id in message.event.decode()
        assert world.source.filterable(message.event)[world.source.data_key] == json.loads(document(7))

    @scenario
    async def test_filters_see_a_payload_that_is_no_json_as_text(self, world: QueueWorld) -> None:
        arn = await world.make_queue("jobs")
        await world.send(arn, "no json")
        [message] = await receive_all(world, arn)

        assert world.payload(message) == "no json"
        assert world.source.filterable(message.event)[world.source.data_key] == "no json"

    @scenario
    async def test_a_message_says_when_it_was_sent(self, world: QueueWorld) -> None:
        arn = await world.make_queue("jobs")
        before_ms = world.clock.now_ms()
        await world.send(arn, document(0))
        after_ms = world.clock.now_ms()
        [message] = await receive_all(world, arn)

        assert before_ms - 1_000 <= message.sent_at_ms <= after_ms + 1_000

    @scenario
    async def test_a_message_comes_back_when_its_visibility_ends_and_not_before(self, world: QueueWorld) -> None:
        arn = await world.make_queue("jobs")
        await world.send(arn, document(0))
        [first] = await receive_all(world, arn, visibility_s=3)
        await world.clock.sleep(1.5)
        assert list(await receive(world, arn)) == []
        await world.clock.sleep(2)

        [second] = await receive_all(world, arn)
        assert (second.id, second.sent_at_ms) == (first.id, first.sent_at_ms)
        assert second.receipt != first.receipt

    @scenario
    async def test_a_deleted_message_never_comes_back(self, world: QueueWorld) -> None:
        arn = await world.make_queue("jobs")
        for number in range(12):
            await world.send(arn, document(number))
        received = await receive_all(world, arn, visibility_s=2)

        assert await world.source.delete(arn, [message.receipt for message in received[1:]]) == 11
        await world.clock.sleep(3)

        assert [message.id for message in await receive_all(world, arn)] == [received[0].id]

    @scenario
    async def test_deleting_twice_is_harmless(self, world: QueueWorld) -> None:
        arn = await world.make_queue("jobs")
        await world.send(arn, document(0))
        [message] = await receive_all(world, arn)

        assert await world.source.delete(arn, [message.receipt]) == 1
        assert await world.source.delete(arn, [message.receipt]) == 0

    @scenario
    async def test_an_old_receipt_deletes_nothing_that_was_received_since(self, world: QueueWorld) -> None:
        arn = await world.make_queue("jobs")
        await world.send(arn, document(0))
        [first] = await receive_all(world, arn, visibility_s=1)
        await world.clock.sleep(2)
        [second] = await receive_all(world, arn, visibility_s=1)

        assert await world.source.delete(arn, [first.receipt]) == 0
        await world.clock.sleep(2)
        assert [message.id for message in await receive_all(world, arn)] == [second.id]

    @scenario
    async def test_messages_can_be_hidden_for_longer(self, world: QueueWorld) -> None:
        arn = await world.make_queue("jobs")
        for number in range(12):
            await world.send(arn, document(number))
        received = await receive_all(world, arn, visibility_s=3)
        await world.clock.sleep(2)
        await world.source.change_visibility(arn, [message.receipt for message in received], 4_000)
        await world.clock.sleep(2.5)
        assert list(await receive(world, arn)) == []

        assert await world.source.delete(arn, [message.receipt for message in received]) == 12

    @scenario
    async def test_messages_can_be_given_back_at_once(self, world: QueueWorld) -> None:
        arn = await world.make_queue("jobs")
        await world.send(arn, document(0))
        [message] = await receive_all(world, arn, visibility_s=60)
        await world.source.change_visibility(arn, [message.receipt], 0)

        assert [again.id for again in await receive_all(world, arn)] == [message.id]

    @scenario
    async def test_receivers_at_the_same_time_share_the_messages(self, world: QueueWorld) -> None:
        arn = await world.make_queue("jobs")
        sent = [await world.send(arn, document(number)) for number in range(30)]

        shares = await asyncio.gather(*(receive_all(world, arn) for _ in range(3)))

        assert sorted(message.id for share in shares for message in share) == sorted(sent)

    @scenario
    async def test_waiting_ends_when_a_message_comes(self, world: QueueWorld) -> None:
        arn = await world.make_queue("jobs")
        receiver = asyncio.create_task(await_message(world, arn))
        await world.clock.sleep(0.2)
        sent = await world.send(arn, document(0))

        assert (await receiver).id == sent

    @scenario
    async def test_waiting_ends_when_a_message_becomes_visible(self, world: QueueWorld) -> None:
        arn = await world.make_queue("jobs")
        await world.send(arn, document(0))
        [message] = await receive_all(world, arn, visibility_s=3)

        assert (await await_message(world, arn)).id == message.id

    @scenario
    async def test_waiting_for_what_is_there_already_ends_soon(self, world: QueueWorld) -> None:
        arn = await world.make_queue("jobs")
        await receive(world, arn)
        await world.send(arn, document(0))

        async with asyncio.timeout(PATIENCE_S):
            await world.source.wait(arn)

    @scenario
    async def test_a_wait_that_is_given_up_leaves_the_others_waiting(self, world: QueueWorld) -> None:
        arn = await world.make_queue("jobs")
        patient = asyncio.create_task(await_message(world, arn))
        impatient = asyncio.create_task(await_message(world, arn))
        await world.clock.sleep(0.1)
        impatient.cancel()
        await asyncio.gather(impatient, return_exceptions=True)
        sent = await world.send(arn, document(0))

        assert (await patient).id == sent

    @scenario
    async def test_what_a_dead_node_holds_comes_back_at_once(self, world: QueueWorld) -> None:
        arn = await world.make_queue("jobs")
        sent = await world.send(arn, document(0))
        [held] = await receive_all(world, arn, owner=OTHER_OWNER, visibility_s=600)
        assert held.id == sent
        await world.bury(OTHER_OWNER)

        assert [message.id for message in await receive_all(world, arn)] == [sent]

    @scenario
    async def test_a_group_comes_in_order_and_is_named(self, world: QueueWorld) -> None:
        arn = await world.make_queue("steps", is_fifo=True)
        for number in range(6):
            await world.send(arn, document(number), group=f"group-{number % 2}")

        received = await receive_all(world, arn)

        for group in ("group-0", "group-1"):
            numbers = numbers_of(world, [message for message in received if message.group == group])
            assert numbers == sorted(numbers)
            assert len(numbers) == 3 or world.source.receive_limit < 6

    @scenario
    async def test_a_plain_queue_has_no_groups(self, world: QueueWorld) -> None:
        arn = await world.make_queue("jobs")
        await world.send(arn, document(0))

        assert [message.group for message in await receive_all(world, arn)] == [""]

    @scenario
    async def test_nothing_of_a_group_is_handed_out_while_some_of_it_is_hidden(self, world: QueueWorld) -> None:
        arn = await world.make_queue("steps", is_fifo=True)
        for number in range(3):
            await world.send(arn, document(number), group="a")
        [first] = await receive(world, arn, limit=1)
        await world.send(arn, document(9), group="b")

        assert numbers_of(world, await receive_all(world, arn)) == [9]
        assert await world.source.delete(arn, [first.receipt]) == 1
        assert numbers_of(world, await receive_all(world, arn)) == [1, 2]

    @scenario
    async def test_a_group_comes_back_in_its_order(self, world: QueueWorld) -> None:
        arn = await world.make_queue("steps", is_fifo=True)
        for number in range(3):
            await world.send(arn, document(number), group="a")
        assert numbers_of(world, await receive_all(world, arn, visibility_s=2)) == [0, 1, 2]
        await world.clock.sleep(3)

        assert numbers_of(world, await receive_all(world, arn)) == [0, 1, 2]

    @scenario
    async def test_a_queue_that_is_not_there_is_told_from_one_that_cannot_be_asked(self, world: QueueWorld) -> None:
        arn = await world.make_queue("jobs")
        await world.send(arn, document(0))
        [message] = await receive_all(world, arn)
        await world.delete_queue(arn)

        with pytest.raises(SourceGone):
            await world.source.traits(arn)
        with pytest.raises(SourceGone):
            await receive(world, arn)
        with pytest.raises(SourceGone):
            await world.source.delete(arn, [message.receipt])
        with pytest.raises(SourceGone):
            await world.source.change_visibility(arn, [message.receipt], 1_000)


def document(number: int) -> str:
    return json.dumps({"number": number})


def numbers_of(world: QueueWorld, messages: Sequence[QueueMessage]) -> list[int]:
    return [json.loads(world.payload(message))["number"] for message in messages]


async def receive(
    world: QueueWorld, arn: str, *, limit: int | None = None, visibility_s: float = VISIBILITY_S, owner: str = OWNER
) -> Sequence[QueueMessage]:
    return await world.source.receive(
        arn,
        limit=world.source.receive_limit if limit is None else limit,
        visibility_ms=round(visibility_s * 1_000),
        owner=owner,
        has_window=False,
    )


async def receive_all(
    world: QueueWorld, arn: str, *, visibility_s: float = VISIBILITY_S, owner: str = OWNER
) -> list[QueueMessage]:
    """Receive until there is nothing to be had."""
    received: list[QueueMessage] = []
    while found := await receive(world, arn, visibility_s=visibility_s, owner=owner):
        received += found
    return received


async def await_message(world: QueueWorld, arn: str) -> QueueMessage:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            if found := await receive(world, arn, limit=1):
                return found[0]
            await world.source.wait(arn)
