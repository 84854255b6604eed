"""An in-memory Redis whose clock is yours.

fakeredis reads the time in a dozen modules. While `virtual_redis` is open all of them read `now` instead, so `TIME`,
expiry and stream ids of every fake server in the process follow the caller's clock, and real time is read nowhere.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import TYPE_CHECKING

import fakeredis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

if TYPE_CHECKING:
    from redis.asyncio import Redis


class _Time(ModuleType):
    """The module `time`, but for what day and hour it is."""

    def __init__(self, now: Callable[[], float]) -> None:
        super().__init__("time")
        self.time = now
        self.time_ns = lambda: round(now() * 1_000_000_000)

    def __getattr__(self, name: str) -> object:
        return getattr(time, name)


@contextmanager
def virtual_redis(now: Callable[[], float]) -> Iterator[Callable[[], Redis]]:
    """Give a factory of async clients that share one in-memory server, whose clock is `now()` in seconds.

    `now` counts from the epoch. Clients belong to the event loop that uses them first. May be nested; the innermost
    clock holds for every fake server meanwhile.
    """
    shim = _Time(now)
    patched = [
        (module, module.time)
        for name, module in list(sys.modules.items())
        if name.split(".")[0] == "fakeredis" and isinstance(getattr(module, "time", None), ModuleType)
    ]
    for module, _ in patched:
        module.time = shim  # type: ignore[attr-defined]  # every module listed has it
    try:
        server = fakeredis.FakeServer(version=(7, 4))
        yield lambda: fakeredis.FakeAsyncRedis(
            server=server, version=(7, 4), protocol=2, retry=Retry(NoBackoff(), 0), socket_timeout=None
        )
    finally:
        for module, original in patched:
            module.time = original  # type: ignore[attr-defined]  # as above
