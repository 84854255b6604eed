"""Short calls share a few environments; nobody waits for a long one."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from eventrouter.rules.function import Function
from eventrouter.rules.outcome import Run
from eventrouter.rules.pace import CALLS_PER_CPU, WAIT_FOR_TURN_MS
from eventrouter.testing.inprocess import InProcessEnvironments
from tests.planes.test_events import in_a_world
from tests.planes.world import World

pytestmark = pytest.mark.integration

FEW = CALLS_PER_CPU * InProcessEnvironments.cpus
CALLERS = 4 * FEW


async def call_together(world: World, function: Function, events: list[Any]) -> list[Run]:
    answers = await asyncio.gather(
        *(world.sync.invoke(function, world.invocation(function, event)) for event in events)
    )
    assert all(isinstance(answer, Run) for answer in answers)
    return [answer for answer in answers if isinstance(answer, Run)]


def test_many_short_calls_share_a_few_environments() -> None:
    async def scenario(world: World) -> None:
        async def short(event: Any, invocation: Any) -> Any:
            await world.clock.sleep(0.0005)
            return event

        function = await world.function(short)
        await call_together(world, function, [0])
        world.environments.most_at_once = 0

        runs = await call_together(world, function, list(range(1, CALLERS + 1)))

        assert sorted(int(run.outcome.payload) for run in runs) == list(range(1, CALLERS + 1))  # type: ignore[union-attr]
        assert world.environments.most_at_once == FEW
        await world.store.slots.drained()
        await world.assert_settled()

    in_a_world(scenario)


def test_calls_of_a_function_not_known_to_be_short_each_get_an_environment_at_once() -> None:
    async def scenario(world: World) -> None:
        async def long(event: Any, invocation: Any) -> None:
            await world.clock.sleep(0.1)

        function = await world.function(long)

        await call_together(world, function, [None] * CALLERS)

        assert world.environments.most_at_once == CALLERS

    in_a_world(scenario)


def test_a_call_waits_only_a_moment_when_the_runs_before_it_turn_out_long() -> None:
    async def scenario(world: World) -> None:
        async def handler(event: Any, invocation: Any) -> None:
            await world.clock.sleep(event)

        function = await world.function(handler, timeout_s=60)
        await call_together(world, function, [0.0001])
        began = world.clock.monotonic()

        await call_together(world, function, [10] * CALLERS)

        waited = [start.at - began for start in world.environments.starts[1:]]
        assert len(waited) == CALLERS
        assert max(waited) <= WAIT_FOR_TURN_MS / 1_000 + 0.001

    in_a_world(scenario)


def test_a_function_that_calls_itself_does_not_wait_for_itself() -> None:
    async def scenario(world: World) -> None:
        async def handler(event: Any, invocation: Any) -> int:
            if event == 0:
                return 0
            (inner,) = await call_together(world, function, [event - 1])
            return 1 + int(inner.outcome.payload)  # type: ignore[union-attr]

        function = await world.function(handler, timeout_s=60)
        await call_together(world, function, [0])
        depth = 2 * FEW

        (run,) = await call_together(world, function, [depth])

        assert int(run.outcome.payload) == depth  # type: ignore[union-attr]

    in_a_world(scenario)


def test_an_environment_of_the_past_is_not_handed_on() -> None:
    async def scenario(world: World) -> None:
        async def short(event: Any, invocation: Any) -> None:
            await world.clock.sleep(0.001)

        function = await world.function(short)
        await call_together(world, function, [0])
        leases = []
        original = world.environments.try_lease

        def retired(function: Function) -> Any:
            lease = original(function)
            lease.is_retired = True
            leases.append(lease)
            return lease

        world.environments.try_lease = retired  # type: ignore[method-assign]  # what the pool hands out is the point

        await call_together(world, function, [0] * CALLERS)

        assert len(leases) == CALLERS

    in_a_world(scenario)
