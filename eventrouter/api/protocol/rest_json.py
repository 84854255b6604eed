"""The rest-json protocol: members in paths, queries, headers and JSON bodies; operations found by method and path.

Source: lambda-semantics §0 (protocol, error envelope, spelling of the message, `Type`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote

from eventrouter.api.http import Header, Request, Response
from eventrouter.api.protocol.codec import encode_json, error_headers, latin1, read_object, status_of
from eventrouter.api.protocol.models import Kind, Location, Member, OperationModel, Service
from eventrouter.api.protocol.values import from_json, from_text, to_json, to_text
from eventrouter.errors import RequestError

JSON_TYPE: Header = (b"content-type", b"application/json")
_WITHOUT_TYPE = frozenset({"ValidationException", "RequestEntityTooLargeException", "SerializationException"})
_CAPITAL_MESSAGE = frozenset({"AccessDeniedException"})


class RestJson:
    """The codec."""

    def parse(self, operation: OperationModel, request: Request, labels: Mapping[str, str]) -> dict[str, Any]:
        shape = operation.input
        if shape is None:
            return {}
        values: dict[str, Any] = {}
        query = parse_qsl(request.query.decode("latin-1"), keep_blank_values=True, max_num_fields=1_000)
        takes_body = any(member.location is Location.BODY for member in shape.members.values())
        if takes_body:
            body = read_object(request.body, code="InvalidRequestContentException")
            values.update(from_json(shape, body))
        for member in shape.members.values():
            value = _outside_body(member, request, labels, query)
            if value is not None:
                values[member.name] = value
        return values

    def answer(self, operation: OperationModel, output: Mapping[str, Any]) -> Response:
        shape = operation.output
        status = operation.status
        headers: list[Header] = []
        if shape is None:
            return Response(status)
        for member in shape.members.values():
            value = output.get(member.name)
            if value is None:
                continue
            if member.location is Location.STATUS:
                status = value
            elif member.location is Location.HEADER:
                headers.append((member.wire_name.lower().encode(), latin1(to_text(member.shape, value))))
        if status == 204:
            return Response(status, b"", tuple(headers))
        return Response(status, encode_json(to_json(shape, output)), (JSON_TYPE, *headers))

    def error(self, service: Service, error: RequestError, request_id: str) -> Response:
        model = service.errors.get(error.code)
        status = status_of(service, error)
        body: dict[str, str] = {}
        headers: list[Header] = [JSON_TYPE, (b"x-amzn-errortype", latin1(error.code)), *error_headers(error)]
        in_headers = model.headers if model is not None else {}
        for name, value in error.members.items():
            if name in in_headers:
                headers.append((in_headers[name].lower().encode(), latin1(value)))
            else:
                body[name] = value
        if error.fault is not None and error.code not in _WITHOUT_TYPE:
            body["Type"] = "Service" if status >= 500 else error.fault
        capital = error.code in _CAPITAL_MESSAGE if model is None else model.message_member == "Message"
        body["Message" if capital else "message"] = error.message
        return Response(status, encode_json(body), tuple(headers))


def _outside_body(
    member: Member, request: Request, labels: Mapping[str, str], query: list[tuple[str, str]]
) -> Any:  # Any: a model value
    """Read a member that does not travel in the JSON body; None where it is absent."""
    match member.location:
        case Location.URI:
            return from_text(member.shape, labels[member.wire_name]) if member.wire_name in labels else None
        case Location.QUERY:
            return _from_query(member, query)
        case Location.HEADER:
            header = request.header(member.wire_name.lower())
            return None if header is None else from_text(member.shape, header)
        case Location.PAYLOAD:
            if member.shape.kind is Kind.BLOB:
                return request.body
            return from_json(member.shape, read_object(request.body, code="InvalidRequestContentException"))
    return None


def _from_query(member: Member, query: list[tuple[str, str]]) -> Any:  # Any: a model value
    found = [value for name, value in query if name == member.wire_name]
    if not found:
        return None
    if member.shape.kind is Kind.LIST and member.shape.item is not None:
        item = member.shape.item
        return [from_text(item, value) for value in found]
    return from_text(member.shape, found[0])


@dataclass(slots=True)
class _Node:
    """One segment of the tree of paths. `endings` are (method, constant query, service, operation)."""

    segments: dict[str, _Node] = field(default_factory=dict)
    label: _Node | None = None
    endings: list[tuple[str, str, str, str, tuple[str, ...]]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Route:
    """Where a request leads: service, operation and the path's labels, decoded."""

    service: str
    operation: str
    labels: dict[str, str]


class PathRouter:
    """Finds operations by method and path, over all rest-json services; the whole model, served or not."""

    def __init__(self, services: Iterable[Service]) -> None:
        self._root = _Node()
        for service in services:
            for name in service.operation_names:
                method, template = service.uri_of(name)
                self._add(service.name, name, method, template)

    def _add(self, service: str, operation: str, method: str, template: str) -> None:
        path, _, query = template.partition("?")
        node, labels = self._root, []
        for segment in _segments(path):
            if segment.startswith("{"):
                labels.append(segment.strip("{}+"))
                node.label = node.label or _Node()
                node = node.label
            else:
                node = node.segments.setdefault(segment, _Node())
        node.endings.append((method, query, service, operation, tuple(labels)))

    def find(self, method: str, path: str, query: bytes) -> Route | None:
        """Return the route of a request, or None. `path` is percent-encoded; a trailing slash means nothing."""
        found = self._walk(self._root, _segments(path), ())
        if found is None:
            return None
        node, values = found
        constants = query.decode("latin-1").split("&")
        candidates = [ending for ending in node.endings if ending[0] == method]
        candidates.sort(key=lambda ending: not ending[1])  # a path with a constant query is the more particular one
        for _, constant, service, operation, names in candidates:
            if not constant or constant in constants:
                return Route(service, operation, dict(zip(names, map(unquote, values), strict=True)))
        return None

    def _walk(self, node: _Node, segments: list[str], values: tuple[str, ...]) -> tuple[_Node, tuple[str, ...]] | None:
        for position, segment in enumerate(segments):
            literal = node.segments.get(segment)
            if literal is not None and node.label is not None and segment:
                found = self._walk(literal, segments[position + 1 :], values)
                if found is not None and found[0].endings:
                    return found
                literal = None
            if literal is not None:
                node = literal
            elif node.label is not None:
                node, values = node.label, (*values, segment)
            else:
                return None
        return node, values


def _segments(path: str) -> list[str]:
    return path.strip("/").split("/")[:32]
