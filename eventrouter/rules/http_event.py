"""The event that a function is given for an HTTP request, in the payload formats 1.0 and 2.0.

Source: lambda-semantics §6.6; which bodies are text: §2.11.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from eventrouter.rules.http_api import STAGE, HttpApi
from eventrouter.rules.http_route import RouteMatch

_TEXT_TYPES = re.compile(
    r"text/.*|application/(?:json|javascript|xml|yaml|graphql|x-ndjson)|[a-z]+/.*\+(?:json|xml)", re.IGNORECASE
)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_NOBODY: Mapping[str, None] = dict.fromkeys(
    (
        *("accessKey", "accountId", "caller", "cognitoAuthenticationProvider", "cognitoAuthenticationType"),
        *("cognitoIdentityId", "cognitoIdentityPoolId", "principalOrgId", "sourceIp", "user", "userAgent", "userArn"),
    )
)
"""The identity of a caller who is not known, in the order of the event's members."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRequest:
    """One request, as it came in. `path` and `query` are percent-encoded; header names are as the client wrote them.

    `id` is the request's own, `at_ms` when it came, `port` where it came to.
    """

    method: str
    path: str
    query: str = ""
    headers: Sequence[tuple[str, str]] = ()
    body: bytes = b""
    domain: str = "localhost"
    port: int = 4566
    scheme: str = "http"
    source_ip: str = "127.0.0.1"
    protocol: str = "HTTP/1.1"
    id: str
    trace: str
    at_ms: int

    def header(self, name: str) -> str:
        """Return the last value of a header, by its name in lower case; empty if there is none."""
        return next((value for key, value in reversed(self.headers) if key.lower() == name), "")


def http_event(request: HttpRequest, api: HttpApi, match: RouteMatch, payload_format: str) -> bytes:
    """Return the event of a request in a payload format, as JSON."""
    make = _event_v2 if payload_format == "2.0" else _event_v1
    return msgspec.json.encode(make(request, api, match))


def _event_v2(request: HttpRequest, api: HttpApi, match: RouteMatch) -> dict[str, Any]:  # Any: JSON
    """Format 2.0: names of headers in lower case, several values joined, what is empty left out."""
    headers = _grouped((name.lower(), value) for name, value in _with_added(request))
    cookies = [cookie.strip() for value in headers.pop("cookie", ()) for cookie in value.split(";")]
    body, is_encoded = _body(request)
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": match.key.text,
        "rawPath": request.path,
        "rawQueryString": request.query,
        "cookies": [cookie for cookie in cookies if cookie],
        "headers": {name: ",".join(values) for name, values in headers.items()},
        "queryStringParameters": {name: ",".join(values) for name, values in _grouped(_query(request)).items()},
        "requestContext": {
            "accountId": api.account,
            "apiId": api.id,
            "authentication": None,
            "domainName": request.domain,
            "domainPrefix": request.domain.partition(".")[0],
            "http": {
                "method": request.method,
                "path": request.path,
                "protocol": request.protocol,
                "sourceIp": request.source_ip,
                "userAgent": request.header("user-agent"),
            },
            "requestId": request.id,
            "routeKey": match.key.text,
            "stage": STAGE,
            "time": _time_text(request.at_ms),
            "timeEpoch": request.at_ms,
        },
        "body": body,
        "pathParameters": dict(match.parameters),
        "isBase64Encoded": is_encoded,
    }
    for name in ("cookies", "queryStringParameters", "body", "pathParameters"):
        if not event[name]:
            del event[name]
    return event


def _event_v1(request: HttpRequest, api: HttpApi, match: RouteMatch) -> dict[str, Any]:  # Any: JSON
    """Format 1.0: names of headers as the client wrote them, the last of several values, what is empty null."""
    spelling: dict[str, str] = {}
    headers = _grouped((spelling.setdefault(name.lower(), name), value) for name, value in _with_added(request))
    query = _grouped(_query(request))
    body, is_encoded = _body(request)
    return {
        "version": "1.0",
        "resource": match.key.resource,
        "path": request.path,
        "httpMethod": request.method,
        "headers": {name: values[-1] for name, values in headers.items()},
        "multiValueHeaders": headers,
        "queryStringParameters": {name: values[-1] for name, values in query.items()} or None,
        "multiValueQueryStringParameters": query or None,
        "pathParameters": dict(match.parameters) or None,
        "stageVariables": None,
        "requestContext": {
            "accountId": api.account,
            "apiId": api.id,
            "deploymentId": api.id[:6],
            "domainName": request.domain,
            "domainPrefix": request.domain.partition(".")[0],
            "extendedRequestId": request.id,
            "httpMethod": request.method,
            "identity": {**_NOBODY, "sourceIp": request.source_ip, "userAgent": request.header("user-agent")},
            "path": request.path,
            "protocol": request.protocol,
            "requestId": request.id,
            "requestTime": _time_text(request.at_ms),
            "requestTimeEpoch": request.at_ms,
            "resourceId": None,
            "resourcePath": match.key.resource,
            "stage": STAGE,
        },
        "body": body or None,
        "isBase64Encoded": is_encoded,
    }


def _with_added(request: HttpRequest) -> list[tuple[str, str]]:
    """Return the headers with those that a gateway adds; the sender's address is put behind those of other proxies."""
    passed = request.header("x-forwarded-for")
    added = {
        "X-Amzn-Trace-Id": request.trace,
        "X-Forwarded-For": f"{passed}, {request.source_ip}" if passed else request.source_ip,
        "X-Forwarded-Port": str(request.port),
        "X-Forwarded-Proto": request.scheme,
    }
    names = {name.lower() for name in added}
    return [*(pair for pair in request.headers if pair[0].lower() not in names), *added.items()]


def _grouped(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Return all values of each name, in order."""
    grouped: dict[str, list[str]] = {}
    for name, value in pairs:
        grouped.setdefault(name, []).append(value)
    return grouped


def _query(request: HttpRequest) -> list[tuple[str, str]]:
    return parse_qsl(request.query, keep_blank_values=True)


def _body(request: HttpRequest) -> tuple[str, bool]:
    """Return the body as text, and whether that is base64: of what is not text by its type, or not UTF-8."""
    kind = request.header("content-type").partition(";")[0].strip()
    if (not kind or _TEXT_TYPES.fullmatch(kind)) and not request.header("content-encoding"):
        try:
            return request.body.decode(), False
        except UnicodeDecodeError:
            pass
    return base64.b64encode(request.body).decode(), bool(request.body)


def _time_text(at_ms: int) -> str:
    """Render an instant as access logs do: `12/Mar/2020:19:03:58 +0000`."""
    at = datetime.fromtimestamp(at_ms // 1_000, UTC)
    return f"{at.day:02d}/{_MONTHS[at.month - 1]}/{at:%Y:%H:%M:%S} +0000"
