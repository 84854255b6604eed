"""A zombie wakes up at every moment of its own reaping, one after the other; nothing is stranded."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import pytest

from eventrouter.errors import NodeDead
from eventrouter.store import Claim, Settlement
from eventrouter.store.connect import Lane
from eventrouter.store.lua import SCRIPTS, Script
from tests.store.simulation import with_mutant
from tests.store.worlds import FN, World, fakeredis_server, open_world

WHATS = ("claim", "finish", "take")
CALLS = 16
"""More than the reaping of one host in two partitions takes: the last moments are after it is forgotten."""

MUTANTS: dict[str, list[tuple[str, str, str]]] = {
    "a claim that does not look at the register": [
        ("events_claim", "if redis.call('HGET', KEYS[7], ARGV[1]) ~= '1' then", "if false then"),
    ],
    "a reaping without fencing": [
        ("events_fence", "redis.call('HSET', KEYS[1], ARGV[1], '0')", ""),
        ("events_requeue", "if redis.call('HGET', KEYS[5], ARGV[1]) == '1' then", "if false then"),
        ("events_gone", "redis.call('HGET', KEYS[1], ARGV[1]) == '1' or redis.call('HLEN', KEYS[2]) > 0", "false"),
    ],
    "a take of slots by a buried host": [
        ("slots_turn", "if redis.call('HEXISTS', KEYS[4], inc) == 0 then", "if false then"),
    ],
    "a requeue that does not compare the owner": [
        ("events_requeue", "if e and e.s == 'C' and e.o == inc then", "if e then"),
    ],
}


class InterruptedLane:
    """Lets something happen before its n-th call."""

    def __init__(self, lane: Lane, interruption: Interruption) -> None:
        self._lane, self._interruption = lane, interruption

    async def execute(self, commands: Sequence[bytes]) -> list[Any]:
        await self._interruption.step()
        return await self._lane.execute(commands)

    async def close(self) -> None:
        await self._lane.close()


class Interruption:
    def __init__(self) -> None:
        self.calls_left: int | None = None
        self.happen: Callable[[], Awaitable[None]] | None = None

    async def step(self) -> None:
        if self.calls_left == 0 and self.happen is not None:
            happen, self.happen = self.happen, None
            await happen()
        elif self.calls_left is not None:
            self.calls_left -= 1


async def reap_interrupted(at: int, what: str, zombie: World, reaper: World, interruption: Interruption) -> list[str]:
    """Reap a host that claims, finishes what it has, or takes a slot, before the reaper's call number `at`."""
    await zombie.join("z")
    await reaper.join("h")
    await reaper.put(*(f"e{n}" for n in range(6)))
    claims = await zombie.claim("z", limit=2)

    async def claim() -> None:
        with contextlib.suppress(NodeDead):
            await zombie.claim("z", limit=2)

    async def finish() -> None:
        settlements = [Settlement(claim=claims[0], action="done"), Settlement(claim=claims[1], action="back")]
        await zombie.store.events.settle("z", zombie.partition, settlements)
        await reaper_claims()

    async def take() -> None:
        with contextlib.suppress(NodeDead):
            await zombie.store.slots.take("z", FN.key, "late")

    taken: list[Claim] = []

    async def reaper_claims() -> None:
        taken.extend(await zombie.store.events.claim("h", zombie.partition, FN.key, 10))

    await zombie.store.hosts.bury("z", None)
    interruption.happen = {"claim": claim, "finish": finish, "take": take}[what]
    interruption.calls_left = at
    await reaper.store.hosts.reap("z")
    for inc in [*await reaper.store.hosts.dead(), *await reaper.store.hosts.audit()]:
        await reaper.store.hosts.reap(inc)

    found = await reaper.audit()
    if owned := await reaper.store.events.owned("z", reaper.partition):
        found.append(f"stranded with the dead: {owned}")
    mine = await reaper.store.events.owned("h", reaper.partition)
    if mine != {each.id: each.attempt for each in taken}:
        found.append(f"taken from the living: {mine}")
    if used := await reaper.store.slots.in_use(FN.key):
        found.append(f"slots kept by the dead: {used}")
    return found


def breaches(what: str, scripts: Mapping[str, Script] = SCRIPTS) -> list[str]:
    """Return what goes wrong, over all moments."""

    async def at_moment(at: int, server_connect: Callable[[], Any]) -> list[str]:
        client = server_connect()
        await client.flushall()
        interruption = Interruption()
        zombie = await open_world(client, scripts=scripts)
        reaper = await open_world(client, scripts=scripts, wrap=lambda lane: InterruptedLane(lane, interruption))
        try:
            return await reap_interrupted(at, what, zombie, reaper, interruption)
        finally:
            await zombie.store.close()
            await reaper.store.close()
            await client.aclose()

    found: list[str] = []
    with fakeredis_server() as server:
        for at in range(CALLS):
            found += asyncio.run(at_moment(at, server._connect))
    return found


@pytest.mark.chaos
@pytest.mark.parametrize("what", WHATS)
def test_a_zombie_that_wakes_at_any_moment_of_its_reaping_strands_nothing(what: str) -> None:
    assert breaches(what) == []


@pytest.mark.chaos
@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_script_that_would_strand_events_is_caught(mutant: str) -> None:
    scripts = with_mutant(*MUTANTS[mutant])

    assert any(breaches(what, scripts) for what in WHATS)
