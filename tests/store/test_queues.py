"""The life of queues and their messages in the store, on every server."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

import pytest

from eventrouter.errors import IntakeRefused, Unavailable
from eventrouter.store import make_client
from eventrouter.store.embedded import EmbeddedValkey
from eventrouter.store.queues import (
    ChangeOutcome,
    MessageTooLong,
    NewMessage,
    NoSuchQueue,
    PurgeInProgress,
    QueueDeletedRecently,
    QueueName,
    Queues,
    QueueSettings,
    ReceivedMessage,
)
from tests.store.twice import Twice
from tests.store.worlds import Server, World, open_world

pytestmark = pytest.mark.integration

JOBS = QueueName(account="000000000000", region="us-east-1", name="jobs")


class SteppedClock:
    """The machine's clock, moved ahead or back by what the test says."""

    def __init__(self) -> None:
        self.ahead_ms = 0

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000 + self.ahead_ms

    def monotonic(self) -> float:
        return time.monotonic() + self.ahead_ms / 1_000

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def pass_s(self, seconds: float) -> None:
        self.ahead_ms += int(seconds * 1_000)


def with_queues(server: Server, scenario: Callable[[Queues, SteppedClock, World], Awaitable[None]]) -> None:
    """Play a scenario on a world's server, with queues whose clock is stepped."""

    async def play(world: World) -> None:
        clock = SteppedClock()
        await scenario(Queues(world.store.scripts, world.keys, clock, Random(3)), clock, world)

    server.run(play)


def a_message(text: str = "body", identity: str = "", **changes: Any) -> NewMessage:
    body = text.encode()
    return NewMessage(**{"id": identity or text, "body": body, "sender": "me", "size_bytes": len(body)} | changes)


async def receive(queues: Queues, limit: int = 10, visibility_ms: int | None = None) -> list[ReceivedMessage]:
    received = await queues.receive(JOBS, limit=limit, visibility_ms=visibility_ms)
    return sorted(received.messages, key=lambda message: message.body)


async def bodies(queues: Queues, limit: int = 10, visibility_ms: int | None = None) -> list[bytes]:
    return [message.body for message in await receive(queues, limit, visibility_ms)]


async def counts(queues: Queues) -> tuple[int, int, int]:
    queue = await queues.get(JOBS)
    assert queue is not None
    return queue.visible, queue.in_flight, queue.delayed


def test_a_queue_is_created_once_and_keeps_its_settings(server: Server) -> None:
    async def scenario(queues: Queues, clock: SteppedClock, world: World) -> None:
        settings = QueueSettings(delay_ms=1_000, visibility_ms=5_000, managed_encryption=0)

        first, created = await queues.create(JOBS, settings)
        again, created_again = await queues.create(JOBS, QueueSettings())

        assert (created, created_again) == (True, False)
        assert first == again == await queues.get(JOBS)
        assert first.settings == settings
        assert await queues.exists(JOBS)

    with_queues(server, scenario)


def test_what_is_done_to_a_queue_that_does_not_exist_fails_and_leaves_nothing(server: Server) -> None:
    async def scenario(queues: Queues, clock: SteppedClock, world: World) -> None:
        before = sorted(await world.client.keys())

        assert await queues.get(JOBS) is None
        assert not await queues.exists(JOBS)
        for attempt in (
            queues.send(JOBS, a_message()),
            queues.receive(JOBS, limit=1),
            queues.purge(JOBS),
            queues.remove(JOBS),
        ):
            with pytest.raises(NoSuchQueue):
                await attempt

        assert sorted(await world.client.keys()) == before

    with_queues(server, scenario)


def test_queues_are_listed_by_name_prefix_and_place(server: Server) -> None:
    async def scenario(queues: Queues, clock: SteppedClock, world: World) -> None:
        for number in range(120):
            await queues.create(QueueName(account="1", region="r", name=f"q{number:03}"), QueueSettings())
        await queues.create(QueueName(account="1", region="r", name="other"), QueueSettings())
        await queues.create(QueueName(account="1", region="elsewhere", name="q-there"), QueueSettings())
        await queues.remove(QueueName(account="1", region="r", name="q001"))

        assert await queues.names("1", "r", prefix="q", limit=3) == ("q000", "q002", "q003")
        assert await queues.names("1", "r", prefix="q", after="q003", limit=2) == ("q004", "q005")
        assert len(await queues.names("1", "r", prefix="q")) == 119
        assert await queues.names("1", "r", prefix="o") == ("other",)
        assert await queues.names("1", "r", prefix="q11", after="q118") == ("q119",)
        assert await queues.names("1", "elsewhere") == ("q-there",)
        assert await queues.names("2", "r") == ()

    with_queues(server, scenario)


def test_a_received_message_hides_and_comes_back_with_a_new_receipt(server: Server) -> None:
    async def scenario(queues: Queues, clock: SteppedClock, world: World) -> None:
        await queues.create(JOBS, QueueSettings(visibility_ms=10_000))
        await queues.send(JOBS, a_message("one", extras=b'{"x":1}'))

        [first] = await receive(queues)
        hidden = await queues.receive(JOBS, limit=1)
        clock.pass_s(10)
        [second] = await receive(queues)

        assert (first.body, first.extras, first.sender) == (b"one", b'{"x":1}', "me")
        assert hidden.messages == ()
        assert hidden.next_in_ms is not None
        assert 9_000 < hidden.next_in_ms <= 10_000
        assert (first.receipt.count, second.receipt.count) == (1, 2)
        assert first.receipt != second.receipt
        assert first.first_received_at_ms == second.first_received_at_ms
        assert first.sent_at_ms == second.sent_at_ms <= first.first_received_at_ms

    with_queues(server, scenario)


def test_a_receive_may_choose_its_visibility_down_to_none(server: Server) -> None:
    async def scenario(queues: Queues, clock: SteppedClock, world: World) -> None:
        await queues.create(JOBS, QueueSettings())
        await queues.send(JOBS, a_message("one"))

        counted = [(await receive(queues, visibility_ms=0))[0].receipt.count for _ in range(3)]
        await receive(queues, visibility_ms=60_000)
        clock.pass_s(59)
        assert await receive(queues) == []
        clock.pass_s(2)

        assert counted == [1, 2, 3]
        assert [message.receipt.count for message in await receive(queues)] == [5]

    with_queues(server, scenario)


def test_a_delay_is_the_messages_own_or_the_queues(server: Server) -> None:
    async def scenario(queues: Queues, clock: SteppedClock, world: World) -> None:
        await queues.create(JOBS, QueueSettings(delay_ms=60_000))

        assert await queues.send(JOBS, a_message("queue's")) == 60_000
        assert await queues.send(JOBS, a_message("own"), delay_ms=5_000) == 5_000
        assert await queues.send(JOBS, a_message("none"), delay_ms=0) == 0

        assert await counts(queues) == (1, 0, 2)
        assert await bodies(queues) == [b"none"]
        clock.pass_s(5)
        assert await bodies(queues) == [b"own"]
        assert await counts(queues) == (0, 2, 1)
        clock.pass_s(55)
        assert b"queue's" in await bodies(queues)

    with_queues(server, scenario)


def test_the_latest_receipt_deletes_even_when_visibility_has_run_out(server: Server) -> None:
    async def scenario(queues: Queues, clock: SteppedClock, world: World) -> None:
        await queues.create(JOBS, QueueSettings(visibility_ms=1_000))
        await queues.send(JOBS, a_message("one"))
        [held] = await receive(queues)
        clock.pass_s(5)

        assert await queues.delete(JOBS, held.receipt)
        assert not await queues.delete(JOBS, held.receipt)

        assert await receive(queues) == []
        assert await counts(queues) == (0, 0, 0)

    with_queues(server, scenario)


def test_a_stale_receipt_never_removes_a_message_held_under_a_newer_one(server: Server) -> None:
    async def scenario(queues: Queues, clock: SteppedClock, world: World) -> None:
        await queues.create(JOBS, QueueSettings())
        await queues.send(JOBS, a_message("one"))
        [old] = await receive(queues, visibility_ms=0)
        [new] = await receive(queues, visibility_ms=30_000)

        assert not await queues.delete(JOBS, old.receipt)

        assert await counts(queues) == (0, 1, 0)
        assert await queues.delete(JOBS, new.receipt)
        assert await counts(queues) == (0, 0, 0)

    with_queues(server, scenario)


def test_an_id_is_stored_once_and_remembered_for_a_time_after_its_deletion(server: Server) -> None:
    async def scenario(queues: Queues, clock: SteppedClock, world: World) -> None:
        await queues.create(JOBS, QueueSettings())
        message = a_message("one", "id-1")

        for _ in range(3):
            await queues.send(JOBS, message, remember_ms=60_000)
        [held] = await receive(queues)
        await queues.send(JOBS, message, remember_ms=60_000)
        await queues.delete(JOBS, held.receipt)
        await queues.send(JOBS, message, remember_ms=60_000)
        assert await counts(queues) == (0, 0, 0)
        clock.pass_s(61)
        await counts(queues)
        await queues.send(JOBS, message)

        assert await counts(queues) == (1, 0, 0)

    with_queues(server, scenario)


def test_a_message_longer_than_the_queue_takes_is_refused_with_the_limit(server: Server) -> None:
    async def scenario(queues: Queues, clock: SteppedClock, world: World) -> None:
        await queues.create(JOBS, QueueSettings(max_bytes=1_024))

        await queues.send(JOBS, a_message("x" * 1_024, "fits"))
        with pytest.raises(MessageTooLong) as refusal:
            await queues.send(JOBS, a_message("x" * 1_025, "does not"))

        assert refusal.value.max_bytes == 1_024
        assert await counts(queues) == (1, 0, 0)

    with_queues(server, scenario)


def test_messages_past_retention_disappear_also_in_flight_and_a_hundred_at_a_time(server: Server) -> None:
    async def scenario(queues: Queues, clock: SteppedClock, world: World) -> None:
        clock.ahead_ms = -3_600_000
        await queues.create(JOBS, QueueSettings(retention_ms=60_000, visibility_ms=43_200_000))
        for number in range(150):
            await queues.send(JOBS, a_message(str(number)))
        await receive(queues)
        clock.ahead_ms = 0

        fresh = a_message("fresh")
        await queues.send(JOBS, fresh)
        after_one = await world.client.zcard(queues._calls.key(JOBS, "v"))

        assert after_one == 51
        assert await counts(queues) == (1, 0, 0)
        assert await bodies(queues) == [b"fresh"]

    with_queues(server, scenario)


def test_a_purge_removes_everything_and_rests_for_a_minute(server: Server) -> None:
    async def scenario(queues: Queues, clock: SteppedClock, world: World) -> None:
        await queues.create(JOBS, QueueSettings())
        for text in ("ready", "held"):
            await queues.send(JOBS, a_message(text))
        await queues.send(JOBS, a_message("delayed"), delay_ms=60_000)
        await receive(queues, limit=1)

        await queues.purge(JOBS)

        assert await counts(queues) == (0, 0, 0)
        with pytest.raises(PurgeInProgress):
            await queues.purge(JOBS)
        clock.pass_s(60)
        await queues.purge(JOBS)

    with_queues(server, scenario)


def test_a_removed_queue_leaves_only_a_name_that_rests_for_a_minute(server: Server) -> None:
    async def scenario(queues: Queues, clock: SteppedClock, world: World) -> None:
        before = set(await world.client.keys())
        await queues.create(JOBS, QueueSettings())
        await queues.send(JOBS, a_message("one", extras=b"{}"))
        await receive(queues)

        await queues.remove(JOBS)

        left = set(await world.client.keys()) - before
        assert {key.rpartition(b":")[2] for key in left} == {b"clk", b"gone"}
        assert all([await world.client.pttl(key) > 0 for key in left])
        with pytest.raises(QueueDeletedRecently):
            await queues.create(JOBS, QueueSettings())
        clock.pass_s(60)
        queue, created = await queues.create(JOBS, QueueSettings())
        assert created
        assert (queue.visible, queue.in_flight) == (0, 0)
        assert all([await world.client.pttl(key) == -1 for key in set(await world.client.keys()) - before])

    with_queues(server, scenario)


def test_a_queue_whose_messages_are_gone_keeps_nothing_of_them(server: Server) -> None:
    async def scenario(queues: Queues, clock: SteppedClock, world: World) -> None:
        before = set(await world.client.keys())
        await queues.create(JOBS, QueueSettings())
        for number in range(5):
            await queues.send(JOBS, a_message(str(number), extras=b"{}"), delay_ms=number, remember_ms=60_000)
        clock.pass_s(1)
        for message in await receive(queues):
            await queues.delete(JOBS, message.receipt)
        clock.pass_s(61)
        await counts(queues)

        left = {key.rpartition(b":")[2] for key in set(await world.client.keys()) - before}
        assert left == {b"clk", b"q", b"names"}

    with_queues(server, scenario)


def test_visibility_goes_on_running_while_nobody_asks(server: Server) -> None:
    async def scenario(queues: Queues, clock: SteppedClock, world: World) -> None:
        await queues.create(JOBS, QueueSettings(visibility_ms=600_000))
        await queues.send(JOBS, a_message("one"))
        await receive(queues)
        clock.pass_s(600)

        assert await bodies(queues) == [b"one"]

    with_queues(server, scenario)


def test_an_outage_uses_up_no_visibility(server: Server) -> None:
    async def scenario(queues: Queues, clock: SteppedClock, world: World) -> None:
        await queues.create(JOBS, QueueSettings(visibility_ms=30_000))
        await queues.send(JOBS, a_message("one"))
        [held] = await receive(queues)
        working, queues._calls.scripts = queues._calls.scripts, Broken()
        clock.pass_s(60)
        with pytest.raises(Unavailable):
            await queues.delete(JOBS, held.receipt)
        queues._calls.scripts = working

        assert await receive(queues) == []
        assert await queues.delete(JOBS, held.receipt)

    with_queues(server, scenario)


class Broken:
    """Scripts of a Redis that does not answer."""

    async def call(self, *_: object) -> list[Any]:
        raise Unavailable("no answer")


def test_every_script_may_run_twice_for_one_call(server: Server) -> None:
    async def scenario(world: World) -> None:
        twice = await open_world(world.client, wrap=Twice)
        clock = SteppedClock()
        queues = Queues(twice.store.scripts, twice.keys, clock, Random(3))

        _, created = await queues.create(JOBS, QueueSettings())
        for text in ("a", "b", "c"):
            await queues.send(JOBS, a_message(text))
        first, second = await receive(queues, limit=1), await receive(queues, limit=1)
        await queues.delete(JOBS, first[0].receipt)
        await queues.send(JOBS, a_message(first[0].body.decode()))

        assert created
        assert first[0].receipt.count == second[0].receipt.count == 1
        assert await counts(queues) == (1, 1, 0)
        await queues.purge(JOBS)
        await queues.remove(JOBS)
        assert await queues.names(JOBS.account, JOBS.region) == ()
        await twice.store.close()

    server.run(scenario)


@pytest.mark.parametrize("seed", range(4))
def test_nothing_is_lost_doubled_or_handed_out_twice_at_a_time(server: Server, seed: int) -> None:
    """Random sends, receives, deletes with fresh and stale receipts, and waits, beside a model of six lines."""

    async def scenario(world: World) -> None:
        twice = await open_world(world.client, wrap=Twice)
        random, clock = Random(seed), SteppedClock()
        queues = Queues(twice.store.scripts, twice.keys, clock, Random(seed))
        await queues.create(JOBS, QueueSettings())
        here: dict[str, int] = {}  # id -> receives
        hidden: dict[str, float] = {}  # id -> until
        receipts = []
        for step in range(120):
            match random.choice(("send", "send", "receive", "receive", "delete", "wait")):
                case "send":
                    await queues.send(JOBS, a_message(f"m{step}"))
                    here[f"m{step}"] = 0
                case "receive":
                    visibility = random.choice((0, 20_000, 40_000))
                    now = clock.monotonic()
                    for message in await receive(queues, random.randint(1, 4), visibility):
                        identity = message.receipt.id
                        assert hidden.get(identity, 0) <= now + 0.5
                        here[identity] += 1
                        assert message.receipt.count == here[identity]
                        hidden[identity] = now + visibility / 1_000
                        receipts.append(message.receipt)
                case "delete" if receipts:
                    receipt = random.choice(receipts)
                    is_latest = here.get(receipt.id) == receipt.count
                    assert await queues.delete(JOBS, receipt) in (False, is_latest)
                    if is_latest:
                        del here[receipt.id]
                case "wait":
                    clock.pass_s(random.choice((1, 25)))
        assert sum(await counts(queues)) == len(here)
        clock.pass_s(60)
        found: set[str] = set()
        while messages := await receive(queues, 10, 43_200_000):
            found |= {message.receipt.id for message in messages}
        assert found == set(here)
        sizes = [await world.client.hlen(queues._calls.key(JOBS, part)) for part in ("m", "b")]
        assert sizes == [len(here)] * 2
        await twice.store.close()

    server.run(scenario)


def test_a_full_server_refuses_sends_and_still_hands_out_and_deletes(valkey: EmbeddedValkey) -> None:
    async def scenario() -> None:
        client = make_client(valkey.url)
        await client.flushall()
        world = await open_world(client)
        queues = Queues(world.store.scripts, world.keys, SteppedClock(), Random(3))
        await queues.create(JOBS, QueueSettings())
        await queues.send(JOBS, a_message("one"))
        limit = (await client.config_get("maxmemory"))["maxmemory"]
        await client.config_set("maxmemory", 1)
        try:
            with pytest.raises(IntakeRefused):
                await queues.send(JOBS, a_message("two"))
            with pytest.raises(IntakeRefused):
                await queues.create(QueueName(account="1", region="r", name="new"), QueueSettings())
            [held] = await receive(queues)
            [outcome] = await queues.change_visibility(JOBS, [(held.receipt, 60_000)])
            assert outcome is ChangeOutcome.CHANGED
            assert len(await queues.peek(JOBS)) == 1
            assert await queues.delete(JOBS, held.receipt)
        finally:
            await client.config_set("maxmemory", limit)
        assert await counts(queues) == (0, 0, 0)
        await world.store.close()
        await client.aclose()

    asyncio.run(scenario())
