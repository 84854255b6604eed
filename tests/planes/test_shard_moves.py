"""Operators' moves of a mapping's position, and what they are shown, in virtual time."""

from __future__ import annotations

from typing import Any

import pytest

from eventrouter.errors import Unavailable
from eventrouter.planes.shard_moves import FromSequence, NoSuchPlace, NotDisabled, ShardMoves, SinceTime
from eventrouter.planes.shard_progress import MappingProgress, ProgressReader
from eventrouter.rules.mapping import EventSourceMapping, MappingState, StartingPosition
from eventrouter.store import Taken
from eventrouter.testing.virtual import run_virtual
from tests.planes.stream_world import ARN, StreamWorld, a_stream_world
from tests.planes.world import INCARNATION

pytestmark = pytest.mark.unit

ONE, TWO = "shardId-000000000000", "shardId-000000000001"


def fail_on(*poison: Any) -> Any:
    """Return a behaviour that raises if any of these values is in the batch."""

    def behave(values: list[Any]) -> None:
        if any(value in poison for value in values):
            raise ValueError("poison")

    return behave


def moves(world: StreamWorld) -> ShardMoves:
    return ShardMoves(
        lanes=world.lanes,
        hosts=world.base.store.hosts,
        sources={"kinesis": world.streams},
        clock=world.base.clock,
        incarnation=lambda: INCARNATION,
    )


async def progress(world: StreamWorld, mapping: EventSourceMapping) -> MappingProgress:
    hosts, clock = world.base.store.hosts, world.base.clock
    reader = ProgressReader(lanes=world.lanes, hosts=hosts, sources={"kinesis": world.streams}, clock=clock)
    return await reader.read(mapping)


async def pause(world: StreamWorld, mapping: EventSourceMapping) -> EventSourceMapping:
    """Disable a mapping, and let its shards be let go of."""
    disabled = await world.change(mapping, state=MappingState.DISABLED, is_enabled=False)
    await world.run(2)
    return disabled


async def resume(world: StreamWorld, mapping: EventSourceMapping, seconds: float = 5) -> None:
    await world.change(mapping, state=MappingState.ENABLED, is_enabled=True)
    await world.run(seconds)


def test_a_rewind_to_a_sequence_number_repeats_exactly_from_that_record():
    async def scenario() -> None:
        async with a_stream_world() as world:
            recorder, function = await world.recorder()
            mapping = await world.mapping(function)
            early = world.streams.put(ARN, 1, 2)
            await world.run(3)
            same_instant = world.streams.put(ARN, 3, 4, 5)
            await world.run(3)
            for sequence, values in (
                (same_instant[1], [4, 5]),
                (same_instant[0], [3, 4, 5]),
                (early[1], [2, 3, 4, 5]),
                ("0", [1, 2, 3, 4, 5]),
                (str(int(same_instant[2]) + 1), []),
            ):
                mapping = await pause(world, mapping)
                recorder.seen.clear()
                await moves(world).rewind(mapping, FromSequence(sequence=sequence), None)
                await resume(world, mapping)
                assert recorder.values == values

    run_virtual(scenario())


def test_a_source_that_finds_no_times_is_read_through():
    async def scenario() -> None:
        async with a_stream_world() as world:
            world.streams.starting_positions = frozenset({StartingPosition.TRIM_HORIZON})
            recorder, function = await world.recorder()
            mapping = await world.mapping(function)
            world.streams.put(ARN, 1)
            await world.run(10)
            since_ms = world.base.clock.now_ms()
            sequences = world.streams.put(ARN, 2, 3)
            await world.run(3)
            for place, values in ((SinceTime(at_ms=since_ms), [2, 3]), (FromSequence(sequence=sequences[1]), [3])):
                mapping = await pause(world, mapping)
                recorder.seen.clear()
                await moves(world).rewind(mapping, place, ONE)
                await resume(world, mapping)
                assert recorder.values == values

    run_virtual(scenario())


def test_a_rewind_to_a_time_moves_every_shard():
    async def scenario() -> None:
        async with a_stream_world(shards=2) as world:
            recorder, function = await world.recorder()
            mapping = await world.mapping(function)
            world.streams.put(ARN, "old one", shard=ONE)
            world.streams.put(ARN, "old two", shard=TWO)
            await world.run(10)
            since_ms = world.base.clock.now_ms()
            world.streams.put(ARN, "new one", shard=ONE)
            world.streams.put(ARN, "new two", shard=TWO)
            await world.run(3)
            mapping = await pause(world, mapping)
            recorder.seen.clear()

            moved = await moves(world).rewind(mapping, SinceTime(at_ms=since_ms), None)

            assert [(each.shard, each.before) for each in moved] == [(ONE, "3"), (TWO, "4")]
            await resume(world, mapping)
            assert sorted(recorder.values) == ["new one", "new two"]

    run_virtual(scenario())


def test_a_rewind_past_a_split_reads_the_shard_and_its_children_again():
    async def scenario() -> None:
        async with a_stream_world() as world:
            recorder, function = await world.recorder()
            mapping = await world.mapping(function)
            sequences = world.streams.put(ARN, 1, 2)
            left, _ = world.streams.split(ARN, ONE)
            world.streams.put(ARN, 3, shard=left)
            await world.run(5)
            assert recorder.values == [1, 2, 3]
            mapping = await pause(world, mapping)
            shown = await progress(world, mapping)
            assert [(shard.is_drained, shard.waits_for) for shard in shown.shards] == [(True, [])] + [(False, [])] * 2
            recorder.seen.clear()

            await moves(world).rewind(mapping, FromSequence(sequence=sequences[1]), ONE)

            shown = await progress(world, mapping)
            assert [shard.waits_for for shard in shown.shards] == [[], [ONE], [ONE]]
            await resume(world, mapping)
            assert recorder.values == [2, 3]

    run_virtual(scenario())


def test_a_number_needs_its_shard_and_a_shard_must_exist():
    async def scenario() -> None:
        async with a_stream_world(shards=2) as world:
            _, function = await world.recorder()
            mapping = await pause(world, await world.mapping(function))
            with pytest.raises(NoSuchPlace, match="2 shards"):
                await moves(world).rewind(mapping, FromSequence(sequence="1"), None)
            with pytest.raises(NoSuchPlace, match="no shard other"):
                await moves(world).rewind(mapping, SinceTime(at_ms=0), "other")
            with pytest.raises(NoSuchPlace, match="no shard other"):
                await moves(world).skip(mapping, "other")

    run_virtual(scenario())


def test_nothing_is_moved_while_somebody_may_read():
    async def scenario() -> None:
        async with a_stream_world() as world:
            _, function = await world.recorder(fail_on(1))
            mapping = await world.mapping(function)
            world.streams.put(ARN, 1)
            await world.run(3)
            with pytest.raises(NotDisabled, match="Enabled"):
                await moves(world).rewind(mapping, SinceTime(at_ms=0), None)
            mapping = await pause(world, mapping)
            await world.change(mapping, state=MappingState.ENABLED, is_enabled=True)  # `mapping` is of the past now
            await world.run(2)
            before = await world.lanes.read(mapping.uuid, f"{ONE}@g1")
            with pytest.raises(NotDisabled, match="being read"):
                await moves(world).rewind(mapping, SinceTime(at_ms=0), None)
            with pytest.raises(NotDisabled, match="being read"):
                await moves(world).skip(mapping, None)
            assert await world.lanes.read(mapping.uuid, f"{ONE}@g1") == before

    run_virtual(scenario())


def test_a_shard_that_a_dead_node_held_is_moved():
    async def scenario() -> None:
        async with a_stream_world() as world:
            recorder, function = await world.recorder(fail_on(1))
            mapping = await world.mapping(function, batch_size=1)
            world.streams.put(ARN, 1, 2)
            await world.run(3)
            mapping = await pause(world, mapping)
            for move in ("skip", "rewind"):
                assert isinstance(await world.lanes.take(mapping.uuid, f"{ONE}@g1", "dead"), Taken)
                if move == "skip":
                    assert len(await moves(world).skip(mapping, ONE)) == 1
                else:
                    await moves(world).rewind(mapping, FromSequence(sequence="2"), ONE)
            recorder.seen.clear()
            await resume(world, mapping)
            assert recorder.values == [2]

    run_virtual(scenario())


def test_skipping_gives_up_the_failing_range_and_nothing_else():
    async def scenario() -> None:
        async with a_stream_world(shards=2) as world:
            recorder, function = await world.recorder(fail_on("poison"))
            mapping = await world.mapping(function, bisect=True)
            sequences = world.streams.put(ARN, 1, "poison", 3, 4, shard=ONE)
            world.streams.put(ARN, "other", shard=TWO)
            await world.run(5)
            mapping = await pause(world, mapping)
            recorder.seen.clear()

            [skipped] = await moves(world).skip(mapping, None)

            assert (skipped.shard, skipped.first, skipped.last) == (ONE, sequences[1], sequences[1])
            assert skipped.invokes >= 3
            assert await moves(world).skip(mapping, None) == []
            shown = await progress(world, mapping)
            assert [shard.blocked_since_ms for shard in shown.shards] == [None, None]
            await resume(world, mapping)
            assert recorder.values == [3, 4]

    run_virtual(scenario())


def test_lanes_that_are_not_blocked_keep_what_they_had():
    async def scenario() -> None:
        async with a_stream_world() as world:
            recorder, function = await world.recorder(fail_on("poison"))
            mapping = await world.mapping(function, parallelization_factor=4, batch_size=1)
            world.streams.put(ARN, "poison", "behind", key="a")
            world.streams.put(ARN, "free", key="b")
            world.streams.put(ARN, "free", key="d")
            await world.run(5)
            mapping = await pause(world, mapping)
            recorder.seen.clear()

            assert len(await moves(world).skip(mapping, None)) == 1

            await resume(world, mapping)
            assert recorder.values == ["behind"]

    run_virtual(scenario())


def test_a_blocked_shard_is_shown_with_why_and_when_it_is_tried_again():
    async def scenario() -> None:
        async with a_stream_world(shards=2) as world:
            _, function = await world.recorder(fail_on("poison"), seconds=0.5)
            mapping = await world.mapping(function)
            began_ms = world.base.clock.now_ms()
            sequences = world.streams.put(ARN, "poison", shard=ONE)
            await world.run(0.3)
            [in_flight, _] = (await progress(world, mapping)).shards
            assert (in_flight.in_flight, in_flight.blocked_since_ms, in_flight.owner) == (1, None, INCARNATION)
            await world.run(0.7)

            [blocked, free] = (await progress(world, mapping)).shards

            assert blocked.blocked_by == "Function call failed"
            assert blocked.blocked_since_ms == pytest.approx(began_ms + 500, abs=100)
            assert blocked.next_try_ms == pytest.approx(began_ms + 1_500, abs=100)
            assert (blocked.in_flight, blocked.checkpoint) == (0, "0")
            assert blocked.head is not None
            assert blocked.head.sequence == sequences[0]
            assert blocked.behind_ms == pytest.approx(1_000, abs=100)
            [lane] = blocked.lanes
            [pending] = lane.pending
            assert (pending.first, pending.last, pending.invokes) == (sequences[0], sequences[0], 1)
            assert (free.behind_ms, free.head, free.blocked_by, free.lanes) == (0, None, None, [])
            mapping = await pause(world, mapping)
            [paused, _] = (await progress(world, mapping)).shards
            assert (paused.owner, paused.next_try_ms) == (None, None)
            assert paused.blocked_by == "Function call failed"

    run_virtual(scenario())


def test_of_a_stream_that_is_gone_the_store_still_tells():
    async def scenario() -> None:
        async with a_stream_world() as world:
            _, function = await world.recorder()
            mapping = await world.mapping(function)
            sequences = world.streams.put(ARN, 1)
            await world.run(3)
            world.streams.delete(ARN)

            shown = await progress(world, mapping)

            assert shown.problem is not None
            assert "not found" in shown.problem
            assert [(shard.shard, shard.checkpoint, shard.behind_ms) for shard in shown.shards] == [
                (ONE, sequences[0], None)
            ]

    run_virtual(scenario())


def test_a_shard_that_could_not_be_let_go_of_after_a_skip_is_read_all_the_same():
    async def scenario() -> None:
        async with a_stream_world() as world:
            recorder, function = await world.recorder(fail_on("poison"))
            mapping = await world.mapping(function, batch_size=1)
            world.streams.put(ARN, "poison", "behind")
            await world.run(3)
            disabled = await pause(world, mapping)
            release = world.lanes.release

            async def away(*args: Any) -> None:
                raise Unavailable("not now")

            world.lanes.release = away  # type: ignore[method-assign]
            with pytest.raises(Unavailable):
                await moves(world).skip(disabled, None)
            world.lanes.release = release  # type: ignore[method-assign]
            await world.planes[INCARNATION].drain()
            await world.node("host-2")
            await resume(world, mapping)
            assert recorder.values[-1] == "behind"

    run_virtual(scenario())
