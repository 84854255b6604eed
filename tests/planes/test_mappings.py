"""Mappings go from state to state: positions are placed before reading begins, and work has ended before it is said."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace

import pytest

from eventrouter.errors import AdapterError
from eventrouter.logging import get_logger
from eventrouter.planes.mappings import NEWS_S, NOT_READ, SWEEP_EVERY_S, MappingTransitions
from eventrouter.ports import StreamSource
from eventrouter.rules.mapping import EventSourceMapping, MappingState, StartingPosition
from eventrouter.rules.names import FunctionName
from eventrouter.store import HostInfo, Taken
from tests.planes.listed_streams import ListedStreams, stream_arn
from tests.planes.test_events import in_a_world
from tests.planes.world import ACCOUNT, INCARNATION, REGION, World

pytestmark = pytest.mark.integration

UUID = "11111111-2222-4333-8444-555555555555"
ARN = stream_arn("orders")
OTHER_NODE = HostInfo(url="http://127.0.0.1:2", started_at_ms=0, version="0")


@dataclass
class Case:
    """A world with a stream of two shards, and what looks after its mappings."""

    world: World
    streams: ListedStreams
    shards: list[str]
    transitions: MappingTransitions

    async def store(self, state: MappingState, **changes: object) -> EventSourceMapping:
        """Store a mapping in a state, as the API does."""
        mapping = EventSourceMapping(
            uuid=UUID,
            account=ACCOUNT,
            region=REGION,
            source_arn=ARN,
            function=FunctionName(account=ACCOUNT, region=REGION, name="orders"),
            state=state,
            last_modified_ms=self.world.clock.now_ms(),
        )
        return await self.world.store.mappings.catalogue.put(replace(mapping, **changes))  # type: ignore[arg-type]

    async def change(self, state: MappingState, **changes: object) -> EventSourceMapping:
        current = self.world.store.mappings.catalogue.get(UUID)
        assert current is not None
        changed = replace(current, state=state, last_modified_ms=self.world.clock.now_ms(), **changes)  # type: ignore[arg-type]
        return await self.world.store.mappings.catalogue.put(changed)

    @property
    def state(self) -> MappingState | None:
        mapping = self.world.store.mappings.catalogue.get(UUID)
        return None if mapping is None else mapping.state

    async def positions(self) -> list[str | None]:
        """Return where reading goes on, by shard."""
        lanes = [await self.world.store.lanes.read(UUID, shard.unit) for shard in await self.streams.shards(ARN)]
        return [None if lane is None else lane.checkpoint for lane in lanes]

    async def unit(self) -> str:
        return (await self.streams.shards(ARN))[0].unit


def in_a_case(scenario: Callable[[Case], Awaitable[None]], *, serves: bool = True) -> None:
    async def in_world(world: World) -> None:
        async with a_case(world, serves=serves) as case:
            await scenario(case)

    in_a_world(in_world, beats=True)


@contextlib.asynccontextmanager
async def a_case(world: World, *, serves: bool) -> AsyncIterator[Case]:
    streams = ListedStreams(world.clock)
    sources: dict[str, StreamSource] = {"kinesis": streams} if serves else {}
    transitions = MappingTransitions(
        mappings=world.store.mappings,
        lanes=world.store.lanes,
        sources=sources,
        hosts=world.store.hosts,
        loops=world.loops,
        clock=world.clock,
        log=get_logger(),
    )
    async with transitions:
        yield Case(world, streams, streams.create(ARN, shards=2), transitions)


def test_latest_is_after_the_last_record_at_activation() -> None:
    async def scenario(case: Case) -> None:
        (last,) = case.streams.put(ARN, 1, shard=case.shards[0])
        mapping = await case.store(MappingState.CREATING, starting_position=StartingPosition.LATEST)

        await case.transitions.begin(mapping)
        await case.world.run(0.1)

        assert case.state is MappingState.ENABLED
        assert await case.positions() == [last, "0"]

    in_a_case(scenario)


def test_a_timestamp_is_before_the_first_record_since() -> None:
    async def scenario(case: Case) -> None:
        old = case.streams.put(ARN, 1, 2, shard=case.shards[0])
        await case.world.run(10)
        since_ms = case.world.clock.now_ms()
        case.streams.put(ARN, 3, shard=case.shards[0])
        mapping = await case.store(
            MappingState.CREATING,
            starting_position=StartingPosition.AT_TIMESTAMP,
            starting_timestamp_ms=since_ms,
        )

        await case.transitions.begin(mapping)
        await case.world.run(0.1)

        assert await case.positions() == [old[-1], "0"]

    in_a_case(scenario)


def test_the_trim_horizon_needs_no_position() -> None:
    async def scenario(case: Case) -> None:
        await case.transitions.begin(await case.store(MappingState.CREATING))
        await case.world.run(0.1)

        assert case.state is MappingState.ENABLED
        assert await case.positions() == [None, None]

    in_a_case(scenario)


def test_a_mapping_that_is_created_disabled_has_its_positions_all_the_same() -> None:
    async def scenario(case: Case) -> None:
        (last,) = case.streams.put(ARN, 1, shard=case.shards[0])
        mapping = await case.store(MappingState.CREATING, starting_position=StartingPosition.LATEST, is_enabled=False)

        await case.transitions.begin(mapping)
        await case.world.run(0.1)

        assert case.state is MappingState.DISABLED
        assert (await case.positions())[0] == last

    in_a_case(scenario)


def test_a_position_that_is_there_is_not_placed_again() -> None:
    async def scenario(case: Case) -> None:
        await case.world.store.lanes.place(UUID, await case.unit(), "7")
        case.streams.put(ARN, *range(20), shard=case.shards[0])
        mapping = await case.store(MappingState.CREATING, starting_position=StartingPosition.LATEST)

        await case.transitions.begin(mapping)
        await case.world.run(0.1)

        assert (await case.positions())[0] == "7"

    in_a_case(scenario)


def test_shards_that_were_opened_during_a_pause_are_read_from_their_start() -> None:
    async def scenario(case: Case) -> None:
        await case.store(MappingState.DISABLED, starting_position=StartingPosition.LATEST, is_enabled=False)
        for child in case.streams.split(ARN, case.shards[0]):
            case.streams.put(ARN, "while paused", shard=child)

        await case.transitions.begin(await case.change(MappingState.ENABLING, is_enabled=True))
        await case.world.run(0.1)

        assert case.state is MappingState.ENABLED
        assert await case.positions() == [None] * 4

    in_a_case(scenario)


@pytest.mark.parametrize(("is_enabled", "after"), [(True, MappingState.ENABLED), (False, MappingState.DISABLED)])
def test_an_update_ends_where_the_mapping_stood(is_enabled: bool, after: MappingState) -> None:
    async def scenario(case: Case) -> None:
        await case.transitions.begin(await case.store(MappingState.UPDATING, is_enabled=is_enabled))
        await case.world.run(0.1)

        assert case.state is after

    in_a_case(scenario)


def test_a_mapping_is_disabled_once_its_last_batch_has_ended() -> None:
    async def scenario(case: Case) -> None:
        unit = await case.unit()
        taken = await case.world.store.lanes.take(UUID, unit, INCARNATION)
        assert isinstance(taken, Taken)

        await case.transitions.begin(await case.store(MappingState.DISABLING, is_enabled=False))
        await case.world.run(60)
        assert case.state is MappingState.DISABLING
        await case.world.store.lanes.release(UUID, unit, INCARNATION, taken.epoch)
        await case.world.run(1.1)

        assert case.state is MappingState.DISABLED

    in_a_case(scenario)


def test_a_dead_owner_delays_nothing() -> None:
    async def scenario(case: Case) -> None:
        await case.world.store.lanes.take(UUID, await case.unit(), "host-dead")

        await case.transitions.begin(await case.store(MappingState.DISABLING, is_enabled=False))
        await case.world.run(0.1)

        assert case.state is MappingState.DISABLED

    in_a_case(scenario)


def test_other_nodes_are_given_the_time_to_hear_of_it() -> None:
    async def scenario(case: Case) -> None:
        await case.world.store.hosts.join("host-2", OTHER_NODE)

        await case.transitions.begin(await case.store(MappingState.DISABLING, is_enabled=False))
        await case.world.run(NEWS_S - 0.1)
        assert case.state is MappingState.DISABLING
        await case.world.run(1.1)

        assert case.state is MappingState.DISABLED

    in_a_case(scenario)


def test_nothing_is_left_of_a_deleted_mapping() -> None:
    async def scenario(case: Case) -> None:
        store, unit = case.world.store, await case.unit()
        await store.lanes.place(UUID, unit, "7")
        await store.mappings.set_result(UUID, "OK")

        await case.transitions.begin(await case.store(MappingState.DELETING))
        await case.world.run(0.1)

        assert case.state is None
        assert await store.lanes.units(UUID) == {}
        assert await store.lanes.read(UUID, unit) is None
        assert await store.mappings.results([UUID]) == [None]

    in_a_case(scenario)


def test_a_deleted_mapping_stays_until_its_last_batch_has_ended() -> None:
    async def scenario(case: Case) -> None:
        unit = await case.unit()
        taken = await case.world.store.lanes.take(UUID, unit, INCARNATION)
        assert isinstance(taken, Taken)

        await case.transitions.begin(await case.store(MappingState.DELETING))
        await case.world.run(60)
        assert case.state is MappingState.DELETING
        await case.world.store.lanes.release(UUID, unit, INCARNATION, taken.epoch)
        await case.world.run(1.1)

        assert case.state is None

    in_a_case(scenario)


@pytest.mark.parametrize("state", [MappingState.CREATING, MappingState.ENABLING, MappingState.UPDATING])
def test_what_another_node_left_unfinished_is_found(state: MappingState) -> None:
    async def scenario(case: Case) -> None:
        await case.store(state)

        await case.world.run(SWEEP_EVERY_S + 0.1)

        assert case.state is MappingState.ENABLED

    in_a_case(scenario)


def test_a_source_that_cannot_be_asked_delays_the_mapping_and_is_told() -> None:
    async def scenario(case: Case) -> None:
        case.streams.away = AdapterError("it is away", transient=True)
        mapping = await case.store(MappingState.CREATING, starting_position=StartingPosition.LATEST)

        await case.transitions.begin(mapping)
        await case.world.run(30)
        assert case.state is MappingState.CREATING
        assert await case.world.store.mappings.results([UUID]) == [NOT_READ]
        case.streams.away = None
        await case.world.run(SWEEP_EVERY_S + 0.1)

        assert case.state is MappingState.ENABLED
        assert await case.world.store.mappings.results([UUID]) == [None]

    in_a_case(scenario)


def test_a_mapping_waits_for_a_node_that_has_its_adapter() -> None:
    async def scenario(case: Case) -> None:
        mapping = await case.store(MappingState.CREATING, starting_position=StartingPosition.LATEST)

        await case.transitions.begin(mapping)
        await case.world.run(30)

        assert case.state is MappingState.CREATING

    in_a_case(scenario, serves=False)


def test_a_stream_that_is_gone_stops_no_mapping() -> None:
    async def scenario(case: Case) -> None:
        case.streams.delete(ARN)
        mapping = await case.store(MappingState.CREATING, starting_position=StartingPosition.LATEST)

        await case.transitions.begin(mapping)
        await case.world.run(0.1)

        assert case.state is MappingState.ENABLED

    in_a_case(scenario)


def test_a_change_by_another_in_between_is_no_failure() -> None:
    async def scenario(case: Case) -> None:
        mapping = await case.store(MappingState.UPDATING)
        await case.world.store.mappings.catalogue.put(replace(mapping, tags={"a": "b"}))

        await case.transitions.begin(mapping)
        await case.world.run(0.1)

        stored = case.world.store.mappings.catalogue.get(UUID)
        assert stored is not None
        assert (stored.state, stored.tags) == (MappingState.ENABLED, {"a": "b"})

    in_a_case(scenario)


def test_redis_being_away_delays_and_nothing_more() -> None:
    async def scenario(case: Case) -> None:
        mapping = await case.store(MappingState.UPDATING)
        async with case.world.redis_away():
            await case.transitions.begin(mapping)
            await case.world.run(20)
            assert case.state is MappingState.UPDATING

        await case.world.run(SWEEP_EVERY_S + 2)

        assert case.state is MappingState.ENABLED

    in_a_case(scenario)
