"""The node's metrics: CloudWatch's names and dimension behind one prefix, in the Prometheus text format.

Names are a contract. Labels are bounded by the number of functions. Source: lambda-semantics §10.1.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_DURATION_MS = (1, 2, 5, 10, 20, 50, 100, 250, 500, 1_000, 2_500, 5_000, 15_000, 60_000, 300_000, 900_000)
_AGE_MS = (5, 10, 50, 100, 500, 1_000, 5_000, 30_000, 60_000, 180_000, 600_000, 3_600_000, 21_600_000)


class FunctionMetrics(NamedTuple):
    """One function's own children of every metric, looked up once."""

    invocations: Counter
    errors: Counter
    throttles: Counter
    duration_ms: Histogram
    concurrent: Gauge
    events_received: Counter
    event_age_ms: Histogram
    events_dropped: Counter
    dead_letter_errors: Counter
    destination_failures: Counter
    iterator_age_ms: Gauge


class ShardMetrics(NamedTuple):
    """The children of one mapping's shard, looked up once. Ours: CloudWatch has nothing per shard."""

    iterator_age_ms: Gauge
    read: Counter
    filtered: Counter
    invoked: Counter
    failed: Counter
    dropped: Counter
    batches: Counter
    failed_batches: Counter
    bisects: Counter
    blocked_s: Counter


class QueueMetrics(NamedTuple):
    """The children of one queue mapping, looked up once. Ours: CloudWatch's are for those that ask for them."""

    pollers: Gauge
    received: Counter
    filtered: Counter
    invoked: Counter
    failed: Counter
    deleted: Counter
    batches: Counter
    failed_batches: Counter
    not_run: Counter


class MappingMetrics(NamedTuple):
    """CloudWatch's metrics of one stream mapping, for those that ask for them (MetricsConfig)."""

    polled: Counter
    filtered_out: Counter
    invoked: Counter
    failed_invoke: Counter
    dropped: Counter
    on_failure_delivered: Counter


class MessageMetrics(NamedTuple):
    """CloudWatch's metrics of one queue mapping, for those that ask for them. All but the last are those of streams."""

    polled: Counter
    filtered_out: Counter
    invoked: Counter
    failed_invoke: Counter
    deleted: Counter


class Metrics:
    """Every metric of one node, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        counter, gauge, histogram = self._counter, self._gauge, self._histogram
        self._families = FunctionMetrics(
            counter("Invocations", "Runs of a function's code, failed ones included."),
            counter("Errors", "Runs that ended in a function error."),
            counter("Throttles", "Tries refused for want of concurrency."),
            histogram("Duration", "Milliseconds a handler ran, without init.", _DURATION_MS),
            gauge("ConcurrentExecutions", "Runs in progress on this node."),
            counter("AsyncEventsReceived", "Events accepted into the asynchronous queue."),
            histogram("AsyncEventAge", "Milliseconds from acceptance to an attempt's start.", _AGE_MS),
            counter("AsyncEventsDropped", "Events that ended without success."),
            counter("DeadLetterErrors", "Failed tries to send a dead letter."),
            counter("DestinationDeliveryFailures", "Failed tries to deliver to a destination."),
            gauge("IteratorAge", "Milliseconds from the arrival of a batch's last record to its being sent."),
        )
        self._add_mappings()
        registry = self.registry
        self.fenced = Counter("eventrouter_fenced", "Results discarded: the claim had passed on.", registry=registry)
        self.logs_dropped = Counter("eventrouter_log_lines_dropped", "Log lines not stored.", registry=registry)
        self.loop_failures = Counter(
            "eventrouter_loop_failures", "Turns of a background loop that failed.", ["loop"], registry=registry
        )
        self.loop_age = Gauge(
            "eventrouter_loop_age_seconds", "Time since a loop's last good turn.", ["loop"], registry=registry
        )
        self.of = cache(self._of)
        self.of_mapping = cache(self._of_mapping)
        self.of_messages = cache(self._of_messages)

    def _add_mappings(self) -> None:
        """Add what is counted of event source mappings."""
        shard = ["EventSourceMappingUUID", "shard"]
        self._shards = ShardMetrics(
            self._gauge("mapping_iterator_age_milliseconds", "IteratorAge by mapping and shard.", shard),
            self._counter("mapping_records_read", "Records read.", shard),
            self._counter("mapping_records_filtered", "Records that no filter let through.", shard),
            self._counter("mapping_records_invoked", "Records sent to the function, again at each try.", shard),
            self._counter("mapping_records_failed", "Records in tries that failed.", shard),
            self._counter("mapping_records_dropped", "Records given up.", shard),
            self._counter("mapping_batches", "Batches sent to the function, again at each try.", shard),
            self._counter("mapping_batches_failed", "Tries of batches that failed.", shard),
            self._counter("mapping_bisects", "Batches split in two.", shard),
            self._counter("mapping_blocked_seconds", "Time that failing batches held their lane up.", shard),
        )
        mapping = ["EventSourceMappingUUID"]
        self._mappings = MappingMetrics(
            self._counter("PolledEventCount", "Records read.", mapping),
            self._counter("FilteredOutEventCount", "Records removed by filters.", mapping),
            self._counter("InvokedEventCount", "Records sent to the function, again at each try.", mapping),
            self._counter("FailedInvokeEventCount", "Records in tries that failed.", mapping),
            self._counter("DroppedEventCount", "Records given up that no destination was told of.", mapping),
            self._counter("OnFailureDestinationDeliveredEventCount", "Records that destinations know of.", mapping),
        )
        self._messages = MessageMetrics(
            self._mappings.polled,
            self._mappings.filtered_out,
            self._mappings.invoked,
            self._mappings.failed_invoke,
            self._counter("DeletedEventCount", "Messages deleted from their queue because they are done.", mapping),
        )
        self._queues = QueueMetrics(
            self._gauge("mapping_pollers", "Pollers of a queue mapping on this node, busy ones included.", mapping),
            self._counter("mapping_messages_received", "Messages received.", mapping),
            self._counter("mapping_messages_filtered", "Messages that no filter let through, deleted.", mapping),
            self._counter("mapping_messages_invoked", "Messages sent to the function, again at each try.", mapping),
            self._counter("mapping_messages_failed", "Messages that failed, left to their visibility.", mapping),
            self._counter("mapping_messages_deleted", "Messages deleted because they are done.", mapping),
            self._counter("mapping_message_batches", "Batches sent to the function, again at each try.", mapping),
            self._counter("mapping_message_batches_failed", "Tries of batches of which something failed.", mapping),
            self._counter("mapping_message_batches_not_run", "Tries of batches that found no place to run.", mapping),
        )

    def render(self) -> bytes:
        """Return all metrics in the Prometheus text format."""
        return generate_latest(self.registry)

    def _of(self, function: str) -> FunctionMetrics:
        """Return the metrics of the function of that bare name."""
        children = (family.labels(function) for family in self._families)
        return FunctionMetrics(*children)  # type: ignore[arg-type]  # each child has its family's type

    def of_shard(self, uuid: str, shard: str) -> ShardMetrics:
        """Return the metrics of one shard of one mapping; `forget_shard` ends them."""
        children = (family.labels(uuid, shard) for family in self._shards)
        return ShardMetrics(*children)  # type: ignore[arg-type]  # as above

    def forget_shard(self, uuid: str, shard: str) -> None:
        """Stop showing a shard that this node reads no more."""
        for family in self._shards:
            family.remove(uuid, shard)

    def of_queue(self, uuid: str) -> QueueMetrics:
        """Return the metrics of one queue mapping; `forget_queue` ends them."""
        children = (family.labels(uuid) for family in self._queues)
        return QueueMetrics(*children)  # type: ignore[arg-type]  # as above

    def forget_queue(self, uuid: str) -> None:
        """Stop showing a queue mapping that this node works off no more."""
        for family in self._queues:
            family.remove(uuid)

    def _of_mapping(self, uuid: str) -> MappingMetrics:
        """Return CloudWatch's metrics of one stream mapping."""
        children = (family.labels(uuid) for family in self._mappings)
        return MappingMetrics(*children)

    def _of_messages(self, uuid: str) -> MessageMetrics:
        """Return CloudWatch's metrics of one queue mapping."""
        children = (family.labels(uuid) for family in self._messages)
        return MessageMetrics(*children)

    def _counter(self, name: str, text: str, labels: Sequence[str] = ("FunctionName",)) -> Counter:
        return Counter(f"eventrouter_{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, labels: Sequence[str] = ("FunctionName",)) -> Gauge:
        return Gauge(f"eventrouter_{name}", text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(f"eventrouter_{name}", text, ["FunctionName"], buckets=buckets, registry=self.registry)
