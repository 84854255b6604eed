"""Latencies in numbers and in a picture of plain characters."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_STEPS = (1.0, 1.5, 2.0, 3.0, 5.0, 7.0)
"""Bounds within one decade: fine enough to show two humps, few enough for a screen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """How many latencies lie in [from_ms, to_ms)."""

    from_ms: float
    to_ms: float
    count: int


def percentile(ordered_ms: Sequence[float], share: float) -> float:
    """Return the smallest latency that at least `share` (0 to 1) of all do not exceed. 0 for none."""
    if not ordered_ms:
        return 0.0
    return ordered_ms[max(0, math.ceil(share * len(ordered_ms)) - 1)]


def buckets(ordered_ms: Sequence[float]) -> list[Bucket]:
    """Sort latencies into buckets that grow with their size; empty ones only between full ones."""
    if not ordered_ms:
        return []
    bounds = list(_bounds(ordered_ms[0], ordered_ms[-1]))
    counts = [0] * (len(bounds) - 1)
    at = 0
    for latency in ordered_ms:
        while latency >= bounds[at + 1]:
            at += 1
        counts[at] += 1
    return [
        Bucket(from_ms=low, to_ms=high, count=count)
        for low, high, count in zip(bounds, bounds[1:], counts, strict=False)
    ]


def draw(found: Sequence[Bucket], *, width: int = 50) -> Iterator[str]:
    """Yield one line a bucket: its lower and upper bound, a bar no longer than `width`, its count."""
    most = max((bucket.count for bucket in found), default=0)
    for bucket in found:
        bar = "#" * max(round(bucket.count / most * width), 1 if bucket.count else 0)
        yield f"{_short(bucket.from_ms):>8} - {_short(bucket.to_ms):>7} ms  {bar.ljust(width)}  {bucket.count}".rstrip()


def _bounds(lowest_ms: float, highest_ms: float) -> Iterator[float]:
    decade = 10.0 ** math.floor(math.log10(max(lowest_ms, 0.001)))
    if decade > lowest_ms:  # the logarithm of a number just below a power of ten is rounded up
        decade /= 10
    below: float | None = None
    while True:
        for step in _STEPS:
            bound = round(decade * step, 6)
            if bound <= lowest_ms or below is None:
                below = bound
                continue
            yield below
            below = bound
            if bound > highest_ms:
                yield bound
                return
        decade *= 10


def _short(milliseconds: float) -> str:
    return f"{milliseconds:.3g}" if milliseconds < 1000 else f"{milliseconds:.0f}"
