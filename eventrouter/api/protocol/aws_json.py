"""The json protocol, versions 1.0 and 1.1: `X-Amz-Target` names the operation, members travel in the body.

Services that spoke the query protocol before (SQS) also carry their old error code in a header.
Source: lambda-semantics §8.1, §8.7, §9 (protocols).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from eventrouter.api.http import Header, Request, Response
from eventrouter.api.protocol.codec import encode_json, error_headers, latin1, read_object, status_of
from eventrouter.api.protocol.models import OperationModel, Service, service_model
from eventrouter.api.protocol.values import from_json, to_json
from eventrouter.errors import RequestError

_NAMESPACES = {"sqs": "com.amazonaws.sqs#"}


class AwsJson:
    """The codec."""

    def parse(self, operation: OperationModel, request: Request, labels: Mapping[str, str]) -> dict[str, Any]:
        body = read_object(request.body, code="SerializationException")
        if operation.input is None:
            return {}
        values: dict[str, Any] = from_json(operation.input, body)
        return values

    def answer(self, operation: OperationModel, output: Mapping[str, Any]) -> Response:
        body = b"{}" if operation.output is None else encode_json(to_json(operation.output, output))
        return Response(operation.status, body, (_content_type(operation.service),))

    def error(self, service: Service, error: RequestError, request_id: str) -> Response:
        status = status_of(service, error)
        headers: list[Header] = [_content_type(service.name), (b"x-amzn-errortype", latin1(error.code))]
        if service.query_compatible and "x-amzn-query-error" not in error.headers:
            fault = "Receiver" if status >= 500 else "Sender"
            headers.append((b"x-amzn-query-error", latin1(f"{error.code};{fault}")))
        headers.extend(error_headers(error))
        body = {"__type": _NAMESPACES.get(service.name, "") + error.code, "message": error.message, **error.members}
        return Response(status, encode_json(body), tuple(headers))


def _content_type(service: str) -> Header:
    return (b"content-type", f"application/x-amz-json-{service_model(service).json_version}".encode())


class TargetRouter:
    """Finds operations by their X-Amz-Target header."""

    def __init__(self, services: Iterable[Service]) -> None:
        self._services = {service.target_prefix: service.name for service in services if service.target_prefix}

    def find(self, target: str) -> tuple[str, str] | None:
        """Return (service, operation) of `Prefix.Operation`; None for an unknown prefix."""
        prefix, _, operation = target.rpartition(".")
        service = self._services.get(prefix)
        return None if service is None else (service, operation)
