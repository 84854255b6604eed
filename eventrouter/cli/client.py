"""A small HTTP client of a node: standard library only, so that commands start fast. One connection, kept alive."""

from __future__ import annotations

import http.client
import json
import os
import ssl
import urllib.parse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from eventrouter.cli.options import node_url
from eventrouter.cli.output import instant
from eventrouter.clock import SystemClock
from eventrouter.errors import EventRouterError

FUNCTIONS = "/2015-03-31/functions"
EVENT_SOURCE_MAPPINGS = "/2015-03-31/event-source-mappings"
DEFAULT_TIMEOUT_S = 930.0
"""A function may run for 900 s; the rest is for waiting in line."""


class Unreachable(EventRouterError):
    """No node answers at the URL."""


class Refused(EventRouterError):
    """The node answered with an error: its code, HTTP status and message."""

    def __init__(self, code: str, status: int, message: str) -> None:
        super().__init__(f"{code}: {message}" if message else f"{code} (HTTP {status})")
        self.code = code
        self.status = status
        self.message = message


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An HTTP response, read to its end. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def document(self) -> Any:
        """Return the body as JSON. Raises Refused for every status from 300 on."""
        if self.status >= 300:
            raise self.refusal()
        return json.loads(self.body) if self.body else {}

    def refusal(self) -> Refused:
        """Return the error that this answer carries."""
        try:
            body = json.loads(self.body)
        except ValueError:
            body = {}
        if not isinstance(body, dict):
            body = {}
        code = self.headers.get("x-amzn-errortype") or body.get("__type") or "Error"
        message = body.get("message") or body.get("Message") or ""
        return Refused(str(code).split(":")[0].rpartition("#")[2], self.status, str(message))


class NodeClient:
    """Requests to one node, as the account and region that the AWS variables name. Not for several threads."""

    def __init__(self, url: str | None, *, timeout_s: float = DEFAULT_TIMEOUT_S) -> None:
        self.url = node_url(url).rstrip("/")
        parts = urllib.parse.urlsplit(self.url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise Unreachable(f"{self.url!r} is no node's URL: it must look like http://localhost:4566")
        self._path = parts.path
        self.region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
        self._access_key = os.environ.get("AWS_ACCESS_KEY_ID") or "test"
        self._connection: http.client.HTTPConnection
        if parts.scheme == "https":
            self._connection = http.client.HTTPSConnection(
                parts.hostname, parts.port, timeout=timeout_s, context=ssl.create_default_context()
            )
        else:
            self._connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout_s)

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        self._connection.close()

    def request(
        self,
        method: str,
        path: str,
        *,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        service: str = "lambda",
    ) -> Answer:
        """Send one request and read the whole answer. Never sent twice. Raises Unreachable."""
        sent = {"Authorization": self._authorization(service), "Content-Type": "application/json", **(headers or {})}
        try:
            self._connection.request(method, self._path + path, body=body or None, headers=sent)
            response = self._connection.getresponse()
            answer = Answer(
                status=response.status,
                headers={name.lower(): value for name, value in response.getheaders()},
                body=response.read(),
            )
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            raise Unreachable(
                f"no answer from {self.url} ({str(error) or type(error).__name__}): is a node running there? "
                "Start one with `eventrouter dev`, or name it with --url or AWS_ENDPOINT_URL"
            ) from error
        return answer

    def get(self, path: str) -> Any:
        """Return the JSON document at `path`. Raises Refused, Unreachable."""
        return self.request("GET", path).document()

    def pages(self, path: str, member: str) -> Iterator[dict[str, Any]]:
        """Yield every entry of a Lambda list operation, page after page."""
        marker = ""
        while True:
            page = self.get(f"{path}?Marker={urllib.parse.quote(marker, safe='')}" if marker else path)
            yield from page.get(member, [])
            marker = page.get("NextMarker") or ""
            if not marker:
                return

    def call(self, service: str, target: str, members: Mapping[str, Any], *, version: str = "1.0") -> Any:
        """Call an operation of an `x-amz-json` service, such as `AmazonSQS.GetQueueUrl`. Raises Refused."""
        headers = {"X-Amz-Target": target, "Content-Type": f"application/x-amz-json-{version}"}
        body = json.dumps(dict(members)).encode()
        return self.request("POST", "/", body=body, headers=headers, service=service).document()

    def _authorization(self, service: str) -> str:
        # A node reads account and region from the credential's scope and checks no signature.
        day = instant(SystemClock().now_ms())[:10].replace("-", "")
        scope = f"{self._access_key}/{day}/{self.region}/{service}/aws4_request"
        return f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=unsigned"


def function_path(name: str) -> str:
    """Return the path of one function of the Lambda API."""
    return f"{FUNCTIONS}/{urllib.parse.quote(name, safe='')}"
