"""CBOR as AWS's SDKs write it: RFC 8949, with timestamps (tag 1) in milliseconds.

The library that writes it cannot read such timestamps: it takes them for seconds. What is read here is what a
request can hold; timestamps become seconds, as they are everywhere inside.
"""

from __future__ import annotations

import math
import struct
from typing import Any

import cbor2

from eventrouter.errors import RequestError

TIMESTAMP_TAG = 1
MAX_DEPTH = 64
"""Deeper input than any model's is refused before it can exhaust the stack."""

MAX_ITEMS = 100_000
"""So is input of more items: each may take a single byte here, and a hundred in memory."""

_UNSIGNED, _NEGATIVE, _BYTES, _TEXT, _ARRAY, _MAP, _TAG, _OTHER = range(8)
_INDEFINITE = 31
_BREAK = object()
_FLOATS = {25: "!e", 26: "!f", 27: "!d"}
_SIMPLE = {20: False, 21: True, 22: None, 23: None, _INDEFINITE: _BREAK}


def encode_cbor(value: Any) -> bytes:  # Any: what CBOR can hold
    """Encode a value; timestamps are those of `timestamp`."""
    encoded: bytes = cbor2.dumps(value)
    return encoded


def timestamp(seconds: float) -> cbor2.CBORTag:
    """Return epoch seconds as a value that is written as AWS writes timestamps."""
    return cbor2.CBORTag(TIMESTAMP_TAG, round(seconds * 1_000))


def decode_cbor(data: bytes) -> Any:  # Any: what CBOR can hold
    """Decode one value that fills `data`. Raises RequestError (SerializationException)."""
    reader = _Reader(data)
    try:
        value = reader.read(0)
    except (IndexError, KeyError, TypeError, ValueError, OverflowError, struct.error) as error:
        raise _refused("The request body is not CBOR.") from error
    if value is _BREAK or reader.position != len(data):
        raise _refused("The request body is not one CBOR value.")
    return value


class _Reader:
    """Reads values one after another. Raises IndexError, ValueError and their like for what is not CBOR."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.position = 0
        self._items = 0

    def read(self, depth: int) -> Any:  # Any: what CBOR can hold
        if depth > MAX_DEPTH:
            raise _refused("The request is nested too deeply.")
        initial = self._data[self.position]
        self.position += 1
        major, info = initial >> 5, initial & 31
        if major == _OTHER:
            return self._other(info)
        if info == _INDEFINITE:
            return self._indefinite(major, depth)
        argument = self._argument(info)
        if major == _TEXT:
            return self._take(argument).decode()
        if major == _BYTES:
            return self._take(argument)
        if major == _MAP:
            return {self._key(depth + 1): self._value(depth + 1) for _ in range(self._counted(argument))}
        if major == _ARRAY:
            return [self._value(depth + 1) for _ in range(self._counted(argument))]
        if major == _UNSIGNED:
            return argument
        if major == _NEGATIVE:
            return -1 - argument
        return self._tagged(argument, depth + 1)

    def _value(self, depth: int) -> Any:  # Any: what CBOR can hold
        value = self.read(depth)
        if value is _BREAK:
            raise ValueError("a break outside of anything indefinite")
        return value

    def _key(self, depth: int) -> str:
        key = self.read(depth)
        if not isinstance(key, str):
            raise ValueError("a name that is not text")  # noqa: TRY004  # malformed, like everything refused here
        return key

    def _argument(self, info: int) -> int:
        if info < 24:
            return info
        if info > 27:
            raise ValueError("a reserved length")
        return int.from_bytes(self._take(1 << (info - 24)))

    def _counted(self, count: int) -> int:
        """Return a number of items, each of which takes a byte at least."""
        if count > len(self._data) - self.position:
            raise ValueError("more items than bytes")
        self._items += count
        if self._items > MAX_ITEMS:
            raise _refused("The request has too many items.")
        return count

    def _take(self, count: int) -> bytes:
        end = self.position + count
        if end > len(self._data):
            raise ValueError("the data ends early")
        taken = self._data[self.position : end]
        self.position = end
        return taken

    def _other(self, info: int) -> Any:  # Any: what CBOR can hold
        if info in _FLOATS:
            [number] = struct.unpack(_FLOATS[info], self._take(1 << (info - 24)))
            return number
        return _SIMPLE[info]

    def _indefinite(self, major: int, depth: int) -> Any:  # Any: what CBOR can hold
        items = []
        while (item := self.read(depth + 1)) is not _BREAK:
            items.append(item)
            self._counted(1)
        if major == _ARRAY:
            return items
        if major == _MAP:
            if not all(isinstance(key, str) for key in items[::2]):
                raise ValueError("a name that is not text")
            return dict(zip(items[::2], items[1::2], strict=True))
        if major == _BYTES:
            return b"".join(items)
        if major == _TEXT:
            return "".join(items)
        raise ValueError("an indefinite number")

    def _tagged(self, tag: int, depth: int) -> Any:  # Any: what CBOR can hold
        value = self._value(depth)
        if tag != TIMESTAMP_TAG:
            return value
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise ValueError("a timestamp that is no number")
        return value / 1_000


def _refused(text: str) -> RequestError:
    return RequestError("SerializationException", text, status=400, fault=None)
