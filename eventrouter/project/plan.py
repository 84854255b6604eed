"""What must change for a node to match a project, step by step: to print, to look through, and to carry out."""

from __future__ import annotations

import enum
import json
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from eventrouter.project.model import NotApplied, Place

_LONGEST_VALUE = 60


class Action(enum.StrEnum):
    """What becomes of a resource."""

    CREATE = "create"
    UPDATE = "update"
    REPLACE = "replace"
    """Deleted and created anew: what changes cannot be changed in place."""
    DELETE = "delete"
    KEEP = "keep"
    """As declared already."""
    LEAVE = "leave"
    """No longer declared; it stays because it holds data."""


_SIGNS = {
    Action.CREATE: "+",
    Action.UPDATE: "~",
    Action.REPLACE: "±",
    Action.DELETE: "-",
    Action.KEEP: "=",
    Action.LEAVE: "!",
}
_STILL = frozenset({Action.KEEP, Action.LEAVE})


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One member that differs: its value now (None: not set) and as declared."""

    member: str
    before: Any
    after: Any

    def __str__(self) -> str:
        return f"{self.member}: {_shown(self._told(self.before))} -> {_shown(self._told(self.after))}"

    def document(self) -> dict[str, Any]:
        """Return the change as JSON can hold it."""
        before, after = _plain(self._told(self.before)), _plain(self._told(self.after))
        return {"member": self.member, "before": before, "after": after}

    def _told(self, value: Any) -> Any:
        """Return a value as it may be shown: variables often hold secrets, so only their names are."""
        if self.member != "Environment" or not value:
            return value
        return {"Variables": dict.fromkeys(value.get("Variables") or (), "…")}


async def _nothing() -> None:
    return


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What becomes of one resource. `place` is where it is declared; None for what no longer is.

    `run` carries the step out: it returns once the resource is in use, and may be repeated.
    """

    action: Action
    kind: str
    name: str
    place: Place | None = None
    changes: tuple[Change, ...] = ()
    note: str = ""
    run: Callable[[], Awaitable[None]] = field(default=_nothing, compare=False, repr=False)

    def __str__(self) -> str:
        """Return lines for people: the step, and what it changes."""
        where = f"   ({self.place})" if self.place is not None else ""
        note = f"   {self.note}" if self.note else ""
        first = f"  {_SIGNS[self.action]} {self.action:7} {self.kind:14} {self.name}{note}{where}"
        return "\n".join((first, *(f"      {change}" for change in self.changes)))

    def document(self) -> dict[str, Any]:
        """Return the step as JSON can hold it."""
        return {
            "action": str(self.action),
            "kind": self.kind,
            "name": self.name,
            "place": None if self.place is None else str(self.place),
            "changes": [change.document() for change in self.changes],
            "note": self.note,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All steps, in the order in which they can be made."""

    project: str
    steps: tuple[Step, ...]
    not_applied: tuple[NotApplied, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Say whether there is nothing to do: the node matches the project."""
        return all(step.action in _STILL for step in self.steps)

    @property
    def due(self) -> tuple[Step, ...]:
        """Return the steps that change something."""
        return tuple(step for step in self.steps if step.action not in _STILL)

    def count(self, action: Action) -> int:
        """Return how many steps do `action`."""
        return sum(step.action is action for step in self.steps)

    def as_text(self) -> str:
        """Return the plan as lines for people: each step, what it changes, and a sum."""
        return "\n".join(self._lines())

    def document(self) -> dict[str, Any]:
        """Return the plan as JSON can hold it."""
        return {
            "project": self.project,
            "steps": [step.document() for step in self.steps],
            "summary": {str(action): self.count(action) for action in Action},
            "not_applied": [shown_not_applied(item) for item in self.not_applied],
        }

    def as_json(self) -> str:
        """Return the plan as one line of JSON."""
        return json.dumps(self.document(), ensure_ascii=False)

    def _lines(self) -> Iterator[str]:
        for step in self.steps:
            yield str(step)
        for item in self.not_applied:
            yield f"  not applied: {item.what}: {item.why}   ({item.place})"
        counts = [f"{self.count(action)} to {action}" for action in Action if action not in _STILL]
        yield f"{self.project}: {', '.join(counts)}, {self.count(Action.KEEP)} unchanged"


def shown_not_applied(item: NotApplied) -> dict[str, str]:
    """Return a note of what has no meaning here as JSON can hold it."""
    return {"what": item.what, "place": str(item.place), "why": item.why}


def _plain(value: Any) -> Any:
    return json.loads(json.dumps(value, default=str))


def _shown(value: Any) -> str:
    if value is None or value == "":
        return "none"
    text = value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= _LONGEST_VALUE else f"{text[: _LONGEST_VALUE - 1]}…"
