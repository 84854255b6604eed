"""When a batch fires, and with what (lambda-semantics §4.5)."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventrouter.rules.batch import INVOCATION_BYTES, batch_event, cut, due_in_ms, envelope_bytes, lane_of

pytestmark = pytest.mark.unit

MB = 1_048_576


@pytest.mark.parametrize(
    ("sizes", "limit", "envelope", "expected"),
    [
        ([], 100, 0, (0, False)),
        ([10] * 5, 100, 0, (5, False)),
        ([10] * 5, 5, 0, (5, True)),
        ([10] * 6, 5, 0, (5, True)),
        ([MB] * 5, 100, 0, (5, False)),
        ([MB] * 6, 100, 0, (5, True)),  # the commas between six of them pass 6 MB
        ([INVOCATION_BYTES - 20], 100, 20, (1, True)),
        ([INVOCATION_BYTES - 19], 100, 20, (0, True)),
        ([10, INVOCATION_BYTES], 100, 0, (1, True)),
        ([1], 1, INVOCATION_BYTES + 1, (0, True)),
    ],
)
def test_a_batch_ends_at_its_size_or_at_six_megabytes(
    sizes: list[int], limit: int, envelope: int, expected: tuple[int, bool]
) -> None:
    assert cut(sizes, limit=limit, envelope=envelope) == expected


@pytest.mark.property
@given(records=st.lists(st.integers(1, 3_000_000), max_size=12), limit=st.integers(1, 12))
def test_a_batch_takes_all_that_an_invocation_can_carry(records: list[int], limit: int) -> None:
    events = [b"7" * size for size in records]

    count, is_full = cut(map(len, events), limit=limit, envelope=envelope_bytes())

    assert count <= limit
    assert len(batch_event(events[:count])) <= INVOCATION_BYTES
    if count < min(limit, len(events)):
        assert is_full
        assert len(batch_event(events[: count + 1])) > INVOCATION_BYTES
    assert not is_full or count == limit or count < len(events) or len(batch_event(events)) == INVOCATION_BYTES


def test_sizes_are_looked_at_only_as_far_as_needed() -> None:
    sizes = iter([1, 2, 3])

    assert cut(sizes, limit=2, envelope=0) == (2, True)
    assert list(sizes) == [3]


@pytest.mark.parametrize(
    ("count", "is_full", "waited_ms", "window_s", "due_in"),
    [
        (0, False, 10_000, 0, None),
        (0, False, 10_000, 5, None),
        (1, False, 0, 0, 0),
        (1, False, 0, 5, 5_000),
        (1, False, 4_999, 5, 1),
        (1, False, 5_000, 5, 0),
        (1, False, 9_000, 5, 0),
        (100, True, 0, 300, 0),
    ],
)
def test_a_batch_fires_when_it_is_full_or_its_window_is_over(
    count: int, is_full: bool, waited_ms: int, window_s: int, due_in: int | None
) -> None:
    assert due_in_ms(count, is_full=is_full, waited_ms=waited_ms, window_s=window_s) == due_in


def test_a_key_has_the_same_lane_everywhere() -> None:
    assert [lane_of(key, 10) for key in (b"a", b"b", b"")] == [0xE8B7BE43 % 10, 0x71BEEFF9 % 10, 0]
    assert lane_of(b"a", 1) == 0


def test_lanes_get_similar_numbers_of_keys() -> None:
    counts = [0] * 10
    for number in range(10_000):
        counts[lane_of(f"key-{number}".encode(), 10)] += 1

    assert min(counts) > 800
    assert max(counts) < 1_200


def test_the_event_of_a_batch_is_its_records_and_its_windows_members() -> None:
    event = batch_event([b'{"a":1}', b'{"b":2}'], b'"state":{}')

    assert event == b'{"Records":[{"a":1},{"b":2}],"state":{}}'
    assert json.loads(batch_event([])) == {"Records": []}
    assert envelope_bytes(b'"state":{}') == len(event) - len(b'{"a":1},{"b":2}')
