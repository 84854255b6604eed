"""What a message may hold: its attributes and text, their checks, their sizes, and how they are stored.

Source: lambda-semantics §8.3.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from eventrouter_adapters.sqs import errors

MAXIMUM_ATTRIBUTES = 10
TRACE_HEADER = "AWSTraceHeader"

_INVALID = re.compile("[^\\t\\n\\r\\x20-\\uD7FF\\uE000-\\uFFFD\\U00010000-\\U0010FFFF]")
_NAME = re.compile(r"[A-Za-z0-9_.-]+")
_RESERVED = re.compile(r"(?i)(?:aws|amazon)\.|\.|.*\.$")
_TYPE = re.compile(r"(String|Number|Binary)(\..+)?")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


class MessageAttribute(msgspec.Struct, frozen=True, array_like=True):
    """One attribute of a message; `value` is UTF-8 for String and Number."""

    type: str
    value: bytes

    @property
    def is_binary(self) -> bool:
        return self.type.startswith("Binary")

    def wire(self) -> dict[str, Any]:
        """Return the attribute as the API shows it."""
        shown = {"BinaryValue": self.value} if self.is_binary else {"StringValue": self.value.decode()}
        return {**shown, "DataType": self.type}


class Extras(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a message carries beside its body: user attributes and trace header."""

    attributes: dict[str, MessageAttribute] = {}
    trace: str = ""

    def encode(self) -> bytes:
        """Return the stored form: empty if there is nothing to store."""
        return msgspec.json.encode(self) if self.attributes or self.trace else b""

    @classmethod
    def decode(cls, stored: bytes) -> Extras:
        return msgspec.json.decode(stored, type=cls) if stored else cls()


def has_invalid_characters(text: str) -> bool:
    """Say whether `text` has characters that SQS does not carry."""
    return _INVALID.search(text) is not None


def with_valid_characters(text: str) -> str:
    """Return `text` with every character that SQS does not carry replaced by U+FFFD."""
    return _INVALID.sub("\ufffd", text)


def check_body(body: str) -> bytes:
    """Return the body's bytes. Raises RequestError if it is empty or has characters that SQS does not carry."""
    if not body:
        raise errors.missing_parameter("MessageBody")
    if has_invalid_characters(body):
        raise errors.invalid_message_contents()
    return body.encode()


def size_bytes(body: bytes, attributes: Mapping[str, MessageAttribute]) -> int:
    """Return what counts against MaximumMessageSize: body, and names, types and values of the user attributes."""
    return len(body) + sum(
        len(name.encode()) + len(attribute.type.encode()) + len(attribute.value)
        for name, attribute in attributes.items()
    )


def parse_attributes(given: Mapping[str, Mapping[str, Any]]) -> dict[str, MessageAttribute]:
    """Check and read the user attributes of a request. Raises RequestError."""
    if len(given) > MAXIMUM_ATTRIBUTES:
        raise errors.invalid_parameter(
            f"Number of message attributes [{len(given)}] exceeds the allowed maximum [{MAXIMUM_ATTRIBUTES}]."
        )
    for name in given:
        _check_name(name)
    return {name: _parse_attribute("user", name, attribute) for name, attribute in given.items()}


def parse_system_attributes(given: Mapping[str, Mapping[str, Any]]) -> dict[str, MessageAttribute]:
    """Check and read the system attributes of a request: only AWSTraceHeader, a String. Raises RequestError."""
    for name, attribute in given.items():
        if name != TRACE_HEADER:
            raise errors.invalid_value(name, "MessageSystemAttributeName", f"Must be {TRACE_HEADER}.")
        if attribute.get("DataType") != "String":
            raise errors.invalid_parameter(f"Message (system) attribute '{name}' must be of type 'String'.")
    return {name: _parse_attribute("system", name, attribute) for name, attribute in given.items()}


def _check_name(name: str) -> None:
    if not name or len(name) > 256:
        raise errors.invalid_parameter("Message (user) attribute names must be shorter than 256 Bytes")
    if not _NAME.fullmatch(name):
        raise errors.invalid_parameter(
            "Message (user) attributes name can only contain upper and lower score characters, digits, periods, "
            "hyphens and underscores."
        )
    if _RESERVED.match(name):
        raise errors.invalid_parameter(
            "You can't use message attribute names beginning with 'AWS.' or 'Amazon.'. These strings are reserved "
            "for internal use. Additionally, they cannot start or end with '.'."
        )


def _parse_attribute(kind: str, name: str, attribute: Mapping[str, Any]) -> MessageAttribute:
    """Read one attribute. `kind` is `user` or `system`, as error texts say it."""
    if attribute.get("StringListValues") or attribute.get("BinaryListValues"):
        raise errors.unsupported("Message attribute list values in SendMessage operation are not supported.")
    data_type = attribute.get("DataType") or ""
    match = _TYPE.fullmatch(data_type)
    if match is None:
        raise errors.invalid_parameter(
            'Type for parameter MessageAttributes.Attribute_name.DataType must be prefixed with "String", "Binary", '
            f'or "Number", but was: {data_type}'
        )
    if len(data_type) > 256:
        raise errors.invalid_parameter(f"Message ({kind}) attribute types must be shorter than 256 Bytes")
    base = match[1]
    value = attribute.get("BinaryValue" if base == "Binary" else "StringValue")
    if not value:
        raise errors.invalid_parameter(
            f"Message ({kind}) attribute '{name}' must contain a non-empty value of type '{base}'."
        )
    if isinstance(value, bytes):
        return MessageAttribute(data_type, value)
    if has_invalid_characters(value):
        raise errors.invalid_parameter(errors.VALID_CHARACTERS)
    if base == "Number" and not _NUMBER.fullmatch(value):
        raise errors.invalid_parameter(f"Can't cast the value of message ({kind}) attribute '{name}' to a number.")
    return MessageAttribute(data_type, value.encode())
