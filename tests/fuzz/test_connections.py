"""What no HTTP client would do: broken requests, half requests, slow ones, and ten thousand connections."""

from __future__ import annotations

import asyncio
import contextlib
import resource
from random import Random

import pytest

from tests.fuzz.fire import Reader
from tests.fuzz.malformed import CORPUS, mutations
from tests.fuzz.size import IS_ALL, REQUESTS, SEED
from tests.fuzz.under_fire import Held, NodeUnderFire

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(300)]

CONNECTIONS = 10_000 if IS_ALL else 1_500
PATIENCE_S = 20.0

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def exchange(port: int, data: bytes) -> list[int]:
    """Send bytes on a connection of their own; return the statuses of what is answered before it is still or closed."""
    incoming, outgoing = await asyncio.open_connection("127.0.0.1", port)
    statuses: list[int] = []
    rest = b""
    with contextlib.suppress(ConnectionError):
        outgoing.write(data)
        await outgoing.drain()
        while True:
            try:
                async with asyncio.timeout(0.3 if statuses or not data else 1.0):
                    got = await incoming.read(1 << 16)
            except TimeoutError:
                break
            if not got:
                break
            rest += got
            while rest.startswith(b"HTTP/1.") and len(rest) >= 12:
                statuses.append(int(rest[9:12]))
                rest = rest[12:].partition(b"HTTP/1.")[2]
                rest = b"HTTP/1." + rest if rest else b""
    outgoing.close()
    return statuses


def is_sane(status: int) -> bool:
    """Say whether a status may be the answer to nonsense."""
    return status in (100, 501) or 200 <= status < 500


@pytest.mark.parametrize("name", CORPUS)
def test_broken_requests_are_refused_or_cut_off(node: NodeUnderFire, name: str) -> None:
    statuses = asyncio.run(exchange(node.port, CORPUS[name]))

    assert all(map(is_sane, statuses)), statuses
    assert node.is_ready()
    assert node.complaints() == []


def test_requests_broken_at_random_are_refused_or_cut_off(node: NodeUnderFire, baseline: Held) -> None:
    async def send_all() -> None:
        left = mutations(Random(SEED), REQUESTS // 20)

        async def keep_sending() -> None:
            for data in left:
                async with asyncio.timeout(PATIENCE_S):
                    statuses = await exchange(node.port, data)
                assert all(map(is_sane, statuses)), (statuses, data)

        await asyncio.gather(*(keep_sending() for _ in range(32)))

    asyncio.run(send_all())


def test_callers_that_leave_leave_nothing_behind(node: NodeUnderFire, baseline: Held) -> None:
    async def leave(data: bytes, seconds: float) -> None:
        _, outgoing = await asyncio.open_connection("127.0.0.1", node.port)
        outgoing.write(data)
        await asyncio.sleep(seconds)
        outgoing.transport.abort()

    async def all_leave() -> None:
        random = Random(SEED)
        sound = [data for data in CORPUS.values() if len(data) < 100_000]
        for _ in range(10):
            cuts = [random.choice(sound) for _ in range(60)]
            await asyncio.gather(*(leave(data[: random.randint(0, len(data))], random.random() * 0.1) for data in cuts))

    asyncio.run(all_leave())


def test_callers_that_do_not_read_are_no_burden(node: NodeUnderFire, baseline: Held) -> None:
    async def flood() -> None:
        pipeline = b"GET /metrics HTTP/1.1\r\nHost: h\r\n\r\n" * 400
        open_now = []
        for _ in range(20):
            _, outgoing = await asyncio.open_connection("127.0.0.1", node.port, limit=1)
            outgoing.write(pipeline)
            open_now.append(outgoing)
        await asyncio.sleep(2)
        grown = node.held().rss_mb - baseline.rss_mb
        for outgoing in open_now:
            outgoing.transport.abort()
        assert grown < 150

    asyncio.run(flood())


def test_thousands_of_open_connections_keep_nobody_waiting(node: NodeUnderFire, baseline: Held) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    count = min(CONNECTIONS, hard - 500)
    print(f"{count} connections")

    async def ask(streams: Streams) -> int:
        incoming, outgoing = streams
        outgoing.write(b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n")
        reader = Reader()
        async with asyncio.timeout(PATIENCE_S):
            while not reader.is_complete:
                reader.feed(await incoming.read(4_096))
        return reader.status

    async def crowd() -> list[int]:
        opened: list[Streams] = []
        for _ in range(0, count, 100):
            opened += await asyncio.gather(*(asyncio.open_connection("127.0.0.1", node.port) for _ in range(100)))
            async with asyncio.timeout(PATIENCE_S):
                assert await ask(opened[-1]) == 200
        statuses = []
        for at in range(0, len(opened), 500):
            statuses += await asyncio.gather(*(ask(streams) for streams in opened[at : at + 500]))
        for _, outgoing in opened:
            outgoing.transport.abort()
        return statuses

    try:
        with node.probed() as probed:
            statuses = asyncio.run(crowd())
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    assert set(statuses) == {200}
    assert not probed.failed
    assert probed.percentile(0.99) < 2
