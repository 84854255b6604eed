"""Function records: compare-and-set, what other nodes see, reservations. On every server."""

from __future__ import annotations

import asyncio
import dataclasses

import pytest

from eventrouter.rules.function import EventInvokeConfig, Function, State
from eventrouter.rules.names import FunctionName
from eventrouter.store import Conflict, Functions, ReservationRefused
from tests.store.test_slots import a_function
from tests.store.worlds import FN, OTHER, Server, World

pytestmark = pytest.mark.integration


async def put(world: World, function: Function, *, limit: int = 1_000, minimum: int = 100) -> Function:
    return await world.store.functions.put(function, account_limit=limit, minimum_unreserved=minimum)


def another_node(world: World) -> Functions:
    return Functions(world.store.scripts, world.keys)


def test_a_record_comes_back_as_it_was_stored(server: Server) -> None:
    async def scenario(world: World) -> None:
        function = dataclasses.replace(
            a_function(),
            environment={"A": "é"},
            tags={"team": "x"},
            event_invoke={"$LATEST": EventInvokeConfig(maximum_retry_attempts=0)},
            echoed={"TracingConfig": {"Mode": "PassThrough"}},
            state=State.ACTIVE,
        )
        stored = await put(world, function)
        other = another_node(world)

        assert await other.refresh() == {FN}

        assert other.get(FN) == stored == dataclasses.replace(function, revision=stored.revision)
        assert world.store.functions.get(FN) == stored
        assert await other.refresh() == frozenset()

    server.run(scenario)


def test_only_the_newest_revision_can_be_changed(server: Server) -> None:
    async def scenario(world: World) -> None:
        first = await put(world, a_function())
        second = await put(world, dataclasses.replace(first, description="two"))

        with pytest.raises(Conflict):
            await put(world, dataclasses.replace(first, description="three"))
        with pytest.raises(Conflict):
            await put(world, a_function(text="created again"))
        assert world.store.functions.get(FN) == second
        assert second.revision > first.revision

    server.run(scenario)


def test_storing_the_same_record_again_answers_the_same(server: Server) -> None:
    async def scenario(world: World) -> None:
        first = await put(world, a_function())
        assert await put(world, a_function()) == first
        changed = dataclasses.replace(first, description="two")
        assert await put(world, changed) == await put(world, changed)

    server.run(scenario)


def test_other_nodes_read_what_changed_and_what_was_deleted(server: Server) -> None:
    async def scenario(world: World) -> None:
        other = another_node(world)
        news: list[tuple[FunctionName, Function | None]] = []
        other.on_change(lambda name, function: news.append((name, function)))
        mine = await put(world, a_function())
        await put(world, a_function(OTHER))
        assert await other.refresh() == {FN, OTHER}
        news.clear()

        assert await world.store.functions.delete(OTHER)
        mine = await put(world, dataclasses.replace(mine, description="two"))

        assert await other.refresh() == {FN, OTHER}
        assert news == [(OTHER, None), (FN, mine)]
        assert other.all() == other.list("000000000000", "us-east-1") == [mine]
        assert other.list("000000000000", "eu-west-1") == []

    server.run(scenario)


def test_deleting_asks_before_it_says_that_there_is_nothing(server: Server) -> None:
    async def scenario(world: World) -> None:
        other = another_node(world)
        await put(world, a_function())

        assert await other.delete(FN)
        assert not await other.delete(FN)
        assert await world.store.functions.refresh() == {FN}
        assert world.store.functions.get(FN) is None

    server.run(scenario)


def test_a_late_duplicate_of_a_creation_does_not_bring_a_deleted_function_back(server: Server) -> None:
    async def scenario(world: World) -> None:
        creator = another_node(world)
        await creator.refresh()
        created = await creator.put(a_function(), account_limit=1_000, minimum_unreserved=100)
        seen = created.revision - 1
        await world.store.functions.refresh()
        await world.store.functions.delete(FN)
        keys = [world.keys.installation(name) for name in ("functions", "frev", "gone", "rev", "meta", "lim", "use")]

        answer = await world.store.scripts.call(
            "functions_put", keys, (FN.key, 0, seen, b"{}", "floor", "", 1_000, 100)
        )

        assert answer == [b"BEHIND", created.revision + 1]
        again = await creator.put(a_function(), account_limit=1_000, minimum_unreserved=100)
        assert again.revision == created.revision + 2

    server.run(scenario)


def test_a_reservation_must_leave_a_minimum_but_can_always_be_lowered(server: Server) -> None:
    async def scenario(world: World) -> None:
        first = await put(world, a_function(reserved=800))
        other = await put(world, a_function(OTHER, reserved=100))

        with pytest.raises(ReservationRefused) as refusal:
            await put(world, dataclasses.replace(other, reserved_concurrency=101))
        assert refusal.value.unreserved == 100
        lowered = await put(world, dataclasses.replace(first, reserved_concurrency=700), minimum=500)
        other = await put(world, dataclasses.replace(other, reserved_concurrency=200))
        await world.store.functions.delete(OTHER)
        assert (await put(world, dataclasses.replace(lowered, reserved_concurrency=900))).reserved_concurrency == 900
        await put(world, dataclasses.replace(world.store.functions.get(FN) or first, reserved_concurrency=None))
        assert not await world.client.exists(world.keys.installation("lim"))

    server.run(scenario)


def test_a_node_that_missed_more_deletions_than_are_kept_reads_everything(server: Server) -> None:
    async def scenario(world: World) -> None:
        other = another_node(world)
        kept = await put(world, a_function())
        await put(world, a_function(OTHER))
        await other.refresh()
        await world.store.functions.delete(OTHER)
        newest = int(await world.client.incr(world.keys.installation("rev")))
        # What dropping the record of that deletion leaves behind:
        await world.client.zrem(world.keys.installation("frev"), OTHER.key)
        await world.client.zrem(world.keys.installation("gone"), OTHER.key)
        await world.client.hset(world.keys.installation("meta"), "floor", newest)

        assert await other.refresh() == {OTHER}
        assert other.all() == [kept]

    server.run(scenario)


def test_deletions_are_kept_up_to_a_thousand(server: Server) -> None:
    async def scenario(world: World) -> None:
        gone = world.keys.installation("gone")
        frev = world.keys.installation("frev")
        await world.client.zadd(gone, {f"old{n}": n - 2_000 for n in range(1_000)})
        await world.client.zadd(frev, {f"old{n}": n - 2_000 for n in range(1_000)})
        await put(world, a_function())

        await world.store.functions.delete(FN)

        assert await world.client.zcard(gone) == 1_000
        assert await world.client.zscore(frev, "old0") is None
        assert await world.client.hget(world.keys.installation("meta"), "floor") == b"-2000"

    server.run(scenario)


def test_the_beat_tells_the_newest_revision(server: Server) -> None:
    async def scenario(world: World) -> None:
        await world.join("h1")
        assert await world.store.hosts.beat("h1", 1) == int(await world.client.get(world.keys.installation("rev")))
        stored = await put(world, a_function())
        assert await world.store.hosts.beat("h1", 2) == stored.revision

    server.run(scenario)


def test_more_functions_than_one_page_are_read(server: Server) -> None:
    async def scenario(world: World) -> None:
        names = [FunctionName(account="000000000000", region="us-east-1", name=f"f{n:03d}") for n in range(120)]
        for name in names:
            await put(world, a_function(name))
        other = another_node(world)

        assert await other.refresh() == set(names)
        assert [function.name for function in other.all()] == names

    server.run(scenario)


def test_flushing_empties_the_installation_and_nothing_else(server: Server) -> None:
    async def scenario(world: World) -> None:
        await world.join("h1")
        await put(world, a_function())
        await world.put("e1")
        await world.client.set("{er2:a}:mine", "1")

        other = another_node(world)
        await other.refresh()

        await asyncio.sleep(0.01)  # an installation counts revisions from the ms it is made in: at most one in each ms
        await world.store.flush()

        assert sorted(await world.client.keys("*")) == [b"{er2:a}:mine", b"{er:a}:meta", b"{er:a}:rev"]
        assert world.store.functions.get(FN) is None
        await put(world, a_function(OTHER))
        assert await other.refresh() == {FN, OTHER}
        assert other.get(FN) is None

    server.run(scenario)
