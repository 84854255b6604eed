"""kill -9 of environments, nodes and Redis while streams are read. Every mapping's story must keep its promises."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from tests.chaos.servers import ValkeyProcess
from tests.chaos.stream_world import StreamWorld, dropped, put, stream_world
from tests.e2e.nodes import NodeProcess, wait_until

TAKEOVER_S = 15
"""By then another node goes on with a dead one's shards: after 11 s or so, and more on a busy machine."""


def test_killed_environments_fail_their_batches_and_nothing_else(folder: Path, valkey: ValkeyProcess) -> None:
    with stream_world(folder, valkey, seed=11) as here:
        plain, lanes = here.feed(shards=2), here.feed(shards=2, lanes=3)
        for feed in (plain, lanes):
            here.load(feed, seconds=0.1)
        for _ in range(3):
            for feed in (plain, lanes):
                killed = {fault.what for fault in feed.story.faults}
                victim = wait_until(
                    "a batch to kill",
                    lambda feed=feed, killed=killed: next(
                        (batch for batch in feed.in_flight() if f"environment {batch.pid}" not in killed), None
                    ),
                )
                here.kill_environment(victim.pid)

        here.settle()

        for feed in (plain, lanes):
            assert sum(batch.outcome is None for batch in feed.batches()) == 3


def test_a_batch_whose_environment_is_killed_at_every_try_uses_up_its_retries(
    folder: Path, valkey: ValkeyProcess
) -> None:
    with stream_world(folder, valkey, seed=12) as here:
        feed = here.feed(shards=1, parks=True, MaximumRetryAttempts=1)
        doomed = put(feed, here.random, 2, seconds=10)
        put(feed, here.random, 6)
        for tries in (1, 2):
            [run] = wait_until(f"try {tries}", feed.in_flight)
            here.kill_environment(run.pid)
        assert feed.failed is not None
        record = json.loads(feed.failed.receive()["Body"])
        feed.story.dropped.append(dropped(record))

        here.settle()

        assert record["requestContext"]["condition"] == "RetryAttemptsExhausted"
        assert record["requestContext"]["approximateInvokeCount"] == 2
        assert record["responseContext"]["functionError"] == "Unhandled"
        assert doomed <= feed.story.given_up()


def test_a_killed_node_s_shards_go_on_elsewhere_with_the_batch_in_flight(folder: Path, valkey: ValkeyProcess) -> None:
    """Three streams at once: with one lane a shard, with three, and one whose shards are being split and merged."""
    with stream_world(folder, valkey, nodes=2, seed=13) as here:
        feeds = [here.feed(shards=4), here.feed(shards=4, lanes=3), here.feed(shards=4)]
        survivor, victim = _work_on_every_node(here)
        reshaped = feeds[2].stream
        one, other, third, _ = reshaped.open_shards()
        reshaped.split(third)
        reshaped.wait_active()
        reshaped.merge(one, other)

        here.kill_node(victim)

        _wait_taken_over(here, survivor)
        here.settle()
        cut = [batch for feed in feeds for batch in feed.batches() if batch.outcome is None]
        assert cut, "the node died between two batches"


def test_a_node_that_was_stopped_for_long_changes_nothing_when_it_goes_on(folder: Path, valkey: ValkeyProcess) -> None:
    with stream_world(folder, valkey, nodes=2, seed=14) as here:
        here.feed(shards=4)
        here.feed(shards=4, lanes=3)
        survivor, victim = _work_on_every_node(here)

        with here.stopped(victim):
            _wait_taken_over(here, survivor)
        wait_until("it to take part again", victim.is_ready)
        here.wait_shared()

        here.settle()


@pytest.mark.parametrize("outage_s", [0.0, 2.0])
def test_a_redis_killed_and_started_again_keeps_every_checkpoint(
    folder: Path, valkey: ValkeyProcess, outage_s: float
) -> None:
    with stream_world(folder, valkey, seed=15) as here:
        feeds = [here.feed(shards=2), here.feed(shards=2, lanes=3)]
        for feed in feeds:
            here.load(feed)
            wait_until("some work", lambda feed=feed: feed.done() >= 20)
        with here.fault("valkey"):
            for feed in feeds:
                here.probe(feed)
            valkey.kill()
            back_at = time.monotonic() + outage_s
            wait_until("the outage to end", lambda: time.monotonic() >= back_at)
            valkey.start()
        back = time.monotonic_ns()
        for feed in feeds:
            wait_until(
                "work to go on within 5 s",
                lambda feed=feed: any(batch.start > back for batch in feed.batches()),
                seconds=5,
            )

        here.settle()

        for feed in feeds:
            again = [batch for batch in feed.batches() if batch.outcome != "ok"]
            assert again == [], "nothing of the function was killed, and no batch is sent twice"
            tokens = [record.id for batch in feed.batches() for record in batch.records]
            assert len(tokens) == len(set(tokens))


def _work_on_every_node(here: StreamWorld) -> list[NodeProcess]:
    """Put load on all streams, and wait until they are shared and every node works."""
    for feed in here.feeds:
        here.load(feed, seconds=0.2)
    here.wait_shared()
    for node in here.nodes:
        wait_until("work on every node", lambda node=node: any(here.in_flight_on(node, feed) for feed in here.feeds))
    return here.nodes


def _wait_taken_over(here: StreamWorld, survivor: NodeProcess) -> None:
    """Wait until one node reads every shard, and works on each stream."""
    fault = here.feeds[0].story.faults[-1]
    left_s = (fault.t - time.monotonic_ns()) / 1e9 + TAKEOVER_S
    wait_until("all shards to be taken over", lambda: len(here.all_owners()) == 1, seconds=left_s, poll_s=0.2)
    for feed in here.feeds:
        wait_until("work to go on", lambda feed=feed: here.in_flight_on(survivor, feed))
