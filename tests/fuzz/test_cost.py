"""No text costs more than its length: what reads callers' texts has no way to be kept busy by a short one.

Sizes are such that work that grows with the square takes minutes.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import pytest

from eventrouter.api.applied import served_apis
from eventrouter.api.protocol.cbor import decode_cbor
from eventrouter.api.protocol.codec import read_object
from eventrouter.api.protocol.models import Shape, compile_pattern, service_model
from eventrouter.errors import RequestError
from eventrouter.rules.payload import json_problem
from eventrouter_adapters.logs.patterns import parse_pattern

pytestmark = pytest.mark.unit

PATIENCE_S = 3.0
SIZE = 1_000_000
BODIES: dict[str, bytes] = {
    "rows of digits": b"[" + b",".join([b"9" * 3_999] * (SIZE // 4_000)) + b"]",
    "rows of digits, unfinished": b"[" + b",".join([b"9" * 3_999] * (SIZE // 4_000)),
    "long rows of digits, unfinished": b"[" + b",".join([b"9" * 4_001] * (SIZE // 4_000)),
    "digits": b"9" * SIZE + b"x",
    "a fraction": b"0." + b"9" * SIZE + b"x",
    "powers": b"[" + b",".join([b"1e" + b"9" * 300] * (SIZE // 303)),
    "arrays": b"[" * SIZE,
    "objects": b'{"a":' * (SIZE // 5),
    "a text": b'["' + b"a" * SIZE,
    "backslashes": b'["' + b"\\" * SIZE,
    "quotes": b'"' * SIZE,
    "surrogates": b'["' + b"\\ud800" * (SIZE // 6) + b"]",
    "spaces": b" " * SIZE + b"x",
    "lines": b"\n" * SIZE + b"x",
    "a word": b"a" * SIZE,
    "minuses": b"-" * SIZE,
    "NaN after texts": b"[" + b'"\\"NaN",' * (SIZE // 8) + b"NaN]",
    "bytes": b"\xff" * SIZE,
}
TEXTS = tuple(
    unit * (20_000 // len(unit)) + end
    for unit in ("a", "a-", "a.", "A1_", ":", "/", " ", "1", "{", "[a]", "a=b,", "arn:aws-", "aws.a/")
    for end in ("", "!", "\n", "\0")
)


def seconds(work: Callable[[], object]) -> float:
    """Return the processor's time that some work takes; that it refuses its input is fine."""
    began = time.thread_time()
    try:
        work()
    except (RequestError, ValueError):
        pass
    return time.thread_time() - began


@pytest.mark.parametrize("what", BODIES)
def test_judging_a_body_costs_what_its_length_is(what: str) -> None:
    assert seconds(lambda: json_problem(BODIES[what])) < PATIENCE_S
    assert seconds(lambda: read_object(BODIES[what], code="SerializationException")) < PATIENCE_S
    assert seconds(lambda: decode_cbor(BODIES[what])) < PATIENCE_S


def test_no_pattern_of_a_model_can_be_kept_busy() -> None:
    patterns: set[str] = set()
    seen: set[Shape] = set()

    def collect(shape: Shape | None) -> None:
        if shape is None or shape in seen:
            return
        seen.add(shape)
        patterns.add(shape.pattern_text)
        for inner in (shape.item, shape.key, shape.value, *(member.shape for member in shape.members.values())):
            collect(inner)

    for api in served_apis():
        for operation in api.members:
            collect(service_model(api.service).operation(operation).input)

    assert len(patterns) > 40
    for pattern in patterns:
        fits = compile_pattern(pattern).fullmatch
        assert sum(seconds(partial(fits, text)) for text in TEXTS) < PATIENCE_S, pattern


@pytest.mark.parametrize("pieces", [1, 2, 30, 300])
def test_no_filter_pattern_of_a_log_can_be_kept_busy(pieces: int) -> None:
    matches = parse_pattern('{ $.a = "' + "*a" * pieces + '*b" }')

    assert seconds(lambda: matches('{"a": "' + "a" * 100_000 + '"}')) < PATIENCE_S
    assert matches('{"a": "' + "a" * 400 + 'b"}')


@pytest.mark.parametrize("pattern", ['"' + "\\a" * 500, "a" * 1_000 + "!", " " * 1_000 + "!", "{ " + "(" * 1_000])
def test_no_filter_pattern_of_a_log_is_hard_to_read(pattern: str) -> None:
    assert seconds(lambda: parse_pattern(pattern)) < PATIENCE_S
