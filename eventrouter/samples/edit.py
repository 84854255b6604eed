"""Changing an event by paths: `Records[0].s3.object.size=2048`.

A path is names with dots between them and positions in brackets; a name with dots or brackets of its own stands in
brackets and quotes: `detail["a.b"]`. What is text stays text: a value replaces it as it stands. Anything else is
replaced by JSON. A member that is not there yet becomes what the value is as JSON, or else its text.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterable
from typing import Any

from eventrouter.errors import EventRouterError
from eventrouter.samples.model import Document

_STEP = re.compile(r'(?P<dot>\.)?(?P<name>[^.\[\]="]+)|\[(?P<index>\d{1,9})\]|\[(?P<quoted>"(?:[^"\\]|\\.)*")\]')

Step = str | int


def edited(event: Document, changes: Iterable[str]) -> Document:
    """Return a copy of `event` with each `path=value` of `changes` applied, in order.

    Raises EventRouterError, naming the change and the step at fault; nothing is changed then.
    """
    result = copy.deepcopy(event)
    for change in changes:
        _apply(result, change)
        if not _is_text(result):
            raise EventRouterError(f"{change!r} is not text: it has halves of characters")
    return result


def _apply(event: Document, change: str) -> None:
    steps, text = _parse(change)
    here: Any = event
    for depth, step in enumerate(steps[:-1]):
        here = _entered(here, step, steps[:depth], change)
    *parents, last = steps
    _check(here, last, parents, change, may_add=True)
    is_new = isinstance(last, str) and last not in here
    here[last] = _value(text, None if is_new else here[last], change, is_new=is_new)


def _parse(change: str) -> tuple[list[Step], str]:
    """Return the steps of a change's path, and the text behind its `=`."""
    steps: list[Step] = []
    at = 0
    while at < len(change) and change[at] != "=":
        match = _STEP.match(change, at)
        if match is None or (match["name"] is not None and bool(match["dot"]) != bool(steps)):
            raise EventRouterError(f"{change!r} is not PATH=VALUE: the path cannot be read from {change[at:]!r} on")
        if match["index"] is not None:
            steps.append(int(match["index"]))
        elif match["quoted"] is not None:
            steps.append(_unquoted(match["quoted"], change))
        else:
            steps.append(match["name"])
        at = match.end()
    if not steps or at == len(change):
        raise EventRouterError(f"{change!r} is not PATH=VALUE")
    return steps, change[at + 1 :]


def _unquoted(quoted: str, change: str) -> str:
    try:
        name: str = json.loads(quoted)
    except ValueError:
        raise EventRouterError(f"{change!r} is not PATH=VALUE: {quoted} is not a JSON string") from None
    return name


def _entered(here: Any, step: Step, parents: list[Step], change: str) -> Any:
    _check(here, step, parents, change, may_add=False)
    return here[step]


def _check(here: Any, step: Step, parents: list[Step], change: str, *, may_add: bool) -> None:
    """Raise EventRouterError unless `step` leads somewhere from `here`, which `parents` led to."""
    where = _path(parents) or "the event"
    if isinstance(step, int):
        if not isinstance(here, list):
            raise EventRouterError(f"{change!r}: {where} is {_kind(here)}, which has no positions")
        if step >= len(here):
            raise EventRouterError(f"{change!r}: {where} has {len(here)} elements, counted from 0")
    elif not isinstance(here, dict):
        raise EventRouterError(f"{change!r}: {where} is {_kind(here)}, which has no member {step!r}")
    elif step not in here and not may_add:
        raise EventRouterError(f"{change!r}: {where} has no member {step!r}, but {', '.join(here) or 'none'}")


def _value(text: str, old: Any, change: str, *, is_new: bool) -> Any:
    if isinstance(old, str):
        return text
    try:
        return json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        if is_new or old is None:
            return text
        raise EventRouterError(f"{change!r}: the member is {_kind(old)}, and the value is not JSON") from None


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _is_text(event: Document) -> bool:
    """Say whether an event can be sent as UTF-8: halves of surrogate pairs cannot."""
    try:
        json.dumps(event, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _path(steps: list[Step]) -> str:
    shown = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)
    return shown.removeprefix(".")


def _kind(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case str():
            return "text"
        case int() | float():
            return "a number"
        case list():
            return "a list"
        case _:
            return "an object"
