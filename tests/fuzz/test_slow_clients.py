"""Clients that stop in the middle of something: cut off in the end, and nobody waits for them meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import time

import pytest

from eventrouter.api import server
from tests.fuzz.size import IS_ALL
from tests.fuzz.under_fire import Held, NodeUnderFire

pytestmark = [
    pytest.mark.chaos,
    pytest.mark.timeout(300),
    pytest.mark.skipif(not IS_ALL, reason="takes as long as the limits; `make fuzz` runs it"),
]

HEAD = b"POST /2015-03-31/functions/f/invocations HTTP/1.1\r\nHost: h\r\n"
SLOW: dict[str, tuple[bytes, bytes]] = {
    "says nothing": (b"", b""),
    "trickles its head": (b"GET / HTTP/1.1\r\nX-A: ", b"a"),
    "trickles blank lines": (b"", b"\r\n"),
    "stops in its head": (b"GET / HTTP/1.1\r\nX-A: a", b""),
    "stops in its body": (HEAD + b"Content-Length: 1000\r\n\r\n{", b""),
    "stops in a chunk": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n3e8\r\n{", b""),
    "stops after an answer": (b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\nGET /heal", b""),
    "stops in the body of a refused request": (HEAD + b"Content-Length: 99999999999\r\n\r\n{", b""),
}
"""Slow clients: what they send at once, and then every second."""


def test_slow_clients_are_cut_off_and_keep_nobody_waiting(node: NodeUnderFire, baseline: Held) -> None:
    each = 40

    async def be_slow(first: bytes, trickle: bytes) -> float | None:
        incoming, outgoing = await asyncio.open_connection("127.0.0.1", node.port)
        began = time.monotonic()
        limit = server.HEAD_TIMEOUT_S + server.STALL_TIMEOUT_S
        try:
            outgoing.write(first)
            while time.monotonic() - began < limit:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(1):
                        if not await incoming.read(1 << 16):
                            return time.monotonic() - began
                    continue
                outgoing.write(trickle)
            return None
        except ConnectionError:
            return time.monotonic() - began
        finally:
            outgoing.close()

    async def all_slow() -> dict[str, list[float | None]]:
        runs = {name: [be_slow(*what) for _ in range(each)] for name, what in SLOW.items()}
        found = await asyncio.gather(*(asyncio.gather(*several) for several in runs.values()))
        return dict(zip(runs, found, strict=True))

    with node.probed() as probed:
        cut_off = asyncio.run(all_slow())

    assert {name for name, found in cut_off.items() if None in found} == set()
    assert not probed.failed
    assert probed.percentile(0.99) < 1
