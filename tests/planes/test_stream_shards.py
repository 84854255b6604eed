"""How a node keeps a shard, divides it anew and lets it go, when several things happen at once."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from eventrouter.errors import AdapterError
from eventrouter.rules.mapping import MappingState
from eventrouter.store import Taken
from eventrouter.testing.virtual import run_virtual
from tests.planes.listed_streams import ListedStreams
from tests.planes.stream_world import ARN, StreamWorld, a_stream_world, values_of
from tests.planes.world import INCARNATION, queue_arn

pytestmark = pytest.mark.unit

PARENT = "shardId-000000000000"


def counting(world: StreamWorld, calls: list[dict[str, Any]]) -> Any:
    """Return a handler that counts in the state of its window."""

    async def handler(event: dict[str, Any], invocation: Any) -> Any:
        calls.append(event)
        return {"state": {"count": event["state"].get("count", 0) + len(event["Records"])}}

    return handler


def test_the_number_of_lanes_changes_while_a_tumbling_window_is_open():
    async def scenario() -> None:
        async with a_stream_world() as world:
            calls: list[dict[str, Any]] = []

            async def handler(event: dict[str, Any], invocation: Any) -> Any:
                await world.base.clock.sleep(1)
                calls.append(event)
                return {"state": {"count": event["state"].get("count", 0) + len(event["Records"])}}

            function = await world.base.function(handler)
            mapping = await world.mapping(function, tumbling_window_s=60, batch_size=1)
            world.streams.put(ARN, *range(250))  # more than is read ahead, so more is known to follow
            await world.run(3)
            await world.change(mapping, parallelization_factor=2)
            await world.run(1_000)
            assert [value for event in calls for value in values_of(event)] == [*range(250)]
            finals = [event["state"]["count"] for event in calls if event["isFinalInvokeForWindow"]]
            assert sum(finals) == 250

    run_virtual(scenario())


def test_the_number_of_lanes_changes_before_a_pending_range_was_read_again():
    async def scenario() -> None:
        async with a_stream_world() as world:
            broken = True
            recorder, function = await world.recorder(lambda values: 1 / 0 if broken else None)
            mapping = await world.mapping(function, batch_size=2_000)
            world.streams.put(ARN, *range(2_000))
            await world.run(4)
            assert {len(batch) for batch in recorder.batches} == {2_000}
            await world.planes[INCARNATION].drain()
            recorder.seen.clear()
            broken = False
            read = world.streams.read

            async def slowly(*args: Any, **members: Any) -> Any:
                await world.base.clock.sleep(1)
                return await read(*args, **members)

            world.streams.read = slowly  # type: ignore[method-assign]
            await world.node("host-2")
            await world.run(1.5)
            await world.change(mapping, parallelization_factor=2)
            await world.run(30)
            assert recorder.batches == [[*range(2_000)]]

    run_virtual(scenario())


def test_the_number_of_lanes_changes_although_only_what_follows_has_not_expired():
    async def scenario() -> None:
        async with a_stream_world() as world:
            world.streams.retention_ms = 500_000
            recorder, function = await world.recorder(lambda values: 1 / 0 if "poison" in values else None)
            mapping = await world.mapping(function, batch_size=1, parallelization_factor=2)
            world.streams.put(ARN, "poison", "behind", key="a")
            await world.run(5)
            await world.planes[INCARNATION].drain()
            await world.change(mapping, parallelization_factor=3)
            await world.run(700)
            world.streams.put(ARN, "fresh", key="a")
            reads = len(world.streams.reads)
            await world.node("host-2")
            await world.run(5)
            assert recorder.values[-1] == "fresh"
            assert len(world.streams.reads) < reads + 20

    run_virtual(scenario())


def test_a_shard_with_a_window_in_which_nothing_succeeded_is_drained_after_a_takeover():
    async def scenario() -> None:
        async with a_stream_world() as world:
            calls: list[list[Any]] = []

            async def handler(event: dict[str, Any], invocation: Any) -> Any:
                calls.append(values_of(event))
                await world.base.clock.sleep(3)
                if "poison" in calls[-1]:
                    raise ValueError
                return {"state": {}}

            function = await world.base.function(handler)
            await world.mapping(function, tumbling_window_s=60, maximum_retry_attempts=0)
            world.streams.put(ARN, "poison")
            await world.run(2)
            await world.planes[INCARNATION].drain()  # lets the batch end, which is dropped
            children = world.streams.split(ARN, PARENT)
            world.streams.put(ARN, "child", shard=children[0])
            await world.node("host-2")
            await world.run(30)
            assert calls == [["poison"], ["child"]]

    run_virtual(scenario())


def test_a_mapping_changed_while_its_shards_are_being_shared_out_runs_with_its_new_settings():
    async def scenario() -> None:
        async with a_stream_world() as world:
            recorder, function = await world.recorder()
            listed, go = asyncio.Event(), asyncio.Event()
            ask = world.streams.shards

            async def slowly(arn: str) -> Any:
                listed.set()
                await go.wait()
                return await ask(arn)

            world.streams.shards = slowly  # type: ignore[method-assign]
            world.streams.put(ARN, 1, 2, 3, 4)
            mapping = await world.mapping(function, batch_size=4)
            await listed.wait()
            await world.change(mapping, batch_size=1)
            go.set()
            await world.run(3)
            assert recorder.batches == [[1], [2], [3], [4]]

    run_virtual(scenario())


def test_a_node_that_drains_while_shards_are_being_shared_out_begins_none():
    async def scenario() -> None:
        async with a_stream_world() as world:
            recorder, function = await world.recorder()
            listed, go = asyncio.Event(), asyncio.Event()
            ask = world.streams.shards

            async def slowly(arn: str) -> Any:
                listed.set()
                await go.wait()
                return await ask(arn)

            world.streams.shards = slowly  # type: ignore[method-assign]
            world.streams.put(ARN, 1)
            await world.mapping(function)
            await listed.wait()
            await world.planes[INCARNATION].drain()
            go.set()
            await world.run(3)
            assert recorder.values == []

    run_virtual(scenario())


def test_a_shard_let_go_of_while_redis_is_away_is_free_once_it_is_back():
    async def scenario() -> None:
        async with a_stream_world() as world:
            recorder, function = await world.recorder()
            mapping = await world.mapping(function, batch_size=1)
            world.streams.put(ARN, 1)
            await world.run(3)
            [unit] = await world.lanes.units(mapping.uuid)
            await world.change(mapping, state=MappingState.DISABLED, is_enabled=False)
            async with world.base.redis_away():
                await world.run(20)
            await world.run(10)
            stored = await world.lanes.read(mapping.uuid, unit)
            assert stored is not None
            assert stored.owner == ""
            world.streams.put(ARN, 2)
            await world.change(mapping, state=MappingState.ENABLED, is_enabled=True)
            await world.run(20)
            assert recorder.values == [1, 2]

    run_virtual(scenario())


def test_a_source_that_cannot_be_listed_for_a_while_moves_no_shard():
    async def scenario() -> None:
        async with a_stream_world() as world:
            _, function = await world.recorder(lambda values: 1 / 0)
            mapping = await world.mapping(function)
            world.streams.put(ARN, 1)
            await world.run(2)
            [unit] = await world.lanes.units(mapping.uuid)
            worker = world.planes[INCARNATION].worker(mapping.uuid, unit)
            world.streams.away = AdapterError("not now", transient=True)
            await world.run(5)
            world.streams.away = None
            await world.run(5)
            assert world.planes[INCARNATION].worker(mapping.uuid, unit) is worker

    run_virtual(scenario())


def test_the_result_of_a_mapping_is_that_of_its_latest_batch_whichever_node_had_it():
    async def scenario() -> None:
        async with a_stream_world() as world:
            recorder, function = await world.recorder(lambda values: 1 / 0 if "poison" in values else None)
            mapping = await world.mapping(function, batch_size=1, maximum_retry_attempts=0)
            world.streams.put(ARN, "good")
            await world.run(2)
            assert await world.result(mapping) == "OK"
            await world.mappings.set_result(mapping.uuid, "PROBLEM: Function call failed")  # by another node
            world.streams.put(ARN, "good")
            await world.run(2)
            assert await world.result(mapping) == "OK"
            assert json.dumps(recorder.values) == '["good", "good"]'

    run_virtual(scenario())


def test_a_batch_window_begins_again_when_the_batch_before_has_ended():
    async def scenario() -> None:
        async with a_stream_world() as world:
            recorder, function = await world.recorder(seconds=2)
            await world.mapping(function, batching_window_s=5)
            await world.run(2)
            began = world.now()
            world.streams.put(ARN, 1)
            await world.run(6)
            world.streams.put(ARN, 2)
            await world.run(20)
            assert recorder.batches == [[1], [2]]
            assert recorder.times == pytest.approx([began + 5, began + 5 + 2 + 5], abs=0.05)

    run_virtual(scenario())


def test_on_failure_records_wait_for_room_and_the_shard_goes_on():
    async def scenario() -> None:
        async with a_stream_world() as world:
            recorder, function = await world.recorder(lambda values: 1 / 0 if "poison" in values else None)
            await world.mapping(function, batch_size=1, maximum_retry_attempts=0, on_failure=queue_arn("failed"))
            await world.run(2)
            world.base.store.scripts.refuse_intake("memory is full")
            world.streams.put(ARN, "poison", "good")
            await world.run(5)
            assert recorder.values == ["poison", "good"]
            world.base.store.scripts.refuse_intake(None)
            await world.run(5)
            assert len(world.base.target.bodies(queue_arn("failed"))) == 1

    run_virtual(scenario())


def test_records_that_grow_too_old_while_redis_is_away_are_not_sent():
    async def scenario() -> None:
        async with a_stream_world() as world:
            recorder, function = await world.recorder(seconds=2)
            await world.mapping(function, batch_size=1, maximum_record_age_s=60)
            world.streams.put(ARN, "running", "waiting")
            await world.run(1)
            async with world.base.redis_away():
                await world.run(70)
            await world.run(20)
            assert recorder.values == ["running"]

    run_virtual(scenario())


def test_a_source_that_hangs_holds_up_no_other_s_shards():
    async def scenario() -> None:
        async with a_stream_world() as world:
            recorder, function = await world.recorder()
            hanging = ListedStreams(world.base.clock)
            hanging.service = "dynamodb"

            async def never(arn: str) -> Any:
                await asyncio.Event().wait()

            hanging.shards = never  # type: ignore[method-assign]
            world.sources["dynamodb"] = hanging
            for number in range(20):
                table = f"arn:aws:dynamodb:us-east-1:000000000000:table/t{number}/stream/1"
                await world.mapping(function, arn=table)
            await world.mapping(function)
            world.streams.put(ARN, 1)
            await world.run(15)
            assert recorder.values == [1]

    run_virtual(scenario())


def test_a_shard_whose_release_a_failover_forgot_is_let_go_of_again() -> None:
    async def scenario() -> None:
        async with a_stream_world() as world:
            _, function = await world.recorder()
            mapping = await world.mapping(function)
            await world.run(3)
            unit = next(iter(await world.lanes.units(mapping.uuid)))
            world.drained.add(INCARNATION)
            await world.run(3)
            forgotten = await world.lanes.take(mapping.uuid, unit, INCARNATION)
            assert isinstance(forgotten, Taken)

            await world.run(15)

            lane = await world.lanes.read(mapping.uuid, unit)
            assert lane is not None
            assert lane.owner == ""

    run_virtual(scenario())
