"""What each result makes of a lane (lambda-semantics §4.6), one sentence at a time."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventrouter.ports import StreamRecord
from eventrouter.rules.mapping import FOREVER, EventSourceMapping
from eventrouter.rules.names import FunctionName
from eventrouter.rules.shard import (
    BatchDone,
    BatchFailed,
    BatchFailedFrom,
    BatchNotRun,
    Drop,
    DropCondition,
    LaneState,
    Range,
    RetryPolicy,
    Verdict,
    begin,
    begin_close,
    drop_oversized,
    expire,
    expire_close,
    is_blocked,
    judge,
    judge_close,
    precedes,
    skip,
)
from eventrouter.rules.window import Closing, OpenWindow

pytestmark = pytest.mark.unit

STORED_WINDOW = OpenWindow(start_ms=0, end_ms=10_000, state='{"n":1}')


def records(first: int, last: int) -> list[StreamRecord]:
    """Records that arrived at their sequence number, in seconds."""
    return [
        StreamRecord(sequence=str(number), arrived_ms=number * 1_000, key=b"k", event=b"{}")
        for number in range(first, last + 1)
    ]


def a_lane(*pending: Range, backoffs: int = 0, window: OpenWindow | None = None) -> LaneState:
    return LaneState(pending=pending, backoffs=backoffs, checkpoint="0", window=window)


def test_a_new_batch_is_one_pending_range_without_counts() -> None:
    state = begin(LaneState(checkpoint="4"), records(5, 9))

    assert state == LaneState(pending=(Range("5", "9"),), checkpoint="4")


def test_success_moves_the_checkpoint_to_the_end_of_the_range_and_starts_the_back_off_anew() -> None:
    verdict = judge(a_lane(Range("1", "3"), Range("4", "5"), backoffs=7), records(1, 3), BatchDone(), RetryPolicy())

    assert verdict == Verdict(state=LaneState(pending=(Range("4", "5"),), checkpoint="3"), succeeded=3)


@pytest.mark.parametrize(("attempts", "invokes"), [(0, 1), (1, 2), (3, 4)])
def test_n_retries_are_n_more_tries_after_the_first(attempts: int, invokes: int) -> None:
    policy = RetryPolicy(maximum_retry_attempts=attempts)
    state, delays = a_lane(Range("1", "2")), []

    while not (verdict := judge(state, records(1, 2), BatchFailed(), policy)).drops:
        state = verdict.state
        delays.append(verdict.delay_ms)

    assert len(delays) == attempts
    assert verdict.drops == (
        Drop(
            first="1",
            last="2",
            size=2,
            arrived_first_ms=1_000,
            arrived_last_ms=2_000,
            condition=DropCondition.RETRY_ATTEMPTS_EXHAUSTED,
            invokes=invokes,
        ),
    )
    assert verdict.state == LaneState(checkpoint="2")
    assert verdict.delay_ms == 0


def test_the_back_off_doubles_from_one_second_to_its_cap() -> None:
    policy = RetryPolicy(max_backoff_ms=12_000)

    assert [policy.delay_ms(backoffs) for backoffs in range(1, 7)] == [1_000, 2_000, 4_000, 8_000, 12_000, 12_000]
    assert policy.delay_ms(1_000_000) == 12_000


def test_a_record_of_one_minute_is_tried_eight_times() -> None:
    policy = RetryPolicy(maximum_record_age_s=60)
    batch = records(1, 1)
    state, now_ms = a_lane(Range("1", "1")), batch[0].arrived_ms

    while not (expired := expire(state, batch, policy, now_ms)).drops:
        verdict = judge(expired.state, batch, BatchFailed(), policy)
        state, now_ms = verdict.state, now_ms + verdict.delay_ms

    assert expired.drops[0].invokes == 8
    assert expired.drops[0].condition is DropCondition.RECORD_AGE_EXCEEDED


def test_throttles_and_faults_cost_no_attempt_but_back_off() -> None:
    policy = RetryPolicy(maximum_retry_attempts=0, bisect=True)
    lane = a_lane(Range("1", "2", 3, 4), backoffs=1)

    verdict = judge(lane, records(1, 2), BatchNotRun(), policy)

    assert verdict == Verdict(state=a_lane(Range("1", "2", 3, 4), backoffs=2), delay_ms=2_000)


@pytest.mark.parametrize(("size", "first_half"), [(2, 1), (3, 1), (8, 4), (9, 4)])
def test_bisect_replaces_a_failed_batch_by_two_halves_at_once(size: int, first_half: int) -> None:
    policy = RetryPolicy(maximum_retry_attempts=0, bisect=True)
    lane = a_lane(Range("1", str(size), 2, 5), Range("100", "101"), backoffs=3)

    verdict = judge(lane, records(1, size), BatchFailed(), policy)

    first, second = Range("1", str(first_half), 2, 6), Range(str(first_half + 1), str(size), 2, 6)
    assert verdict == Verdict(state=a_lane(first, second, Range("100", "101")), is_bisected=True)


def test_bisect_finds_a_poison_record_and_drops_it_alone() -> None:
    policy = RetryPolicy(maximum_retry_attempts=1, bisect=True)
    source = records(1, 8)
    state, tried, drops = begin(LaneState(), source), [], []

    while state.pending:
        first, last = state.pending[0].first, state.pending[0].last
        batch = [record for record in source if int(first) <= int(record.sequence) <= int(last)]
        tried.append((first, last))
        poisoned = any(record.sequence == "6" for record in batch)
        verdict = judge(state, batch, BatchFailed() if poisoned else BatchDone(), policy)
        state = verdict.state
        drops += verdict.drops

    assert tried == [("1", "8"), ("1", "4"), ("5", "8"), ("5", "6"), ("5", "5"), ("6", "6"), ("6", "6"), ("7", "8")]
    assert [(drop.first, drop.last, drop.invokes) for drop in drops] == [("6", "6", 5)]
    assert state == LaneState(checkpoint="8")


def test_a_report_resumes_at_the_lowest_failure_with_a_new_count() -> None:
    policy = RetryPolicy(maximum_retry_attempts=3, bisect=True)

    verdict = judge(a_lane(Range("1", "5", 3, 4), backoffs=3), records(1, 5), BatchFailedFrom(2), policy)

    expected = LaneState(pending=(Range("3", "5", 1, 1),), backoffs=1, checkpoint="2")
    assert verdict == Verdict(state=expected, delay_ms=1_000, succeeded=2)


def test_the_rest_of_a_report_is_dropped_when_no_retry_is_allowed() -> None:
    policy = RetryPolicy(maximum_retry_attempts=0)

    verdict = judge(a_lane(Range("1", "5"), Range("6", "7")), records(1, 5), BatchFailedFrom(2), policy)

    assert [(drop.first, drop.last, drop.size, drop.invokes) for drop in verdict.drops] == [("3", "5", 3, 1)]
    assert verdict.state == LaneState(pending=(Range("6", "7"),), checkpoint="5")
    assert (verdict.succeeded, verdict.delay_ms) == (2, 0)


def test_a_report_from_the_first_record_is_a_failure_that_halves_nothing() -> None:
    policy = RetryPolicy(maximum_retry_attempts=2, bisect=True)

    verdict = judge(a_lane(Range("1", "5", 1, 1)), records(1, 5), BatchFailedFrom(0), policy)

    assert verdict == Verdict(state=a_lane(Range("1", "5", 2, 2), backoffs=1), delay_ms=1_000)


def test_a_failing_record_is_seen_four_times_with_three_retries_and_reports() -> None:
    policy = RetryPolicy(maximum_retry_attempts=3)
    state, batch, seen = a_lane(Range("1", "5")), records(1, 5), 0

    while True:
        verdict = judge(state, batch, BatchFailedFrom(2 if len(batch) == 5 else 0), policy)
        seen += 1
        if verdict.drops:
            break
        state, batch = verdict.state, records(3, 5)

    assert seen == verdict.drops[0].invokes == 4


def test_only_the_records_that_are_too_old_leave_a_batch() -> None:
    policy = RetryPolicy(maximum_record_age_s=60)
    lane = a_lane(Range("1", "5", 2, 3), Range("6", "9"), backoffs=4)

    verdict = expire(lane, records(1, 5), policy, now_ms=62_001)

    assert [(drop.first, drop.last, drop.size, drop.invokes) for drop in verdict.drops] == [("1", "2", 2, 3)]
    assert verdict.state == LaneState(pending=(Range("3", "5", 2, 3), Range("6", "9")), backoffs=4, checkpoint="2")


def test_a_record_exactly_as_old_as_allowed_is_tried() -> None:
    policy = RetryPolicy(maximum_record_age_s=60)
    lane = a_lane(Range("1", "5"))

    assert expire(lane, records(1, 5), policy, now_ms=61_000) == Verdict(state=lane)
    assert expire(lane, records(1, 5), policy, now_ms=61_001).drops[0].invokes == 1


def test_a_range_that_the_source_no_longer_holds_goes_without_a_drop() -> None:
    verdict = expire(a_lane(Range("1", "5"), Range("6", "9"), backoffs=4), [], RetryPolicy(), now_ms=0)

    assert verdict == Verdict(state=LaneState(pending=(Range("6", "9"),), checkpoint="5"))


def test_a_record_that_no_event_can_carry_is_dropped_as_too_large() -> None:
    [record] = records(5, 5)

    verdict = drop_oversized(LaneState(checkpoint="4", window=STORED_WINDOW), record)

    assert verdict.state == LaneState(checkpoint="5", window=STORED_WINDOW)
    assert [(drop.condition, drop.size, drop.invokes) for drop in verdict.drops] == [
        (DropCondition.MAXIMUM_PAYLOAD_SIZE_EXCEEDED, 1, 1)
    ]


def test_a_batch_opens_the_window_of_its_records_and_keeps_one_that_is_open() -> None:
    state = begin(LaneState(), records(12, 14), tumbling_window_s=10)

    assert state.window == OpenWindow(start_ms=10_000, end_ms=20_000)
    [last] = records(20, 20)
    last = msgspec.structs.replace(last, arrived_ms=19_999)
    assert begin(LaneState(), [last], tumbling_window_s=10).window == state.window
    assert begin(LaneState(window=STORED_WINDOW), records(5, 9), tumbling_window_s=10).window == STORED_WINDOW


def test_a_batch_outside_of_windows_opens_none() -> None:
    stale = OpenWindow(start_ms=0, end_ms=1_000)

    assert begin(LaneState(window=stale), records(5, 9)).window is None


def test_a_batch_never_overtakes_a_window_that_holds_a_state() -> None:
    with pytest.raises(AssertionError, match="was not closed"):
        begin(LaneState(window=STORED_WINDOW), records(10, 11), tumbling_window_s=10)


@pytest.mark.parametrize("result", [BatchDone('{"n":2}'), BatchFailedFrom(1, '{"n":2}')])
def test_the_state_of_records_that_succeeded_is_kept(result: BatchDone | BatchFailedFrom) -> None:
    verdict = judge(a_lane(Range("1", "2"), window=STORED_WINDOW), records(1, 2), result, RetryPolicy())

    assert verdict.state.window == OpenWindow(start_ms=0, end_ms=10_000, state='{"n":2}')


@pytest.mark.parametrize("result", [BatchFailed(), BatchNotRun(), BatchFailedFrom(0, '{"n":2}')])
def test_the_state_of_a_try_without_successes_is_not_kept(
    result: BatchFailed | BatchNotRun | BatchFailedFrom,
) -> None:
    policy = RetryPolicy(maximum_retry_attempts=0)

    verdict = judge(a_lane(Range("1", "1"), window=STORED_WINDOW), records(1, 1), result, policy)

    assert verdict.state.window == STORED_WINDOW


def test_a_window_is_gone_once_its_closing_invocation_succeeds() -> None:
    state = begin_close(LaneState(checkpoint="9", window=STORED_WINDOW, backoffs=2), Closing.FINAL, now_ms=12_000)

    assert judge_close(state, BatchDone(), RetryPolicy()) == Verdict(state=LaneState(checkpoint="9"))


def test_a_window_that_is_closed_early_goes_on_with_a_fresh_state_and_what_was_pending() -> None:
    lane = LaneState(checkpoint="2", pending=(Range("3", "4", 1, 2),), window=STORED_WINDOW)
    state = begin_close(lane, Closing.EARLY, now_ms=5_000)

    verdict = judge_close(state, BatchDone('{"ignored":true}'), RetryPolicy())

    assert verdict == Verdict(state=msgspec.structs.replace(lane, window=OpenWindow(start_ms=0, end_ms=10_000)))


def test_a_window_does_not_end_while_its_records_are_pending() -> None:
    with pytest.raises(AssertionError, match="a batch is pending"):
        begin_close(a_lane(Range("1", "2"), window=STORED_WINDOW), Closing.FINAL, now_ms=0)


def test_beginning_to_close_twice_keeps_the_time_and_the_reason_of_the_first() -> None:
    state = begin_close(LaneState(window=STORED_WINDOW), Closing.EARLY, now_ms=12_000)

    assert begin_close(state, Closing.FINAL, now_ms=13_000) == state
    assert state.window is not None
    assert (state.window.closing, state.window.closing_since_ms) == (Closing.EARLY, 12_000)


def test_closing_is_retried_within_the_policy_and_then_given_up_without_a_record() -> None:
    policy = RetryPolicy(maximum_retry_attempts=2)
    state = begin_close(LaneState(checkpoint="9", window=STORED_WINDOW), Closing.FINAL, now_ms=0)
    delays = []

    for result in (BatchFailed(), BatchNotRun(), BatchFailedFrom(0)):
        verdict = judge_close(state, result, policy)
        state = verdict.state
        delays.append(verdict.delay_ms)
    given_up = judge_close(state, BatchFailed(), policy)

    assert delays == [1_000, 2_000, 4_000]
    assert state.window is not None
    assert (state.window.retries, state.window.invokes) == (2, 2)
    assert given_up == Verdict(state=LaneState(checkpoint="9"))


def test_closing_is_given_up_when_it_has_been_due_for_longer_than_the_record_age() -> None:
    policy = RetryPolicy(maximum_record_age_s=60)
    state = begin_close(LaneState(checkpoint="9", window=STORED_WINDOW), Closing.FINAL, now_ms=500_000)

    assert expire_close(state, policy, now_ms=560_000) == Verdict(state=state)
    assert expire_close(state, policy, now_ms=560_001) == Verdict(state=LaneState(checkpoint="9"))


def test_a_closing_that_was_not_begun_is_not_too_old() -> None:
    state = LaneState(checkpoint="9", window=STORED_WINDOW)

    assert expire_close(state, RetryPolicy(maximum_record_age_s=60), now_ms=10**9) == Verdict(state=state)


def test_skipping_gives_up_the_range_that_fails_and_tries_the_next_afresh() -> None:
    blocked = a_lane(
        Range("2", "2", retries=3, invokes=4), Range("3", "9", invokes=1), backoffs=3, window=STORED_WINDOW
    )

    assert is_blocked(blocked)
    assert skip(blocked) == LaneState(pending=(Range("3", "9", invokes=1),), checkpoint="2", window=STORED_WINDOW)


def test_skipping_gives_up_a_window_that_cannot_be_closed() -> None:
    closing = judge_close(
        begin_close(a_lane(window=STORED_WINDOW), Closing.FINAL, 1), BatchFailed(), RetryPolicy()
    ).state

    assert is_blocked(closing)
    assert skip(closing) == LaneState(checkpoint="0")


def test_a_lane_is_blocked_only_after_a_failure() -> None:
    assert not is_blocked(a_lane())
    assert not is_blocked(a_lane(Range("1", "3"), window=STORED_WINDOW))
    assert not is_blocked(begin_close(a_lane(window=STORED_WINDOW), Closing.EARLY, 1))


def test_the_policy_of_a_mapping_is_its_settings() -> None:
    mapping = EventSourceMapping(
        uuid="u",
        account="000000000000",
        region="us-east-1",
        source_arn="arn:aws:kinesis:us-east-1:000000000000:stream/s",
        function=FunctionName(account="000000000000", region="us-east-1", name="f"),
        bisect=True,
        maximum_retry_attempts=4,
        maximum_record_age_s=90,
    )

    assert RetryPolicy.of(mapping, 5_000) == RetryPolicy(
        bisect=True, maximum_retry_attempts=4, maximum_record_age_s=90, max_backoff_ms=5_000
    )
    assert RetryPolicy().may_retry(10**9)
    assert RetryPolicy().maximum_record_age_s == FOREVER


@pytest.mark.property
@given(a=st.integers(0, 10**57), b=st.integers(0, 10**57))
def test_sequence_numbers_compare_as_integers(a: int, b: int) -> None:
    assert precedes(str(a), str(b)) == (a < b)


def test_a_lane_that_knows_nothing_yet_is_stored_as_nothing() -> None:
    assert msgspec.json.encode(LaneState()) == b"{}"
    assert msgspec.json.decode(b"{}", type=LaneState) == LaneState()


def test_everything_a_lane_knows_survives_storing() -> None:
    window = OpenWindow(
        start_ms=1, end_ms=2, state='{"é":"\\ud800"}', closing=Closing.EARLY, closing_since_ms=3, retries=4, invokes=5
    )
    state = LaneState(pending=(Range("1", "2", 3, 4), Range("5", "6")), backoffs=7, checkpoint="8", window=window)

    assert msgspec.json.decode(msgspec.json.encode(state), type=LaneState) == state
