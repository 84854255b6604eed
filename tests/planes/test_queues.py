"""Queue mappings in virtual time: batches, failures, visibility, throttling, FIFO groups, scaling, isolation, nodes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from structlog.testing import capture_logs

from eventrouter.errors import AdapterError
from eventrouter.logging import get_logger
from eventrouter.planes.mappings import MappingTransitions
from eventrouter.rules.mapping import MappingState
from eventrouter.store import HostInfo
from eventrouter.testing.virtual import run_virtual
from tests.planes.listed_queues import queue_arn
from tests.planes.queue_world import ARN, HOST, QueueWorld, a_queue_world
from tests.planes.world import INCARNATION

pytestmark = pytest.mark.unit


def fail_on(*poison: Any) -> Any:
    """Return a behaviour that raises if any of these bodies is in the batch."""

    def behave(bodies: list[Any]) -> None:
        if any(body in poison for body in bodies):
            raise ValueError("poison")

    return behave


# Batches.


def test_messages_reach_the_function_and_are_deleted():
    async def scenario() -> None:
        async with a_queue_world() as world:
            worked, function = await world.worked()
            await world.mapping(function)
            world.queues.send(ARN, *range(7))
            await world.run(2)
            assert worked.batches == [[*range(7)]]
            assert world.queues.bodies(ARN) == []

    run_virtual(scenario())


def test_a_message_sent_later_is_delivered_at_once():
    async def scenario() -> None:
        async with a_queue_world() as world:
            worked, function = await world.worked()
            await world.mapping(function)
            await world.run(30)
            receives = world.queues.receives
            await world.run(60)
            assert world.queues.receives == receives  # who waits does not ask
            sent_at = world.now()
            world.queues.send(ARN, "late")
            await world.run(0.1)
            assert worked.times == [sent_at]

    run_virtual(scenario())


def test_a_batch_holds_at_most_batch_size_messages():
    async def scenario() -> None:
        async with a_queue_world() as world:
            worked, function = await world.worked()
            await world.mapping(function, batch_size=3)
            world.queues.send(ARN, *range(10))
            await world.run(2)
            assert sorted(worked.bodies) == [*range(10)]
            assert max(len(batch) for batch in worked.batches) == 3

    run_virtual(scenario())


def test_a_window_gathers_more_than_one_receive_gives():
    async def scenario() -> None:
        async with a_queue_world() as world:
            worked, function = await world.worked()
            await world.mapping(function, batch_size=25, batching_window_s=5)
            await world.run(1)
            world.queues.send(ARN, *range(24))
            await world.run(4.9)
            assert worked.batches == []
            await world.run(0.2)
            assert worked.batches == [[*range(24)]]
            assert worked.times == [6.0]
            world.queues.send(ARN, *range(25))
            await world.run(0.1)
            assert worked.batches[1:] == [[*range(25)]]

    run_virtual(scenario())


def test_a_window_ends_after_its_seconds_from_the_first_message():
    async def scenario() -> None:
        async with a_queue_world() as world:
            worked, function = await world.worked()
            await world.mapping(function, batch_size=100, batching_window_s=10)
            await world.run(3)
            for number in range(4):
                world.queues.send(ARN, number)
                await world.run(4)
            await world.run(20)
            assert worked.batches == [[0, 1, 2], [3]]
            assert worked.times == [13.0, 25.0]
            assert worked.seen[0].event["Records"][0]["md5OfMessageAttributes"] is None

    run_virtual(scenario())


def test_a_window_and_the_timeout_lengthen_the_visibility():
    async def scenario() -> None:
        async with a_queue_world(visibility_s=30) as world:
            worked, function = await world.worked(fail_on(1))
            await world.mapping(function, batch_size=100, batching_window_s=10)
            await world.run(1)
            world.queues.send(ARN, 1)
            await world.run(120)
            assert worked.times == [11.0, 81.0]  # hidden for 10 + 30 + 30 s from its receive, then the window again

    run_virtual(scenario())


def test_a_batch_is_cut_at_six_megabytes_and_nothing_is_lost():
    async def scenario() -> None:
        async with a_queue_world() as world:
            worked, function = await world.worked()
            await world.mapping(function)
            world.queues.send(ARN, *("x" * 1_000_000 for _ in range(10)))
            await world.run(2)
            assert [len(batch) for batch in worked.batches] == [6, 4]
            assert world.queues.bodies(ARN) == []

    run_virtual(scenario())


def test_filtered_messages_are_deleted_and_cost_no_invocation():
    async def scenario() -> None:
        async with a_queue_world() as world:
            worked, function = await world.worked()
            mapping = await world.mapping(function, filters=('{"body":{"kind":["keep"]}}',), metrics=("EventCount",))
            dropped = world.queues.send(ARN, {"kind": "drop"}, b"no json")
            await world.run(2)
            assert worked.batches == []
            assert world.queues.deleted == dropped
            world.queues.send(ARN, {"kind": "drop"}, {"kind": "keep"})
            await world.run(2)
            assert worked.batches == [[{"kind": "keep"}]]
            assert world.queues.bodies(ARN) == []
            assert world.metric("PolledEventCount_total", mapping) == 4
            assert world.metric("FilteredOutEventCount_total", mapping) == 3
            assert world.metric("DeletedEventCount_total", mapping) == 1
            labels = {"EventSourceMappingUUID": mapping.uuid}  # what streams count is not shown for queues
            assert world.base.metrics.registry.get_sample_value("eventrouter_DroppedEventCount_total", labels) is None

    run_virtual(scenario())


# Failures.


def test_a_failed_batch_comes_back_only_when_its_visibility_ends():
    async def scenario() -> None:
        async with a_queue_world(visibility_s=30) as world:
            worked, function = await world.worked(fail_on("poison"))
            await world.mapping(function)
            world.queues.send(ARN, "poison", "innocent")
            await world.run(29)
            assert worked.batches == [["poison", "innocent"]]
            await world.run(2)
            assert worked.times[1] == pytest.approx(30, abs=0.2)
            assert world.queues.counts(ARN) == [2, 2]

    run_virtual(scenario())


def test_only_the_reported_messages_stay():
    async def scenario() -> None:
        async with a_queue_world() as world:
            ids: list[str] = []

            def behave(bodies: list[Any]) -> Any:
                return {"batchItemFailures": [{"itemIdentifier": ids[2]}, {"itemIdentifier": ids[4]}]}

            worked, function = await world.worked(behave)
            await world.mapping(function, reports_item_failures=True)
            ids += world.queues.send(ARN, 0, 1, 2, 3, 4)
            await world.run(10)
            assert worked.batches == [[0, 1, 2, 3, 4]]
            assert world.queues.bodies(ARN) == [2, 4]
            await world.run(25)
            assert worked.batches[1:] == [[2, 4]]

    run_virtual(scenario())


def test_a_malformed_report_fails_the_whole_batch():
    async def scenario() -> None:
        async with a_queue_world() as world:
            worked, function = await world.worked(lambda bodies: {"batchItemFailures": [{"itemIdentifier": ""}]})
            await world.mapping(function, reports_item_failures=True)
            world.queues.send(ARN, 0, 1)
            await world.run(10)
            assert worked.batches == [[0, 1]]
            assert world.queues.bodies(ARN) == [0, 1]

    run_virtual(scenario())


def test_a_message_that_fails_too_often_leaves_to_the_dead_letters():
    async def scenario() -> None:
        async with a_queue_world(visibility_s=30, maximum_receives=3) as world:
            worked, function = await world.worked(fail_on("poison"))
            await world.mapping(function)
            world.queues.send(ARN, "poison")
            await world.run(200)
            assert worked.bodies == ["poison"] * 3
            assert world.queues.dead(ARN) == ["poison"]

    run_virtual(scenario())


def test_messages_stay_hidden_while_the_function_runs():
    async def scenario() -> None:
        async with a_queue_world(visibility_s=30) as world:
            worked, function = await world.worked(seconds=200, timeout_s=300)
            await world.mapping(function)
            world.queues.send(ARN, "long")
            await world.run(199)
            assert worked.batches == [["long"]]
            assert world.queues.counts(ARN) == [1]
            assert len(world.queues.changes) > 5
            await world.run(60)
            assert worked.batches == [["long"]]
            assert world.queues.bodies(ARN) == []

    run_virtual(scenario())


def test_a_short_call_changes_no_visibility():
    async def scenario() -> None:
        async with a_queue_world(visibility_s=30) as world:
            _, function = await world.worked(seconds=10)
            await world.mapping(function)
            world.queues.send(ARN, *range(50))
            await world.run(100)
            assert world.queues.bodies(ARN) == []
            assert world.queues.changes == []

    run_virtual(scenario())


# Throttling.


def test_a_throttled_batch_is_tried_until_its_visibility_ends_and_then_comes_back():
    async def scenario() -> None:
        async with a_queue_world(visibility_s=30) as world:
            worked, function = await world.worked(reserved_concurrency=0)
            mapping = await world.mapping(function)
            world.queues.send(ARN, "waits")
            await world.run(29)
            assert world.queues.counts(ARN) == [1]
            assert world.metric("mapping_message_batches_not_run_total", mapping) > 5
            await world.run(10)
            assert world.queues.counts(ARN) == [2]
            assert worked.batches == []
            await world.base.put(replace(function, reserved_concurrency=None))
            await world.run(30)
            assert worked.batches == [["waits"]]

    run_virtual(scenario())


def test_a_throttled_batch_runs_as_soon_as_there_is_room():
    async def scenario() -> None:
        async with a_queue_world() as world:
            worked, function = await world.worked(seconds=3, reserved_concurrency=1)
            await world.mapping(function, batch_size=1)
            world.queues.send(ARN, 1, 2)
            await world.run(10)
            assert sorted(worked.bodies) == [1, 2]
            assert worked.most_at_once == 1
            assert world.queues.bodies(ARN) == []

    run_virtual(scenario())


def test_nothing_is_received_for_a_function_that_is_not_there():
    async def scenario() -> None:
        async with a_queue_world() as world:
            worked, function = await world.worked()
            await world.mapping(function)
            await world.base.store.functions.delete(function.name)
            world.queues.send(ARN, 1)
            await world.run(60)
            assert world.queues.counts(ARN) == [0]
            await world.worked(name="orders")
            await world.run(5)
            assert world.queues.bodies(ARN) == []
            assert worked.batches == []

    run_virtual(scenario())


# FIFO.


def test_fifo_groups_keep_their_order_and_run_side_by_side():
    async def scenario() -> None:
        async with a_queue_world(is_fifo=True) as world:
            worked, function = await world.worked(seconds=1)
            await world.mapping(function, batch_size=1)
            for number in range(4):
                for group in "abc":
                    world.queues.send(ARN, f"{group}{number}", group=group)
            await world.run(30)
            assert worked.most_at_once == 3
            for group in "abc":
                assert [body for body in worked.bodies if body[0] == group] == [f"{group}{n}" for n in range(4)]
            assert worked.times[-1] < 6

    run_virtual(scenario())


def test_a_failing_fifo_group_blocks_only_itself():
    async def scenario() -> None:
        async with a_queue_world(is_fifo=True, visibility_s=30) as world:
            worked, function = await world.worked(fail_on("a0"))
            await world.mapping(function, batch_size=1)
            world.queues.send(ARN, "a0", "a1", group="a")
            world.queues.send(ARN, "b0", "b1", group="b")
            await world.run(20)
            assert [body for body in worked.bodies if body[0] == "b"] == ["b0", "b1"]
            assert "a1" not in worked.bodies
            await world.run(100)
            assert "a1" not in worked.bodies
            assert worked.bodies.count("a0") == 4

    run_virtual(scenario())


def test_what_was_cut_off_behind_a_failed_message_of_its_group_waits_with_it():
    async def scenario() -> None:
        async with a_queue_world(is_fifo=True, visibility_s=30) as world:
            filler = "x" * 1_000_000
            is_broken = True

            def behave(bodies: list[Any]) -> None:
                if is_broken and bodies[0][0] == "0":
                    raise ValueError("broken")

            worked, function = await world.worked(behave)
            await world.mapping(function)
            world.queues.send(ARN, *(f"{number}{filler}" for number in range(8)))
            await world.run(20)
            assert [[body[0] for body in batch] for batch in worked.batches] == [["0", "1", "2", "3", "4", "5"]]
            is_broken = False
            await world.run(20)
            assert [body[0] for body in worked.bodies[6:]] == ["0", "1", "2", "3", "4", "5", "6", "7"]

    run_virtual(scenario())


def test_a_function_that_stops_at_its_first_failure_keeps_the_order_of_the_group():
    async def scenario() -> None:
        async with a_queue_world(is_fifo=True, visibility_s=30) as world:
            ids: list[str] = []
            done: list[int] = []
            failures = [2, 5]

            def behave(bodies: list[Any]) -> Any:
                for body in bodies:
                    if body in failures:
                        failures.remove(body)
                        return {"batchItemFailures": [{"itemIdentifier": ids[later]} for later in range(body, 8)]}
                    done.append(body)
                return None

            _, function = await world.worked(behave)
            await world.mapping(function, reports_item_failures=True)
            ids += world.queues.send(ARN, *range(8))
            await world.run(120)
            assert done == [*range(8)]
            assert world.queues.bodies(ARN) == []

    run_virtual(scenario())


def test_a_batch_holds_several_groups():
    async def scenario() -> None:
        async with a_queue_world(is_fifo=True) as world:
            worked, function = await world.worked()
            for number in range(2):
                for group in "abc":
                    world.queues.send(ARN, f"{group}{number}", group=group)
            await world.mapping(function)
            await world.run(2)
            assert worked.batches == [["a0", "a1", "b0", "b1", "c0", "c1"]]

    run_virtual(scenario())


# Scaling.


def test_pollers_follow_the_backlog_up_and_back():
    async def scenario() -> None:
        async with a_queue_world() as world:
            worked, function = await world.worked(seconds=10)
            mapping = await world.mapping(function, batch_size=1)
            await world.run(2)
            assert world.pollers(mapping) == 1
            world.queues.send(ARN, *range(400))
            await world.run(0.5)
            assert worked.running == 5
            await world.run(10)
            assert 40 <= worked.running <= 60  # five more each second
            await world.run(120)
            assert world.queues.bodies(ARN) == []
            assert world.pollers(mapping) == 1
            world.queues.send(ARN, *range(100))
            await world.run(0.5)
            assert worked.running == 5  # a minute of rest, and it begins anew

    run_virtual(scenario())


def test_a_node_holds_no_more_than_its_share_of_runs():
    async def scenario() -> None:
        async with a_queue_world(most_runs=7) as world:
            worked, function = await world.worked(seconds=5)
            await world.mapping(function, batch_size=1)
            world.queues.send(ARN, *range(60))
            await world.run(200)
            assert worked.most_at_once == 7
            assert world.queues.bodies(ARN) == []

    run_virtual(scenario())


def test_maximum_concurrency_leaves_the_rest_in_the_queue_untouched():
    async def scenario() -> None:
        async with a_queue_world(visibility_s=30) as world:
            worked, function = await world.worked(seconds=10)
            await world.mapping(function, batch_size=1, maximum_concurrency=2)
            world.queues.send(ARN, *range(10))
            await world.run(9)
            assert worked.most_at_once == 2
            assert world.queues.counts(ARN) == [1, 1] + [0] * 8
            await world.run(60)
            assert worked.most_at_once == 2
            assert sorted(worked.bodies) == [*range(10)]
            assert world.base.metric("eventrouter_Throttles_total") == 0

    run_virtual(scenario())


def test_maximum_concurrency_is_shared_by_the_nodes():
    async def scenario() -> None:
        async with a_queue_world() as world:
            worked, function = await world.worked(seconds=10)
            mapping = await world.mapping(function, batch_size=1, maximum_concurrency=5)
            names = [INCARNATION, "host-2", "host-3"]
            for name in names[1:]:
                await world.node(name)
            for name in names:
                world.planes[name].see({other: HOST for other in names if other != name})
            await world.run(2)
            world.queues.send(ARN, *range(40))
            await world.run(25)
            assert worked.most_at_once == 5
            assert sorted(world.pollers(mapping, name) for name in names) == [1, 2, 2]

    run_virtual(scenario())


def test_provisioned_pollers_run_ten_batches_each_from_the_start():
    async def scenario() -> None:
        async with a_queue_world() as world:
            worked, function = await world.worked(seconds=10)
            await world.mapping(function, batch_size=1, provisioned_pollers=(2, 3))
            world.queues.send(ARN, *range(100))
            await world.run(0.5)
            assert worked.running == 20
            await world.run(10)
            assert worked.most_at_once == 30

    run_virtual(scenario())


def test_errors_lower_the_concurrency_and_success_raises_it_again():
    async def scenario() -> None:
        async with a_queue_world(visibility_s=30) as world:
            is_broken = True

            def behave(bodies: list[Any]) -> None:
                if is_broken:
                    raise ValueError("broken")

            worked, function = await world.worked(behave, seconds=1)
            mapping = await world.mapping(function, batch_size=1)
            world.queues.send(ARN, *range(1_000))
            await world.run(10)
            tried = len(worked.seen)
            await world.run(10)
            assert len(worked.seen) - tried <= 11  # one at a time
            is_broken = False
            await world.run(20)
            assert worked.most_at_once > 50
            await world.run(100)
            assert world.queues.bodies(ARN) == []
            assert world.pollers(mapping) == 1

    run_virtual(scenario())


# Isolation.


def test_a_slow_mapping_does_not_delay_another_one():
    async def scenario() -> None:
        async with a_queue_world() as world:
            other = world.queues.create(queue_arn("quick"))
            slow, slow_function = await world.worked(seconds=60, name="slow", timeout_s=90)
            quick, quick_function = await world.worked(name="quick")
            await world.mapping(slow_function, batch_size=1)
            await world.mapping(quick_function, arn=other)
            world.queues.send(ARN, *range(5_000))
            for _ in range(60):
                sent_at = world.now()
                world.queues.send(other, "now")
                await world.run(2)
                assert quick.times[-1] == pytest.approx(sent_at, abs=0.05)
            assert len(quick.seen) == 60
            assert slow.most_at_once > 100

    run_virtual(scenario())


def test_a_queue_that_cannot_be_asked_does_not_delay_another_one():
    async def scenario() -> None:
        async with a_queue_world() as world:
            other = queue_arn("missing")
            _, function = await world.worked(name="first")
            worked, second = await world.worked(name="second")
            await world.mapping(function, arn=other)
            await world.mapping(second)
            await world.run(10)
            world.queues.send(ARN, 1)
            await world.run(0.1)
            assert worked.batches == [[1]]
            world.queues.create(other)
            world.queues.send(other, 2)
            await world.run(3)
            assert world.queues.bodies(other) == []

    run_virtual(scenario())


# Trouble.


def test_a_queue_that_stays_away_is_reported_once():
    async def scenario() -> None:
        async with a_queue_world() as world:
            _, function = await world.worked()
            await world.mapping(function)
            await world.run(1)
            with capture_logs() as logged:
                world.queues.away = AdapterError("away", transient=True)
                world.queues.send(ARN, 1)
                await world.run(30)
                world.queues.away = AdapterError("still away", transient=True)
                await world.run(30)
                world.queues.away = None
                await world.run(3)
                world.queues.away = AdapterError("away", transient=True)
                world.queues.send(ARN, 2)
                await world.run(30)
            assert [entry["reason"] for entry in logged] == ["away", "still away", "away"]

    run_virtual(scenario())


def test_a_source_that_was_away_is_asked_again():
    async def scenario() -> None:
        async with a_queue_world() as world:
            worked, function = await world.worked()
            await world.mapping(function)
            await world.run(1)
            world.queues.away = AdapterError("away", transient=True)
            world.queues.send(ARN, 1)
            await world.run(30)
            assert worked.batches == []
            world.queues.away = None
            await world.run(3)
            assert worked.batches == [[1]]

    run_virtual(scenario())


def test_what_succeeded_is_deleted_once_the_source_is_back():
    async def scenario() -> None:
        async with a_queue_world(visibility_s=30) as world:
            worked, function = await world.worked(seconds=5)
            await world.mapping(function)
            world.queues.send(ARN, 1)
            await world.run(2)
            world.queues.away = AdapterError("away", transient=True)
            await world.run(10)
            world.queues.away = None
            await world.run(60)
            assert worked.batches == [[1]]
            assert world.queues.bodies(ARN) == []

    run_virtual(scenario())


def test_what_a_dead_node_has_received_is_worked_off_by_others_at_once():
    async def scenario() -> None:
        async with a_queue_world(visibility_s=3_600) as world:
            worked, function = await world.worked()
            await world.queues.receive(ARN, limit=10, visibility_ms=1, owner="dead", has_window=False)
            world.queues.send(ARN, 1)
            [held] = await world.queues.receive(
                ARN, limit=10, visibility_ms=3_600_000, owner="dead-node", has_window=False
            )
            await world.mapping(function)
            await world.run(10)
            assert worked.batches == []
            world.queues.bury("dead-node")
            await world.run(0.1)
            assert [seen.ids for seen in worked.seen] == [[held.id]]

    run_virtual(scenario())


@pytest.mark.parametrize("others", [{}, {"host-2": replace(HOST, is_draining=True)}], ids=["left", "drains"])
def test_a_node_takes_over_the_share_of_one_that_has_left_or_drains(others: dict[str, HostInfo]):
    async def scenario() -> None:
        async with a_queue_world() as world:
            worked, function = await world.worked(seconds=10)
            await world.mapping(function, batch_size=1, maximum_concurrency=4)
            plane = world.planes[INCARNATION]
            plane.see({"host-2": HOST})
            await world.run(2)
            world.queues.send(ARN, *range(20))
            await world.run(9)
            assert worked.running == 2
            plane.see(others)
            await world.run(2)
            assert worked.running == 4

    run_virtual(scenario())


def test_a_drained_node_ends_its_pollers_and_has_its_share_again_when_it_is_let():
    async def scenario() -> None:
        async with a_queue_world() as world:
            worked, function = await world.worked(seconds=2)
            await world.mapping(function, batch_size=1, maximum_concurrency=4)
            plane = world.planes[INCARNATION]
            world.queues.send(ARN, *range(20))
            await world.run(1)
            assert worked.running == plane.pollers > 0

            world.drained.add(INCARNATION)
            plane.share()
            await world.run(3)
            assert (worked.running, plane.pollers) == (0, 0)
            seen = len(worked.seen)
            await world.run(5)
            assert len(worked.seen) == seen

            world.drained.clear()
            await world.run(30)
            assert sorted(worked.bodies) == list(range(20))

    run_virtual(scenario())


def test_a_node_that_joins_anew_sends_nothing_of_what_was_given_back():
    async def scenario() -> None:
        async with a_queue_world(visibility_s=60) as world:
            worked, function = await world.worked(seconds=5)
            await world.mapping(function)
            world.queues.send(ARN, *(f"{number}{'x' * 1_000_000}" for number in range(10)))
            await world.run(2)
            assert [len(batch) for batch in worked.batches] == [6]  # and four are held, to follow
            await world.rejoin(INCARNATION, "joined-anew")
            await world.node("host-2")
            await world.run(60)
            assert world.queues.bodies(ARN) == []
            bodies = [body[0] for body in worked.bodies]
            assert [bodies.count(str(number)) for number in range(6, 10)] == [1] * 4

    run_virtual(scenario())


def test_a_source_that_is_away_while_the_function_runs_lets_messages_come_back():
    async def scenario() -> None:
        async with a_queue_world(visibility_s=30) as world:
            worked, function = await world.worked(seconds=100, timeout_s=200)
            await world.mapping(function)
            world.queues.send(ARN, 1)
            await world.run(20)
            world.queues.away = AdapterError("away", transient=True)
            await world.run(60)
            world.queues.away = None
            await world.run(300)
            assert worked.bodies == [1, 1]  # at least once
            assert world.queues.bodies(ARN) == []

    run_virtual(scenario())


def test_a_message_that_no_event_can_carry_is_left_to_the_queue():
    async def scenario() -> None:
        async with a_queue_world(visibility_s=30, maximum_receives=2) as world:
            worked, function = await world.worked()
            await world.mapping(function)
            world.queues.send(ARN, "x" * 7_000_000, "small")
            await world.run(100)
            assert worked.bodies == ["small"]
            assert len(world.queues.dead(ARN)) == 1

    run_virtual(scenario())


def test_what_is_behind_a_message_that_no_event_can_carry_waits_for_it_in_its_group():
    async def scenario() -> None:
        async with a_queue_world(visibility_s=30, is_fifo=True, maximum_receives=2) as world:
            worked, function = await world.worked()
            await world.mapping(function)
            world.queues.send(ARN, "first", "x" * 7_000_000, group="a")
            await world.run(1)
            world.queues.send(ARN, "behind", group="a")
            world.queues.send(ARN, "other", group="b")
            await world.run(50)
            assert worked.bodies == ["first", "other"]
            assert world.queues.counts(ARN) == [2, 1]
            await world.run(50)
            assert worked.bodies == ["first", "other", "behind"]
            assert len(world.queues.dead(ARN)) == 1

    run_virtual(scenario())


def test_two_functions_of_one_queue_compete_for_its_messages():
    async def scenario() -> None:
        async with a_queue_world() as world:
            first, one = await world.worked(name="one", seconds=1)
            second, two = await world.worked(name="two", seconds=1)
            await world.mapping(one, batch_size=1)
            await world.mapping(two, batch_size=1)
            world.queues.send(ARN, *range(40))
            await world.run(30)
            assert sorted(first.bodies + second.bodies) == [*range(40)]
            assert min(len(first.bodies), len(second.bodies)) > 5

    run_virtual(scenario())


def test_a_node_that_stops_finishes_what_runs_and_gives_back_what_waits():
    async def scenario() -> None:
        async with a_queue_world() as world:
            worked, function = await world.worked(seconds=5)
            _, reserved = await world.worked(name="reserved", reserved_concurrency=0)
            other = world.queues.create(queue_arn("other"))
            await world.mapping(function)
            await world.mapping(reserved, arn=other)
            world.queues.send(ARN, "runs")
            world.queues.send(other, "waits")
            await world.run(2)
            await world.planes[INCARNATION].drain()
            assert worked.bodies == ["runs"]
            assert world.queues.bodies(ARN) == []
            assert world.queues.changes[-1][1] == 0
            world.queues.send(ARN, "late")
            await world.run(10)
            assert world.queues.counts(ARN) == [0]

    run_virtual(scenario())


# Switching on and off.


def transitions(world: QueueWorld) -> MappingTransitions:
    return MappingTransitions(
        mappings=world.mappings,
        lanes=world.base.store.lanes,
        sources={},
        hosts=world.base.store.hosts,
        loops=world.base.loops,
        clock=world.base.clock,
        log=get_logger(),
    )


def test_a_mapping_is_disabled_only_when_its_last_batch_has_ended():
    async def scenario() -> None:
        async with a_queue_world() as world, transitions(world):
            worked, function = await world.worked(seconds=20)
            mapping = await world.mapping(function)
            world.queues.send(ARN, 1)
            await world.run(2)
            await world.change(mapping, state=MappingState.DISABLING, is_enabled=False)
            await world.run(10)
            assert world.mappings.catalogue.get(mapping.uuid).state is MappingState.DISABLING
            await world.run(15)
            assert world.mappings.catalogue.get(mapping.uuid).state is MappingState.DISABLED
            assert world.queues.bodies(ARN) == []
            world.queues.send(ARN, 2)
            await world.run(10)
            assert worked.batches == [[1]]

    run_virtual(scenario())


def test_a_mapping_can_be_enabled_again_on_the_same_node():
    async def scenario() -> None:
        async with a_queue_world() as world, transitions(world):
            worked, function = await world.worked()
            mapping = await world.mapping(function)
            await world.run(2)
            await world.change(mapping, state=MappingState.DISABLING, is_enabled=False)
            await world.run(10)
            world.queues.send(ARN, 1)
            await world.change(mapping, state=MappingState.ENABLING, is_enabled=True)
            await world.run(10)
            assert world.mappings.catalogue.get(mapping.uuid).state is MappingState.ENABLED
            assert worked.batches == [[1]]

    run_virtual(scenario())


def test_a_deleted_mapping_leaves_nothing_behind():
    async def scenario() -> None:
        async with a_queue_world() as world, transitions(world):
            _, function = await world.worked()
            mapping = await world.mapping(function)
            await world.run(2)
            assert await world.base.store.lanes.units(mapping.uuid) != {}
            await world.change(mapping, state=MappingState.DELETING)
            await world.run(10)
            assert world.mappings.catalogue.get(mapping.uuid) is None
            assert await world.base.store.lanes.units(mapping.uuid) == {}
            assert world.pollers(mapping) == 0

    run_virtual(scenario())


def test_a_mapping_is_disabled_although_redis_was_away_when_it_began():
    async def scenario() -> None:
        async with a_queue_world() as world, transitions(world):
            _, function = await world.worked()
            mapping = await world.mapping(function)
            async with world.base.redis_away():
                await world.run(20)
            await world.change(mapping, state=MappingState.DISABLING, is_enabled=False)
            await world.run(20)
            assert world.mappings.catalogue.get(mapping.uuid).state is MappingState.DISABLED

    run_virtual(scenario())


def test_what_was_held_for_too_long_is_not_sent_any_more():
    async def scenario() -> None:
        async with a_queue_world(visibility_s=30) as world:
            worked, function = await world.worked()
            await world.mapping(function)
            world.queues.send(ARN, *("x" * 1_000_000 for _ in range(8)))
            original = world.queues.delete
            world.queues.delete = slowly(world, original)  # type: ignore[method-assign]
            await world.run(20)
            world.queues.delete = original  # type: ignore[method-assign]
            await world.run(60)
            assert [len(batch) for batch in worked.batches] == [6, 2]
            assert worked.times[1] >= 30  # not when the first six were gone, but once they had come back
            assert world.queues.bodies(ARN) == []

    run_virtual(scenario())


def slowly(world: QueueWorld, delete: Any) -> Any:
    """Return a delete that takes longer than messages are hidden."""

    async def late(arn: str, receipts: Any) -> int:
        count: int = await delete(arn, receipts)
        await world.run(35)
        return count

    return late


def test_what_dead_nodes_have_left_is_forgotten():
    async def scenario() -> None:
        async with a_queue_world() as world:
            _, function = await world.worked()
            mapping = await world.mapping(function)
            await world.run(2)
            lanes, hosts = world.base.store.lanes, world.base.store.hosts
            await lanes.take(mapping.uuid, "dead-node", "dead-node")
            await world.node("host-2")
            await world.run(2)
            assert set(await lanes.units(mapping.uuid)) == {INCARNATION, "host-2"}
            assert set(await hosts.list()) == {INCARNATION, "host-2"}

    run_virtual(scenario())


def test_messages_that_wait_for_their_window_are_given_back_when_the_mapping_is_disabled():
    async def scenario() -> None:
        async with a_queue_world() as world:
            worked, function = await world.worked()
            mapping = await world.mapping(function, batch_size=100, batching_window_s=60)
            world.queues.send(ARN, 1)
            await world.run(5)
            await world.change(mapping, state=MappingState.DISABLING, is_enabled=False)
            await world.run(1)
            assert worked.batches == []
            assert [change[1] for change in world.queues.changes] == [0]
            assert world.pollers(mapping) == 0

    run_virtual(scenario())


def test_new_settings_count_from_the_next_batch_on():
    async def scenario() -> None:
        async with a_queue_world() as world:
            worked, function = await world.worked()
            mapping = await world.mapping(function, batch_size=10)
            await world.run(2)
            await world.change(mapping, batch_size=2)
            world.queues.send(ARN, *range(4))
            await world.run(2)
            assert worked.batches == [[0, 1], [2, 3]]

    run_virtual(scenario())


def test_nothing_is_held_in_the_end():
    async def scenario() -> None:
        async with a_queue_world() as world:
            _, function = await world.worked(fail_on(3))
            mapping = await world.mapping(function, batch_size=3)
            world.queues.send(ARN, *range(20))
            await world.run(10)
            worker = world.planes[INCARNATION].worker(mapping.uuid)
            assert worker is not None
            assert worker.parts.held_bytes == 0

    run_virtual(scenario())
