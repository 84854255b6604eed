"""Inboxes: a request is decided once, by its host or by its sender, whatever is lost, late or repeated."""

from __future__ import annotations

import asyncio

import pytest

from eventrouter.store import Decision, Offer, Reply
from eventrouter.store.inbox import MOST_ENTRIES
from tests.store.worlds import FN, Server, World

pytestmark = pytest.mark.integration


def an_offer(request_id: str = "r1", payload: bytes = b"{}", **more: str) -> Offer:
    return Offer(request_id=request_id, sender="a", function_key=FN.key, generation=3, payload=payload, **more)


def a_reply(body: bytes = b"", request_id: str = "r1") -> Reply:
    return Reply(request_id=request_id, sender="b", kind="ran", body=body)


def test_a_request_and_its_answer_arrive_as_they_were_sent(server: Server) -> None:
    async def scenario(world: World) -> None:
        inbox = world.store.inbox
        plain = an_offer()
        full = an_offer("r2", b"\x00\xff" * 3_000_000, qualifier="$LATEST", trace="Root=1", client_context='{"ä":1}')
        await inbox.send("b", plain, budget_s=5)
        await inbox.send("b", full, budget_s=5)
        assert await inbox.read("b") == [plain, full]

        await inbox.reply("a", a_reply(b"x" * 6_000_000), budget_s=5)
        assert await inbox.read("a") == [a_reply(b"x" * 6_000_000)]

    server.run(scenario)


def test_a_reader_that_waits_gets_the_entry_when_it_comes(server: Server) -> None:
    async def scenario(world: World) -> None:
        reading = asyncio.create_task(world.store.inbox.read("b"))
        while not world.batches:
            await asyncio.sleep(0)
        await world.store.inbox.send("b", an_offer(), budget_s=2)

        assert await reading == [an_offer()]

    server.run(scenario)


@pytest.mark.parametrize("first", ["host", "sender"])
def test_only_the_first_to_decide_does(server: Server, first: str) -> None:
    async def scenario(world: World) -> None:
        inbox = world.store.inbox
        await inbox.send("b", an_offer(), budget_s=2)

        if first == "host":
            assert await inbox.start("b", "r1") is Decision.MINE
            assert await inbox.cancel("b", "r1", is_stored=True) is Decision.ANOTHERS
            assert await inbox.cancel("b", "r1", is_stored=False) is Decision.ANOTHERS
        else:
            assert await inbox.cancel("b", "r1", is_stored=True) is Decision.MINE
            assert await inbox.start("b", "r1") is Decision.ANOTHERS
        assert await inbox.start("b", "r1") is Decision.ANOTHERS, "nor does a second reader of the same entry"
        assert await world.client.xlen(world.keys.inbox("b", "in")) == 0

    server.run(scenario)


def test_many_who_decide_at_once_are_told_of_one_winner(server: Server) -> None:
    async def scenario(world: World) -> None:
        inbox = world.store.inbox
        for number in range(20):
            request_id = f"r{number}"
            await inbox.send("b", an_offer(request_id), budget_s=2)
            decisions = await asyncio.gather(
                inbox.cancel("b", request_id, is_stored=True),
                *(inbox.start("b", request_id) for _ in range(3)),
                inbox.cancel("b", request_id, is_stored=False),
            )
            assert decisions.count(Decision.MINE) == 1

    server.run(scenario)


def test_a_request_that_is_sent_again_is_stored_once_and_never_after_its_decision(server: Server) -> None:
    async def scenario(world: World) -> None:
        inbox = world.store.inbox
        await inbox.send("b", an_offer(), budget_s=2)
        await inbox.send("b", an_offer(), budget_s=2)
        assert await inbox.read("b") == [an_offer()]

        assert await inbox.start("b", "r1") is Decision.MINE
        await inbox.send("b", an_offer(), budget_s=2)

        assert await world.client.xlen(world.keys.inbox("b", "in")) == 0
        assert await inbox.start("b", "r1") is Decision.ANOTHERS

    server.run(scenario)


def test_a_request_taken_back_before_it_came_never_comes(server: Server) -> None:
    async def scenario(world: World) -> None:
        inbox = world.store.inbox
        assert await inbox.cancel("b", "r1", is_stored=False) is Decision.MINE

        await inbox.send("b", an_offer(), budget_s=2)

        assert await world.client.xlen(world.keys.inbox("b", "in")) == 0
        assert await inbox.start("b", "r1") is Decision.ANOTHERS

    server.run(scenario)


def test_nobody_can_take_back_what_an_inbox_no_longer_knows(server: Server) -> None:
    async def scenario(world: World) -> None:
        inbox = world.store.inbox
        await world.join("b")
        await inbox.send("b", an_offer(), budget_s=2)
        assert await inbox.start("b", "r1") is Decision.MINE
        await inbox.send("b", an_offer("r2"), budget_s=2)

        await world.store.hosts.leave("b")

        assert await inbox.cancel("b", "r1", is_stored=True) is Decision.UNKNOWN
        (clock,) = await world.client.keys("*:h:b}*")
        assert 0 < await world.client.pttl(clock) <= 3_600_000

    server.run(scenario)


def test_a_request_whose_budget_is_over_is_not_started(server: Server) -> None:
    async def scenario(world: World) -> None:
        inbox = world.store.inbox
        await inbox.send("b", an_offer(), budget_s=2)
        open_ = world.keys.inbox("b", "open")
        entry = (await world.client.hget(open_, "r1")).split(b"|")[0]
        await world.client.hset(open_, "r1", entry + b"|0")
        await asyncio.sleep(0.005)

        assert await inbox.start("b", "r1") is Decision.LATE
        assert await inbox.start("b", "r1") is Decision.LATE
        assert await inbox.cancel("b", "r1", is_stored=True) is Decision.MINE
        assert await inbox.start("b", "r1") is Decision.LATE

    server.run(scenario)


def test_a_request_whose_entry_was_trimmed_is_not_started(server: Server) -> None:
    async def scenario(world: World) -> None:
        inbox = world.store.inbox
        await inbox.send("b", an_offer(), budget_s=2)
        await world.client.xtrim(world.keys.inbox("b", "in"), maxlen=0, approximate=False)

        assert await inbox.start("b", "r1") is Decision.LATE
        assert await inbox.cancel("b", "r1", is_stored=True) is Decision.MINE

    server.run(scenario)


def test_answers_are_deleted_once_they_are_read_and_repeats_are_not_stored(server: Server) -> None:
    async def scenario(world: World) -> None:
        inbox = world.store.inbox
        stream = world.keys.inbox("a", "in")
        for _ in range(2):
            await inbox.reply("a", a_reply(), budget_s=2)
        assert await world.client.xlen(stream) == 1
        assert await inbox.read("a") == [a_reply()]

        await inbox.reply("a", a_reply(request_id="r2"), budget_s=2)
        assert await inbox.read("a") == [a_reply(request_id="r2")]

        assert await world.client.xlen(stream) == 1, "the next read deletes the second"

    server.run(scenario)


def test_a_reader_whose_connection_broke_misses_nothing(server: Server) -> None:
    async def scenario(world: World) -> None:
        inbox = world.store.inbox
        await inbox.send("b", an_offer(), budget_s=2)
        assert await inbox.read("b") == [an_offer()]
        await inbox._lane.close()
        await inbox.send("b", an_offer("r2"), budget_s=2)

        assert await inbox.read("b") == [an_offer("r2")]

    server.run(scenario)


def test_an_inbox_expires_only_as_rubbish_and_is_bounded(server: Server) -> None:
    async def scenario(world: World) -> None:
        inbox = world.store.inbox
        for number in range(MOST_ENTRIES // 100):
            await inbox.send("b", an_offer(f"r{number}"), budget_s=2)
        await inbox.start("b", "r1")

        for key in await world.client.keys("*:h:b}*"):
            assert 3_500_000 < await world.client.pttl(key) <= 3_600_000

    server.run(scenario)
