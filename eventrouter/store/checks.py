"""What a server must be like before a node relies on it, and how to make it so.

Facts are read once, from INFO and CONFIG GET; judging them is a pure function. A server that refuses either
command (a managed one, or a user without the right) is warned about, not refused. Source: redis-design §9, §12.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from eventrouter.errors import Unavailable

Durability = Literal["memory", "standard", "strict", "replicated", "replicated-strict"]

_SETTINGS = (
    *("maxmemory", "maxmemory-policy", "appendonly", "appendfsync", "timeout", "tcp-keepalive"),
    *("min-replicas-to-write", "min-replicas-max-lag", "cluster-require-full-coverage"),
)
_WAITAOF_SINCE = (7, 2)
_OLDEST = {"redis": (7, 0), "valkey": (7, 2)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something about the server that is not as it should be. `fatal`: a node must not start on it."""

    fatal: bool
    what: str
    why: str
    fix: str

    def at(self, address: str) -> Finding:
        """Return the finding with the address of the server that it is about."""
        return replace(self, what=f"{address}: {self.what}")


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

    @property
    def replicas(self) -> int:
        """Return how many replicas follow the server at this moment."""
        slaves = (value for name, value in self.info.items() if re.fullmatch(r"slave\d+", name))
        return sum("state=online" in value or "'state': 'online'" in value for value in slaves)

    @property
    def version(self) -> tuple[int, ...]:
        """Return the two leading numbers of the version; none if it is unknown."""
        text = self.info.get("valkey_version") or self.info.get("redis_version") or ""
        return tuple(int(part) for part in re.findall(r"\d+", text)[:2])


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


def judge_server(
    facts: ServerFacts, durability: Durability, *, replicas: int = 1, in_cluster: bool = False
) -> list[Finding]:
    """Say what is wrong with a server, worst first. `in_cluster`: it is meant to be a node of one."""
    findings = [
        *_judge_server_kind(facts, in_cluster=in_cluster),
        *_judge_memory(facts),
        *_judge_persistence(facts, durability),
        *(_judge_replicas(facts, durability, replicas) if durability.startswith("replicated") else ()),
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


def judge_quorum(problem: str | None) -> list[Finding]:
    """Say what is wrong with sentinels that could not agree now."""
    if problem is None:
        return []
    return [
        Finding(
            fatal=False,
            what=f"the sentinels could not elect another primary: {problem}",
            why="if the primary ends now, nothing takes its place",
            fix="run at least three sentinels on three machines, and see that they reach each other",
        )
    ]


def judge_coverage(covered: int, slots: int) -> list[Finding]:
    """Say what is wrong with a cluster that serves so many of its slots."""
    if covered == slots:
        return []
    return [
        Finding(
            fatal=True,
            what=f"the cluster serves {covered} of {slots} slots",
            why="what belongs to the others can be neither taken nor found",
            fix="bring back the primaries that are away, or give their slots to others: redis-cli --cluster fix",
        )
    ]


def _judge_server_kind(facts: ServerFacts, *, in_cluster: bool) -> list[Finding]:
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
    if "cluster" in {facts.info.get("redis_mode"), facts.info.get("server_mode")} and not in_cluster:
        findings.append(
            Finding(
                fatal=True,
                what="the server is a cluster node",
                why="a redis:// URL names one server, and a cluster node answers for its own slots only",
                fix="write redis+cluster://host:port, with some of its nodes",
            )
        )
    if in_cluster and facts.setting("cluster-require-full-coverage") == "yes":
        findings.append(
            Finding(
                fatal=False,
                what="cluster-require-full-coverage is yes",
                why="when one primary is away, the others refuse work too",
                fix="CONFIG SET cluster-require-full-coverage no",
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


def _judge_replicas(facts: ServerFacts, durability: Durability, wanted: int) -> list[Finding]:
    if not facts.info:
        return []
    findings: list[Finding] = []
    if facts.replicas < wanted:
        findings.append(
            Finding(
                fatal=True,
                what=f"{facts.replicas} replicas follow the server",
                why=f"with durability={durability} and replicas={wanted} it could accept nothing",
                fix="start replicas (replicaof HOST PORT), or lower `replicas`, or set durability to standard",
            )
        )
    elif facts.replicas > wanted:
        findings.append(
            Finding(
                fatal=False,
                what=f"{facts.replicas} replicas follow the server, and {wanted} must have an event",
                why="an event is lost if a replica that lacks it becomes the primary",
                fix=f"set replicas to {facts.replicas}",
            )
        )
    least = facts.setting("min-replicas-to-write")
    if least is not None and int(least) < wanted:
        findings.append(
            Finding(
                fatal=False,
                what=f"min-replicas-to-write is {least}",
                why="a primary that is cut off goes on taking what is lost with it: claims, and results of runs",
                fix=f"CONFIG SET min-replicas-to-write {wanted}, and min-replicas-max-lag 3",
            )
        )
    if durability == "replicated-strict":
        if "valkey_version" not in facts.info and facts.version < _WAITAOF_SINCE:
            findings.append(
                Finding(
                    fatal=True,
                    what=f"the server is Redis {facts.info.get('redis_version')}",
                    why="with durability=replicated-strict it must know WAITAOF",
                    fix="upgrade to Redis 7.2 or any Valkey, or set durability to replicated",
                )
            )
        if facts.setting("appendfsync") not in {None, "always"}:
            findings.append(
                Finding(
                    fatal=False,
                    what=f"appendfsync is {facts.setting('appendfsync')}",
                    why="every event then waits for the next second's disk sync",
                    fix="CONFIG SET appendfsync always, on the replicas too",
                )
            )
    return findings


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
