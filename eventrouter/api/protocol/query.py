"""The query protocol, which SQS spoke before JSON and still answers: members as form fields, answers in XML.

Fields come in the body or in the URL. Lists and maps are flattened, under the names that SDKs of the time use; today's
model has dropped these, so they are derived: a list of structures is called like the structure, any other list or map
by its member's name in the singular (`AttributeName.1`, `Attribute.1.Name`).
Only XML is written here, none is read. Source: lambda-semantics §8.1, §8.7.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote_plus
from xml.sax.saxutils import escape

from eventrouter.api.http import Header, Request, Response
from eventrouter.api.protocol.codec import error_headers, latin1, status_of
from eventrouter.api.protocol.models import Kind, Member, OperationModel, Service, Shape
from eventrouter.api.protocol.values import MAX_DEPTH, from_json, from_text, to_json, to_text
from eventrouter.errors import RequestError

FORM = "application/x-www-form-urlencoded"
MAXIMUM_FIELDS = 100_000

_XML: Header = (b"content-type", b"text/xml")
_NAMESPACE = "http://queue.amazonaws.com/doc/2012-11-05/"
_QUEUE_PATH = re.compile(r"/(?:queue/[a-z0-9-]+/)?\d{12}/[^/]+/?")
_ACTION = re.compile(rb"(?:^|&)Action=([^&]*)")
_ACCOUNT_LEVEL = frozenset({"CreateQueue", "ListQueues"})
"""What cannot be asked of a queue's own URL."""

_IRREGULAR = {"Actions": "ActionName"}
_OTHER_WORDS = {"QueueDoesNotExist": "The specified queue does not exist for this wsdl version."}
"""Where this protocol words an error in another way than JSON does."""

_NOT_IN_XML = re.compile("[^\\t\\n\\r\\x20-\\uD7FF\\uE000-\\uFFFD\\U00010000-\\U0010FFFF]")
_CARRIAGE_RETURN = {"\r": "&#xD;"}
"""Written as a reference, since XML's readers turn the character itself into a line feed."""

_Tree = dict[str, "str | _Tree"]


class QueryXml:
    """The codec, for one request: its id stands in the XML of its answer."""

    def __init__(self, request_id: str) -> None:
        self._request_id = request_id

    def parse(self, operation: OperationModel, request: Request, labels: Mapping[str, str]) -> dict[str, Any]:
        if operation.input is None:
            return {}
        values: dict[str, Any] = _read(operation.input, _tree(_fields(request)))
        if "QueueUrl" in operation.input.members and is_queue_path(request.path):
            values.setdefault("QueueUrl", request.base_url + request.path)
        return values

    def answer(self, operation: OperationModel, output: Mapping[str, Any]) -> Response:
        result = ""
        if operation.output is not None:
            result = _element(f"{operation.name}Result", "".join(_structure(operation.output, output)))
        metadata = f"<ResponseMetadata><RequestId>{self._request_id}</RequestId></ResponseMetadata>"
        return _xml_response(operation.status, f"{operation.name}Response", result + metadata)

    def error(self, service: Service, error: RequestError, request_id: str) -> Response:
        status = status_of(service, error)
        code, _, fault = error.headers.get("x-amzn-query-error", error.code).partition(";")
        content = "".join(
            (
                _element("Type", fault or ("Receiver" if status >= 500 else "Sender")),
                _element("Code", _text(code)),
                _element("Message", _text(_OTHER_WORDS.get(error.code, error.message))),
                "<Detail/>",
            )
        )
        response = _xml_response(
            status, "ErrorResponse", f"<Error>{content}</Error>{_element('RequestId', request_id)}"
        )
        response.headers = (*response.headers, (b"x-amzn-errortype", latin1(error.code)), *error_headers(error))
        return response


class QueryRouter:
    """Finds the service that a request in this protocol is for. Who signs nothing is taken to speak to SQS."""

    def __init__(self, services: Iterable[Service]) -> None:
        self._services = {service.name: service for service in services if service.query_compatible}

    def find(self, request: Request, signing_name: str | None) -> Service | None:
        """Return the service, or None if the request speaks another protocol, or to a service that is not here."""
        to_queue = is_queue_path(request.path)
        if to_queue or _ACTION.search(request.query) or (_is_form(request) and request.path == "/"):
            return self._services.get(signing_name or "sqs")
        return None


def is_queue_path(path: str) -> bool:
    """Say whether `path` is that of a queue's URL."""
    return _QUEUE_PATH.fullmatch(path) is not None


def find_action(service: Service, request: Request) -> str | None:
    """Return the operation that a request asks for, None if it names none. Raises RequestError (InvalidAction)."""
    match = _ACTION.search(request.query) or (_ACTION.search(request.body) if _is_form(request) else None)
    if match is None:
        return None
    action = unquote_plus(match[1].decode("latin-1"))
    if action not in service.operation_names or (action in _ACCOUNT_LEVEL and is_queue_path(request.path)):
        raise RequestError("InvalidAction", f"The action {action} is not valid for this endpoint.", status=400)
    return action


def no_action() -> Response:
    """Answer a request that asks for no operation."""
    return Response(404, b"<UnknownOperationException/>", (_XML, (b"x-amzn-errortype", b"UnknownOperationException")))


def _is_form(request: Request) -> bool:
    return (request.header("content-type") or "").startswith(FORM)


def _fields(request: Request) -> list[tuple[str, str]]:
    """Return the fields of URL and form."""
    texts = (request.query, request.body) if _is_form(request) else (request.query,)
    fields: list[tuple[str, str]] = []
    try:
        for text in texts:
            fields += parse_qsl(text.decode(), keep_blank_values=True, max_num_fields=MAXIMUM_FIELDS, errors="strict")
    except ValueError as error:
        raise _malformed(f"The request's fields cannot be read: {error}") from error
    return fields


def _tree(fields: Iterable[tuple[str, str]]) -> _Tree:
    """Arrange `A.1.B=x` as nested dicts."""
    root: _Tree = {}
    for name, text in fields:
        *way, last = name.split(".")
        if len(way) > MAX_DEPTH:
            raise _malformed("The request is nested too deeply.")
        node = root
        for step in way:
            below = node.setdefault(step, {})
            if isinstance(below, str):
                raise _malformed(f"The field {name} stands below one that has a value.")
            node = below
        if isinstance(node.setdefault(last, text), dict):
            raise _malformed(f"The field {name} has a value, and fields below it.")
    return root


def _read(shape: Shape, found: str | _Tree) -> Any:  # Any: model values
    """Turn fields into a model value."""
    if isinstance(found, str):
        if shape.kind is Kind.LIST and shape.item is not None and found:
            return [_read(shape.item, found)]  # a list of one may go without its number
        if shape.kind in (Kind.LIST, Kind.MAP, Kind.STRUCTURE):
            if found:
                raise _malformed(f"A value was found where a {shape.kind} was expected.")
            return [] if shape.kind is Kind.LIST else {}
        return from_json(shape, found) if shape.kind is Kind.BLOB else from_text(shape, found)
    match shape.kind:
        case Kind.STRUCTURE:
            spelled = ((member, _spelling(member)) for member in shape.members.values())
            return {
                member.name: _read(member.shape, found.get(name, ""))
                for member, name in spelled
                if name in found or _is_never_missing(member)
            }
        case Kind.LIST if shape.item is not None:
            item = shape.item
            return [_read(item, entry) for entry in _numbered(found)]
        case Kind.MAP if shape.value is not None:
            return dict(_entries(shape, shape.value, found))
    raise _malformed(f"Fields were found where a {shape.kind} was expected.")


def _is_never_missing(member: Member) -> bool:
    """Say whether a member without fields is an empty one: there is no other way to send an empty list."""
    return member.required and member.shape.kind in (Kind.LIST, Kind.MAP)


def _entries(shape: Shape, value_shape: Shape, found: _Tree) -> Iterator[tuple[str, Any]]:  # Any: model values
    key_name, value_name = _entry_names(shape)
    for entry in [found] if key_name in found else _numbered(found):  # one entry may go without its number
        key = entry.get(key_name) if isinstance(entry, dict) else None
        if not isinstance(entry, dict) or not isinstance(key, str):
            raise _malformed(f"An entry of a map has no {key_name}.")
        yield key, _read(value_shape, entry.get(value_name, ""))


def _numbered(found: _Tree) -> list[str | _Tree]:
    """Return what numbered fields hold, in the order of their numbers."""
    if not all(number.isascii() and number.isdigit() and len(number) < 10 for number in found):
        raise _malformed("The entries of a list or map must be numbered.")
    return [found[number] for number in sorted(found, key=int)]


def _malformed(message: str) -> RequestError:
    return RequestError("MalformedInput", message, status=400)


def _spelling(member: Member) -> str:
    """Return the name of a member in this protocol."""
    shape = member.shape
    if shape.kind is Kind.LIST and shape.item is not None and shape.item.kind is Kind.STRUCTURE:
        return shape.item.name
    if shape.kind in (Kind.LIST, Kind.MAP):
        singular = _IRREGULAR.get(member.name) or member.name.removesuffix("s")
        return singular[:1].upper() + singular[1:]
    return member.wire_name


def _entry_names(shape: Shape) -> tuple[str, str]:
    is_tags = shape.key is not None and shape.key.name == "TagKey"
    return ("Key" if is_tags else "Name"), "Value"


def _structure(shape: Shape, values: Mapping[str, Any]) -> Iterator[str]:  # Any: model values
    for member in shape.members.values():
        value = values.get(member.name)
        if value is None:
            continue
        name = _spelling(member)
        if member.shape.kind is Kind.LIST and member.shape.item is not None:
            item = member.shape.item
            yield from (_element(name, _content(item, entry)) for entry in value)
        elif member.shape.kind is Kind.MAP and member.shape.value is not None:
            item, (key_name, value_name) = member.shape.value, _entry_names(member.shape)
            for key, entry in value.items():
                yield _element(name, _element(key_name, _text(key)) + _element(value_name, _content(item, entry)))
        else:
            yield _element(name, _content(member.shape, value))


def _content(shape: Shape, value: Any) -> str:  # Any: a model value
    if shape.kind is Kind.STRUCTURE:
        return "".join(_structure(shape, value))
    return _text(str(to_json(shape, value)) if shape.kind is Kind.BLOB else to_text(shape, value))


def _text(text: str) -> str:
    return escape(_NOT_IN_XML.sub("\ufffd", text), _CARRIAGE_RETURN)


def _element(name: str, content: str) -> str:
    return f"<{name}>{content}</{name}>" if content else f"<{name}/>"


def _xml_response(status: int, root: str, content: str) -> Response:
    document = f'<?xml version="1.0"?><{root} xmlns="{_NAMESPACE}">{content}</{root}>'
    return Response(status, document.encode(), (_XML,))
