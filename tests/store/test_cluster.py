"""A real cluster of three: the store keeps its contract there, and goes on while slots and primaries change places."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from redis.asyncio import Redis
from redis.asyncio.cluster import ClusterNode, RedisCluster

from eventrouter.clock import SystemClock
from eventrouter.rules.names import FunctionName
from eventrouter.store.connect import pack
from eventrouter.store.connect_cluster import slot_of
from eventrouter.store.lua import SCRIPTS, Script
from eventrouter.store.servers import Servers
from tests.store.contract import OnServers, whole_contract
from tests.store.groups import HOST, ClusterOfServers, RealServer, cluster, wait_for
from tests.store.load import Load, functions
from tests.store.worlds import NAMES

pytestmark = pytest.mark.integration

STRICT = {name: Script.of(name, f"#!lua\n{script.text}") for name, script in SCRIPTS.items()}
"""Scripts that a cluster refuses as soon as they touch a key of another slot than their own."""
NAMES.update({script.sha: script.name for script in STRICT.values()})


CONTRACT = whole_contract()
RESUME_S = 5.0


class ClusterClient(RedisCluster):  # type: ignore[misc]  # redis-py has no types here
    """A client that looks at what a store has left on all nodes."""

    async def execute_command(self, *parts: Any, **options: Any) -> Any:
        name, *others = parts
        return await super().execute_command(name.decode() if isinstance(name, bytes) else name, *others, **options)

    async def keys(self, pattern: str = "*") -> list[bytes]:
        found: list[bytes] = await super().keys(pattern, target_nodes=self.PRIMARIES)
        return found


@pytest.fixture(scope="module")
def group(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterOfServers]:
    with cluster(tmp_path_factory.mktemp("cluster")) as group:
        yield group


@pytest.mark.parametrize("name", CONTRACT)
def test_the_store_keeps_its_contract_on_a_cluster(group: ClusterOfServers, name: str) -> None:
    nodes = [ClusterNode(HOST, server.port) for server in group.servers]
    CONTRACT[name](
        OnServers(
            lambda: group.url,
            lambda: cast("Redis", ClusterClient(startup_nodes=nodes, protocol=2)),
            scripts=STRICT,
        )
    )


@pytest.mark.parametrize("how", ["killed", "frozen"])
def test_one_primary_that_ends_stops_its_part_for_seconds_and_the_others_hardly(tmp_path: Path, how: str) -> None:
    async def scenario(group: ClusterOfServers) -> None:
        async with Load(group.url, "replicated", names=functions(16)) as load:
            load.start()
            await asyncio.sleep(1.5)
            slot = slot_of_events(load, load.names[0])
            old = group.serving(slot)
            hurt = [name for name in load.names if group.serving(slot_of_events(load, name)) is old]
            well = [name for name in load.names if name not in hurt]
            assert hurt
            assert well
            ended_at = time.monotonic()
            if how == "killed":
                old.kill()
            else:
                old.freeze()
            asked = next(server for server in group.servers if server is not old)
            await asyncio.to_thread(
                wait_for, "a promotion", lambda: group.serving(slot, asked=asked) is not old, within_s=30
            )
            promoted_at = time.monotonic()
            if how == "killed":
                old.start()
            else:
                old.thaw()
            new = group.serving(slot, asked=asked)
            await asyncio.to_thread(wait_for, "a replica", lambda: is_followed(new))
            ready_at = time.monotonic()
            await asyncio.sleep(RESUME_S)
            resumed_at = [load.first_after(ready_at, name) for name in hurt]
            lost = await load.lost()
            assert all(resumed_at)
            slowest = max(at for at in resumed_at if at) - ready_at
            gap = max(load.longest_gap(name) for name in well)
            print(
                f"\n{how}: {len(load.acknowledged)} acknowledged, {load.refused} refused, {len(lost)} lost; promoted "
                f"after {promoted_at - ended_at:.1f} s, a replica {ready_at - promoted_at:.1f} s later, resumed "
                f"{slowest:.1f} s after that; longest gap elsewhere {gap:.1f} s"
            )
            assert lost == set()
            assert slowest <= RESUME_S
            assert gap <= 3.5

    with cluster(tmp_path, replicas=1) as group:
        asyncio.run(scenario(group))


def test_a_slot_that_moves_under_load_loses_nothing(group: ClusterOfServers) -> None:
    for server in group.servers:
        server.ask("FLUSHALL")

    async def scenario() -> None:
        async with Load(group.url) as load:
            load.start()
            await asyncio.sleep(0.5)
            for name in load.names:
                slot = slot_of_events(load, name)
                source = group.serving(slot)
                target = next(server for server in group.servers if server is not source)
                await asyncio.to_thread(group.move_slot, slot, source, target)
            moved_at = time.monotonic()
            await asyncio.sleep(1.5)
            assert all(load.first_after(moved_at, name) for name in load.names)
            lost = await load.lost()
            gap = max(load.longest_gap(name) for name in load.names)
            print(f"\n{len(load.acknowledged)} acknowledged, {load.refused} refused, {len(lost)} lost; gap {gap:.2f} s")
            assert lost == set()
            assert load.refused == 0

    asyncio.run(scenario())


def test_a_watch_of_shards_of_many_slots_hears_of_each(group: ClusterOfServers) -> None:
    async def scenario() -> None:
        async with Servers(group.url, clock=SystemClock()) as servers:
            lane = servers.make_lane(timeout_s=8)
            writer = servers.make_lane()
            keys = [f"{{er:s:{n}}}:new" for n in range(20)]
            await writer.execute([pack(("DEL", key)) for key in keys])
            read = ("XREAD", "COUNT", 1, "BLOCK", 5_000, "STREAMS", *keys, *["0-0"] * len(keys))
            reading = asyncio.create_task(lane.execute([pack(read)]))
            await asyncio.sleep(0.2)
            assert not reading.done()
            began = time.monotonic()
            await writer.execute([pack(("XADD", keys[13], "1-1", "r", ""))])
            [reply] = await reading
            assert time.monotonic() - began < 1.0
            assert [key for key, _ in reply] == [keys[13].encode()]
            await writer.execute([pack(("DEL", key)) for key in keys])
            await lane.close()
            await writer.close()

    asyncio.run(scenario())


def test_a_scan_meets_the_keys_of_every_primary(group: ClusterOfServers) -> None:
    async def scenario() -> None:
        async with Servers(group.url, clock=SystemClock()) as servers:
            lane = servers.make_lane()
            keys = {f"{{scan:{n}}}:k".encode() for n in range(300)}
            await lane.execute([pack(("SET", key, "")) for key in keys])
            found: set[bytes] = set()
            cursor = b"0"
            while True:
                [[cursor, some]] = await lane.execute([pack(("SCAN", cursor, "MATCH", "{scan:*", "COUNT", 20))])
                found |= set(some)
                if cursor == b"0":
                    break
            assert found == keys
            await lane.execute([pack(("DEL", key)) for key in keys])
            await lane.close()

    asyncio.run(scenario())


def slot_of_events(load: Load, name: FunctionName) -> int:
    slot = slot_of(load.store.keys.events(load.store.events.partition_of(name.key), "ev").encode())
    assert slot is not None
    return slot


def is_followed(server: RealServer) -> bool:
    with server.client() as client:
        return "online" in str(client.info("replication").get("slave0"))
