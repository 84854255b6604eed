"""Hosts come, beat, die and are reaped, on both servers."""

from __future__ import annotations

import pytest

from eventrouter.errors import NodeDead, StoreError
from eventrouter.store import Settlement
from tests.store.worlds import FN, INFO, OTHER, Server, World

pytestmark = pytest.mark.integration


def test_a_host_is_listed_from_join_to_leave(server: Server) -> None:
    async def scenario(world: World) -> None:
        hosts = world.store.hosts
        await world.join("h1")
        await world.join("h1")

        assert await hosts.list() == {"h1": INFO}
        assert await hosts.beats() == {"h1": 0}
        assert await hosts.beat("h1", 7) == await hosts.beat("h1", 3)
        assert await hosts.beats() == {"h1": 7}, "a late beat must not turn the counter back"

        await hosts.leave("h1")
        assert (await hosts.list(), await hosts.beats(), await hosts.dead(), await hosts.audit()) == ({}, {}, [], [])
        with pytest.raises(NodeDead):
            await hosts.beat("h1", 8)

    server.run(scenario)


def test_a_host_is_buried_only_while_its_counter_stands_still(server: Server) -> None:
    async def scenario(world: World) -> None:
        hosts = world.store.hosts
        await world.join("h1")
        await hosts.beat("h1", 5)

        assert not await hosts.bury("h1", 4)
        assert not await hosts.bury("stranger", 4)
        assert await hosts.bury("h1", 5)
        assert await hosts.bury("h1", 5)

        assert await hosts.dead() == ["h1"]
        with pytest.raises(NodeDead):
            await hosts.beat("h1", 6)
        with pytest.raises(NodeDead):
            await hosts.join("h1", INFO)

    server.run(scenario)


def test_reaping_makes_everything_due_again_and_counts_one_death(server: Server) -> None:
    async def scenario(world: World) -> None:
        hosts = world.store.hosts
        await world.join("h1", "h2")
        await world.put("e1", "e2")
        await world.put("a1", function=OTHER)
        await world.claim("h1")
        await world.claim("h1", function=OTHER)
        assert await world.store.slots.take("h1", FN.key, "t1") is None
        await hosts.bury("h1", None)
        assert await world.store.slots.in_use(FN.key) == 0

        assert await hosts.reap("h1") == 3
        assert await hosts.reap("h1") == 0

        assert (await hosts.dead(), await hosts.audit()) == ([], [])
        claims = await world.claim("h2")
        assert [(claim.id, claim.deaths, claim.errors, claim.attempt) for claim in claims] == [
            ("e1", 1, 0, 2),
            ("e2", 1, 0, 2),
        ]

    server.run(scenario)


def test_a_zombie_can_neither_claim_nor_finish_after_it_was_reaped(server: Server) -> None:
    async def scenario(world: World) -> None:
        await world.join("h1")
        await world.put("e1", "e2")
        [claim] = await world.claim("h1", limit=1)
        await world.store.hosts.bury("h1", None)
        await world.store.hosts.reap("h1")

        done = Settlement(claim=claim, action="done")
        assert await world.store.events.settle("h1", world.partition, [done]) == [False]
        with pytest.raises(NodeDead):
            await world.claim("h1")
        with pytest.raises(NodeDead):
            await world.store.slots.take("h1", FN.key, "t1")
        assert await world.store.events.depth(FN.key) == 2

    server.run(scenario)


def test_an_event_that_ended_before_its_host_died_stays_ended(server: Server) -> None:
    async def scenario(world: World) -> None:
        await world.join("h1")
        await world.put("e1")
        [claim] = await world.claim("h1")
        await world.store.hosts.bury("h1", None)
        done = Settlement(claim=claim, action="done")
        assert await world.store.events.settle("h1", world.partition, [done]) == [True]

        assert await world.store.hosts.reap("h1") == 0
        assert await world.store.events.counts() == {}

    server.run(scenario)


def test_a_living_host_is_never_reaped(server: Server) -> None:
    async def scenario(world: World) -> None:
        await world.join("h1")
        await world.put("e1")
        await world.claim("h1")

        assert await world.store.hosts.reap("h1") == 0

        assert await world.store.events.owned("h1", world.partition) == {"e1": 1}
        await world.store.hosts.beat("h1", 1)
        keys = [world.keys.events(world.partition, name) for name in ("clk", "ev", "idx", "hold", "reg", "own:h1")]
        keys.append(world.keys.events(world.partition, f"q:{FN.key}"))
        assert await world.store.scripts.call("events_requeue", keys, ("h1", 1, "e1", 7)) == [b"ALIVE"]
        assert await world.store.scripts.call("events_gone", [keys[4], keys[5], keys[0]], ("h1",)) == [b"BUSY"]

    server.run(scenario)


def test_leaving_counts_no_death(server: Server) -> None:
    async def scenario(world: World) -> None:
        await world.join("h1", "h2")
        await world.put("e1")
        await world.claim("h1")

        await world.store.hosts.leave("h1")

        [claim] = await world.claim("h2")
        assert (claim.deaths, claim.attempt) == (0, 2)

    server.run(scenario)


def test_hundreds_of_events_of_a_dead_host_are_reaped(server: Server) -> None:
    async def scenario(world: World) -> None:
        await world.join("h1")
        await world.put(*(f"e{n}" for n in range(101)))
        assert len(await world.claim("h1")) == 100
        assert len(await world.claim("h1")) == 1
        await world.store.hosts.bury("h1", None)

        assert await world.store.hosts.reap("h1") == 101
        assert await world.store.events.depth(FN.key) == 101

    server.run(scenario)


def test_the_audit_finds_who_is_registered_but_not_listed(server: Server) -> None:
    async def scenario(world: World) -> None:
        await world.join("h1")
        await world.put("e1")
        reg = world.keys.events(world.partition, "reg")
        await world.store.scripts.call("events_register", (reg,), ("stray",))
        await world.claim("stray")

        assert await world.store.hosts.audit() == ["stray"]
        assert await world.store.hosts.reap("stray") == 1
        assert await world.store.hosts.audit() == []

    server.run(scenario)


def test_incarnations_that_would_break_a_record_are_refused(server: Server) -> None:
    async def scenario(world: World) -> None:
        with pytest.raises(StoreError, match="a\\|b"):
            await world.store.hosts.join("a|b", INFO)

    server.run(scenario)
