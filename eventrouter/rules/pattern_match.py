"""How leaves on paths match an event: closures over plain dictionaries, built once.

Fields below an array of objects match only within the same element ("array consistency", as EventBridge has it).
`exists: false` is judged in the element that the other fields have picked; where a pattern asks of the elements for
nothing but absence, none of them may have the field. Source: lambda-semantics §6.4.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import cast

from eventrouter.rules.pattern_leaf import Leaf

Path = tuple[str, ...]
Event = Mapping[str, object]

_FAILED, _ABSENT, _PRESENT = 0, 1, 2
"""Answers about what accepts absence: it failed, there was nothing, something was there and satisfied."""

_Match = Callable[[Event], int]
"""Of an object: whether it matches (or one of the three answers)."""
_Part = Callable[[object], int]
"""Of what stands at a key, MISSING included."""

MISSING = object()
_SCALARS = frozenset({str, int, float, bool, type(None)})


class Node:
    """An object of the pattern: leaves and further objects, by key."""

    def __init__(self) -> None:
        self.leaves: list[tuple[str, Leaf]] = []
        self.nodes: dict[str, Node] = {}

    def add(self, path: Path, leaf: Leaf) -> None:
        if len(path) == 1:
            self.leaves.append((path[0], leaf))
        else:
            self.nodes.setdefault(path[0], Node()).add(path[1:], leaf)

    @property
    def accepts_absence(self) -> bool:
        """Say whether an event without any of the fields matches."""
        return all(leaf.accepts_absence for _, leaf in self.leaves) and all(
            node.accepts_absence for node in self.nodes.values()
        )

    def tails(self) -> Iterator[Path]:
        """Yield the paths below this object which an event may write as one dotted key."""
        for key, node in self.nodes.items():
            if "." not in key:
                yield from ((key, leaf_key) for leaf_key, _ in node.leaves)
                yield from ((key, *tail) for tail in node.tails())


def compile_match(leaves: Iterable[tuple[Path, Leaf]]) -> Callable[[Event], bool]:
    """Return what says whether an event satisfies all `leaves`, each on its path."""
    root = Node()
    for path, leaf in leaves:
        root.add(path, leaf)
    match = _object(root)
    if root.accepts_absence:
        return lambda event: match(event) != _FAILED
    return cast("Callable[[Event], bool]", match)  # what needs a value answers yes or no: one call less


def values_at(event: object, path: Path) -> list[object]:
    """Return every scalar on `path`, through arrays and dotted keys."""
    if not path:
        return list(_scalars([event]))
    found: list[object] = []
    for element in _objects([event]):
        found += values_at(element.get(path[0], []), path[1:])
        if len(path) > 1 and not isinstance(dotted := element.get(".".join(path), []), dict):
            found += _scalars([dotted])
    return found


def is_there(event: object, path: Path) -> bool:
    """Say whether anything stands on `path`, be it an object or an empty array."""
    if not path:
        return True
    return any(path[0] in element and is_there(element[path[0]], path[1:]) for element in _objects([event]))


def is_in_array(event: object, path: Path) -> bool:
    """Say whether what stands on `path` is an array in the event."""
    for key in path:
        event = event.get(key) if isinstance(event, dict) else None
    return isinstance(event, list)


def _object(node: Node) -> _Match:
    """Compile an object of the pattern."""
    # What needs a value comes first: it fails most often, and costs least.
    parts = [(key, _leaf(leaf)) for key, leaf in sorted(node.leaves, key=lambda pair: pair[1].accepts_absence)]
    parts += [(key, _below(child)) for key, child in node.nodes.items()]
    match = _graded(parts) if node.accepts_absence else _all_of(parts)
    tails = {".".join(tail): tail for tail in node.tails()}
    if not tails:
        return match

    def unfolding(event: Event) -> int:
        return match(event if event.keys().isdisjoint(tails) else _unfolded(event, tails))

    return unfolding


def _all_of(parts: Sequence[tuple[str, _Part]]) -> _Match:
    if len(parts) == 1:
        ((only, part),) = parts
        return lambda event: part(event.get(only, MISSING))

    def match(event: Event) -> int:
        for key, part in parts:  # noqa: SIM110 - all() with its generator costs as much again
            if not part(event.get(key, MISSING)):
                return False
        return True

    return match


def _graded(parts: Sequence[tuple[str, _Part]]) -> _Match:
    """Compile an object that absence satisfies: the answer tells whether anything was there."""

    def match(event: Event) -> int:
        grades = [part(event.get(key, MISSING)) for key, part in parts]
        return max(grades) if all(grades) else _FAILED

    return match


def _leaf(leaf: Leaf) -> _Part:
    """Compile a leaf: a scalar satisfies it, or any scalar of an array; an object is no leaf."""
    test = leaf.test
    if leaf.accepts_absence:

        def graded(value: object) -> int:
            if type(value) in _SCALARS:
                return _PRESENT if test(value) else _FAILED
            found = list(_scalars([value]))
            if not found:
                return _ABSENT
            return _PRESENT if any(map(test, found)) else _FAILED

        return graded

    def part(value: object) -> int:
        if type(value) in _SCALARS:
            return test(value)
        return type(value) is list and any(map(test, _scalars(value)))

    return part


def _below(node: Node) -> _Part:
    """Compile what an object of the pattern asks of what stands at its key: an object, or an array of them."""
    match = _object(node)
    if node.accepts_absence:

        def graded(value: object) -> int:
            if type(value) is dict:
                return match(value)
            grades = [match(element) for element in _objects([value])]
            if _PRESENT in grades:
                return _PRESENT
            return _FAILED if _FAILED in grades else _ABSENT

        return graded

    def part(value: object) -> int:
        if type(value) is dict:
            return match(value)
        return type(value) is list and any(map(match, _objects(value)))

    return part


def _scalars(values: Iterable[object]) -> Iterator[object]:
    """Yield the scalars among `values`, those of arrays included."""
    return (value for value in _flat(values) if type(value) in _SCALARS)


def _objects(values: Iterable[object]) -> Iterator[dict[str, object]]:
    """Yield the objects among `values`, those of arrays included."""
    return (value for value in _flat(values) if isinstance(value, dict))


def _flat(values: Iterable[object]) -> Iterator[object]:
    """Yield the elements of arrays within arrays. Not recursive: an event may be as deep as its sender likes."""
    waiting = [iter(values)]
    while waiting:
        for value in waiting[-1]:
            if isinstance(value, list):
                waiting.append(iter(value))
                break
            yield value
        else:
            waiting.pop()


def _unfolded(event: Event, tails: Mapping[str, Path]) -> Event:
    """Return the event with its dotted keys, those among `tails`, written as nested objects.

    A dotted key that holds an object is left alone: a dotted parent with a nested child does not match.
    """
    result: object = event
    for name, path in tails.items():
        value = event.get(name, MISSING)
        if value is not MISSING and not isinstance(value, dict):
            result = _joined(result, path, value)
    return result if isinstance(result, dict) else event


def _joined(place: object, path: Path, value: object) -> object:
    """Return what stands at `place` with `value` added on `path`; every object of an array gets it."""
    if not path:
        return value if place is MISSING else [place, value]
    if place is MISSING:
        place = {}
    if isinstance(place, Mapping):
        return {**place, path[0]: _joined(place.get(path[0], MISSING), path[1:], value)}
    elements = place if isinstance(place, list) else [place]
    if not any(isinstance(element, dict) for element in elements):
        return [*elements, _joined({}, path, value)]
    return [_joined(element, path, value) if isinstance(element, dict) else element for element in elements]
