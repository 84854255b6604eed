"""A full node and its neighbour in virtual time: calls move over, begin once, and end with one answer."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator
from dataclasses import dataclass
from random import Random
from typing import Any

import msgspec
import pytest

from eventrouter.errors import RuntimeFault, Unavailable
from eventrouter.logging import get_logger
from eventrouter.planes.away import PATIENCE_S as AWAY_PATIENCE_S
from eventrouter.planes.away import Away
from eventrouter.planes.dispatch import FULL_S, OFFER_S, Dispatch
from eventrouter.planes.nudges import Nudges
from eventrouter.planes.run_wire import LOG_BYTES, decode_run, encode_run
from eventrouter.planes.sync import PATIENCE_S, SyncPlane
from eventrouter.rules.function import Function
from eventrouter.rules.outcome import FunctionFailed, Run, RunStatus, Succeeded, SystemFault
from eventrouter.store import HostInfo, Inbox, Reply
from eventrouter.store.connect import RedisLane
from eventrouter.store.inbox import READ_TIMEOUT_S
from eventrouter.testing.inprocess import InProcessEnvironments
from tests.planes.test_events import in_a_world
from tests.planes.world import INCARNATION, World

pytestmark = pytest.mark.integration

SECOND = "host-2"
INFO = HostInfo(url="http://127.0.0.1:2", started_at_ms=0, version="1")


@dataclass
class Member:
    """One of the two: its environments, and its way to the other."""

    incarnation: str
    environments: InProcessEnvironments
    nudges: Nudges
    dispatch: Dispatch
    sync: SyncPlane

    async def call(self, world: World, function: Function, payload: Any = None) -> asyncio.Task[Any]:
        """Invoke in a task of its own; return once it has taken its slot and been offered, queued or begun."""
        task = asyncio.create_task(self.sync.invoke(function, world.invocation(function, payload)))
        await world.run(0.1)
        return task


@contextlib.asynccontextmanager
async def a_member(world: World, incarnation: str, *, limit: int, runs_here: bool = True) -> AsyncIterator[Member]:
    store = world.store
    await store.hosts.join(incarnation, INFO)
    environments = InProcessEnvironments(world.clock, limit=limit)
    pool = world.pool
    inbox = Inbox(store.scripts, store.keys, Random(incarnation), lambda: RedisLane(pool, timeout_s=READ_TIMEOUT_S))
    nudges = Nudges(incarnation=lambda: incarnation, inbox=inbox, log=get_logger())
    loops = type(world.loops)(clock=world.clock, metrics=world.metrics, log=get_logger(), give_up=pytest.fail)
    dispatch = Dispatch(
        incarnation=lambda: incarnation,
        version="1",
        inbox=inbox,
        functions=store.functions,
        environments=environments,
        loops=loops,
        clock=world.clock,
        random=Random(5),
        metrics=world.metrics,
        journal=world.journal,
        log=get_logger(),
        may_take_work=lambda: runs_here,
        nudges=nudges,
    )
    async with loops, dispatch:
        yield Member(
            nudges=nudges,
            incarnation=incarnation,
            environments=environments,
            dispatch=dispatch,
            sync=SyncPlane(
                incarnation=lambda: incarnation,
                slots=store.slots,
                environments=environments,
                metrics=world.metrics,
                journal=world.journal,
                elsewhere=dispatch,
                away=Away(workers=dispatch, clock=world.clock, runs_here=lambda: runs_here),
            ),
        )
    await nudges.close()
    await inbox.close()


@contextlib.asynccontextmanager
async def two_members(world: World, *, second: int = 1) -> AsyncIterator[tuple[Member, Member]]:
    async with a_member(world, INCARNATION, limit=1) as here, a_member(world, SECOND, limit=second) as there:
        here.dispatch.see({SECOND: INFO})
        there.dispatch.see({INCARNATION: INFO})
        yield here, there


async def a_slow_function(world: World, *members: Member, seconds: float = 3, **changes: Any) -> Function:
    """A function that sleeps, and says on which member it ran."""
    function = await world.function(lambda event, invocation: None, timeout_s=60, **changes)
    for member in members:

        async def handler(event: Any, invocation: Any, where: str = member.incarnation) -> dict[str, Any]:
            await world.clock.sleep(seconds)
            return {"where": where, "event": event}

        member.environments.install(function.name, handler)
    return function


def where(run: Any) -> str:
    assert isinstance(run, Run)
    assert isinstance(run.outcome, Succeeded)
    return "here" if INCARNATION.encode() in run.outcome.payload else "there"


async def assert_all_given_back(world: World, *functions: Function) -> None:
    await world.store.slots.drained()
    for function in functions:
        assert await world.store.slots.in_use(function.name.key) == 0
    assert await world.store.slots.audit() == {}
    assert world.metric("eventrouter_ConcurrentExecutions") == 0


def test_a_full_node_lets_its_neighbour_run_the_call_and_holds_the_slot() -> None:
    async def scenario(world: World) -> None:
        async with two_members(world) as (here, there):
            function = await a_slow_function(world, here, there)
            first = await here.call(world, function)
            second = await here.call(world, function, [1])

            assert await world.store.slots.in_use(function.name.key) == 2
            assert len(there.environments.starts) == 1
            assert where(await first) == "here"
            run = await second
            assert where(run) == "there"
            assert run.version == "$LATEST"
            assert run.outcome.payload == b'{"where": "host-2", "event": [1]}'
            await assert_all_given_back(world, function)

    in_a_world(scenario)


def test_a_call_that_crosses_is_told_where_it_ran() -> None:
    async def scenario(world: World) -> None:
        async with two_members(world) as (here, there):
            function = await a_slow_function(world, here, there)
            first = await here.call(world, function)
            second = await here.call(world, function)
            await asyncio.gather(first, second)

            [request_id] = [start.request_id for start in there.environments.starts]
            told = world.journal.of(request_id)
            assert [decision.step.value for decision in told] == ["invoked", "succeeded"]
            assert told[0].facts["for_node"] == INCARNATION

    in_a_world(scenario)


def test_a_node_with_room_asks_nobody() -> None:
    async def scenario(world: World) -> None:
        async with two_members(world) as (here, there):
            function = await a_slow_function(world, here, there)

            assert where(await (await here.call(world, function))) == "here"
            assert not await world.store.scripts.command("EXISTS", world.store.keys.inbox(SECOND, "in"))

    in_a_world(scenario)


def test_a_function_error_crosses_as_an_outcome() -> None:
    async def scenario(world: World) -> None:
        async with two_members(world) as (here, there):
            function = await a_slow_function(world, here, there)

            def broken(event: Any, invocation: Any) -> None:
                raise KeyError("k")

            there.environments.install(function.name, broken)
            first = await here.call(world, function)
            run = await (await here.call(world, function))

            assert isinstance(run.outcome, FunctionFailed)
            assert run.outcome.error_type == "KeyError"
            await first

    in_a_world(scenario)


def test_where_both_are_full_the_call_waits_here_and_the_neighbour_is_left_alone_for_a_while() -> None:
    async def scenario(world: World) -> None:
        async with two_members(world) as (here, there):
            function = await a_slow_function(world, here, there)
            running = [await here.call(world, function), await there.call(world, function)]

            third = await here.call(world, function)
            assert here.dispatch._full_until[SECOND] > world.clock.monotonic()
            assert len(there.environments.starts) == 1

            assert where(await third) == "here"
            assert world.clock.monotonic() < PATIENCE_S
            await asyncio.gather(*running)
            await world.run(FULL_S)
            await assert_all_given_back(world, function)
            assert len(here.environments.starts) == 2

    in_a_world(scenario)


def test_a_neighbour_that_does_not_read_is_given_up_and_cannot_begin_afterwards() -> None:
    async def scenario(world: World) -> None:
        async with a_member(world, INCARNATION, limit=1) as here:
            await world.store.hosts.join(SECOND, INFO)
            here.dispatch.see({SECOND: INFO})
            function = await a_slow_function(world, here, seconds=10)
            first = await here.call(world, function)
            second = await here.call(world, function)
            await world.run(OFFER_S + 1)
            async with a_member(world, SECOND, limit=1) as there:
                there.environments.install(function.name, lambda event, invocation: pytest.fail("begun twice"))
                assert where(await first) == "here"
                assert where(await second) == "here"
                assert there.environments.starts == []
            await assert_all_given_back(world, function)

    in_a_world(scenario)


def test_the_burial_of_the_node_that_began_the_call_answers_it_and_it_is_not_begun_again() -> None:
    async def scenario(world: World) -> None:
        async with two_members(world) as (here, there):
            function = await a_slow_function(world, here, there, seconds=20)
            first = await here.call(world, function)
            second = await here.call(world, function)
            await world.run(5)
            assert not second.done()

            here.dispatch.see({})

            with pytest.raises(RuntimeFault, match="gone"):
                await asyncio.wait_for(second, 1)
            assert where(await first) == "here"
            assert (len(here.environments.starts), len(there.environments.starts)) == (1, 1)
            await there.dispatch.wait_quiet()
            await assert_all_given_back(world, function)

    in_a_world(scenario)


def test_an_offer_to_a_node_that_had_gone_already_is_taken_back_and_waits_here() -> None:
    async def scenario(world: World) -> None:
        async with a_member(world, INCARNATION, limit=1) as here:
            here.dispatch.see({SECOND: INFO})
            function = await a_slow_function(world, here)
            first = await here.call(world, function)
            second = await here.call(world, function)

            here.dispatch.see({})

            assert where(await first) == where(await second) == "here"
            await assert_all_given_back(world, function)

    in_a_world(scenario)


def test_a_caller_that_goes_away_stops_nothing_and_leaks_nothing() -> None:
    async def scenario(world: World) -> None:
        async with two_members(world) as (here, there):
            function = await a_slow_function(world, here, there)
            first = await here.call(world, function)
            second = await here.call(world, function)
            second.cancel()
            await asyncio.gather(second, return_exceptions=True)
            assert await world.store.slots.in_use(function.name.key) == 2

            await first
            await here.sync.wait_quiet()

            assert len(there.environments.starts) == 1
            await assert_all_given_back(world, function)

    in_a_world(scenario)


def test_a_neighbour_that_drains_finishes_what_it_began_and_takes_nothing_new() -> None:
    async def scenario(world: World) -> None:
        async with two_members(world, second=5) as (here, there):
            function = await a_slow_function(world, here, there)
            calls = [await here.call(world, function), await here.call(world, function)]

            there.dispatch.stop_taking()
            calls.append(await here.call(world, function))
            await there.dispatch.wait_quiet()

            assert sorted([where(await call) for call in calls]) == ["here", "here", "there"]
            await assert_all_given_back(world, function)

    in_a_world(scenario)


def test_nodes_of_another_release_are_not_asked() -> None:
    async def scenario(world: World) -> None:
        async with two_members(world) as (here, there):
            here.dispatch.see({SECOND: HostInfo(url=INFO.url, started_at_ms=0, version="2")})
            function = await a_slow_function(world, here, there)
            calls = [await here.call(world, function), await here.call(world, function)]

            assert [where(await call) for call in calls] == ["here", "here"]

    in_a_world(scenario)


def test_a_redis_that_is_away_while_the_call_runs_elsewhere_only_delays_its_answer() -> None:
    async def scenario(world: World) -> None:
        async with two_members(world) as (here, there):
            function = await a_slow_function(world, here, there, seconds=8)
            first = await here.call(world, function)
            second = await here.call(world, function)
            async with world.redis_away():
                await world.run(15)

            assert where(await first) == "here"
            assert where(await second) == "there"
            assert len(there.environments.starts) == 1
            await assert_all_given_back(world, function)

    in_a_world(scenario)


def test_a_node_that_is_declared_dead_while_its_call_runs_elsewhere_answers_at_once() -> None:
    async def scenario(world: World) -> None:
        async with two_members(world) as (here, there):
            function = await a_slow_function(world, here, there, seconds=20)
            first = await here.call(world, function)
            second = await here.call(world, function)

            here.dispatch._incarnation = lambda: "host-3"
            here.dispatch.see({SECOND: INFO})

            with pytest.raises(RuntimeFault, match="declared dead"):
                await asyncio.wait_for(second, 1)
            await first
            await there.dispatch.wait_quiet()
            assert len(there.environments.starts) == 1

    in_a_world(scenario)


def test_an_answer_that_comes_after_all_is_over_disturbs_nothing() -> None:
    async def scenario(world: World) -> None:
        async with two_members(world) as (here, there):
            function = await a_slow_function(world, here, there)
            late = Reply(request_id=str(world.ids()), sender=SECOND, kind="ran", body=b"junk")
            await world.store.inbox.reply(INCARNATION, late, budget_s=2)
            first = await here.call(world, function)

            assert where(await (await here.call(world, function))) == "there"
            assert where(await first) == "here"

    in_a_world(scenario)


def test_a_function_the_neighbour_does_not_know_yet_waits_here() -> None:
    async def scenario(world: World) -> None:
        async with two_members(world) as (here, there):
            function = await a_slow_function(world, here, there)
            first = await here.call(world, function)
            newer = dataclasses.replace(function, generation=function.generation + 1)

            assert where(await (await here.call(world, newer))) == "here"
            assert there.environments.starts == []
            await first

    in_a_world(scenario)


@pytest.mark.parametrize(
    "outcome",
    [
        Succeeded(payload=b'{"a": 1}\xff', content_type="text/plain"),
        FunctionFailed(payload=b"{}", error_type="KeyError"),
        SystemFault(message="killed"),
    ],
)
def test_a_run_crosses_whole_but_for_the_beginning_of_a_long_log(outcome: Any) -> None:
    run = Run(
        outcome=outcome,
        status=RunStatus.TIMEOUT,
        version="$LATEST",
        log_group="/aws/lambda/orders",
        log_stream="s",
        started_at_ms=1,
        duration_ms=1.5,
        memory_mb=128,
        max_memory_mb=3,
        init_ms=2.5,
        log=b"x" * LOG_BYTES,
    )

    assert decode_run(encode_run(run)) == run
    assert decode_run(encode_run(msgspec.structs.replace(run, log=b"y" + run.log))) == run


@pytest.mark.parametrize("data", [b"", b"junk", b"\x92\xa1x\x80", b"\x92\xa9Succeeded\x90"])
def test_what_is_no_run_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="not a run"):
        decode_run(data)


@contextlib.asynccontextmanager
async def one_that_runs_nothing(world: World, *, second: int = 1) -> AsyncIterator[tuple[Member, Member]]:
    async with (
        a_member(world, INCARNATION, limit=1, runs_here=False) as here,
        a_member(world, SECOND, limit=second) as there,
    ):
        here.dispatch.see({SECOND: INFO})
        there.dispatch.see({INCARNATION: dataclasses.replace(INFO, roles=("api",))})
        yield here, there


def test_a_node_that_runs_no_functions_has_calls_run_by_another_and_holds_their_slots() -> None:
    async def scenario(world: World) -> None:
        async with one_that_runs_nothing(world) as (here, there):
            function = await a_slow_function(world, here, there)
            call = await here.call(world, function, [1])

            assert await world.store.slots.in_use(function.name.key) == 1
            assert where(await call) == "there"
            assert here.environments.starts == []
            await assert_all_given_back(world, function)

    in_a_world(scenario)


def test_a_call_that_is_run_elsewhere_only_waits_until_there_is_room() -> None:
    async def scenario(world: World) -> None:
        async with one_that_runs_nothing(world) as (here, there):
            function = await a_slow_function(world, here, there)
            calls = [await here.call(world, function, [number]) for number in range(3)]

            assert [where(await call) for call in calls] == ["there"] * 3
            await assert_all_given_back(world, function)

    in_a_world(scenario)


def test_a_call_for_which_there_is_no_room_anywhere_is_refused_when_its_patience_ends() -> None:
    async def scenario(world: World) -> None:
        async with one_that_runs_nothing(world) as (here, there):
            function = await a_slow_function(world, here, there, seconds=55)
            first = await here.call(world, function)
            began = world.clock.monotonic()
            second = await here.call(world, function)

            with pytest.raises(Unavailable, match="no other one has had room"):
                await second
            assert AWAY_PATIENCE_S <= world.clock.monotonic() - began < AWAY_PATIENCE_S + 5
            assert where(await first) == "there"
            await assert_all_given_back(world, function)

    in_a_world(scenario)


@pytest.mark.parametrize(
    "info",
    [dataclasses.replace(INFO, roles=("api", "poller")), dataclasses.replace(INFO, is_draining=True), None],
    ids=["of another role", "drained", "gone"],
)
def test_a_call_that_nobody_runs_is_refused_at_once(info: HostInfo | None) -> None:
    async def scenario(world: World) -> None:
        async with one_that_runs_nothing(world) as (here, there):
            function = await a_slow_function(world, here, there)
            here.dispatch.see({} if info is None else {SECOND: info})
            began = world.clock.monotonic()

            with pytest.raises(Unavailable, match="no other one of its version"):
                await here.sync.invoke(function, world.invocation(function))

            assert world.clock.monotonic() - began < 1
            await assert_all_given_back(world, function)

    in_a_world(scenario)


def test_a_nudge_is_heard_by_all_others_and_says_what_is_free() -> None:
    async def scenario(world: World) -> None:
        async with two_members(world) as (here, there):
            heard: list[Any] = []
            there.nudges.on_look(lambda: heard.append("look"))
            there.nudges.on_units(heard.extend)
            here.nudges.see({SECOND: INFO})

            here.nudges.say_look()
            here.nudges.say_free("m/1")
            here.nudges.say_free("m/2")
            await here.nudges.wait_sent()
            await world.run(0.5)

            assert heard == ["look", "m/1", "m/2"]

    in_a_world(scenario)


def test_a_nudge_that_cannot_be_read_is_passed_over() -> None:
    async def scenario(world: World) -> None:
        async with two_members(world) as (here, there):
            function = await a_slow_function(world, here, there)
            await there.dispatch._inbox.reply(
                INCARNATION, Reply(request_id="n-1", sender=SECOND, kind="nudge", body=b"{"), budget_s=1
            )
            await world.run(0.5)

            first, second = await here.call(world, function), await here.call(world, function)

            assert {where(await first), where(await second)} == {"here", "there"}

    in_a_world(scenario)
