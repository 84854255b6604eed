"""The in-memory Redis keeps the caller's time and no other."""

from __future__ import annotations

import asyncio
import time

import fakeredis
import pytest

from eventrouter.testing.redis import virtual_redis

pytestmark = pytest.mark.integration


def test_the_server_tells_and_keeps_the_callers_time() -> None:
    now = [1_000_000.25]

    async def scenario() -> None:
        with virtual_redis(lambda: now[0]) as connect:
            client, other = connect(), connect()
            assert await client.time() == (1_000_000, 250_000)
            script = "return redis.call('TIME')[1]"
            await client.set("short", "1", px=1_500)
            entry = await client.xadd("stream", {"a": "b"})
            now[0] += 1
            assert await other.get("short") == b"1"
            now[0] += 1
            assert await other.get("short") is None
            assert await other.eval(script, 0) == b"1000002"
            assert entry == b"1000000250-0"
            await client.aclose()
            await other.aclose()

    asyncio.run(scenario())


def test_real_time_is_back_afterwards() -> None:
    async def scenario() -> int:
        client = fakeredis.FakeAsyncRedis()
        seconds, _ = await client.time()
        await client.aclose()
        return int(seconds)

    with virtual_redis(lambda: 5.0), virtual_redis(lambda: 7.0):
        assert asyncio.run(scenario()) == 7
    assert abs(asyncio.run(scenario()) - time.time()) < 3_600
