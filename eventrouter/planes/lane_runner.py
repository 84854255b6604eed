"""One lane of a shard: forms batches, sends them one at a time, and does what the rules say about each result.

Its queue holds, in order, the records that were read and are not resolved; a batch is always its beginning. What a
result means is decided in `rules.shard`; when a batch is due in `rules.batch`; how windows tumble in
`rules.window`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from itertools import islice, takewhile
from typing import NamedTuple, Protocol

import msgspec

from eventrouter.clock import first_of
from eventrouter.errors import AdapterError, StoreError
from eventrouter.planes.batch_call import Try, call_function
from eventrouter.planes.shard_parts import WorkerParts
from eventrouter.planes.shard_report import EXPIRED, ShardReport, problem_of
from eventrouter.ports import SourceGone, SourceShard, StreamRecord
from eventrouter.rules.batch import batch_event, cut, due_in_ms, envelope_bytes
from eventrouter.rules.batch_response import read_response
from eventrouter.rules.explain import Rule, rule_of_batch
from eventrouter.rules.mapping import EventSourceMapping
from eventrouter.rules.outcome import Run
from eventrouter.rules.shard import (
    START,
    LaneState,
    Result,
    RetryPolicy,
    Verdict,
    begin,
    begin_close,
    drop_oversized,
    expire,
    expire_close,
    judge,
    judge_close,
    numeral,
    precedes,
)
from eventrouter.rules.window import (
    Close,
    Closing,
    OpenWindow,
    Wait,
    count_in_window,
    enter,
    next_step,
    window_members,
)

AGAIN_S = 1.0
_ENCODER = msgspec.json.Encoder()


class Blocked(NamedTuple):
    """Since when a lane's batch has failed, why, when it is tried again, and when that was found; wall milliseconds."""

    since_ms: int
    by: str
    next_try_ms: int
    seen_ms: int


class Home(Protocol):
    """What a lane uses of the shard that it is in."""

    parts: WorkerParts
    mapping: EventSourceMapping
    policy: RetryPolicy
    shard: SourceShard
    report: ShardReport
    position: str
    is_caught_up: bool
    is_retiring: bool

    @property
    def may_send(self) -> bool: ...
    async def save(self) -> None: ...
    async def first_held(self, after: str) -> str | None: ...
    def applied(self, freed: int, parcels: Mapping[str, bytes]) -> None: ...
    def lane_ended(self, task: asyncio.Task[None]) -> None: ...


class LaneRunner:
    """A lane. Its task runs while there is something to do, and is started by the next record."""

    __slots__ = (
        "_free_at", "_home", "_is_closed", "_next_try", "_reads", "_resolved", "_signal",
        "blocked", "bytes", "index", "is_changed", "queue", "state", "task",
    )  # fmt: skip

    def __init__(self, home: Home, index: int, state: LaneState) -> None:
        self.index = index
        self.state = state
        self.queue: deque[StreamRecord] = deque()
        self.bytes = 0
        self.is_changed = False
        self.blocked: Blocked | None = None
        self.task: asyncio.Task[None] | None = None
        self._home = home
        self._signal = asyncio.Event()
        self._next_try = 0.0
        self._free_at = 0.0
        self._is_closed = False
        self._resolved = START
        self._reads: deque[tuple[str, float]] = deque()

    # What the shard tells it.

    @property
    def has_work(self) -> bool:
        """Say whether anything is unresolved."""
        return bool(self.queue or self.state.pending or self.state.window)

    @property
    def is_incomplete(self) -> bool:
        """Say whether a range that was begun before has not been read again to its end."""
        return bool(self.state.pending) and precedes(self._home.position, self.state.pending[0].last)

    @property
    def reached(self) -> str:
        """Return the last record that the lane is known to have begun, whether it has been read here or not."""
        return max((self.state.checkpoint, *(each.last for each in self.state.pending)), key=numeral)

    @property
    def resolved(self) -> str:
        """Return a position up to which nothing in this lane is unresolved."""
        return max(self._resolved, self.state.checkpoint, key=numeral)

    def extend(self, records: Sequence[StreamRecord], before: str, now: float) -> int:
        """Add the next records, which were read at `now` (monotonic) after the position `before`; return their bytes.

        Everything of this lane up to `before` is in the queue, or resolved.
        """
        if not self.queue:
            self._resolved = before
        self.queue.extend(records)
        self._reads.append((records[-1].sequence, now))
        size = sum([len(record.event) for record in records])
        self.bytes += size
        return size

    def close(self) -> None:
        """Say that no record will follow: nothing is worth waiting for any more."""
        self._is_closed = True
        self.wake()

    def wake(self) -> None:
        """Look again: records, settings or the shard's state have changed."""
        self._signal.set()
        if self.has_work and (self.task is None or self.task.done()) and not self._home.is_retiring:
            self.task = asyncio.create_task(self._run(), name="lane")
            self.task.add_done_callback(self._home.lane_ended)

    def encoded(self) -> bytes:
        """Return the state as it is stored."""
        return _ENCODER.encode(self.state)

    # The turn.

    async def _run(self) -> None:
        while not self._home.is_retiring:
            self._signal.clear()
            wait_s = await self._step()
            if wait_s == 0:
                continue
            await self._home.save()
            if not self.has_work:
                return
            await self._pause(wait_s)

    async def _pause(self, seconds: float | None) -> None:
        """Wait for a signal, at most `seconds`; a back-off is not cut short by it, only the shard's end is."""
        if seconds is None:
            await self._signal.wait()
            return
        await first_of(self._signal.wait(), self._home.parts.clock.sleep(seconds))

    async def _step(self) -> float | None:
        """Do the next thing; return how long to wait before the one after it (None: until something changes)."""
        parts = self._home.parts
        now = parts.clock.monotonic()
        if now < self._next_try:
            return self._next_try - now
        if not self._home.may_send:
            return AGAIN_S
        if self.state.pending:
            return await self._try_pending()
        if self.state.window is not None and self.state.window.state is None:
            self._leave_window()
        if not self.queue and not (self._home.is_caught_up or self._is_closed):
            return None
        next_arrived_ms = self.queue[0].arrived_ms if self.queue else None
        match next_step(self.state.window, next_arrived_ms, parts.clock.now_ms(), is_shard_end=self._is_closed):
            case Close(closing):
                return await self._close_window(closing)
            case Wait(until_ms):
                return None if until_ms is None else max(until_ms - parts.clock.now_ms(), 1) / 1_000
        return await self._form(now)

    # Batches.

    async def _try_pending(self) -> float | None:
        """Try a range that was begun before, once all of it has been read again."""
        home, last = self._home, self.state.pending[0].last
        if self.is_incomplete and not (home.is_caught_up or self._is_closed):
            return None
        if self.blocked is not None and self.queue:
            await self._leave_expired()
        batch = list(takewhile(lambda record: not precedes(last, record.sequence), self.queue))
        if batch and self.state.window is not None:
            match next_step(self.state.window, batch[0].arrived_ms, home.parts.clock.now_ms()):
                case Close(Closing.EARLY):  # what succeeded of the batch has made the state too large
                    return await self._close_window(Closing.EARLY)
        return await self._try(batch, Rule.BATCH_AGAIN)

    async def _form(self, now: float) -> float | None:
        """Send the next batch if it is due."""
        mapping, queue = self._home.mapping, self.queue
        ahead = list(islice(queue, mapping.batch_size))
        window = enter(self.state.window, ahead[0].arrived_ms, mapping.tumbling_window_s)
        together = len(ahead)
        if window is not None:
            arrivals = (record.arrived_ms for record in ahead)
            together = count_in_window(self.state.window, arrivals, mapping.tumbling_window_s)
        sizes = [len(record.event) for record in ahead[:together]]
        envelope = envelope_bytes(self._members(window))
        count, is_full = cut(sizes, limit=mapping.batch_size, envelope=envelope)
        if count == 0:
            self._apply(drop_oversized(self.state, ahead[0]), ahead[:1], "Record is larger than an event may be")
            return 0
        is_last = together < len(ahead) or self._is_closed
        due_ms = due_in_ms(
            count,
            is_full=is_full or is_last,
            waited_ms=round((now - max(self._reads[0][1], self._free_at)) * 1_000),
            window_s=mapping.batching_window_s,
        )
        if due_ms and window is not None:
            due_ms = min(due_ms, max(window.end_ms - self._home.parts.clock.now_ms(), 0))
        if due_ms:
            return due_ms / 1_000
        batch = ahead[:count]
        self.state = begin(self.state, batch, mapping.tumbling_window_s)
        self.is_changed = True
        why = rule_of_batch(count, mapping.batch_size, is_full=is_full, is_last=is_last)
        return await self._try(batch, why)

    async def _try(self, batch: Sequence[StreamRecord], why: Rule) -> float:
        """Send a batch once, unless it is too old or gone, and apply what follows."""
        home = self._home
        await home.save()  # the attempt is known before it begins, so a takeover knows of it
        if not home.may_send:
            return AGAIN_S
        verdict = expire(self.state, batch, home.policy, home.parts.clock.now_ms())
        if verdict.state is not self.state:
            if not verdict.drops:
                home.report.gone(self.state.pending[0].first, self.state.pending[0].last)
            self._apply(verdict, batch, "Records were too old" if verdict.drops else EXPIRED)
            return 0
        request_id = str(home.parts.new_id())
        home.report.sent(batch, why, request_id, self.state.pending[0].invokes + 1)
        window = self.state.window
        payload = batch_event([record.event for record in batch], self._members(window))
        done = await self._invoke(request_id, payload)
        self._free_at = home.parts.clock.monotonic()
        result = self._read(done, [record.sequence for record in batch])
        self._apply(judge(self.state, batch, result, home.policy), batch, problem_of(done, result), done, result)
        return 0

    async def _leave_expired(self) -> None:
        """Let go of what the source holds no more: only behind a failing batch is anything kept here that long."""
        newest = self.queue[-1].sequence
        try:
            first = await self._home.first_held(self.state.checkpoint)
        except (AdapterError, SourceGone, StoreError):
            return  # whoever reads tells of it
        if first is None:
            expired = [record for record in self.queue if not precedes(newest, record.sequence)]
        else:
            expired = [record for record in self.queue if precedes(record.sequence, first)]
        if expired:
            self._home.report.gone(expired[0].sequence, expired[-1].sequence)
            self._home.applied(self._forget(expired[-1].sequence), {})

    # Windows.

    async def _close_window(self, closing: Closing) -> float:
        """Send the invocation that ends the open window."""
        home = self._home
        now_ms = home.parts.clock.now_ms()
        self.state = begin_close(self.state, closing, now_ms)
        self.is_changed = True
        verdict = expire_close(self.state, home.policy, now_ms)
        if verdict.state is self.state:
            await home.save()
            if not home.may_send:
                return AGAIN_S
            request_id = str(home.parts.new_id())
            home.report.closing(closing, request_id)
            done = await self._invoke(request_id, batch_event((), self._members(self.state.window)))
            result = self._read(done, (), is_final=True)
            self._apply(judge_close(self.state, result, home.policy), (), problem_of(done, result), done, result)
        else:
            self._apply(verdict, (), "A tumbling window could not be closed in time")
        return 0

    def _leave_window(self) -> None:
        """Forget a window in which nothing succeeded: there is no state to close it with."""
        self.state = msgspec.structs.replace(self.state, window=None)
        self.is_changed = True
        self._home.applied(0, {})

    def _members(self, window: OpenWindow | None) -> bytes:
        if window is None:
            return b""
        return window_members(window, shard_id=self._home.shard.id, source_arn=self._home.mapping.source_arn)

    # One try.

    async def _invoke(self, request_id: str, payload: bytes) -> Try:
        """Invoke the function and wait for its answer; whatever prevents it is a fault that costs no attempt."""
        home = self._home
        return await call_function(home.parts, home.mapping, request_id, payload, shard=home.shard.id)

    def _read(self, done: Try, identifiers: Sequence[str], *, is_final: bool = False) -> Result:
        return read_response(
            done.outcome.outcome if isinstance(done.outcome, Run) else done.outcome,
            identifiers,
            reports_item_failures=self._home.mapping.reports_item_failures,
            in_window=self.state.window is not None,
            is_final=is_final,
        )

    def _apply(
        self,
        verdict: Verdict,
        batch: Sequence[StreamRecord],
        problem: str,
        done: Try | None = None,
        result: Result | None = None,
    ) -> None:
        """Take over a verdict: the next write stores it, together with the records of what was dropped."""
        clock = self._home.parts.clock
        self.state = verdict.state
        self.is_changed = True
        freed = self._forget(verdict.state.checkpoint)
        self._next_try = clock.monotonic() + verdict.delay_ms / 1_000 if verdict.delay_ms else 0.0
        self._block(problem, verdict.delay_ms)
        self._home.applied(freed, self._home.report.judged(verdict, batch, problem, done, result))

    def _forget(self, checkpoint: str) -> int:
        """Let go of the records up to a checkpoint; return their bytes."""
        queue, reads = self.queue, self._reads
        mark, freed = numeral(checkpoint), 0
        while queue and numeral(queue[0].sequence) <= mark:
            freed += len(queue.popleft().event)
        while reads and numeral(reads[0][0]) <= mark:
            reads.popleft()
        self.bytes -= freed
        return freed

    def _block(self, problem: str, delay_ms: int) -> None:
        """Note since when the lane has been held up, or that it is not any more."""
        now_ms = self._home.parts.clock.now_ms()
        since_ms = now_ms
        if self.blocked is not None:
            since_ms = self.blocked.since_ms
            self._home.report.blocked(max(now_ms - self.blocked.seen_ms, 0) / 1_000)
        self.blocked = Blocked(since_ms, problem, now_ms + delay_ms, now_ms) if delay_ms else None
