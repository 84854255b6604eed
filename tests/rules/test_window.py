"""Tumbling windows (lambda-semantics §4.6)."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventrouter.rules.window import (
    STATE_CEILING_BYTES,
    STATE_LIMIT_BYTES,
    Close,
    Closing,
    Deliver,
    OpenWindow,
    Step,
    Wait,
    count_in_window,
    enter,
    fits_event,
    next_step,
    window_members,
    window_start,
)

pytestmark = pytest.mark.unit

WINDOW = OpenWindow(start_ms=60_000, end_ms=90_000, state='{"n": 1}')


def a_state(size: int, letter: str = "x") -> str:
    return '{"s":"' + letter * (size - 8) + '"}'


@pytest.mark.property
@given(arrived_ms=st.integers(0, 2**45), width_s=st.integers(1, 900))
def test_windows_are_multiples_of_their_width(arrived_ms: int, width_s: int) -> None:
    start_ms = window_start(arrived_ms, width_s)

    assert start_ms % (width_s * 1_000) == 0
    assert start_ms <= arrived_ms < start_ms + width_s * 1_000


def test_a_record_enters_the_open_window_up_to_its_end_or_a_new_one() -> None:
    unanswered = OpenWindow(start_ms=60_000, end_ms=90_000)

    assert enter(None, 75_000, 30) == unanswered
    assert enter(unanswered, 89_999, 30) is unanswered
    assert enter(unanswered, 90_000, 30) == OpenWindow(start_ms=90_000, end_ms=120_000)
    assert enter(None, 75_000, 0) is None


def test_a_record_that_arrived_before_the_open_window_joins_it() -> None:
    assert enter(WINDOW, 59_999, 30) is WINDOW


def test_an_open_window_keeps_its_bounds_when_the_setting_changes() -> None:
    assert enter(WINDOW, 89_999, 10) is WINDOW
    assert enter(WINDOW, 89_999, 0) is WINDOW


@pytest.mark.parametrize(
    ("window", "arrivals", "width_s", "count"),
    [
        (None, [60_000, 89_999, 90_000], 30, 2),
        (WINDOW, [60_000, 89_999, 90_000], 30, 2),
        (WINDOW, [59_000, 60_000], 30, 2),
        (OpenWindow(start_ms=0, end_ms=30_000), [60_000, 89_999, 90_000, 61_000], 30, 2),
        (None, [0, 10**9], 0, 2),
        (None, [], 30, 0),
    ],
)
def test_a_batch_holds_records_of_one_window(
    window: OpenWindow | None, arrivals: list[int], width_s: int, count: int
) -> None:
    assert count_in_window(window, arrivals, width_s) == count


@dataclass(frozen=True)
class Case:
    expected: Step
    window: OpenWindow | None = WINDOW
    arrival: int | None = None
    now_ms: int = 0
    is_shard_end: bool = False


CLOSING = OpenWindow(start_ms=60_000, end_ms=90_000, state="{}", closing=Closing.EARLY)
UNANSWERED = OpenWindow(start_ms=60_000, end_ms=90_000)


@pytest.mark.parametrize(
    "case",
    [
        Case(Deliver(), arrival=89_999, now_ms=10**9),
        Case(Close(Closing.FINAL), arrival=90_000),
        Case(Wait(90_000), now_ms=89_999),
        Case(Close(Closing.FINAL), now_ms=90_000),
        Case(Close(Closing.FINAL), now_ms=61_000, is_shard_end=True),
        Case(Deliver(), arrival=61_000, is_shard_end=True),
        Case(Close(Closing.EARLY), window=CLOSING, arrival=61_000),
        Case(Close(Closing.EARLY), window=OpenWindow(start_ms=0, end_ms=1, state=a_state(STATE_LIMIT_BYTES + 1))),
        Case(Wait(1), window=OpenWindow(start_ms=0, end_ms=1, state=a_state(STATE_LIMIT_BYTES))),
        Case(
            Close(Closing.EARLY),
            window=OpenWindow(start_ms=0, end_ms=1, state=a_state(STATE_LIMIT_BYTES // 2 + 5, "é")),
        ),
        Case(Deliver(), window=UNANSWERED, arrival=10**9),
        Case(Wait(), window=UNANSWERED, now_ms=10**9),
        Case(Wait(), window=UNANSWERED, is_shard_end=True),
        Case(Deliver(), window=None, arrival=1),
        Case(Wait(), window=None),
    ],
)
def test_the_next_step_of_a_window(case: Case) -> None:
    step = next_step(case.window, case.arrival, case.now_ms, is_shard_end=case.is_shard_end)

    assert step == case.expected


def test_the_event_of_a_window_has_every_member_in_order() -> None:
    window = OpenWindow(start_ms=1_596_128_400_000, end_ms=1_596_128_700_000, state='{ "1": 282 }')

    members = window_members(window, shard_id="shardId-000000000006", source_arn="arn:aws:kinesis:x")

    assert members == (
        b'"window":{"start":"2020-07-30T17:00:00Z","end":"2020-07-30T17:05:00Z"},"state":{ "1": 282 },'
        b'"shardId":"shardId-000000000006","eventSourceARN":"arn:aws:kinesis:x",'
        b'"isFinalInvokeForWindow":false,"isWindowTerminatedEarly":false'
    )


@pytest.mark.parametrize(
    ("closing", "is_final", "is_early"),
    [(None, False, False), (Closing.FINAL, True, False), (Closing.EARLY, True, True)],
)
def test_a_closing_invocation_says_so(closing: Closing | None, is_final: bool, is_early: bool) -> None:
    members = window_members(OpenWindow(start_ms=0, end_ms=1, closing=closing), shard_id="s", source_arn="a")

    event = json.loads(b"{" + members + b"}")

    assert event["state"] == {}
    assert (event["isFinalInvokeForWindow"], event["isWindowTerminatedEarly"]) == (is_final, is_early)


def test_a_state_must_fit_into_the_event_that_closes_its_window() -> None:
    assert fits_event(a_state(STATE_CEILING_BYTES))
    assert not fits_event(a_state(STATE_CEILING_BYTES + 1))
