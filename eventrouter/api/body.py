"""Reading requests' bodies: each within its limit, and all that are on their way within one of their own."""

from __future__ import annotations

from collections.abc import Mapping

from eventrouter.api.http import Receive
from eventrouter.errors import IntakeRefused

IN_FLIGHT_BYTES = 1 << 30
"""Bodies that have begun to come, and may never end: more than this is not kept for them."""


class Disconnected(Exception):
    """The caller went away before the request was complete: there is nobody to answer."""


class BodyTooLarge(Exception):
    """The body is over the limit. It was not kept; the server discards the rest of it."""


class Bodies:
    """Reads bodies, and knows how much of them is on its way."""

    def __init__(self, most: int = IN_FLIGHT_BYTES) -> None:
        self._most = most
        self._held = 0

    async def read(self, receive: Receive, headers: Mapping[bytes, bytes], limit: int) -> bytes:
        """Return the whole body of a request, at most `limit` bytes.

        Raises BodyTooLarge as soon as the limit is known to be passed, Disconnected if the caller leaves, and
        IntakeRefused if too much is on its way already.
        """
        declared = headers.get(b"content-length")
        if declared is not None and declared.isdigit() and int(declared[:20]) > limit:
            raise BodyTooLarge
        message = await receive()
        if message["type"] != "http.request":
            raise Disconnected
        first: bytes = message.get("body", b"")
        if message.get("more_body", False):
            return await self._rest(receive, first, limit)
        if len(first) > limit:
            raise BodyTooLarge
        return first

    async def _rest(self, receive: Receive, first: bytes, limit: int) -> bytes:
        chunks, size = [first], len(first)
        self._held += size
        try:
            while True:
                message = await receive()
                if message["type"] != "http.request":
                    raise Disconnected
                chunk: bytes = message.get("body", b"")
                size += len(chunk)
                self._held += len(chunk)
                if size > limit:
                    raise BodyTooLarge
                if self._held > self._most:
                    raise IntakeRefused("more bytes of requests are on their way than this node keeps")
                chunks.append(chunk)
                if not message.get("more_body", False):
                    return b"".join(chunks)
        finally:
            self._held -= size
