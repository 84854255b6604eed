"""Where an event or a message stands, told without touching it, on every server."""

from __future__ import annotations

import pytest

from eventrouter.store import Settlement, StoredEvent
from eventrouter.store.queues import NewMessage, NoSuchQueue, QueueName, QueueSettings, StoredMessage
from tests.store.worlds import FN, Server, World, an_event

pytestmark = pytest.mark.integration

JOBS = QueueName(account="000000000000", region="us-east-1", name="jobs")
DEAD = QueueName(account="000000000000", region="us-east-1", name="dead")


async def found(world: World, event_id: str) -> StoredEvent:
    return (await world.store.events.find([event_id]))[event_id]


def test_an_event_is_found_in_each_of_its_states(server: Server) -> None:
    async def scenario(world: World) -> None:
        await world.join("h1")
        await world.store.events.put(an_event("e1"))

        ready = await found(world, "e1")
        assert (ready.function_key, ready.owner, ready.claims, ready.errors) == (FN.key, None, 0, 0)
        assert (ready.due_in_ms, ready.held_in_ms) == (0, 0)
        assert abs(ready.accepted_at_ms - world.store.events._clock.now_ms()) < 5_000

        [claim] = await world.claim("h1")
        claimed = await found(world, "e1")
        assert (claimed.owner, claimed.claims) == ("h1", 1)

        retry = Settlement(claim=claim, action="retry", delay_ms=60_000)
        assert await world.store.events.settle("h1", world.partition, [retry]) == [True]
        waiting = await found(world, "e1")
        assert (waiting.owner, waiting.claims, waiting.errors) == (None, 1, 1)
        assert 55_000 < waiting.due_in_ms <= 60_000

    server.run(scenario)


def test_finding_changes_nothing_and_what_is_over_is_not_found(server: Server) -> None:
    async def scenario(world: World) -> None:
        await world.join("h1")
        await world.put("e1")
        for _ in range(3):
            await found(world, "e1")

        [claim] = await world.claim("h1")
        assert claim.attempt == 1
        done = Settlement(claim=claim, action="done")
        await world.store.events.settle("h1", world.partition, [done])
        assert await world.store.events.find(["e1", "never"]) == {}

    server.run(scenario)


def test_an_event_tells_for_how_long_its_function_is_held_back(server: Server) -> None:
    async def scenario(world: World) -> None:
        await world.join("h1")
        await world.put("e1")
        assert await world.store.events.held_in_ms(FN.key) == 0

        await world.store.events.hold(FN.key, 30_000)

        assert 25_000 < (await found(world, "e1")).held_in_ms <= 30_000
        assert 25_000 < await world.store.events.held_in_ms(FN.key) <= 30_000
        await world.store.events.unhold(FN.key)
        assert (await found(world, "e1")).held_in_ms == 0

    server.run(scenario)


def test_a_message_is_found_in_each_of_its_states(server: Server) -> None:
    async def scenario(world: World) -> None:
        queues = world.store.queues
        await queues.create(JOBS, QueueSettings(visibility_ms=30_000))
        message = NewMessage(id=queues.new_id(), body=b"{}", size_bytes=2, sender="me")
        assert await queues.find(JOBS, message.id) is None
        await queues.send(JOBS, message)

        visible = await queues.find(JOBS, message.id)
        assert visible is not None
        assert (visible.visible_in_ms, visible.receives, visible.owner) == (0, 0, None)

        await world.join("h1")
        received = await queues.receive(JOBS, limit=1, owner="h1")
        held = await queues.find(JOBS, message.id)
        assert held is not None
        assert (held.receives, held.owner) == (1, "h1")
        assert 25_000 < held.visible_in_ms <= 30_000

        await queues.delete(JOBS, received.messages[0].receipt)
        assert await queues.find(JOBS, message.id) is None

    server.run(scenario)


def test_a_message_on_its_way_to_the_dead_letter_queue_is_leaving(server: Server) -> None:
    async def scenario(world: World) -> None:
        queues = world.store.queues
        await queues.create(JOBS, QueueSettings(visibility_ms=0, max_receive_count=1, dead_letter_target=DEAD.arn))
        message = NewMessage(id=queues.new_id(), body=b"{}", size_bytes=2, sender="me")
        await queues.send(JOBS, message)
        await queues.receive(JOBS, limit=1)
        await queues.receive(JOBS, limit=1)  # there is no such queue yet: it stays on its way

        assert await queues.find(JOBS, message.id) == StoredMessage(is_leaving=True)

        told: list[tuple[QueueName, str, list[str]]] = []
        queues.moves.on_sent(lambda name, to, ids: told.append((name, to, list(ids))))
        await queues.create(DEAD, QueueSettings())
        await queues.moves.forward(JOBS)
        assert told == [(JOBS, DEAD.arn, [message.id])]
        assert await queues.find(JOBS, message.id) is None
        assert await queues.find(DEAD, message.id) is not None

    server.run(scenario)


def test_a_queue_that_does_not_exist_holds_nothing(server: Server) -> None:
    async def scenario(world: World) -> None:
        with pytest.raises(NoSuchQueue):
            await world.store.queues.find(JOBS, "any")

    server.run(scenario)
