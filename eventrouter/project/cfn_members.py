"""From what a template says to the members of AWS's operations, by AWS's own model of them.

CloudFormation converts between text and numbers as the member wants it; what cannot be converted, and what is no
member, is refused with its line.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeVar

from eventrouter.api.protocol.models import Kind, Shape, service_model
from eventrouter.project.model import Place, ProjectError
from eventrouter.project.yaml_lines import Node

_Number = TypeVar("_Number", int, float)


def input_shape(service: str, operation: str) -> Shape:
    """Return the shape of an operation's input members."""
    shape = service_model(service).operation(operation).input
    assert shape is not None
    return shape


def read(node: Node, shape: Shape) -> Any:  # Any: what boto3 takes
    """Return a resolved value as `shape` wants it. Raises ProjectError."""
    match shape.kind:
        case Kind.STRUCTURE:
            known = shape.members
            return {
                name: read(child, known[checked(name, child.place, known)].shape)
                for name, child in node.mapping.items()
                if child.value is not None
            }
        case Kind.LIST:
            assert shape.item is not None
            return [read(item, shape.item) for item in node.items]
        case Kind.MAP:
            assert shape.value is not None
            return {key: read(child, shape.value) for key, child in node.mapping.items()}
        case Kind.INTEGER:
            return _number(node, int, "a whole number")
        case Kind.FLOAT | Kind.TIMESTAMP:
            return _number(node, float, "a number")
        case Kind.BOOLEAN:
            return boolean(node)
        case _:
            return node.text


def boolean(node: Node) -> bool:
    """Return a resolved value as true or false. Raises ProjectError."""
    text = node.text.lower()
    if text not in ("true", "false"):
        raise ProjectError(node.place, f"expected true or false, found {node.kind}")
    return text == "true"


def whole_number(node: Node) -> int:
    """Return a resolved value as a whole number. Raises ProjectError."""
    return _number(node, int, "a whole number")


def _number(node: Node, read: Callable[[str], _Number], what: str) -> _Number:
    if not isinstance(node.value, bool):
        try:
            return read(node.text)
        except ValueError:
            pass
    raise ProjectError(node.place, f"expected {what}, found {node.kind}")


def checked(name: str, place: Place, known: Collection[str]) -> str:
    """Return `name` if it is one of the known ones. Raises ProjectError, which tells the nearest."""
    if name not in known:
        raise ProjectError(place, f"{name} is not known here{hint(name, known)}")
    return name


def hint(name: str, known: Collection[str]) -> str:
    """Return ` (did you mean X?)` if one of the known names is near."""
    found = difflib.get_close_matches(name, known, n=1)
    return f" (did you mean {found[0]}?)" if found else ""


def tags(node: Node) -> dict[str, str]:
    """Return tags as a map: CloudFormation's lists of Key and Value, or SAM's maps. Raises ProjectError."""
    if isinstance(node.value, Mapping):
        return {key: child.text for key, child in node.value.items()}
    found = {}
    for item in node.items:
        key, value = item.get("Key"), item.mapping.get("Value")
        if key is None or value is None:
            raise ProjectError(item.place, "a tag has a Key and a Value")
        found[key.text] = value.text
    return found
