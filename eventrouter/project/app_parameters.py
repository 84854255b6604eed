"""The parameters of an app's decorators: their ranges, which are AWS's, and how a wrong one is refused.

Imported by every function that is declared in an app: the standard library only.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from eventrouter.project.model import Place, ProjectError

Duration = int | str
"""Seconds, or a number with its unit: `90`, `"90s"`, `"15m"`, `"6h"`, `"4d"`."""
Filter = str | Mapping[str, Any]
"""An event pattern: JSON in a text, or what it is made of."""

_UNITS_S = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_DURATION = re.compile(r"(\d+)([smhd])")
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_QUEUE_NAME = re.compile(r"[A-Za-z0-9_-]{1,80}|[A-Za-z0-9_-]{1,75}\.fifo")
_STREAM_NAME = re.compile(r"[A-Za-z0-9_.-]{1,128}")
_RULE_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_NAMES = {
    "function": (_NAME, "1 to 64 letters, digits, - and _"),
    "schedule": (_RULE_NAME, "1 to 64 letters, digits, -, _ and ."),
    "queue": (_QUEUE_NAME, "1 to 80 letters, digits, - and _, with the end .fifo for a FIFO queue"),
    "stream": (_STREAM_NAME, "1 to 128 letters, digits, -, _ and ."),
}


def caller_place(depth: int) -> Place:
    """Return where the code stands that is `depth` frames above the caller of this."""
    frame = sys._getframe(depth + 1)  # noqa: SLF001 - the one way to know the line of a decorator
    file = frame.f_code.co_filename
    try:
        file = str(Path(file).relative_to(Path.cwd()))
    except ValueError:
        pass
    return Place(file, frame.f_lineno)


class Parameters:
    """Checks what one decorator was given; `what` is how an error calls it, such as `@app.queue`."""

    def __init__(self, what: str, place: Place) -> None:
        self.what = what
        self.place = place

    def refuse(self, parameter: str, value: object, rule: str) -> ProjectError:
        """Return the error about one parameter: its name, its value and the rule."""
        return ProjectError(self.place, f"{self.what}: {parameter}={value!r} {rule}")

    def name(self, kind: str, value: object, parameter: str = "name") -> str:
        """Return a resource's name."""
        pattern, rule = _NAMES[kind]
        return self.matching(parameter, value, pattern, f"is no name of a {kind}: {rule}")

    def matching(self, parameter: str, value: object, pattern: re.Pattern[str], rule: str) -> str:
        """Return a text that matches `pattern` as a whole."""
        if not isinstance(value, str) or pattern.fullmatch(value) is None:
            raise self.refuse(parameter, value, rule)
        return value

    def text(self, parameter: str, value: object) -> str:
        """Return a text."""
        if not isinstance(value, str):
            raise self.refuse(parameter, value, "must be a text")
        return value

    def number(self, parameter: str, value: object, low: int, high: int, *, also: int | None = None) -> int:
        """Return a whole number of a range; `also` is a value beside it that has a meaning of its own."""
        if not isinstance(value, int) or isinstance(value, bool):
            raise self.refuse(parameter, value, "must be a whole number")
        if not low <= value <= high and value != also:
            rule = f"is not in {low}..{high}" if also is None else f"is neither {also} nor in {low}..{high}"
            raise self.refuse(parameter, value, rule)
        return value

    def seconds(self, parameter: str, value: Duration, low: int, high: int, *, also: int | None = None) -> int:
        """Return a duration in seconds."""
        if not isinstance(value, str):
            return self.number(parameter, value, low, high, also=also)
        found = _DURATION.fullmatch(value)
        if found is None:
            raise self.refuse(parameter, value, 'is no duration: seconds, or a text such as "90s", "15m", "6h"')
        seconds = int(found[1]) * _UNITS_S[found[2]]
        if not low <= seconds <= high:
            raise self.refuse(parameter, value, f"is not in {low}..{high} seconds")
        return seconds

    def one_of(self, parameter: str, value: object, allowed: Sequence[str]) -> str:
        """Return one of the allowed texts."""
        if not isinstance(value, str) or value not in allowed:
            raise self.refuse(parameter, value, f"must be one of {', '.join(allowed)}")
        return value

    def flag(self, parameter: str, value: object) -> bool:
        """Return True or False."""
        if not isinstance(value, bool):
            raise self.refuse(parameter, value, "must be True or False")
        return value

    def texts(self, parameter: str, value: object) -> dict[str, str]:
        """Return a dict of texts."""
        given = {} if value is None else value
        if not isinstance(given, Mapping) or not all(
            isinstance(key, str) and isinstance(text, str) for key, text in given.items()
        ):
            raise self.refuse(parameter, value, "must be a dict of str to str")
        return dict(given)

    def patterns(self, parameter: str, value: Filter | Sequence[Filter] | None) -> list[str]:
        """Return event patterns as JSON texts."""
        if value is None:
            return []
        given = [value] if isinstance(value, str | Mapping) or not isinstance(value, Sequence) else value
        return [self._pattern(parameter, pattern) for pattern in given]

    def _pattern(self, parameter: str, pattern: object) -> str:
        try:
            text = pattern if isinstance(pattern, str) else json.dumps(pattern)
            if isinstance(json.loads(text), dict):
                return text
        except (TypeError, ValueError):
            pass
        raise self.refuse(parameter, pattern, "is no event pattern: it must be a JSON object")
