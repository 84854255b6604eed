"""How many batches of a queue mapping run at once: up with the backlog, down with errors, within its limits.

AWS starts with a few pollers, adds some every minute while there is a backlog, and backs off when the function fails.
Source: lambda-semantics §4.8.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from hashlib import blake2b
from typing import NamedTuple

from eventrouter.rules.mapping import EventSourceMapping

RUNS_PER_POLLER = 10
"""Of provisioned pollers: what each of them runs at once."""
REST_S = 60
"""After so many idle seconds a mapping begins anew."""

_LEAST = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaling:
    """How a mapping scales: with what it begins, how much it gains in a second of backlog, and where that ends."""

    first: int = 5
    gain: int = 5
    limit: int = 1_250

    @classmethod
    def of(cls, mapping: EventSourceMapping) -> Scaling:
        """Return what a mapping's settings say."""
        if mapping.provisioned_pollers is not None:
            fewest, most = mapping.provisioned_pollers
            return cls(first=RUNS_PER_POLLER * fewest, gain=16, limit=RUNS_PER_POLLER * most)
        if mapping.maximum_concurrency is not None:
            return cls(limit=mapping.maximum_concurrency)
        return cls()


class Pace(NamedTuple):
    """How many batches may run at once, and whether the last ones have failed: then nothing is gained."""

    allowed: int
    is_failing: bool = False


def share_of(limit: int, uuid: str, node: str, nodes: Collection[str]) -> int:
    """Return how much of a mapping's limit is one node's: an even part, and perhaps one of what is left over.

    The same answer wherever it is asked. The parts of all nodes make up the limit.
    """
    part, left = divmod(limit, len(nodes))
    if not left:
        return part
    ranked = sorted(nodes, key=lambda each: blake2b(f"{uuid}/{each}".encode(), digest_size=8).digest())
    return part + (ranked.index(node) < left)


def next_pace(pace: Pace, scaling: Scaling, *, is_saturated: bool, succeeded: int, failed: int, idle_s: int) -> Pace:
    """Return how many batches may run at once in the next second.

    `is_saturated`: all that may run do, and more may be waiting. `succeeded` and `failed` are the batches that
    ended in the last second; one that found no place to run has failed.
    """
    if failed and failed >= succeeded:
        return Pace(max(pace.allowed // 2, _LEAST), is_failing=True)
    if idle_s >= REST_S:
        return Pace(scaling.first)
    is_failing = pace.is_failing and not succeeded
    grows = is_saturated and not is_failing
    return Pace(min(pace.allowed + scaling.gain * grows, scaling.limit), is_failing)
