"""What is said about a server before a node relies on it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import fakeredis
import pytest

from eventrouter.clock import SystemClock
from eventrouter.errors import Unavailable
from eventrouter.store.checks import Durability, Finding, ServerFacts, judge_server, read_facts
from eventrouter.store.connect import make_client
from eventrouter.store.embedded import EmbeddedValkey
from eventrouter.store.servers import Servers

GOOD_INFO = {"redis_version": "7.2.4", "valkey_version": "9.1.2", "role": "master", "redis_mode": "standalone"}
GOOD_CONFIG = {
    "maxmemory": "1000000",
    "maxmemory-policy": "noeviction",
    "appendonly": "yes",
    "appendfsync": "everysec",
    "timeout": "0",
    "tcp-keepalive": "60",
    "min-replicas-to-write": "1",
    "cluster-require-full-coverage": "no",
}
FOLLOWED = {"slave0": "ip=10.0.0.2,port=6379,state=online,offset=1,lag=0"}


def judge(durability: Durability = "standard", **changes: str) -> list[tuple[bool, str]]:
    info: Mapping[str, str] = GOOD_INFO | {name: value for name, value in changes.items() if name in GOOD_INFO}
    config = GOOD_CONFIG | {name.replace("_", "-"): value for name, value in changes.items() if name not in GOOD_INFO}
    return [(found.fatal, found.what) for found in judge_server(ServerFacts(info=info, config=config), durability)]


def judge_replicas(durability: Durability = "replicated", replicas: int = 1, **changes: str) -> list[tuple[bool, str]]:
    info = GOOD_INFO | {name: value for name, value in changes.items() if name.startswith(("slave", "valkey", "redis"))}
    config = GOOD_CONFIG | {name.replace("_", "-"): value for name, value in changes.items() if name not in info}
    facts = ServerFacts(info=info, config=config)
    return [(found.fatal, found.what) for found in judge_server(facts, durability, replicas=replicas)]


async def check(url: str, durability: Durability) -> tuple[Finding, ...]:
    async with Servers(url, clock=SystemClock(), durability=durability) as servers:
        return (await servers.survey()).findings


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
@pytest.mark.parametrize(
    ("durability", "replicas", "changes", "expected"),
    [
        ("replicated", 1, FOLLOWED, []),
        ("standard", 1, {}, []),
        ("replicated", 1, {}, [(True, "0 replicas follow the server")]),
        ("replicated", 1, {"slave0": "ip=a,port=1,state=wait_bgsave"}, [(True, "0 replicas follow the server")]),
        ("replicated", 2, FOLLOWED | {"min_replicas_to_write": "2"}, [(True, "1 replicas follow the server")]),
        (
            "replicated",
            1,
            FOLLOWED | {"slave1": FOLLOWED["slave0"]},
            [(False, "2 replicas follow the server, and 1 must have an event")],
        ),
        ("replicated", 1, FOLLOWED | {"min_replicas_to_write": "0"}, [(False, "min-replicas-to-write is 0")]),
        ("replicated", 1, FOLLOWED | {"appendonly": "no"}, [(True, "appendonly is no")]),
        ("replicated-strict", 1, FOLLOWED, [(False, "appendfsync is everysec")]),
        ("replicated-strict", 1, FOLLOWED | {"appendfsync": "always"}, []),
    ],
)
def test_replicated_needs_replicas(
    durability: Durability, replicas: int, changes: dict[str, str], expected: list[tuple[bool, str]]
) -> None:
    assert judge_replicas(durability, replicas, **changes) == expected


@pytest.mark.unit
def test_a_redis_without_waitaof_cannot_wait_for_disks() -> None:
    facts = ServerFacts(info={"redis_version": "7.0.15", **FOLLOWED}, config=GOOD_CONFIG | {"appendfsync": "always"})

    [finding] = judge_server(facts, "replicated-strict")
    assert (finding.fatal, finding.what) == (True, "the server is Redis 7.0.15")


@pytest.mark.unit
def test_a_cluster_node_is_right_in_a_cluster_and_should_go_on_when_others_are_away() -> None:
    facts = ServerFacts(
        info=GOOD_INFO | {"redis_mode": "cluster"}, config=GOOD_CONFIG | {"cluster-require-full-coverage": "yes"}
    )

    [finding] = judge_server(facts, "standard", in_cluster=True)
    assert (finding.fatal, finding.what) == (False, "cluster-require-full-coverage is yes")


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
        [finding] = judge_server(await read_facts(client), "standard")
        await client.aclose()
        assert not finding.fatal
        assert finding.what == "the server refuses INFO and CONFIG GET"

    asyncio.run(scenario())


@pytest.mark.integration
def test_a_live_server_is_asked(valkey: EmbeddedValkey) -> None:
    async def scenario() -> None:
        client = make_client(valkey.url)
        try:
            assert await check(valkey.url, "memory") == ()
            assert [finding.what for finding in await check(valkey.url, "standard")] == ["appendonly is no"]
            await client.config_set("maxmemory-policy", "allkeys-lru")
            assert [finding.fatal for finding in await check(valkey.url, "memory")] == [True]
        finally:
            await client.config_set("maxmemory-policy", "noeviction")
            await client.aclose()

    asyncio.run(scenario())


@pytest.mark.integration
def test_a_server_that_is_not_there_is_unavailable() -> None:
    async def scenario() -> None:
        with pytest.raises(Unavailable):
            await check("unix:///nonexistent/valkey.sock", "standard")

    asyncio.run(scenario())
