"""What a node does, by its roles and by whether an operator has drained it; two members in virtual time."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from random import Random

import pytest

from eventrouter.errors import StoreError, Unavailable
from eventrouter.logging import get_logger
from eventrouter.planes.duties import Duties
from eventrouter.planes.membership import Membership
from eventrouter.planes.nudges import Nudges
from eventrouter.settings import Role
from eventrouter.store import Inbox
from eventrouter.store.connect import RedisLane
from eventrouter.store.inbox import READ_TIMEOUT_S
from tests.planes.test_events import in_a_world
from tests.planes.test_membership import a_member
from tests.planes.world import World

pytestmark = pytest.mark.integration


@contextlib.asynccontextmanager
async def duties_of(world: World, *roles: Role) -> AsyncIterator[tuple[Duties, Membership]]:
    async with a_member(world, "host-2", "host-3") as member:
        lane = RedisLane(world.pool, timeout_s=READ_TIMEOUT_S)
        inbox = Inbox(world.store.scripts, world.store.keys, Random(1), lambda: lane)
        nudges = Nudges(incarnation=lambda: member.incarnation, inbox=inbox, log=get_logger())
        yield Duties(roles=frozenset(roles or Role), membership=member, nudges=nudges), member
        await nudges.close()
        await inbox.close()


@pytest.mark.parametrize(
    ("roles", "runs", "polls"),
    [((), True, True), ((Role.API,), False, False), ((Role.WORKER,), True, False), ((Role.POLLER,), False, True)],
)
def test_a_node_does_what_its_roles_say(roles: tuple[Role, ...], runs: bool, polls: bool) -> None:
    async def scenario(world: World) -> None:
        async with duties_of(world, *roles) as (duties, _):
            assert not duties.polls
            await duties.begin()

            assert (duties.runs, duties.may_run()) == (runs, runs)
            assert (duties.polls, duties.may_poll()) == (polls, polls)

    in_a_world(scenario, beats=True)


def test_a_drained_node_does_nothing_until_it_is_let_and_the_others_can_know_of_both() -> None:
    async def scenario(world: World) -> None:
        async with duties_of(world) as (duties, _):
            told: list[bool] = []
            await duties.begin()
            duties.on_change(lambda: told.append(duties.polls))

            await duties.drain()
            assert [duties.runs, duties.polls] == [False, False]
            assert (await world.store.hosts.list())["host-2"].is_draining
            await duties.drain()
            await duties.resume()
            assert duties.runs
            assert duties.polls
            assert not (await world.store.hosts.list())["host-2"].is_draining
            assert told == [False, True]

    in_a_world(scenario, beats=True)


def test_a_drained_node_that_was_buried_is_drained_under_its_new_name() -> None:
    async def scenario(world: World) -> None:
        async with duties_of(world) as (duties, member):
            await duties.begin()
            await duties.drain()
            await world.store.hosts.bury("host-2", None)
            await world.run(3)

            assert member.incarnation == "host-3"
            assert (await world.store.hosts.list())["host-3"].is_draining
            assert duties.is_drained

    in_a_world(scenario, beats=True)


def test_what_could_not_be_announced_is_not_done() -> None:
    async def scenario(world: World) -> None:
        async with duties_of(world) as (duties, member):
            await duties.begin()
            join = world.store.hosts.join

            async def refuse(*_: object) -> None:
                raise Unavailable("away")

            world.store.hosts.join = refuse  # type: ignore[method-assign]
            with pytest.raises(StoreError):
                await duties.drain()
            world.store.hosts.join = join  # type: ignore[method-assign]

            assert duties.polls
            await member.announce(is_draining=False)
            assert not (await world.store.hosts.list())["host-2"].is_draining

    in_a_world(scenario, beats=True)
