"""Two nodes in virtual time: one falls silent, the other takes over what it held, and nothing runs twice at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from eventrouter.errors import NodeDead
from eventrouter.logging import get_logger
from eventrouter.planes.membership import Membership
from eventrouter.rules.witness import FENCE_KILL_S, SILENCE_S
from eventrouter.store import HostInfo
from eventrouter.testing.inprocess import InProcessEnvironments
from tests.planes.test_events import in_a_world
from tests.planes.world import World

pytestmark = pytest.mark.integration

SECOND = HostInfo(url="http://127.0.0.1:2", started_at_ms=0, version="0")


def a_member(world: World, *names: str, isolated: bool = True) -> Membership:
    left = list(names)

    async def is_isolated(others: Mapping[str, HostInfo]) -> bool:
        return isolated

    return Membership(
        hosts=world.store.hosts,
        refresh=world.store.refresh,
        slots=world.store.slots,
        environments=InProcessEnvironments(world.clock),
        loops=world.loops,
        clock=world.clock,
        log=get_logger(),
        info=SECOND,
        new_incarnation=lambda: left.pop(0),
        is_isolated=is_isolated,
    )


def test_the_work_of_a_silent_node_runs_elsewhere_after_ten_seconds() -> None:
    async def scenario(world: World) -> None:
        function = await world.function(lambda event, invocation: event)
        store = world.store
        partition = store.events.partition_of(function.name.key)
        await store.hosts.join("host-9", SECOND)
        await store.events.hold(function.name.key, 2_000)
        request_id = await world.send(function)
        await store.events.unhold(function.name.key)
        claims = await store.events.claim("host-9", partition, function.name.key, 10)
        assert [claim.id for claim in claims] == [request_id]
        assert await store.slots.take("host-9", function.name.key, "token") is None

        async with a_member(world, "host-2"):
            began = world.clock.monotonic()
            await world.run(30)

        (start,) = world.environments.starts
        assert SILENCE_S <= start.at - began <= SILENCE_S + 5
        assert await store.slots.in_use(function.name.key) == 0
        with pytest.raises(NodeDead):
            await store.events.claim("host-9", partition, function.name.key, 10)

    in_a_world(scenario, beats=True)


def test_a_node_that_is_declared_dead_kills_its_environments_and_joins_anew() -> None:
    async def scenario(world: World) -> None:
        async with a_member(world, "host-2", "host-3") as member:
            assert await world.store.hosts.bury("host-2", None)
            await world.store.hosts.reap("host-2")
            await world.run(3)

            assert member.incarnation == "host-3"
            assert member.may_take_work
            assert "host-3" in await world.store.hosts.list()

    in_a_world(scenario, beats=True)


def test_a_node_that_leaves_is_forgotten_at_once() -> None:
    async def scenario(world: World) -> None:
        async with a_member(world, "host-2"):
            assert "host-2" in await world.store.hosts.list()

        assert "host-2" not in await world.store.hosts.list()
        assert await world.store.hosts.dead() == []

    in_a_world(scenario, beats=True)


def test_a_node_that_drains_is_known_to_within_the_next_looks() -> None:
    async def scenario(world: World) -> None:
        seen: list[dict[str, bool]] = []
        async with a_member(world, "host-2") as draining, a_member(world, "host-3") as watching:
            watching.on_look(lambda living: seen.append({node: info.is_draining for node, info in living.items()}))
            await world.run(2)
            assert seen[-1]["host-2"] is False
            await draining.announce_draining()
            await world.run(2)
            assert seen[-1]["host-2"] is True
            assert "host-2" in await world.store.hosts.list()

    in_a_world(scenario, beats=True)


@pytest.mark.parametrize(("isolated", "killed"), [(True, True), (False, False)])
def test_a_node_without_redis_kills_its_environments_only_if_it_is_alone_with_that(
    isolated: bool, killed: bool
) -> None:
    async def scenario(world: World) -> None:
        member = a_member(world, "host-2", isolated=isolated)
        environments = member._environments
        assert isinstance(environments, InProcessEnvironments)
        function = await world.function(lambda event, invocation: None, timeout_s=900)
        outcomes: list[Any] = []

        async def forever(event: Any, invocation: Any) -> None:
            await world.clock.sleep(1_000)

        environments.install(function.name, forever)
        async with member:
            environments.try_lease(function).submit(world.invocation(function), outcomes.append)
            async with world.redis_away():
                await world.run(FENCE_KILL_S + 3)
                assert not member.may_take_work
                assert bool(outcomes) is killed
            await world.run(20)
            assert member.may_take_work
        await environments.kill_all()

    in_a_world(scenario, beats=True)


def test_what_a_node_announces_is_seen_with_the_next_look_and_kept_when_it_joins_anew() -> None:
    async def scenario(world: World) -> None:
        seen: list[dict[str, HostInfo]] = []
        async with a_member(world, "host-2", "host-4") as member, a_member(world, "host-3") as watching:
            watching.on_look(lambda living: seen.append(dict(living)))
            await member.announce(is_draining=True)
            await watching.look()
            assert not seen[-1]["host-2"].takes("poller")

            await member.join_anew()
            await world.run(2)
            assert not seen[-1]["host-4"].takes("poller")

            await member.announce(is_draining=False)
            await watching.look()
            assert seen[-1]["host-4"].takes("poller")

    in_a_world(scenario, beats=True)


def test_an_operator_buries_a_node_at_the_counter_that_stood_still_and_not_one_that_beat_since() -> None:
    async def scenario(world: World) -> None:
        store = world.store
        await store.hosts.join("host-9", SECOND)
        await store.hosts.beat("host-9", 1)
        async with a_member(world, "host-2") as member:
            await world.run(4)
            assert 3 <= member.silence_s()["host-9"] <= 4
            assert member.silence_s().get("host-2") is None
            counter = member.counter_of("host-9")
            await store.hosts.beat("host-9", 2)
            assert await member.bury("host-9", counter) == -1
            await world.run(1.1)
            assert member.silence_s()["host-9"] < 1.2

            assert await member.bury("host-9", member.counter_of("host-9")) == 0
            assert "host-9" not in await store.hosts.list()
            assert member.silence_s() == {"host-1": member.silence_s()["host-1"]}

    in_a_world(scenario, beats=True)


def test_looks_between_those_of_the_loop_bury_nobody_sooner() -> None:
    async def scenario(world: World) -> None:
        await world.store.hosts.join("host-9", SECOND)
        async with a_member(world, "host-2") as member:
            for _ in range(30):
                member.look_soon()
                await world.run(0.25)

            assert "host-9" in await world.store.hosts.list()
            await world.run(SILENCE_S)
            assert "host-9" not in await world.store.hosts.list()

    in_a_world(scenario, beats=True)
