"""The node's metrics: CloudWatch's names and dimension behind one prefix, in the Prometheus text format.

Names are a contract. Labels are bounded by the number of functions. Source: lambda-semantics §10.1.
"""

from __future__ import annotations

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
        )
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

    def render(self) -> bytes:
        """Return all metrics in the Prometheus text format."""
        return generate_latest(self.registry)

    def _of(self, function: str) -> FunctionMetrics:
        """Return the metrics of the function of that bare name."""
        children = (family.labels(function) for family in self._families)
        return FunctionMetrics(*children)  # type: ignore[arg-type]  # each child has its family's type

    def _counter(self, name: str, text: str) -> Counter:
        return Counter(f"eventrouter_{name}", text, ["FunctionName"], registry=self.registry)

    def _gauge(self, name: str, text: str) -> Gauge:
        return Gauge(f"eventrouter_{name}", text, ["FunctionName"], registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(f"eventrouter_{name}", text, ["FunctionName"], buckets=buckets, registry=self.registry)
