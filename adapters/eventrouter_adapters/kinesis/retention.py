"""Until when a stream keeps its records. Source: lambda-semantics §7.3."""

from __future__ import annotations

from eventrouter.clock import Clock
from eventrouter.rules.stream import Stream

HOUR_MS = 3_600_000


def horizon_ms(stream: Stream, clock: Clock) -> int:
    """Return the instant before which records have expired."""
    return clock.now_ms() - stream.retention_h * HOUR_MS
