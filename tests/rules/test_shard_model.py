"""The rules of a lane beside a slow reference that keeps every record's fate and counts by itself.

The machine plays the plane: it forms batches, tries them with random results, loses verdicts (a takeover), lets time
pass and retention trim. The lane's state goes through JSON after every step.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from eventrouter.ports import StreamRecord
from eventrouter.rules.mapping import FOREVER
from eventrouter.rules.shard import (
    BatchDone,
    BatchFailed,
    BatchFailedFrom,
    BatchNotRun,
    Drop,
    DropCondition,
    LaneState,
    Result,
    RetryPolicy,
    Verdict,
    begin,
    begin_close,
    expire,
    expire_close,
    judge,
    judge_close,
)
from eventrouter.rules.window import STATE_LIMIT_BYTES, Close, Closing, OpenWindow, Wait, count_in_window, next_step

pytestmark = pytest.mark.property

DONE, GONE = "done", "gone"
OLD, EXHAUSTED = DropCondition.RECORD_AGE_EXCEEDED, DropCondition.RETRY_ATTEMPTS_EXHAUSTED


@dataclass
class Fate:
    """One record as the reference knows it: what became of it, and its own counts."""

    sequence: str
    arrived_ms: int
    ended: str | None = None
    retries: int = 0
    tries: int = 0
    counted: int = 0  # failed tries that halved nothing, since the last new count: K9 bounds it

    def is_upto(self, sequence: str) -> bool:
        return int(self.sequence) <= int(sequence)


@dataclass
class Reference:
    """What must be pending, record by record: groups in order, the first one being tried."""

    policy: RetryPolicy
    groups: list[list[Fate]] = field(default_factory=list)
    waits: int = 0

    def expire(self, now_ms: int) -> list[tuple[list[Fate], DropCondition, int]]:
        group, old = [], []
        for fate in self.groups[0]:
            limit = self.policy.maximum_record_age_s
            if fate.ended is None and limit != FOREVER and now_ms - fate.arrived_ms > limit * 1_000:
                fate.ended = OLD
                old.append(fate)
            if fate.ended is None:
                group.append(fate)
        if group:
            self.groups[0] = group
        else:
            self._leave_first()
        return [(old, OLD, max(1, old[0].tries))] if old else []

    def done(self, count: int, *, has_rest: bool) -> None:
        for fate in self.groups[0][:count]:
            fate.ended = DONE
        if has_rest:
            self.groups[0] = self.groups[0][count:]
            self.waits = 0
            for fate in self.groups[0]:
                fate.retries = fate.tries = fate.counted = 0
        else:
            self._leave_first()

    def halve(self) -> None:
        group = self.groups.pop(0)
        for fate in group:
            fate.tries += 1
        self.groups[:0] = [group[: len(group) // 2], group[len(group) // 2 :]]
        self.waits = 0

    def fail(self) -> tuple[int, list[tuple[list[Fate], DropCondition, int]]]:
        group = self.groups[0]
        limit = self.policy.maximum_retry_attempts
        for fate in group:
            fate.tries += 1
            fate.counted += 1
        if limit == FOREVER or all(fate.retries < limit for fate in group):
            for fate in group:
                fate.retries += 1
            return self.wait(), []
        for fate in group:
            fate.ended = EXHAUSTED
        self._leave_first()
        return 0, [(group, EXHAUSTED, group[0].tries)]

    def wait(self) -> int:
        delay_ms = 1_000
        for _ in range(self.waits):
            delay_ms = min(delay_ms * 2, 10**9)
        self.waits += 1
        return min(delay_ms, self.policy.max_backoff_ms)

    def _leave_first(self) -> None:
        self.groups.pop(0)
        self.waits = 0


policies = st.builds(
    RetryPolicy,
    maximum_retry_attempts=st.sampled_from([FOREVER, 0, 1, 2, 3]),
    maximum_record_age_s=st.sampled_from([FOREVER, FOREVER, 1, 5, 60]),
    bisect=st.booleans(),
    max_backoff_ms=st.sampled_from([1_000, 3_000, 12_000]),
)
kinds = st.sampled_from(["done", "failed", "failed", "from", "from", "not run", "lost"])


class Lanes(RuleBasedStateMachine):
    """One lane of one shard."""

    @initialize(
        policy=policies,
        width_s=st.sampled_from([0, 0, 1, 2, 10]),
        first=st.sampled_from([1, 7, 95, 10**55 - 4]),
        batch_size=st.integers(1, 9),
    )
    def start(self, policy: RetryPolicy, width_s: int, first: int, batch_size: int) -> None:
        self.policy, self.width_s, self.batch_size = policy, width_s, batch_size
        self.now_ms = 1_700_000_000_000
        self.next_sequence = first  # numerals grow in length on the way: they must compare as integers
        self.source: list[StreamRecord] = []
        self.fates: list[Fate] = []
        self.reference = Reference(policy)
        self.lane = LaneState()
        self.must_start_at: str | None = None
        self.succeeded: list[str] = []
        self.batch: list[str] = []  # the batch begun last, and how its records left it: K6
        self.left: list[str] = []
        self.collected: list[str] = []  # successes of the open window
        self.close_failures = 0
        self.closing_since_ms: int | None = None
        self.makes_large_states, self.is_large = False, False

    # -- the world around the lane

    @rule(
        count=st.integers(1, 12),
        gap_ms=st.integers(0, 2_500) | st.sampled_from([0, 1, 499, 500, 999, 1_000]),
        step=st.integers(1, 3),
    )
    def records_arrive(self, count: int, gap_ms: int, step: int) -> None:
        for _ in range(count):
            self.now_ms += gap_ms
            record = StreamRecord(sequence=str(self.next_sequence), arrived_ms=self.now_ms, key=b"k", event=b"{}")
            self.next_sequence += step
            self.source.append(record)
            self.fates.append(Fate(record.sequence, record.arrived_ms))

    @rule(ms=st.integers(0, 30_000))
    def time_passes(self, ms: int) -> None:
        self.now_ms += ms

    @rule()
    def the_function_begins_or_ends_to_return_large_states(self) -> None:
        self.makes_large_states = not self.makes_large_states

    @rule(count=st.integers(1, 4))
    def retention_trims(self, count: int) -> None:
        for record in self.source[:count]:
            fate = next(fate for fate in self.fates if fate.sequence == record.sequence)
            fate.ended = fate.ended or GONE
        del self.source[:count]

    # -- the plane

    @rule(kind=kinds, index=st.integers(0, 8))
    def the_lane_takes_a_step(self, kind: str, index: int) -> None:
        self.step(kind, index)

    @rule(kinds=st.lists(kinds, min_size=1, max_size=12), index=st.integers(0, 8))
    def the_lane_takes_many_steps(self, kinds: list[str], index: int) -> None:
        for kind in kinds:
            self.step(kind, index)

    def step(self, kind: str, index: int) -> None:
        if not self.lane.pending and not self._begin_or_close(kind):
            return
        batch = self._held()
        verdict = expire(self.lane, batch, self.policy, self.now_ms)
        expected = self.reference.expire(self.now_ms)
        self._follow(verdict, 0, expected)
        assert verdict.delay_ms == 0
        if not self.reference.groups or not batch or not verdict.state.pending:
            return
        if (batch := self._held()) and self.must_start_at is not None:
            self._assert_resumes_at(batch[0].sequence)
        if batch and isinstance(step := next_step(self.lane.window, batch[0].arrived_ms, self.now_ms), Close):
            self._close(step.closing, kind)
        elif batch and kind != "lost":  # a lost verdict: the lane was taken over, and the try counts for nobody
            self._try(batch, kind, index % len(batch))

    def _begin_or_close(self, kind: str) -> bool:
        waiting = [record for record in self.source if int(record.sequence) > int(self.lane.checkpoint)]
        arrival = waiting[0].arrived_ms if waiting else None
        step = next_step(self.lane.window, arrival, self.now_ms)
        if isinstance(step, Close):
            self._close(step.closing, kind)
            return False
        if isinstance(step, Wait):
            assert not waiting
            assert not self.collected or self.now_ms < (step.until_ms or 0)
            return False
        fitting = count_in_window(self.lane.window, [record.arrived_ms for record in waiting], self.width_s)
        assert fitting >= 1
        batch = waiting[: min(fitting, self.batch_size)]
        self._store(begin(self.lane, batch, self.width_s))
        if self.width_s:
            self._assert_one_window(batch)
        self.reference.groups = [[fate for fate in self.fates if self._is_in(fate, batch)]]
        self.reference.waits = 0
        self.batch, self.left, self.must_start_at = [record.sequence for record in batch], [], None
        return True

    def _try(self, batch: Sequence[StreamRecord], kind: str, index: int) -> None:
        group = self.reference.groups[0]
        assert [record.sequence for record in batch] == [fate.sequence for fate in group]
        later = [fate for fates in self.reference.groups[1:] for fate in fates]
        assert all(int(batch[-1].sequence) < int(fate.sequence) for fate in later), "K5"
        result = self._run(batch, kind, index)
        verdict = judge(self.lane, batch, result, self.policy)
        delay_ms, expected = 0, []
        self.must_start_at = batch[0].sequence
        match result:
            case BatchDone():
                self.reference.done(len(batch), has_rest=False)
                self.must_start_at = None
            case BatchNotRun():
                delay_ms = self.reference.wait()
            case BatchFailed() if self.policy.bisect and len(batch) > 1:
                self.reference.halve()
            case BatchFailedFrom(index=at) if at:
                self.reference.done(at, has_rest=True)
                self.must_start_at = batch[at].sequence
                delay_ms, expected = self.reference.fail()
            case _:
                delay_ms, expected = self.reference.fail()
        done = len(batch) if kind == "done" else index if kind == "from" else 0
        self._collect(batch[:done])
        assert verdict.succeeded == done
        assert verdict.is_bisected == (kind == "failed" and self.policy.bisect and len(batch) > 1)
        self._follow(verdict, delay_ms, expected)

    def _run(self, batch: Sequence[StreamRecord], kind: str, index: int) -> Result:
        """Run a function that counts into its window's state, and check the state that it was given (K12)."""
        window = self.lane.window
        if window is not None:
            assert self._seen() == self.collected, "K12"
        done = len(batch) if kind == "done" else index
        seen = self.collected + [record.sequence for record in batch[:done]]
        self.is_large = window is not None and done > 0 and kind in {"done", "from"} and self.makes_large_states
        pad = "x" * STATE_LIMIT_BYTES if self.is_large else ""
        state = json.dumps({"seen": seen, "pad": pad}) if window else None
        match kind:
            case "done":
                return BatchDone(state)
            case "from":
                return BatchFailedFrom(index, state)
            case "failed":
                return BatchFailed()
        return BatchNotRun()

    def _close(self, closing: Closing, kind: str) -> None:
        assert self.lane.window is not None
        opened = OpenWindow(start_ms=self.lane.window.start_ms, end_ms=self.lane.window.end_ms)
        assert closing is (Closing.EARLY if self.is_large else Closing.FINAL)
        assert self._seen() == self.collected
        assert self.collected, "a window without an answer is not closed"
        self._store(begin_close(self.lane, closing, self.now_ms))
        if self.closing_since_ms is None:
            self.closing_since_ms = self.now_ms
        since_ms = self.closing_since_ms
        after = opened if closing is Closing.EARLY else None
        pending = self.lane.pending
        self._store(expire_close(self.lane, self.policy, self.now_ms).state)
        limit_s = self.policy.maximum_record_age_s
        assert (self.lane.window == after) == (limit_s != FOREVER and self.now_ms - since_ms > limit_s * 1_000)
        if self.lane.window != after and kind != "lost":
            result = {"done": BatchDone(), "from": BatchFailedFrom(0), "failed": BatchFailed()}.get(kind, BatchNotRun())
            verdict = judge_close(self.lane, result, self.policy)
            self.close_failures += kind in {"from", "failed"}
            limit = self.policy.maximum_retry_attempts
            is_over = kind == "done" or (kind != "not run" and limit != FOREVER and self.close_failures > limit)
            assert (verdict.state.window == after) == is_over
            assert (verdict.delay_ms > 0) == (not is_over)
            assert not verdict.drops
            self.now_ms += verdict.delay_ms
            self._store(verdict.state)
        self.reference.waits = self.lane.backoffs  # closing has its own
        assert self.lane.pending == pending
        if self.lane.window == after:
            assert self.lane.backoffs == 0
            self.collected, self.close_failures, self.is_large = [], 0, False
            self.closing_since_ms = None

    # -- what is checked at every step

    def _follow(self, verdict: Verdict, delay_ms: int, expected: list[tuple[list[Fate], DropCondition, int]]) -> None:
        before = self.lane
        self._store(verdict.state)
        assert int(before.checkpoint) <= int(self.lane.checkpoint), "K3"
        assert verdict.delay_ms == delay_ms
        assert list(verdict.drops) == [
            Drop(
                first=fates[0].sequence,
                last=fates[-1].sequence,
                size=len(fates),
                arrived_first_ms=fates[0].arrived_ms,
                arrived_last_ms=fates[-1].arrived_ms,
                condition=condition,
                invokes=invokes,
            )
            for fates, condition, invokes in expected
        ]
        self.left += [fate.sequence for fates, _, _ in expected for fate in fates]
        assert len(self.lane.pending) == len(self.reference.groups)
        for pending, group in zip(self.lane.pending, self.reference.groups, strict=True):
            inside = [f for f in self.fates if int(pending.first) <= int(f.sequence) <= int(pending.last)]
            assert [f for f in inside if f.ended is None] == [f for f in group if f.ended is None]
            assert {(f.retries, f.tries) for f in group} == {(pending.retries, pending.invokes)}
        assert self.lane.backoffs == self.reference.waits
        self.now_ms += verdict.delay_ms
        if not self.lane.pending:
            self._assert_batch_is_partitioned()

    def _assert_batch_is_partitioned(self) -> None:
        """K6: what left the batch, in order, is the batch, but for what retention took."""
        gone = {fate.sequence for fate in self.fates if fate.ended == GONE}
        assert self.left == [sequence for sequence in self.batch if sequence not in gone or sequence in self.left]
        self.must_start_at = None

    def _assert_resumes_at(self, sequence: str) -> None:
        """K7: the next try starts where the last one says, but for records that are over by themselves."""
        assert self.must_start_at is not None
        between = [
            f for f in self.fates if int(self.must_start_at) <= int(f.sequence) and int(f.sequence) < int(sequence)
        ]
        assert int(sequence) >= int(self.must_start_at)
        assert all(fate.ended in {GONE, OLD, EXHAUSTED} for fate in between)

    def _assert_one_window(self, batch: Sequence[StreamRecord]) -> None:
        window = self.lane.window
        assert isinstance(window, OpenWindow)
        assert window.end_ms - window.start_ms == self.width_s * 1_000
        assert window.start_ms % (self.width_s * 1_000) == 0
        assert all(window.start_ms <= record.arrived_ms < window.end_ms for record in batch)

    @invariant()
    def the_checkpoint_is_never_past_an_unresolved_record(self) -> None:
        if not hasattr(self, "lane"):
            return
        for fate in self.fates:
            if fate.is_upto(self.lane.checkpoint):
                assert fate.ended is not None, "K2"
            else:
                assert fate.ended in {None, GONE}, "a resolved record is behind the checkpoint"

    @invariant()
    def successes_are_in_order_and_each_record_ends_once(self) -> None:
        if hasattr(self, "lane"):
            numbers = [int(sequence) for sequence in self.succeeded]
            assert numbers == sorted(set(numbers)), "K1"

    @invariant()
    def attempts_stay_within_the_policy(self) -> None:
        if not hasattr(self, "lane"):
            return
        limit = self.policy.maximum_retry_attempts
        for fate in self.fates:
            assert limit == FOREVER or fate.counted <= limit + 1, "K9"
            assert fate.ended != EXHAUSTED or fate.counted == limit + 1

    def teardown(self) -> None:
        """No loss: when the function recovers, every record ends, and every window closes."""
        if not hasattr(self, "lane"):
            return
        self.makes_large_states = False
        for _ in range(4 * len(self.fates) + 4):
            self.step("done", 0)
        self.now_ms += 10_000
        self.step("done", 0)
        assert not self.lane.pending
        assert all(fate.ended is not None for fate in self.fates)
        assert self.succeeded == [fate.sequence for fate in self.fates if fate.ended == DONE]
        assert not self.collected

    # -- small parts

    def _seen(self) -> list[str]:
        """Return the records that the window's state tells of."""
        window = self.lane.window
        seen: list[str] = json.loads(window.state)["seen"] if window is not None and window.state is not None else []
        return seen

    def _store(self, lane: LaneState) -> None:
        self.lane = msgspec.json.decode(msgspec.json.encode(lane), type=LaneState)
        assert self.lane == lane

    def _held(self) -> list[StreamRecord]:
        """Read the first pending range anew, as the node that takes the lane over would."""
        current = self.lane.pending[0]
        return [r for r in self.source if int(current.first) <= int(r.sequence) <= int(current.last)]

    def _is_in(self, fate: Fate, batch: Sequence[StreamRecord]) -> bool:
        return any(record.sequence == fate.sequence for record in batch)

    def _collect(self, records: Sequence[StreamRecord]) -> None:
        sequences = [record.sequence for record in records]
        self.succeeded += sequences
        self.left += sequences
        if self.lane.window is not None:
            self.collected += sequences


Lanes.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestLanes = Lanes.TestCase
