"""A primary behind three sentinels with a replica: the same contract, and what a failover costs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from eventrouter.clock import SystemClock
from eventrouter.redis_url import read_redis_url
from eventrouter.store.connect import RedisLane, make_client, pack
from eventrouter.store.connect_sentinel import Around, SentinelPrimary
from tests.store.contract import OnServers, core_contract
from tests.store.groups import HOST, SERVICE, Sentinels, sentinels
from tests.store.load import Load

pytestmark = pytest.mark.integration

CONTRACT = core_contract()
RESUME_S = 5.0
LAGGING = bytes(256 * 1024)
"""More than the buffers between two servers hold, sixty times over: a replica that stands still lacks most of it."""


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sentinels]:
    with sentinels(tmp_path_factory.mktemp("sentinels")) as group:
        yield group


@pytest.fixture
def group(tmp_path: Path) -> Iterator[Sentinels]:
    with sentinels(tmp_path) as group:
        yield group


@pytest.mark.parametrize("name", CONTRACT)
def test_the_store_keeps_its_contract_behind_sentinels_and_waiting_for_a_replica(shared: Sentinels, name: str) -> None:
    CONTRACT[name](
        OnServers(lambda: shared.url, lambda: make_client(f"redis://{shared.primary.address}"), durability="replicated")
    )


@pytest.mark.parametrize("how", ["killed", "frozen"])
def test_a_primary_that_ends_under_load_costs_seconds_and_with_replicated_no_event(group: Sentinels, how: str) -> None:
    async def scenario() -> None:
        async with Load(group.url, "replicated") as load:
            load.start()
            await asyncio.sleep(1.5)
            old = group.primary
            ended_at = time.monotonic()
            if how == "killed":
                old.kill()
            else:
                old.freeze()
            await asyncio.to_thread(group.wait_for_promotion, old)
            promoted_at = time.monotonic()
            # The new primary has no replica as long as the old one is away, so it takes nothing that must be on two.
            if how == "killed":
                old.start()
            else:
                old.thaw()
            await asyncio.to_thread(group.rejoin, old)
            ready_at = time.monotonic()
            await asyncio.sleep(2.0)
            resumed_at = load.first_after(ready_at)
            lost = await load.lost()
            assert resumed_at is not None
            print(
                f"\n{how}: {len(load.acknowledged)} acknowledged, {load.refused} refused, {len(lost)} lost; "
                f"promoted after {promoted_at - ended_at:.1f} s, a replica again after {ready_at - promoted_at:.1f} s, "
                f"resumed {resumed_at - ready_at:.1f} s later"
            )
            assert lost == set()
            assert len(load.acknowledged) > 100
            assert resumed_at - ready_at <= RESUME_S

    asyncio.run(scenario())


def test_without_waiting_work_resumes_seconds_after_the_promotion(group: Sentinels) -> None:
    async def scenario() -> None:
        async with Load(group.url) as load:
            load.start()
            await asyncio.sleep(1.0)
            old = group.primary
            old.kill()
            await asyncio.to_thread(group.wait_for_promotion, old)
            promoted_at = time.monotonic()
            await asyncio.sleep(RESUME_S)
            resumed_at = [load.first_after(promoted_at, name) for name in load.names]
            lost = await load.lost()
            assert all(resumed_at)
            slowest = max(at for at in resumed_at if at) - promoted_at
            print(f"\n{len(load.acknowledged)} acknowledged, {len(lost)} lost; resumed {slowest:.1f} s after promotion")
            assert slowest <= RESUME_S

    asyncio.run(scenario())


@pytest.mark.parametrize("durability", ["standard", "replicated"])
def test_what_a_lagging_replica_lacks_is_lost_unless_it_was_waited_for(group: Sentinels, durability: str) -> None:
    async def scenario() -> None:
        async with Load(group.url, "standard" if durability == "standard" else "replicated", payload=LAGGING) as load:
            await asyncio.gather(*(load.put(f"before-{n}", load.names[0]) for n in range(10)))
            assert len(load.acknowledged) == 10
            old = group.primary
            [follower] = [server for server in group.servers if server is not old]
            follower.freeze()
            await asyncio.gather(*(load.put(f"behind-{n}", load.names[n % 8]) for n in range(60)))
            old.kill()
            follower.thaw()
            await asyncio.to_thread(group.wait_for_promotion, old)
            await asyncio.to_thread(group.rejoin, old.start())
            lost = await load.lost()
            print(f"\n{durability}: {len(load.acknowledged)} acknowledged, {load.refused} refused, {len(lost)} lost")
            if durability == "standard":
                assert len(load.acknowledged) == 70
                assert len(lost) > 0
            else:
                assert len(load.acknowledged) == 10
                assert lost == set()

    asyncio.run(scenario())


def test_an_old_primary_that_a_stale_sentinel_still_names_is_not_used(group: Sentinels) -> None:
    async def scenario() -> None:
        old = group.primary
        old.kill()
        await asyncio.to_thread(group.wait_for_promotion, old)
        stale = await asyncio.start_server(lambda r, w: _answer_as_before(r, w, old.port), HOST, 0)
        port = stale.sockets[0].getsockname()[1]
        hosts = ",".join([f"{HOST}:{port}", group.sentinels[0].address, group.sentinels[1].address])
        primary = SentinelPrimary(read_redis_url(f"redis+sentinel://{hosts}/{SERVICE}"), SystemClock(), plain_lane)
        assert await primary.ask() == (HOST, group.primary.port)
        await primary.close()
        stale.close()

    asyncio.run(scenario())


def plain_lane(client: Redis, *, timeout_s: float | None, around: Around) -> tuple[RedisLane, RedisLane]:
    lane = RedisLane(client.connection_pool, timeout_s=timeout_s, around=around)
    return lane, lane


async def _answer_as_before(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> None:
    """Answer every command as a sentinel that has heard nothing since the first configuration."""
    facts = ("name", SERVICE, "ip", HOST, "port", str(port), "flags", "master", "config-epoch", "0")
    while await reader.read(4096):
        writer.write(pack(facts))
        await writer.drain()
    writer.close()


def test_a_replica_is_never_written_to(shared: Sentinels) -> None:
    async def scenario() -> None:
        [follower] = [server for server in shared.servers if server is not shared.primary]
        primary = SentinelPrimary(read_redis_url(shared.url), SystemClock(), plain_lane)

        async def ask() -> tuple[str, int]:
            return HOST, follower.port

        primary.ask = ask  # type: ignore[method-assign]  # sentinels that are wrong
        lane = primary.make_lane()
        [reply] = await lane.execute([pack(("SET", "x", "1"))])
        assert "is a replica" in str(reply)
        await lane.close()
        await primary.close()

    asyncio.run(scenario())
