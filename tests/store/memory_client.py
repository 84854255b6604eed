"""A redis-py client of an in-memory server, for tests that look at what a store has left there."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

from hiredis import pack_command
from redis.asyncio import Connection, ConnectionPool, Redis

from eventrouter.store.connect import MakeLane, redis_lanes
from eventrouter.testing.memory import MemoryServer


class MemoryConnection(Connection):
    """A connection that is a lane of a server in this process."""

    def __init__(self, *, memory: MemoryServer, **options: Any) -> None:
        super().__init__(**options)
        self._memory_lane = memory.lane()
        self._replies: deque[Any] = deque()

    @property
    def is_connected(self) -> bool:
        return True

    async def connect(self) -> None: ...

    async def disconnect(self, *arguments: Any, **options: Any) -> None: ...

    async def can_read(self) -> bool:
        return bool(self._replies)

    async def can_read_destructive(self) -> bool:
        return bool(self._replies)

    def pack_command(self, *parts: Any) -> list[bytes]:
        return [pack_command(tuple(parts))]

    async def send_command(self, *parts: Any, **options: Any) -> None:
        words = [word for part in parts[:1] for word in part.split()]
        await self.send_packed_command(self.pack_command(*words, *map(self.encoder.encode, parts[1:])))

    async def send_packed_command(self, command: Sequence[bytes], check_health: bool = True) -> None:
        self._replies.extend(await self._memory_lane.execute(command))

    async def read_response(self, *arguments: Any, **options: Any) -> Any:
        reply = self._replies.popleft()
        if isinstance(reply, Exception):
            raise reply
        return reply


def memory_client(memory: MemoryServer) -> Redis:
    return Redis(connection_pool=ConnectionPool(connection_class=MemoryConnection, memory=memory, protocol=2))


def lanes_of(client: Redis) -> MakeLane:
    """Return what makes lanes to a client's servers: without the client, if it says how."""
    make_lane: MakeLane | None = getattr(client, "make_lane", None)
    if make_lane is not None:
        return make_lane
    memory: MemoryServer | None = client.connection_pool.connection_kwargs.get("memory")
    return memory.lane if memory else redis_lanes(client)
