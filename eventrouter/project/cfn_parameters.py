"""A template's parameters: what they are given, what they default to, and what they allow. Source: CloudFormation."""

from __future__ import annotations

import re
from collections.abc import Mapping

from eventrouter.project.model import Place, ProjectError
from eventrouter.project.yaml_lines import Node

_KEYS = frozenset({
    "AllowedPattern", "AllowedValues", "ConstraintDescription", "Default", "Description", "MaxLength", "MaxValue",
    "MinLength", "MinValue", "NoEcho", "Type",
})  # fmt: skip
_LIST = re.compile(r"CommaDelimitedList|List<.+>|AWS::SSM::Parameter::Value<List<.+>>")
_STORED = "AWS::SSM::Parameter::"


class Unknown(ProjectError):
    """A value that only AWS, or something that is not served here, could tell. The text says how to give it."""

    def __init__(self, place: Place, what: str, name: str) -> None:
        super().__init__(place, f"{what} is not known here: give it as the parameter {name}")


def parameter_values(section: Node | None, given: Mapping[str, str]) -> dict[str, Node]:
    """Return each parameter's value: text or a list of texts; None where it stands in a parameter store.

    Raises ProjectError for a parameter without a value, and for a value that its declaration does not allow.
    """
    declared = {} if section is None else section.mapping
    return {name: _value(name, declaration, given.get(name)) for name, declaration in declared.items()}


def _value(name: str, declaration: Node, given: str | None) -> Node:
    place = declaration.place
    for key, child in declaration.mapping.items():
        if key not in _KEYS:
            raise ProjectError(child.place, f"{key} is nothing that a parameter has: {', '.join(sorted(_KEYS))}")
    kind = declaration.get("Type")
    if kind is None:
        raise ProjectError(place, f"the parameter {name} has no Type")
    default = declaration.get("Default")
    if given is None and default is None:
        raise ProjectError(place, f"the parameter {name} has no default and was given no value")
    if given is None and kind.text.startswith(_STORED):
        return Node(None, place)
    text = given if given is not None else _default(default)
    items = [item.strip() for item in text.split(",")] if _LIST.fullmatch(kind.text) else None
    if items == [""]:
        items = []
    for item in [text] if items is None else items:
        _check(name, item, declaration, is_number=kind.text in ("Number", "List<Number>"))
    return Node(text if items is None else [Node(item, place) for item in items], place)


def _default(node: Node | None) -> str:
    assert node is not None
    return node.text


def _check(name: str, text: str, declaration: Node, *, is_number: bool) -> None:
    """Raise ProjectError, with the declaration's own words if it has any, for a value that it does not allow."""
    broken = _broken_rule(text, declaration, is_number=is_number)
    if broken:
        own = declaration.get("ConstraintDescription")
        more = f": {own.text}" if own else ""
        hidden = declaration.get("NoEcho")
        value = "the value" if hidden and hidden.text == "true" else f"the value {text!r}"
        raise ProjectError(declaration.place, f"{value} of the parameter {name} {broken}{more}")


def _broken_rule(text: str, declaration: Node, *, is_number: bool) -> str | None:
    number = 0.0
    if is_number:
        try:
            number = float(text)
        except ValueError:
            return "is not a number"
    allowed = declaration.get("AllowedValues")
    if allowed and text not in [item.text for item in allowed.items]:
        return f"is not one of {', '.join(item.text for item in allowed.items)}"
    pattern = declaration.get("AllowedPattern")
    if pattern and not _matches(pattern, text):
        return f"does not match {pattern.text}"
    for key, measure, sign in (
        ("MinLength", len(text), 1),
        ("MaxLength", len(text), -1),
        ("MinValue", number, 1),
        ("MaxValue", number, -1),
    ):
        limit = declaration.get(key)
        if limit and (measure - _number(limit)) * sign < 0:
            return f"is beyond {key} {limit.text}"
    return None


def _matches(pattern: Node, text: str) -> bool:
    try:
        return re.fullmatch(pattern.text, text) is not None
    except re.error as error:
        raise ProjectError(pattern.place, f"{pattern.text!r} is no regular expression: {error}") from error


def _number(node: Node) -> float:
    try:
        return float(node.text)
    except ValueError as error:
        raise ProjectError(node.place, f"{node.text!r} is not a number") from error
