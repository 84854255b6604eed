"""MD5 digests of messages, as SQS makes them and SDKs check them. Source: lambda-semantics §8.3."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping

from eventrouter_adapters.sqs.messages import MessageAttribute


def md5_of_body(body: bytes) -> str:
    """Return the hex digest of a body's UTF-8 bytes."""
    return hashlib.md5(body, usedforsecurity=False).hexdigest()


def md5_of_attributes(attributes: Mapping[str, MessageAttribute]) -> str:
    """Return the hex digest of `attributes`, in name order: length-prefixed name, type and value.

    One byte before the value says its kind: 1 for String and Number, 2 for Binary.
    """
    digest = hashlib.md5(usedforsecurity=False)
    for name in sorted(attributes):
        attribute = attributes[name]
        _update(digest, name.encode())
        _update(digest, attribute.type.encode())
        digest.update(b"\x02" if attribute.is_binary else b"\x01")
        _update(digest, attribute.value)
    return digest.hexdigest()


def _update(digest: hashlib._Hash, part: bytes) -> None:
    digest.update(struct.pack(">I", len(part)))
    digest.update(part)
