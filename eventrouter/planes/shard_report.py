"""What the world learns of a shard's batches: metrics, the mapping's result, records of what was given up.

Source: lambda-semantics §4.2, §4.7, §10.1.
"""

from __future__ import annotations

from collections.abc import Sequence

from structlog.typing import FilteringBoundLogger

from eventrouter.clock import Clock
from eventrouter.journal import NO_FACTS, Fact, Journal, Span
from eventrouter.metrics import FunctionMetrics, MappingMetrics, Metrics
from eventrouter.planes.batch_call import Try
from eventrouter.planes.mapping_results import OK, MappingResults
from eventrouter.planes.parcel import Parcel
from eventrouter.ports import SourceShard, StreamRecord, StreamSource
from eventrouter.rules.batch_record import FailedBatch, batch_failure_id, batch_record
from eventrouter.rules.explain import DROPPED, Rule
from eventrouter.rules.mapping import FOREVER, EventSourceMapping
from eventrouter.rules.names import LATEST
from eventrouter.rules.outcome import FunctionFailed, Run, SystemFault, Throttled
from eventrouter.rules.record import Message
from eventrouter.rules.shard import BatchDone, BatchFailed, BatchFailedFrom, BatchNotRun, Drop, Result, Verdict
from eventrouter.rules.window import Closing

EXPIRED = "Records passed the stream's retention before they were processed"
NAMED = 100
"""So many filtered records of one read are told of one by one; more are only counted."""


class ShardReport:
    """Reports on one shard of one mapping. `configure` comes first."""

    def __init__(
        self,
        *,
        source: StreamSource,
        shard: SourceShard,
        clock: Clock,
        metrics: Metrics,
        journal: Journal,
        results: MappingResults,
        log: FilteringBoundLogger,
    ) -> None:
        self._source = source
        self._shard = shard
        self._clock = clock
        self._all_metrics = metrics
        self._journal = journal
        self._results = results
        self._log = log

    def configure(self, mapping: EventSourceMapping) -> None:
        """Report on `mapping`, as it is now."""
        self._mapping = mapping
        self._subject = f"{mapping.uuid}/{self._shard.id}"
        self._metrics = self._all_metrics.of_shard(mapping.uuid, self._shard.id)
        self._function: FunctionMetrics = self._all_metrics.of(mapping.function.name)
        asks = "EventCount" in mapping.metrics
        self._twins: MappingMetrics | None = self._all_metrics.of_mapping(mapping.uuid) if asks else None

    def end(self) -> None:
        """Show the shard no more."""
        self._all_metrics.forget_shard(self._mapping.uuid, self._shard.id)

    def read(self, records: int, filtered: Sequence[StreamRecord]) -> None:
        """Count what was read, and tell what no filter let through."""
        self._metrics.read.inc(records)
        if filtered:
            self._metrics.filtered.inc(len(filtered))
            names = self._names(filtered) if len(filtered) <= NAMED else ()
            self._journal.note(self._subject, Rule.FILTERED, {"records": len(filtered)}, (), names)
        if self._twins is not None:
            self._twins.polled.inc(records)
            self._twins.filtered_out.inc(len(filtered))

    def sent(self, batch: Sequence[StreamRecord], why: Rule, request_id: str, attempt: int) -> None:
        """Count a batch that is about to be sent, and tell why it is."""
        facts: dict[str, Fact] = {"records": len(batch), "attempt": attempt}
        if self._mapping.parallelization_factor > 1:  # others lie between these
            self._journal.note(self._subject, why, facts, (request_id,), self._names(batch))
        else:
            self._journal.note(self._subject, why, facts, (request_id,), (), self._span(batch))
        age_ms = max(self._clock.now_ms() - batch[-1].arrived_ms, 0)
        self._metrics.iterator_age_ms.set(age_ms)
        self._function.iterator_age_ms.set(age_ms)
        self._metrics.batches.inc()
        self._metrics.invoked.inc(len(batch))
        if self._twins is not None:
            self._twins.invoked.inc(len(batch))

    def closing(self, closing: Closing, request_id: str) -> None:
        """Tell that a tumbling window is about to be closed."""
        self._journal.note(self._subject, Rule.WINDOW_CLOSED, {"closing": closing.value}, (request_id,))

    def gone(self, first: str, last: str) -> None:
        """Tell that the source holds the records from `first` to `last` no more."""
        self.problem(EXPIRED)
        self._journal.note(self._subject, Rule.RECORDS_GONE, NO_FACTS, (), (), Span(self._shard.id, first, last))

    def lost(self) -> None:
        """Tell that records left the source before they were read; nobody knows which."""
        self.problem(EXPIRED)
        self._journal.note(self._subject, Rule.RECORDS_GONE)

    def blocked(self, seconds: float) -> None:
        """Count time for which a failing batch has held its lane up."""
        self._metrics.blocked_s.inc(seconds)

    def problem(self, text: str) -> None:
        """Say what is wrong with the mapping, in a few words; empty: nothing is."""
        self._results.note(self._mapping.uuid, f"PROBLEM: {text}" if text else OK)

    def judged(
        self,
        verdict: Verdict,
        batch: Sequence[StreamRecord],
        problem: str,
        done: Try | None,
        result: Result | None,
    ) -> dict[str, bytes]:
        """Report on a verdict about a batch; return the parcels to be sent, by id."""
        self.problem(problem)
        self._note(verdict, done, result)
        size = len(batch)
        dropped = sum(drop.size for drop in verdict.drops)
        failed = size - verdict.succeeded if isinstance(result, BatchFailed | BatchFailedFrom) else 0
        if failed:
            self._metrics.failed_batches.inc()
            self._metrics.failed.inc(failed)
        self._metrics.dropped.inc(dropped)
        if verdict.is_bisected:
            self._metrics.bisects.inc()
        target = self._mapping.on_failure
        if self._twins is not None:
            self._twins.failed_invoke.inc(failed)
            (self._twins.dropped if target is None else self._twins.on_failure_delivered).inc(dropped)
        for drop in verdict.drops:
            self._note_drop(drop, done)
            self._log.warning(
                "records.dropped",
                mapping=self._mapping.uuid,
                shard=self._shard.id,
                first=drop.first,
                last=drop.last,
                records=drop.size,
                condition=drop.condition.value,
            )
        return {} if target is None else dict(self._parcel(drop, target, done) for drop in verdict.drops)

    def _note(self, verdict: Verdict, done: Try | None, result: Result | None) -> None:
        """Tell what follows from a try; what was given up is told of apart."""
        note, subject, state = self._journal.note, self._subject, verdict.state
        links = () if done is None else (done.request_id,)
        if verdict.succeeded:
            why = Rule.CHECKPOINTED if isinstance(result, BatchDone) else Rule.REPORTED_FROM
            note(subject, why, {"records": verdict.succeeded, "checkpoint": state.checkpoint}, links)
        if verdict.is_bisected:
            note(subject, Rule.BISECTED, {"next_last": state.pending[0].last}, links)
        if verdict.delay_ms:
            why = Rule.SHARD_BACK_OFF if isinstance(result, BatchNotRun) else Rule.SHARD_RETRY
            facts: dict[str, Fact] = {"due_at_ms": self._clock.now_ms() + verdict.delay_ms}
            if state.pending and self._mapping.maximum_retry_attempts != FOREVER:
                facts["retries_left"] = self._mapping.maximum_retry_attempts - state.pending[0].retries
            note(subject, why, facts, links)

    def _note_drop(self, drop: Drop, done: Try | None) -> None:
        links = () if done is None else (done.request_id,)
        if self._mapping.on_failure is not None:
            links = (*links, self._parcel_id(drop))
        facts: dict[str, Fact] = {"records": drop.size, "tries": drop.invokes, "destination": self._mapping.on_failure}
        span = Span(self._shard.id, drop.first, drop.last)
        self._journal.note(self._subject, DROPPED[drop.condition], facts, links, (), span)

    def _span(self, records: Sequence[StreamRecord]) -> Span:
        return Span(self._shard.id, records[0].sequence, records[-1].sequence)

    def _names(self, records: Sequence[StreamRecord]) -> Sequence[str]:
        shard = self._shard.id
        return [f"{shard}:{record.sequence}" for record in records]

    def _parcel_id(self, drop: Drop) -> str:
        return batch_failure_id(self._mapping.uuid, self._shard.unit, drop)

    def _parcel(self, drop: Drop, target: str, done: Try | None) -> tuple[str, bytes]:
        """Return the on-failure record of a drop, ready to be sent, and its id."""
        mapping = self._mapping
        ran = done.outcome if done is not None and isinstance(done.outcome, Run) else None
        parcel_id = self._parcel_id(drop)
        failed = FailedBatch(
            request_id=done.request_id if done is not None else parcel_id,
            function_arn=mapping.reference.arn,
            drop=drop,
            batch_info=self._source.batch_info,
            shard_id=self._shard.id,
            stream_arn=mapping.source_arn,
            arrived_first=self._source.arrival_text(drop.arrived_first_ms),
            arrived_last=self._source.arrival_text(drop.arrived_last_ms),
            ended_at_ms=self._clock.now_ms(),
            executed_version=ran.version if ran is not None else LATEST,
            function_error="Unhandled" if ran is not None and isinstance(ran.outcome, FunctionFailed) else None,
        )
        message = Message(id=parcel_id, arn=target, body=batch_record(failed), is_dead_letter=False)
        return parcel_id, Parcel.of(message, mapping.function).encoded()


def problem_of(done: Try, result: Result) -> str:
    """Say in a few words what went wrong with a try; empty if nothing did. Source: lambda-semantics §4.2."""
    if isinstance(result, BatchDone):
        return ""
    if isinstance(result, BatchFailed | BatchFailedFrom):
        return "Function call failed"
    if isinstance(done.outcome, Throttled):
        return "Function call was throttled"
    return done.outcome.message if isinstance(done.outcome, SystemFault) else "Function could not be run"
