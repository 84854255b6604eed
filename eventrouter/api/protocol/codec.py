"""What every wire protocol does, and what they share: reading a JSON body, finding an error's status."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import msgspec

from eventrouter.api.http import Request, Response
from eventrouter.api.protocol.models import OperationModel, Service
from eventrouter.errors import RequestError
from eventrouter.rules.payload import json_problem

_decode = msgspec.json.Decoder().decode
encode_json = msgspec.json.Encoder().encode


class Codec(Protocol):
    """One wire protocol. Codecs keep no state: a service's model says which one it speaks."""

    def parse(self, operation: OperationModel, request: Request, labels: Mapping[str, str]) -> dict[str, Any]:
        """Read the input members, types checked. `labels` are the URI template's, decoded.

        Raises RequestError if the request cannot be read.
        """
        ...

    def answer(self, operation: OperationModel, output: Mapping[str, Any]) -> Response:
        """Write the output members."""
        ...

    def error(self, service: Service, error: RequestError, request_id: str) -> Response:
        """Write an error."""
        ...


def read_object(body: bytes, *, code: str) -> dict[str, Any]:
    """Decode a request body that must be a JSON object; no body is an empty one.

    Raises RequestError with `code`.
    """
    if not body.strip():
        return {}
    problem = json_problem(body)
    if problem is not None:
        raise RequestError(code, f"Could not parse request body into json: {problem}", status=400)
    try:
        value = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:  # JSON, but not text that can be kept: lone surrogates
        raise RequestError(code, f"Could not parse request body into json: {error}", status=400) from error
    if not isinstance(value, dict):
        raise RequestError(code, "Could not parse request body into json: expected an object", status=400)
    return value


_UNMODELLED_STATUS = {
    "AccessDeniedException": 403,
    "InternalFailure": 500,
    "RequestEntityTooLargeException": 413,
    "ServiceUnavailableException": 503,
    "UnsupportedOperationException": 501,
}


def status_of(service: Service, error: RequestError) -> int:
    """Return an error's HTTP status: its own, else the model's, else 400."""
    if error.status is not None:
        return error.status
    model = service.errors.get(error.code)
    if model is not None:
        return model.status or 400
    return _UNMODELLED_STATUS.get(error.code, 400)


def error_headers(error: RequestError) -> tuple[tuple[bytes, bytes], ...]:
    """Return the headers that an error brings of its own."""
    return tuple((name.lower().encode("latin-1"), latin1(value)) for name, value in error.headers.items())


def latin1(text: str) -> bytes:
    """Encode a header's value: one line, other characters replaced."""
    return text.replace("\r", " ").replace("\n", " ").encode("latin-1", "replace")
