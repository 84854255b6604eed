"""Whether an event is JSON, and AWS's words when it is not.

AWS parses events with Jackson: strict JSON, but escapes of lone surrogates, huge numbers and a byte-order mark
pass. Source: lambda-semantics §1.6 (InvalidRequestContentException).
"""

from __future__ import annotations

import json
import re
from typing import NoReturn

import msgspec

_SOURCE = "[Source: REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled); line: {}, column: {}]"
_VALUE = "(JSON String, Number, Array, Object or token 'null', 'true' or 'false')"
_BOM = b"\xef\xbb\xbf"
_MAX_DEPTH = 1_000
# Looked for at the first of a row of digits only: tried at each of them, a row that is too short costs its square.
_LONG_INTEGER = re.compile(r"(?<!\d)\d{4000,}")
_TOKEN = re.compile(r"[^\s\[\]{},:\"]{1,256}")

_decode_raw = msgspec.json.Decoder(msgspec.Raw).decode


def json_problem(payload: bytes) -> str | None:
    """Return None if `payload` is JSON, else Jackson's description of the first mistake.

    Costs well under a microsecond per kilobyte for valid ASCII; a mistake costs a second, slower pass.
    """
    try:
        _decode_raw(payload)
        if not payload.isascii():
            payload.decode()
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _second_opinion(payload)
    return None


def _second_opinion(payload: bytes) -> str | None:
    """Ask the standard library, which lets pass what Jackson does and msgspec does not."""
    try:
        text = payload.removeprefix(_BOM).decode()
    except UnicodeDecodeError as error:
        return _encoding_problem(payload, error)
    try:
        json.loads(_LONG_INTEGER.sub("1", text), parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        return _syntax_problem(text, error)
    except _Constant as constant:
        position = _outside_strings(text, constant.name)
        return _at(
            f"Non-standard token '{constant.name}': enable `JsonReadFeature.ALLOW_NON_NUMERIC_NUMBERS` to allow",
            text,
            position + len(constant.name),
        )
    except RecursionError:
        limit = f"{_MAX_DEPTH}, from `StreamReadConstraints.getMaxNestingDepth()`"
        return f"Document nesting depth ({_MAX_DEPTH + 1}) exceeds the maximum allowed ({limit})"
    return None


class _Constant(Exception):
    """NaN or Infinity was met: Python reads them, JSON has no such thing."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


def _refuse_constant(name: str) -> NoReturn:
    raise _Constant(name)


def _outside_strings(text: str, token: str) -> int:
    """Return where `token` first stands outside of strings."""
    for match in re.finditer(r'"(?:[^"\\]|\\.)*"|' + re.escape(token), text, re.DOTALL):
        if not match[0].startswith('"'):
            return match.start()
    return 0


def _at(problem: str, text: str, position: int) -> str:
    """Add Jackson's location: that of the `position`-th character, counted from 1."""
    line = text.count("\n", 0, max(position - 1, 0)) + 1
    column = position - (text.rfind("\n", 0, max(position - 1, 0)) + 1)
    return f"{problem}\n at {_SOURCE.format(line, column)}"


def _describe(character: str) -> str:
    code = ord(character)
    if code < 32 or 127 <= code < 160:
        return f"(CTRL-CHAR, code {code})"
    return f"'{character}' (code {code})" if code < 256 else f"'{character}' (code {code} / 0x{code:x})"


def _encoding_problem(payload: bytes, error: UnicodeDecodeError) -> str:
    """Describe bytes that are no UTF-8. Outside of strings Jackson complains of the character, not its encoding."""
    data = payload.removeprefix(_BOM)
    before = data[: error.start].decode()
    byte = data[error.start]
    inside_string = before.replace("\\\\", "").replace('\\"', "").count('"') % 2 == 1
    if not inside_string:
        return _at(
            f"Unexpected character ({_describe(chr(byte))}): expected a valid value {_VALUE}", before, len(before) + 1
        )
    continued = "continuation" in error.reason and error.end < len(data)
    problem = (
        f"Invalid UTF-8 middle byte 0x{data[error.end]:x}" if continued else f"Invalid UTF-8 start byte 0x{byte:x}"
    )
    return _at(problem, before, len(before) + 1)


def _syntax_problem(text: str, error: json.JSONDecodeError) -> str:
    """Put the standard library's finding into Jackson's words."""
    position = error.pos
    here = text[position : position + 1]
    if not here or error.msg.startswith("Unterminated string"):
        expected = " in VALUE_STRING" if error.msg.startswith("Unterminated") else ""
        problem = f"Unexpected end-of-input{expected}" if text.strip() else "No content to map due to end-of-input"
        return _at(problem, text, len(text))
    if error.msg.startswith("Invalid control character"):
        rule = "has to be escaped using backslash to be included in string value"
        problem = f"Illegal unquoted character ({_describe(here)}): {rule}"
    elif error.msg.startswith("Invalid \\"):
        escaped = text[position + 1 : position + 2] or here
        problem = f"Unrecognized character escape {_describe(escaped)}"
    elif error.msg.startswith("Expecting property name"):
        problem = f"Unexpected character ({_describe(here)}): was expecting double-quote to start field name"
    elif error.msg.startswith("Expecting ':'"):
        problem = f"Unexpected character ({_describe(here)}): was expecting a colon to separate field name and value"
    elif error.msg.startswith("Expecting ','"):
        problem = f"Unexpected character ({_describe(here)}): was expecting comma to separate entries"
    elif here.isalpha() and (token := _TOKEN.match(text, position)) is not None:
        problem = f"Unrecognized token '{token[0]}': was expecting {_VALUE}"
        return _at(problem, text, token.end() + 1)
    else:
        problem = f"Unexpected character ({_describe(here)}): expected a valid value {_VALUE}"
    return _at(problem, text, position + 1)
