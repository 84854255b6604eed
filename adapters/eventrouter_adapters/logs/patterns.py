"""Filter patterns: which log events FilterLogEvents returns.

Served are terms (`ERROR "exact phrase"`: all of them; `-DEBUG`: not this one; `?WARN ?ERROR`: any of them) and JSON
conditions (`{ $.level = "err*" && ($.ms > 100 || $.user NOT EXISTS) }`). Regular expressions (`%...%`) and
space-delimited patterns (`[a, b]`) are refused. Source: lambda-semantics §9.4 (filter pattern syntax).
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from typing import Any

import msgspec

Matcher = Callable[[str], bool]
_Condition = Callable[[Any], bool]

_TERM = re.compile(r'\s*(?P<sign>[?-]?)(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<plain>[\w.:/@#=,+][\w.:/@#=,+-]*))(?=\s|$)')
_TOKEN = re.compile(
    r"""\s*(?:
        (?P<selector>\$(?:\.[\w-]+|\[\d+\]|\["[^"]+"\]|\['[^']+'\])*)(?=[\s=!<>)]|$)
      | (?P<join>&&|\|\|)
      | (?P<compare><=|>=|!=|=|<|>)
      | (?P<bracket>[()])
      | (?P<state>IS\s+(?:NULL|TRUE|FALSE)|NOT\s+EXISTS)(?=[\s)&|]|$)
      | "(?P<quoted>(?:[^"\\]|\\.)*)"
      | (?P<word>[^\s()"&|=<>!%$]+)
    )""",
    re.VERBOSE | re.IGNORECASE,
)
_STEP = re.compile(r"""\.([\w-]+)|\[(\d+)\]|\["([^"]+)"\]|\['([^']+)'\]""")
_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_MISSING = object()


def parse_pattern(text: str) -> Matcher:
    """Return what says whether a message matches. Raises ValueError if `text` is no pattern that is served."""
    stripped = text.strip()
    if not stripped:
        return lambda message: True
    if stripped.startswith("{"):
        if not stripped.endswith("}"):
            raise ValueError("a JSON pattern ends with }")
        return _json_matcher(_JsonParser(stripped[1:-1]).parse())
    return _term_matcher(stripped)


def _term_matcher(text: str) -> Matcher:
    required: list[str] = []
    excluded: list[str] = []
    optional: list[str] = []
    position = 0
    while position < len(text):
        match = _TERM.match(text, position)
        if match is None:
            raise ValueError(f"unexpected text at {text[position:].strip()!r}")
        term = _unescaped(match["quoted"]) if match["plain"] is None else match["plain"]
        {"": required, "-": excluded, "?": optional}[match["sign"]].append(term)
        position = match.end()

    def matches(message: str) -> bool:
        if required or excluded:  # beside other terms, optional ones change nothing
            return all(term in message for term in required) and not any(term in message for term in excluded)
        return any(term in message for term in optional)

    return matches


def _json_matcher(condition: _Condition) -> Matcher:
    def matches(message: str) -> bool:
        try:
            document = msgspec.json.decode(message)
        except (msgspec.DecodeError, UnicodeEncodeError):
            return False
        return isinstance(document, dict | list) and condition(document)

    return matches


class _JsonParser:
    """Reads the inside of `{ … }` by descent: `||` over `&&` over brackets and comparisons."""

    def __init__(self, text: str) -> None:
        self._tokens: list[re.Match[str]] = []
        position, text = 0, text.rstrip()
        while position < len(text):
            match = _TOKEN.match(text, position)
            if match is None:
                raise ValueError(f"unexpected text at {text[position:].strip()!r}")
            self._tokens.append(match)
            position = match.end()
        self._next = 0

    def parse(self) -> _Condition:
        condition = self._any()
        if self._next < len(self._tokens):
            raise ValueError(f"unexpected {self._tokens[self._next][0].strip()!r}")
        return condition

    def _take(self, group: str, *texts: str) -> str | None:
        """Take the next token if it is of `group` (and one of `texts`)."""
        if self._next < len(self._tokens):
            found = self._tokens[self._next][group]
            if found is not None and (not texts or found in texts):
                self._next += 1
                return found
        return None

    def _any(self) -> _Condition:
        parts = [self._all()]
        while self._take("join", "||"):
            parts.append(self._all())
        return lambda document: any(part(document) for part in parts)

    def _all(self) -> _Condition:
        parts = [self._one()]
        while self._take("join", "&&"):
            parts.append(self._one())
        return lambda document: all(part(document) for part in parts)

    def _one(self) -> _Condition:
        if self._take("bracket", "("):
            inner = self._any()
            if not self._take("bracket", ")"):
                raise ValueError("a bracket is not closed")
            return inner
        selector = self._take("selector")
        if selector is None:
            raise ValueError("a condition begins with a selector such as $.level")
        path = [
            int(step[2]) if step[2] is not None else step[1] or step[3] or step[4] for step in _STEP.finditer(selector)
        ]
        test = self._test()
        return lambda document: test(_select(document, path))

    def _test(self) -> _Condition:
        state = self._take("state")
        if state is not None:
            wanted = {"NULL": None, "TRUE": True, "FALSE": False, "EXISTS": _MISSING}[state.split()[1].upper()]
            return lambda value: value is wanted
        compare = self._take("compare")
        if compare is None:
            raise ValueError("a selector is followed by a comparison, IS NULL, IS TRUE, IS FALSE or NOT EXISTS")
        quoted = self._take("quoted")
        literal = _unescaped(quoted) if quoted is not None else self._take("word")
        if literal is None:
            raise ValueError(f"nothing to compare with after {compare}")
        number = None if quoted is not None else _number(literal)
        if compare in ("=", "!="):
            equals = _equality(literal, number)
            if compare == "=":
                return equals
            return lambda value: value is not _MISSING and not equals(value)
        if number is None:
            raise ValueError(f"{compare} compares numbers, and {literal!r} is none")
        ordered, bound = _COMPARE[compare], number
        return lambda value: _is_number(value) and ordered(value, bound)


def _equality(literal: str, number: float | None) -> _Condition:
    """Compare with a text, in which `*` stands for anything, or with a number."""
    fits = _wildcard(literal)

    def equals(value: Any) -> bool:
        if _is_number(value):
            return number is not None and bool(value == number)
        if isinstance(value, bool):
            return literal == str(value).lower()
        return isinstance(value, str) and fits(value)

    return equals


def _wildcard(literal: str) -> Matcher:
    """Match a text in which `*` stands for anything: piece after piece, nothing ever tried again."""
    first, *others = literal.split("*")
    if not others:
        return first.__eq__
    *middle, last = others

    def fits(value: str) -> bool:
        position, end = len(first), len(value) - len(last)
        if end < position or not value.startswith(first) or not value.endswith(last):
            return False
        for piece in middle:
            found = value.find(piece, position, end)
            if found < 0:
                return False
            position = found + len(piece)
        return True

    return fits


def _select(document: Any, path: list[str | int]) -> Any:
    for step in path:
        if isinstance(step, int):
            if not isinstance(document, list) or step >= len(document):
                return _MISSING
            document = document[step]
        elif isinstance(document, dict) and step in document:
            document = document[step]
        else:
            return _MISSING
    return document


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _unescaped(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)
