"""How many messages may be moved now, when no more than so many a second may be."""

from __future__ import annotations

from dataclasses import dataclass

BURST_S = 0.25
"""Time that may be saved up, beside that of one message: who was held up for longer does not catch up on it."""


@dataclass(slots=True)
class MoveRate:
    """At most so many messages a second, 0 for as many as there are. Times are in seconds, of one clock that may step.

    `paid_until_s` is the time that the messages moved so far have used up: it is all that must be kept.
    """

    paid_until_s: float

    def due(self, rate: int, now_s: float) -> int | None:
        """Return how many may be moved now; None: any number."""
        if rate == 0:
            return None
        self.paid_until_s = min(max(self.paid_until_s, now_s - BURST_S - 1 / rate), now_s)
        # Times are sums of fractions: a message may be a microsecond early.
        return int((now_s - self.paid_until_s) * rate + 1e-6)

    def pay(self, rate: int, count: int) -> None:
        """Note that messages were moved."""
        if rate:
            self.paid_until_s += count / rate

    def wait_s(self, rate: int, now_s: float) -> float:
        """Return how long it is until a message may be moved."""
        return max(0.0, self.paid_until_s + 1 / rate - now_s) if rate else 0.0
