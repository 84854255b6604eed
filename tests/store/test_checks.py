"""What is said about a server before a node relies on it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import fakeredis
import pytest

from eventrouter.errors import Unavailable
from eventrouter.store.checks import Durability, ServerFacts, check_server, judge_server
from eventrouter.store.connect import make_client
from eventrouter.store.embedded import EmbeddedValkey

GOOD_INFO = {"redis_version": "7.2.4", "valkey_version": "9.1.2", "role": "master", "redis_mode": "standalone"}
GOOD_CONFIG = {
    "maxmemory": "1000000",
    "maxmemory-policy": "noeviction",
    "appendonly": "yes",
    "appendfsync": "everysec",
    "timeout": "0",
    "tcp-keepalive": "60",
}


def judge(durability: Durability = "standard", **changes: str) -> list[tuple[bool, str]]:
    info: Mapping[str, str] = GOOD_INFO | {name: value for name, value in changes.items() if name in GOOD_INFO}
    config = GOOD_CONFIG | {name.replace("_", "-"): value for name, value in changes.items() if name not in GOOD_INFO}
    return [(found.fatal, found.what) for found in judge_server(ServerFacts(info=info, config=config), durability)]


@pytest.mark.unit
def test_a_good_server_is_passed_in_silence() -> None:
    assert judge() == []


@pytest.mark.unit
@pytest.mark.parametrize(
    ("durability", "changes", "expected"),
    [
        ("standard", {"maxmemory_policy": "allkeys-lru"}, (True, "maxmemory-policy is allkeys-lru")),
        ("memory", {"maxmemory_policy": "volatile-ttl"}, (True, "maxmemory-policy is volatile-ttl")),
        ("standard", {"maxmemory": "0"}, (False, "maxmemory is not set")),
        ("standard", {"appendonly": "no"}, (True, "appendonly is no")),
        ("strict", {"appendonly": "no"}, (True, "appendonly is no")),
        ("strict", {}, (True, "appendfsync is everysec")),
        ("standard", {"timeout": "300"}, (False, "timeout is 300 s")),
        ("standard", {"tcp_keepalive": "0"}, (False, "tcp-keepalive is off")),
        ("standard", {"valkey_version": "7.1.9"}, (True, "the server is Valkey 7.1.9")),
        ("standard", {"role": "slave"}, (True, "the server is a replica")),
        ("standard", {"redis_mode": "cluster"}, (True, "the server is a cluster node")),
    ],
)
def test_a_wrong_setting_is_found(durability: Durability, changes: dict[str, str], expected: tuple[bool, str]) -> None:
    assert judge(durability, **changes) == [expected]


@pytest.mark.unit
def test_the_memory_profile_needs_no_append_only_file_and_strict_is_met_by_always() -> None:
    assert judge("memory", appendonly="no") == []
    assert judge("strict", appendfsync="always") == []


@pytest.mark.unit
@pytest.mark.parametrize(
    ("version", "fatal"), [("6.2.14", True), ("7.0.0", False), ("8.4.1", False), ("10.0.0", False)]
)
def test_redis_is_supported_from_seven(version: str, *, fatal: bool) -> None:
    found = judge_server(ServerFacts(info={"redis_version": version}, config=GOOD_CONFIG), "standard")
    assert [finding.fatal for finding in found] == ([True] if fatal else [])


@pytest.mark.unit
def test_every_finding_says_why_and_how_to_mend_it() -> None:
    info = GOOD_INFO | {"role": "slave", "redis_mode": "cluster", "valkey_version": "1.0"}
    config = {"maxmemory": "0", "maxmemory-policy": "x", "appendonly": "no", "timeout": "1", "tcp-keepalive": "0"}
    found = judge_server(ServerFacts(info=info, config=config, refused=("INFO",)), "strict")

    assert len(found) == 9
    assert all(finding.why and finding.fix for finding in found)
    assert [finding.fatal for finding in found] == sorted((finding.fatal for finding in found), reverse=True)


@pytest.mark.unit
def test_settings_that_config_hides_are_read_from_info() -> None:
    info = GOOD_INFO | {"maxmemory": "0", "maxmemory_policy": "allkeys-lfu", "aof_enabled": "0"}
    found = judge_server(ServerFacts(info=info, refused=("CONFIG GET",)), "standard")

    assert [finding.what for finding in found] == [
        "maxmemory-policy is allkeys-lfu",
        "appendonly is no",
        "maxmemory is not set",
        "the server refuses CONFIG GET",
    ]


@pytest.mark.integration
def test_a_server_that_refuses_to_tell_is_warned_about() -> None:
    async def scenario() -> None:
        client = fakeredis.FakeAsyncRedis()
        [finding] = await check_server(client, "standard")
        await client.aclose()
        assert not finding.fatal
        assert finding.what == "the server refuses INFO and CONFIG GET"

    asyncio.run(scenario())


@pytest.mark.integration
def test_a_live_server_is_asked(valkey: EmbeddedValkey) -> None:
    async def scenario() -> None:
        client = make_client(valkey.url)
        try:
            assert await check_server(client, "memory") == []
            assert [finding.what for finding in await check_server(client, "standard")] == ["appendonly is no"]
            await client.config_set("maxmemory-policy", "allkeys-lru")
            assert [finding.fatal for finding in await check_server(client, "memory")] == [True]
        finally:
            await client.config_set("maxmemory-policy", "noeviction")
            await client.aclose()

    asyncio.run(scenario())


@pytest.mark.integration
def test_a_server_that_is_not_there_is_unavailable() -> None:
    async def scenario() -> None:
        client = make_client("unix:///nonexistent/valkey.sock")
        with pytest.raises(Unavailable):
            await check_server(client, "standard")
        await client.aclose()

    asyncio.run(scenario())
