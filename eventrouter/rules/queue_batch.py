"""What becomes of a batch of a queue's messages: which are deleted, which stay, and for how long they are hidden.

A message is never put back by hand: what is not deleted comes back when its visibility ends.
Source: lambda-semantics §4.6 (all response cases), §4.8.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

from eventrouter.rules.batch_response import Malformed, failed_positions
from eventrouter.rules.outcome import FunctionFailed, Outcome, Succeeded, SystemFault, Throttled

LEAST_VISIBILITY_MS = 1_000
"""However short a queue hides its messages: they must not come back before a batch of them can be extended."""
_WINDOW_RESERVE_MS = 30_000
_FIRST_PAUSE_MS = 100


def effective_visibility_ms(queue_ms: int, *, timeout_s: int, window_s: int) -> int:
    """Return for how long a mapping hides what it receives, from the queue's own time and the function's timeout."""
    together_ms = (window_s + timeout_s) * 1_000
    if window_s and together_ms > queue_ms:
        return together_ms + _WINDOW_RESERVE_MS
    return max(queue_ms, LEAST_VISIBILITY_MS)


def failed_messages(
    outcome: Outcome, identifiers: Sequence[str], *, reports_item_failures: bool
) -> frozenset[int] | None:
    """Return the positions of the messages that stay in the queue after one try; all others are to be deleted.

    None: the function did not run, and the batch may be tried again.
    """
    match outcome:
        case Throttled() | SystemFault():
            return None
        case FunctionFailed():
            return frozenset(range(len(identifiers)))
        case Succeeded(payload=payload):
            if not reports_item_failures:
                return frozenset()
            try:
                return failed_positions(payload, identifiers)
            except Malformed:
                return frozenset(range(len(identifiers)))
        case _:
            assert_never(outcome)


def pause_ms(tries: int, longest_ms: int) -> int:
    """Return how long a batch waits that found no place to run, for the `tries`-th time in a row."""
    return int(min(_FIRST_PAUSE_MS * 2 ** min(tries - 1, 20), longest_ms))
