"""The one way to Redis: script calls, gathered into pipelines, repeated where that is safe.

Every script may run zero, one or several times for one call, early or late; scripts are written so that this
changes nothing. So a call whose outcome is unknown is simply made again with the same arguments.

Calls made in the same turn of the event loop leave as one pipeline. While all lanes are busy further calls gather
for the next free one, so batches grow with load. A caller that is cancelled abandons its answer only: the pipeline
it is part of is read to its end by a task of its own.

The client's own retries are off: redis-py repeats commands that already ran. Source: redis-design §11.
"""

from __future__ import annotations

import asyncio
import math
import socket
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from random import Random
from typing import Any, Protocol

from hiredis import pack_command
from redis.asyncio import Connection, ConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    AskError,
    BusyLoadingError,
    ClusterDownError,
    MasterDownError,
    MovedError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TryAgainError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from eventrouter.clock import Clock
from eventrouter.errors import IntakeRefused, StoreError, Unavailable
from eventrouter.store.lua import SCRIPTS, Script

CONNECT_TIMEOUT_S = 1.0
COMMAND_TIMEOUT_S = 2.0
PAYLOAD_TIMEOUT_S = 5.0
PAYLOAD_BYTES = 65_536
"""A pipeline of more bytes than this gets the longer timeout."""

LANES = 3
BATCH_CALLS = 256
BATCH_BYTES = 1_048_576
BUDGET_S = 5.0
RETRY_FIRST_S = 0.05
RETRY_LAST_S = 2.0

ELSEWHERE = (ReadOnlyError, MasterDownError, ClusterDownError, MovedError, AskError, TryAgainError, BusyLoadingError)
"""Nothing ran: this connection leads to the wrong server, or to one that is not ready."""

_FULL = ("OOM", "MISCONF", "NOREPLICAS", "BUSY")

Argument = str | bytes | int

Greeting = Callable[[Connection], Awaitable[None]]

pack: Callable[[tuple[Argument, ...]], bytes] = pack_command  # type: ignore[assignment]  # its stub says 1-tuples
"""Turns one command into the bytes that are sent."""


def make_client(url: str, *, greet: Greeting | None = None) -> Redis:
    """Return a client for a redis://, rediss:// or unix:// URL, with our timeouts and without its own retries.

    Nothing is connected yet. User, password, TLS files and database number are taken from the URL. `greet` is called
    with every new connection, instead of redis-py's own greeting.
    """
    options: dict[str, Any] = {"redis_connect_func": greet}
    if not url.startswith("unix:"):
        options["socket_keepalive"] = True
        options["socket_keepalive_options"] = _keepalive()
    return Redis.from_url(
        url,
        decode_responses=False,
        protocol=2,
        retry=Retry(NoBackoff(), 0),
        retry_on_timeout=False,
        socket_connect_timeout=CONNECT_TIMEOUT_S,
        socket_timeout=PAYLOAD_TIMEOUT_S,
        health_check_interval=0,
        **options,
    )


async def greet_primary(connection: Connection) -> None:
    """Greet a server, and break off if it is not a primary: what is written elsewhere is lost, or refused."""
    await connection.on_connect()
    await connection.send_command("ROLE")
    try:
        role = await connection.read_response()
    except ResponseError as error:
        raise RedisConnectionError(f"{connection.host}:{connection.port} does not tell its role: {error}") from error
    if role[0] not in {b"master", "master"}:
        raise RedisConnectionError(f"{connection.host}:{connection.port} is a replica")


def _keepalive() -> dict[int, int]:
    """Notice a silent partition: probes after 5 s, every 2 s, three of them; unacknowledged data for 10 s at most."""
    wanted = {"TCP_KEEPIDLE": 5, "TCP_KEEPINTVL": 2, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 10_000}
    return {getattr(socket, name): value for name, value in wanted.items() if hasattr(socket, name)}


class Lane(Protocol):
    """One connection, used by one pipeline at a time."""

    async def execute(self, commands: Sequence[bytes]) -> list[Any]:
        """Send packed commands and return one reply each; a command that failed has its exception as its reply."""
        ...

    async def close(self) -> None: ...


class MakeLane(Protocol):
    """Makes lanes to one server."""

    def __call__(
        self,
        *,
        timeout_s: float | None = None,
        around: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> Lane:
        """`timeout_s` bounds every pipeline; None: by its size. `around` is entered for what waits in one."""
        ...


class RedisLane:
    """A lane over one connection of a redis-py pool, kept until it breaks."""

    def __init__(
        self,
        pool: ConnectionPool,
        *,
        timeout_s: float | None = None,
        around: Callable[[], AbstractContextManager[None]] = nullcontext,
        patience_s: float = 0.0,
    ) -> None:
        """`timeout_s` bounds every pipeline; None: by its size, and `patience_s`. `around` is entered for each."""
        self._pool = pool
        self._timeout_s = timeout_s
        self._patience_s = patience_s
        self._around = around
        self._connection: Connection | None = None

    async def execute(self, commands: Sequence[bytes]) -> list[Any]:
        replies: list[Any] = []
        timeout_s = self._timeout_s
        if timeout_s is None:
            timeout_s = PAYLOAD_TIMEOUT_S if sum(map(len, commands)) > PAYLOAD_BYTES else COMMAND_TIMEOUT_S
            timeout_s += self._patience_s
        try:
            with self._around():
                async with asyncio.timeout(timeout_s):
                    await self._exchange(commands, replies)
        except TimeoutError:
            await self._drop()
            replies += [RedisTimeoutError("no answer in time")] * (len(commands) - len(replies))
        except (RedisConnectionError, RedisTimeoutError, OSError) as error:
            await self._drop()
            replies += [error] * (len(commands) - len(replies))
        except BaseException:
            await self._drop()
            raise
        return replies

    async def _exchange(self, commands: Sequence[bytes], replies: list[Any]) -> None:
        task = asyncio.current_task()
        cancellations = task.cancelling() if task else 0
        connection = self._connection
        if connection is None:
            connection = self._connection = await self._pool.get_connection()  # type: ignore[no-untyped-call]  # redis-py's gap
        elif connection.is_connected and await connection.can_read():  # unread data or an end: not safe to use again
            await connection.disconnect(nowait=True)
        try:
            await connection.send_packed_command(commands, check_health=False)
        except RuntimeError as error:  # what uvloop says of a transport that was closed a moment ago
            raise RedisConnectionError(str(error)) from error
        if task and task.cancelling() > cancellations:
            # redis-py sends within wait_for, which before Python 3.12 swallows a cancellation that comes as it ends.
            raise asyncio.CancelledError
        # redis-py would arm a timer for each reply; ours spans the whole exchange.
        patience = None if connection.socket_timeout is None else math.inf
        misled = False
        for _ in commands:
            try:
                replies.append(await connection.read_response(disable_decoding=True, timeout=patience))
            except ResponseError as error:
                misled = misled or isinstance(error, ELSEWHERE)
                replies.append(error)
        if misled:
            await connection.disconnect(nowait=True)

    async def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.disconnect(nowait=True)
            await self._pool.release(connection)

    def cut(self) -> None:
        """End the connection at once, from wherever: what is under way on it fails."""
        # redis-py has no public way that leaves the answer under way alone.
        writer = self._connection._writer if self._connection else None  # noqa: SLF001
        if writer is not None:
            writer.transport.abort()

    async def close(self) -> None:
        await self._drop()


def redis_lanes(client: Redis) -> MakeLane:
    """Return what makes lanes over a client's connection pool."""
    return partial(RedisLane, client.connection_pool)


class _Dispatcher:
    """Gathers commands and spreads them over lanes."""

    def __init__(self, lanes: Sequence[Lane]) -> None:
        self._lanes = tuple(lanes)
        self._idle = list(lanes)
        self._pending: deque[tuple[bytes, asyncio.Future[Any]]] = deque()
        self._woken = False
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def is_quiet(self) -> bool:
        """Say that nothing is sent, or waits to be."""
        return not self._tasks and not self._pending

    def send(self, command: bytes) -> asyncio.Future[Any]:
        """Queue one packed command; the future gets its reply, or its exception as a value."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        self._pending.append((command, future))
        if self._idle and not self._woken:
            self._woken = True
            loop.call_soon(self._flush)
        return future

    def _flush(self) -> None:
        self._woken = False
        if self._pending and self._idle:
            task = asyncio.get_running_loop().create_task(self._drain(self._idle.pop()), name="store.lane")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _drain(self, lane: Lane) -> None:
        try:
            while self._pending:
                commands, futures = self._batch()
                if self._pending:
                    self._flush()
                try:
                    replies = await lane.execute(commands)
                except BaseException as error:
                    replies = [RedisConnectionError(f"cut: {error!r}")] * len(futures)
                    if not isinstance(error, Exception):
                        _answer(futures, replies)
                        raise
                _answer(futures, replies)
        finally:
            self._idle.append(lane)

    def _batch(self) -> tuple[list[bytes], list[asyncio.Future[Any]]]:
        commands: list[bytes] = []
        futures: list[asyncio.Future[Any]] = []
        room = BATCH_BYTES
        while self._pending and room > 0 and len(commands) < BATCH_CALLS:
            command, future = self._pending.popleft()
            commands.append(command)
            futures.append(future)
            room -= len(command)
        return commands, futures

    async def close(self) -> None:
        while self._tasks:
            await asyncio.wait(tuple(self._tasks))
        for lane in self._lanes:
            await lane.close()


def _answer(futures: Sequence[asyncio.Future[Any]], replies: Sequence[Any]) -> None:
    for future, reply in zip(futures, replies, strict=True):
        if not future.done():
            future.set_result(reply)


class Scripts:
    """Calls scripts by name."""

    def __init__(
        self,
        lane: Callable[[], Lane],
        *,
        clock: Clock,
        random: Random,
        scripts: Mapping[str, Script] = SCRIPTS,
    ) -> None:
        self._scripts = scripts
        self._clock = clock
        self._random = random
        self._refusal: str | None = None
        self._shared = _Dispatcher([lane() for _ in range(LANES)])
        self._apart = _Dispatcher([lane()])

    async def call(
        self,
        name: str,
        keys: Sequence[str],
        args: Sequence[Argument],
        *,
        budget_s: float = BUDGET_S,
        apart: bool = False,
    ) -> list[Any]:
        """Run one script and return its answer, an array that begins with a code.

        A doubtful outcome is repeated with the same arguments, after 50 ms doubling to 2 s with full jitter, until
        `budget_s` would be exceeded. `apart` uses a connection that nothing else uses.
        Raises IntakeRefused (intake scripts only: nothing was stored), Unavailable (outcome unknown), StoreError.
        """
        script = self._scripts[name]
        command = pack(("EVALSHA", script.sha, len(keys), *keys, *args))
        answer: list[Any] = await self._persist(command, script, budget_s, self._apart if apart else self._shared)
        return answer

    async def call_each(
        self,
        name: str,
        calls: Sequence[tuple[Sequence[str], Sequence[Argument]]],
        *,
        budget_s: float = BUDGET_S,
    ) -> list[list[Any]]:
        """Run one script for each (keys, args), all in one pipeline; errors as in `call`, the first one is raised."""
        script = self._scripts[name]
        commands = [pack(("EVALSHA", script.sha, len(keys), *keys, *args)) for keys, args in calls]
        first = [self._shared.send(command) for command in commands]
        return [
            await self._persist(command, script, budget_s, self._shared, sent)
            for command, sent in zip(commands, first, strict=True)
        ]

    async def command(self, *parts: Argument, budget_s: float = BUDGET_S) -> Any:
        """Run one plain command that is harmless to repeat, such as a read; errors as in `call`."""
        return await self._persist(pack(parts), None, budget_s, self._shared)

    async def command_each(self, commands: Sequence[Sequence[Argument]], *, budget_s: float = BUDGET_S) -> list[Any]:
        """Run several plain commands in one pipeline; as `command`."""
        packed = [pack(tuple(parts)) for parts in commands]
        first = [self._shared.send(command) for command in packed]
        return [
            await self._persist(command, None, budget_s, self._shared, sent)
            for command, sent in zip(packed, first, strict=True)
        ]

    def refuse_intake(self, reason: str | None) -> None:
        """Let scripts that take in new data be refused with `reason` from now on, or none any more (None)."""
        self._refusal = reason

    @property
    def is_quiet(self) -> bool:
        """Say that no call is under way."""
        return self._shared.is_quiet and self._apart.is_quiet

    async def load(self) -> None:
        """Load every script, so that first calls need no second round trip."""
        await self.command_each([("SCRIPT", "LOAD", script.text) for script in self._scripts.values()])

    async def close(self) -> None:
        """Wait for the pipelines under way, then close the connections. Closing twice is harmless."""
        await self._shared.close()
        await self._apart.close()

    async def _persist(
        self,
        command: bytes,
        script: Script | None,
        budget_s: float,
        way: _Dispatcher,
        sent: asyncio.Future[Any] | None = None,
    ) -> Any:
        if self._refusal is not None and script is not None and script.intake:
            raise IntakeRefused(self._refusal)
        deadline = self._clock.monotonic() + budget_s
        delay_s = RETRY_FIRST_S
        may_have_run = False
        while True:
            reply = await (sent or way.send(command))
            sent = None
            if not isinstance(reply, Exception):
                return reply
            if isinstance(reply, NoScriptError) and script is not None:
                _ = way.send(pack(("SCRIPT", "LOAD", script.text)))  # leaves ahead of the next try
            else:
                _raise_if_final(reply, script, may_have_run=may_have_run)
                may_have_run = may_have_run or not isinstance(reply, (*ELSEWHERE, ResponseError))
            pause_s = self._random.uniform(0, delay_s)
            if self._clock.monotonic() + pause_s >= deadline:
                raise Unavailable(f"Redis did not answer within {budget_s:g} s: {reply}") from reply
            if not isinstance(reply, NoScriptError):
                await self._clock.sleep(pause_s)
                delay_s = min(delay_s * 2, RETRY_LAST_S)


def _raise_if_final(error: Exception, script: Script | None, *, may_have_run: bool) -> None:
    """Raise what trying again cannot help; return for the rest.

    `may_have_run`: an earlier try of the same call may have stored something, so a refusal now refuses nothing.
    """
    if isinstance(error, ELSEWHERE) or not isinstance(error, RedisError):
        return
    if isinstance(error, OutOfMemoryError) or str(error).startswith(_FULL):
        if script is not None and script.intake and not may_have_run:
            raise IntakeRefused(f"Redis takes no new data: {error}") from error
    elif isinstance(error, ResponseError):
        raise StoreError(f"{script.name if script else 'command'} failed: {error}") from error
