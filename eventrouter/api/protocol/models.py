"""AWS's service models as plain values, compiled from botocore's data when first asked for.

Nothing is copied by hand: names, constraints, paths, locations and status codes are the model's.
Source: lambda-semantics §0 (tag M).
"""

from __future__ import annotations

import enum
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any

from botocore.loaders import Loader
from botocore.model import ServiceModel


class Kind(enum.StrEnum):
    """What a shape is made of. The numbers of all widths are one kind each of integer and float."""

    STRUCTURE = "structure"
    LIST = "list"
    MAP = "map"
    STRING = "string"
    INTEGER = "integer"
    FLOAT = "float"
    BOOLEAN = "boolean"
    BLOB = "blob"
    TIMESTAMP = "timestamp"


_KINDS = {
    "structure": Kind.STRUCTURE,
    "list": Kind.LIST,
    "map": Kind.MAP,
    "string": Kind.STRING,
    "character": Kind.STRING,
    "integer": Kind.INTEGER,
    "long": Kind.INTEGER,
    "float": Kind.FLOAT,
    "double": Kind.FLOAT,
    "boolean": Kind.BOOLEAN,
    "blob": Kind.BLOB,
    "timestamp": Kind.TIMESTAMP,
}


_ENUMS_IN_TEXTS: Mapping[str, tuple[str, ...]] = {"EventSourcePosition": ("LATEST", "AT_TIMESTAMP", "TRIM_HORIZON")}
"""Enumerations that AWS's texts list in another order than the model. Source: lambda-semantics §4.4."""


class Location(enum.StrEnum):
    """Where a member travels."""

    BODY = "body"
    URI = "uri"
    QUERY = "querystring"
    HEADER = "header"
    HEADERS = "headers"
    STATUS = "statusCode"
    PAYLOAD = "payload"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A type of the model. `members` of a structure is filled after creation: shapes may contain themselves."""

    name: str
    kind: Kind
    members: dict[str, Member] = field(default_factory=dict)
    item: Shape | None = None
    key: Shape | None = None
    value: Shape | None = None
    minimum: float | None = None
    maximum: float | None = None
    pattern: re.Pattern[str] | None = None
    pattern_text: str = ""
    enum: tuple[str, ...] = ()
    timestamp_format: str | None = None
    is_event_stream: bool = False
    is_sensitive: bool = False
    """Whether its values are secrets, which no refusal shows."""

    def __hash__(self) -> int:
        return id(self)

    def __eq__(self, other: object) -> bool:
        return self is other


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One member of a structure: its type, where it travels and under which name."""

    name: str
    wire_name: str
    shape: Shape
    required: bool
    location: Location


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationModel:
    """One operation of a service."""

    service: str
    name: str
    method: str
    uri: str
    status: int
    input: Shape | None
    output: Shape | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorModel:
    """One modelled exception. `message_member` is spelt as on the wire; `headers` maps members to headers."""

    code: str
    status: int | None
    message_member: str
    headers: Mapping[str, str]


class Service:
    """The model of one AWS service."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._model = ServiceModel(_loader().load_service_model(name, "service-2"), name)
        metadata: Mapping[str, Any] = self._model.metadata  # botocore's own untyped JSON
        self.protocol: str = metadata["protocol"]
        self.json_version: str = metadata.get("jsonVersion", "1.0")
        self.target_prefix: str = metadata.get("targetPrefix", "")
        self.query_compatible = "awsQueryCompatible" in metadata
        self.operation_names: tuple[str, ...] = tuple(self._model.operation_names)
        self._shapes: dict[str, Shape] = {}
        self._operations: dict[str, OperationModel] = {}

    def operation(self, name: str) -> OperationModel:
        """Return an operation by name. Raises KeyError if the service has none such."""
        found = self._operations.get(name)
        if found is None:
            if name not in self.operation_names:
                raise KeyError(name)
            found = self._operations[name] = self._compile_operation(name)
        return found

    def uri_of(self, name: str) -> tuple[str, str]:
        """Return an operation's method and URI template, without compiling its shapes."""
        http = self._model.operation_model(name).http
        return http["method"], http["requestUri"]

    @cached_property
    def errors(self) -> Mapping[str, ErrorModel]:
        """Return the modelled exceptions by code."""
        found = {}
        for shape_name in self._model.shape_names:
            shape = self._model.shape_for(shape_name)
            if not shape.metadata.get("exception"):
                continue
            details = shape.metadata.get("error", {})
            code = details.get("code", shape.name)
            found[code] = ErrorModel(
                code=code,
                status=details.get("httpStatusCode"),
                message_member=_message_member(shape),
                headers={
                    name: member.serialization["name"]
                    for name, member in shape.members.items()
                    if member.serialization.get("location") == "header"
                },
            )
        return found

    def _compile_operation(self, name: str) -> OperationModel:
        model = self._model.operation_model(name)
        return OperationModel(
            service=self.name,
            name=name,
            method=model.http["method"],
            uri=model.http["requestUri"],
            status=model.http.get("responseCode", 200),
            input=None if model.input_shape is None else self._shape(model.input_shape),
            output=None if model.output_shape is None else self._shape(model.output_shape),
        )

    def _shape(self, raw: Any) -> Shape:  # Any: a botocore shape
        known = self._shapes.get(raw.name)
        if known is not None:
            return known
        kind = _KINDS[raw.type_name]
        metadata = raw.metadata
        pattern = metadata.get("pattern", "")
        shape = Shape(
            name=raw.name,
            kind=kind,
            item=self._shape(raw.member) if kind is Kind.LIST else None,
            key=self._shape(raw.key) if kind is Kind.MAP else None,
            value=self._shape(raw.value) if kind is Kind.MAP else None,
            minimum=metadata.get("min"),
            maximum=metadata.get("max"),
            pattern=compile_pattern(pattern) if pattern else None,
            pattern_text=pattern,
            enum=_ENUMS_IN_TEXTS.get(raw.name) or tuple(metadata.get("enum", ())),
            timestamp_format=raw.serialization.get("timestampFormat"),
            is_event_stream=bool(raw.serialization.get("eventstream")),
            is_sensitive=bool(metadata.get("sensitive")),
        )
        self._shapes[raw.name] = shape
        if kind is Kind.STRUCTURE:
            payload = raw.serialization.get("payload")
            for name, member in raw.members.items():
                location = member.serialization.get("location", "payload" if name == payload else "body")
                shape.members[name] = Member(
                    name=name,
                    wire_name=member.serialization.get("name", name),
                    shape=self._shape(member),
                    required=name in raw.required_members,
                    location=Location(location),
                )
        return shape


def _message_member(shape: Any) -> str:  # Any: a botocore shape
    """Return what an exception's message is called on the wire."""
    member = shape.members.get("Message")
    name: str = "message" if member is None else member.serialization.get("name", "Message")
    return name


@cache
def _loader() -> Loader:
    return Loader()


@cache
def service_model(name: str) -> Service:
    """Return the model of a service, by botocore's name; some 40 ms the first time."""
    return Service(name)


_SEPARATORS = " \u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_JAVA_CLASSES = {r"\p{L}": r"\w", r"\p{N}": r"\w", r"\p{Z}": _SEPARATORS, r"\w-_": r"\w\-_"}
"""Java's letter, number and separator classes in Python's dialect, for use inside of `[...]`. Python's `\\w` is
letters, numbers and `_`; every pattern that uses them allows `_` as well."""


_UNAMBIGUOUS = {
    r"^[ \t]*[\x20-\x7E]+([ \t]+[\x20-\x7E]+)*[ \t]*$": r"^\t*[\x20-\x7E][\t\x20-\x7E]*$",
}
"""Patterns in which a space fits in many places, with others that match the same: a few dozen spaces before what does
not fit would keep the first ones busy for years."""


@cache
def compile_pattern(text: str) -> re.Pattern[str]:
    """Compile a pattern of the model, which is in Java's dialect."""
    text = _UNAMBIGUOUS.get(text, text)
    for java, python in _JAVA_CLASSES.items():
        text = text.replace(java, python)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return re.compile(text)
