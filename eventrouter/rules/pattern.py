"""Event patterns: one language for filters of event source mappings and for rules of event buses.

A pattern is read once: its leaves are compiled (`pattern_leaf`), `$or` is multiplied out into alternatives, and each
alternative becomes closures over plain dictionaries (`pattern_match`). An event matches if one alternative does.
Source: lambda-semantics §6.4, §4.10.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import NoReturn

import msgspec

from eventrouter.rules.pattern_leaf import OPERATORS, Leaf, PatternError, compile_leaf
from eventrouter.rules.pattern_match import Event, Path, compile_match, is_in_array, is_there, values_at
from eventrouter.rules.payload import json_problem

__all__ = ["Filters", "Finding", "Pattern", "PatternError", "compile_pattern"]

PATTERN_CHARACTERS = 4096
DEPTH_LIMIT = 100
"""Objects within objects; far beyond any event, and far below what a thread's stack bears."""
ALTERNATIVES_LIMIT = 1_000
"""Combinations of `$or`: EventBridge's documented quota."""
_OR = "$or"
_SHOWN_VALUES, _SHOWN_CHARACTERS = 5, 60


class WrittenLeaf(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A leaf where the pattern has it."""

    path: Path
    branch: str
    """The branch of `$or` it belongs to, such as `$or[1]`; empty outside of any."""
    leaf: Leaf


class Finding(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What one leaf of a pattern met in an event."""

    path: str
    branch: str
    test: str
    """What the leaf asks, in words."""
    values: tuple[object, ...]
    """What the event has on the path: nothing, one value, or those of arrays."""
    met: str
    """The same in words, such as `42` or `nothing`."""
    is_match: bool


_Alternative = tuple[WrittenLeaf, ...]


class Pattern:
    """A compiled pattern."""

    matches: Callable[[Event], bool]
    """Says whether an event, a JSON object as `json` or `msgspec` reads it, matches."""

    def __init__(self, alternatives: Sequence[_Alternative], leaves: Sequence[WrittenLeaf]) -> None:
        self._alternatives = alternatives
        self._leaves = leaves
        self._each = [compile_match((written.path, written.leaf) for written in found) for found in alternatives]
        # One alternative, as most patterns have, needs no step in between.
        self.matches = self._each[0] if len(self._each) == 1 else self._matches_any

    def _matches_any(self, event: Event) -> bool:
        for match in self._each:  # noqa: SIM110 - any() with its generator costs as much again
            if match(event):
                return True
        return False

    def names(self, key: str) -> bool:
        """Say whether the pattern asks for the top-level field `key`, or for anything in it."""
        return any(written.path[0] == key for written in self._leaves)

    def asking(self, accepts: Callable[[Path], bool]) -> list[Callable[[Event], bool]]:
        """Return what `matches` tries, but for alternatives with a leaf on a path that is not accepted."""
        return [
            match
            for found, match in zip(self._alternatives, self._each, strict=True)
            if all(accepts(written.path) for written in found)
        ]

    def explain(self, event: Event) -> list[Finding]:
        """Return what each leaf met, in the pattern's order.

        The leaves of an alternative that matches have all matched. If the leaves of one match, each by itself, and
        yet it does not, their values are in different elements of an array: the last finding says so.
        """
        matched = {
            id(written)
            for found, match in zip(self._alternatives, self._each, strict=True)
            if match(event)
            for written in found
        }
        findings = {id(written): _look(written, event, is_met=id(written) in matched) for written in self._leaves}
        if not matched:
            for found in self._alternatives:
                if all(findings[id(written)].is_match for written in found):
                    return [*findings.values(), _scattered(found, event)]
        return list(findings.values())


class Filters:
    """The filters of one event source mapping: a value passes if one of the patterns matches."""

    def __init__(self, patterns: Sequence[Pattern], data_key: str) -> None:
        def asks_for_text(path: Path) -> bool:
            return path == (data_key,)

        def asks_for_document(path: Path) -> bool:
            return path[0] == data_key and len(path) > 1

        self._data_key = data_key
        self._has_none = not patterns
        self._on_document = [match for each in patterns for match in each.asking(lambda path: not asks_for_text(path))]
        self._on_text = [match for each in patterns for match in each.asking(lambda path: not asks_for_document(path))]
        self._without_data = [pattern.matches for pattern in patterns if not pattern.names(data_key)]

    @classmethod
    def of(cls, patterns: Sequence[str], data_key: str) -> Filters:
        """Compile the patterns. `data_key` is what they call the payload, such as `data`. Raises PatternError."""
        return cls([compile_pattern(text) for text in patterns], data_key)

    def matches(self, value: Mapping[str, object]) -> bool:
        """Say whether a record passes; everything does where there are no filters.

        A payload that cannot be read is missing from `value`: patterns that name it do not match then, whatever they
        ask. Nor does a pattern for an object or array match a payload that is neither, or the other way round.
        """
        if self._data_key not in value:
            tried = self._without_data
        elif isinstance(value[self._data_key], dict | list):
            tried = self._on_document
        else:
            tried = self._on_text
        for match in tried:
            if match(value):
                return True
        return self._has_none


def compile_pattern(text: str | bytes) -> Pattern:
    """Read a pattern. Of duplicate keys the last one wins. Raises PatternError, and nothing else."""
    try:
        source = text.decode() if isinstance(text, bytes) else text
    except UnicodeDecodeError:
        raise PatternError("Filter is not valid UTF-8") from None
    if len(source) > PATTERN_CHARACTERS:
        raise PatternError(f"Filter is longer than {PATTERN_CHARACTERS} characters")
    if not source.lstrip(" \t\r\n").startswith("{"):
        raise PatternError("Filter is not an object")
    try:
        document = json.loads(source, parse_constant=_refuse_constant)
    except RecursionError:
        raise PatternError(_TOO_DEEP) from None
    except ValueError:
        raise PatternError(json_problem(source.encode(errors="replace")) or "Filter is not JSON") from None
    reader = _Reader()
    return Pattern(reader.alternatives(document, (), "", 1), reader.leaves)


_TOO_DEEP = f"Filter is nested more than {DEPTH_LIMIT} levels deep"


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)


class _Reader:
    """Reads one pattern; `leaves` are those met so far, in the pattern's order."""

    def __init__(self) -> None:
        self.leaves: list[WrittenLeaf] = []

    def alternatives(self, fields: Mapping[str, object], path: Path, branch: str, depth: int) -> list[_Alternative]:
        """Return the alternatives of one object of the pattern: each takes one branch of every `$or` in it."""
        if depth > DEPTH_LIMIT:
            raise PatternError(_TOO_DEEP)
        if not fields:
            raise PatternError("Empty objects are not allowed")
        choices: list[list[_Alternative]] = []
        for key, value in fields.items():
            if key == _OR and (branches := _branches(value)):
                choices.append([])
                for index, inner in enumerate(branches):
                    name = f"{branch}.{_OR}[{index}]" if branch else f"{_OR}[{index}]"
                    choices[-1] += self.alternatives(inner, path, name, depth + 1)
            elif isinstance(value, dict):
                choices.append(self.alternatives(value, (*path, key), branch, depth + 1))
            elif isinstance(value, list):
                # Dots part only the keys of leaves: a dotted parent with a nested child is a name of its own.
                choices.append([(self._leaf((*path, *key.split(".")), branch, value),)])
            else:
                raise PatternError(f'"{key}" must be an object or an array')
        if math.prod(map(len, choices)) > ALTERNATIVES_LIMIT:
            raise PatternError(f"Filter has more than {ALTERNATIVES_LIMIT} combinations of {_OR}")
        return [tuple(itertools.chain(*chosen)) for chosen in itertools.product(*choices)]

    def _leaf(self, path: Path, branch: str, alternatives: Sequence[object]) -> WrittenLeaf:
        if len(path) > DEPTH_LIMIT:
            raise PatternError(_TOO_DEEP)
        self.leaves.append(WrittenLeaf(path=path, branch=branch, leaf=compile_leaf(alternatives)))
        return self.leaves[-1]


def _branches(value: object) -> list[Mapping[str, object]]:
    """Return the branches of an `$or`: two objects or more. None if this is a field that happens to be called so."""
    elements = value if isinstance(value, list) else []
    branches: list[Mapping[str, object]] = []
    for element in elements:
        if not isinstance(element, dict) or not OPERATORS.keys().isdisjoint(element):
            return []
        branches.append(element)
    return branches if len(branches) > 1 else []


def _look(written: WrittenLeaf, event: Event, *, is_met: bool) -> Finding:
    leaf = written.leaf
    values = tuple(values_at(event, written.path))
    return Finding(
        path=".".join(written.path),
        branch=written.branch,
        test=leaf.text,
        values=values,
        met=_in_words(values) or ("no plain value" if is_there(event, written.path) else "nothing"),
        is_match=is_met or (any(map(leaf.test, values)) if values else leaf.accepts_absence),
    )


def _in_words(values: Sequence[object]) -> str:
    texts = [json.dumps(value, ensure_ascii=False) for value in values[:_SHOWN_VALUES]]
    more = ["..."] if len(values) > _SHOWN_VALUES else []
    return ", ".join(
        [*(text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..." for text in texts), *more]
    )


def _scattered(found: _Alternative, event: Event) -> Finding:
    """Name the array in whose elements the values of an alternative are scattered."""
    prefixes = {written.path[:length] for written in found for length in range(1, len(written.path))}
    arrays = sorted((path for path in prefixes if is_in_array(event, path)), key=lambda path: (len(path), path))
    return Finding(
        path=".".join(arrays[0]) if arrays else "",
        branch=found[0].branch,
        test="all fields in one element",
        values=(),
        met="them in different elements",
        is_match=False,
    )
