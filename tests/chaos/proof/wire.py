"""A small HTTP/1.1 client on asyncio: one connection, one request at a time, and honest about what became of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any


class NotSent(Exception):
    """There was no connection: the request never left."""


class Unknown(Exception):
    """The request left and no whole answer came: nobody knows what became of it."""


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[bytes, bytes]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Connection:
    """A connection to one node at a time, opened when it is needed."""

    def __init__(self, account: str, region: str) -> None:
        self._credential = f"{account}/20260101/{region}".encode()
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._address = ("", 0)

    def request_bytes(self, service: str, path: str, headers: Mapping[str, str], body: bytes) -> bytes:
        lines = [
            f"POST {path} HTTP/1.1\r\nhost: {self._address[0]}:{self._address[1]}\r\n".encode(),
            b"authorization: AWS4-HMAC-SHA256 Credential=%s/%s/aws4_request, SignedHeaders=host, Signature=0\r\n"
            % (self._credential, service.encode()),
            *(f"{name}: {value}\r\n".encode() for name, value in headers.items()),
            b"content-length: %d\r\n\r\n" % len(body),
            body,
        ]
        return b"".join(lines)

    async def open(self, address: tuple[str, int]) -> None:
        """Have a connection to this address. Raises NotSent."""
        if self._streams is not None and self._address == address:
            return
        await self.close()
        self._address = address
        try:
            async with asyncio.timeout(2):
                self._streams = await asyncio.open_connection(*address)
        except (OSError, TimeoutError) as error:
            raise NotSent(str(error)) from error

    async def post(self, service: str, path: str, headers: Mapping[str, str], body: bytes, *, seconds: float) -> Answer:
        """Send a request and read its answer. Raises Unknown; the connection is closed then."""
        assert self._streams is not None
        reader, writer = self._streams
        try:
            async with asyncio.timeout(seconds):
                writer.write(self.request_bytes(service, path, headers, body))
                return await _answer(reader)
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            await self.close()
            raise Unknown(type(error).__name__) from error

    async def cut(self, service: str, path: str, headers: Mapping[str, str], body: bytes, *, whole: bool) -> None:
        """Send a request, or only the first half of its body, and hang up without waiting for an answer."""
        assert self._streams is not None
        data = self.request_bytes(service, path, headers, body)
        try:
            self._streams[1].write(data if whole else data[: len(data) - len(body) // 2])
            await self._streams[1].drain()
            await asyncio.sleep(0.02)
        except OSError:
            pass
        await self.close()

    async def close(self) -> None:
        if self._streams is None:
            return
        _, writer = self._streams
        self._streams = None
        writer.transport.abort()
        with suppress(OSError):
            await writer.wait_closed()


async def _answer(reader: asyncio.StreamReader) -> Answer:
    head = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")
    headers = {}
    for line in head[1:-2]:
        name, _, value = line.partition(b":")
        headers[name.lower()] = value.strip()
    if b"content-length" in headers:
        body = await reader.readexactly(int(headers[b"content-length"]))
    else:
        body = await _chunks(reader)
    return Answer(int(head[0].split()[1]), headers, body)


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    parts = []
    while size := int(await reader.readuntil(b"\r\n"), 16):
        parts.append(await reader.readexactly(size))
        await reader.readexactly(2)
    await reader.readexactly(2)
    return b"".join(parts)
