"""kill -9 of environments, nodes, consumers and Redis while queues are worked off. Every queue's story must keep its
promises."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from tests.chaos.history import Timed
from tests.chaos.queue_history import Batch
from tests.chaos.queue_world import Feed, queue_world, send
from tests.chaos.servers import ValkeyProcess
from tests.e2e.nodes import wait_until

B = TypeVar("B", bound=Timed)

TAKEOVER_S = 15
"""By then a dead node's messages are delivered again: after 11 s or so, and more on a busy machine."""
LONG_S = 180
"""Six times the function's timeout, as AWS advises: far more than any test waits."""


def test_killed_environments_and_failing_messages_come_back_until_they_are_given_up_once(
    folder: Path, valkey: ValkeyProcess
) -> None:
    with queue_world(folder, valkey, seed=21) as here:
        feeds = [here.feed(is_fifo=is_fifo, visibility_s=2, most=3) for is_fifo in (False, True)]
        for feed in feeds:
            here.map(feed, timeout_s=2)
            send(feed, here.random, 1, errors=99)
            here.load(feed, seconds=0.5, poison=True)
        for _ in range(3):
            for feed in feeds:
                here.kill_environment(_next_to_kill(feed).pid)

        here.settle()

        for feed in feeds:
            assert len(feed.cut()) == 3
            assert feed.story.dead, "a message that always fails was given up"


def test_a_message_whose_environment_is_killed_at_every_receive_is_given_up_once(
    folder: Path, valkey: ValkeyProcess
) -> None:
    with queue_world(folder, valkey, seed=22) as here:
        feed = here.feed(is_fifo=True, visibility_s=2, most=2)
        here.map(feed, timeout_s=2)
        [doomed] = send(feed, here.random, 1, seconds=1.9)
        for _ in range(2):
            here.kill_environment(_next_to_kill(feed, young_s=1.5).pid)
        send(feed, here.random, 5)

        here.settle()

        assert [dead.id for dead in feed.story.dead] == [doomed]
        assert [batch.deliveries[0].nth for batch in feed.cut()] == [1, 2]


def test_a_killed_node_s_messages_come_back_long_before_their_visibility_ends(
    folder: Path, valkey: ValkeyProcess
) -> None:
    with queue_world(folder, valkey, nodes=2, seed=23) as here:
        feeds = [here.feed(is_fifo=is_fifo, visibility_s=LONG_S) for is_fifo in (False, True)]
        for feed in feeds:
            here.map(feed, timeout_s=30, ScalingConfig={"MaximumConcurrency": 4})
            here.load(feed, seconds=1)  # more than the first node's share can do
        _, victim = here.nodes
        wait_until(
            "batches of both there that have just begun",
            lambda: all(_young(here.in_flight_on(victim, feed), 0.5) for feed in feeds),
        )

        here.kill_node(victim)
        here.end_load()

        _wait_delivered_again(feeds)
        here.settle()


def test_a_redis_killed_and_started_again_keeps_every_message_and_every_receipt(
    folder: Path, valkey: ValkeyProcess
) -> None:
    with queue_world(folder, valkey, seed=24) as here:
        feeds = [here.feed(is_fifo=is_fifo, visibility_s=10) for is_fifo in (False, True)]
        for feed in feeds:
            here.map(feed, timeout_s=10)
            here.load(feed)
            wait_until("some work", lambda feed=feed: feed.done() >= 20)
        losing = here.feed(is_fifo=True, visibility_s=2, most=2)
        here.map(losing, timeout_s=2)
        here.load(losing, poison=True)
        wait_until("a failure", lambda: any(batch.failed for batch in losing.batches()))
        for outage_s in (0.0, 1.5):
            with here.fault("valkey"):
                valkey.kill()
                _wait_till(time.monotonic() + outage_s)
                valkey.start()
            for feed in feeds:
                _wait_begun(feed, since=time.monotonic_ns())

        here.settle()

        for feed in feeds:
            identities = [delivery.message.id for batch in feed.batches() for delivery in batch.deliveries]
            assert len(identities) == len(set(identities)), "no function was killed, and what succeeds is deleted"


def test_what_a_killed_consumer_held_comes_back_when_its_visibility_ends(folder: Path, valkey: ValkeyProcess) -> None:
    """Consumers that receive by themselves share the queues with mappings."""
    with queue_world(folder, valkey, seed=25) as here:
        feeds = [here.feed(is_fifo=is_fifo, visibility_s=3) for is_fifo in (False, True)]
        consumers = [(feed, here.consume(feed)) for feed in feeds for _ in range(2)]
        for feed in feeds:
            here.load(feed, seconds=0.2)
        for feed, consumer in consumers:
            wait_until(
                "something to lose",
                lambda feed=feed, consumer=consumer: any(b.pid == consumer.pid for b in feed.in_flight()),
            )
            here.kill_consumer(consumer)
        for feed in feeds:
            sharing = here.consume(feed)
            wait_until(
                "a consumer that got something too",
                lambda feed=feed, sharing=sharing: any(batch.pid == sharing.pid for batch in feed.batches()),
            )
            here.map(feed, timeout_s=3)

        here.settle()

        for feed in feeds:
            assert len(feed.cut()) == 2
            assert any(batch.deleted for batch in feed.batches()), "what a consumer got, it deleted"


def _next_to_kill(feed: Feed, *, young_s: float = 0.25) -> Batch:
    """Return a batch that has just begun, in an environment that was not killed yet."""
    killed = {fault.what for fault in feed.story.faults}

    def find() -> Batch | None:
        return next(
            (batch for batch in _young(feed.in_flight(), young_s) if f"environment {batch.pid}" not in killed), None
        )

    found = wait_until("a batch to kill", find)
    assert found is not None
    return found


def _young(batches: Sequence[B], seconds: float) -> list[B]:
    """Return those that began so recently that they are not about to end."""
    return [batch for batch in batches if batch.start > time.monotonic_ns() - seconds * 1e9]


def _wait_till(instant: float) -> None:
    wait_until("the outage to end", lambda: time.monotonic() >= instant)


def _wait_begun(feed: Feed, *, since: int) -> None:
    """Wait until a batch has begun since: Redis was back by then."""
    wait_until("work to go on within 5 s", lambda: any(batch.start > since for batch in feed.batches()), seconds=5)


def _wait_delivered_again(feeds: list[Feed]) -> None:
    """Wait until everything that the killed node held runs again."""
    for feed in feeds:
        fault = feed.story.faults[-1]
        cut = {delivery.message.id for batch in feed.cut() if fault.hits(batch) for delivery in batch.deliveries}
        assert cut, "the node died between two batches"

        left_s = (fault.t - time.monotonic_ns()) / 1e9 + TAKEOVER_S
        wait_until(
            "the messages to come back",
            lambda feed=feed, cut=cut, since=fault.until: cut <= feed.delivered(since=since),
            seconds=left_s,
            poll_s=0.1,
        )
