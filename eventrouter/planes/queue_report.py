"""What the world learns of a queue mapping's batches: metrics, journal and log. Source: lambda-semantics §10.1."""

from __future__ import annotations

from collections.abc import Sequence

from structlog.typing import FilteringBoundLogger

from eventrouter.clock import Clock
from eventrouter.journal import Journal
from eventrouter.metrics import MessageMetrics, Metrics
from eventrouter.ports import QueueMessage
from eventrouter.rules.explain import Rule
from eventrouter.rules.mapping import EventSourceMapping


class QueueReport:
    """Reports on one queue mapping. `configure` comes first."""

    def __init__(self, *, clock: Clock, metrics: Metrics, journal: Journal, log: FilteringBoundLogger) -> None:
        self._clock = clock
        self._journal = journal
        self._all_metrics = metrics
        self._log = log
        self._succeeded = 0
        self._failed = 0
        self._trouble = ""

    def configure(self, mapping: EventSourceMapping) -> None:
        """Report on `mapping`, as it is now."""
        self._mapping = mapping
        self._metrics = self._all_metrics.of_queue(mapping.uuid)
        asks = "EventCount" in mapping.metrics
        self._twins: MessageMetrics | None = self._all_metrics.of_messages(mapping.uuid) if asks else None

    def end(self) -> None:
        """Show the mapping no more."""
        self._all_metrics.forget_queue(self._mapping.uuid)

    def ended(self) -> tuple[int, int]:
        """Return how many tries have succeeded and failed since the last time."""
        counts = self._succeeded, self._failed
        self._succeeded = self._failed = 0
        return counts

    def running(self, pollers: int) -> None:
        """Show how many pollers there are."""
        self._metrics.pollers.set(pollers)

    def received(self, messages: int, filtered: Sequence[QueueMessage]) -> None:
        """Count what was received, and tell what no filter let through."""
        self._trouble = ""
        self._metrics.received.inc(messages)
        if filtered:
            self._metrics.filtered.inc(len(filtered))
            self._journal.note(self._mapping.uuid, Rule.FILTERED, {"messages": len(filtered)}, (), _ids(filtered))
        if self._twins is not None:
            self._twins.polled.inc(messages)
            self._twins.filtered_out.inc(len(filtered))

    def held(self, messages: Sequence[QueueMessage], visibility_ms: int) -> None:
        """Tell of messages that were received to be sent."""
        facts = {"messages": len(messages), "visible_again_at_ms": self._clock.now_ms() + visibility_ms}
        self._journal.note(self._mapping.uuid, Rule.RECEIVED, facts, (), _ids(messages))

    def sent(self, batch: Sequence[QueueMessage], why: Rule, request_id: str) -> None:
        """Count a batch that is about to be sent, and tell why it is."""
        self._journal.note(self._mapping.uuid, why, {"messages": len(batch)}, (request_id,), _ids(batch))
        self._metrics.batches.inc()
        self._metrics.invoked.inc(len(batch))
        if self._twins is not None:
            self._twins.invoked.inc(len(batch))

    def waits(self, batch: Sequence[QueueMessage], seconds: float) -> None:
        """Tell that a batch found no place to run, and is tried again in `seconds`."""
        facts = {"due_at_ms": self._clock.now_ms() + round(seconds * 1_000)}
        self._journal.note(self._mapping.uuid, Rule.MESSAGE_BACK_OFF, facts, (), _ids(batch))

    def judged(self, batch: Sequence[QueueMessage], failed: frozenset[int], hidden_ms: int) -> None:
        """Tell which messages of a batch are done, and when the others come back."""
        done = [message for index, message in enumerate(batch) if index not in failed]
        rest = [message for index, message in enumerate(batch) if index in failed]
        if done:
            self._journal.note(self._mapping.uuid, Rule.DELETED, {"messages": len(done)}, (), _ids(done))
        if rest:
            facts = {"messages": len(rest), "visible_again_at_ms": self._clock.now_ms() + hidden_ms}
            self._journal.note(self._mapping.uuid, Rule.RETURNED, facts, (), _ids(rest))

    def given_back(self, messages: Sequence[QueueMessage]) -> None:
        """Tell that messages were made visible at once."""
        if messages:
            self._journal.note(self._mapping.uuid, Rule.GIVEN_BACK, {"messages": len(messages)}, (), _ids(messages))

    def tried(self, size: int, failed: frozenset[int] | None) -> None:
        """Count what one try has done; None: the function did not run."""
        if failed is None:
            self._failed += 1
            self._metrics.not_run.inc()
            return
        if len(failed) < size:
            self._succeeded += 1
        else:
            self._failed += 1
        if not failed:
            return
        self._metrics.failed_batches.inc()
        self._metrics.failed.inc(len(failed))
        if self._twins is not None:
            self._twins.failed_invoke.inc(len(failed))

    def deleted(self, messages: int) -> None:
        """Count messages that were deleted because they are done."""
        self._metrics.deleted.inc(messages)
        if self._twins is not None:
            self._twins.deleted.inc(messages)

    def oversized(self, message: QueueMessage) -> None:
        """Say that no event can carry a message."""
        self._log.warning("message.oversized", mapping=self._mapping.uuid, message=message.id, bytes=len(message.event))

    def source_failed(self, error: Exception) -> None:
        """Say that the queue could not be asked, once until it is received from again or the reason is another."""
        reason = str(error) or type(error).__name__
        if reason != self._trouble:
            self._trouble = reason
            self._log.warning("queue.not_asked", mapping=self._mapping.uuid, reason=reason)


def _ids(messages: Sequence[QueueMessage]) -> Sequence[str]:
    return [message.id for message in messages]
