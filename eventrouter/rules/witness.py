"""Witnessed silence: when a node may be declared dead, and when a node must stop itself.

A node is judged dead by watching its heartbeat counter stand still, never by one timestamp or a key's expiry, so
that clock steps, a paused Redis or an outage kill nobody. The numbers fit together: a silent node has killed
its environments (FENCE_KILL_S) before anyone may bury it (SILENCE_S), so no event runs twice at a time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

BEAT_EVERY_S = 1.0
SILENCE_S = 10.0
STANDS_STILL_S = 3.0
"""From when on a node whose counter stands still is shown as silent, and may be buried by an operator."""
LOOKS = 10
GAP_S = 2.5
FENCE_STOP_S = 6.0
FENCE_KILL_S = 8.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """How long one node's counter has stood at `counter`: since when, how many looks, the latest look."""

    counter: int
    looks: int
    since: float
    latest: float


Sightings = Mapping[str, Sighting]


def look(before: Sightings, beats: Mapping[str, int], now: float) -> dict[str, Sighting]:
    """Add one look, at monotonic second `now`, to what was seen before.

    A counter that moved, or a gap of more than GAP_S between two looks, starts the count again.
    """
    return {node: _seen(before.get(node), counter, now) for node, counter in beats.items()}


def is_silent(sighting: Sighting) -> bool:
    """Say whether a node has been silent for long enough to be buried."""
    return sighting.looks >= LOOKS and sighting.latest - sighting.since >= SILENCE_S


def _seen(before: Sighting | None, counter: int, now: float) -> Sighting:
    if before is None or before.counter != counter or now - before.latest > GAP_S:
        return Sighting(counter=counter, looks=1, since=now, latest=now)
    return Sighting(counter=counter, looks=before.looks + 1, since=before.since, latest=now)
