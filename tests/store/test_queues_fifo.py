"""FIFO queues on every server: order in groups, the order of groups, deduplication, and repeated receives."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from eventrouter.store.queues import (
    ChangeOutcome,
    DeleteOutcome,
    NewMessage,
    QueueName,
    Queues,
    QueueSettings,
    ReceivedMessage,
    SendOutcome,
)
from eventrouter.testing.redis import virtual_redis
from tests.store.test_idempotence import StandingClock
from tests.store.test_queues import SteppedClock, a_message, with_queues
from tests.store.worlds import Server, World, open_world

pytestmark = pytest.mark.integration

LINE = QueueName(account="000000000000", region="us-east-1", name="line.fifo")


def in_line(text: str, **changes: Any) -> NewMessage:
    """A message whose group is the first letter of its text."""
    return a_message(text, **{"group": text[0], "deduplication_id": text} | changes)


async def send(queues: Queues, *texts: str) -> None:
    await queues.send_all(LINE, [in_line(text) for text in texts])


async def take(queues: Queues, limit: int = 10, **options: Any) -> list[ReceivedMessage]:
    return list((await queues.receive(LINE, limit=limit, **options)).messages)


async def texts(queues: Queues, limit: int = 10, **options: Any) -> list[str]:
    return [message.body.decode() for message in await take(queues, limit, **options)]


def with_line(server: Server, scenario: Callable[[Queues, SteppedClock], Awaitable[None]], **settings: Any) -> None:
    """Play a scenario with one FIFO queue whose messages are hidden for 10 s."""

    async def play(queues: Queues, clock: SteppedClock, world: World) -> None:
        await queues.create(LINE, QueueSettings(is_fifo=True, visibility_ms=10_000, **settings))
        await scenario(queues, clock)

    with_queues(server, play)


def test_a_receive_is_filled_with_the_first_group_first(server: Server) -> None:
    async def scenario(queues: Queues, clock: SteppedClock) -> None:
        await send(queues, "a1", "b1", "a2", "a3")

        assert await texts(queues) == ["a1", "a2", "a3", "b1"]

    with_line(server, scenario)


def test_nothing_of_a_group_is_handed_out_while_some_of_it_is_held_and_other_groups_go_on(server: Server) -> None:
    async def scenario(queues: Queues, clock: SteppedClock) -> None:
        await send(queues, "a1", "a2", "b1")

        held = await take(queues, 1)
        await send(queues, "a3")
        queue = await queues.get(LINE)

        assert [message.body for message in held] == [b"a1"]
        assert queue is not None
        assert (queue.visible, queue.in_flight) == (3, 1)
        assert await texts(queues) == ["b1"]
        assert await texts(queues) == []

    with_line(server, scenario)


def test_a_group_is_freed_when_all_that_is_held_of_it_was_deleted(server: Server) -> None:
    async def scenario(queues: Queues, clock: SteppedClock) -> None:
        await send(queues, "a1", "a2", "a3")
        first, second = await take(queues, 2)

        assert await queues.delete_all(LINE, [first.receipt]) == [DeleteOutcome.DELETED]
        assert await texts(queues) == []
        assert await queues.delete_all(LINE, [second.receipt]) == [DeleteOutcome.DELETED]
        assert await texts(queues) == ["a3"]

    with_line(server, scenario)


@pytest.mark.parametrize(("extended", "offered"), [(0, []), (1, ["a1"]), (2, ["a1", "a2"])])
def test_a_group_is_offered_up_to_its_first_message_that_is_still_hidden(
    server: Server, extended: int, offered: list[str]
) -> None:
    async def scenario(queues: Queues, clock: SteppedClock) -> None:
        await send(queues, "a1", "a2", "a3")
        held = await take(queues)

        outcomes = await queues.change_visibility(LINE, [(held[extended].receipt, 60_000)])
        clock.pass_s(11)

        assert outcomes == [ChangeOutcome.CHANGED]
        assert await texts(queues) == offered

    with_line(server, scenario)


def test_messages_come_back_in_their_order_and_a_freed_group_goes_behind_the_others(server: Server) -> None:
    async def scenario(queues: Queues, clock: SteppedClock) -> None:
        await send(queues, "a1", "a2", "b1", "c1")

        held = await take(queues, 2)
        await queues.change_visibility(LINE, [(message.receipt, 0) for message in held])

        assert await texts(queues) == ["b1", "c1", "a1", "a2"]
        clock.pass_s(11)
        assert await texts(queues, visibility_ms=0) == await texts(queues)

    with_line(server, scenario)


def test_a_receipt_whose_visibility_has_run_out_neither_deletes_nor_hides(server: Server) -> None:
    async def scenario(queues: Queues, clock: SteppedClock) -> None:
        await send(queues, "a1", "b1")
        first, second = await take(queues)
        await queues.change_visibility(LINE, [(second.receipt, 60_000)])
        clock.pass_s(11)

        outcomes = await queues.delete_all(LINE, [first.receipt, second.receipt])
        changed = await queues.change_visibility(LINE, [(first.receipt, 10_000), (second.receipt, 0)])

        assert outcomes == [DeleteOutcome.EXPIRED, DeleteOutcome.DELETED]
        assert changed == [ChangeOutcome.NOT_IN_FLIGHT, ChangeOutcome.GONE]
        assert await texts(queues) == ["a1"]

    with_line(server, scenario)


def test_sequence_numbers_have_20_digits_and_grow(server: Server) -> None:
    async def scenario(queues: Queues, clock: SteppedClock) -> None:
        sent = await queues.send_all(LINE, [in_line("a1"), in_line("b1"), in_line("a2")])
        taken = await take(queues)

        numbers = [each.sequence_number for each in sent]
        assert numbers == sorted(set(numbers))
        assert {len(number) for number in numbers} == {20}
        assert {message.sequence_number for message in taken} == set(numbers)
        assert (taken[0].group, taken[0].deduplication_id) == ("a", "a1")

    with_line(server, scenario)


def test_a_deduplication_id_stores_one_message_in_5_minutes_also_once_it_was_deleted(server: Server) -> None:
    async def scenario(queues: Queues, clock: SteppedClock) -> None:
        [first] = await queues.send_all(LINE, [in_line("a1", deduplication_id="x")])
        [held] = await take(queues)
        await queues.delete(LINE, held.receipt)

        [second] = await queues.send_all(LINE, [in_line("b1", deduplication_id="x")])
        assert (second.outcome, second.id) == (SendOutcome.DUPLICATE, first.id)
        assert second.sequence_number == first.sequence_number
        assert await texts(queues) == []

    with_line(server, scenario)


def test_deduplication_ends_5_minutes_after_the_first_send() -> None:
    async def scenario() -> None:
        clock = StandingClock()
        with virtual_redis(clock.monotonic) as connect:
            client = connect()
            world = await open_world(client, clock=clock)
            queues = world.store.queues
            await queues.create(LINE, QueueSettings(is_fifo=True))
            outcomes = []
            for identity, seconds in (("1", 0), ("2", 299), ("3", 1), ("4", 299)):
                clock.ms += seconds * 1_000
                [sent] = await queues.send_all(LINE, [in_line("a", identity=identity)])
                outcomes.append((sent.outcome.name, sent.id))

            assert outcomes == [("STORED", "1"), ("DUPLICATE", "1"), ("STORED", "3"), ("DUPLICATE", "3")]
            await world.store.close()
            await client.aclose()

    asyncio.run(scenario())


def test_deduplication_may_hold_for_each_group_alone(server: Server) -> None:
    async def scenario(queues: Queues, clock: SteppedClock) -> None:
        sent = await queues.send_all(LINE, [in_line(text, deduplication_id="x") for text in ("a1", "b1", "a2", "b2")])

        assert [each.outcome for each in sent] == [SendOutcome.STORED] * 2 + [SendOutcome.DUPLICATE] * 2
        assert await texts(queues) == ["a1", "b1"]

    with_line(server, scenario, deduplication_scope="messageGroup")


def test_a_purge_forgets_deduplication(server: Server) -> None:
    async def scenario(queues: Queues, clock: SteppedClock) -> None:
        await send(queues, "a1")
        await take(queues)
        await queues.purge(LINE)

        await queues.send_all(LINE, [in_line("a1", identity="another")])

        assert await texts(queues) == ["a1"]

    with_line(server, scenario)


def test_a_receive_attempt_gets_the_same_messages_again_while_none_was_changed(server: Server) -> None:
    async def scenario(queues: Queues, clock: SteppedClock) -> None:
        await send(queues, "a1", "a2", "b1", "c1")

        first = await take(queues, 3, attempt_id="try")
        clock.pass_s(8)
        again = await take(queues, 3, attempt_id="try")
        clock.pass_s(8)

        assert [message.body for message in first] == [b"a1", b"a2", b"b1"]
        assert again == first
        assert await texts(queues) == ["c1"]  # hidden anew by the repetition
        await queues.delete(LINE, first[0].receipt)
        assert await take(queues, 3, attempt_id="try") == []

    with_line(server, scenario)


def test_the_queues_delay_keeps_the_order_of_a_group(server: Server) -> None:
    async def scenario(queues: Queues, clock: SteppedClock) -> None:
        await send(queues, "a1", "b1")
        await queues.change(LINE, lambda settings: QueueSettings(is_fifo=True, delay_ms=0))
        await send(queues, "a2", "c1")

        received = await queues.receive(LINE, limit=10)
        empty = await queues.receive(LINE, limit=10)

        assert [message.body for message in received.messages] == [b"c1"]
        assert empty.next_in_ms is not None
        assert 4_000 < empty.next_in_ms <= 5_000
        clock.pass_s(5)
        assert await texts(queues) == ["a1", "a2", "b1"]

    with_line(server, scenario, delay_ms=5_000)


def test_many_groups_get_their_turn(server: Server) -> None:
    async def scenario(queues: Queues, clock: SteppedClock) -> None:
        for number in range(60):
            await queues.send_all(LINE, [in_line(f"m{number}", group=str(number)), in_line(f"n{number}", group="big")])

        seen: list[str] = []
        for _ in range(13):
            messages = await take(queues, 5)
            seen += [message.group for message in messages]
            await queues.delete_all(LINE, [message.receipt for message in messages])

        # The big group gives five at its turns and then goes behind all the others.
        assert seen[:6] == ["0", "big", "big", "big", "big", "1"]
        others = [group for group in seen if group != "big"]
        assert others == [str(number) for number in range(len(others))]
        assert len(others) > 50

    with_line(server, scenario)
