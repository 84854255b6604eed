"""boto3 without a socket: requests to the router's address go straight to its node's door.

A hook of botocore's sees each request that any client in this process is about to send. Those for the address of an
open router are answered here, whoever made the client: the test, or the code under test. All others go their way.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

from botocore import handlers as botocore_handlers
from botocore.awsrequest import AWSPreparedRequest, AWSResponse

from eventrouter.errors import EventRouterError

SUFFIX = ".eventrouter.test"
_EVENT = "before-send"
_numbers = itertools.count(1)
_open: dict[str, Door] = {}


class Door(Protocol):
    """What answers the requests of one address."""

    def answer(self, method: str, url: str, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
        """Answer one request: status, headers, body."""
        ...


def open_door(door: Door) -> str:
    """Give `door` an address of its own; return the URL, to be used as boto3's `endpoint_url`."""
    if not any(hook is _hook for _, hook, *_ in botocore_handlers.BUILTIN_HANDLERS):
        botocore_handlers.BUILTIN_HANDLERS.append((_EVENT, _hook))
    host = f"router-{next(_numbers)}{SUFFIX}"
    _open[host] = door
    return f"http://{host}"


def close_door(url: str) -> None:
    """Take an address back: requests to it fail from now on."""
    _open.pop(urlsplit(url).hostname or "", None)


def _hook(request: AWSPreparedRequest, **_: object) -> AWSResponse | None:
    host = urlsplit(request.url).hostname or ""
    if not host.endswith(SUFFIX):
        return None
    door = _open.get(_address(host))
    if door is None:
        raise EventRouterError(f"the router behind {host} is closed: clients do not outlive their router")
    headers = {name: _text(value) for name, value in request.headers.items()}
    status, answered, body = door.answer(request.method, request.url, headers, _bytes(request.body))
    return AWSResponse(request.url, status, answered, _Raw(body))


def _address(host: str) -> str:
    """Leave out what a service puts before the address, such as an account id."""
    return ".".join(host.split(".")[-3:])


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value


def _bytes(body: Any) -> bytes:  # Any: what botocore may give
    if body is None:
        return b""
    if isinstance(body, str):
        return body.encode()
    return body if isinstance(body, bytes) else bytes(body.read())


class _Raw:
    """A body that has arrived whole, in the shape of urllib3's response."""

    def __init__(self, body: bytes) -> None:
        self._left = body

    def read(self, amount: int | None = None, **_: object) -> bytes:
        amount = len(self._left) if amount is None else amount
        part, self._left = self._left[:amount], self._left[amount:]
        return part

    def stream(self, amount: int = 65_536, **_: object) -> Iterator[bytes]:
        while part := self.read(amount):
            yield part

    def close(self) -> None:
        self._left = b""


async def ask(
    app: Any, method: str, url: str, headers: dict[str, str], body: bytes
) -> tuple[int, dict[str, str], bytes]:
    """Send one request through an ASGI application; return its status, headers and whole body."""
    parts = urlsplit(url)
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "scheme": parts.scheme,
        "path": unquote(parts.path) or "/",
        "raw_path": (parts.path or "/").encode(),
        "query_string": parts.query.encode(),
        "headers": [
            *((name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()),
            (b"host", parts.netloc.encode()),
        ],
        "server": (parts.hostname, parts.port or 80),
        "client": ("127.0.0.1", 0),
    }
    messages = iter([{"type": "http.request", "body": body, "more_body": False}])
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        message = next(messages, None)
        if message is None:
            import asyncio

            await asyncio.get_running_loop().create_future()  # a caller in process never goes away
        assert message is not None
        return message

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await app(scope, receive, send)
    begun, parts_sent = sent[0], sent[1:]
    answered = {name.decode("latin-1"): value.decode("latin-1") for name, value in begun["headers"]}
    return begun["status"], answered, b"".join(part.get("body", b"") for part in parts_sent)
