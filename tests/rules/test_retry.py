"""The timetable of asynchronous events (lambda-semantics §3.1 and its list of things easily got wrong)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventrouter.rules.function import EventInvokeConfig
from eventrouter.rules.outcome import FunctionFailed, Outcome, Succeeded, SystemFault, Throttled, ThrottleReason
from eventrouter.rules.retry import (
    BackOff,
    Condition,
    Done,
    EventPolicy,
    EventTally,
    GiveUp,
    Retry,
    backoff_ms,
    event_policy,
    judge_claim,
    judge_event,
)

FAILED = FunctionFailed(payload=b"{}", error_type="Exception")
THROTTLED = Throttled(reason=ThrottleReason.RESERVED)
FAULT = SystemFault(message="gone")

outcomes: st.SearchStrategy[Outcome] = st.sampled_from([Succeeded(payload=b"1"), FAILED, THROTTLED, FAULT])
tallies = st.builds(
    EventTally,
    age_ms=st.integers(0, 30_000_000),
    errors=st.integers(0, 3),
    backoffs=st.integers(0, 1_000),
)
policies = st.builds(
    EventPolicy,
    maximum_retry_attempts=st.integers(0, 2),
    maximum_event_age_ms=st.integers(60_000, 21_600_000),
    retry_base_ms=st.integers(0, 60_000),
)


@pytest.mark.unit
@pytest.mark.parametrize(("errors", "delay_ms"), [(0, 60_000), (1, 120_000)])
def test_a_function_error_is_retried_after_one_and_then_two_minutes(errors: int, delay_ms: int) -> None:
    assert judge_event(FAILED, EventTally(age_ms=0, errors=errors), EventPolicy()) == Retry(delay_ms)


@pytest.mark.unit
@pytest.mark.parametrize("attempts", [0, 1, 2])
def test_the_configured_number_of_retries_is_the_last_word(attempts: int) -> None:
    policy = EventPolicy(maximum_retry_attempts=attempts)

    assert judge_event(FAILED, EventTally(age_ms=0, errors=attempts), policy) == GiveUp(Condition.RETRIES_EXHAUSTED)
    if attempts:
        assert isinstance(judge_event(FAILED, EventTally(age_ms=0, errors=attempts - 1), policy), Retry)


@pytest.mark.unit
@pytest.mark.parametrize(("age_s", "attempts"), [(60, 1), (90, 2), (180, 2), (181, 3)])
def test_the_maximum_age_is_judged_before_waiting(age_s: int, attempts: int) -> None:
    policy = EventPolicy(maximum_event_age_ms=age_s * 1_000)
    now_ms, errors = 0, 0

    while isinstance(verdict := judge_event(FAILED, EventTally(age_ms=now_ms, errors=errors), policy), Retry):
        now_ms, errors = now_ms + verdict.delay_ms, errors + 1

    assert errors + 1 == attempts
    expected = Condition.RETRIES_EXHAUSTED if attempts == 3 else Condition.EVENT_AGE_EXCEEDED
    assert verdict == GiveUp(expected)


@pytest.mark.unit
@pytest.mark.parametrize("outcome", [THROTTLED, FAULT])
def test_a_throttled_event_keeps_its_retries(outcome: Outcome) -> None:
    verdict = judge_event(outcome, EventTally(age_ms=0, errors=2, backoffs=9), EventPolicy())

    assert verdict == BackOff(300_000)


@pytest.mark.unit
def test_back_off_doubles_from_one_second_to_five_minutes() -> None:
    assert [backoff_ms(n) // 1_000 for n in range(11)] == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]
    assert backoff_ms(100_000) == 300_000


@pytest.mark.unit
def test_reserved_concurrency_zero_ends_an_event_without_an_attempt() -> None:
    verdict = judge_claim(EventTally(age_ms=0), EventPolicy(), reserved_concurrency=0)

    assert verdict == GiveUp(Condition.ZERO_RESERVED_CONCURRENCY)


@pytest.mark.unit
def test_an_event_past_its_age_is_not_run() -> None:
    policy = EventPolicy(maximum_event_age_ms=60_000)

    assert judge_claim(EventTally(age_ms=60_000), policy, None) == GiveUp(Condition.EVENT_AGE_EXCEEDED)
    assert judge_claim(EventTally(age_ms=59_999), policy, None) is None


@pytest.mark.unit
def test_settings_that_are_absent_are_aws_defaults() -> None:
    assert event_policy(EventInvokeConfig()) == EventPolicy(
        maximum_retry_attempts=2, maximum_event_age_ms=21_600_000, retry_base_ms=60_000
    )
    assert event_policy(EventInvokeConfig(maximum_retry_attempts=0)).maximum_retry_attempts == 0


@pytest.mark.property
@given(outcome=outcomes, tally=tallies, policy=policies)
def test_no_wait_ends_past_the_maximum_age(outcome: Outcome, tally: EventTally, policy: EventPolicy) -> None:
    verdict = judge_event(outcome, tally, policy)

    if isinstance(verdict, Retry | BackOff):
        assert tally.age_ms + verdict.delay_ms < policy.maximum_event_age_ms


@pytest.mark.property
@given(outcome=outcomes, tally=tallies, policy=policies)
def test_verdicts_follow_from_the_kind_of_outcome(outcome: Outcome, tally: EventTally, policy: EventPolicy) -> None:
    verdict = judge_event(outcome, tally, policy)

    match outcome:
        case Succeeded():
            assert verdict == Done()
        case FunctionFailed():
            assert isinstance(verdict, Retry | GiveUp)
            if tally.errors >= policy.maximum_retry_attempts:
                assert verdict == GiveUp(Condition.RETRIES_EXHAUSTED)
        case _:
            assert isinstance(verdict, BackOff) or verdict == GiveUp(Condition.EVENT_AGE_EXCEEDED)


@pytest.mark.property
@given(policy=policies, outcomes=st.lists(outcomes.filter(lambda o: not isinstance(o, Succeeded)), max_size=200))
def test_an_event_fails_at_most_one_time_more_than_it_may_be_retried(
    policy: EventPolicy, outcomes: list[Outcome]
) -> None:
    age_ms, errors, backoffs = 0, 0, 0

    for outcome in outcomes:
        verdict = judge_event(outcome, EventTally(age_ms=age_ms, errors=errors, backoffs=backoffs), policy)
        errors += isinstance(outcome, FunctionFailed)
        backoffs = 0 if isinstance(outcome, FunctionFailed) else backoffs + 1
        if isinstance(verdict, GiveUp):
            break
        assert isinstance(verdict, Retry | BackOff)
        age_ms += verdict.delay_ms

    assert errors <= 1 + policy.maximum_retry_attempts
