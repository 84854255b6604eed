"""JSON and CBOR to model values and back: types checked, blobs decoded, timestamps in the format of their shape."""

from __future__ import annotations

import base64
import binascii
import sys
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from typing import Any

from eventrouter.api.protocol.cbor import timestamp
from eventrouter.api.protocol.models import Kind, Location, Shape
from eventrouter.errors import RequestError

_JSON_NAMES = {
    bool: "TRUE_VALUE",
    str: "STRING_VALUE",
    int: "NUMBER_VALUE",
    float: "DECIMAL_VALUE",
    list: "START_ARRAY",
    dict: "START_OBJECT",
}
_JAVA_NAMES = {
    Kind.STRING: "String",
    Kind.INTEGER: "Integer",
    Kind.FLOAT: "Double",
    Kind.BOOLEAN: "Boolean",
    Kind.BLOB: "Blob",
    Kind.TIMESTAMP: "Timestamp",
}
_LARGEST_FLOAT = sys.float_info.max
MAX_DEPTH = 64
"""Deeper input than any model's is refused before it can exhaust the stack."""

LATEST_TIMESTAMP_S = 253_402_300_799
"""The end of the year 9999: calendars know no later time. None is further before 1970 either."""


def _mismatch(shape: Shape, value: object) -> RequestError:
    if shape.kind in (Kind.STRUCTURE, Kind.MAP, Kind.LIST):
        text = f"Unexpected value type in payload: expected a {shape.kind}"
    else:
        text = f"{_JSON_NAMES.get(type(value), 'VALUE')} can not be converted to {_an(_JAVA_NAMES[shape.kind])}"
    return RequestError("SerializationException", text, status=400, fault=None)


def _an(noun: str) -> str:
    return f"an {noun}" if noun[0] in "AEIOU" else f"a {noun}"


def from_json(shape: Shape, value: Any, depth: int = 0) -> Any:  # Any: JSON in, model values out
    """Turn decoded JSON into a model value. Unknown members are ignored, nulls are absent.

    Blobs become bytes, timestamps epoch seconds. Raises RequestError (SerializationException) on a wrong type.
    """
    kind = shape.kind
    if type(value) is str:  # the commonest first: a request may hold thousands
        if kind is Kind.STRING:
            return value
        if kind is Kind.BLOB:
            return _decode_blob(value)
    if depth > MAX_DEPTH:
        raise RequestError("SerializationException", "The request is nested too deeply.", status=400, fault=None)
    match kind:
        case Kind.STRUCTURE if isinstance(value, dict):
            return {
                name: from_json(member.shape, value[member.wire_name], depth + 1)
                for name, member in shape.members.items()
                if member.location is Location.BODY and value.get(member.wire_name) is not None
            }
        case Kind.LIST if isinstance(value, list) and shape.item is not None:
            item = shape.item
            if shape.maximum is not None:
                value = value[: int(shape.maximum) + 1]  # one too many is enough to be refused
            return [None if entry is None else from_json(item, entry, depth + 1) for entry in value]
        case Kind.MAP if isinstance(value, dict) and shape.value is not None:
            item = shape.value
            return {key: None if entry is None else from_json(item, entry, depth + 1) for key, entry in value.items()}
    return _scalar(shape, value)


def _scalar(shape: Shape, value: Any) -> Any:  # Any: JSON in, model values out
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    match shape.kind:
        case Kind.STRING if isinstance(value, str):
            return value
        case Kind.STRING if isinstance(value, bool):
            return "true" if value else "false"
        case Kind.STRING if is_number:
            return str(value)
        case Kind.INTEGER if is_number and abs(value) < 2**63:
            return int(value)
        case Kind.FLOAT if is_number and abs(value) <= _LARGEST_FLOAT:
            return float(value)
        case Kind.BOOLEAN if isinstance(value, bool):
            return value
        case Kind.BLOB if isinstance(value, str):
            return _decode_blob(value)
        case Kind.BLOB if isinstance(value, bytes):  # CBOR has bytes
            return value
        case Kind.TIMESTAMP if is_number and abs(value) <= LATEST_TIMESTAMP_S:
            return float(value)
        case Kind.TIMESTAMP if isinstance(value, str):
            return parse_timestamp(value)
    raise _mismatch(shape, value)


def _decode_blob(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise RequestError(
            "SerializationException", "The value is not valid base64.", status=400, fault=None
        ) from error


def from_text(shape: Shape, text: str) -> Any:  # Any: a model value
    """Turn the text of a header, query parameter or path label into a model value."""
    try:
        match shape.kind:
            case Kind.INTEGER:
                return _scalar(shape, int(text)) if len(text) < 32 else _refuse(shape, text)
            case Kind.FLOAT:
                return float(text)
            case Kind.BOOLEAN if text in ("true", "false"):
                return text == "true"
            case Kind.TIMESTAMP:
                return parse_timestamp(text)
            case Kind.BLOB:
                return text.encode()
            case Kind.STRING:
                return text
    except ValueError as error:
        raise _mismatch(shape, text) from error
    return _refuse(shape, text)


def _refuse(shape: Shape, text: str) -> Any:  # Any: never returns
    raise _mismatch(shape, text)


def parse_timestamp(text: str) -> float:
    """Read epoch seconds, ISO 8601 or RFC 822. Raises RequestError (SerializationException)."""
    for read in (float, _from_iso, _from_rfc822):
        try:
            seconds = read(text)
        except (ValueError, TypeError, OverflowError):
            continue
        if abs(seconds) <= LATEST_TIMESTAMP_S:
            return seconds
    raise RequestError("SerializationException", f"{text!r} is not a timestamp.", status=400, fault=None)


def _from_iso(text: str) -> float:
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _from_rfc822(text: str) -> float:
    return parsedate_to_datetime(text).timestamp()


def format_timestamp(seconds: float, form: str) -> str | float | int:
    """Render epoch seconds as `unixTimestamp`, `iso8601` or `rfc822`."""
    if form == "unixTimestamp":
        return int(seconds) if seconds == int(seconds) else round(seconds, 3)
    moment = datetime.fromtimestamp(seconds, UTC)
    if form == "rfc822":
        return format_datetime(moment, usegmt=True)
    text = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return text.replace(".000Z", "Z")


def to_json(shape: Shape, value: Any) -> Any:  # Any: model values in, JSON out
    """Turn a model value into JSON. Members that are None or not in the model are left out."""
    match shape.kind:
        case Kind.STRUCTURE:
            return {
                member.wire_name: to_json(member.shape, value[name])
                for name, member in shape.members.items()
                if member.location is Location.BODY and value.get(name) is not None
            }
        case Kind.LIST if shape.item is not None:
            item = shape.item
            return [to_json(item, entry) for entry in value]
        case Kind.MAP if shape.value is not None:
            item = shape.value
            return {key: to_json(item, entry) for key, entry in value.items()}
        case Kind.BLOB:
            return base64.b64encode(value).decode("ascii")
        case Kind.TIMESTAMP:
            return format_timestamp(_seconds(value), shape.timestamp_format or "unixTimestamp")
    return value


def to_cbor(shape: Shape, value: Any) -> Any:  # Any: model values in, what CBOR can hold out
    """Turn a model value into what CBOR carries: as `to_json`, but for bytes and timestamps."""
    match shape.kind:
        case Kind.STRUCTURE:
            return {
                member.wire_name: to_cbor(member.shape, value[name])
                for name, member in shape.members.items()
                if member.location is Location.BODY and value.get(name) is not None
            }
        case Kind.LIST if shape.item is not None:
            item = shape.item
            return [to_cbor(item, entry) for entry in value]
        case Kind.MAP if shape.value is not None:
            item = shape.value
            return {key: to_cbor(item, entry) for key, entry in value.items()}
        case Kind.TIMESTAMP:
            return timestamp(_seconds(value))
        case Kind.STRING:
            return str(value)  # of an enumeration's member too
    return value


def to_text(shape: Shape, value: Any) -> str:  # Any: a model value
    """Turn a model value into the text of a header."""
    match shape.kind:
        case Kind.BOOLEAN:
            return "true" if value else "false"
        case Kind.TIMESTAMP:
            return str(format_timestamp(_seconds(value), shape.timestamp_format or "rfc822"))
    return str(value)


def _seconds(value: float | datetime) -> float:
    return value.timestamp() if isinstance(value, datetime) else value
