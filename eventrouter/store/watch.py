"""Waiting for records of many shards over one connection.

One read is blocked in Redis on every shard that somebody of this node waits for. A shard's `new` stream holds the
id of its newest record, so the answers stay small. A waiter for a further shard interrupts the read by an entry in
a stream of this node's own, and the next read includes it. What a watch tells is a hint: whoever waited then reads.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from eventrouter.errors import StoreError, Unavailable
from eventrouter.rules.stream import RecordId
from eventrouter.store.connect import Argument, pack
from eventrouter.store.inbox import BLOCK_S

if TYPE_CHECKING:
    from random import Random

    from eventrouter.clock import Clock
    from eventrouter.store.connect import Lane, Scripts
    from eventrouter.store.keys import Keys
    from eventrouter.store.shard_keys import ShardKeys

SHARD_PACE_S = 0.000_01
"""Least time from read to read, for each shard in it: so that busy shards do not make the many idle ones costly."""
MOST_SKIPS = 10_000

Waiter = tuple[RecordId, asyncio.Future[None]]


class Watch:
    """All waits of one node. Something must make turns for waits to end."""

    def __init__(self, scripts: Scripts, keys: Keys, clock: Clock, random: Random, lane: Callable[[], Lane]) -> None:
        """The connection that `lane` makes must stand waiting for BLOCK_S."""
        self._scripts = scripts
        self._clock = clock
        self._lane = lane()
        self._wake_key = keys.of(f"w:{random.getrandbits(64):016x}", "wake")
        self._wake_seen = "0-0"
        self._waiters: dict[str, list[Waiter]] = {}
        self._skips: dict[tuple[str, RecordId], RecordId] = {}
        self._blocked_on: dict[str, RecordId] | None = None
        self._is_interrupted = False
        self._interrupts: set[asyncio.Task[None]] = set()
        self._wanted = asyncio.Event()

    async def wait(self, shard: ShardKeys, after: RecordId) -> None:
        """Return when there is a record after an id, or the shard was closed or removed; or, at times, early."""
        after = self._skips.pop((shard.new, after), after)
        waiter = (after, asyncio.get_running_loop().create_future())
        self._waiters.setdefault(shard.new, []).append(waiter)
        self._wanted.set()
        if self._blocked_on is not None and self._blocked_on.get(shard.new, _NEVER) > after:
            self._interrupt()
        try:
            await waiter[1]
        finally:
            self._forget(shard.new, waiter)

    def wake(self, shard: ShardKeys) -> None:
        """Let everybody on this node who waits for a shard go on."""
        for _, future in self._waiters.get(shard.new, ()):
            _end(future)

    def skip(self, shard: ShardKeys, after: RecordId, newest: RecordId) -> None:
        """Note that between two ids there is nothing to read: the next wait after the first is one after the second."""
        if len(self._skips) >= MOST_SKIPS:
            self._skips.clear()
        self._skips[shard.new, after] = newest

    async def turn(self) -> float:
        """Make one blocked read; return how many seconds to rest before the next. Raises Unavailable."""
        if not self._waiters:
            self._wanted.clear()
            with contextlib.suppress(TimeoutError), self._clock.unhurried():
                async with asyncio.timeout(BLOCK_S):
                    await self._wanted.wait()
            return 0.0
        watched = {key: min(after for after, _ in waiters) for key, waiters in self._waiters.items()}
        self._blocked_on = watched
        began = self._clock.monotonic()
        try:
            answers = await self._lane.execute([self._read_command(watched)])
        finally:
            self._blocked_on, self._is_interrupted = None, False
        if isinstance(answers[0], Exception):
            # After a failover ids may begin lower than those seen: everybody looks again.
            self._wake_seen = "0-0"
            for waiters in self._waiters.values():
                for _, future in waiters:
                    _end(future)
            raise Unavailable(f"the shards could not be watched: {answers[0]}") from answers[0]
        for key, entries in answers[0] or ():
            self._tell(key.decode(), entries[0][0].decode())
        return max(0.0, began + len(watched) * SHARD_PACE_S - self._clock.monotonic())

    async def close(self) -> None:
        """Close the connection. Nobody may be making a turn."""
        while self._interrupts:
            await asyncio.wait(tuple(self._interrupts))
        await self._lane.close()

    def _read_command(self, watched: dict[str, RecordId]) -> bytes:
        parts: list[Argument] = ["XREAD", "COUNT", 1, "BLOCK", round(BLOCK_S * 1_000), "STREAMS"]
        parts += [self._wake_key, *watched, self._wake_seen]
        parts += [f"{ms}-{n}" for ms, n in watched.values()]
        return pack(tuple(parts))

    def _tell(self, key: str, entry: str) -> None:
        """End the waits that an entry answers."""
        if key == self._wake_key:
            self._wake_seen = entry
            return
        ms, _, n = entry.partition("-")
        newest = RecordId(int(ms), int(n))
        for after, future in self._waiters.get(key, ()):
            if after < newest:
                _end(future)

    def _forget(self, key: str, waiter: Waiter) -> None:
        waiters = self._waiters[key]
        waiters.remove(waiter)
        if not waiters:
            del self._waiters[key]

    def _interrupt(self) -> None:
        """Have the read under way return, once."""
        if not self._is_interrupted:
            self._is_interrupted = True
            task = asyncio.get_running_loop().create_task(self._write_wake(), name="streams-wake")
            self._interrupts.add(task)
            task.add_done_callback(self._interrupts.discard)

    async def _write_wake(self) -> None:
        with contextlib.suppress(StoreError):  # the read then ends by itself, in time
            await self._scripts.call("reader_wake", (self._wake_key,), (), budget_s=BLOCK_S)


_NEVER = RecordId(2**63, 0)
"""Later than any record."""


def _end(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
