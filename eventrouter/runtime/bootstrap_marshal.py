"""Between JSON and Python, as AWS's Python runtime does it. Standard library only: this runs inside functions.

Source: lambda-semantics §5.3 (Event, Result).
"""

from __future__ import annotations

import json
import marshal
import math
import os
import re
from decimal import Decimal
from typing import Any

RAW_UTF8_SINCE_MINOR = 12
"""Runtimes from python3.12 on write UTF-8; older ones escape everything beyond ASCII."""


class Fault(Exception):
    """A failure that the runtime itself names: an error type, its message and, for some, a stack trace."""

    def __init__(self, error_type: str, message: str, trace: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.error_type = error_type
        self.message = message
        self.trace = trace


class _DecimalMet(Exception):
    """The value holds a Decimal, which the plain encoder cannot write."""


def writes_raw_utf8(runtime: str) -> bool:
    """Say whether a runtime such as `python3.12` writes non-ASCII characters unescaped."""
    found = re.fullmatch(r"python3\.(\d+)", runtime)
    return found is not None and int(found[1]) >= RAW_UTF8_SINCE_MINOR


class Marshaller:
    """Writes results and error objects as one runtime does."""

    def __init__(self, runtime: str) -> None:
        self._ascii = not writes_raw_utf8(runtime)
        self._encode = json.JSONEncoder(ensure_ascii=self._ascii, default=_plain_default).encode

    def dump_result(self, value: object) -> bytes:
        """Return a handler's result as JSON. Raises Fault (Runtime.MarshalError)."""
        try:
            return self.text(value).encode()
        except Exception as error:
            raise Fault("Runtime.MarshalError", f"Unable to marshal response: {error}") from None

    def dump_error(self, fields: dict[str, Any]) -> bytes:
        """Return an error object as JSON; what UTF-8 cannot say becomes a question mark."""
        return self.text(fields).encode(errors="replace")

    def text(self, value: object) -> str:
        """Return any value as JSON text. Raises TypeError, ValueError or what the value's own methods raise."""
        if not _is_built_in(value):
            value = _without_named_tuples(value)
        try:
            return self._encode(value)
        except _DecimalMet:
            return self._encode_with_decimals(value)

    def _encode_with_decimals(self, value: object) -> str:
        """Write Decimals as bare numbers: as marked strings first, whose quotes then go."""
        mark = os.urandom(16).hex()

        def default(found: object) -> object:
            if isinstance(found, Decimal):
                return math.nan if found.is_nan() else f"{mark}{found}"
            return _plain_default(found)

        text = json.JSONEncoder(ensure_ascii=self._ascii, default=default).encode(value)
        return re.sub(f'"{mark}([^"]*)"', r"\1", text)


def load_event(payload: bytes) -> Any:
    """Return the handler's event. Raises Fault (Runtime.UnmarshalError)."""
    try:
        return json.loads(payload)
    except Exception as error:
        raise Fault("Runtime.UnmarshalError", f"Unable to unmarshal input: {error}") from None


def _is_built_in(value: Any) -> bool:
    """Say, fast, whether a value is built of Python's own types alone: `marshal` takes no others."""
    try:
        marshal.dumps(value)
    except ValueError:
        return False
    return True


def _without_named_tuples(value: Any) -> Any:
    """Return the value with named tuples as dictionaries: the encoder of AWS's runtime writes them as objects."""
    if isinstance(value, list):
        return [_without_named_tuples(each) for each in value]
    as_dict = getattr(value, "_asdict", None)
    if callable(as_dict):
        return _without_named_tuples(as_dict())
    if isinstance(value, tuple):
        return [_without_named_tuples(each) for each in value]
    if isinstance(value, dict):
        return {key: _without_named_tuples(each) for key, each in value.items()}
    return value


def _plain_default(value: object) -> object:
    if isinstance(value, Decimal):
        raise _DecimalMet
    if isinstance(value, bytes):
        return value.decode()  # inside of a result, bytes are text
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")
