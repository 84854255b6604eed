"""The servers that a `redis_url` names: lanes to them, and what must be known of them before a node starts.

One server, a primary that sentinels watch, or a cluster: above the lanes nothing knows which. Source: redis-design §10.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Protocol, Self

from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from eventrouter.clock import Clock
from eventrouter.errors import ConfigError, Unavailable
from eventrouter.redis_url import RedisUrl, read_redis_url
from eventrouter.store.checks import (
    Durability,
    Finding,
    ServerFacts,
    judge_server,
    read_facts,
)
from eventrouter.store.connect import Lane, MakeLane, RedisLane, make_client
from eventrouter.store.connect_cluster import Cluster
from eventrouter.store.connect_replicated import ReplicatedLane, Replication
from eventrouter.store.connect_sentinel import Around, SentinelPrimary
from eventrouter.store.lua import SCRIPTS, Script


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What the servers are, and what is wrong with them, worst first."""

    name: str
    knows_memory: bool
    findings: tuple[Finding, ...]


class Way(Protocol):
    """How servers of one kind are reached."""

    @property
    def make_lane(self) -> MakeLane:
        """Make lanes to them."""
        ...

    async def inspect(self) -> tuple[Sequence[Redis], Sequence[Finding]]:
        """Return clients of all that take writes, to be closed, and what is wrong with how they hang together.

        Raises redis-py's ConnectionError.
        """
        ...

    async def close(self) -> None: ...


class Servers(AbstractAsyncContextManager["Servers"]):
    """The servers of one installation. Leaving the context closes what the lanes do not hold: close these first."""

    def __init__(
        self,
        url: str,
        *,
        clock: Clock,
        durability: Durability = "standard",
        replicas: int = 1,
        scripts: Mapping[str, Script] = SCRIPTS,
    ) -> None:
        """Nothing is connected yet. Raises ConfigError if the URL cannot be read."""
        try:
            self._url = read_redis_url(url)
        except ValueError as error:
            raise ConfigError(f"redis_url: {error}") from error
        self._durability = durability
        self._replicas = replicas
        replication = None
        if durability in {"replicated", "replicated-strict"}:
            replication = Replication(replicas=replicas, on_disk=durability == "replicated-strict")
        lane_of = partial(_lane_of, replication=replication, scripts=scripts)
        self._way = _WAYS[self._url.kind](self._url, clock, lane_of)
        self.make_lane: MakeLane = self._way.make_lane

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def __aenter__(self) -> Self:
        return self

    @property
    def is_cluster(self) -> bool:
        """Say whether there are several primaries, with a part of the keys each."""
        return self._url.kind == "cluster"

    async def survey(self) -> Survey:
        """Look at all servers that take writes. Raises Unavailable if one does not answer."""
        try:
            clients, found = await self._way.inspect()
        except RedisConnectionError as error:
            raise Unavailable(str(error)) from error
        findings = list(found)
        facts: list[ServerFacts] = []
        try:
            for client in clients:
                facts.append(await read_facts(client))
                findings += self._judge(client, facts[-1], is_one_of_many=len(clients) > 1)
        finally:
            for client in clients:
                await client.aclose()
        names = sorted({each.name for each in facts})
        kind = {"server": "", "sentinel": " behind sentinels", "cluster": f", a cluster of {len(facts)}"}
        return Survey(
            name="/".join(names) + kind[self._url.kind],
            knows_memory=all(each.info for each in facts),
            findings=tuple(sorted(findings, key=lambda finding: not finding.fatal)),
        )

    async def close(self) -> None:
        """Close what the lanes do not hold. The lanes must be closed first."""
        await self._way.close()

    def _judge(self, client: Redis, facts: ServerFacts, *, is_one_of_many: bool) -> list[Finding]:
        findings = judge_server(facts, self._durability, replicas=self._replicas, in_cluster=self.is_cluster)
        if not is_one_of_many:
            return findings
        options = client.connection_pool.connection_kwargs
        return [finding.at(f"{options['host']}:{options['port']}") for finding in findings]


def _lane_of(
    client: Redis,
    *,
    timeout_s: float | None,
    around: Around,
    replication: Replication | None,
    scripts: Mapping[str, Script],
) -> tuple[RedisLane, Lane]:
    """Make a lane to one server: one that waits for replicas, where the profile says so."""
    pool = client.connection_pool
    if replication is None or timeout_s is not None:
        lane = RedisLane(pool, timeout_s=timeout_s, around=around)
        return lane, lane
    inner = RedisLane(pool, around=around, patience_s=replication.timeout_s)
    return inner, ReplicatedLane(inner, replication, scripts)


class _OneServer:
    def __init__(self, url: RedisUrl, clock: Clock, lane_of: Callable[..., tuple[RedisLane, Lane]]) -> None:
        self._url = url.one
        self._client = make_client(url.one)
        self._lane_of = lane_of

    def make_lane(self, *, timeout_s: float | None = None, around: Around = nullcontext) -> Lane:
        return self._lane_of(self._client, timeout_s=timeout_s, around=around)[1]

    async def inspect(self) -> tuple[Sequence[Redis], Sequence[Finding]]:
        return [make_client(self._url)], []

    async def close(self) -> None:
        await self._client.aclose()


_WAYS: Mapping[str, Callable[..., Way]] = {"server": _OneServer, "sentinel": SentinelPrimary, "cluster": Cluster}
