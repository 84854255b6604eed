"""Reading a request's body within its limit."""

from __future__ import annotations

from collections.abc import Mapping

from eventrouter.api.http import Receive


class Disconnected(Exception):
    """The caller went away before the request was complete: there is nobody to answer."""


class BodyTooLarge(Exception):
    """The body is over the limit. It was not kept; the server discards the rest of it."""


async def read_body(receive: Receive, headers: Mapping[bytes, bytes], limit: int) -> bytes:
    """Return the whole body of a request, at most `limit` bytes.

    Raises BodyTooLarge as soon as the limit is known to be passed, Disconnected if the caller leaves.
    """
    declared = headers.get(b"content-length")
    if declared is not None and declared.isdigit() and int(declared[:20]) > limit:
        raise BodyTooLarge
    message = await receive()
    if message["type"] != "http.request":
        raise Disconnected
    first: bytes = message.get("body", b"")
    if not message.get("more_body", False):
        if len(first) > limit:
            raise BodyTooLarge
        return first
    chunks, size = [first], len(first)
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise Disconnected
        chunk: bytes = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            raise BodyTooLarge
        chunks.append(chunk)
        if not message.get("more_body", False):
            return b"".join(chunks)
