"""The HTTP server bounds what it reads before it knows what is asked, and keeps connections otherwise."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest

from eventrouter.api import server
from eventrouter.api.http import HEADER_NAMES
from eventrouter.api.server import HEAD_LIMIT_BYTES, HttpServer

pytestmark = pytest.mark.integration

DEADLINE_S = 10


async def echo_length(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Answer with the length of the body."""
    length, more = 0, True
    while more:
        message = await receive()
        length, more = length + len(message.get("body", b"")), message.get("more_body", False)
    body = str(length).encode()
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@contextlib.asynccontextmanager
async def a_connection(
    application: Any = echo_length,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        http = HttpServer(application)
        await http.start(listener)
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        try:
            async with asyncio.timeout(DEADLINE_S):
                yield reader, writer
        finally:
            writer.close()
            await http.stop()


async def answer(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """Read one response: its status line and its body."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
    return head.split(b"\r\n")[0], await reader.readexactly(length)


def post(body: bytes, *headers: bytes) -> bytes:
    return b"\r\n".join([b"POST / HTTP/1.1", b"host: h", b"content-length: %d" % len(body), *headers, b"", body])


@pytest.mark.parametrize(
    "head", [b"a: " + b"x" * 200_000, b"\r\n".join(b"a%d: %s" % (n, b"x" * 90) for n in range(2_000))]
)
def test_a_head_over_64_kib_is_refused_and_the_connection_closed(head: bytes) -> None:
    async def main() -> None:
        async with a_connection() as (reader, writer):
            writer.write(b"POST / HTTP/1.1\r\nhost: h\r\n" + head)
            with contextlib.suppress(ConnectionError):
                await writer.drain()

            assert (await answer(reader))[0] == b"HTTP/1.1 431 Request Header Fields Too Large"
            with contextlib.suppress(ConnectionError):
                assert await reader.read() == b""

    asyncio.run(main())


def test_bodies_do_not_count_as_head() -> None:
    async def main() -> None:
        async with a_connection() as (reader, writer):
            for size in (HEAD_LIMIT_BYTES - 200, HEAD_LIMIT_BYTES * 3, 10, HEAD_LIMIT_BYTES - 200):
                writer.write(post(b"x" * size))
                assert await answer(reader) == (b"HTTP/1.1 200 OK", str(size).encode())

    asyncio.run(main())


def test_many_requests_at_once_are_answered_in_order() -> None:
    async def main() -> None:
        async with a_connection() as (reader, writer):
            writer.write(b"".join(post(b"x" * size) for size in range(200)))
            assert [int((await answer(reader))[1]) for _ in range(200)] == list(range(200))

    asyncio.run(main())


def test_names_of_headers_are_told_as_the_client_wrote_them_beside_those_in_lower_case() -> None:
    told: list[tuple[list[bytes], list[bytes]]] = []

    async def note(scope: dict[str, Any], receive: Any, send: Any) -> None:
        names = scope["extensions"][HEADER_NAMES]["names"]
        await echo_length(scope, receive, send)
        told.append((names, [name for name, _ in scope["headers"]]))

    async def main() -> None:
        async with a_connection(note) as (reader, writer):
            chunked = (
                b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX-Trailer: 1\r\n\r\n"
            )
            writer.write(post(b"one", b"X-cUSTOM: 1", b"x-Custom: 2") + chunked)
            assert [(await answer(reader))[1] for _ in range(2)] == [b"3", b"1"]

    asyncio.run(main())

    [first, second] = told
    assert first == (
        [b"host", b"content-length", b"X-cUSTOM", b"x-Custom"],
        [b"host", b"content-length", b"x-custom", b"x-custom"],
    )
    assert [len(names) for names in second] == [2, 2], "a trailer is no header"


def test_a_head_that_does_not_come_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "HEAD_TIMEOUT_S", 0.05)

    async def main() -> None:
        async with a_connection() as (reader, writer):
            writer.write(b"POST / HTTP/1.1\r\nhost: h\r\n")

            assert await reader.read() == b""

    asyncio.run(main())


def test_the_second_head_of_a_connection_is_bounded_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "HEAD_TIMEOUT_S", 0.05)

    async def main() -> None:
        async with a_connection() as (reader, writer):
            writer.write(post(b"one"))
            assert (await answer(reader))[1] == b"3"
            writer.write(b"POST / HTTP/1.1\r\n")
            assert await reader.read() == b""

    asyncio.run(main())


def test_a_caller_that_says_nothing_is_not_kept_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "HEAD_TIMEOUT_S", 0.05)

    async def main() -> None:
        async with a_connection() as (reader, _):
            assert await reader.read() == b""

    asyncio.run(main())


@pytest.mark.parametrize("body", [b"content-length: 9\r\n\r\nhalf", b"transfer-encoding: chunked\r\n\r\n9\r\nhalf"])
def test_a_body_that_stands_still_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch, body: bytes) -> None:
    monkeypatch.setattr(server, "STALL_TIMEOUT_S", 0.05)

    async def main() -> None:
        async with a_connection() as (reader, writer):
            writer.write(b"POST / HTTP/1.1\r\nhost: h\r\n" + body)

            assert await reader.read() == b""

    asyncio.run(main())


def test_a_body_that_comes_slowly_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "STALL_TIMEOUT_S", 0.3)

    async def main() -> None:
        async with a_connection() as (reader, writer):
            writer.write(b"POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 20\r\n\r\n")
            for _ in range(20):
                writer.write(b"x")
                await asyncio.sleep(0.03)

            assert await answer(reader) == (b"HTTP/1.1 200 OK", b"20")

    asyncio.run(main())


def test_a_body_behind_an_answer_that_takes_long_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "STALL_TIMEOUT_S", 0.05)

    async def take_long(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["path"] == "/first":
            await asyncio.sleep(0.4)
        await echo_length(scope, receive, send)

    async def main() -> None:
        async with a_connection(take_long) as (reader, writer):
            writer.write(b"GET /first HTTP/1.1\r\nhost: h\r\n\r\n" + post(b"x" * 300_000))

            assert (await answer(reader))[1] == b"0"
            assert (await answer(reader))[1] == b"300000"

    asyncio.run(main())


def test_a_caller_that_does_not_read_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "STALL_TIMEOUT_S", 0.05)
    left = asyncio.Event()

    async def flood(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(200):
            await send({"type": "http.response.body", "body": bytes(1 << 20), "more_body": True})
        await receive()
        left.set()

    async def main() -> None:
        async with a_connection(flood) as (_, writer):
            writer.write(post(b""))

            await left.wait()

    asyncio.run(main())


def test_all_requests_of_a_pipeline_learn_that_the_caller_left(caplog: pytest.LogCaptureFixture) -> None:
    told = []
    begun, done = asyncio.Event(), asyncio.Event()

    async def wait_long(scope: dict[str, Any], receive: Any, send: Any) -> None:
        begun.set()
        while (await receive())["type"] != "http.disconnect":
            pass
        told.append(scope["path"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"to nobody"})
        done.set()

    async def main() -> None:
        async with a_connection(wait_long) as (_, writer):
            writer.write(b"".join(b"GET /%d HTTP/1.1\r\nhost: h\r\n\r\n" % at for at in range(4)))
            await begun.wait()
            writer.transport.abort()
            await done.wait()

    with caplog.at_level(logging.WARNING):
        asyncio.run(main())
    assert told == ["/0"]
    assert caplog.records == []


async def what_is_left(application: Any, begun: bytes | asyncio.Event) -> bytes:
    """Ask, stop the server once the answer has `begun` with these bytes or so said, and return what then comes."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        http = HttpServer(application)
        await http.start(listener)
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        async with asyncio.timeout(DEADLINE_S):
            writer.write(post(b""))
            await (begun.wait() if isinstance(begun, asyncio.Event) else reader.readuntil(begun))
            await http.stop()
            try:
                return await reader.read()
            except ConnectionResetError:
                return b""
            finally:
                writer.close()
                with contextlib.suppress(ConnectionResetError):
                    await writer.wait_closed()


def test_an_answer_that_goes_on_is_complete_when_the_server_stops(caplog: pytest.LogCaptureFixture) -> None:
    left = []

    async def go_on(scope: dict[str, Any], receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"first", "more_body": True})
        left.append((await receive())["type"])

    with caplog.at_level(logging.WARNING):
        assert asyncio.run(what_is_left(go_on, b"first\r\n")) == b"0\r\n\r\n"
    assert left == ["http.disconnect"]
    assert caplog.records == []


def test_a_caller_still_waiting_when_the_server_stops_is_cut_off(caplog: pytest.LogCaptureFixture) -> None:
    ended = []
    begun = asyncio.Event()

    async def think(scope: dict[str, Any], receive: Any, send: Any) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(scope["path"])

    with caplog.at_level(logging.WARNING):
        assert asyncio.run(what_is_left(think, begun)) == b""
    assert ended == ["/"]
    assert caplog.records == []
