"""Requests as bytes, in each of the four protocols, and what spoils them on the way.

Whatever is drawn is framed as HTTP/1.1 that can be told apart again: the request after it on the connection is heard.
What is wrong with the framing itself is in `malformed`.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Any
from urllib.parse import quote, quote_from_bytes, urlencode

import cbor2

from eventrouter.api.applied import served_apis
from eventrouter.api.protocol.models import Location, OperationModel, Service, Shape, service_model
from eventrouter.api.registry import Refused
from tests.fuzz.grammar import ACCOUNT, HOSTILE_TEXTS, Grammar, in_body

CBOR = "application/x-amz-cbor-1.1"
_SIGNING_NAMES = {"apigatewayv2": "apigateway"}
_REFUSED = {
    (api.service, operation): frozenset(name for name, entry in members.items() if isinstance(entry, Refused))
    for api in served_apis()
    for operation, members in api.members.items()
}
_HEADERS = (
    ("content-encoding", "gzip"), ("content-encoding", "br"), ("content-type", "text/plain"), ("content-type", "\xff"),
    ("x-amz-invocation-type", "Event"), ("x-amz-invocation-type", "DryRun"), ("x-amz-invocation-type", "\xe9"),
    ("x-amz-log-type", "Tail"), ("x-amz-client-context", "e30="), ("x-amz-client-context", "!!"),
    ("x-amz-client-context", "A" * 4_000), ("x-amzn-trace-id", "Root=1-5759e988-bd862e3fe1be46a994272793"),
    ("x-amzn-trace-id", "x" * 9_000), ("authorization", "AWS4-HMAC-SHA256 Credential="), ("authorization", "\xff" * 60),
    ("authorization", "AWS4-HMAC-SHA256 Credential=a/b/c/d/e, SignedHeaders=, Signature="), ("host", "[::1"),
    ("host", "a b"), ("host", ""), ("host", "\xff\xfe"), ("host", "sqs..x"), ("host", "q.execute-api.localhost"),
    ("x-amz-target", "AmazonSQS."), ("x-amz-target", "."), ("x-amz-target", "\xff.\xff"), ("expect", "100-continue"),
    ("cookie", "a=b; c"), ("cookie", "=;=;" * 200), ("x-forwarded-for", "\x01"), ("accept-encoding", "gzip, br"),
    ("x-amzn-query-mode", "true"), ("content-md5", "x"), ("date", "never"), ("x-amz-date", "-1"), ("upgrade", "h2c"),
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """One request. `is_web` requests may reach functions, whose failures are answered as API Gateway does."""

    label: str
    data: bytes
    service: Service | None = None
    is_web: bool = False
    is_head: bool = False


def frame(method: str, target: bytes | str, headers: Mapping[str, str], body: bytes) -> bytes:
    """Write a request; what HTTP cannot carry in a target or a header is escaped or left out."""
    raw = target.encode("latin-1", "replace") if isinstance(target, str) else target
    raw = bytes(max(octet, 33) for octet in raw) or b"/"
    lines = [f"{method} ".encode() + raw + b" HTTP/1.1"]
    named = {"host": "127.0.0.1:4566", **headers, "content-length": str(len(body))}
    for name, value in named.items():
        safe = "".join(c for c in value if c not in "\r\n\0" and (c >= " " or c == "\t") and c != "\x7f")
        lines.append(f"{name}: {safe}".encode("latin-1", "replace"))
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def signed(service: Service, *, region: str = "us-east-1") -> dict[str, str]:
    """Return the headers of a signature that names the account and the service."""
    name = _SIGNING_NAMES.get(service.name, service.name)
    scope = f"{ACCOUNT}/20260101/{region}/{name}/aws4_request"
    return {"authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0"}


class Calls:
    """Draws calls of operations."""

    def __init__(self, grammar: Grammar) -> None:
        self._grammar = grammar
        self._random: Random = grammar.random

    def call(self, service_name: str, operation_name: str) -> Sent:
        """Draw one call: its input, its protocol, and perhaps what spoils it."""
        operation = service_model(service_name).operation(operation_name)
        drawn = self._grammar.members(operation.input) if operation.input is not None else {}
        self._tame(service_name, operation_name, drawn)
        return self.plain(service_name, operation_name, drawn)

    def plain(self, service_name: str, operation_name: str, drawn: dict[str, Any]) -> Sent:
        """Write a call whose input is given."""
        service = service_model(service_name)
        operation = service.operation(operation_name)
        if service.protocol == "rest-json":
            return self._rest(service, operation, drawn)
        shape = operation.input
        body = in_body(shape, drawn) if shape is not None else {}
        if service.query_compatible and self._random.random() < 0.3:
            return self._query(service, operation, shape, drawn)
        target = f"{service.target_prefix}.{operation_name}"
        headers = {**signed(service), "x-amz-target": target}
        if self._random.random() < (0.4 if service_name == "kinesis" else 0.05):
            headers["content-type"] = CBOR
            return self._sent(service, operation, "cbor", "POST", "/", headers, self._bytes(_cbor(body)))
        headers["content-type"] = f"application/x-amz-json-{service.json_version}"
        return self._sent(service, operation, "json", "POST", "/", headers, self._json(body))

    def _tame(self, service: str, operation: str, drawn: dict[str, Any]) -> None:
        """Take out what is refused by name, most times, and what would only keep the node busy for the whole run."""
        refused = _REFUSED[service, operation]
        for name in [name for name in drawn if name in refused and self._random.random() < 0.9]:
            del drawn[name]
        if operation in ("CreateStream", "UpdateShardCount"):
            for name in ("ShardCount", "TargetShardCount"):
                if isinstance(drawn.get(name), int) and 8 < drawn[name] <= 10_000:
                    drawn[name] = self._random.randint(1, 8)
        if operation == "PutRule" and self._random.random() < 0.9:
            drawn["State"] = "DISABLED"

    def _rest(self, service: Service, operation: OperationModel, drawn: dict[str, Any]) -> Sent:
        path, query, headers = operation.uri.partition("?")[0], [], signed(service)
        body: bytes | None = None
        shape = operation.input
        for member in shape.members.values() if shape is not None else ():
            value = drawn.get(member.name)
            match member.location:
                case Location.URI:
                    text = _plain(value) if value not in (None, "") else "f"
                    safe = "" if self._random.random() < 0.9 else "/:%?"
                    escaped = quote(text.encode("utf-8", "surrogatepass"), safe=safe)
                    path = path.replace(f"{{{member.wire_name}}}", escaped).replace(f"{{{member.wire_name}+}}", escaped)
                case Location.QUERY if value is not None:
                    values = value if isinstance(value, list) else [value]
                    query += [(member.wire_name, _plain(entry).encode("utf-8", "surrogatepass")) for entry in values]
                case Location.HEADER if value is not None:
                    headers[member.wire_name.lower()] = _plain(value)
                case Location.PAYLOAD:
                    body = self._payload(value)
        if body is None:
            body = self._json(in_body(shape, drawn)) if shape is not None and operation.method != "GET" else b""
        target = path + (f"?{urlencode(query)}" if query else "")
        return self._sent(service, operation, "rest-json", operation.method, target, headers, body)

    def _payload(self, value: Any) -> bytes:
        if isinstance(value, bytes) and self._random.random() < 0.3:
            return value
        return self._json(self._random.choice(({}, {"a": 1}, [1, 2], "x", {"Records": [{}]}, 7, None)))

    def _query(self, service: Service, operation: OperationModel, shape: Shape | None, drawn: dict[str, Any]) -> Sent:
        fields = [("Action", operation.name), ("Version", "2012-11-05")]
        for name, value in drawn.items():
            fields += _flat(name if self._random.random() < 0.5 else name.removesuffix("s"), value)
        if self._grammar.is_odd():
            text = self._random.choice(HOSTILE_TEXTS)
            fields.append(
                self._random.choice([(text, "x"), ("Attribute.1", text), ("A." * 300, text), ("Action", text)])
            )
        form = urlencode([(k.encode("utf-8", "replace"), v.encode("utf-8", "replace")) for k, v in fields]).encode()
        headers = {**signed(service), "content-type": "application/x-www-form-urlencoded; charset=utf-8"}
        path = self._random.choice(("/", f"/{ACCOUNT}/q", f"/{ACCOUNT}/q.fifo", f"/{ACCOUNT}/%00"))
        if self._random.random() < 0.2 and len(form) < 8_000:
            return self._sent(service, operation, "query-get", "GET", f"{path}?{form.decode()}", signed(service), b"")
        return self._sent(service, operation, "query", "POST", path, headers, self._bytes(form))

    def _sent(
        self,
        service: Service,
        operation: OperationModel,
        protocol: str,
        method: str,
        target: str,
        headers: dict[str, str],
        body: bytes,
    ) -> Sent:
        if self._grammar.is_odd():
            name, value = self._random.choice(_HEADERS)
            headers[name] = value
            if value == "gzip":
                body = gzip.compress(body, 1)
        is_web = "execute-api" in headers.get("host", "")
        label = f"{service.name}.{operation.name} {protocol}"
        data = frame(method, target, headers, body)
        return Sent(label=label, data=data, service=service, is_web=is_web, is_head=method == "HEAD")

    def _json(self, value: Any) -> bytes:
        return self._bytes(_as_json(value))

    def _bytes(self, body: bytes) -> bytes:
        """Spoil a body now and then."""
        return spoil(self._random, body) if self._random.random() < 0.06 else body


def spoil(random: Random, body: bytes) -> bytes:
    """Break a body: cut, turned, doubled, nested, in another encoding."""
    cut = random.randint(0, len(body))
    deep = random.choice((10, 63, 65, 1_000, 100_000))
    match random.randrange(16):
        case 0:
            return body[:cut]
        case 1:
            return body[:cut] + random.randbytes(random.randint(1, 4)) + body[cut + 1 :]
        case 2:
            return body + body
        case 3:
            return b"[" * deep + b"]" * deep
        case 4:
            return b'{"a":' * deep + b"1" + b"}" * deep
        case 5:
            return body.replace(b"1", b"1" * 5_000) if b"1" in body else b'{"a":' + b"9" * 5_000 + b"}"
        case 6:
            return b"\xef\xbb\xbf" + body
        case 7:
            return body.decode("latin-1").encode("utf-16")
        case 8:
            return body.replace(b'"', b'"\\ud800', 2)
        case 9:
            return body.replace(b":", random.choice((b":NaN,", b":1e999,", b":-", b":0x10,", b":\0")), 1)
        case 10:
            return b"\x81" * deep + b"\x01"  # arrays in arrays, in CBOR
        case 11:
            return random.choice(
                (b"\xbf", b"\x9b" + b"\xff" * 8, b"\x5f\x41", b"\xc1" * 5_000, b"\xfb\x7f\xf0" + bytes(6))
            )
        case 12:
            return b"&".join([b"Attribute.1.Name=x"] * min(deep, 2_000))
        case 13:
            return body.replace(b"{", b"{" + b'"a":1,' * min(deep, 5_000), 1)
        case 14:
            return random.randbytes(random.randint(0, 64))
        case _:
            return b" " * deep + body


def _as_json(value: Any) -> bytes:
    return json.dumps(value, default=lambda blob: base64.b64encode(blob).decode()).encode()


def _cbor(value: Any) -> bytes:
    encoded: bytes = cbor2.dumps(_for_cbor(value))
    return encoded


def _for_cbor(value: Any) -> Any:
    if isinstance(value, dict):
        return {_for_cbor(key): _for_cbor(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_for_cbor(inner) for inner in value]
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value
    return _as_json(value).decode()


def _flat(name: str, value: Any) -> list[tuple[str, str]]:
    """Write a value as fields of the query protocol."""
    if isinstance(value, dict):
        entries = [_flat(f"{name}.{at}.Name", key) + _flat(f"{name}.{at}.Value", inner)
                   for at, (key, inner) in enumerate(value.items(), 1)]  # fmt: skip
        return [field for entry in entries for field in entry]
    if isinstance(value, list):
        entries = [
            [field for key, inner in entry.items() for field in _flat(f"{name}.{at}.{key}", inner)]
            if isinstance(entry, dict)
            else _flat(f"{name}.{at}", entry)
            for at, entry in enumerate(value, 1)
        ]
        return [field for entry in entries for field in entry]
    if isinstance(value, bytes):
        return [(name, base64.b64encode(value).decode())]
    return [(name, _plain(value))]


class Paths:
    """Draws requests that are for no operation: the node's own paths, functions behind routes, and nothing at all."""

    PARTS = (
        "_eventrouter", "_aws", "_localstack", "health", "healthz", "metrics", "execute-api", "sqs", "messages",
        "packages", "functions", "f", "mappings", "nodes", "explain", "history", "clock", "environments", "deliveries",
        "2015-03-31", "2017-03-31", "v2", "apis", "tags", "invocations", "%00", "%ff", "..", "", "%", "{}", ACCOUNT,
        "%24default", "$default", "a" * 300, "~", "arn%3Aaws%3Alambda", "q", "drain", "bury", "e" * 64,
    )  # fmt: skip
    METHODS = ("GET", "GET", "POST", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS")
    QUERIES = ("", "", "?a=b", "?QueueUrl=http://x/000000000000/q", "?%ff=%00&&=&a", "?Action=ListQueues", "?limit=-1",
               "?X-Amz-Credential=a/b/c/d/e/f", "?" + "a=1&" * 1_500, "?ShowInvisible=maybe", "?at=9e99&function=%00",
               "?function=f&last=1", "?mapping=x&shard=y", "?request_id=" + "0" * 36)  # fmt: skip
    BANNED = ("reset", "/drain", "/bury")
    """What would empty the node or take it away is asked for by tests of its own."""

    def __init__(self, grammar: Grammar) -> None:
        self._grammar = grammar
        self._random: Random = grammar.random

    def request(self) -> Sent:
        """Draw a request."""
        random = self._random
        path = "/" + "/".join(random.choices(self.PARTS, k=random.randint(0, 5)))
        if random.random() < 0.2:
            path = random.choice(("/rude", "/rude-1")) + path
        if random.random() < 0.2:
            path = "/" + quote_from_bytes(random.randbytes(random.randint(0, 12)), safe="/:%$")
        if any(word in path for word in self.BANNED):
            path = "/_eventrouter/nodes"
        method = random.choice(self.METHODS)
        headers: dict[str, str] = {}
        if random.random() < 0.3:
            name, value = random.choice(_HEADERS)
            headers[name] = value
        body = b"" if random.random() < 0.6 else self._body()
        data = frame(method, path + random.choice(self.QUERIES), headers, body)
        return Sent(label=f"{method} {path[:60]}", data=data, is_web=True, is_head=method == "HEAD")

    def _body(self) -> bytes:
        random = self._random
        value: Any = random.choice(({}, [], {"by_s": -1}, {"until": "idle"}, {"force": 1}, {"a": "\ud800"}, 7, None))
        body = json.dumps(value).encode()
        return spoil(random, body) if random.random() < 0.3 else body
