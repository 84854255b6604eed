"""Queue mappings over our own queues, in virtual time."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from eventrouter.ports import Adapter, AdapterContext
from eventrouter.settings import Settings
from eventrouter.store import HostInfo
from eventrouter.testing.virtual import run_virtual
from eventrouter_adapters import sqs
from tests.adapters.queue_worlds import SqsWorld
from tests.planes.listed_queues import queue_arn
from tests.planes.queue_world import QueueWorld, Seen, a_world_of
from tests.planes.world import World

pytestmark = pytest.mark.integration

HOST = HostInfo(url="http://127.0.0.1:2", started_at_ms=0, version="0")


class Both:
    """The plane's world, and the API of the queues that it works off."""

    def __init__(self, plane: QueueWorld, api: SqsWorld) -> None:
        self.plane = plane
        self.api = api

    async def send(self, arn: str, *bodies: Any, group: str = "") -> list[str]:
        return [await self.api.send(arn, f'"{body}"', group=group) for body in bodies]


@contextlib.asynccontextmanager
async def an_sqs_world() -> AsyncIterator[Both]:
    adapters: list[Adapter] = []

    def made(base: World) -> Any:
        adapters.append(sqs.build(AdapterContext(settings=Settings(), clock=base.clock, store=base.store)))
        return adapters[0].queues[0]

    async with a_world_of(made, beats=True) as plane:
        yield Both(plane, SqsWorld(plane.base.store, adapters[0], plane.base.clock))


def test_messages_reach_the_function_at_once_and_are_deleted():
    async def scenario() -> None:
        async with an_sqs_world() as world:
            worked, function = await world.plane.worked(timeout_s=3)
            arn = await world.api.make_queue("jobs")
            await world.plane.mapping(function, arn=arn)
            await world.plane.run(5.5)
            for number in range(5):
                sent_at = world.plane.now()
                await world.send(arn, number)
                await world.plane.run(0.3)
                assert worked.times[number] == sent_at
            await world.send(arn, *range(5, 40))
            await world.plane.run(2)
            assert sorted(worked.bodies, key=int) == [str(number) for number in range(40)]
            assert await world.api.counts(arn) == (0, 0)

    run_virtual(scenario())


def test_a_failing_message_ends_in_the_dead_letter_queue():
    async def scenario() -> None:
        async with an_sqs_world() as world:

            def behave(bodies: list[Any]) -> None:
                raise ValueError("poison")

            worked, function = await world.plane.worked(behave, timeout_s=3)
            arn, dead = await world.api.make_queue("jobs"), await world.api.make_queue("dead")
            redrive = f'{{"deadLetterTargetArn":"{dead}","maxReceiveCount":2}}'
            await world.api.call("SetQueueAttributes", QueueUrl="jobs", Attributes={"RedrivePolicy": redrive})
            await world.plane.mapping(function, arn=arn)
            await world.send(arn, "poison")
            await world.plane.run(30)
            assert worked.bodies == ["poison"] * 2
            assert worked.times[1] - worked.times[0] == pytest.approx(5, abs=0.2)
            assert await world.api.counts(arn) == (0, 0)
            assert await world.api.counts(dead) == (1, 0)

    run_virtual(scenario())


def test_fifo_groups_keep_their_order_and_run_side_by_side():
    async def scenario() -> None:
        async with an_sqs_world() as world:
            failures = {"a1": 1}

            def behave(bodies: list[Any]) -> None:
                if failures.pop(bodies[0], 0):
                    raise ValueError("once")

            worked, function = await world.plane.worked(behave, seconds=1, timeout_s=3)
            arn = await world.api.make_queue("steps", is_fifo=True)
            await world.plane.mapping(function, arn=arn, batch_size=1)
            for number in range(3):
                for group in "abc":
                    await world.send(arn, f"{group}{number}", group=group)
            await world.plane.run(4.5)
            assert [body for body in worked.bodies if body[0] == "b"] == ["b0", "b1", "b2"]
            await world.plane.run(20)
            assert [body for body in worked.bodies if body[0] == "a"] == ["a0", "a1", "a1", "a2"]
            assert await world.api.counts(arn) == (0, 0)

    run_virtual(scenario())


def test_a_long_run_keeps_its_messages_hidden_and_a_dead_node_gives_them_back():
    async def scenario() -> None:
        async with an_sqs_world() as world:
            worked, function = await world.plane.worked(seconds=30, timeout_s=60)
            arn = await world.api.make_queue("jobs")
            await world.plane.base.store.hosts.join("dead-node", HOST)
            await world.send(arn, "held")
            [held] = await world.plane.source.receive(
                arn, limit=1, visibility_ms=3_600_000, owner="dead-node", has_window=False
            )
            await world.plane.mapping(function, arn=arn)
            await world.plane.run(10)
            assert worked.seen == []
            await world.api.bury("dead-node")
            await world.plane.run(2)
            first: Seen = worked.seen[0]
            assert first.ids == [held.id]
            assert first.event["Records"][0]["attributes"]["ApproximateReceiveCount"] == "2"
            await world.plane.run(40)
            assert len(worked.seen) == 1
            assert await world.api.counts(arn) == (0, 0)

    run_virtual(scenario())


def test_redis_may_go_away_and_nothing_is_lost():
    async def scenario() -> None:
        async with an_sqs_world() as world:
            worked, function = await world.plane.worked(timeout_s=3)
            arn = await world.api.make_queue("jobs")
            await world.plane.mapping(function, arn=arn)
            await world.plane.run(3)
            await world.send(arn, *range(20))
            async with world.plane.base.redis_away():
                await world.plane.run(20)
            await world.plane.run(20)
            assert sorted(set(worked.bodies), key=int) == [str(number) for number in range(20)]
            assert await world.api.counts(arn) == (0, 0)

    run_virtual(scenario())


def test_a_queue_that_comes_back_is_worked_off_again():
    async def scenario() -> None:
        async with an_sqs_world() as world:
            worked, function = await world.plane.worked(timeout_s=3)
            arn = queue_arn("jobs")
            await world.plane.mapping(function, arn=arn)
            await world.plane.run(10)
            await world.api.make_queue("jobs")
            await world.send(arn, 1)
            await world.plane.run(2)
            assert worked.bodies == ["1"]

    run_virtual(scenario())
