"""What nodes ask each other over HTTP: a code package, or how fresh their heartbeat is."""

from __future__ import annotations

import asyncio
import urllib.request
from collections.abc import Awaitable, Callable
from urllib.error import URLError

import msgspec

from eventrouter.rules.limits import CODE_ZIPPED_BYTES
from eventrouter.store import HostInfo

ASK_TIMEOUT_S = 1.0
FETCH_TIMEOUT_S = 30.0
STALE_BEAT_S = 5.0
PACKAGES_PATH = "/_eventrouter/packages/"
HEALTH_PATH = "/_eventrouter/health"


class _Health(msgspec.Struct):
    beat_age_s: float


class Peers:
    """The other nodes, as `others()` lists them at the moment."""

    def __init__(self, others: Callable[[], Awaitable[list[HostInfo]]]) -> None:
        self._others = others

    async def fetch_package(self, sha256: str) -> bytes | None:
        """Return a code package from the first node that has it, or None. The caller checks the digest."""
        for host in await self._others():
            data = await asyncio.to_thread(_get, host.url + PACKAGES_PATH + sha256, FETCH_TIMEOUT_S, CODE_ZIPPED_BYTES)
            if data is not None:
                return data
        return None


async def is_isolated(others: list[HostInfo]) -> bool:
    """Say whether this node alone has lost Redis.

    It has not if there is no other node, or if every other node answers and none has a fresher heartbeat:
    then Redis is away for everyone.
    """
    answers = await asyncio.gather(
        *(asyncio.to_thread(_get, host.url + HEALTH_PATH, ASK_TIMEOUT_S, 65_536) for host in others)
    )
    return not all(answer is not None and _is_stale(answer) for answer in answers)


def _is_stale(answer: bytes) -> bool:
    try:
        return msgspec.json.decode(answer, type=_Health).beat_age_s > STALE_BEAT_S
    except msgspec.DecodeError:
        return False


def _get(url: str, timeout_s: float, limit_bytes: int) -> bytes | None:
    if not url.startswith(("http://", "https://")):
        return None
    try:
        with urllib.request.urlopen(url, timeout=timeout_s) as answer:  # noqa: S310 - the scheme is checked above
            data: bytes = answer.read(limit_bytes + 1)
    except (URLError, OSError, ValueError):
        return None
    return data if len(data) <= limit_bytes else None
