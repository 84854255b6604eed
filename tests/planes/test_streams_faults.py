"""Clusters under random faults, in virtual time: every seed's story must keep every promise to streams."""

from __future__ import annotations

import asyncio
from random import Random

import pytest

from eventrouter.testing.virtual import run_virtual
from tests.chaos.stream_checker import violations
from tests.planes.faulty_streams import Cluster, a_cluster

pytestmark = pytest.mark.unit

BATCH_SIZE = 5
TROUBLE_S = 30
PATIENCE_S = 60
"""Once nothing is wrong any more, everything due is resolved by then."""


@pytest.mark.parametrize("seed", range(20))
def test_every_promise_holds_under_random_faults(seed: int) -> None:
    async def scenario() -> None:
        random = Random(seed)
        lanes = random.choice((1, 1, 3))
        settings = {
            "parallelization_factor": lanes,
            "batch_size": random.randint(1, BATCH_SIZE),
            "maximum_retry_attempts": random.choice((-1, -1, 1)),
            "bisect": random.random() < 0.5,
        }
        async with a_cluster(random, nodes=random.choice((2, 3)), shards=random.choice((2, 3)), **settings) as cluster:
            cluster.fails = random.choice((0.05, 0.3))
            loses = random.choice((0, 0, 0.01))
            for node in cluster.nodes:
                node.link.loses = loses
            await _trouble(cluster, lanes)
            await _settle(cluster)
            broken = violations(cluster.told(), lanes=lanes, batch_size=BATCH_SIZE)
            assert not broken, "\n".join(broken[:10])

    run_virtual(scenario())


# With these seeds the lane wakes after the node has joined anew, and before the plane has looked at its shares.
@pytest.mark.parametrize("seed", [3, 11, 15, 19])
def test_a_node_that_comes_back_does_not_try_again_what_it_has_lost(seed: int) -> None:
    """It waits to try a batch again, with nothing to store before; meanwhile it is buried, and the batch taken over."""

    async def scenario() -> None:
        async with a_cluster(Random(seed), nodes=2, shards=2, batch_size=BATCH_SIZE) as cluster:
            cluster.fails, cluster.seconds = 1, 1
            cluster.put(20)
            while sum(batch.pid == 1 and batch.outcome == "error" for batch in cluster.batches) < 5:
                await cluster.world.run(0.1)
            cluster.fails = 0
            await cluster.nodes[0].lose_redis(14 + cluster.random.random())
            await cluster.world.run(10)
            await _settle(cluster)
            assert violations(cluster.told(), lanes=1, batch_size=BATCH_SIZE) == []

    run_virtual(scenario())


async def _trouble(cluster: Cluster, lanes: int) -> None:
    """Put records all the time, and let something happen every few seconds."""
    random, world = cluster.random, cluster.world
    ends = world.now() + TROUBLE_S
    next_fault = world.now() + 3
    under_way: list[asyncio.Task[None]] = []
    while world.now() < ends:
        if world.base.server.connected:
            cluster.put(random.randrange(4), poison=random.random() < 0.02)
        await world.run(random.random())
        await cluster.probe()
        if world.now() >= next_fault and world.base.server.connected:
            next_fault = world.now() + 1 + 6 * random.random()
            under_way.append(asyncio.create_task(_fault(cluster, lanes)))
    await asyncio.gather(*under_way)


async def _fault(cluster: Cluster, lanes: int) -> None:
    random = cluster.random
    living = cluster.living()
    choices = ["redis", "split", "merge", "change", "pause"]
    if len(living) > 1:
        choices += ["kill", "cut", "cut", "roll"]
    match random.choice(choices):
        case "redis":
            await cluster.redis_away(random.choice((0.5, 3, 12)))
        case "split":
            cluster.split()
        case "merge":
            cluster.merge()
        case "change":
            await cluster.change(
                batch_size=random.randint(1, BATCH_SIZE),
                parallelization_factor=random.randint(1, lanes),
                bisect=random.random() < 0.5,
            )
        case "pause":
            await cluster.change(is_enabled=False)
            await cluster.world.run(random.random() * 5)
            await cluster.change(is_enabled=True)
        case "kill":
            await cluster.replace_node(random.choice(living), random.random() * 15)
        case "cut":
            await random.choice(living).lose_redis(random.choice((2, 7, 15, 30)))
        case "roll":
            await cluster.roll(random.choice(living))


async def _settle(cluster: Cluster) -> None:
    """End all faults but those of nodes that are dead, and wait until every record is resolved and remembered."""
    cluster.fails = 0
    for node in cluster.nodes:
        node.link.loses = 0.0
    await cluster.change(is_enabled=True)
    ends = cluster.world.now() + PATIENCE_S
    while cluster.told().unresolved() and cluster.world.now() < ends:
        await cluster.world.run(1)
        await cluster.probe()
