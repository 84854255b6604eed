"""Which events are JSON, and AWS's words for those that are not: lambda-semantics §1.6."""

from __future__ import annotations

import json

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from eventrouter.rules.payload import json_problem

SOURCE = "\n at [Source: REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled); line: {}, column: {}]"
EXPECTED = "(JSON String, Number, Array, Object or token 'null', 'true' or 'false')"


@pytest.mark.unit
@pytest.mark.parametrize(
    "payload",
    [b"{}", b"null", b"[1, 2]", b' "text" ', b"1e999", b"9" * 5_000, rb'"\ud800"', b"\xef\xbb\xbf{}", '"é€😀"'.encode(),
     b'{"a":1,"a":2}', b"[" * 500 + b"]" * 500],
)  # fmt: skip
def test_what_jackson_reads_passes(payload: bytes) -> None:
    assert json_problem(payload) is None


@pytest.mark.unit
@pytest.mark.parametrize(
    ("payload", "problem", "line", "column"),
    [
        (b"\x99", f"Unexpected character ((CTRL-CHAR, code 153)): expected a valid value {EXPECTED}", 1, 1),
        (b'"\x87"', "Invalid UTF-8 start byte 0x87", 1, 2),
        (b'"\xe2a"', "Invalid UTF-8 middle byte 0x61", 1, 2),
        (b"hello", f"Unrecognized token 'hello': was expecting {EXPECTED}", 1, 6),
        (b"<a/>", f"Unexpected character ('<' (code 60)): expected a valid value {EXPECTED}", 1, 1),
        (b"{'a': 1}", "Unexpected character (''' (code 39)): was expecting double-quote to start field name", 1, 2),
        (
            b'{"a":\n1 2}',
            "Unexpected character ('2' (code 50)): was expecting comma to separate entries",
            2,
            3,
        ),
        (b'"\n"', ("Illegal unquoted character ((CTRL-CHAR, code 10)): has to be escaped using backslash to be "
         "included in string value"), 1, 2),
        (b'["NaN",\nNaN]', "Non-standard token 'NaN': enable `JsonReadFeature.ALLOW_NON_NUMERIC_NUMBERS` to allow",
         2, 3),
    ],
)  # fmt: skip
def test_a_mistake_is_described_and_located(payload: bytes, problem: str, line: int, column: int) -> None:
    assert json_problem(payload) == problem + SOURCE.format(line, column)


@pytest.mark.unit
@pytest.mark.parametrize("payload", [b"", b" ", b"{", b'"abc', b"[1,", b"[1,]", b"01", b"{} {}", b"tru", b'"\\q"'])
def test_what_is_no_json_is_refused(payload: bytes) -> None:
    assert json_problem(payload)


@pytest.mark.unit
def test_a_bottomless_event_is_refused() -> None:
    problem = json_problem(b"[" * 200_000)

    assert problem is not None
    assert problem.startswith("Document nesting depth (1001) exceeds the maximum allowed")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@pytest.mark.property
@given(value=json_values, ascii_only=st.booleans(), indent=st.none() | st.integers(0, 2))
def test_whatever_python_writes_is_json(value: object, ascii_only: bool, indent: int | None) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent)

    assert json_problem(text.encode("utf-8", "surrogatepass" if ascii_only else "replace")) is None


@pytest.mark.property
@given(payload=st.binary(max_size=60))
def test_any_bytes_are_judged_as_the_standard_library_judges_them(payload: bytes) -> None:
    try:
        json.loads(payload.decode("utf-8-sig"), parse_constant=lambda name: assume(False))
        is_json = True
    except (ValueError, RecursionError):
        is_json = False

    assert (json_problem(payload) is None) == is_json
