"""What a test costs: a router's set-up, and how fast virtual time passes through the things that tests wait for.

Everything runs in this process, as it does under pytest; nothing is pre-started but the imports.
"""

from __future__ import annotations

import contextlib
import logging
import time
from typing import TYPE_CHECKING, Any

import structlog

from bench.measure import Effort, Figure, Report
from eventrouter.testing import Router

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

DAY_S = 86_400
SET_UPS = 100
FIRINGS = 1_000
RECORDS = 10_000


def measure(effort: Effort, _folder: Path) -> Report:
    """Take the time of each scenario once a round."""
    is_quick = effort.rounds == 1
    events = 200 if is_quick else 1_000
    scenarios: list[tuple[str, Callable[[], float], float | None]] = [
        (f"{FIRINGS:,} schedule firings", _firings, 1.0),
        ("six hours of throttled retries", _throttled, 1.0),
        ("seven days of a poison shard, back-off up to 600 s", lambda: _poison(mapping_max_backoff_s=600), 1.0),
        (f"{RECORDS:,} records in batches of 100", _records, None),
    ]
    if not is_quick:
        scenarios.append(("seven days of a poison shard, back-off up to 12 s", _poison, None))
    with _quietly():
        with Router():
            pass  # the first one imports
        ups = sorted(_set_up() for _ in range(SET_UPS))
        figures = [Figure(name=f"set-up, p50 of {SET_UPS}", unit="ms", values=(ups[SET_UPS // 2],), at_most=20)]
        rates = tuple(events / _retried(events) for _ in range(effort.rounds))
        figures.append(Figure(name="events through three attempts each", unit="events/s", values=rates))
        for name, scenario, at_most in scenarios:
            values = tuple(scenario() for _ in range(effort.rounds))
            figures.append(Figure(name=name, unit="s", values=values, at_most=at_most))
    return Report(benchmark="testing_kit", what="scenarios of a test, in wall time", figures=tuple(figures))


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Leave out what a node logs: pytest captures it, a terminal would have to print it."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    try:
        yield
    finally:
        structlog.reset_defaults()


def _set_up() -> float:
    """Return the milliseconds to open a router, as the fixture does."""
    began = time.perf_counter()
    with Router():
        return (time.perf_counter() - began) * 1_000


def _fails(event: Any, _context: Any) -> None:
    raise ValueError(event)


def _succeeds(_event: Any, _context: Any) -> None:
    """Do nothing."""


def _retried(events: int) -> float:
    with Router() as router:
        function = router.function(_fails)
        began = time.perf_counter()
        for number in range(events):
            function.send(number)
        router.run_until_idle()
        took = time.perf_counter() - began
        assert function.attempts == 3 * events, function.attempts
    return took


def _firings() -> float:
    with Router() as router:
        function = router.function(_succeeds)
        router.schedule("rate(1 hour)", to=function)
        began = time.perf_counter()
        router.advance(FIRINGS * 3_600)
        took = time.perf_counter() - began
        assert FIRINGS - 1 <= function.attempts <= FIRINGS + 1, function.attempts
    return took


def _throttled() -> float:
    with Router() as router:
        function = router.function(_succeeds)
        router.faults(function).throttle(1.0)
        began = time.perf_counter()
        function.send()
        router.run_until_idle()
        took = time.perf_counter() - began
        assert function.attempts == 0
        assert router.elapsed > 5 * 3_600, router.elapsed
    return took


def _poison(**settings: Any) -> float:
    with Router(**settings) as router:
        function = router.function(_fails)
        stream = router.stream("poisoned", to=function, retention="7d")
        began = time.perf_counter()
        stream.put("poison")
        router.run_until_idle()
        took = time.perf_counter() - began
        assert router.elapsed >= 7 * DAY_S, router.elapsed
    return took


def _records() -> float:
    with Router() as router:
        function = router.function(_succeeds)
        stream = router.stream("records", to=function, batch_size=100)
        began = time.perf_counter()
        stream.put_many(("key", f"record {number}") for number in range(RECORDS))
        router.run_until_idle()
        took = time.perf_counter() - began
        assert sum(len(run.records) for run in function.runs) == RECORDS
    return took
