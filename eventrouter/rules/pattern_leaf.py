"""The operators of event patterns: what the list at a leaf of a pattern asks of one value.

A list of alternatives becomes one function of a scalar, and a flag: whether it is satisfied where there is no value.
Source: lambda-semantics §6.4.
"""

from __future__ import annotations

import ipaddress
import json
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from eventrouter.errors import EventRouterError
from eventrouter.rules.wildcard import compile_wildcard

NUMERIC_LIMIT = 5_000_000_000

Test = Callable[[object], bool]
"""Says whether a scalar of the event satisfies; it is never asked about an object or an array."""

_Text = Callable[[str], bool]
_Compare = Callable[[Any, float], bool]
_LOWER: dict[str, _Compare] = {">": operator.gt, ">=": operator.ge}
_UPPER: dict[str, _Compare] = {"<": operator.lt, "<=": operator.le}
_NUMBERS = frozenset({int, float})


class PatternError(EventRouterError):
    """A pattern is not valid; the text is AWS's reason, as in `Event pattern is not valid. Reason: ...`."""


class Leaf(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The list of alternatives at one path, compiled."""

    test: Test
    accepts_absence: bool
    text: str
    """The alternatives in words, such as `numeric >= 100`."""


def compile_leaf(alternatives: Sequence[object]) -> Leaf:
    """Compile the list at a leaf. Raises PatternError."""
    if not alternatives:
        raise PatternError("Empty arrays are not allowed")
    exact = [value for value in alternatives if not isinstance(value, Mapping)]
    expressions = [_expression(value) for value in alternatives if isinstance(value, Mapping)]
    tests = [OPERATORS[name](value) for name, value in expressions if (name, value) != ("exists", False)]
    if exact:
        tests.insert(0, _exactly(exact))
    return Leaf(
        test=_any_of(tests),
        accepts_absence=("exists", False) in expressions,
        text=" or ".join(map(_describe, alternatives)),
    )


def _expression(value: Mapping[str, object]) -> tuple[str, object]:
    """Return the operator and what it is given."""
    if not value:
        raise PatternError("Match expression name not found")
    name, given = next(iter(value.items()))
    if name == "exists" and not isinstance(given, bool):
        raise PatternError("exists match pattern must be either true or false.")
    if name not in OPERATORS:
        raise PatternError(f"Unrecognized match type {name}")
    if len(value) > 1:
        raise PatternError("Only one key allowed in match expression")
    return name, given


def _any_of(tests: Sequence[Test]) -> Test:
    match tests:
        case []:
            return lambda _: False
        case [test]:
            return test
        case _:
            return lambda value: any(test(value) for test in tests)


def _exactly(values: Sequence[object]) -> Test:
    """Strings, numbers, true, false and null, by value: 300 is 300.0, but true is not 1."""
    if any(isinstance(value, list) for value in values):
        raise PatternError("Match value must be String, number, true, false, or null")
    only = values[0]
    if len(values) == 1 and isinstance(only, str):
        return lambda value: value == only
    strings = {value for value in values if isinstance(value, str)}
    numbers = {value for value in values if type(value) in _NUMBERS}
    constants = [value for value in values if value is None or isinstance(value, bool)]

    def is_one(value: object) -> bool:
        kind = type(value)
        if kind is str:
            return value in strings
        if kind in _NUMBERS:
            return value in numbers
        return any(value is constant for constant in constants)

    return is_one


def _exists(_: object) -> Test:
    return lambda _: True


def _of_strings(test: _Text) -> Test:
    return lambda value: type(value) is str and test(value)


def _string(given: object, complaint: str) -> str:
    if not isinstance(given, str):
        raise PatternError(complaint)
    return given


def _affix(name: str) -> Callable[[object], Test]:
    """Return the compiler of `prefix` or `suffix`, which may ignore case."""
    complaint = f"{name} match pattern must be a string"

    def compiled(given: object) -> Test:
        if isinstance(given, Mapping):
            inner, given = _only(given, complaint)
            if inner != "equals-ignore-case":
                raise PatternError(complaint)
            text = _string(given, "equals-ignore-case match pattern must be a string").lower()
            if name == "prefix":
                return _of_strings(lambda value: value.lower().startswith(text))
            return _of_strings(lambda value: value.lower().endswith(text))
        return _of_strings(_AFFIXES[name]((_string(given, complaint),)))

    return compiled


def _only(given: Mapping[str, object], complaint: str) -> tuple[str, object]:
    """Return the one key of an operator's inner expression and its value."""
    if not given:
        raise PatternError(complaint)
    if len(given) > 1:
        raise PatternError("Only one key allowed in match expression")
    return next(iter(given.items()))


def _starts(texts: tuple[str, ...]) -> _Text:
    return lambda value: value.startswith(texts)


def _ends(texts: tuple[str, ...]) -> _Text:
    return lambda value: value.endswith(texts)


def _ignoring_case(texts: tuple[str, ...]) -> _Text:
    lowered = frozenset(text.lower() for text in texts)
    return lambda value: value.lower() in lowered


def _wildcards(texts: tuple[str, ...]) -> _Text:
    try:
        fits = [compile_wildcard(text) for text in texts]
    except ValueError as error:
        raise PatternError(str(error)) from None
    return fits[0] if len(fits) == 1 else lambda value: any(fit(value) for fit in fits)


_AFFIXES: Mapping[str, Callable[[tuple[str, ...]], _Text]] = {"prefix": _starts, "suffix": _ends}


def _ignore_case(given: object) -> Test:
    return _of_strings(_ignoring_case((_string(given, "equals-ignore-case match pattern must be a string"),)))


def _wildcard(given: object) -> Test:
    return _of_strings(_wildcards((_string(given, "wildcard match pattern must be a string"),)))


def _anything_but(given: object) -> Test:
    """Anything else that is there: null and values of other types satisfy, a missing key does not."""
    if isinstance(given, Mapping):
        test = _anything_but_texts(*_only(given, "Anything-But expression name not found"))
        return lambda value: type(value) is not str or not test(value)
    values = given if isinstance(given, list) else [given]
    if not values:
        raise PatternError("Empty arrays are not allowed")
    for value in values:
        if type(value) is str or type(value) in _NUMBERS:
            continue
        if isinstance(given, list):
            raise PatternError("Inside anything but list, start|null|boolean is not supported.")
        raise PatternError("Value of anything-but must be an array or single string/number value.")
    if len({type(value) is str for value in values}) > 1:
        raise PatternError(
            "Inside anything but list, either all values are number or string, mixed type is not supported"
        )
    excluded = _exactly(values)
    return lambda value: not excluded(value)


def _anything_but_texts(name: str, given: object) -> _Text:
    """Compile `anything-but` of one of the operators for strings: what it must not be."""
    texts = given if isinstance(given, list) else [given]
    if name not in _EXCLUDABLE:
        raise PatternError(f"Unsupported anything-but pattern: {name}")
    make, complaint = _EXCLUDABLE[name]
    if not texts:
        raise PatternError("Empty arrays are not allowed")
    strings = tuple(_string(text, complaint) for text in texts)
    if name in _AFFIXES and not all(strings):
        raise PatternError("Null prefix/suffix not allowed")
    return make(strings)


_AFFIX_COMPLAINT = "prefix/suffix match pattern must be a string"
_EXCLUDABLE: Mapping[str, tuple[Callable[[tuple[str, ...]], _Text], str]] = {
    "prefix": (_starts, _AFFIX_COMPLAINT),
    "suffix": (_ends, _AFFIX_COMPLAINT),
    "equals-ignore-case": (
        _ignoring_case,
        "Inside anything-but/equals-ignore-case list, number|start|null|boolean is not supported.",
    ),
    "wildcard": (_wildcards, "wildcard match pattern must be a string"),
}


def _numeric(given: object) -> Test:
    """One comparison, or a range: a lower and an upper bound. Only numbers satisfy."""
    if not isinstance(given, list):
        raise PatternError("Value of numeric must be an array.")
    if not given:
        raise PatternError("Invalid member in numeric match: ]")
    sign = given[0]
    if not isinstance(sign, str):
        raise PatternError(f"Invalid member in numeric match: {json.dumps(sign)}")
    if sign == "=":
        bound = _bound("equals", given[1:2])
        if len(given) > 2:
            raise PatternError("Too many elements in numeric expression")
        return lambda value: type(value) in _NUMBERS and value == bound
    if sign not in _LOWER and sign not in _UPPER:
        raise PatternError(f"Unrecognized numeric range operator: {sign}")
    bound, compare = _bound(sign, given[1:2]), (_LOWER | _UPPER)[sign]
    if len(given) <= 2:
        return lambda value: type(value) in _NUMBERS and compare(value, bound)
    second = given[2]
    if not isinstance(second, str):
        raise PatternError(f"Bad value in numeric range: {json.dumps(second)}")
    if second not in (_UPPER if sign in _LOWER else _LOWER):
        raise PatternError(f"Bad numeric range operator: {second}")
    other, compare_other = _bound(second, given[3:4]), (_LOWER | _UPPER)[second]
    if len(given) > 4:
        raise PatternError("Too many terms in numeric range expression")
    if (bound >= other) if sign in _LOWER else (other >= bound):
        raise PatternError("Bottom must be less than top")
    return lambda value: type(value) in _NUMBERS and compare(value, bound) and compare_other(value, other)


def _bound(sign: str, given: Sequence[object]) -> float:
    if not given or isinstance(given[0], bool) or not isinstance(given[0], int | float):
        raise PatternError(f"Value of {sign} must be numeric")
    if not -NUMERIC_LIMIT <= given[0] <= NUMERIC_LIMIT:
        raise PatternError(f"Value must be between {-NUMERIC_LIMIT} and {NUMERIC_LIMIT}, inclusive")
    return given[0]


def _cidr(given: object) -> Test:
    """Addresses of one block; what is no address does not satisfy."""
    parts = _string(given, "cidr match pattern must be a string").split("/")
    if len(parts) != 2:
        raise PatternError("Malformed CIDR, one '/' required")
    address, bits = parts
    if not (bits.isascii() and bits.isdigit()):
        raise PatternError("Malformed CIDR, mask bits must be an integer")
    try:
        first = ipaddress.ip_address(address)
    except ValueError:
        raise PatternError(f"Nonstandard IP address: {address}") from None
    if len(bits) > 3 or int(bits) > first.max_prefixlen:
        raise PatternError(f"Malformed CIDR, mask bits must be between 0 and {first.max_prefixlen}")
    version, shift = first.version, first.max_prefixlen - int(bits)
    block = int(first) >> shift

    def contains(value: str) -> bool:
        try:
            found = ipaddress.ip_address(value)
        except ValueError:
            return False
        return found.version == version and int(found) >> shift == block

    return _of_strings(contains)


OPERATORS: Mapping[str, Callable[[object], Test]] = {
    "prefix": _affix("prefix"),
    "suffix": _affix("suffix"),
    "equals-ignore-case": _ignore_case,
    "anything-but": _anything_but,
    "numeric": _numeric,
    "exists": _exists,
    "cidr": _cidr,
    "wildcard": _wildcard,
}


def _describe(value: object) -> str:
    """Put one alternative into words: `"a"`, `prefix "x"`, `numeric > 0 and <= 5`."""
    if not isinstance(value, Mapping):
        return json.dumps(value, ensure_ascii=False)
    name, given = next(iter(value.items()))
    if name == "numeric" and isinstance(given, list):
        signs = (f"{sign} {json.dumps(bound)}" for sign, bound in zip(given[::2], given[1::2], strict=False))
        return f"numeric {' and '.join(signs)}"
    return f"{name} {_describe(given)}"
