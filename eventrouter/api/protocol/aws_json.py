"""The json protocol, versions 1.0 and 1.1: `X-Amz-Target` names the operation, members travel in the body.

The same in CBOR is what some SDKs speak to Kinesis: blobs are bytes then, and timestamps are in milliseconds.
Services that spoke the query protocol before (SQS) also carry their old error code in a header.
Source: lambda-semantics §7.1, §8.1, §8.7, §9 (protocols).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from eventrouter.api.http import Header, Request, Response
from eventrouter.api.protocol.cbor import decode_cbor, encode_cbor
from eventrouter.api.protocol.codec import encode_json, error_headers, latin1, read_object, status_of
from eventrouter.api.protocol.event_stream import CONTENT_TYPE, encode_events
from eventrouter.api.protocol.models import Member, OperationModel, Service, Shape, service_model
from eventrouter.api.protocol.values import from_json, to_cbor, to_json
from eventrouter.errors import RequestError

CBOR = "application/x-amz-cbor-1.1"

_NAMESPACES = {"sqs": "com.amazonaws.sqs#"}


class AwsJson:
    """The codec."""

    def parse(self, operation: OperationModel, request: Request, labels: Mapping[str, str]) -> dict[str, Any]:
        body = self._read(request.body)
        if operation.input is None:
            return {}
        values: dict[str, Any] = from_json(operation.input, body)
        return values

    def answer(self, operation: OperationModel, output: Mapping[str, Any]) -> Response:
        content_type = self._content_type(operation.service)
        if operation.output is None:
            return Response(operation.status, self._write_plain({}), (_header(content_type),))
        stream = _event_stream(operation.output)
        if stream is None:
            return Response(operation.status, self._write(operation.output, output), (_header(content_type),))
        chunks = encode_events(
            stream.shape,
            output[stream.name],
            content_type=content_type,
            write=self._write,
            write_error=lambda error: self._write_plain({"message": error.message}),
        )
        return Response(operation.status, headers=(_header(CONTENT_TYPE),), chunks=chunks)

    def error(self, service: Service, error: RequestError, request_id: str) -> Response:
        status = status_of(service, error)
        headers: list[Header] = [
            _header(self._content_type(service.name)),
            (b"x-amzn-errortype", latin1(error.code)),
        ]
        if service.query_compatible and "x-amzn-query-error" not in error.headers:
            fault = "Receiver" if status >= 500 else "Sender"
            headers.append((b"x-amzn-query-error", latin1(f"{error.code};{fault}")))
        headers.extend(error_headers(error))
        body = {"__type": _NAMESPACES.get(service.name, "") + error.code, "message": error.message, **error.members}
        return Response(status, self._write_plain(body), tuple(headers))

    def _content_type(self, service: str) -> str:
        return f"application/x-amz-json-{service_model(service).json_version}"

    def _read(self, body: bytes) -> dict[str, Any]:
        return read_object(body, code="SerializationException")

    def _write(self, shape: Shape, value: Any) -> bytes:  # Any: model values
        return encode_json(to_json(shape, value))

    def _write_plain(self, value: Mapping[str, str]) -> bytes:
        return encode_json(value)


class AwsCbor(AwsJson):
    """The codec of the same protocol with CBOR bodies."""

    def _content_type(self, service: str) -> str:
        return CBOR

    def _read(self, body: bytes) -> dict[str, Any]:
        value = decode_cbor(body) if body else {}
        if not isinstance(value, dict):
            raise RequestError("SerializationException", "The request body is not a CBOR map.", status=400)
        return value

    def _write(self, shape: Shape, value: Any) -> bytes:  # Any: model values
        return encode_cbor(to_cbor(shape, value))

    def _write_plain(self, value: Mapping[str, str]) -> bytes:
        return encode_cbor(value)


def _header(content_type: str) -> Header:
    return (b"content-type", content_type.encode())


def _event_stream(output: Shape) -> Member | None:
    return next((member for member in output.members.values() if member.shape.is_event_stream), None)


class TargetRouter:
    """Finds operations by their X-Amz-Target header."""

    def __init__(self, services: Iterable[Service]) -> None:
        self._services = {service.target_prefix: service.name for service in services if service.target_prefix}

    def find(self, target: str) -> tuple[str, str] | None:
        """Return (service, operation) of `Prefix.Operation`; None for an unknown prefix."""
        prefix, _, operation = target.rpartition(".")
        service = self._services.get(prefix)
        return None if service is None else (service, operation)
