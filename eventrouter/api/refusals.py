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
        status, code = 404, "UnknownOperationException"
        text = f"eventrouter {version} serves nothing at {request.method} {request.path}."
    else:
        status, code = 501, UNSUPPORTED
        text = f"The service {service}, or this operation of it, is not served by eventrouter {version}."
    error_type = (b"x-amzn-errortype", code.encode())
    xml = _xml(request, service, code, text, request_id)
    if xml is not None:
        return Response(status, xml.encode(), ((b"content-type", b"text/xml"), error_type))
    response = json_response(status, {"__type": code, "message": text})
    return Response(status, response.body, (*response.headers, error_type))


def _xml(request: Request, service: str | None, code: str, text: str, request_id: str) -> str | None:
    """Return the error as the query and rest-xml protocols carry it; None where the caller reads JSON."""
    error = f"<Code>{code}</Code><Message>{escape(text)}</Message>"
    if service == "s3":
        return f"<Error>{error}<RequestId>{request_id}</RequestId></Error>"
    content_type = request.header("content-type") or ""
    if content_type.startswith("application/x-www-form-urlencoded"):
        error = f"<Error><Type>Sender</Type>{error}</Error>"
        return f"<ErrorResponse>{error}<RequestId>{request_id}</RequestId></ErrorResponse>"
    return None
