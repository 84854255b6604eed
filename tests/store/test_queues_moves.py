"""Messages that change queues: dead letters and move tasks; and those that a dead node held."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from eventrouter.errors import NodeDead
from eventrouter.store.queues import (
    DeleteOutcome,
    MessageState,
    MoveInProgress,
    MoveStatus,
    MoveTask,
    NoSuchMove,
    QueueName,
    Queues,
    QueueSettings,
)
from eventrouter.testing.redis import virtual_redis
from tests.store.test_idempotence import StandingClock
from tests.store.test_queues import JOBS, SteppedClock, a_message, bodies, counts, receive, with_queues
from tests.store.test_queues_fifo import LINE, in_line, texts
from tests.store.twice import Twice
from tests.store.worlds import Server, World, open_world

pytestmark = pytest.mark.integration

DEAD = QueueName(account="000000000000", region="us-east-1", name="dead")
DEAD_LINE = QueueName(account="000000000000", region="us-east-1", name="dead.fifo")
REDRIVE = QueueSettings(visibility_ms=0, max_receive_count=2, dead_letter_target=DEAD.arn)


async def size(queues: Queues, name: QueueName) -> int:
    queue = await queues.get(name)
    assert queue is not None
    return queue.visible + queue.in_flight + queue.delayed


async def two_queues(queues: Queues) -> None:
    await queues.create(DEAD, QueueSettings())
    await queues.create(JOBS, REDRIVE)


def test_the_receive_that_would_be_one_too_many_moves_the_message_to_the_dead_letter_queue(server: Server) -> None:
    async def scenario(queues: Queues, clock: SteppedClock, world: World) -> None:
        await two_queues(queues)
        await queues.send(JOBS, a_message("one", extras=b"{}"))
        [first], [second] = await receive(queues), await receive(queues)

        assert await receive(queues) == []

        assert await counts(queues) == (0, 0, 0)
        [letter] = (await queues.receive(DEAD, limit=10)).messages
        assert (letter.body, letter.extras, letter.sender) == (b"one", b"{}", "me")
        assert (letter.receipt.id, letter.receipt.count) == (first.receipt.id, 3)
        assert (letter.sent_at_ms, letter.source_arn) == (first.sent_at_ms, JOBS.arn)
        assert await queues.delete_all(JOBS, [second.receipt]) == [DeleteOutcome.GONE]

    with_queues(server, scenario)


def test_a_dead_letter_waits_for_its_queue_to_exist_and_a_sweep_sends_it_on(server: Server) -> None:
    async def scenario(queues: Queues, clock: SteppedClock, world: World) -> None:
        await queues.create(JOBS, REDRIVE)
        for number in range(25):
            await queues.send(JOBS, a_message(str(number)))
        for _ in range(12):
            await receive(queues)
        assert await queues.moves.sweep() == 0

        await queues.create(DEAD, QueueSettings())

        assert await queues.moves.sweep() == 25
        assert await queues.moves.sweep() == 0
        assert (await size(queues, JOBS), await size(queues, DEAD)) == (0, 25)

    with_queues(server, scenario)


def test_a_dead_letter_that_was_sent_but_not_struck_is_not_sent_again(server: Server) -> None:
    async def scenario(queues: Queues, clock: SteppedClock, world: World) -> None:
        await two_queues(queues)
        await queues.send(JOBS, a_message("one"))
        outbox = letters, order = [queues._calls.key(JOBS, part) for part in ("ob", "oz")]
        await receive(queues)
        await receive(queues)
        await world.store.scripts.call(
            "queue_receive", world.keys.queue(JOBS.key), (0, clock.now_ms(), "n", 1, 0, "", "", 10, JOBS.arn)
        )
        kept = await world.client.hgetall(letters), await world.client.zrange(order, 0, -1, withscores=True)
        assert await queues.moves.forward(JOBS) == 1
        [letter] = (await queues.receive(DEAD, limit=1)).messages
        await queues.delete(DEAD, letter.receipt)

        await world.client.hset(letters, mapping=kept[0])
        await world.client.zadd(order, dict(kept[1]))
        await queues.moves.sweep()

        assert await size(queues, DEAD) == 0
        assert not await world.client.exists(*outbox)

    with_queues(server, scenario)


def test_a_dead_letter_keeps_the_order_of_its_group_and_frees_it(server: Server) -> None:
    async def scenario(queues: Queues, clock: SteppedClock, world: World) -> None:
        await queues.create(DEAD_LINE, QueueSettings(is_fifo=True))
        settings = QueueSettings(is_fifo=True, max_receive_count=1, dead_letter_target=DEAD_LINE.arn)
        await queues.create(LINE, settings)
        await queues.send_all(LINE, [in_line(text) for text in ("a1", "a2", "b1", "a3")])

        assert await texts(queues, 2, visibility_ms=0) == ["a1", "a2"]
        assert await texts(queues, 1, visibility_ms=0) == ["b1"]
        assert await texts(queues, 10) == ["a3"]
        letters = (await queues.receive(DEAD_LINE, limit=10)).messages

        assert [letter.body for letter in letters] == [b"a1", b"a2", b"b1"]
        assert letters[0].group == "a"
        assert letters[0].source_arn == LINE.arn

    with_queues(server, scenario)


def test_the_queues_that_have_a_dead_letter_queue_are_found_and_struck_when_they_are_gone(server: Server) -> None:
    async def scenario(queues: Queues, clock: SteppedClock, world: World) -> None:
        await two_queues(queues)
        other = replace(JOBS, name="other")
        await queues.create(other, QueueSettings())
        assert await queues.moves.sources(DEAD) == (JOBS,)

        await queues.change(other, lambda settings: replace(settings, max_receive_count=1, dead_letter_target=DEAD.arn))
        assert await queues.moves.sources(DEAD) == (JOBS, other)
        await queues.change(other, lambda settings: replace(settings, dead_letter_target=None))
        await queues.remove(JOBS)
        assert await queues.moves.sources(DEAD) == ()
        await queues.moves.sweep()
        assert await world.client.zcard(world.keys.installation("queues")) == 2
        clock.pass_s(3_601)
        await queues.moves.sweep()
        assert await world.client.zcard(world.keys.installation("queues")) == 0

    with_queues(server, scenario)


def test_a_task_moves_messages_back_to_where_they_came_from_as_new_ones(server: Server) -> None:
    async def scenario(queues: Queues, clock: SteppedClock, world: World) -> None:
        await two_queues(queues)
        for number in range(7):
            await queues.send(JOBS, a_message(str(number)))
        for _ in range(3):
            await receive(queues)
        started = await queues.moves.start(DEAD, MoveTask(handle="h", started_at_ms=clock.now_ms()))
        assert (started.total, started.status) == (7, MoveStatus.RUNNING)
        with pytest.raises(MoveInProgress):
            await queues.moves.start(DEAD, MoveTask(handle="i", started_at_ms=clock.now_ms()))
        assert [name for name, _ in await queues.moves.running()] == [DEAD]

        steps = [await queues.moves.step(DEAD, "h", 4) for _ in range(3)]

        assert [(task.moved, moved, homeless) for task, moved, homeless in steps] == [(4, 4, 0), (7, 3, 0), (7, 0, 0)]
        assert await size(queues, DEAD) == 0
        back = await receive(queues)
        assert len(back) == 7
        assert {(message.receipt.count, message.source_arn) for message in back} == {(1, "")}
        ended = await queues.moves.finish(DEAD, "h", MoveStatus.COMPLETED)
        assert await queues.moves.finish(DEAD, "h", MoveStatus.FAILED, "late") == ended
        assert await queues.moves.tasks(DEAD) == (ended,)
        # Once more through both queues: an id that was in a queue before is not taken for a repetition.
        for _ in range(3):
            await receive(queues)
        assert (await size(queues, JOBS), await size(queues, DEAD)) == (0, 7)

    with_queues(server, scenario)


@pytest.mark.parametrize(("source", "dead", "is_fifo"), [(JOBS, DEAD, False), (LINE, DEAD_LINE, True)])
def test_a_dead_letter_keeps_its_time_on_a_standard_queue_only_and_what_is_moved_back_gets_a_new_one(
    source: QueueName, dead: QueueName, is_fifo: bool
) -> None:
    async def scenario() -> None:
        clock = StandingClock()
        with virtual_redis(clock.monotonic) as connect:
            client = connect()
            world = await open_world(client, clock=clock)
            queues = world.store.queues
            await queues.create(dead, QueueSettings(is_fifo=is_fifo))
            redrive = QueueSettings(is_fifo=is_fifo, max_receive_count=1, dead_letter_target=dead.arn)
            await queues.create(source, redrive)
            sent_at = clock.ms
            await queues.send(source, in_line("a1"))
            await queues.receive(source, limit=1)
            clock.ms += 60_000
            await queues.receive(source, limit=1)
            [letter] = (await queues.receive(dead, limit=1, visibility_ms=0)).messages
            clock.ms += 60_000
            await queues.moves.start(dead, MoveTask(handle="h", started_at_ms=clock.ms))
            await queues.moves.step(dead, "h", 1)
            [back] = (await queues.receive(source, limit=1)).messages

            assert letter.sent_at_ms == sent_at + 60_000 * is_fifo
            assert (back.sent_at_ms, back.receipt.count, back.group) == (clock.ms, 1, "a")
            await world.store.close()
            await client.aclose()

    asyncio.run(scenario())


def test_a_task_says_what_has_nowhere_to_go_and_puts_back_what_cannot_be_sent(server: Server) -> None:
    async def scenario(queues: Queues, clock: SteppedClock, world: World) -> None:
        await two_queues(queues)
        await queues.send(JOBS, a_message("came"))
        for _ in range(3):
            await receive(queues)
        await queues.remove(JOBS)
        await queues.send(DEAD, a_message("own"))
        await queues.moves.start(DEAD, MoveTask(handle="h", started_at_ms=1))

        first = await queues.moves.step(DEAD, "h", 10)
        second = await queues.moves.step(DEAD, "h", 10)

        assert first[1:] == (1, 1)
        assert second[1:] == (0, 2)
        [own, came] = sorted((await queues.receive(DEAD, limit=10)).messages, key=lambda each: each.body, reverse=True)
        assert (came.body, came.source_arn, came.receipt.count) == (b"came", JOBS.arn, 3)
        assert own.body == b"own"

    with_queues(server, scenario)


def test_a_cancelled_task_moves_nothing_more_and_the_last_ten_are_known(server: Server) -> None:
    async def scenario(queues: Queues, clock: SteppedClock, world: World) -> None:
        await two_queues(queues)
        await queues.send(DEAD, a_message("one"))
        for number in range(12):
            handle = f"h{number:02}"
            await queues.moves.start(DEAD, MoveTask(handle=handle, to=JOBS.arn, started_at_ms=number))
            assert (await queues.moves.cancel(DEAD, handle)).status is MoveStatus.CANCELLING
            assert (await queues.moves.step(DEAD, handle, 10))[1] == 0
            await queues.moves.finish(DEAD, handle, MoveStatus.CANCELLED)
            with pytest.raises(NoSuchMove):
                await queues.moves.cancel(DEAD, handle)

        tasks = await queues.moves.tasks(DEAD)

        assert [task.handle for task in tasks] == [f"h{number:02}" for number in range(11, 1, -1)]
        assert await bodies(queues) == []
        with pytest.raises(NoSuchMove):
            await queues.moves.step(DEAD, "h00", 1)

    with_queues(server, scenario)


def test_messages_that_a_dead_node_held_are_visible_at_once_with_their_count(server: Server) -> None:
    async def scenario(queues: Queues, clock: SteppedClock, world: World) -> None:
        await world.join("a", "b")
        await queues.create(JOBS, QueueSettings(visibility_ms=600_000))
        await queues.create(LINE, QueueSettings(is_fifo=True, visibility_ms=600_000))
        for number in range(5):
            await queues.send(JOBS, a_message(str(number)))
        await queues.send_all(LINE, [in_line("a1"), in_line("a2")])
        held = (await queues.receive(JOBS, limit=3, owner="a")).messages
        await queues.receive(JOBS, limit=1, owner="b")
        await queues.receive(LINE, limit=1, owner="a")
        await queues.delete(JOBS, held[0].receipt)

        assert await world.store.hosts.bury("a", None)
        await world.store.hosts.reap("a")

        assert await counts(queues) == (3, 1, 0)
        assert await queues.delete_all(JOBS, [held[1].receipt]) == [DeleteOutcome.STALE]
        again = await receive(queues)
        assert sorted(message.receipt.count for message in again) == [1, 2, 2]
        assert await texts(queues) == ["a1", "a2"]
        with pytest.raises(NodeDead):
            await queues.receive(JOBS, limit=1, owner="a")
        with pytest.raises(NodeDead):
            await queues.receive(JOBS, limit=1, owner="never-joined")
        assert not await world.client.exists(world.keys.installation("queues:a"))
        await world.store.hosts.leave("b")
        assert (await counts(queues))[0] == 1

    with_queues(server, scenario)


def test_messages_are_looked_at_without_receiving_them(server: Server) -> None:
    async def scenario(queues: Queues, clock: SteppedClock, world: World) -> None:
        await queues.create(JOBS, QueueSettings())
        await queues.send(JOBS, a_message("held"))
        await receive(queues)
        await queues.send(JOBS, a_message("ready"))
        await queues.send(JOBS, a_message("later"), delay_ms=60_000)

        found = await queues.peek(JOBS)

        assert {each.message.body: (each.state, each.message.receipt.count) for each in found} == {
            b"held": (MessageState.IN_FLIGHT, 1),
            b"ready": (MessageState.VISIBLE, 0),
            b"later": (MessageState.DELAYED, 0),
        }
        assert len(await queues.peek(JOBS, start=1, limit=1)) == 1
        assert await queues.peek(JOBS, start=3) == ()
        assert await counts(queues) == (1, 1, 1)

    with_queues(server, scenario)


def test_every_script_of_moves_and_fifo_queues_may_run_twice_for_one_call(server: Server) -> None:
    async def scenario(world: World) -> None:
        twice = await open_world(world.client, wrap=Twice)
        clock = SteppedClock()
        queues = twice.store.queues
        await twice.join("a")
        await queues.create(DEAD_LINE, QueueSettings(is_fifo=True))
        settings = QueueSettings(is_fifo=True, max_receive_count=1, dead_letter_target=DEAD_LINE.arn)
        await queues.create(LINE, settings)
        changed = await queues.change(LINE, lambda settings: replace(settings, visibility_ms=60_000))
        await queues.send_all(LINE, [in_line(text) for text in ("a1", "a2", "b1")])
        [held] = (await queues.receive(LINE, limit=1, owner="a")).messages
        await queues.change_visibility(LINE, [(held.receipt, 0)])
        assert await texts(queues, 1) == ["b1"]
        assert await texts(queues, 1) == ["a2"]
        await queues.moves.start(DEAD_LINE, MoveTask(handle="h", started_at_ms=clock.now_ms()))
        task, moved, _ = await queues.moves.step(DEAD_LINE, "h", 1)
        await queues.moves.cancel(DEAD_LINE, "h")
        await queues.moves.finish(DEAD_LINE, "h", MoveStatus.CANCELLED)
        await twice.store.hosts.leave("a")

        assert changed.revision == 2
        assert (held.receipt.count, task.moved, moved) == (1, 1, 1)
        assert (await size(queues, LINE), await size(queues, DEAD_LINE)) == (3, 0)
        await twice.store.close()

    server.run(scenario)
