"""YAML and JSON files as trees that know where each value stands, so that every error can name its line.

Plain scalars are null, true, false, decimal numbers or text: dates, `yes` and numbers with a leading zero (account ids)
stay text. CloudFormation's short tags (`!Ref X`) are read as their long form (`{"Ref": "X"}`), so that readers know one
form alone. JSON is read as the YAML that it is; keys have up to 1,024 characters in both.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from eventrouter.project.model import Place, ProjectError

MAX_FILE_BYTES = 1_048_576
"""CloudFormation takes templates up to 1 MB."""

MAX_DEPTH = 100
"""How deep mappings and lists may be nested, what aliases stand for included."""

MAX_NODES = 200_000
"""The most values that aliases may unfold to: a few lines of nested aliases can stand for billions."""

Value = str | int | float | bool | None | Mapping[str, "Node"] | Sequence["Node"]


@dataclass(frozen=True, slots=True)
class Node:
    """One value and where it stands: a scalar, a mapping of nodes or a sequence of nodes.

    What stands under a key has the key's line: that is the line that a reader looks for.
    """

    value: Value
    place: Place

    @property
    def line(self) -> int:
        """Return the line in the file, counted from 1."""
        return self.place.line

    @property
    def mapping(self) -> Mapping[str, Node]:
        """Return the members of a mapping. Raises ProjectError for anything else."""
        if not isinstance(self.value, Mapping):
            raise ProjectError(self.place, f"expected a mapping, found {self.kind}")
        return self.value

    @property
    def items(self) -> Sequence[Node]:
        """Return the items of a sequence. Raises ProjectError for anything else."""
        if isinstance(self.value, Sequence) and not isinstance(self.value, str):
            return self.value
        raise ProjectError(self.place, f"expected a list, found {self.kind}")

    @property
    def text(self) -> str:
        """Return a scalar as text: `true`, `10`. Raises ProjectError for mappings, lists and null."""
        value = self.value
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, str | int | float):
            return str(value)
        raise ProjectError(self.place, f"expected text, found {self.kind}")

    @property
    def kind(self) -> str:
        """Return what the value is, for people: `a mapping`, `a list`, `true`, `'text'`."""
        match self.value:
            case None:
                return "nothing"
            case bool():
                return self.text
            case str() | int() | float():
                return repr(self.value)
            case Mapping():
                return "a mapping"
            case _:
                return "a list"

    @property
    def plain(self) -> Any:
        """Return the value without its places: dicts, lists and scalars, as `json.loads` would."""
        if isinstance(self.value, Mapping):
            return {key: child.plain for key, child in self.value.items()}
        if isinstance(self.value, Sequence) and not isinstance(self.value, str):
            return [child.plain for child in self.value]
        return self.value

    def get(self, key: str) -> Node | None:
        """Return what stands under `key` of a mapping; None if it is missing or null. ProjectError if no mapping."""
        child = self.mapping.get(key)
        return None if child is None or child.value is None else child


def load(path: Path) -> Node:
    """Read a YAML or JSON file. An empty file is a node of None. Raises ProjectError with the line."""
    return parse(read_text(path), str(path))


def read_text(path: Path) -> str:
    """Return a file's text, of which no more is read than may be there. Raises ProjectError."""
    place = Place(str(path))
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise ProjectError(place, f"cannot be read: {error.strerror}") from error
    if len(content) > MAX_FILE_BYTES:
        raise ProjectError(place, f"is too large: {MAX_FILE_BYTES} bytes are the most")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ProjectError(Place(str(path), line), "is not UTF-8 text") from error


def parse(text: str, file: str) -> Node:
    """Read YAML or JSON text; `file` is the name that errors show. Raises ProjectError with the line."""
    if text.lstrip().startswith(("{", "[")):
        text = _JSON_INDENT.sub(lambda found: found[0].expandtabs(2), text)
        text = _JSON_PAIR.sub(lambda found: found[1] + json.loads(f'"{found[2]}"'), text)
    try:
        _check_depth(text, file)
        root = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise ProjectError(Place(file, mark.line + 1 if mark else 0), f"is not valid YAML: {error.problem}") from error
    except yaml.YAMLError as error:
        raise ProjectError(Place(file), f"is not valid YAML: {error}") from error
    if root is None:
        return Node(None, Place(file, 1))
    return _Reading(file).node(root)


_JSON_INDENT = re.compile(r"^[ \t]+", re.MULTILINE)
"""JSON may be indented by tabs, YAML may not. No JSON text holds a line break, so that this touches no value."""

_JSON_PAIR = re.compile(r"(?<!\\)((?:\\\\)*)(\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})")
"""JSON writes characters beyond 16 bits as two escapes, which YAML knows nothing of."""

_TAG = "tag:yaml.org,2002:"
_SHORT_TAGS = frozenset({
    "And", "Base64", "Cidr", "Equals", "FindInMap", "GetAtt", "GetAZs", "If", "ImportValue", "Join", "Length", "Not",
    "Or", "Select", "Split", "Sub", "ToJsonString", "Transform",
})  # fmt: skip
_PLAIN_NAMES = frozenset({"Ref", "Condition"})

_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml's loader is ten times as fast; not every build of PyYAML has it."""


class _Loader(_Base):  # type: ignore[misc]  # chosen at run time
    """PyYAML's safe loader with fewer guesses about plain scalars."""

    yaml_implicit_resolvers: dict[str, list[Any]] = {}  # noqa: RUF012  # PyYAML fills it


for _name, _pattern, _first in (
    ("null", r"(?:~|null|Null|NULL|)", ["~", "n", "N", ""]),
    ("bool", r"(?:true|True|TRUE|false|False|FALSE)", list("tTfF")),
    ("int", r"[-+]?(?:0|[1-9][0-9]*)", list("-+0123456789")),
    ("float", r"[-+]?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?", list("-+0123456789.")),
    ("merge", r"<<", ["<"]),
):
    _Loader.add_implicit_resolver(f"{_TAG}{_name}", re.compile(rf"(?:{_pattern})\Z"), _first)


def _check_depth(text: str, file: str) -> None:
    """Raise ProjectError for what is nested so deeply that composing it would end the process: it recurses in C."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                line = event.start_mark.line + 1 if event.start_mark else 0
                raise ProjectError(Place(file, line), f"is nested deeper than {MAX_DEPTH} levels")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


class _Reading:
    """One file's pass from PyYAML's nodes to ours. Counts what it makes, and knows what it is inside of."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._made = 0
        self._open: set[int] = set()

    def node(self, raw: yaml.Node, place: Place | None = None) -> Node:
        """Return `raw` as ours, standing at `place` if that is given."""
        place = place or self._place(raw)
        self._made += 1
        if self._made > MAX_NODES:
            raise ProjectError(place, f"unfolds to more than {MAX_NODES} values")
        if id(raw) in self._open:
            raise ProjectError(place, "an alias stands inside of what it names")
        if len(self._open) > MAX_DEPTH:
            raise ProjectError(place, f"is nested deeper than {MAX_DEPTH} levels")
        self._open.add(id(raw))
        value = self._value(raw, place)
        self._open.discard(id(raw))
        if raw.tag.startswith("!") and raw.tag != "!":
            return Node(_long_form(raw.tag[1:], value, place), place)
        return Node(value, place)

    def _value(self, raw: yaml.Node, place: Place) -> Value:
        if isinstance(raw, yaml.MappingNode):
            return self._mapping(raw)
        if isinstance(raw, yaml.SequenceNode):
            return [self.node(item) for item in raw.value]
        return _scalar(raw.tag.removeprefix(_TAG), raw.value, place)

    def _mapping(self, raw: yaml.MappingNode) -> dict[str, Node]:
        own: dict[str, Node] = {}
        merged: dict[str, Node] = {}
        for key, child in raw.value:
            place = self._place(key)
            if key.tag == f"{_TAG}merge":
                for name, node in self._merged(child, place):
                    merged.setdefault(name, node)
                continue
            if not isinstance(key, yaml.ScalarNode):
                raise ProjectError(place, "a key must be text")
            name = key.value
            if name in own:
                raise ProjectError(place, f"the key {name!r} stands here twice; first on line {own[name].line}")
            own[name] = self.node(child, place)
        return {**merged, **own}

    def _merged(self, raw: yaml.Node, place: Place) -> Iterator[tuple[str, Node]]:
        sources = raw.value if isinstance(raw, yaml.SequenceNode) else [raw]
        for source in sources:
            if not isinstance(source, yaml.MappingNode):
                raise ProjectError(place, "`<<` merges mappings alone")
            yield from self.node(source).mapping.items()

    def _place(self, raw: yaml.Node) -> Place:
        return Place(self._file, raw.start_mark.line + 1)


def _scalar(kind: str, text: str, place: Place) -> Value:
    """Return a scalar's value by the kind that its form, or an explicit tag, gives it."""
    try:
        match kind:
            case "null":
                return None
            case "bool":
                return {"true": True, "false": False}[text.lower()]
            case "int":
                return int(text)
            case "float":
                return float(text)
            case _:
                return text
    except (ValueError, KeyError) as error:
        raise ProjectError(place, f"{text!r} is no {kind}") from error


def _long_form(name: str, value: Value, place: Place) -> dict[str, Node]:
    """Return what a short tag stands for."""
    if name in _PLAIN_NAMES:
        return {name: Node(value, place)}
    if name not in _SHORT_TAGS:
        raise ProjectError(place, f"the tag !{name} is not one of CloudFormation's")
    if name == "GetAtt" and isinstance(value, str):
        resource, dot, attribute = value.partition(".")
        if not dot:
            raise ProjectError(place, f"!GetAtt {value} names no attribute: RESOURCE.ATTRIBUTE")
        value = [Node(resource, place), Node(attribute, place)]
    return {f"Fn::{name}": Node(value, place)}
