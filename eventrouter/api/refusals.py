"""Clear refusals: operations and services that are not served, in the form that the caller's SDK reads."""

from __future__ import annotations

from xml.sax.saxutils import escape

from eventrouter.api.http import Request, Response, json_response
from eventrouter.errors import RequestError

UNSUPPORTED = "UnsupportedOperationException"


def operation_not_served(operation: str, service: str, version: str) -> RequestError:
    """Return the refusal of an operation that AWS has and this version does not."""
    return RequestError(
        UNSUPPORTED, f"The operation {operation} of {service} is not served by eventrouter {version}.", status=501
    )


def service_not_served(request: Request, service: str | None, request_id: str, version: str) -> Response:
    """Answer a request that leads to no service here. `service` is the signing name, None if it is not signed."""
    if service is None:
        text = f"eventrouter {version} serves nothing at {request.method} {request.path}."
        return _answer(request, 404, "UnknownOperationException", text, request_id)
    text = f"The service {service}, or this operation of it, is not served by eventrouter {version}."
    return _answer(request, 501, UNSUPPORTED, text, request_id)


def _answer(request: Request, status: int, code: str, text: str, request_id: str) -> Response:
    content_type = request.header("content-type") or ""
    if content_type.startswith("application/x-www-form-urlencoded"):  # the query protocol, which reads XML
        body = (
            f"<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{escape(text)}</Message></Error>"
            f"<RequestId>{request_id}</RequestId></ErrorResponse>"
        )
        return Response(status, body.encode(), ((b"content-type", b"text/xml"), (b"x-amzn-errortype", code.encode())))
    response = json_response(status, {"__type": code, "message": text})
    return Response(status, response.body, (*response.headers, (b"x-amzn-errortype", code.encode())))
