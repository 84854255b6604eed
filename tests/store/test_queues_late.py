"""Requests on queues that reach the server a second time, seconds after they were answered: nothing changes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from eventrouter.store.connect import Lane
from eventrouter.store.queues import MoveTask, Queues, QueueSettings
from tests.store.test_queues import JOBS, SteppedClock, a_message, counts, receive
from tests.store.test_queues_fifo import LINE, in_line, texts
from tests.store.test_queues_moves import DEAD, REDRIVE, size, two_queues
from tests.store.worlds import Server, World, open_world, parse, read_call

pytestmark = pytest.mark.integration


class Late:
    """Keeps the last command of each script, to be sent again."""

    def __init__(self, world: World) -> None:
        self._client = world.client
        self.commands: dict[str, bytes] = {}

    def lane(self, lane: Lane) -> Lane:
        return _NotedLane(lane, self.commands)

    async def again(self, script: str) -> list[Any]:
        answer: list[Any] = await self._client.execute_command(*parse(self.commands[script]))
        return answer


class _NotedLane:
    def __init__(self, lane: Lane, commands: dict[str, bytes]) -> None:
        self._lane = lane
        self._commands = commands

    async def execute(self, commands: Sequence[bytes]) -> list[Any]:
        self._commands.update((read_call(command)[0], command) for command in commands)
        return await self._lane.execute(commands)

    async def close(self) -> None:
        await self._lane.close()


Scenario = Callable[[Queues, SteppedClock, Late], Awaitable[None]]


def with_late(server: Server, scenario: Scenario) -> None:
    async def play(world: World) -> None:
        late, clock = Late(world), SteppedClock()
        noted = await open_world(world.client, wrap=late.lane, clock=clock)
        await noted.join("node")
        await scenario(noted.store.queues, clock, late)
        await noted.store.close()

    server.run(play)


def test_a_late_receive_that_got_nothing_takes_nothing(server: Server) -> None:
    async def scenario(queues: Queues, clock: SteppedClock, late: Late) -> None:
        await queues.create(JOBS, QueueSettings())
        assert await receive(queues) == []
        await queues.send(JOBS, a_message("one"))
        clock.pass_s(5)

        await late.again("queue_receive")

        assert await counts(queues) == (1, 0, 0)

    with_late(server, scenario)


def test_a_late_receive_attempt_hides_nothing_anew(server: Server) -> None:
    async def scenario(queues: Queues, clock: SteppedClock, late: Late) -> None:
        await queues.create(LINE, QueueSettings(is_fifo=True, visibility_ms=9_000))
        await queues.send_all(LINE, [in_line("a1")])
        assert await texts(queues, attempt_id="try") == ["a1"]
        assert await texts(queues, attempt_id="try") == ["a1"]
        clock.pass_s(8)
        await queues.get(LINE)

        await late.again("queue_receive")
        clock.pass_s(2)

        assert await texts(queues) == ["a1"]

    with_late(server, scenario)


def test_a_late_send_stores_nothing_although_the_message_was_deleted(server: Server) -> None:
    async def scenario(queues: Queues, clock: SteppedClock, late: Late) -> None:
        await queues.create(JOBS, QueueSettings())
        await queues.send(JOBS, a_message("one"))
        [held] = await receive(queues)
        await queues.delete(JOBS, held.receipt)

        await late.again("queue_send")

        assert await counts(queues) == (0, 0, 0)

    with_late(server, scenario)


def test_a_late_change_of_visibility_does_not_undo_a_later_one(server: Server) -> None:
    async def scenario(queues: Queues, clock: SteppedClock, late: Late) -> None:
        await queues.create(JOBS, QueueSettings())
        await queues.send(JOBS, a_message("one"))
        [held] = await receive(queues)
        await queues.change_visibility(JOBS, [(held.receipt, 60_000)])
        first = late.commands["queue_hide"]
        await queues.change_visibility(JOBS, [(held.receipt, 0)])
        clock.pass_s(5)

        late.commands["queue_hide"] = first
        await late.again("queue_hide")

        assert await counts(queues) == (1, 0, 0)

    with_late(server, scenario)


def test_a_late_arrival_or_striking_of_a_dead_letter_does_nothing_to_its_next_journey(server: Server) -> None:
    async def scenario(queues: Queues, clock: SteppedClock, late: Late) -> None:
        await two_queues(queues)
        await queues.send(JOBS, a_message("one"))
        for _ in range(3):
            await receive(queues)
        arrival, striking = late.commands["queue_send"], late.commands["queue_forwarded"]
        await queues.moves.start(DEAD, MoveTask(handle="h", started_at_ms=clock.now_ms()))
        await queues.moves.step(DEAD, "h", 1)
        await queues.remove(DEAD)

        assert await size(queues, JOBS) == 1
        for _ in range(3):
            await receive(queues)  # given up again, and now there is no dead-letter queue
        late.commands["queue_forwarded"] = striking
        await late.again("queue_forwarded")
        clock.pass_s(61)
        await queues.create(DEAD, QueueSettings())
        assert await queues.moves.sweep() == 1

        [letter] = (await queues.receive(DEAD, limit=10)).messages
        await queues.delete(DEAD, letter.receipt)
        late.commands["queue_send"] = arrival
        await queues.moves.sweep()
        assert await size(queues, DEAD) == 0

    with_late(server, scenario)


def test_a_late_arrival_of_a_dead_letter_that_was_deleted_stores_nothing(server: Server) -> None:
    async def scenario(queues: Queues, clock: SteppedClock, late: Late) -> None:
        await two_queues(queues)
        await queues.send(JOBS, a_message("one"))
        for _ in range(3):
            await receive(queues)
        [letter] = (await queues.receive(DEAD, limit=10)).messages
        await queues.delete(DEAD, letter.receipt)

        await late.again("queue_send")
        await late.again("queue_forwarded")

        assert (await size(queues, DEAD), await size(queues, JOBS)) == (0, 0)

    with_late(server, scenario)


def test_a_late_change_of_settings_does_not_undo_a_later_one(server: Server) -> None:
    async def scenario(queues: Queues, clock: SteppedClock, late: Late) -> None:
        await queues.create(JOBS, REDRIVE)
        await queues.change(JOBS, lambda settings: replace(settings, visibility_ms=1_000))
        first = late.commands["queue_change"]
        tagged = await queues.change(JOBS, lambda settings: replace(settings, tags={"team": "blue"}))
        changed = await queues.change(JOBS, lambda settings: replace(settings, visibility_ms=2_000, policy="{}"))

        late.commands["queue_change"] = first
        await late.again("queue_change")

        queue = await queues.get(JOBS)
        assert queue is not None
        assert queue == changed
        assert (queue.settings.visibility_ms, queue.settings.policy) == (2_000, "{}")
        assert queue.settings.tags == tagged.settings.tags == {"team": "blue"}
        assert queue.settings.max_receive_count == 2

    with_late(server, scenario)


def test_a_late_step_of_a_task_moves_nothing_more(server: Server) -> None:
    async def scenario(queues: Queues, clock: SteppedClock, late: Late) -> None:
        await two_queues(queues)
        await queues.send(DEAD, a_message("one"))
        await queues.send(DEAD, a_message("two"))
        await queues.moves.start(DEAD, MoveTask(handle="h", to=JOBS.arn, started_at_ms=1))
        await queues.moves.step(DEAD, "h", 1)
        clock.pass_s(5)
        await late.again("queue_move_step")

        [task] = await queues.moves.tasks(DEAD)
        assert task.moved == 1
        assert (await size(queues, DEAD), await size(queues, JOBS)) == (1, 1)

    with_late(server, scenario)
