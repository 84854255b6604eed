"""Tells where what is declared differs from what a node has, by AWS's model of the members."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from eventrouter.api.protocol.models import Kind, Shape
from eventrouter.project.plan import Change

_EMPTY: tuple[Any, ...] = (None, "", [], {}, ())


def changes(shape: Shape, declared: Mapping[str, Any], current: Mapping[str, Any]) -> tuple[Change, ...]:
    """Return every member of `declared` that differs in `current`. Both are members of the structure `shape`."""
    return tuple(
        Change(member=name, before=current.get(name), after=value)
        for name, value in declared.items()
        if differs(shape.members[name].shape, value, current.get(name))
    )


def differs(shape: Shape, declared: Any, current: Any) -> bool:  # Any: what boto3 takes and gives
    """Say whether a value is another than declared.

    Of a structure, only the declared members count: answers hold more. Maps and lists are compared whole. What is
    empty is as good as absent.
    """
    if shape.kind is Kind.STRUCTURE:
        members = current if isinstance(current, Mapping) else {}
        return any(
            differs(shape.members[name].shape, value, members.get(name))
            for name, value in (declared or {}).items()
            if name in shape.members
        )
    if declared in _EMPTY or current in _EMPTY:
        return (declared in _EMPTY) != (current in _EMPTY)
    if shape.kind is Kind.LIST and shape.item is not None:
        item = shape.item
        return len(declared) != len(current) or any(
            differs(item, one, other) for one, other in zip(declared, current, strict=True)
        )
    if shape.kind is Kind.MAP and shape.value is not None:
        value = shape.value
        return set(declared) != set(current) or any(differs(value, declared[key], current[key]) for key in declared)
    if shape.kind is Kind.TIMESTAMP:
        return _seconds(declared) != _seconds(current)
    return bool(declared != current)


def _seconds(value: Any) -> float:
    return value.timestamp() if isinstance(value, datetime) else float(value)


def with_defaults(defaults: Mapping[str, Any], declared: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is declared, and the defaults of what is not, in structures too."""
    merged = dict(defaults)
    for name, value in declared.items():
        default = defaults.get(name)
        if isinstance(default, Mapping) and isinstance(value, Mapping):
            merged[name] = with_defaults(default, value)
        else:
            merged[name] = value
    return merged
