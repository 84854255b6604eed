"""No more messages a second than asked for, however unevenly turns come and clocks step."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventrouter.rules.move_rate import BURST_S, MoveRate

pytestmark = pytest.mark.property

pauses = st.lists(st.floats(0.0, 5.0), min_size=1, max_size=60)


@given(rate=st.integers(1, 500), pauses=pauses, window_s=st.floats(0.1, 10.0))
def test_no_stretch_of_time_sees_more_than_the_rate_and_what_may_be_saved_up(
    rate: int, pauses: list[float], window_s: float
) -> None:
    allowed, now, moves = MoveRate(paid_until_s=0.0), 0.0, []
    for pause in pauses:
        now += pause
        count = allowed.due(rate, now) or 0
        allowed.pay(rate, count)
        moves.append((now, count))

    for start, _ in moves:
        within = sum(count for at, count in moves if start <= at < start + window_s)
        assert within <= rate * (window_s + BURST_S) + 1 + 1e-3


@given(rate=st.integers(1, 500))
def test_who_waits_as_long_as_told_may_move_a_message_each_time(rate: int) -> None:
    allowed, now = MoveRate(paid_until_s=100.0), 100.0
    for _ in range(20):
        now += allowed.wait_s(rate, now)
        due = allowed.due(rate, now)
        assert due == 1
        allowed.pay(rate, due)
    assert now == pytest.approx(100 + 20 / rate)


@given(rate=st.integers(1, 500), step_s=st.floats(-1e6, 1e6))
def test_a_clock_that_steps_brings_no_flood_and_no_standstill(rate: int, step_s: float) -> None:
    allowed = MoveRate(paid_until_s=1e6)

    assert allowed.due(rate, 1e6 + step_s) in range(int(BURST_S * rate + 1e-3) + 2)
    assert allowed.wait_s(rate, 1e6 + step_s) <= 1 / rate + 1e-6


def test_without_a_rate_any_number_is_due_at_once() -> None:
    allowed = MoveRate(paid_until_s=0.0)
    allowed.pay(0, 1_000_000)

    assert allowed.due(0, 0.0) is None
    assert allowed.wait_s(0, 0.0) == 0.0
