"""Every order in which the calls about one request may reach the server, repeats included; and broken scripts show."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Mapping
from random import Random

import pytest

from eventrouter.store.lua import SCRIPTS, Script
from eventrouter.testing.redis import virtual_redis
from tests.store.simulation import with_mutant
from tests.store.worlds import World, open_world

pytestmark = pytest.mark.integration

KEEP = 3_600_000
CALLS = ("send", "send", "start 1", "start 1", "start 2", "cancel", "cancel", "forbid")

MUTANTS: dict[str, list[tuple[str, str, str]]] = {
    "a decision that leaves no tombstone": [("inbox_decide", "redis.call('SADD', tomb, id, id .. '|' .. token)", "")],
    "a send that does not look for tombstones": [("inbox_send", "if buried(id) then", "if false then")],
    "a send that stores again": [("inbox_send", "if known then", "if false then")],
    "a decision that does not look who decided": [
        ("inbox_decide", "if buried(id) then", "if false then"),
        ("inbox_decide", "if not known and what ~= 'forbid' then", "if false then"),
    ],
    "a decision that keeps the request": [
        ("inbox_decide", "if buried(id) then", "if false then"),
        ("inbox_decide", "redis.call('HDEL', KEYS[3], id)\n", ""),
        ("inbox_decide", "(removed == 0 or", "(false or"),
    ],
    "a start of what was trimmed": [("inbox_decide", "removed == 0 or", "")],
    "a start when the budget is over": [("inbox_decide", "wall - tonumber(sent) > tonumber(budget)", "false")],
}


async def breaches(world: World, number: int, order: tuple[str, ...], *, budget: int, trims: bool) -> list[str]:
    """Make the calls in this order; say what was promised and did not hold."""
    inc, request_id = f"h{number}", "r"
    keys = [world.keys.inbox(inc, name) for name in world.keys.INBOX]
    winners: set[str] = set()
    stored = 0
    for call in order:
        if call == "send":
            before = await world.client.xlen(keys[1])
            await world.store.scripts.call("inbox_send", keys, (request_id, budget, 100, KEEP, "r", request_id))
            stored += await world.client.xlen(keys[1]) - before
            if budget == 0:
                await asyncio.sleep(0.002)
            if trims:
                await world.client.xtrim(keys[1], maxlen=0, approximate=False)
        else:
            what = call.split()[0]
            token = "s" if what != "start" else f"h{call[-1]}"
            answer = await world.store.scripts.call("inbox_decide", keys, (request_id, token, KEEP, what))
            if answer[0] == b"OK":
                winners.add(token)
    found = []
    if len(winners) > 1:
        found.append(f"decided by {sorted(winners)}")
    if stored > 1:
        found.append(f"stored {stored} times")
    if await world.client.xlen(keys[1]) and winners:
        found.append("decided, and still in the inbox")
    if (budget == 0 or trims) and winners - {"s"}:
        found.append("started late, or though it was lost")
    return found


def search(scripts: Mapping[str, Script], orders: int) -> list[str]:
    """Return the breaches of many orders, all of them different, with their seeds' orders."""

    async def look() -> list[str]:
        random = Random(11)
        with virtual_redis(time.time) as connect:
            client = connect()
            world = await open_world(client, scripts=scripts)
            found: list[str] = []
            shapes = itertools.cycle([(60_000, False), (60_000, False), (0, False), (60_000, True)])
            for number in range(orders):
                order = tuple(random.sample(CALLS, len(CALLS)))
                budget, trims = next(shapes)
                breach = await breaches(world, number, order, budget=budget, trims=trims)
                found += [f"{order}: {each}" for each in breach]
                if found:
                    break
            await world.store.close()
            await client.aclose()
            return found

    return asyncio.run(look())


def test_in_every_order_at_most_one_decides_and_nothing_comes_back() -> None:
    assert search(SCRIPTS, 400) == []


@pytest.mark.parametrize("mutant", MUTANTS)
def test_broken_scripts_are_noticed(mutant: str) -> None:
    assert search(with_mutant(*MUTANTS[mutant]), 400)
