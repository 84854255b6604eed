"""Event streams: answers that go on, one message after another (`application/vnd.amazon.eventstream`).

A message is two lengths and their checksum, headers, a payload, and the checksum of it all. An error after the
first byte travels as a message too. Source: lambda-semantics §1.8, §7.2 (SubscribeToShard).
"""

from __future__ import annotations

import contextlib
import struct
from binascii import crc32
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Any

from eventrouter.api.protocol.models import Shape
from eventrouter.errors import EventRouterError, RequestError

CONTENT_TYPE = "application/vnd.amazon.eventstream"

_STRING = 7
"""The type of a header's value."""


def encode_message(headers: Mapping[str, str], payload: bytes) -> bytes:
    """Frame one message."""
    head = b"".join(
        struct.pack(f"!B{len(name)}sBH{len(value)}s", len(name), name, _STRING, len(value), value)
        for name, value in ((name.encode(), value.encode()) for name, value in headers.items())
    )
    prelude = struct.pack("!II", len(head) + len(payload) + 16, len(head))
    message = prelude + struct.pack("!I", crc32(prelude)) + head + payload
    return message + struct.pack("!I", crc32(message))


async def encode_events(
    shape: Shape,
    events: AsyncGenerator[Mapping[str, Any], None],  # Any: model values
    *,
    content_type: str,
    write: Callable[[Shape, Any], bytes],
    write_error: Callable[[RequestError], bytes],
) -> AsyncGenerator[bytes, None]:
    """Frame an empty first answer, and then each of `events`: the name of an event's type to its members.

    An error that `events` raises on purpose ends the stream as an exception of the model.
    """
    yield encode_message(_headers("event", "initial-response", content_type), write(shape, {}))
    try:
        async with contextlib.aclosing(events):
            async for event in events:
                for name, members in event.items():
                    payload = write(shape.members[name].shape, members)
                    yield encode_message(_headers("event", name, content_type), payload)
    except EventRouterError as error:
        refusal = error if isinstance(error, RequestError) else RequestError("InternalFailureException", str(error))
        yield encode_message(_headers("exception", refusal.code, content_type), write_error(refusal))


def _headers(message: str, kind: str, content_type: str) -> dict[str, str]:
    return {f":{message}-type": kind, ":content-type": content_type, ":message-type": message}
