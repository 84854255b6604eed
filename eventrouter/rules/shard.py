"""What happens to a batch of a shard: the states of a lane, and what each result of a try makes of them.

A lane works on one range of records at a time, the first of `pending`, and on nothing after it until it is
resolved: its records succeeded, or were dropped, or are gone from the source.

    idle ── begin ──▶ pending ── expire, before every try ──▶ tried ── judge ──▶ idle, or pending again
                                                                                 (same range, a rest, two halves)

A tumbling window adds one more thing to do: when `window.next_step` says so, `begin_close`, and then `expire_close`
and `judge_close` until it is closed; nothing else is tried meanwhile. `LaneState` is all that a takeover needs; it is
stored before and after every try.
Source: lambda-semantics §4.6, §4.7.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, Self, assert_never

import msgspec
from msgspec.structs import replace

from eventrouter.rules.mapping import FOREVER, EventSourceMapping
from eventrouter.rules.window import Closing, OpenWindow, enter

BACKOFF_FIRST_MS = 1_000
DEFAULT_MAX_BACKOFF_MS = 12_000
"""With 1 s doubling to 12 s a record of 60 s is tried 8 times, as AWS was seen to do (§4.6)."""
START = "0"


class Item(Protocol):
    """A record, as far as these rules look at it: its sequence number and its arrival in wall milliseconds."""

    @property
    def sequence(self) -> str: ...
    @property
    def arrived_ms(self) -> int: ...


class Range(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """The lane's records from `first` to `last`, both included, that are tried together.

    `retries` counts what MaximumRetryAttempts limits; `invokes` the tries that included these records, splits too.
    """

    first: str
    last: str
    retries: int = 0
    invokes: int = 0


class LaneState(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """All that a lane remembers between two tries.

    `pending` is what is begun and not resolved, in order; only its first range is tried. `backoffs` counts the
    tries in a row that ended in a wait. `checkpoint` is the lane's last resolved record.
    """

    pending: tuple[Range, ...] = ()
    backoffs: int = 0
    checkpoint: str = START
    window: OpenWindow | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """The settings a batch is judged by. FOREVER lifts a limit."""

    maximum_retry_attempts: int = FOREVER
    maximum_record_age_s: int = FOREVER
    bisect: bool = False
    max_backoff_ms: int = DEFAULT_MAX_BACKOFF_MS

    @classmethod
    def of(cls, mapping: EventSourceMapping, max_backoff_ms: int = DEFAULT_MAX_BACKOFF_MS) -> Self:
        """Return the policy of a mapping."""
        return cls(
            maximum_retry_attempts=mapping.maximum_retry_attempts,
            maximum_record_age_s=mapping.maximum_record_age_s,
            bisect=mapping.bisect,
            max_backoff_ms=max_backoff_ms,
        )

    def may_retry(self, retries: int) -> bool:
        """Say whether one more retry is allowed after `retries` of them."""
        return self.maximum_retry_attempts == FOREVER or retries < self.maximum_retry_attempts

    def is_too_old(self, since_ms: int, now_ms: int) -> bool:
        """Say whether something of `since_ms` has passed the maximum age."""
        return self.maximum_record_age_s != FOREVER and now_ms - since_ms > self.maximum_record_age_s * 1_000

    def delay_ms(self, backoffs: int) -> int:
        """Return the wait that follows the `backoffs`-th try in a row that ended in one (1 is the first)."""
        return min(BACKOFF_FIRST_MS << min(backoffs - 1, 16), self.max_backoff_ms)


class BatchDone(msgspec.Struct, frozen=True, gc=False):
    """Every record succeeded. `state` is the window's new state, None outside of windows."""

    state: str | None = None


class BatchFailedFrom(msgspec.Struct, frozen=True, gc=False):
    """The function reported failures, the lowest of them at `index` of the batch. `state` as in BatchDone."""

    index: int
    state: str | None = None


class BatchFailed(msgspec.Struct, frozen=True, gc=False):
    """The function failed, or its answer condemns the whole batch."""


class BatchNotRun(msgspec.Struct, frozen=True, gc=False):
    """The function was not reached: a throttle or a fault of ours. It costs no attempt."""


Result = BatchDone | BatchFailedFrom | BatchFailed | BatchNotRun


class DropCondition(enum.StrEnum):
    """Why records were given up, as on-failure records name it. Source: lambda-semantics §4.7."""

    RETRY_ATTEMPTS_EXHAUSTED = "RetryAttemptsExhausted"
    RECORD_AGE_EXCEEDED = "RecordAgeExceeded"
    MAXIMUM_PAYLOAD_SIZE_EXCEEDED = "MaximumPayloadSizeExceeded"


class Drop(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Neighbouring records that were given up together: one on-failure record.

    `invokes` is its approximateInvokeCount, which is 1 for records that were never tried (§4.7).
    """

    first: str
    last: str
    size: int
    arrived_first_ms: int
    arrived_last_ms: int
    condition: DropCondition
    invokes: int


class Verdict(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What follows: the lane's new state, to be stored with `drops` in one step, then a wait of `delay_ms`."""

    state: LaneState
    drops: tuple[Drop, ...] = ()
    delay_ms: int = 0
    succeeded: int = 0
    is_bisected: bool = False


def numeral(sequence: str) -> tuple[int, str]:
    """Return a key by which sequence numbers order as the numbers they are: decimals without leading zeros."""
    return len(sequence), sequence


def precedes(a: str, b: str) -> bool:
    """Say whether sequence number `a` is lower than `b`."""
    return (len(a), a) < (len(b), b)


def begin(state: LaneState, batch: Sequence[Item], tumbling_window_s: int = 0) -> LaneState:
    """Make a new batch the lane's pending range, in the tumbling window that its records belong to.

    Only while nothing is pending. `batch` is not empty, and of one window (`window.count_in_window`).
    """
    assert not state.pending, "a batch is pending"
    window = enter(state.window, batch[0].arrived_ms, tumbling_window_s)
    pending = (Range(batch[0].sequence, batch[-1].sequence),)
    return LaneState(pending=pending, backoffs=0, checkpoint=state.checkpoint, window=window)


def expire(state: LaneState, batch: Sequence[Item], policy: RetryPolicy, now_ms: int) -> Verdict:
    """Drop what is too old of the pending range, before every try of it.

    `batch` is what the source still holds of the range. Only its leading records can be too old, since arrivals
    grow; they leave as one drop, and the rest keeps its counts and its back-off. Afterwards the first pending range
    holds the rest of `batch`; without a rest it is the one that followed, or nothing is pending. Records that have
    left the source go without a drop: nothing is known of them.
    """
    current, *later = state.pending
    if not batch:
        return Verdict(state=_resolved(state, later, current.last))
    if not policy.is_too_old(batch[0].arrived_ms, now_ms):
        return Verdict(state=state)
    old = 1
    while old < len(batch) and policy.is_too_old(batch[old].arrived_ms, now_ms):
        old += 1
    drop = _drop(batch[:old], DropCondition.RECORD_AGE_EXCEEDED, current.invokes)
    if old == len(batch):
        return Verdict(state=_resolved(state, later, current.last), drops=(drop,))
    rest = replace(current, first=batch[old].sequence)
    return Verdict(
        state=replace(state, pending=(rest, *later), checkpoint=batch[old - 1].sequence),
        drops=(drop,),
    )


def drop_oversized(state: LaneState, record: Item) -> Verdict:
    """Give up the lane's next record because no event can carry it (`batch.cut` took 0). Only while nothing is pending.

    The fact sheet names the condition for Kafka; it serves every source here.
    """
    assert not state.pending, "a batch is pending"
    drop = _drop([record], DropCondition.MAXIMUM_PAYLOAD_SIZE_EXCEEDED, 0)
    return Verdict(state=_resolved(state, (), record.sequence), drops=(drop,))


def judge(state: LaneState, batch: Sequence[Item], result: Result, policy: RetryPolicy) -> Verdict:
    """Say what one try of the first pending range, `batch`, leads to.

    A function error halves a batch of several records if the policy bisects: at once, with no retry used, the
    first half first. A report of failures keeps what precedes the lowest of them (its window state too) and gives
    the rest a new count; one that begins at the first record is a plain failure without halving. Otherwise a failed
    range is retried after a back-off until its retries are used up, and then dropped. Halves, rests and the ranges
    after a resolved one start with a new back-off. Source: lambda-semantics §4.6.
    """
    current, *later = state.pending
    match result:
        case BatchDone(state=answer):
            return Verdict(state=_resolved(_answered(state, answer), later, current.last), succeeded=len(batch))
        case BatchNotRun():
            return _waiting(state, current, policy)
        case BatchFailed() if policy.bisect and len(batch) > 1:
            return _halved(state, batch)
        case BatchFailed() | BatchFailedFrom(index=0):
            return _failed(state, batch, policy)
        case BatchFailedFrom(index=index, state=answer):
            rest = Range(batch[index].sequence, current.last)
            kept = _resolved(_answered(state, answer), (rest, *later), batch[index - 1].sequence)
            return replace(_failed(kept, batch[index:], policy), succeeded=index)
        case _:
            assert_never(result)


def begin_close(state: LaneState, closing: Closing, now_ms: int) -> LaneState:
    """Note that the open window is being closed, before its closing invocation runs. Harmless to repeat.

    Ranges of a batch may be pending while a window is closed early: what remains of a batch whose first records made
    the state too large.
    """
    assert state.window is not None, "no window is open"
    assert not state.pending or closing is Closing.EARLY, "a batch is pending"
    if state.window.closing is not None:
        return state
    return replace(state, window=replace(state.window, closing=closing, closing_since_ms=now_ms), backoffs=0)


def expire_close(state: LaneState, policy: RetryPolicy, now_ms: int) -> Verdict:
    """Give up a window that could not be closed within the maximum record age, before every try of closing it.

    The age of a closing invocation counts from when it was first due, so that each is tried at least once (the fact
    sheet says that the limit applies, not from when).
    """
    assert state.window is not None, "no window is open"
    if state.window.closing is not None and policy.is_too_old(state.window.closing_since_ms, now_ms):
        return Verdict(state=_closed(state))
    return Verdict(state=state)


def judge_close(state: LaneState, result: Result, policy: RetryPolicy) -> Verdict:
    """Say what one try of the closing invocation leads to: the window is closed, or closing is tried again later.

    A window is given up, with its state, when its retries are used up; no record is lost by that, so nothing is
    dropped. A window that was closed early goes on with a fresh state.
    """
    window = state.window
    assert window is not None, "no window is open"
    match result:
        case BatchDone():
            return Verdict(state=_closed(state))
        case BatchNotRun():
            again = window
        case BatchFailed() | BatchFailedFrom():
            if not policy.may_retry(window.retries):
                return Verdict(state=_closed(state))
            again = replace(window, retries=window.retries + 1, invokes=window.invokes + 1)
        case _:
            assert_never(result)
    backoffs = state.backoffs + 1
    return Verdict(state=replace(state, window=again, backoffs=backoffs), delay_ms=policy.delay_ms(backoffs))


def is_blocked(state: LaneState) -> bool:
    """Say whether what the lane has begun failed, and is to be tried again."""
    is_closing = state.window is not None and state.window.closing is not None
    return state.backoffs > 0 and (bool(state.pending) or is_closing)


def skip(state: LaneState) -> LaneState:
    """Give up what a blocked lane tries, because an operator says so: its first range only, or the window it closes.

    What follows is tried afresh.
    """
    assert is_blocked(state), "nothing is blocked"
    if not state.pending:
        return _closed(state)
    current, *later = state.pending
    return _resolved(state, later, current.last)


def _halved(state: LaneState, batch: Sequence[Item]) -> Verdict:
    current, *later = state.pending
    middle = len(batch) // 2
    invokes = current.invokes + 1
    first = replace(current, last=batch[middle - 1].sequence, invokes=invokes)
    second = replace(current, first=batch[middle].sequence, invokes=invokes)
    return Verdict(state=replace(state, pending=(first, second, *later), backoffs=0), is_bisected=True)


def _failed(state: LaneState, batch: Sequence[Item], policy: RetryPolicy) -> Verdict:
    current, *later = state.pending
    invokes = current.invokes + 1
    if policy.may_retry(current.retries):
        return _waiting(state, replace(current, retries=current.retries + 1, invokes=invokes), policy)
    drop = _drop(batch, DropCondition.RETRY_ATTEMPTS_EXHAUSTED, invokes)
    return Verdict(state=_resolved(state, later, current.last), drops=(drop,))


def _waiting(state: LaneState, current: Range, policy: RetryPolicy) -> Verdict:
    backoffs = state.backoffs + 1
    pending = (current, *state.pending[1:])
    return Verdict(state=replace(state, pending=pending, backoffs=backoffs), delay_ms=policy.delay_ms(backoffs))


def _drop(records: Sequence[Item], condition: DropCondition, invokes: int) -> Drop:
    return Drop(
        first=records[0].sequence,
        last=records[-1].sequence,
        size=len(records),
        arrived_first_ms=records[0].arrived_ms,
        arrived_last_ms=records[-1].arrived_ms,
        condition=condition,
        invokes=max(invokes, 1),
    )


def _answered(state: LaneState, answer: str | None) -> LaneState:
    """Keep the state that an invocation returned for its window."""
    if state.window is None or answer is None:
        return state
    return replace(state, window=replace(state.window, state=answer))


def _resolved(state: LaneState, later: Sequence[Range], checkpoint: str) -> LaneState:
    return LaneState(pending=tuple(later), backoffs=0, checkpoint=checkpoint, window=state.window)


def _closed(state: LaneState) -> LaneState:
    window = state.window
    if window is None or window.closing is not Closing.EARLY:
        return replace(state, window=None, backoffs=0)
    return replace(state, window=OpenWindow(start_ms=window.start_ms, end_ms=window.end_ms), backoffs=0)
