"""Background loops go on after every failure, and a turn that hangs is not waited for for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
import structlog

from eventrouter.errors import Unavailable
from eventrouter.metrics import Metrics
from eventrouter.planes.loops import GIVE_UP_AFTER_S, RESTART_AFTER_S, Loops
from eventrouter.testing.virtual import run_virtual, virtual_clock

pytestmark = pytest.mark.unit


def with_loops(scenario: Callable[[Loops, Metrics, list[str]], Awaitable[None]]) -> None:
    async def main() -> None:
        metrics, given_up = Metrics(), []
        async with Loops(
            clock=virtual_clock(), metrics=metrics, log=structlog.get_logger(), give_up=given_up.append
        ) as loops:
            await scenario(loops, metrics, given_up)

    run_virtual(main())


@pytest.mark.parametrize("error", [Unavailable("away"), KeyError("bug")])
def test_a_failed_turn_is_counted_and_made_again(error: Exception) -> None:
    async def scenario(loops: Loops, metrics: Metrics, given_up: list[str]) -> None:
        turns: list[int] = []

        async def turn() -> float:
            turns.append(1)
            if len(turns) < 3:
                raise error
            return 5.0

        loops.start("example", turn)
        await asyncio.sleep(8.5)

        assert len(turns) == 4
        value = metrics.registry.get_sample_value
        assert value("eventrouter_loop_failures_total", {"loop": "example"}) == 2
        assert value("eventrouter_loop_age_seconds", {"loop": "example"}) == 1.5

    with_loops(scenario)


def test_a_turn_that_hangs_is_restarted_and_ends_in_giving_up() -> None:
    async def scenario(loops: Loops, metrics: Metrics, given_up: list[str]) -> None:
        began: list[float] = []

        async def turn() -> float:
            began.append(asyncio.get_running_loop().time())
            await asyncio.Event().wait()
            return 0.0

        loops.start("example", turn)
        await asyncio.sleep(RESTART_AFTER_S + 1)
        assert len(began) == 2
        assert given_up == []
        await asyncio.sleep(GIVE_UP_AFTER_S - RESTART_AFTER_S)

        assert given_up == ["the loop 'example' has hung for 60 s"]

    with_loops(scenario)


def test_a_turn_that_recovers_after_a_restart_clears_the_record() -> None:
    async def scenario(loops: Loops, metrics: Metrics, given_up: list[str]) -> None:
        turns: list[int] = []

        async def turn() -> float:
            turns.append(1)
            if len(turns) == 1:
                await asyncio.Event().wait()
            return 1.0

        loops.start("example", turn)
        await asyncio.sleep(GIVE_UP_AFTER_S * 2)

        assert given_up == []
        assert len(turns) > 50

    with_loops(scenario)


def test_a_loop_that_was_stopped_makes_no_turn_and_no_metric() -> None:
    async def scenario(loops: Loops, metrics: Metrics, given_up: list[str]) -> None:
        turns: list[int] = []

        async def turn() -> float:
            turns.append(1)
            return 1.0

        loops.start("example", turn)
        await asyncio.sleep(0.5)
        await loops.stop("example")
        await loops.stop("example")
        await asyncio.sleep(10)

        assert turns == [1]
        assert metrics.registry.get_sample_value("eventrouter_loop_age_seconds", {"loop": "example"}) is None

    with_loops(scenario)
