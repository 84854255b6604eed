"""What a server must be like before a node relies on it, and how to make it so.

Facts are read once, from INFO and CONFIG GET; judging them is a pure function. A server that refuses either
command (a managed one, or a user without the right) is warned about, not refused. Source: redis-design §9, §12.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from eventrouter.errors import Unavailable

Durability = Literal["memory", "standard", "strict"]

_SETTINGS = ("maxmemory", "maxmemory-policy", "appendonly", "appendfsync", "timeout", "tcp-keepalive")
_OLDEST = {"redis": (7, 0), "valkey": (7, 2)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something about the server that is not as it should be. `fatal`: a node must not start on it."""

    fatal: bool
    what: str
    why: str
    fix: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerFacts:
    """What a server says of itself. `refused` names the commands it would not answer."""

    info: Mapping[str, str] = field(default_factory=dict)
    config: Mapping[str, str] = field(default_factory=dict)
    refused: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Return the server's kind and version, such as `Valkey 9.1.2`."""
        if version := self.info.get("valkey_version"):
            return f"Valkey {version}"
        return f"Redis {self.info.get('redis_version', '(version unknown)')}"

    def setting(self, name: str) -> str | None:
        """Return a setting's value, from CONFIG or from the part of INFO that repeats it; None if unknown."""
        found = self.config.get(name)
        if found is None and name == "appendonly":
            enabled = self.info.get("aof_enabled")
            return None if enabled is None else ("yes" if enabled == "1" else "no")
        return self.info.get(name.replace("-", "_")) if found is None else found


async def check_server(client: Redis, durability: Durability) -> list[Finding]:
    """Return what is wrong with the server for this durability. Raises Unavailable if it does not answer."""
    return judge_server(await read_facts(client), durability)


async def read_facts(client: Redis) -> ServerFacts:
    """Ask a server about itself. Raises Unavailable if it does not answer at all."""
    refused: list[str] = []
    info: dict[str, str] = {}
    config: dict[str, str] = {}
    try:
        try:
            info = _info(await client.execute_command("INFO"))  # type: ignore[no-untyped-call]  # redis-py has no types here
        except ResponseError:
            refused.append("INFO")
        try:
            config = _pairs(await client.execute_command("CONFIG GET", *_SETTINGS))  # type: ignore[no-untyped-call]  # as above
        except ResponseError:
            refused.append("CONFIG GET")
    except (RedisConnectionError, RedisTimeoutError, OSError) as error:
        raise Unavailable(f"Redis does not answer: {error}") from error
    return ServerFacts(info=info, config=config, refused=tuple(refused))


def _info(answer: Any) -> dict[str, str]:
    """Read INFO, which redis-py may have parsed already."""
    if isinstance(answer, Mapping):
        return {str(name): str(value) for name, value in answer.items()}
    text = answer.decode() if isinstance(answer, bytes) else str(answer)
    lines = (line.split(":", 1) for line in text.splitlines() if ":" in line and not line.startswith("#"))
    return {name: value.strip() for name, value in lines}


def _pairs(answer: Any) -> dict[str, str]:
    """Read CONFIG GET, a mapping or a flat array."""
    items = answer.items() if isinstance(answer, Mapping) else zip(answer[::2], answer[1::2], strict=True)
    return {_text(name): _text(value) for name, value in items}


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def judge_server(facts: ServerFacts, durability: Durability) -> list[Finding]:
    """Say what is wrong with a server, worst first."""
    findings = [
        *_judge_server_kind(facts),
        *_judge_memory(facts),
        *_judge_persistence(facts, durability),
        *_judge_connections(facts),
    ]
    if facts.refused:
        findings.append(
            Finding(
                fatal=False,
                what=f"the server refuses {' and '.join(facts.refused)}",
                why="its settings could not be checked",
                fix="allow the user +info and +config|get, or see to these settings yourself: maxmemory-policy "
                "noeviction, appendonly yes, timeout 0, tcp-keepalive 60",
            )
        )
    return sorted(findings, key=lambda finding: not finding.fatal)


def _judge_server_kind(facts: ServerFacts) -> list[Finding]:
    findings: list[Finding] = []
    kind = "valkey" if "valkey_version" in facts.info else "redis"
    version = facts.info.get(f"{kind}_version")
    numbers = tuple(int(part) for part in re.findall(r"\d+", version or "")[:2])
    if version is not None and numbers < _OLDEST[kind]:
        oldest = ".".join(map(str, _OLDEST[kind]))
        findings.append(
            Finding(
                fatal=True,
                what=f"the server is {kind.capitalize()} {version}",
                why="older ones lack commands that the scripts use, or replicate scripts differently",
                fix=f"upgrade to {kind.capitalize()} {oldest} or newer",
            )
        )
    if facts.info.get("role") == "slave":
        findings.append(
            Finding(
                fatal=True,
                what="the server is a replica",
                why="a replica takes no writes",
                fix="set redis_url to the primary, or make this one the primary: REPLICAOF NO ONE",
            )
        )
    if facts.info.get("redis_mode") == "cluster":
        findings.append(
            Finding(
                fatal=True,
                what="the server is a cluster node",
                why="a redis:// URL names one server, and a cluster node answers for its own slots only",
                fix="set redis_url to a server with cluster-enabled no",
            )
        )
    return findings


def _judge_memory(facts: ServerFacts) -> list[Finding]:
    findings: list[Finding] = []
    policy = facts.setting("maxmemory-policy")
    if policy is not None and policy != "noeviction":
        findings.append(
            Finding(
                fatal=True,
                what=f"maxmemory-policy is {policy}",
                why="evicting keys loses accepted events",
                fix="CONFIG SET maxmemory-policy noeviction",
            )
        )
    if facts.setting("maxmemory") == "0":
        findings.append(
            Finding(
                fatal=False,
                what="maxmemory is not set",
                why="a backlog then grows until the machine's memory ends and the server is killed, instead of being "
                "refused with 503",
                fix="CONFIG SET maxmemory 2gb (about half of the memory the server may use)",
            )
        )
    return findings


def _judge_persistence(facts: ServerFacts, durability: Durability) -> list[Finding]:
    if durability == "memory":
        return []
    if facts.setting("appendonly") == "no":
        return [
            Finding(
                fatal=True,
                what="appendonly is no",
                why=f"with durability={durability} an accepted event must survive a restart of the server",
                fix="CONFIG SET appendonly yes, or set durability to memory",
            )
        ]
    if durability == "strict" and facts.setting("appendfsync") not in {None, "always"}:
        return [
            Finding(
                fatal=True,
                what=f"appendfsync is {facts.setting('appendfsync')}",
                why="with durability=strict an accepted event must survive a loss of power",
                fix="CONFIG SET appendfsync always, or set durability to standard",
            )
        ]
    return []


def _judge_connections(facts: ServerFacts) -> list[Finding]:
    findings: list[Finding] = []
    if facts.setting("timeout") not in {None, "0"}:
        findings.append(
            Finding(
                fatal=False,
                what=f"timeout is {facts.setting('timeout')} s",
                why="the server closes connections that are quiet for a while, which costs repeated calls",
                fix="CONFIG SET timeout 0",
            )
        )
    if facts.setting("tcp-keepalive") == "0":
        findings.append(
            Finding(
                fatal=False,
                what="tcp-keepalive is off",
                why="connections of hosts that vanished stay open for ever",
                fix="CONFIG SET tcp-keepalive 60",
            )
        )
    return findings
