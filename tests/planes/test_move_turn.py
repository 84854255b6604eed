"""Turns of move tasks, in virtual time: how a task goes on, how it ends, and what stops it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import Random

import pytest

from eventrouter.planes.move_turn import NAP_S, NO_SOURCE, NO_TARGET, TURN_S, MoveTurn
from eventrouter.rules.move_rate import MoveRate
from eventrouter.store import open_store, redis_lanes
from eventrouter.store.queues import MoveStatus, MoveTask, NewMessage, QueueName, Queues, QueueSettings
from eventrouter.testing.redis import virtual_redis
from eventrouter.testing.virtual import VirtualClock, run_virtual, virtual_clock

pytestmark = pytest.mark.integration

DEAD = QueueName(account="000000000000", region="us-east-1", name="dead")
JOBS = QueueName(account="000000000000", region="us-east-1", name="jobs")


@dataclass(frozen=True, slots=True)
class Moving:
    """Two queues, and turns of tasks between them."""

    queues: Queues
    clock: VirtualClock
    rate: MoveRate

    async def fill(self, count: int) -> None:
        for number in range(count):
            await self.queues.send(DEAD, NewMessage(id=f"m{number}", body=b"x", sender="me", size_bytes=1))

    async def start(self, **task: object) -> None:
        wanted = {"handle": "h", "to": JOBS.arn, "started_at_ms": self.clock.now_ms(), **task}
        await self.queues.moves.start(DEAD, MoveTask(**wanted))  # type: ignore[arg-type]

    async def turn(self, *, others_wait: bool = False) -> bool:
        turn = MoveTurn(
            queues=self.queues,
            clock=self.clock,
            source=DEAD,
            handle="h",
            rate=self.rate,
            others_wait=lambda: others_wait,
        )
        return await turn.make()

    async def task(self) -> MoveTask:
        [task] = await self.queues.moves.tasks(DEAD)
        return task

    async def size(self, name: QueueName) -> int:
        queue = await self.queues.get(name)
        assert queue is not None
        return queue.visible


def play(scenario: Callable[[Moving], Awaitable[None]]) -> None:
    async def main() -> None:
        clock = virtual_clock()
        with virtual_redis(lambda: clock.now_ms() / 1_000) as connect:
            client = connect()
            store = await open_store(redis_lanes(client), prefix="er", partitions=1, clock=clock, random=Random(5))
            try:
                for name in (DEAD, JOBS):
                    await store.queues.create(name, QueueSettings())
                await scenario(Moving(store.queues, clock, MoveRate(clock.now_ms() / 1_000)))
            finally:
                await store.close()
                await client.aclose()

    run_virtual(main())


def test_a_task_without_a_rate_is_done_in_one_turn() -> None:
    async def scenario(moving: Moving) -> None:
        await moving.fill(250)
        await moving.start()

        assert not await moving.turn()

        assert await moving.task() == MoveTask(
            handle="h",
            status=MoveStatus.COMPLETED,
            to=JOBS.arn,
            started_at_ms=(await moving.task()).started_at_ms,
            total=250,
            moved=250,
        )
        assert (await moving.size(DEAD), await moving.size(JOBS)) == (0, 250)
        assert not await moving.turn()

    play(scenario)


@pytest.mark.parametrize("rate", [1, 7, 100])
def test_a_task_with_a_rate_takes_as_long_as_that_takes(rate: int) -> None:
    async def scenario(moving: Moving) -> None:
        await moving.fill(rate * 6)
        await moving.start(rate=rate)
        began = moving.clock.monotonic()
        turns = 1
        while await moving.turn():
            turns += 1
            elapsed_s = moving.clock.monotonic() - began
            assert (await moving.task()).moved <= rate * elapsed_s + 1
            assert elapsed_s <= turns * (TURN_S + 1)

        assert moving.clock.monotonic() - began == pytest.approx(6, rel=0.1)
        assert (await moving.task()).moved == rate * 6
        assert turns >= 2

    play(scenario)


def test_a_task_that_has_to_wait_gives_way_to_others_and_still_keeps_its_rate() -> None:
    async def scenario(moving: Moving) -> None:
        await moving.fill(10)
        await moving.start(rate=2)
        began = moving.clock.monotonic()
        assert await moving.turn(others_wait=True)
        assert moving.clock.monotonic() - began == pytest.approx(NAP_S)

        while await moving.turn(others_wait=True):
            await moving.clock.sleep(0.3)

        assert moving.clock.monotonic() - began == pytest.approx(5, abs=0.7)

    play(scenario)


def test_what_arrives_meanwhile_is_left_to_the_next_task() -> None:
    async def scenario(moving: Moving) -> None:
        await moving.fill(3)
        await moving.start(rate=2)
        await moving.queues.send(DEAD, NewMessage(id="late", body=b"x", sender="me", size_bytes=1))

        while await moving.turn():
            pass

        assert ((await moving.task()).moved, await moving.size(DEAD)) == (3, 1)

    play(scenario)


def test_a_task_ends_when_others_have_taken_its_messages() -> None:
    async def scenario(moving: Moving) -> None:
        await moving.fill(3)
        await moving.start()
        held = (await moving.queues.receive(DEAD, limit=2, visibility_ms=600_000)).messages

        assert not await moving.turn()

        assert len(held) == 2
        task = await moving.task()
        assert (task.status, task.total, task.moved) == (MoveStatus.COMPLETED, 3, 1)

    play(scenario)


def test_a_cancelled_task_is_cancelled_in_its_next_turn() -> None:
    async def scenario(moving: Moving) -> None:
        await moving.fill(30)
        await moving.start(rate=10)
        assert await moving.turn()
        await moving.queues.moves.cancel(DEAD, "h")
        moved = (await moving.task()).moved

        assert not await moving.turn()

        task = await moving.task()
        assert (task.status, task.moved) == (MoveStatus.CANCELLED, moved)
        assert 0 < await moving.size(JOBS) == moved < 30

    play(scenario)


def test_a_task_without_a_destination_fails_on_messages_that_came_from_nowhere() -> None:
    async def scenario(moving: Moving) -> None:
        await moving.fill(1)
        await moving.start(to="")

        assert not await moving.turn()

        task = await moving.task()
        assert (task.status, task.failure, await moving.size(DEAD)) == (MoveStatus.FAILED, NO_SOURCE, 1)

    play(scenario)


def test_a_task_fails_when_its_destination_is_gone_and_ends_when_its_source_is() -> None:
    async def scenario(moving: Moving) -> None:
        await moving.fill(1)
        await moving.start()
        await moving.queues.remove(JOBS)

        assert not await moving.turn()

        task = await moving.task()
        assert (task.status, task.failure, await moving.size(DEAD)) == (MoveStatus.FAILED, NO_TARGET, 1)
        await moving.queues.remove(DEAD)
        assert not await moving.turn()

    play(scenario)
