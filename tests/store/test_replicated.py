"""New data is acknowledged once replicas have it; what a repeated call writes nothing of included."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from eventrouter.clock import SystemClock
from eventrouter.errors import ConfigError, Unavailable
from eventrouter.store import Scripts, Store, open_store
from eventrouter.store.checks import Durability
from eventrouter.store.connect_replicated import Replication
from eventrouter.store.lua import Script
from eventrouter.store.servers import Servers
from tests.store.groups import HOST, OPTIONS, ClusterOfServers, RealServer, Sentinels, cluster, free_ports, sentinels
from tests.store.worlds import INFO, an_event


@pytest.fixture(scope="module")
def group(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sentinels]:
    with sentinels(tmp_path_factory.mktemp("replicated")) as group:
        yield group


async def a_store(servers: Servers) -> Store:
    return await open_store(servers.make_lane, prefix="er", partitions=1, clock=SystemClock(), random=Random(1))


@pytest.mark.unit
@pytest.mark.parametrize(
    ("replication", "answer", "lack"),
    [
        (Replication(replicas=1), 1, None),
        (Replication(replicas=1), 2, None),
        (Replication(replicas=2), 1, "1 of 2 replicas have it"),
        (Replication(replicas=1), ConnectionError("cut"), "cut"),
        (Replication(replicas=1, on_disk=True), [1, 1], None),
        (Replication(replicas=1, on_disk=True), [0, 1], "the primary's disk does not have it"),
        (Replication(replicas=1, on_disk=True), [1, 0], "0 of 1 replicas have it"),
    ],
)
def test_the_number_of_acknowledgements_is_looked_at(
    replication: Replication, answer: object, lack: str | None
) -> None:
    assert replication.lacks(answer) == lack


TAKE = Script.of(
    "take",
    "--!intake\n"
    "if redis.call('EXISTS', KEYS[1]) == 1 then return {'DUP'} end redis.call('SET', KEYS[1], '') return {'OK'}",
)
LOOK = Script.of("look", "return {redis.call('EXISTS', KEYS[1])}")


@pytest.mark.integration
@pytest.mark.parametrize("durability", ["replicated", "replicated-strict"])
def test_what_is_taken_in_waits_for_the_replica_and_a_repeated_call_waits_again(
    group: Sentinels, durability: Durability
) -> None:
    primary = group.primary
    [follower] = [server for server in group.servers if server is not primary]
    scripts = {"take": TAKE, "look": LOOK}
    key = [f"{{{durability}}}:x"]

    async def scenario() -> None:
        url = f"redis://{primary.address}"
        async with Servers(url, clock=SystemClock(), durability=durability, scripts=scripts) as servers:
            calls = Scripts(servers.make_lane, clock=SystemClock(), random=Random(1), scripts=scripts)
            await calls.load()
            follower.freeze()
            try:
                with pytest.raises(Unavailable, match="0 of 1 replicas have it"):
                    await calls.call("take", key, (), budget_s=0.05)
                # It is stored, so the script writes nothing any more; and yet nobody else has it.
                again = Scripts(servers.make_lane, clock=SystemClock(), random=Random(1), scripts=scripts)
                with pytest.raises(Unavailable, match="0 of 1 replicas have it"):
                    await again.call("take", key, (), budget_s=0.05)
                await again.close()
                # What takes nothing in waits for nobody.
                began = time.monotonic()
                assert await calls.call("look", key, ()) == [1]
                assert time.monotonic() - began < 0.9
            finally:
                follower.thaw()
            assert await calls.call("take", key, ()) == [b"DUP"]
            await calls.command("DEL", *key)
            await calls.close()

    asyncio.run(scenario())


@pytest.mark.integration
def test_calls_that_take_nothing_in_are_not_held_up(group: Sentinels) -> None:
    async def scenario() -> None:
        async with Servers(group.url, clock=SystemClock(), durability="replicated") as servers:
            store = await a_store(servers)
            await store.hosts.join("h1", INFO)
            began = time.monotonic()
            for number in range(200):
                await store.hosts.beat("h1", number)
            assert time.monotonic() - began < 2.0
            await store.flush()
            await store.close()

    asyncio.run(scenario())


@pytest.mark.integration
def test_nothing_of_a_wait_is_left_behind(group: Sentinels) -> None:
    async def scenario() -> None:
        async with Servers(group.url, clock=SystemClock(), durability="replicated") as servers:
            store = await a_store(servers)
            await store.events.put(an_event("e1"))
            keys = await store.scripts.command("KEYS", "*")
            assert not [key for key in keys if key.endswith(b":mark")]
            await store.flush()
            await store.close()

    asyncio.run(scenario())


async def fatal(url: str, durability: Durability = "standard") -> list[str]:
    async with Servers(url, clock=SystemClock(), durability=durability) as servers:
        return [finding.what for finding in (await servers.survey()).findings if finding.fatal]


@pytest.mark.integration
def test_replicated_is_refused_without_replicas(tmp_path: Path) -> None:
    [port] = free_ports(1)
    server = RealServer(tmp_path, port, OPTIONS).start().wait()
    try:
        assert asyncio.run(fatal(f"redis://{HOST}:{port}", "replicated")) == ["0 replicas follow the server"]
        assert asyncio.run(fatal(f"redis://{HOST}:{port}")) == []
        with pytest.raises(Unavailable, match="no node of the cluster tells who serves its slots"):
            asyncio.run(fatal(f"redis+cluster://{HOST}:{port}"))
        with pytest.raises(Unavailable, match="0 of 1 sentinels answered"):
            asyncio.run(fatal(f"redis+sentinel://{HOST}:{free_ports(1)[0]}/mymaster"))
    finally:
        server.kill()


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterOfServers]:
    with cluster(tmp_path_factory.mktemp("three")) as three:
        yield three


@pytest.mark.integration
def test_a_cluster_is_looked_at_whole(three: ClusterOfServers) -> None:
    first, second, third = three.servers
    assert asyncio.run(fatal(three.url)) == []
    assert len(asyncio.run(fatal(three.url, "replicated"))) == 3

    third.ask("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    assert asyncio.run(fatal(three.url)) == [f"{third.address}: maxmemory-policy is allkeys-lru"]
    third.ask("CONFIG", "SET", "maxmemory-policy", "noeviction")

    assert asyncio.run(fatal(f"redis://{first.address}")) == ["the server is a cluster node"]

    for server in (first, second, third):
        server.ask("CLUSTER", "DELSLOTS", "5")
    assert asyncio.run(fatal(three.url)) == ["the cluster serves 16383 of 16384 slots"]
    first.ask("CLUSTER", "ADDSLOTS", "5")


@pytest.mark.integration
def test_sentinels_that_do_not_know_the_primary_are_told(group: Sentinels) -> None:
    async def scenario() -> None:
        with pytest.raises(Unavailable, match="No such master"):
            await fatal(group.url.replace("mymaster", "another"))

    asyncio.run(scenario())


@pytest.mark.unit
def test_a_url_that_names_nothing_is_a_wrong_setting() -> None:
    with pytest.raises(ConfigError, match="redis_url: must end with the name of the primary"):
        Servers("redis+sentinel://s1,s2", clock=SystemClock())
