"""An in-memory server for nodes in tests: the commands that scripts use, and the scripts, in one Lua runtime.

Nothing that a script calls leaves Lua, and each script is compiled once, so a call costs some ten microseconds. A
pipeline crosses to Lua and back once, as the bytes that a socket would carry. A form of a command that is not there is
refused with an error that names it. Time is the caller's, in expiry and ids too; walks over tables have one order, so
the same calls give the same history.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from hiredis import Reader
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, ResponseError

try:
    from lupa.luajit21 import LuaRuntime
except ImportError:  # not on every machine
    from lupa.lua51 import LuaRuntime

PARTS = ("memory_json", "memory_server", "memory_values", "memory_zsets", "memory_streams")
AWAY = "the in-memory server is away"


@dataclass(frozen=True, slots=True)
class _Block:
    """A command that waits: where it begins, for how many ms (0: for ever), and on which keys."""

    at: int
    ms: int
    keys: list[bytes]


class MemoryServer:
    """One server; all its lanes share what it holds."""

    def __init__(self, now: Callable[[], float], *, on_change: Callable[[bytes], None] | None = None) -> None:
        """`now` counts seconds from the epoch. `on_change` is called with each key that has changed."""
        self._now = now
        self._on_change = on_change
        self._connected = True
        self._waiting: dict[bytes, dict[asyncio.Future[bool], None]] = {}  # in order: whoever waits first goes first
        self._run = _start()

    @property
    def connected(self) -> bool:
        """Whether the server can be reached; while it cannot, nothing runs and whoever waits is cut off."""
        return self._connected

    @connected.setter
    def connected(self, connected: bool) -> None:
        self._connected = connected
        if not connected:
            self._wake(tuple(self._waiting))

    def lane(
        self,
        *,
        timeout_s: float | None = None,
        around: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> MemoryLane:
        """Return a lane. Answers are never late, so no timeout is needed; `around` is entered for timers."""
        return MemoryLane(self, around)

    def run(self, data: bytes, at: int, patient: int, replies: list[Any]) -> _Block | None:
        """Run packed commands from a position on, and append their replies; stop before one that waits."""
        wants_changes = self._on_change is not None or bool(self._waiting)
        answer, count, *block = self._run(data, at, round(self._now() * 1_000_000), wants_changes, patient)
        reader = Reader(replyError=_error)
        reader.feed(answer)
        replies.extend(reader.gets() for _ in range(count))
        if wants_changes:
            changed = reader.gets()
            if self._on_change is not None:
                for key in changed:
                    self._on_change(key)
            if self._waiting:
                self._wake(changed)
        if not block:
            return None
        reader.feed(block[2])
        return _Block(block[0], block[1], reader.gets())

    @contextmanager
    def waiting(self, keys: Sequence[bytes]) -> Iterator[asyncio.Future[bool]]:
        """Give a future that ends, with True, when one of the keys has changed."""
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        watched = dict.fromkeys(keys)
        for key in watched:
            self._waiting.setdefault(key, {})[future] = None
        try:
            yield future
        finally:
            for key in watched:
                waiters = self._waiting[key]
                del waiters[future]
                if not waiters:
                    del self._waiting[key]

    def _wake(self, keys: Sequence[bytes]) -> None:
        for key in keys:
            for future in self._waiting.get(key, ()):
                _end(future, is_woken=True)


class MemoryLane:
    """A connection to an in-memory server."""

    def __init__(self, server: MemoryServer, around: Callable[[], AbstractContextManager[None]]) -> None:
        self._server = server
        self._around = around

    async def execute(self, commands: Sequence[bytes]) -> list[Any]:
        data = b"".join(commands)
        replies: list[Any] = []
        at, patient, deadline = 1, 0, 0.0
        blocked_at = 0
        while self._server.connected:
            block = self._server.run(data, at, patient, replies)
            if block is None:
                return replies
            if block.at != blocked_at:
                blocked_at, deadline = block.at, asyncio.get_running_loop().time() + block.ms / 1_000
            at = block.at
            if not await self._wait(block, deadline):
                patient = at
        return replies + [RedisConnectionError(AWAY)] * (len(commands) - len(replies))

    async def _wait(self, block: _Block, deadline: float) -> bool:
        """Wait for one of the keys to change; False if the time is over."""
        with self._server.waiting(block.keys) as future:
            timer: asyncio.TimerHandle | None = None
            if block.ms:
                with self._around():
                    timer = asyncio.get_running_loop().call_at(deadline, lambda: _end(future, is_woken=False))
            try:
                return await future
            finally:
                if timer is not None:
                    timer.cancel()

    async def close(self) -> None:
        """Nothing is kept."""


def _end(future: asyncio.Future[bool], *, is_woken: bool) -> None:
    if not future.done():
        future.set_result(is_woken)


def _error(text: str) -> Exception:
    """Return the exception that redis-py makes of an error."""
    code, _, rest = text.partition(" ")
    if code == "NOSCRIPT":
        return NoScriptError(rest)
    return ResponseError(rest if code == "ERR" else text)


def _sha1hex(text: bytes) -> bytes:
    return hashlib.sha1(text, usedforsecurity=False).hexdigest().encode()


def _start() -> Callable[..., tuple[Any, ...]]:
    """Return `server.run` of a new runtime."""
    lua = LuaRuntime(encoding=None, unpack_returned_tuples=True, register_eval=False)
    server = lua.table()
    server[b"sha1hex"] = _sha1hex
    folder = files("eventrouter.testing")
    for part in PARTS:
        lua.compile(folder.joinpath(f"{part}.lua").read_bytes(), name=b"@" + part.encode())(server)
    run: Callable[..., tuple[Any, ...]] = server[b"run"]
    return run
