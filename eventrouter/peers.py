"""What nodes ask each other over HTTP: a code package, what they have decided, or how fresh their heartbeat is."""

from __future__ import annotations

import asyncio
import urllib.request
from collections.abc import Awaitable, Callable, Mapping, Sequence
from urllib.error import HTTPError, URLError

import msgspec

from eventrouter.planes.explain import History
from eventrouter.rules.limits import CODE_ZIPPED_BYTES
from eventrouter.store import HostInfo

ASK_TIMEOUT_S = 1.0
FETCH_TIMEOUT_S = 30.0
STALE_BEAT_S = 5.0
PACKAGES_PATH = "/_eventrouter/packages/"
HEALTH_PATH = "/_eventrouter/health"
HISTORY_PATH = "/_eventrouter/history"
HISTORY_BYTES = 16_777_216
NODES_PATH = "/_eventrouter/nodes"
ANSWER_BYTES = 65_536
TELL_TIMEOUT_S = 5.0
"""How long a node may take to do what it is told: to change what the others know of it, at most."""


class _Health(msgspec.Struct):
    incarnation: str
    beat_age_s: float


class Peers:
    """The other nodes, as `others()` lists them at the moment."""

    def __init__(self, others: Callable[[], Awaitable[list[HostInfo]]]) -> None:
        self._others = others

    async def fetch_package(self, sha256: str) -> bytes | None:
        """Return a code package from the first node that has it, or None. The caller checks the digest."""
        for host in await self._others():
            data = await asyncio.to_thread(_ask, host.url + PACKAGES_PATH + sha256, FETCH_TIMEOUT_S, CODE_ZIPPED_BYTES)
            if data is not None:
                return data
        return None

    async def histories(self, subjects: Sequence[str]) -> tuple[list[History], list[str]]:
        """Return what the other nodes know of some subjects, and the URLs of those that did not say."""
        hosts = await self._others()
        body = msgspec.json.encode({"ids": subjects})
        answers = await asyncio.gather(
            *(asyncio.to_thread(_ask, host.url + HISTORY_PATH, ASK_TIMEOUT_S, HISTORY_BYTES, body) for host in hosts)
        )
        told: list[History] = []
        silent: list[str] = []
        for host, answer in zip(hosts, answers, strict=True):
            try:
                told.append(msgspec.json.decode(answer or b"", type=History))
            except msgspec.DecodeError:
                silent.append(host.url)
        return told, silent


async def ask_nodes(urls: Mapping[str, str], path: str) -> dict[str, bytes | None]:
    """Return what each of some nodes, given with its URL, answers at `path`; None where it does not."""
    answers = await asyncio.gather(
        *(asyncio.to_thread(_ask, url + path, ASK_TIMEOUT_S, ANSWER_BYTES) for url in urls.values())
    )
    return dict(zip(urls, answers, strict=True))


async def tell_node(url: str, body: bytes) -> tuple[int, bytes]:
    """Send `body` to a node; return the status and body of its answer, 0 if there is none."""
    return await asyncio.to_thread(_tell, url, body)


async def is_isolated(others: Mapping[str, HostInfo]) -> bool:
    """Say whether this node alone has lost Redis. `others` are the other nodes by incarnation.

    It has not if there is no other node, or if every other node answers and none has a fresher heartbeat:
    then Redis is away for everyone. An answer counts only if it comes from the node that was asked: a wrong
    `advertise_url` may lead back to this one.
    """
    answers = await asyncio.gather(
        *(asyncio.to_thread(_ask, host.url + HEALTH_PATH, ASK_TIMEOUT_S, 65_536) for host in others.values())
    )
    return not all(_is_stale(node, answer) for node, answer in zip(others, answers, strict=True))


def _is_stale(node: str, answer: bytes | None) -> bool:
    try:
        health = msgspec.json.decode(answer or b"", type=_Health)
    except msgspec.DecodeError:
        return False
    return health.incarnation == node and health.beat_age_s > STALE_BEAT_S


def _tell(url: str, body: bytes) -> tuple[int, bytes]:
    if not url.startswith(("http://", "https://")):
        return 0, b""
    try:
        with urllib.request.urlopen(url, body, timeout=TELL_TIMEOUT_S) as answer:  # noqa: S310 - checked above
            return answer.status, answer.read(ANSWER_BYTES)
    except HTTPError as refusal:
        with refusal:
            return refusal.code, refusal.read(ANSWER_BYTES)
    except (URLError, OSError, ValueError):
        return 0, b""


def _ask(url: str, timeout_s: float, limit_bytes: int, body: bytes | None = None) -> bytes | None:
    """Return what a node answers, None if it does not. With a `body` it is sent there."""
    if not url.startswith(("http://", "https://")):
        return None
    try:
        with urllib.request.urlopen(url, body, timeout=timeout_s) as answer:  # noqa: S310 - the scheme is checked above
            data: bytes = answer.read(limit_bytes + 1)
    except (URLError, OSError, ValueError):
        return None
    return data if len(data) <= limit_bytes else None
