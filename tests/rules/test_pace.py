"""How events are spread over lanes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventrouter.rules.pace import AHEAD, CALLS_PER_CPU, CLAIM_LIMIT, Pace, claim_size, is_crowded, lanes_to_add

SHORT, LONG = Pace(0.2), Pace(900.0)
counts = st.integers(0, 2_000)
paces = st.sampled_from([SHORT, LONG, Pace()])


@pytest.mark.unit
def test_a_function_that_never_ran_counts_as_slow() -> None:
    assert not Pace().is_short
    assert Pace().window == 1
    assert Pace().after(0.1).is_short


@pytest.mark.unit
def test_one_long_run_ends_sending_ahead_and_is_forgotten_slowly() -> None:
    pace = SHORT.after(100.0)
    runs = 0

    while not pace.is_short:
        pace, runs = pace.after(0.1), runs + 1

    assert 100 < runs < 200


@pytest.mark.unit
def test_a_slow_function_claims_one_event_for_each_free_lane() -> None:
    assert claim_size(LONG, lanes=8, in_flight=5, buffered=0) == 3
    assert claim_size(LONG, lanes=8, in_flight=8, buffered=0) == 0
    assert claim_size(LONG, lanes=8, in_flight=5, buffered=3) == 0


@pytest.mark.unit
def test_a_fast_function_claims_by_the_batch() -> None:
    assert claim_size(SHORT, lanes=2, in_flight=2 * AHEAD, buffered=80) == 0
    assert claim_size(SHORT, lanes=2, in_flight=2 * AHEAD, buffered=10) == 90


@pytest.mark.unit
def test_lanes_double_but_short_runs_need_no_more_than_cores() -> None:
    assert lanes_to_add(LONG, lanes=4, cpus=2) == 4
    assert lanes_to_add(SHORT, lanes=1, cpus=2) == 1
    assert lanes_to_add(SHORT, lanes=2, cpus=2) == 0


@pytest.mark.unit
def test_only_short_calls_can_be_too_many_for_the_cores() -> None:
    assert is_crowded(SHORT, running=CALLS_PER_CPU * 2, cpus=2)
    assert not is_crowded(SHORT, running=CALLS_PER_CPU * 2 - 1, cpus=2)
    assert not is_crowded(LONG, running=1_000, cpus=2)
    assert not is_crowded(Pace(), running=1_000, cpus=2)


@pytest.mark.property
@given(pace=paces, lanes=counts, in_flight=counts, buffered=counts)
def test_a_claim_is_never_larger_than_a_script_takes(pace: Pace, lanes: int, in_flight: int, buffered: int) -> None:
    assert 0 <= claim_size(pace, lanes=lanes, in_flight=in_flight, buffered=buffered) <= CLAIM_LIMIT


@pytest.mark.property
@given(pace=paces, lanes=st.integers(1, 2_000))
def test_an_idle_lane_always_leads_to_a_claim(pace: Pace, lanes: int) -> None:
    assert claim_size(pace, lanes=lanes, in_flight=0, buffered=0) > 0


@pytest.mark.property
@given(durations=st.lists(st.floats(0.01, 10_000), min_size=1, max_size=50))
def test_no_run_of_late_is_longer_than_a_short_pace_admits(durations: list[float]) -> None:
    pace = Pace()
    for duration in durations:
        pace = pace.after(duration)

    assert pace.longest_ms >= durations[-1]
    assert pace.longest_ms <= max(durations)
