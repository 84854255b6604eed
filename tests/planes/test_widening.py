"""A function whose lanes are all that it may have: what waits behind a long run asks for another seldom."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from eventrouter.testing.virtual import run_virtual
from tests.planes.world import World, a_world

pytestmark = pytest.mark.unit


def in_a_world(scenario: Callable[[World], Awaitable[None]]) -> None:
    """Run a scenario in a world of its own, in virtual time."""

    async def main() -> None:
        async with a_world() as world:
            await scenario(world)

    run_virtual(main())


def test_what_waits_behind_a_long_run_asks_for_a_slot_every_few_seconds_only() -> None:
    async def scenario(world: World) -> None:
        async def handler(event: Any, invocation: Any) -> None:
            await world.clock.sleep(600)

        function = await world.function(handler, timeout_s=900, reserved_concurrency=1)
        for n in range(3):
            await world.send(function, n)
        await world.run(599)

        assert 0 < world.metric("eventrouter_Throttles_total") <= 140
        await world.run(1_210)
        assert len(world.environments.starts) == 3
        await world.assert_settled()

    in_a_world(scenario)


def test_a_slot_that_is_given_to_a_function_is_found_within_seconds() -> None:
    async def scenario(world: World) -> None:
        async def handler(event: Any, invocation: Any) -> None:
            await world.clock.sleep(600)

        function = await world.function(handler, timeout_s=900, reserved_concurrency=1)
        await world.send(function, 0)
        await world.send(function, 1)
        await world.run(300)
        assert len(world.environments.starts) == 1

        await world.put(replace(function, reserved_concurrency=2))
        await world.run(6)

        assert len(world.environments.starts) == 2
        await world.run(1_200)
        await world.assert_settled()

    in_a_world(scenario)
