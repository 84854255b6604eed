"""The synchronous plane: slots, throttles, cancelled callers."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from eventrouter.errors import RuntimeFault, Unavailable
from eventrouter.planes.sync import SyncPlane
from eventrouter.rules.outcome import FunctionFailed, Run, Succeeded, Throttled, ThrottleReason
from eventrouter.testing.inprocess import InProcessLease
from tests.planes.test_events import in_a_world
from tests.planes.world import INCARNATION, World

pytestmark = pytest.mark.integration


def test_a_call_answers_what_the_handler_returned() -> None:
    async def scenario(world: World) -> None:
        function = await world.function(lambda event, invocation: {"got": event})

        run = await world.sync.invoke(function, world.invocation(function, [1, 2]))

        assert isinstance(run, Run)
        assert run.outcome == Succeeded(payload=b'{"got": [1, 2]}')
        await world.store.slots.drained()
        await world.assert_settled()

    in_a_world(scenario)


def test_a_function_error_is_an_outcome_and_not_an_exception() -> None:
    async def scenario(world: World) -> None:
        def handler(event: Any, invocation: Any) -> None:
            raise KeyError("k")

        function = await world.function(handler)

        run = await world.sync.invoke(function, world.invocation(function))

        assert isinstance(run, Run)
        assert isinstance(run.outcome, FunctionFailed)
        assert run.outcome.error_type == "KeyError"

    in_a_world(scenario)


@pytest.mark.parametrize(
    ("reserved", "account_limit", "reason"),
    [(1, 1_000, ThrottleReason.RESERVED), (None, 1, ThrottleReason.ACCOUNT), (0, 1_000, ThrottleReason.RESERVED)],
)
def test_without_a_slot_a_call_is_throttled_with_the_limit_it_met(
    reserved: int | None, account_limit: int, reason: ThrottleReason
) -> None:
    async def scenario(world: World) -> None:
        async def slow(event: Any, invocation: Any) -> None:
            await world.clock.sleep(10)

        function = await world.function(slow, reserved_concurrency=reserved, timeout_s=60)
        blocking = None if reserved == 0 else await world.sync_in_background(function)

        assert await world.sync.invoke(function, world.invocation(function)) == Throttled(reason=reason)
        assert world.metric("eventrouter_Throttles_total") == 1
        if blocking:
            await blocking
            await world.store.slots.drained()
            assert isinstance(await world.sync.invoke(function, world.invocation(function)), Run)

    in_a_world(scenario, account_limit=account_limit)


def test_a_caller_that_goes_away_does_not_stop_the_run_and_leaks_no_slot() -> None:
    async def scenario(world: World) -> None:
        ended: list[float] = []

        async def slow(event: Any, invocation: Any) -> None:
            await world.clock.sleep(5)
            ended.append(world.clock.monotonic())

        function = await world.function(slow, timeout_s=60)
        call = await world.sync_in_background(function)
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        assert await world.store.slots.in_use(function.name.key) == 1

        await world.sync.wait_quiet()
        await world.store.slots.drained()

        assert ended == [5.0]
        await world.assert_settled()

    in_a_world(scenario)


def test_a_call_whose_environment_cannot_start_gives_its_slot_back() -> None:
    async def scenario(world: World) -> None:
        function = await world.function(lambda event, invocation: None)

        def nothing_idle(function: Any) -> InProcessLease:
            raise RuntimeFault("no room")

        world.environments.try_lease = nothing_idle  # type: ignore[method-assign]  # the port itself is what fails here

        with pytest.raises(RuntimeFault):
            await world.sync.invoke(function, world.invocation(function))
        await world.store.slots.drained()
        await world.assert_settled()

    in_a_world(scenario)


def test_a_call_does_not_begin_where_its_node_lost_its_place_while_it_waited_for_room() -> None:
    async def scenario(world: World) -> None:
        may_begin = True
        begun: list[object] = []
        sync = SyncPlane(
            incarnation=lambda: INCARNATION,
            slots=world.store.slots,
            environments=world.environments,
            metrics=world.metrics,
            journal=world.journal,
            may_begin=lambda: may_begin,
        )

        async def handler(event: Any, invocation: Any) -> None:
            begun.append(event)
            await world.clock.sleep(5)

        function = await world.function(handler, timeout_s=60)
        world.environments.limit = 1
        running = asyncio.create_task(sync.invoke(function, world.invocation(function, 1)))
        await world.clock.sleep(1)
        waiting = asyncio.create_task(sync.invoke(function, world.invocation(function, 2)))
        await world.clock.sleep(1)
        may_begin = False

        assert isinstance(await running, Run)
        with pytest.raises(Unavailable):
            await waiting
        await world.store.slots.drained()

        assert begun == [1]
        await world.assert_settled()

    in_a_world(scenario)
