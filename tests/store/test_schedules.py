"""Scheduled rules and timers in the store, on every server."""

from __future__ import annotations

import asyncio
import dataclasses
import time

import pytest

from eventrouter.rules.scheduled_rule import RuleName, RuleTarget, ScheduledRule
from eventrouter.store import Schedules
from eventrouter.store.timers import CLAIM_LIMIT, Move, Timer, Timers
from tests.store.twice import Twice
from tests.store.worlds import Server, World, fakeredis_server, open_world

pytestmark = pytest.mark.integration

HOLD_MS = 20_000
RULE = ScheduledRule(
    name=RuleName(account="000000000000", region="us-east-1", name="nightly"),
    expression="rate(5 minutes)",
    generation="1-0",
    anchored_at_ms=1_767_225_600_000,
    description="ä",
    targets=(
        RuleTarget(
            id="a", arn="arn:aws:lambda:us-east-1:000000000000:function:f", input="[1]", maximum_retry_attempts=0
        ),
        RuleTarget(id="b", arn="arn:aws:sqs:us-east-1:000000000000:q", dead_letter_arn="arn:aws:sqs:us-east-1:0:dead"),
    ),
    tags={"team": "ä"},
)


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def a_timer(name: str, due_ms: int) -> Move:
    return Move(name=name, old="", new=str(due_ms), due_ms=due_ms)


async def claimed(timers: Timers) -> list[str]:
    return [timer.name for timer in (await timers.claim(hold_ms=HOLD_MS)).timers]


def test_a_rule_is_stored_whole_and_known_to_every_node(server: Server) -> None:
    async def scenario(world: World) -> None:
        schedules = world.store.schedules
        elsewhere = Schedules(world.store.scripts, world.keys, world.clock)
        stored = await schedules.catalogue.put(RULE)
        await elsewhere.catalogue.refresh()
        assert elsewhere.catalogue.get(RULE.name.arn) == stored == dataclasses.replace(RULE, revision=stored.revision)

        assert await elsewhere.catalogue.delete(stored)
        await world.store.refresh()
        assert schedules.catalogue.all() == []

    server.run(scenario)


def test_what_is_due_is_taken_once_until_the_time_it_was_taken_for_is_over(server: Server) -> None:
    async def scenario(world: World) -> None:
        timers = world.store.schedules.firings
        now = now_ms()
        await timers.move([a_timer("past", now - 5), a_timer("older", now - 9), a_timer("future", now + 60_000)])

        first = await timers.claim(hold_ms=1)
        assert first.timers == [Timer("older", str(now - 9)), Timer("past", str(now - 5))]
        assert first.now_ms >= now
        assert first.next_ms == first.now_ms + 1
        await asyncio.sleep(0.005)
        assert await claimed(timers) == ["older", "past"]
        again = await timers.claim(hold_ms=HOLD_MS)
        assert again.timers == []
        assert again.next_ms is not None
        assert now + HOLD_MS <= again.next_ms <= now_ms() + HOLD_MS

    server.run(scenario)


def test_a_timer_moves_only_from_the_value_it_has(server: Server) -> None:
    async def scenario(world: World) -> None:
        timers = world.store.schedules.firings
        later = now_ms() + 60_000
        assert (await timers.move([a_timer("a", 10), a_timer("b", 20)])).made == [True, True]

        placed_again = await timers.move([a_timer("a", later)])
        assert placed_again.made == [False]
        assert placed_again.next_ms == 10
        moved = await timers.move(
            [
                Move(name="a", old="10", new=str(later), due_ms=later),
                Move(name="b", old="19", new="30", due_ms=30),
                Move(name="c", old="5", new="6", due_ms=6),
            ]
        )
        assert moved.made == [True, False, False]
        assert moved.next_ms == 20
        assert [await timers.read(name) for name in "abc"] == [str(later), "20", None]

        removed = await timers.move([Move(name="b", old="20", new=""), Move(name="a", old="10", new="")])
        assert removed.made == [True, False]
        assert removed.next_ms == later
        assert await timers.count() == 1

    server.run(scenario)


def test_a_forgotten_timer_is_gone(server: Server) -> None:
    async def scenario(world: World) -> None:
        timers = world.store.schedules.firings
        await timers.move([a_timer("a", 10)])
        await timers.forget("a")
        await timers.forget("a")

        assert await claimed(timers) == []
        assert await timers.count() == 0

    server.run(scenario)


def test_a_due_time_without_a_value_is_dropped(server: Server) -> None:
    async def scenario(world: World) -> None:
        timers = world.store.schedules.firings
        await timers.move([a_timer("a", 10), a_timer("b", 11)])
        await world.client.hdel(world.keys.installation("firings"), "a")

        assert await claimed(timers) == ["b"]
        assert await world.client.zcard(world.keys.installation("firings:due")) == 1

    server.run(scenario)


def test_a_thousand_timers_take_ten_scripts_to_take_and_ten_to_move(server: Server) -> None:
    async def scenario(world: World) -> None:
        timers = world.store.schedules.firings
        await timers.move([a_timer(f"t{number:04}", 1 + number) for number in range(1_000)])
        world.ran.clear()

        found: list[Timer] = []
        is_all = False
        while not is_all:
            answer = await timers.claim(hold_ms=HOLD_MS)
            found += answer.timers
            is_all = answer.next_ms is None or answer.next_ms > answer.now_ms
        moved = await timers.move([Move(name=timer.name, old=timer.value, new="9", due_ms=9) for timer in found])

        assert len({timer.name for timer in found}) == 1_000
        assert moved.made == [True] * 1_000
        assert world.ran == {"timers_claim": 1_000 // CLAIM_LIMIT, "timers_move": 1_000 // CLAIM_LIMIT}

    server.run(scenario)


def test_new_timers_find_no_place_over_the_limit(server: Server) -> None:
    async def scenario(world: World) -> None:
        timers = Timers(world.store.scripts, world.keys, world.clock, name="few", limit=2)
        assert (await timers.move([a_timer(name, 5) for name in "abc"])).made == [True, True, False]
        assert (await timers.move([Move(name="a", old="5", new="6", due_ms=6)])).made == [True], "old ones still move"

    server.run(scenario)


def test_an_early_clock_of_the_caller_makes_nothing_due(server: Server) -> None:
    class Behind:
        """A caller whose clock is an hour behind."""

        def now_ms(self) -> int:
            return now_ms() - 3_600_000

    async def scenario(world: World) -> None:
        timers = Timers(world.store.scripts, world.keys, Behind(), name="firings")  # type: ignore[arg-type]
        await timers.move([a_timer("a", now_ms() - 60_000)])

        assert await claimed(timers) == []
        assert await claimed(world.store.schedules.firings) == ["a"]

    server.run(scenario)


def test_rules_are_placed_once_and_only_if_they_fire(server: Server) -> None:
    async def scenario(world: World) -> None:
        schedules = world.store.schedules
        over = dataclasses.replace(RULE, generation="2-0", expression="cron(0 0 1 1 ? 2020)")
        paused = dataclasses.replace(RULE, generation="3-0", is_enabled=False)
        first = RULE.anchored_at_ms + 300_000

        assert await schedules.place([RULE, over, paused], RULE.anchored_at_ms) == first
        assert await schedules.place([RULE], RULE.anchored_at_ms + 3_600_000) == first
        assert await schedules.place([], 0) is None
        assert await schedules.firings.read(RULE.timer) == str(first)
        assert await schedules.firings.count() == 1

    server.run(scenario)


def test_timers_can_be_moved_twice() -> None:
    async def scenario(world: World) -> None:
        twice = await open_world(world.client, wrap=Twice)
        timers = twice.store.schedules.firings
        await timers.move([a_timer("a", 10), a_timer("b", 10)])
        await timers.move([Move(name="a", old="10", new="20", due_ms=20), Move(name="b", old="10", new="")])

        assert await timers.read("a") == "20"
        assert await timers.count() == 1
        await twice.store.close()

    with fakeredis_server() as server:
        server.run(scenario)
