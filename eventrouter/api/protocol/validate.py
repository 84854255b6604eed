"""The first validation layer: shape constraints of the model, reported in AWS's words.

Source: lambda-semantics §0 (two validation layers, constraint phrases, rendered values).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from eventrouter.api.protocol.models import Kind, Shape
from eventrouter.errors import RequestError

NOT_NULL = "Member must not be null"
_SCALARS = frozenset({Kind.STRING, Kind.INTEGER, Kind.FLOAT, Kind.BOOLEAN, Kind.BLOB, Kind.TIMESTAMP})
_MEASURED_BY_LENGTH = frozenset({Kind.STRING, Kind.BLOB, Kind.LIST, Kind.MAP})
_MEASURED_BY_VALUE = frozenset({Kind.INTEGER, Kind.FLOAT})
MOST_PROBLEMS = 100
RENDERED_CHARACTERS = 16_384
"""A refusal lists this many problems and shows this much of a value at most, however large the request."""

Values = Mapping[str, Any]


def check(shape: Shape, values: Values, *, ignore: frozenset[tuple[str, str]] = frozenset()) -> None:
    """Raise ValidationException with every constraint of `shape` that `values` breaks.

    `ignore` names (path, constraint) pairs that AWS leaves to its second layer, such as
    `("functionName", "length")` or `("runtime", "enum")`.
    """
    found = _structure(shape, values, "")
    problems = list(islice((text for path, kind, text in found if (path, kind) not in ignore), MOST_PROBLEMS))
    if problems:
        raise RequestError("ValidationException", detected(problems), status=400, fault=None)


def detected(problems: list[str]) -> str:
    """Join problems as AWS does: their number first."""
    plural = "" if len(problems) == 1 else "s"
    return f"{len(problems)} validation error{plural} detected: {'; '.join(problems)}"


def failed(value: object, path: str, constraint: str) -> str:
    """Word one problem."""
    return f"Value {render(value)} at '{path}' failed to satisfy constraint: {constraint}"


def _failed_whole(shape: Shape, value: object, path: str, constraint: str) -> str:
    """Word a problem of a value that may be a list of records, or a secret: those are not shown (§7.4)."""
    item = shape.item
    has_records = item is not None and any(member.shape.kind is Kind.BLOB for member in item.members.values())
    if has_records or shape.is_sensitive:
        return f"Value at '{path}' failed to satisfy constraint: {constraint}"
    return failed(value, path, constraint)


def render(value: object) -> str:
    """Render a value as AWS quotes it: lists `'[a, b]'`, maps `'{k=v}'`, null bare."""
    if value is None:
        return "null"
    text, left = [], RENDERED_CHARACTERS
    for part in _plain(value):
        text.append(part[:left])
        left -= len(part)
        if left < 0:
            text.append("...")
            break
    return f"'{''.join(text)}'"


def _plain(value: object) -> Iterator[str]:
    """Yield a value's text part by part, so that no more of it is made than is shown."""
    if value is None:
        yield "null"
    elif isinstance(value, Mapping):
        for number, (key, item) in enumerate(value.items()):
            yield f"{', ' if number else '{'}{key}="
            yield from _plain(item)
        yield "}" if value else "{}"
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield ", " if number else "["
            yield from _plain(item)
        yield "]" if value else "[]"
    elif isinstance(value, bool):
        yield "true" if value else "false"
    elif isinstance(value, bytes):
        yield f"java.nio.HeapByteBuffer[pos=0 lim={len(value)} cap={len(value)}]"
    else:
        yield str(value)


def camel(name: str) -> str:
    """Return a member's name as error paths spell it: `ZipFile` is `zipFile`."""
    return name[:1].lower() + name[1:]


Problem = tuple[str, str, str]
"""Path, constraint's kind, text."""


def _structure(shape: Shape, values: Values, prefix: str) -> Iterator[Problem]:
    for name, member in shape.members.items():
        value = values.get(name)
        if value is None:
            if member.required:
                path = f"{prefix}{camel(name)}"
                yield path, "required", failed(None, path, NOT_NULL)
        elif member.shape.kind not in _SCALARS or _broken(member.shape, value):
            yield from _value(member.shape, value, f"{prefix}{camel(name)}")


def _value(shape: Shape, value: Any, path: str) -> Iterator[Problem]:  # Any: JSON of any depth
    if value is None:  # within a list or a map: a member that is null counts as absent
        yield path, "required", failed(None, path, NOT_NULL)
        return
    for constraint, phrase in _broken(shape, value):
        yield path, constraint, _failed_whole(shape, value, path, phrase)
    if shape.kind is Kind.STRUCTURE:
        yield from _structure(shape, value, f"{path}.")
    elif shape.kind is Kind.LIST and shape.item is not None:
        yield from _items(shape.item, value, path)
    elif shape.kind is Kind.MAP and shape.key is not None and shape.value is not None:
        if any(_any_broken(shape.key, key) for key in value):
            yield (
                path,
                "key",
                _failed_whole(shape, value, path, f"Map keys must satisfy constraint: {_all_phrases(shape.key)}"),
            )
        if shape.value.kind in _SCALARS:
            if any(_any_broken(shape.value, item) for item in value.values()):
                phrases = _all_phrases(shape.value)
                yield path, "value", _failed_whole(shape, value, path, f"Map value must satisfy constraint: {phrases}")
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
    return value is None or bool(_broken(shape, value))


def _broken(shape: Shape, value: Any) -> list[tuple[str, str]]:  # Any: measured by its shape's kind
    """Return what `value` itself breaks, its parts left out: constraints and phrases."""
    kind = shape.kind
    found: list[tuple[str, str]] = []
    if kind in _MEASURED_BY_LENGTH:
        size, measure = len(value), "length"
    elif kind in _MEASURED_BY_VALUE:
        size, measure = value, "value"
    else:
        return found
    if shape.maximum is not None and size > shape.maximum:
        found.append((measure, f"Member must have {measure} less than or equal to {_number(shape.maximum)}"))
    if shape.minimum is not None and size < shape.minimum:
        found.append((measure, f"Member must have {measure} greater than or equal to {_number(shape.minimum)}"))
    if shape.pattern is not None and shape.pattern.fullmatch(value) is None:
        found.append(("pattern", f"Member must satisfy regular expression pattern: {shape.pattern_text}"))
    if shape.enum and value not in shape.enum:
        found.append(("enum", f"Member must satisfy enum value set: [{', '.join(shape.enum)}]"))
    return found


def _all_phrases(shape: Shape) -> str:
    """List every constraint of a shape: what AWS says when an element breaks any of them."""
    phrases = []
    measure = "value" if shape.kind in _MEASURED_BY_VALUE else "length"
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
