"""The asynchronous plane's timetable in virtual time: retries, throttles, ages, dead letters, destinations."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from eventrouter.rules.function import EventInvokeConfig
from eventrouter.store import NewEvent
from eventrouter.testing.virtual import run_virtual
from tests.planes.world import World, a_world, queue_arn

pytestmark = pytest.mark.integration

DEAD = queue_arn("dead")
AUDIT = queue_arn("audit")
BOTH = EventInvokeConfig(on_success=AUDIT, on_failure=AUDIT)


def in_a_world(scenario: Callable[[World], Awaitable[None]], **options: Any) -> None:
    async def main() -> None:
        async with a_world(**options) as world:
            await scenario(world)

    run_virtual(main())


def failing(times: int) -> Callable[..., Any]:
    """A handler that fails its first `times` attempts, whatever the event."""
    left = [times]

    def handler(event: Any, invocation: Any) -> Any:
        if left[0]:
            left[0] -= 1
            raise ValueError("not yet")
        return {"ok": event}

    return handler


def test_an_event_that_succeeds_runs_once_and_is_gone() -> None:
    async def scenario(world: World) -> None:
        request_id = await world.send(await world.function(failing(0)))
        await world.run(5)

        assert world.times(request_id) == [0]
        await world.assert_settled()
        assert world.metric("eventrouter_AsyncEventsReceived_total") == 1
        assert world.metric("eventrouter_AsyncEventsDropped_total") == 0

    in_a_world(scenario)


def test_the_third_attempt_wins_after_one_and_two_minutes() -> None:
    async def scenario(world: World) -> None:
        function = await world.function(failing(2), config=BOTH)
        request_id = await world.send(function, {"order": 1})
        await world.run(200)

        assert world.times(request_id) == pytest.approx([0, 60, 180], abs=1.1)
        (record,) = world.target.bodies(AUDIT)
        assert record["requestContext"]["condition"] == "Success"
        assert record["requestContext"]["requestId"] == request_id
        assert record["responsePayload"] == {"ok": {"order": 1}}
        await world.assert_settled()

    in_a_world(scenario)


def test_an_event_that_never_succeeds_goes_to_destination_and_dead_letter_queue_after_three_attempts() -> None:
    async def scenario(world: World) -> None:
        function = await world.function(failing(99), config=BOTH, dead_letter_target=DEAD)
        request_id = await world.send(function, {"order": 1})
        await world.run(200)

        assert len(world.times(request_id)) == 3
        (record,) = world.target.bodies(AUDIT)
        assert record["requestContext"]["condition"] == "RetriesExhausted"
        assert record["requestContext"]["approximateInvokeCount"] == 3
        assert record["responsePayload"]["errorMessage"] == "not yet"
        assert world.target.bodies(DEAD) == [{"order": 1}]
        letter = next(delivery for arn, delivery in world.target.kept if arn == DEAD)
        assert letter.attributes["RequestID"] == ("String", request_id)
        assert letter.attributes["ErrorCode"] == ("Number", "200")
        assert world.metric("eventrouter_AsyncEventsDropped_total") == 1
        await world.assert_settled()

    in_a_world(scenario)


@pytest.mark.parametrize(("age_s", "attempts"), [(60, 1), (90, 2)])
def test_the_maximum_age_ends_an_event_without_waiting(age_s: int, attempts: int) -> None:
    async def scenario(world: World) -> None:
        config = EventInvokeConfig(maximum_event_age_s=age_s, on_failure=AUDIT)
        request_id = await world.send(await world.function(failing(99), config=config))
        await world.run(65 * (attempts - 1) + 2)

        (record,) = world.target.bodies(AUDIT)
        assert record["requestContext"]["condition"] == "EventAgeExceeded"
        assert record["requestContext"]["approximateInvokeCount"] == attempts
        assert record["responseContext"]["functionError"] == "Unhandled"
        assert len(world.times(request_id)) == attempts
        await world.assert_settled()

    in_a_world(scenario)


def test_no_retries_means_one_attempt() -> None:
    async def scenario(world: World) -> None:
        config = EventInvokeConfig(maximum_retry_attempts=0, on_failure=AUDIT)
        request_id = await world.send(await world.function(failing(99), config=config))
        await world.run(5)

        assert world.times(request_id) == [0]
        assert world.target.bodies(AUDIT)[0]["requestContext"]["approximateInvokeCount"] == 1

    in_a_world(scenario)


def test_reserved_concurrency_zero_sends_events_straight_to_the_destination() -> None:
    async def scenario(world: World) -> None:
        function = await world.function(failing(0), config=BOTH, dead_letter_target=DEAD, reserved_concurrency=0)
        await world.send(function, {"order": 1})
        await world.run(3)

        assert world.environments.starts == []
        (record,) = world.target.bodies(AUDIT)
        assert record["requestContext"]["condition"] == "ZeroReservedConcurrency"
        assert record["requestContext"]["approximateInvokeCount"] == 0
        assert "responseContext" not in record
        assert world.target.bodies(DEAD) == [{"order": 1}]
        await world.assert_settled()

    in_a_world(scenario)


def test_a_throttled_event_waits_for_the_slot_and_keeps_its_retries() -> None:
    async def scenario(world: World) -> None:
        async def slow(event: Any, invocation: Any) -> Any:
            await world.clock.sleep(event.get("seconds", 0))
            if event.get("fail"):
                raise ValueError("no")

        function = await world.function(slow, reserved_concurrency=1, config=BOTH, timeout_s=900)
        await world.send(function, {"seconds": 100})
        await world.run(1)
        request_id = await world.send(function, {"fail": True})
        await world.run(99.5)
        assert world.times(request_id) == [0]
        await world.run(200)

        assert len(world.times(request_id)) == 3
        assert world.environments.most_at_once == 1
        failures = [r for r in world.target.bodies(AUDIT) if r["requestContext"]["condition"] != "Success"]
        assert [r["requestContext"]["approximateInvokeCount"] for r in failures] == [3]
        assert world.metric("eventrouter_Throttles_total") >= 1
        await world.assert_settled()

    in_a_world(scenario)


def test_back_off_of_a_throttled_function_doubles_and_ends_at_the_event_age() -> None:
    async def scenario(world: World) -> None:
        async def slow(event: Any, invocation: Any) -> None:
            await world.clock.sleep(600)

        config = EventInvokeConfig(maximum_event_age_s=60, on_failure=AUDIT)
        function = await world.function(
            slow, reserved_concurrency=1, config=config, timeout_s=900, dead_letter_target=DEAD
        )
        blocking = await world.sync_in_background(function)
        await world.run(1)
        await world.send(function, {"order": 2})
        await world.run(29)
        assert world.target.bodies(AUDIT) == []
        await world.run(5)

        # 1 + 2 + 4 + 8 + 16 s have passed; the next wait of 32 s would pass the age of 60 s.
        (record,) = world.target.bodies(AUDIT)
        assert record["requestContext"]["condition"] == "EventAgeExceeded"
        assert record["requestContext"]["approximateInvokeCount"] == 0
        assert "responseContext" not in record
        letter = next(delivery for arn, delivery in world.target.kept if arn == DEAD)
        assert letter.attributes["ErrorCode"] == ("Number", "429")
        await blocking
        await world.assert_settled()

    in_a_world(scenario)


def test_updated_code_runs_events_that_were_queued_before() -> None:
    async def scenario(world: World) -> None:
        seen: list[str] = []

        def old(event: Any, invocation: Any) -> None:
            seen.append("old")
            raise ValueError("bug")

        function = await world.function(old)
        await world.send(function)
        await world.run(2)
        world.environments.install(function.name, lambda event, invocation: seen.append("new"))
        await world.put(replace(function, generation=2))
        await world.run(62)

        assert seen == ["old", "new"]
        await world.assert_settled()

    in_a_world(scenario)


def test_a_delivery_that_fails_is_counted_and_made_again() -> None:
    async def scenario(world: World) -> None:
        function = await world.function(failing(0), config=BOTH)
        await world.send(function)
        await world.run(10)

        assert world.target.tries == 4
        assert len(world.target.bodies(AUDIT)) == 1
        assert world.metric("eventrouter_DestinationDeliveryFailures_total") == 3
        await world.assert_settled()

    in_a_world(scenario, failures=3)


def test_a_record_is_delivered_as_soon_as_the_event_has_ended() -> None:
    async def scenario(world: World) -> None:
        function = await world.function(failing(0), config=BOTH)
        await world.send(function)
        await world.run(0.05)

        assert len(world.target.bodies(AUDIT)) == 1

    in_a_world(scenario)


def test_events_of_a_deleted_function_end_visibly() -> None:
    async def scenario(world: World) -> None:
        function = await world.function(failing(99))
        await world.send(function)
        await world.run(2)
        await world.store.functions.delete(function.name)
        await world.run(62)

        assert world.metric("eventrouter_AsyncEventsDropped_total") == 1
        await world.assert_settled()

    in_a_world(scenario)


def test_a_backlog_of_short_runs_is_drained_within_the_reservation() -> None:
    async def scenario(world: World) -> None:
        function = await world.function(lambda event, invocation: event, reserved_concurrency=2)
        ids = {await world.send(function, n) for n in range(300)}
        await world.run(10)

        assert {start.request_id for start in world.environments.starts} == ids
        assert len(world.environments.starts) == 300
        assert world.environments.most_at_once <= 2
        await world.assert_settled()

    in_a_world(scenario)


def test_slow_events_each_get_a_lane_of_their_own() -> None:
    async def scenario(world: World) -> None:
        async def slow(event: Any, invocation: Any) -> None:
            await world.clock.sleep(100)

        function = await world.function(slow, timeout_s=900)
        for n in range(40):
            await world.send(function, n)
        await world.run(3)

        assert len(world.environments.starts) == 40
        await world.run(110)
        assert world.environments.most_at_once == 40
        await world.assert_settled()

    in_a_world(scenario)


def test_a_slow_event_among_short_ones_does_not_hold_them_up() -> None:
    async def scenario(world: World) -> None:
        async def handler(event: Any, invocation: Any) -> None:
            if event == "slow":
                await world.clock.sleep(500)

        function = await world.function(handler, timeout_s=900)
        for n in range(100):
            await world.send(function, n)
        await world.run(5)
        for n in range(100):
            await world.send(function, "slow" if n == 50 else n)
        await world.run(5)

        assert len(world.environments.starts) == 200
        await world.run(500)
        await world.assert_settled()

    in_a_world(scenario)


def test_a_node_that_has_a_slot_is_not_held_back_by_one_that_had_none() -> None:
    async def scenario(world: World) -> None:
        function = await world.function(failing(0))
        await world.store.events.hold(function.name.key, 300_000)
        request_id = await world.send(function)

        await world.run(1)

        assert len(world.times(request_id)) == 1
        await world.assert_settled()

    in_a_world(scenario)


def test_what_a_lost_answer_claimed_is_given_back() -> None:
    async def scenario(world: World) -> None:
        function = await world.function(failing(0))
        partition = world.store.events.partition_of(function.name.key)
        request_id = str(world.ids())
        await world.store.events.put(
            NewEvent(id=request_id, function=function.name, qualifier=None, payload=b"{}", trace="")
        )
        lost = await world.store.events.claim("host-1", partition, function.name.key, 10)
        await world.run(20)

        assert [claim.id for claim in lost] == [request_id]
        assert world.times(request_id) == [0]
        await world.assert_settled()

    in_a_world(scenario)


def test_an_update_under_a_steady_backlog_moves_to_the_new_code() -> None:
    async def scenario(world: World) -> None:
        seen: list[str] = []

        async def old(event: Any, invocation: Any) -> None:
            await world.clock.sleep(0.001)
            seen.append("old")

        async def new(event: Any, invocation: Any) -> None:
            await world.clock.sleep(0.001)
            seen.append("new")

        function = await world.function(old, reserved_concurrency=1)
        for n in range(2_000):
            await world.send(function, n)
        await world.run(0.5)
        world.environments.install(function.name, new)
        await world.put(replace(function, generation=2))
        updated_at = len(seen)
        await world.run(10)

        assert 0 < updated_at < 2_000
        assert len(seen) == 2_000
        assert seen[updated_at + 50 :] == ["new"] * (1_950 - updated_at)
        await world.assert_settled()

    in_a_world(scenario)


def test_events_wait_while_redis_is_away_and_run_when_it_is_back() -> None:
    async def scenario(world: World) -> None:
        async def slow(event: Any, invocation: Any) -> None:
            await world.clock.sleep(10)

        function = await world.function(slow, timeout_s=60, reserved_concurrency=1)
        first = await world.send(function)
        second = await world.send(function)
        await world.run(1)
        async with world.redis_away():
            await world.run(30)
        await world.run(30)

        assert world.times(first) == [0]
        assert world.times(second) == [0]
        await world.assert_settled()

    in_a_world(scenario)
