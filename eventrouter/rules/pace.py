"""How a node spreads a function's events over lanes: by how long its runs take.

While all runs of late were short, an environment is sent several events ahead and events are claimed by the
hundred: neither the environment nor Redis waits for the other. Otherwise each event gets a lane of its own, as
on AWS, and the number of lanes doubles for as long as events are left waiting.
"""

from __future__ import annotations

import math

import msgspec

SHORT_RUN_MS = 5.0
AHEAD = 16
"""Events in one environment at a time, the running one included, while runs are short."""
CLAIM_LIMIT = 100
WIDEN_LIMIT = 64
CALLS_PER_CPU = 4
WAIT_FOR_TURN_MS = 3.0
"""How long a call may wait for an environment that is about to be free, at most."""
_FORGETTING = 0.98


class Pace(msgspec.Struct, frozen=True, gc=False):
    """The longest run of late, forgotten slowly. A function that has not run yet counts as slow."""

    longest_ms: float = math.inf

    def after(self, duration_ms: float) -> Pace:
        """Return the pace once a run of `duration_ms` is known."""
        known = 0.0 if self.longest_ms == math.inf else self.longest_ms * _FORGETTING
        return Pace(max(duration_ms, known))

    @property
    def is_short(self) -> bool:
        return self.longest_ms < SHORT_RUN_MS

    @property
    def window(self) -> int:
        """Return how many events one environment is given at a time."""
        return AHEAD if self.is_short else 1


def claim_size(pace: Pace, *, lanes: int, in_flight: int, buffered: int) -> int:
    """Return how many events to claim now, at most CLAIM_LIMIT; 0 until it is worth a round trip."""
    room = lanes * pace.window - in_flight - buffered
    if not lanes or not pace.is_short:
        return max(min(room, CLAIM_LIMIT), 0) if lanes else 0
    room += CLAIM_LIMIT
    return min(room, CLAIM_LIMIT) if room >= CLAIM_LIMIT // 2 else 0


def is_low(buffered: int) -> bool:
    """Say whether so few claimed events are left that the next claim is due."""
    return buffered < CLAIM_LIMIT // 2


def lanes_to_add(pace: Pace, *, lanes: int, cpus: int) -> int:
    """Return how many lanes to open when events have waited: as many again, but short runs need no more than cores."""
    doubled = min(lanes, WIDEN_LIMIT)
    return max(min(doubled, cpus - lanes), 0) if pace.is_short else doubled


def is_crowded(pace: Pace, *, running: int, cpus: int) -> bool:
    """Say whether one more call had better wait a moment for a busy environment than wake another one.

    Only while runs are short: more processes than cores then only push each other out of the caches.
    """
    return pace.is_short and running >= CALLS_PER_CPU * cpus
