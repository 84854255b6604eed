"""A request and a response, as plain values: all that the door's parts need to know about HTTP."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any

import msgspec

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

Header = tuple[bytes, bytes]

HEADER_NAMES = "eventrouter.header_names"
"""The extension of our server's scopes that holds the `names` of the headers as the client wrote them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request, its body read. `path` is raw: still percent-encoded. Header names are in lower case."""

    method: str
    path: str
    query: bytes = b""
    headers: Mapping[bytes, bytes]
    body: bytes = b""
    scheme: str = "http"
    server: tuple[str, int] = ("127.0.0.1", 4566)

    def header(self, name: str) -> str | None:
        """Return a header's value, or None."""
        value = self.headers.get(name.encode("latin-1"))
        return None if value is None else value.decode("latin-1")

    @property
    def base_url(self) -> str:
        """Return the URL under which the caller reached this node: from the Host header where there is one."""
        host = self.header("host") or f"{self.server[0]}:{self.server[1]}"
        return f"{self.scheme}://{host}"


@dataclass(frozen=True, slots=True, kw_only=True)
class WebRequest:
    """A request that is no call of an AWS API, with what such calls need not know.

    `headers` are all of them, in order, names as the client wrote them. `sender` is the client's address.
    """

    request: Request
    id: str
    sender: str
    protocol: str
    headers: tuple[Header, ...]


@dataclass(slots=True)
class Response:
    """One answer. Content-Length is added when it is sent; an answer in `chunks` has none, and no `body`."""

    status: int
    body: bytes = b""
    headers: tuple[Header, ...] = ()
    chunks: AsyncGenerator[bytes, None] | None = None


InternalHandler = Callable[[Request], Awaitable[Response]]
"""Answers one of the node's own paths, such as /healthz."""

InternalRoutes = Mapping[str, InternalHandler]
"""Path to handler. A path that ends in `/` answers everything below it, `/` itself excepted."""


def json_response(status: int, value: object) -> Response:
    """Build a JSON answer."""
    return Response(status, msgspec.json.encode(value), ((b"content-type", b"application/json"),))


def text_response(status: int, text: str) -> Response:
    """Build a plain-text answer."""
    return Response(status, text.encode(), ((b"content-type", b"text/plain; charset=utf-8"),))
