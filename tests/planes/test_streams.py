"""Stream mappings in virtual time: order, blocking, retries, windows, filters, lanes, resharding, takeovers."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from eventrouter.errors import AdapterError
from eventrouter.logging import get_logger
from eventrouter.planes.mappings import MappingTransitions
from eventrouter.planes.streams import StreamPlane
from eventrouter.rules.mapping import MappingState, StartingPosition
from eventrouter.store import HostInfo
from eventrouter.testing.virtual import run_virtual
from tests.planes.stream_world import ARN, StreamWorld, a_stream_world, values_of
from tests.planes.world import INCARNATION, queue_arn

pytestmark = pytest.mark.unit


def fail_on(*poison: Any) -> Any:
    """Return a behaviour that raises if any of these values is in the batch."""

    def behave(values: list[Any]) -> None:
        if any(value in poison for value in values):
            raise ValueError("poison")

    return behave


def test_records_reach_the_function_in_order_and_the_checkpoint_follows():
    async def scenario() -> None:
        async with a_stream_world() as world:
            recorder, function = await world.recorder()
            mapping = await world.mapping(function, batch_size=3)
            sequences = world.streams.put(ARN, 1, 2, 3, 4, 5, 6, 7)
            await world.run(5)
            assert recorder.values == [1, 2, 3, 4, 5, 6, 7]
            assert recorder.batches[0] == [1, 2, 3]
            assert await world.checkpoints(mapping, ["shardId-000000000000@g1"]) == [sequences[-1]]
            assert await world.result(mapping) == "OK"

    run_virtual(scenario())


def test_a_record_put_later_is_delivered_at_once():
    async def scenario() -> None:
        async with a_stream_world() as world:
            recorder, function = await world.recorder()
            await world.mapping(function)
            await world.run(30)
            world.streams.put(ARN, "late")
            await world.run(0.1)
            assert recorder.batches == [["late"]]

    run_virtual(scenario())


def test_a_failing_batch_blocks_its_shard_and_only_its_shard():
    async def scenario() -> None:
        async with a_stream_world(shards=2) as world:
            recorder, function = await world.recorder(fail_on("poison"))
            await world.mapping(function, batch_size=1)
            one, two = "shardId-000000000000", "shardId-000000000001"
            world.streams.put(ARN, "poison", "behind", shard=one)
            world.streams.put(ARN, "free 1", "free 2", shard=two)
            await world.run(60)
            assert "behind" not in recorder.values
            assert [value for value in recorder.values if value.startswith("free")] == ["free 1", "free 2"]
            assert recorder.values.count("poison") == 8  # 1 s doubling to 12 s

    run_virtual(scenario())


def test_retries_end_in_an_on_failure_record_and_the_shard_moves_on():
    async def scenario() -> None:
        async with a_stream_world() as world:
            recorder, function = await world.recorder(fail_on("poison"))
            mapping = await world.mapping(
                function, batch_size=1, maximum_retry_attempts=2, on_failure=queue_arn("failed")
            )
            [poison, _] = world.streams.put(ARN, "poison", "behind")
            await world.run(30)
            assert recorder.values == ["poison"] * 3 + ["behind"]
            assert recorder.times[:3] == [recorder.times[0], recorder.times[0] + 1, recorder.times[0] + 3]
            [record] = world.base.target.bodies(queue_arn("failed"))
            assert record["requestContext"]["condition"] == "RetryAttemptsExhausted"
            assert record["requestContext"]["approximateInvokeCount"] == 3
            assert record["responseContext"]["functionError"] == "Unhandled"
            assert record["KinesisBatchInfo"]["startSequenceNumber"] == poison
            assert record["KinesisBatchInfo"]["batchSize"] == 1
            stored = await world.lanes.read(mapping.uuid, "shardId-000000000000@g1")
            assert stored is not None
            assert stored.outbox == {}

    run_virtual(scenario())


def test_bisect_finds_the_poison_record_and_loses_nothing_else():
    async def scenario() -> None:
        async with a_stream_world() as world:
            recorder, function = await world.recorder(fail_on(5))
            await world.mapping(
                function, batch_size=8, bisect=True, maximum_retry_attempts=0, on_failure=queue_arn("failed")
            )
            world.streams.put(ARN, *range(8))
            await world.run(5)
            assert recorder.batches == [[*range(8)], [0, 1, 2, 3], [4, 5, 6, 7], [4, 5], [4], [5], [6, 7]]
            [record] = world.base.target.bodies(queue_arn("failed"))
            assert record["KinesisBatchInfo"]["batchSize"] == 1
            assert record["requestContext"]["approximateInvokeCount"] == 4

    run_virtual(scenario())


def test_reported_failures_are_retried_from_the_lowest_one():
    async def scenario() -> None:
        async with a_stream_world() as world:
            sequences: list[str] = []
            first = True

            def behave(values: list[Any]) -> Any:
                nonlocal first
                if first:
                    first = False
                    return {"batchItemFailures": [{"itemIdentifier": sequences[3]}, {"itemIdentifier": sequences[2]}]}
                return {"batchItemFailures": []}

            recorder, function = await world.recorder(behave)
            await world.mapping(function, batch_size=5, reports_item_failures=True)
            sequences += world.streams.put(ARN, 0, 1, 2, 3, 4)
            await world.run(5)
            assert recorder.batches == [[0, 1, 2, 3, 4], [2, 3, 4]]

    run_virtual(scenario())


def test_a_batch_window_counts_from_the_first_record():
    async def scenario() -> None:
        async with a_stream_world() as world:
            recorder, function = await world.recorder()
            await world.mapping(function, batch_size=10, batching_window_s=5)
            await world.run(20.5)
            began = world.now()
            for value in range(4):
                world.streams.put(ARN, value)
                await world.run(2)
            await world.run(10)
            assert recorder.batches == [[0, 1, 2], [3]]
            assert recorder.times[0] == pytest.approx(began + 5, abs=0.05)
            world.streams.put(ARN, *range(10))
            await world.run(0.1)
            assert recorder.batches[-1] == [*range(10)]

    run_virtual(scenario())


def test_records_too_old_leave_the_batch_one_by_one():
    async def scenario() -> None:
        async with a_stream_world() as world:
            recorder, function = await world.recorder()
            world.streams.put(ARN, "old")
            await world.run(50)
            world.streams.put(ARN, "young")
            await world.run(20)
            await world.mapping(function, maximum_record_age_s=60, on_failure=queue_arn("failed"))
            await world.run(2)
            assert recorder.batches == [["young"]]
            [record] = world.base.target.bodies(queue_arn("failed"))
            assert record["requestContext"]["condition"] == "RecordAgeExceeded"
            assert record["requestContext"]["approximateInvokeCount"] == 1
            assert "responseContext" not in record

    run_virtual(scenario())


def test_filtered_records_cost_no_invocation_and_advance_the_checkpoint():
    async def scenario() -> None:
        async with a_stream_world() as world:
            recorder, function = await world.recorder()
            mapping = await world.mapping(function, filters=('{"data":{"kind":["keep"]}}',))
            sequences = world.streams.put(ARN, {"kind": "drop"}, {"kind": "keep"}, b"no json", {"kind": "drop"})
            await world.run(2)
            assert recorder.batches == [[{"kind": "keep"}]]
            assert await world.checkpoints(mapping, ["shardId-000000000000@g1"]) == [sequences[-1]]

    run_virtual(scenario())


def test_lanes_run_side_by_side_and_keep_the_order_of_each_key():
    async def scenario() -> None:
        async with a_stream_world() as world:
            recorder, function = await world.recorder(seconds=1)
            await world.mapping(function, batch_size=1, parallelization_factor=4)
            for number in range(5):
                for key in "abcdefgh":
                    world.streams.put(ARN, f"{key}{number}", key=key)
            await world.run(60)
            assert recorder.most_at_once > 1
            for key in "abcdefgh":
                assert [v for v in recorder.values if v[0] == key] == [f"{key}{number}" for number in range(5)]

    run_virtual(scenario())


def test_the_number_of_lanes_changes_between_batches_without_repeats():
    async def scenario() -> None:
        async with a_stream_world() as world:
            recorder, function = await world.recorder(seconds=0.3)
            mapping = await world.mapping(function, batch_size=2, parallelization_factor=2)
            for number in range(30):
                world.streams.put(ARN, number, key=f"k{number % 7}")
            await world.run(2)
            await world.change(mapping, parallelization_factor=5)
            await world.run(2)
            for number in range(30, 50):
                world.streams.put(ARN, number, key=f"k{number % 7}")
            await world.run(30)
            assert sorted(recorder.values) == [*range(50)]
            for key in range(7):
                mine = [value for value in recorder.values if value % 7 == key]
                if key != 1:
                    assert mine == sorted(mine)

    run_virtual(scenario())


def test_children_are_read_only_when_their_parent_is_drained():
    async def scenario() -> None:
        async with a_stream_world() as world:
            recorder, function = await world.recorder(seconds=1)
            await world.mapping(function, batch_size=2)
            parent = "shardId-000000000000"
            world.streams.put(ARN, 1, 2, 3, 4)
            children = world.streams.split(ARN, parent)
            world.streams.put(ARN, 5, shard=children[0])
            world.streams.put(ARN, 6, shard=children[1])
            await world.run(1.5)
            assert recorder.values == [1, 2, 3, 4]
            await world.run(10)
            assert recorder.values[:4] == [1, 2, 3, 4]
            assert sorted(recorder.values[4:]) == [5, 6]

    run_virtual(scenario())


def test_a_merged_shard_waits_for_both_its_parents():
    async def scenario() -> None:
        async with a_stream_world(shards=2) as world:
            recorder, function = await world.recorder(fail_on("poison"))
            mapping = await world.mapping(function, batch_size=1)
            one, two = "shardId-000000000000", "shardId-000000000001"
            world.streams.put(ARN, "poison", shard=one)
            child = world.streams.merge(ARN, one, two)
            world.streams.put(ARN, "child", shard=child)
            await world.run(30)
            assert "child" not in recorder.values
            await world.change(mapping, maximum_retry_attempts=0)
            await world.run(30)
            assert recorder.values[-1] == "child"

    run_virtual(scenario())


def test_two_nodes_share_the_shards_and_a_dead_one_s_batch_is_repeated_once():
    async def scenario() -> None:
        async with a_stream_world(shards=4) as world:
            recorder, function = await world.recorder(seconds=2)
            mapping = await world.mapping(function, batch_size=1)
            first = world.planes[INCARNATION]
            second = await world.node("host-2")
            host = await world.base.store.hosts.list()
            first.see({"host-2": host["host-2"]})
            second.see({INCARNATION: host[INCARNATION]})
            await world.run(3)
            units = sorted(await world.lanes.units(mapping.uuid))
            owners = [(await world.lanes.read(mapping.uuid, unit)).owner for unit in units]  # type: ignore[union-attr]
            assert sorted(owners) == [INCARNATION, INCARNATION, "host-2", "host-2"]
            for shard in range(4):
                world.streams.put(ARN, f"{shard}a", f"{shard}b", shard=f"shardId-{shard:012d}")
            await world.run(20)
            assert sorted(recorder.values) == sorted(f"{shard}{part}" for shard in range(4) for part in "ab")

    run_virtual(scenario())


def test_the_shards_of_a_draining_node_pass_to_the_others_before_it_leaves():
    async def scenario() -> None:
        async with a_stream_world(shards=4) as world:
            recorder, function = await world.recorder()
            mapping = await world.mapping(function)
            first, second = world.planes[INCARNATION], await world.node("host-2")
            hosts = await world.base.store.hosts.list()
            first.see({"host-2": hosts["host-2"]})
            second.see({INCARNATION: hosts[INCARNATION]})
            await world.run(3)
            first.stop_reading()
            second.see({INCARNATION: replace(hosts[INCARNATION], is_draining=True)})
            await world.run(3)
            for shard in range(4):
                world.streams.put(ARN, shard, shard=f"shardId-{shard:012d}")
            await world.run(2)
            assert sorted(recorder.values) == [0, 1, 2, 3]
            units = await world.lanes.units(mapping.uuid)
            assert [(await world.lanes.read(mapping.uuid, unit)).owner for unit in units] == ["host-2"] * 4

    run_virtual(scenario())


async def two_nodes(world: StreamWorld) -> tuple[StreamPlane, StreamPlane, dict[str, HostInfo]]:
    """Start a second node; both see each other. Return both planes and what each is to the other."""
    first, second = world.planes[INCARNATION], await world.node("host-2")
    hosts = await world.base.store.hosts.list()
    first.see({"host-2": hosts["host-2"]})
    second.see({INCARNATION: hosts[INCARNATION]})
    await world.run(3)
    return first, second, hosts


@pytest.mark.parametrize("seconds", [0.1, 2.5], ids=["short batches", "long batches"])
def test_a_shard_that_changes_hands_waits_for_the_batch_under_way_and_nothing_else(seconds: float) -> None:
    async def scenario() -> None:
        async with a_stream_world(shards=4) as world:
            world.tells = True
            recorder, function = await world.recorder(seconds=seconds)
            await world.mapping(function, batch_size=1)
            first, second, hosts = await two_nodes(world)
            assert (first.held, second.held) == (2, 2)
            for shard in range(4):
                world.streams.put(ARN, *(f"{shard} {part}" for part in "abc"), shard=f"shardId-{shard:012d}")
            await world.run(0.05)  # a batch of every shard is under way

            world.drained.add("host-2")
            first.see({"host-2": replace(hosts["host-2"], is_draining=True)})
            second.share_soon()
            await world.run(4 * seconds)

            assert (first.held, second.held) == (4, 0)
            for shard in range(4):
                begins = [seen.at for seen in recorder.seen if seen.values[0].startswith(f"{shard} ")]
                values = [value for value in recorder.values if value.startswith(f"{shard} ")]
                assert values == [f"{shard} {part}" for part in "abc"]
                assert [later - earlier for earlier, later in pairwise(begins)] == pytest.approx(
                    [seconds] * 2, abs=0.06
                )

    run_virtual(scenario())


def test_a_drained_node_takes_its_share_again_as_soon_as_it_is_let():
    async def scenario() -> None:
        async with a_stream_world(shards=4) as world:
            world.tells = True
            _, function = await world.recorder()
            await world.mapping(function)
            first, second, hosts = await two_nodes(world)
            world.drained.add("host-2")
            first.see({"host-2": replace(hosts["host-2"], is_draining=True)})
            second.share_soon()
            await world.run(0.1)
            assert (first.held, second.held) == (4, 0)

            world.drained.clear()
            first.see({"host-2": hosts["host-2"]})
            second.share_soon()
            await world.run(0.1)

            assert (first.held, second.held) == (2, 2)

    run_virtual(scenario())


def test_a_node_without_the_role_has_no_share():
    async def scenario() -> None:
        async with a_stream_world(shards=4) as world:
            _, function = await world.recorder()
            await world.mapping(function)
            first, second, hosts = await two_nodes(world)
            first.see({"host-2": replace(hosts["host-2"], roles=("api", "worker"))})
            world.drained.add("host-2")
            await world.run(3)

            assert (first.held, second.held) == (4, 0)

    run_virtual(scenario())


def test_a_shard_whose_release_nobody_hears_of_is_found_to_be_free_within_a_second():
    async def scenario() -> None:
        async with a_stream_world(shards=2) as world:
            recorder, function = await world.recorder(seconds=1.5)
            await world.mapping(function, batch_size=1)
            first, second, hosts = await two_nodes(world)
            for shard in range(2):
                world.streams.put(ARN, f"{shard}a", f"{shard}b", shard=f"shardId-{shard:012d}")
            await world.run(0.05)
            world.drained.add("host-2")
            first.see({"host-2": replace(hosts["host-2"], is_draining=True)})
            second.share_soon()
            await world.run(4)

            assert sorted(recorder.values) == ["0a", "0b", "1a", "1b"]
            assert recorder.times[-1] - recorder.times[0] <= 1.5 + 1.1

    run_virtual(scenario())


def test_a_shard_is_taken_over_with_its_attempts():
    async def scenario() -> None:
        async with a_stream_world() as world:
            recorder, function = await world.recorder(fail_on("poison"))
            mapping = await world.mapping(function, batch_size=1, maximum_retry_attempts=4)
            world.streams.put(ARN, "poison", "behind")
            await world.run(4)
            tries = recorder.values.count("poison")
            assert tries == 3
            await world.planes[INCARNATION].drain()
            await world.node("host-2")
            await world.run(60)
            assert recorder.values.count("poison") == 5
            assert recorder.values[-1] == "behind"
            assert await world.result(mapping) == "OK"

    run_virtual(scenario())


def test_a_tumbling_window_carries_its_state_and_ends_with_a_final_call():
    async def scenario() -> None:
        async with a_stream_world() as world:
            counts: list[Any] = []

            async def handler(event: dict[str, Any], invocation: Any) -> Any:
                count = event["state"].get("count", 0) + len(event["Records"])
                counts.append((len(event["Records"]), count, event["isFinalInvokeForWindow"]))
                return {"state": {"count": count}}

            function = await world.base.function(handler)
            await world.mapping(function, tumbling_window_s=30, batch_size=2)
            world.streams.put(ARN, 1, 2, 3)
            await world.run(5)
            world.streams.put(ARN, 4)
            await world.run(60)
            assert [count for count in counts if not count[2]][-1][1] <= 4
            finals = [count for count in counts if count[2]]
            assert sum(count[1] for count in finals) == 4
            assert all(count[0] == 0 for count in finals)

    run_virtual(scenario())


def test_a_mapping_that_is_switched_off_stops_and_goes_on_at_the_same_place():
    async def scenario() -> None:
        async with a_stream_world() as world:
            recorder, function = await world.recorder()
            mapping = await world.mapping(function)
            world.streams.put(ARN, 1)
            await world.run(2)
            await world.change(mapping, is_enabled=False)
            await world.run(2)
            world.streams.put(ARN, 2)
            await world.run(10)
            assert recorder.values == [1]
            await world.change(mapping, is_enabled=True)
            await world.run(2)
            assert recorder.values == [1, 2]

    run_virtual(scenario())


def test_a_missing_function_or_stream_is_reported_and_nothing_is_lost():
    async def scenario() -> None:
        async with a_stream_world() as world:
            recorder, function = await world.recorder()
            mapping = await world.mapping(function)
            await world.base.store.functions.delete(function.name)
            world.streams.put(ARN, 1)
            await world.run(5)
            assert await world.result(mapping) == "PROBLEM: Function not found"
            recorder, function = await world.recorder()
            await world.run(20)
            assert recorder.values == [1]
            world.streams.delete(ARN)
            await world.run(5)
            assert await world.result(mapping) == "PROBLEM: Stream not found"
            world.streams.create(ARN)
            world.streams.put(ARN, "again")
            await world.run(5)
            assert recorder.values == [1, "again"]

    run_virtual(scenario())


def test_throttles_cost_no_attempt():
    async def scenario() -> None:
        async with a_stream_world() as world:
            recorder, function = await world.recorder()
            throttled = await world.base.put(replace(function, reserved_concurrency=0))
            mapping = await world.mapping(throttled, maximum_retry_attempts=0, on_failure=queue_arn("failed"))
            world.streams.put(ARN, 1)
            await world.run(30)
            assert await world.result(mapping) == "PROBLEM: Function call was throttled"
            await world.base.put(replace(throttled, reserved_concurrency=None))
            await world.run(15)
            assert recorder.values == [1]
            assert world.base.target.bodies(queue_arn("failed")) == []

    run_virtual(scenario())


def test_a_record_larger_than_any_event_is_given_up_alone():
    async def scenario() -> None:
        async with a_stream_world() as world:
            recorder, function = await world.recorder()
            mapping = await world.mapping(function, maximum_retry_attempts=5, on_failure=queue_arn("failed"))
            [_, large, _] = world.streams.put(ARN, "before", "x" * 5_000_000, "behind")
            await world.run(3)
            assert recorder.batches == [["before"], ["behind"]]
            [record] = world.base.target.bodies(queue_arn("failed"))
            assert record["requestContext"]["condition"] == "MaximumPayloadSizeExceeded"
            assert record["requestContext"]["approximateInvokeCount"] == 1
            assert record["responseContext"] is None
            assert record["KinesisBatchInfo"]["startSequenceNumber"] == large
            assert record["KinesisBatchInfo"]["batchSize"] == 1
            world.streams.put(ARN, "x" * 5_000_000)
            await world.run(3)
            assert await world.result(mapping) == "PROBLEM: Record is larger than an event may be"
            world.streams.put(ARN, "end")
            await world.run(3)
            assert await world.result(mapping) == "OK"

    run_virtual(scenario())


def test_an_empty_shard_costs_next_to_nothing_for_hours_and_then_delivers_at_once():
    async def scenario() -> None:
        async with a_stream_world(shards=2) as world:
            recorder, function = await world.recorder()
            mapping = await world.mapping(function, batching_window_s=0, tumbling_window_s=60)
            await world.run(2 * 3_600)
            assert recorder.batches == []
            assert await world.result(mapping) is None
            assert len(world.streams.reads) == 2
            world.streams.put(ARN, "late")
            await world.run(0.1)
            assert recorder.batches == [["late"]]

    run_virtual(scenario())


def test_a_failing_batch_ends_when_its_records_pass_the_retention():
    async def scenario() -> None:
        async with a_stream_world() as world:
            world.streams.retention_ms = 600_000
            recorder, function = await world.recorder(fail_on("poison"))
            mapping = await world.mapping(function, batch_size=1)
            world.streams.put(ARN, "poison", "behind")
            await world.run(300)
            world.streams.put(ARN, "young")
            await world.run(400)
            assert set(recorder.values) == {"poison", "young"}
            assert recorder.times[-1] < 620
            assert await world.result(mapping) == "OK"

    run_virtual(scenario())


def test_retention_that_passes_the_checkpoint_of_a_paused_mapping_is_told():
    async def scenario() -> None:
        async with a_stream_world() as world:
            world.streams.retention_ms = 60_000
            recorder, function = await world.recorder()
            mapping = await world.mapping(function, batch_size=1)
            world.streams.put(ARN, "before")
            await world.run(5)
            await world.change(mapping, is_enabled=False)
            await world.run(2)
            world.streams.put(ARN, "lost")
            await world.run(120)
            await world.change(mapping, is_enabled=True)
            await world.run(3)
            assert await world.result(mapping) == (
                "PROBLEM: Records passed the stream's retention before they were processed"
            )
            world.streams.put(ARN, "after")
            await world.run(3)
            assert recorder.values == ["before", "after"]
            assert await world.result(mapping) == "OK"

    run_virtual(scenario())


def test_a_window_whose_state_grows_too_large_is_ended_early_and_goes_on_afresh():
    async def scenario() -> None:
        async with a_stream_world() as world:
            calls: list[tuple[Any, ...]] = []

            async def handler(event: dict[str, Any], invocation: Any) -> Any:
                kept = event["state"].get("kept", "")
                final, early = event["isFinalInvokeForWindow"], event["isWindowTerminatedEarly"]
                calls.append((values_of(event), len(kept), final, early, event["window"]["start"]))
                return {"state": {"kept": kept + "x" * 700_000}}

            function = await world.base.function(handler)
            mapping = await world.mapping(function, tumbling_window_s=900, batch_size=1)
            world.streams.put(ARN, 1, 2, 3)
            await world.run(10)
            start = calls[0][4]
            assert calls == [
                ([1], 0, False, False, start),
                ([2], 700_000, False, False, start),
                ([], 1_400_000, True, True, start),
                ([3], 0, False, False, start),
            ]
            await world.run(900)
            assert calls[4:] == [([], 700_000, True, False, start)]
            assert await world.result(mapping) == "OK"

    run_virtual(scenario())


def test_while_redis_is_away_nothing_new_begins_and_nothing_is_lost_or_repeated():
    async def scenario() -> None:
        async with a_stream_world() as world:
            recorder, function = await world.recorder(seconds=1)
            mapping = await world.mapping(function, batch_size=1)
            world.streams.put(ARN, *range(8))
            await world.run(2.5)
            async with world.base.redis_away():
                await world.run(2)
                begun = len(recorder.seen)
                await world.run(20)
                assert len(recorder.seen) == begun
            await world.run(30)
            assert recorder.values == [*range(8)]
            assert await world.result(mapping) == "OK"

    run_virtual(scenario())


def test_a_source_that_does_not_answer_is_told_and_tried_again():
    async def scenario() -> None:
        async with a_stream_world() as world:
            recorder, function = await world.recorder()
            mapping = await world.mapping(function)
            world.streams.put(ARN, 1)
            await world.run(2)
            world.streams.away = AdapterError("not now", transient=True)
            world.streams.put(ARN, 2)
            await world.run(5)
            assert await world.result(mapping) == "PROBLEM: The stream could not be read"
            world.streams.away = None
            await world.run(5)
            assert recorder.values == [1, 2]
            assert await world.result(mapping) == "OK"

    run_virtual(scenario())


def test_a_function_deleted_while_a_batch_runs_ends_that_batch_and_holds_up_the_next():
    async def scenario() -> None:
        async with a_stream_world() as world:
            recorder, function = await world.recorder(seconds=5)
            mapping = await world.mapping(function, batch_size=1, maximum_retry_attempts=0)
            sequences = world.streams.put(ARN, "running", "waiting")
            await world.run(2)
            await world.base.store.functions.delete(function.name)
            await world.run(10)
            assert recorder.values == ["running"]
            assert await world.checkpoints(mapping, ["shardId-000000000000@g1"]) == sequences[:1]
            assert await world.result(mapping) == "PROBLEM: Function not found"

    run_virtual(scenario())


@pytest.mark.parametrize(
    ("starting_position", "expected"),
    [
        (StartingPosition.TRIM_HORIZON, ["old", "since", "new"]),
        (StartingPosition.AT_TIMESTAMP, ["since", "new"]),
        (StartingPosition.LATEST, ["new"]),
    ],
)
def test_a_new_mapping_begins_at_its_starting_position(starting_position: StartingPosition, expected: list[str]):
    async def scenario() -> None:
        async with a_stream_world() as world, transitions(world) as moves:
            recorder, function = await world.recorder()
            world.streams.put(ARN, "old")
            await world.run(60)
            since_ms = world.base.clock.now_ms()
            world.streams.put(ARN, "since")
            await world.run(60)
            mapping = await world.mapping(
                function,
                state=MappingState.CREATING,
                starting_position=starting_position,
                starting_timestamp_ms=since_ms if starting_position is StartingPosition.AT_TIMESTAMP else 0,
            )
            await moves.begin(mapping)
            await world.run(2)
            world.streams.put(ARN, "new")
            children = world.streams.split(ARN, "shardId-000000000000")
            world.streams.put(ARN, "in a child", shard=children[0])
            await world.run(5)
            assert recorder.values == [*expected, "in a child"]

    run_virtual(scenario())


def test_a_mapping_deleted_in_flight_ends_its_batch_and_leaves_no_lanes():
    async def scenario() -> None:
        async with a_stream_world() as world, transitions(world) as moves:
            recorder, function = await world.recorder(seconds=3)
            mapping = await world.mapping(function, batch_size=1)
            world.streams.put(ARN, "running", "never run")
            await world.run(1)
            deleting = await world.change(mapping, state=MappingState.DELETING)
            await moves.begin(deleting)
            await world.run(1)
            assert world.mappings.catalogue.get(mapping.uuid) is not None
            await world.run(10)
            assert world.mappings.catalogue.get(mapping.uuid) is None
            assert recorder.values == ["running"]
            assert await world.lanes.units(mapping.uuid) == {}
            assert await world.result(mapping) is None

    run_virtual(scenario())


def transitions(world: StreamWorld) -> MappingTransitions:
    return MappingTransitions(
        mappings=world.mappings,
        lanes=world.lanes,
        sources={"kinesis": world.streams},
        hosts=world.base.store.hosts,
        loops=world.base.loops,
        clock=world.base.clock,
        log=get_logger(),
    )


def test_a_large_batch_is_read_again_whole_after_the_batch_size_was_lowered():
    async def scenario() -> None:
        async with a_stream_world() as world:
            recorder, function = await world.recorder(fail_on(0))
            mapping = await world.mapping(function, batch_size=1_000)
            world.streams.put(ARN, *range(1_000))
            await world.run(2)
            assert [len(batch) for batch in recorder.batches] == [1_000, 1_000]
            await world.planes[INCARNATION].drain()
            await world.change(mapping, batch_size=1)
            await world.node("host-2")
            await world.run(20)
            assert {len(batch) for batch in recorder.batches} == {1_000}
            assert len(recorder.batches) > 2

    run_virtual(scenario())


def test_the_number_of_lanes_changes_although_what_was_read_has_expired():
    async def scenario() -> None:
        async with a_stream_world() as world:
            world.streams.retention_ms = 600_000
            world.streams.retention_ms = 500_000
            recorder, function = await world.recorder(fail_on("poison"))
            mapping = await world.mapping(function, batch_size=1, parallelization_factor=2)
            world.streams.put(ARN, "poison", "behind", key="a")
            await world.run(5)
            await world.planes[INCARNATION].drain()
            await world.change(mapping, parallelization_factor=3)
            await world.run(700)
            await world.node("host-2")
            await world.run(5)
            world.streams.put(ARN, "fresh", key="a")
            await world.run(5)
            assert recorder.values[-1] == "fresh"
            assert "behind" not in recorder.values

    run_virtual(scenario())
