"""The first validation layer: shape constraints of the model, reported in AWS's words.

Source: lambda-semantics §0 (two validation layers, constraint phrases, rendered values).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from eventrouter.api.protocol.models import Kind, Shape
from eventrouter.errors import RequestError

NOT_NULL = "Member must not be null"
_SCALARS = frozenset({Kind.STRING, Kind.INTEGER, Kind.FLOAT, Kind.BOOLEAN, Kind.BLOB, Kind.TIMESTAMP})
Values = Mapping[str, Any]


def check(shape: Shape, values: Values, *, ignore: frozenset[tuple[str, str]] = frozenset()) -> None:
    """Raise ValidationException with every constraint of `shape` that `values` breaks.

    `ignore` names (path, constraint) pairs that AWS leaves to its second layer, such as
    `("functionName", "length")` or `("runtime", "enum")`.
    """
    problems = [text for path, constraint, text in _structure(shape, values, "") if (path, constraint) not in ignore]
    if problems:
        raise RequestError("ValidationException", detected(problems), status=400, fault=None)


def detected(problems: list[str]) -> str:
    """Join problems as AWS does: their number first."""
    plural = "" if len(problems) == 1 else "s"
    return f"{len(problems)} validation error{plural} detected: {'; '.join(problems)}"


def failed(value: object, path: str, constraint: str) -> str:
    """Word one problem."""
    return f"Value {render(value)} at '{path}' failed to satisfy constraint: {constraint}"


def render(value: object) -> str:
    """Render a value as AWS quotes it: lists `'[a, b]'`, maps `'{k=v}'`, null bare."""
    return "null" if value is None else f"'{_plain(value)}'"


def _plain(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}={_plain(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_plain(item) for item in value) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, bytes):
        return f"java.nio.HeapByteBuffer[pos=0 lim={len(value)} cap={len(value)}]"
    return str(value)


def camel(name: str) -> str:
    """Return a member's name as error paths spell it: `ZipFile` is `zipFile`."""
    return name[:1].lower() + name[1:]


Problem = tuple[str, str, str]
"""Path, constraint's kind, text."""


def _structure(shape: Shape, values: Values, prefix: str) -> Iterator[Problem]:
    for name, member in shape.members.items():
        path = f"{prefix}{camel(name)}"
        value = values.get(name)
        if value is None:
            if member.required:
                yield path, "required", failed(None, path, NOT_NULL)
        else:
            yield from _value(member.shape, value, path)


def _value(shape: Shape, value: Any, path: str) -> Iterator[Problem]:  # Any: JSON of any depth
    if value is None:  # within a list or a map: a member that is null counts as absent
        yield path, "required", failed(None, path, NOT_NULL)
        return
    for constraint, phrase in _broken(shape, value):
        yield path, constraint, failed(value, path, phrase)
    if shape.kind is Kind.STRUCTURE:
        yield from _structure(shape, value, f"{path}.")
    elif shape.kind is Kind.LIST and shape.item is not None:
        yield from _items(shape.item, value, path)
    elif shape.kind is Kind.MAP and shape.key is not None and shape.value is not None:
        if any(_any_broken(shape.key, key) for key in value):
            yield path, "key", failed(value, path, f"Map keys must satisfy constraint: {_all_phrases(shape.key)}")
        if shape.value.kind in _SCALARS:
            if any(_any_broken(shape.value, item) for item in value.values()):
                phrases = _all_phrases(shape.value)
                yield path, "value", failed(value, path, f"Map value must satisfy constraint: {phrases}")
        else:
            for key, item in value.items():
                yield from _value(shape.value, item, f"{path}.{key}.member")


def _items(item_shape: Shape, items: list[Any], path: str) -> Iterator[Problem]:  # Any: JSON of any depth
    if item_shape.kind in _SCALARS:
        if any(_any_broken(item_shape, item) for item in items):
            yield path, "member", failed(items, path, f"Member must satisfy constraint: {_all_phrases(item_shape)}")
        return
    for number, item in enumerate(items, 1):
        yield from _value(item_shape, item, f"{path}.{number}.member")


def _any_broken(shape: Shape, value: object) -> bool:
    return value is None or next(_broken(shape, value), None) is not None


def _broken(shape: Shape, value: Any) -> Iterator[tuple[str, str]]:  # Any: measured by its shape's kind
    """Yield what `value` itself breaks, its parts left out."""
    kind = shape.kind
    if kind in (Kind.INTEGER, Kind.FLOAT):
        size, measure, constraint = value, "value", "value"
    elif kind in (Kind.STRING, Kind.BLOB, Kind.LIST, Kind.MAP):
        size, measure, constraint = len(value), "length", "length"
    else:
        return
    if shape.maximum is not None and size > shape.maximum:
        yield constraint, f"Member must have {measure} less than or equal to {_number(shape.maximum)}"
    if shape.minimum is not None and size < shape.minimum:
        yield constraint, f"Member must have {measure} greater than or equal to {_number(shape.minimum)}"
    if shape.pattern is not None and shape.pattern.fullmatch(value) is None:
        yield "pattern", f"Member must satisfy regular expression pattern: {shape.pattern_text}"
    if shape.enum and value not in shape.enum:
        yield "enum", f"Member must satisfy enum value set: [{', '.join(shape.enum)}]"


def _all_phrases(shape: Shape) -> str:
    """List every constraint of a shape: what AWS says when an element breaks any of them."""
    phrases = []
    measure = "value" if shape.kind in (Kind.INTEGER, Kind.FLOAT) else "length"
    if shape.maximum is not None:
        phrases.append(f"Member must have {measure} less than or equal to {_number(shape.maximum)}")
    if shape.minimum is not None:
        phrases.append(f"Member must have {measure} greater than or equal to {_number(shape.minimum)}")
    if shape.pattern is not None:
        phrases.append(f"Member must satisfy regular expression pattern: {shape.pattern_text}")
    if shape.enum:
        phrases.append(f"Member must satisfy enum value set: [{', '.join(shape.enum)}]")
    return f"[{', '.join([*phrases, NOT_NULL])}]"


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else str(value)
