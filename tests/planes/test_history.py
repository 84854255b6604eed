"""What the planes note of their decisions: in order, with the rule, and found by every id that it concerns."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from eventrouter.journal import Decision, Journal
from eventrouter.rules.explain import Rule
from eventrouter.rules.function import EventInvokeConfig, Function
from eventrouter.rules.mapping import MappingState
from eventrouter.store import HostInfo, NewEvent
from eventrouter.testing.virtual import run_virtual
from tests.planes.queue_world import ARN as QUEUE
from tests.planes.queue_world import a_queue_world
from tests.planes.stream_world import ARN as STREAM
from tests.planes.stream_world import a_stream_world
from tests.planes.test_events import failing
from tests.planes.world import World, a_world, queue_arn

pytestmark = pytest.mark.integration

SHARD = "shardId-000000000000"
AUDIT = queue_arn("audit")


def in_a_world(scenario: Callable[[World], Awaitable[None]], **options: Any) -> None:
    async def main() -> None:
        async with a_world(**options) as world:
            await scenario(world)

    run_virtual(main())


def steps(journal: Journal, subject: str) -> list[str]:
    return [decision.step.value for decision in journal.of(subject)]


def only(journal: Journal, subject: str, rule: Rule) -> Decision:
    [decision] = [decision for decision in journal.of(subject) if decision.why is rule]
    return decision


def test_an_event_whose_third_attempt_wins_tells_both_waits() -> None:
    async def scenario(world: World) -> None:
        config = EventInvokeConfig(on_success=AUDIT)
        function = await world.function(failing(2), config=config)
        request_id = await world.send(function)
        await world.run(200)

        decisions = world.journal.of(request_id)
        assert [decision.step.value for decision in decisions] == [
            "accepted",
            *("invoked", "failed", "scheduled") * 2,
            *("invoked", "succeeded", "destination_sent"),
        ]
        waits = [decision for decision in decisions if decision.why is Rule.ASYNC_RETRY]
        assert [wait.facts["due_at_ms"] - wait.at_ms for wait in waits] == [60_000, 120_000]  # type: ignore[operator]
        assert [wait.facts["retries_left"] for wait in waits] == [1, 0]
        attempts = [decision.facts["attempt"] for decision in decisions if decision.why is Rule.INVOKED]
        assert attempts == [1, 2, 3]
        assert decisions[-1].facts["target"] == AUDIT

    in_a_world(scenario)


def test_an_event_that_is_given_up_tells_where_it_went() -> None:
    async def scenario(world: World) -> None:
        config = EventInvokeConfig(maximum_retry_attempts=0, on_failure=AUDIT)
        function = await world.function(failing(9), config=config, dead_letter_target=queue_arn("dead"))
        request_id = await world.send(function)
        await world.run(5)

        told = steps(world.journal, request_id)
        assert told[:4] == ["accepted", "invoked", "failed", "gave_up"]
        assert sorted(told[4:]) == ["dead_lettered", "destination_sent"]
        given_up = only(world.journal, request_id, Rule.RETRIES_EXHAUSTED)
        assert given_up.facts == {"function": "orders", "attempts": 1, "destinations": 2}

    in_a_world(scenario)


def test_an_event_too_old_for_its_retry_is_given_up_for_its_age() -> None:
    async def scenario(world: World) -> None:
        function = await world.function(failing(9), config=EventInvokeConfig(maximum_event_age_s=60))
        request_id = await world.send(function)
        await world.run(5)

        assert only(world.journal, request_id, Rule.EVENT_AGE_EXCEEDED).facts["destinations"] == 0

    in_a_world(scenario)


def test_a_delivery_that_fails_is_told_with_its_reason() -> None:
    async def scenario(world: World) -> None:
        function = await world.function(failing(0), config=EventInvokeConfig(on_success=AUDIT))
        request_id = await world.send(function)
        await world.run(5)

        assert steps(world.journal, request_id)[-2:] == ["delivery_failed", "destination_sent"]
        assert only(world.journal, request_id, Rule.DELIVERY_RETRIED).facts["reason"] == "the queue is away"

    in_a_world(scenario, failures=1)


def test_a_throttled_event_tells_that_no_retry_was_used() -> None:
    async def scenario(world: World) -> None:
        async def handler(event: Any, invocation: Any) -> None:
            await world.clock.sleep(3)

        function = await world.function(handler, reserved_concurrency=1, timeout_s=60)
        running = await world.sync_in_background(function)
        request_id = await world.send(function)
        await world.run(0.5)

        assert steps(world.journal, request_id) == ["accepted", "throttled", "scheduled"]
        wait = only(world.journal, request_id, Rule.ASYNC_BACK_OFF)
        assert wait.facts["retries_left"] == 2
        held = only(world.journal, function.name.key, Rule.ASYNC_BACK_OFF)
        assert held.facts["reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded"
        await running
        await world.run(10)
        assert steps(world.journal, request_id)[-2:] == ["invoked", "succeeded"]

    in_a_world(scenario)


def test_a_synchronous_call_tells_its_run_and_a_throttled_one_why_there_was_none() -> None:
    async def scenario(world: World) -> None:
        async def handler(event: Any, invocation: Any) -> None:
            await world.clock.sleep(3)

        function = await world.function(handler, reserved_concurrency=1, timeout_s=60)
        running = await world.sync_in_background(function)
        second = world.invocation(function)
        await world.sync.invoke(function, second)

        [throttled] = world.journal.of(second.request_id)
        assert throttled.why is Rule.THROTTLED
        await running
        begun = [decision.subject for decision in world.journal.since() if decision.why is Rule.INVOKED]
        assert len(begun) == 1
        assert steps(world.journal, begun[0]) == ["invoked", "succeeded"]

    in_a_world(scenario)


def test_an_event_of_a_function_that_is_gone_is_discarded() -> None:
    async def scenario(world: World) -> None:
        function = await world.function(failing(9))
        request_id = await world.send(function)
        await world.run(1)
        await world.store.functions.delete(function.name)
        await world.run(100)

        assert only(world.journal, request_id, Rule.EVENT_DISCARDED).facts["reason"] == "the function does not exist"

    in_a_world(scenario)


def test_two_events_that_run_one_after_the_other_begin_when_they_begin() -> None:
    async def scenario(world: World) -> None:
        async def handler(event: Any, invocation: Any) -> None:
            await world.clock.sleep(2)

        function = await world.function(handler, reserved_concurrency=1, timeout_s=60)
        ids = [await world.send(function) for _ in range(2)]
        await world.run(20)

        [first, second] = [only(world.journal, each, Rule.INVOKED).at_ms for each in ids]
        assert second - first >= 2_000

    in_a_world(scenario)


def test_an_event_that_was_claimed_and_not_started_is_told_to_be_handed_back() -> None:
    async def scenario(world: World) -> None:
        async def handler(event: Any, invocation: Any) -> None:
            await world.clock.sleep(0.001)

        function = await world.function(handler, reserved_concurrency=1)
        ids = [await world.send(function) for _ in range(300)]
        await world.run(0.1)
        await world.events.drain()

        handed_back = [each for each in ids if steps(world.journal, each) == ["accepted", "returned"]]
        assert handed_back
        assert {len(steps(world.journal, each)) for each in ids} >= {2, 3}

    in_a_world(scenario)


def test_an_event_that_takes_nodes_down_is_failed_without_a_run() -> None:
    async def scenario(world: World) -> None:
        function = await world.function(failing(0))
        partition = world.store.events.partition_of(function.name.key)
        event = NewEvent(id="doom", function=function.name, qualifier=None, payload=b"{}", trace="")
        await world.store.events.put(event)
        for number in range(3):
            inc = f"doomed-{number}"
            await world.store.hosts.join(inc, HostInfo(url="http://127.0.0.1:9", started_at_ms=0, version="0"))
            assert await world.store.events.claim(inc, partition, function.name.key, 1)
            await world.store.hosts.bury(inc, None)
            await world.store.hosts.reap(inc)
        await world.run(2)

        assert [start.request_id for start in world.environments.starts] == []
        assert only(world.journal, "doom", Rule.HOST_DEATHS).facts == {"deaths": 3}

    in_a_world(scenario)


# Streams.


def test_a_record_tells_its_batch_its_run_and_its_checkpoint() -> None:
    async def scenario() -> None:
        async with a_stream_world() as world:
            _, function = await world.recorder()
            mapping = await world.mapping(function, batch_size=2)
            sequences = world.streams.put(STREAM, 1, 2, 3)
            await world.run(5)

            journal = world.base.journal
            for sequence in sequences:
                assert steps(journal, f"{SHARD}:{sequence}") == ["batch_formed", "invoked", "succeeded", "checkpointed"]
            full, rest = [each for each in journal.of(f"{mapping.uuid}/{SHARD}") if each.step == "batch_formed"]
            assert (full.why, full.facts["records"]) == (Rule.BATCH_BY_SIZE, 2)
            assert (rest.why, rest.facts["records"]) == (Rule.BATCH_BY_WINDOW, 1)
            assert only(journal, f"{SHARD}:{sequences[0]}", Rule.CHECKPOINTED).facts["checkpoint"] == sequences[1]

    run_virtual(scenario())


def test_a_poison_record_tells_its_halves_its_retries_and_its_end() -> None:
    async def scenario() -> None:
        async with a_stream_world() as world:

            def behave(values: list[Any]) -> None:
                if 2 in values:
                    raise ValueError("poison")

            _, function = await world.recorder(behave)
            await world.mapping(function, batch_size=2, bisect=True, maximum_retry_attempts=1, on_failure=AUDIT)
            [good, poison] = world.streams.put(STREAM, 1, 2)
            await world.run(30)

            journal = world.base.journal
            whole = ["batch_formed", "invoked", "failed", "bisected"]
            assert steps(journal, f"{SHARD}:{good}") == [
                *whole,
                *("batch_retried", "invoked", "succeeded", "checkpointed"),
            ]
            assert steps(journal, f"{SHARD}:{poison}") == [
                *whole,
                *("batch_retried", "invoked", "failed", "scheduled"),
                *("batch_retried", "invoked", "failed", "gave_up"),
                "on_failure_sent",
            ]
            wait = only(journal, f"{SHARD}:{poison}", Rule.SHARD_RETRY)
            assert wait.facts == {"due_at_ms": wait.at_ms + 1_000, "retries_left": 0}
            given_up = only(journal, f"{SHARD}:{poison}", Rule.SHARD_RETRIES_EXHAUSTED)
            assert given_up.facts == {"records": 1, "tries": 3, "destination": AUDIT}

    run_virtual(scenario())


def test_a_partial_answer_tells_what_is_done_and_what_is_sent_again() -> None:
    async def scenario() -> None:
        async with a_stream_world() as world:
            tries = 0

            def behave(values: list[Any]) -> Any:
                nonlocal tries
                tries += 1
                return {"batchItemFailures": [{"itemIdentifier": sequences[1]}]} if tries == 1 else None

            _, function = await world.recorder(behave)
            await world.mapping(function, batch_size=3, reports_item_failures=True)
            sequences = world.streams.put(STREAM, 1, 2, 3)
            await world.run(10)

            journal = world.base.journal
            assert only(journal, f"{SHARD}:{sequences[0]}", Rule.REPORTED_FROM).facts["records"] == 1
            again = only(journal, f"{SHARD}:{sequences[2]}", Rule.BATCH_AGAIN)
            assert again.facts == {"records": 2, "attempt": 2}

    run_virtual(scenario())


def test_a_record_of_one_lane_is_not_told_the_batches_of_another() -> None:
    async def scenario() -> None:
        async with a_stream_world() as world:
            recorder, function = await world.recorder()
            await world.mapping(function, batch_size=1, parallelization_factor=10)
            sequences = world.streams.put(STREAM, *range(20))
            await world.run(5)

            assert len(recorder.values) == 20
            for sequence in sequences:
                assert steps(world.base.journal, f"{SHARD}:{sequence}").count("invoked") == 1

    run_virtual(scenario())


def test_filtered_records_are_told_one_by_one_and_many_are_only_counted() -> None:
    async def scenario() -> None:
        async with a_stream_world() as world:
            _, function = await world.recorder()
            mapping = await world.mapping(function, filters=('{"data": {"n": [1]}}',))
            [kept, left] = world.streams.put(STREAM, {"n": 1}, {"n": 2})
            await world.run(5)
            many = world.streams.put(STREAM, *({"n": 3} for _ in range(150)))
            await world.run(5)

            journal = world.base.journal
            assert "filtered" not in steps(journal, f"{SHARD}:{kept}")
            assert steps(journal, f"{SHARD}:{left}") == ["filtered"]
            assert steps(journal, f"{SHARD}:{many[0]}") == []
            counted = [each for each in journal.of(f"{mapping.uuid}/{SHARD}") if each.step == "filtered"]
            assert [each.facts["records"] for each in counted] == [1, 150]

    run_virtual(scenario())


def test_records_past_their_age_are_told_to_have_expired() -> None:
    async def scenario() -> None:
        async with a_stream_world() as world:

            def behave(values: list[Any]) -> None:
                raise ValueError("never")

            _, function = await world.recorder(behave)
            await world.mapping(function, maximum_record_age_s=60)
            [sequence] = world.streams.put(STREAM, 1)
            await world.run(120)

            expired = only(world.base.journal, f"{SHARD}:{sequence}", Rule.RECORD_AGE_EXCEEDED)
            assert expired.facts["destination"] is None

    run_virtual(scenario())


def test_records_that_the_source_has_lost_are_told() -> None:
    async def scenario() -> None:
        async with a_stream_world() as world:
            world.streams.retention_ms = 600_000

            def behave(values: list[Any]) -> None:
                raise ValueError("never")

            _, function = await world.recorder(behave)
            await world.mapping(function, batch_size=1)
            tried, behind = world.streams.put(STREAM, 1, 2)
            await world.run(900)

            journal = world.base.journal
            assert steps(journal, f"{SHARD}:{tried}")[-1] == "expired"
            assert Rule.RECORDS_GONE in [each.why for each in journal.of(f"{SHARD}:{tried}")]
            assert steps(journal, f"{SHARD}:{behind}") == ["expired"]

    run_virtual(scenario())


def test_a_batch_that_the_tumbling_window_ends_or_six_megabytes_fill_says_so() -> None:
    async def scenario() -> None:
        async with a_stream_world() as world:
            _, function = await world.recorder(lambda values: {"state": {}})
            mapping = await world.mapping(function, batching_window_s=5, tumbling_window_s=10)
            world.streams.put(STREAM, 1)
            await world.run(11)
            world.streams.put(STREAM, *("x" * 900_000 for _ in range(8)))
            await world.run(60)

            formed = [each for each in world.base.journal.of(f"{mapping.uuid}/{SHARD}") if each.step == "batch_formed"]
            assert Rule.BATCH_BY_BYTES in [each.why for each in formed]

    run_virtual(scenario())


def test_a_tumbling_window_tells_its_end() -> None:
    async def scenario() -> None:
        async with a_stream_world() as world:
            _, function = await world.recorder(lambda values: {"state": {"n": len(values)}})
            mapping = await world.mapping(function, tumbling_window_s=10)
            world.streams.put(STREAM, 1)
            await world.run(30)

            told = steps(world.base.journal, f"{mapping.uuid}/{SHARD}")
            assert told[-3:] == ["window_closed", "invoked", "succeeded"]

    run_virtual(scenario())


def test_a_batch_without_a_slot_tells_that_no_attempt_was_used() -> None:
    async def scenario() -> None:
        async with a_stream_world() as world:
            _, function = await world.recorder()
            await world.base.put(_with(function, reserved_concurrency=0))
            await world.mapping(function, maximum_retry_attempts=0)
            [sequence] = world.streams.put(STREAM, 1)
            await world.run(2)

            told = steps(world.base.journal, f"{SHARD}:{sequence}")
            assert told[:4] == ["batch_formed", "throttled", "scheduled", "batch_retried"]
            assert "gave_up" not in told

    run_virtual(scenario())


# Queues.


def test_a_message_tells_its_receive_its_batch_and_its_end() -> None:
    async def scenario() -> None:
        async with a_queue_world() as world:
            _, function = await world.worked()
            await world.mapping(function)
            [message] = world.queues.send(QUEUE, "a")
            await world.run(2)

            journal = world.base.journal
            assert steps(journal, message) == ["received", "batch_formed", "invoked", "succeeded", "deleted"]

    run_virtual(scenario())


def test_of_a_batch_that_fails_in_part_each_message_tells_its_own_end() -> None:
    async def scenario() -> None:
        async with a_queue_world(visibility_s=60) as world:
            bad = ""

            def behave(values: list[Any]) -> Any:
                return {"batchItemFailures": [{"itemIdentifier": bad}]}

            _, function = await world.worked(behave)
            await world.mapping(function, reports_item_failures=True)
            good, bad = world.queues.send(QUEUE, "good", "bad")
            await world.run(5)

            journal = world.base.journal
            assert steps(journal, good)[-1] == "deleted"
            assert steps(journal, bad)[-1] == "returned"
            returned = only(journal, bad, Rule.RETURNED)
            received = only(journal, bad, Rule.RECEIVED)
            assert returned.facts["visible_again_at_ms"] == received.facts["visible_again_at_ms"]

    run_virtual(scenario())


def test_messages_that_find_no_place_to_run_tell_each_wait() -> None:
    async def scenario() -> None:
        async with a_queue_world() as world:
            _, function = await world.worked()
            await world.base.put(_with(function, reserved_concurrency=0))
            await world.mapping(function)
            [message] = world.queues.send(QUEUE, "a")
            await world.run(0.25)

            told = steps(world.base.journal, message)
            assert told[:5] == ["received", "batch_formed", "throttled", "scheduled", "batch_retried"]

    run_virtual(scenario())


def test_messages_that_wait_for_their_window_are_told_to_be_given_back() -> None:
    async def scenario() -> None:
        async with a_queue_world() as world:
            _, function = await world.worked()
            mapping = await world.mapping(function, batch_size=100, batching_window_s=60)
            [message] = world.queues.send(QUEUE, 1)
            await world.run(5)
            await world.change(mapping, state=MappingState.DISABLING, is_enabled=False)
            await world.run(1)

            assert steps(world.base.journal, message) == ["received", "returned"]
            assert only(world.base.journal, message, Rule.GIVEN_BACK).facts == {"messages": 1}

    run_virtual(scenario())


def test_messages_that_no_filter_lets_through_tell_that() -> None:
    async def scenario() -> None:
        async with a_queue_world() as world:
            _, function = await world.worked()
            await world.mapping(function, filters=('{"body": {"n": [1]}}',))
            [message] = world.queues.send(QUEUE, {"n": 2})
            await world.run(2)

            assert steps(world.base.journal, message) == ["filtered"]

    run_virtual(scenario())


def test_one_seed_gives_one_history() -> None:
    def history() -> list[Decision]:
        decisions: list[Decision] = []

        async def scenario() -> None:
            async with a_stream_world() as world:
                _, function = await world.recorder(lambda values: 1 / (values[0] % 3))
                await world.mapping(function, batch_size=2, bisect=True, maximum_retry_attempts=1)
                world.streams.put(STREAM, *range(6))
                for number in range(5):
                    await world.base.send(function, number)
                await asyncio.sleep(0)
                await world.run(400)
                decisions.extend(world.base.journal.since())

        run_virtual(scenario())
        return decisions

    assert history() == history() != []


def _with(function: Function, **changes: Any) -> Function:
    return replace(function, **changes)
