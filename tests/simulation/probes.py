"""The auditor: looks at the store every second of trouble, outside of all faults, and at the end at what is left."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from tests.store.conservation import audit

if TYPE_CHECKING:
    from tests.simulation.world import World


class Atomic:
    """The commands that an audit needs, as a client's methods; each is done at once."""

    def __init__(self, world: World) -> None:
        self._server = world.server

    async def hgetall(self, key: str) -> dict[bytes, bytes]:
        fields = iter(self._server.command("HGETALL", key))
        return dict(zip(fields, fields, strict=True))

    async def hkeys(self, key: str) -> list[bytes]:
        return list(self._server.command("HKEYS", key))

    async def hvals(self, key: str) -> list[bytes]:
        return list(self._server.command("HVALS", key))

    async def smembers(self, key: str) -> set[bytes]:
        return set(self._server.command("SMEMBERS", key))

    async def zrange(self, key: str, first: int, last: int, *, withscores: bool) -> list[tuple[bytes, float]]:
        items = iter(self._server.command("ZRANGE", key, first, last, "WITHSCORES"))
        return [(member, float(score)) for member, score in zip(items, items, strict=True)]

    async def scan_iter(self, *, match: str, count: int) -> AsyncIterator[bytes]:
        for key in self._server.command("KEYS", match.replace("{", "\\{")):
            yield key


def at_once(work: Any) -> Any:
    """Run a coroutine that waits for nothing."""
    try:
        work.send(None)
    except StopIteration as done:
        return done.value
    raise RuntimeError("it waits")


class Auditor:
    """Looks."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._client = Atomic(world)

    def look(self) -> None:
        """Check the conservation laws now."""
        world = self._world
        if world.server.connected:
            for breach in at_once(audit(self._client, world.keys)):  # type: ignore[arg-type]
                world.story.breach(f"at {world.loop.time():.1f} s: {breach}")

    def ill(self) -> str | None:
        """Say what is not well yet."""
        world = self._world
        for host in world.hosts:
            if not host.is_up:
                return f"node {host.number} is down"
        listed = {inc.decode() for inc in world.server.command("HKEYS", world.keys.installation("hosts"))}
        mine = {host.node.membership.incarnation for host in world.hosts if host.node is not None}
        if listed != mine:
            return f"listed are {sorted(listed)}, up are {sorted(mine)}"
        if dead := world.server.command("HKEYS", world.keys.installation("dead")):
            return f"dead: {dead}"
        for host in world.hosts:
            assert host.node is not None
            if host.node.membership.beat_age_s > 3 or not host.node.membership.may_take_work:
                return f"node {host.number} has not beaten"
        return None

    def left(self) -> list[str]:
        """Return what should be gone once all is over."""
        world = self._world
        found = []
        for partition in range(world.keys.partitions):
            for name in ("ev", "pl", "lr"):
                if fields := world.server.command("HKEYS", world.keys.events(partition, name)):
                    found.append(f"{name} of e{partition}: {sorted(fields)[:5]}")
        if used := world.server.command("HGETALL", world.keys.installation("use")):
            found.append(f"slots: {used}")
        return found
