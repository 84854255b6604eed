"""The time that a handler sees if it asks for it: the node's, through `time` and `datetime`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import time_machine

from eventrouter.clock import Clock


@contextmanager
def virtual_time(clock: Clock, sleep: Callable[[float], None]) -> Iterator[None]:
    """Have `time` and `datetime` tell the time of `clock`, which stands still meanwhile; `time.sleep` calls `sleep`."""
    monotonic_s = clock.monotonic()
    told = {
        "monotonic": lambda: monotonic_s,
        "monotonic_ns": lambda: round(monotonic_s * 1_000_000_000),
        "perf_counter": lambda: monotonic_s,
        "perf_counter_ns": lambda: round(monotonic_s * 1_000_000_000),
        "sleep": sleep,
    }
    before = {name: getattr(time, name) for name in told}
    with time_machine.travel(datetime.fromtimestamp(clock.now_ms() / 1_000, UTC), tick=False):
        for name, function in told.items():
            setattr(time, name, function)
        try:
            yield
        finally:
            for name, function in before.items():
                setattr(time, name, function)
