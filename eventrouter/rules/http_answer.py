"""What an HTTP caller is answered, from what the function returned, in the payload formats 1.0 and 2.0.

Format 1.0 is strict: a status, headers, a body and nothing else. Format 2.0 takes whatever has no `statusCode` for the
body itself. Source: lambda-semantics §6.6 (table of responses), §2.11 (results without a status).
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CONTROLS = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
"""What no header's value can carry: it would end the header, or break the answer."""
_NOT_THE_FUNCTIONS = frozenset(
    ("connection", "content-length", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade")
)
"""Headers that belong to the connection, which the function does not see."""
_V1_KEYS = frozenset(("statusCode", "headers", "multiValueHeaders", "body", "isBase64Encoded"))
_JSON = ("content-type", "application/json")


class HttpAnswer(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An answer to an HTTP request. Names of headers are in lower case; one that is repeated stands repeatedly."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


def _message(status: int, text: str) -> HttpAnswer:
    return HttpAnswer(status=status, headers=(_JSON,), body=text.encode())


NOT_FOUND: Final = _message(404, '{"message":"Not Found"}')
TOO_LONG: Final = _message(413, '{"message":"Request Too Long"}')
NO_INTEGRATION: Final = _message(500, '{"message":"Internal server error"}')
"""The function is missing, or may not be asked."""
BAD_GATEWAY: Final = _message(502, '{"message": "Internal server error"}')
"""The function failed, timed out, or returned what is no answer."""
UNAVAILABLE: Final = _message(503, '{"message":"Service Unavailable"}')
"""The function was throttled, or did not answer within the integration's time limit."""


class _Malformed(Exception):
    """The function's result is no answer."""


def read_answer(payload: bytes, payload_format: str) -> HttpAnswer:
    """Return what the caller is answered for a function's result; BAD_GATEWAY if it is none."""
    try:
        result = msgspec.json.decode(payload)
        return _answer_v2(result, payload) if payload_format == "2.0" else _answer_v1(result)
    except (_Malformed, msgspec.DecodeError, RecursionError):
        return BAD_GATEWAY


def _answer_v1(result: Any) -> HttpAnswer:  # Any: JSON
    if not isinstance(result, dict) or not result or not _V1_KEYS.issuperset(result):
        raise _Malformed
    several: dict[str, list[str]] = {}
    for name, values in _object(result.get("multiValueHeaders")).items():
        if not isinstance(values, list):
            raise _Malformed
        several.setdefault(name.lower(), []).extend(_text(value) for value in values)
    for name, value in _object(result.get("headers")).items():
        values = several.setdefault(name.lower(), [])
        text = _text(value)
        if text not in values:
            values.append(text)
    return _answer(result, [(name, value) for name, values in several.items() for value in values])


def _answer_v2(result: Any, payload: bytes) -> HttpAnswer:  # Any: JSON
    if not isinstance(result, dict) or "statusCode" not in result:
        body = result.encode() if isinstance(result, str) else msgspec.json.format(payload, indent=-1)
        return HttpAnswer(status=200, headers=(_JSON,), body=body)
    headers = {name.lower(): _text(value) for name, value in _object(result.get("headers")).items()}
    cookies = result.get("cookies")
    if cookies is not None and not isinstance(cookies, list):
        raise _Malformed
    return _answer(result, [*headers.items(), *(("set-cookie", _text(cookie)) for cookie in cookies or ())])


def _answer(result: Mapping[str, Any], headers: list[tuple[str, str]]) -> HttpAnswer:  # Any: JSON
    """Put an answer together; its content type is JSON unless a header says otherwise."""
    kept = [pair for pair in headers if pair[0] not in _NOT_THE_FUNCTIONS]
    if any(_TOKEN.fullmatch(name) is None or _CONTROLS.search(value) for name, value in kept):
        raise _Malformed
    if all(name != "content-type" for name, _ in kept):
        kept.append(_JSON)
    status = _status(result.get("statusCode", 200))
    body = _body(result)
    return HttpAnswer(status=status, headers=tuple(kept), body=b"" if status in (204, 304) else body)


def _status(value: Any) -> int:  # Any: JSON
    if isinstance(value, str) and re.fullmatch(r"[0-9]{3}", value):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 200 <= value <= 599:
        raise _Malformed
    return value


def _body(result: Mapping[str, Any]) -> bytes:  # Any: JSON
    body = result.get("body")
    if body is None:
        return b""
    if not isinstance(body, str):
        raise _Malformed
    if result.get("isBase64Encoded") is not True:
        return body.encode()
    try:
        return base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError) as error:
        raise _Malformed from error


def _object(value: Any) -> dict[str, Any]:  # Any: JSON
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise _Malformed
    return value


def _text(value: Any) -> str:  # Any: JSON
    """Return a header's value: text as it is, numbers and booleans as JSON writes them, null empty."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict | list):
        raise _Malformed
    return "" if value is None else msgspec.json.encode(value).decode()
