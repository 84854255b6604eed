"""Tumbling windows: which one a record belongs to, what its state is, and when it closes.

A window is opened by the first batch of its records, keeps what the function returned as `state` from one
invocation to the next, and ends with one more invocation that carries no records.
Source: lambda-semantics §4.6 (tumbling windows).
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from datetime import UTC, datetime

import msgspec

STATE_LIMIT_BYTES = 1_048_576
"""A state above this ends its window early."""
STATE_CEILING_BYTES = 6_000_000
"""A state above this fails the invocation that returned it: no further event could carry it (6 MB, §1.5)."""
FRESH_STATE = "{}"


class Closing(enum.StrEnum):
    """Why a window is being closed."""

    FINAL = "final"
    EARLY = "early"


class OpenWindow(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One window of a lane, `start_ms` included and `end_ms` not.

    Both ends are kept, so that a window lives out its time whatever happens to the mapping's setting. `state` is
    the last JSON object that the function returned, as it stood; None while no invocation has succeeded.
    `closing` is set from before the first closing invocation until it is resolved; `closing_since_ms`, `retries`
    and `invokes` are about that invocation.
    """

    start_ms: int
    end_ms: int
    state: str | None = None
    closing: Closing | None = None
    closing_since_ms: int = 0
    retries: int = 0
    invokes: int = 0


class Deliver(msgspec.Struct, frozen=True, gc=False):
    """The next record belongs to the open window, or opens one: the pending range or a new batch may be tried."""


class Close(msgspec.Struct, frozen=True, gc=False):
    """The window must be closed before anything else runs in its lane."""

    closing: Closing


class Wait(msgspec.Struct, frozen=True, gc=False):
    """Nothing to do before the next record, or before the wall clock reaches `until_ms` (None: no such time)."""

    until_ms: int | None = None


Step = Deliver | Close | Wait


def window_start(arrived_ms: int, width_s: int) -> int:
    """Return the start of the window that an arrival falls in: windows are multiples of their width since 1970."""
    width_ms = width_s * 1_000
    return arrived_ms - arrived_ms % width_ms


def enter(window: OpenWindow | None, arrived_ms: int, width_s: int) -> OpenWindow | None:
    """Return the window that the lane's next record belongs to: the open one or a new one.

    None if the mapping has no windows (`width_s` 0). A record that arrived before the open window's start belongs
    to it all the same: a lane goes forward only. A window that has a state must be closed before a later record
    may enter (see `next_step`).
    """
    if window is not None:
        if arrived_ms < window.end_ms:
            return window
        assert window.state is None, f"the window that ends at {window.end_ms} was not closed"
    if not width_s:
        return None
    start_ms = window_start(arrived_ms, width_s)
    return OpenWindow(start_ms=start_ms, end_ms=start_ms + width_s * 1_000)


def count_in_window(window: OpenWindow | None, arrivals_ms: Iterable[int], width_s: int) -> int:
    """Return how many of the lane's next records belong to the window of the first of them.

    A batch may take no more than these; if there are fewer than records waiting, waiting cannot add to it.
    """
    count = 0
    entered: OpenWindow | None = None
    for arrived_ms in arrivals_ms:
        if not count:
            entered = enter(window, arrived_ms, width_s)
        elif entered is not None and arrived_ms >= entered.end_ms:
            break
        count += 1
    return count


def next_step(
    window: OpenWindow | None, next_arrived_ms: int | None, now_ms: int, *, is_shard_end: bool = False
) -> Step:
    """Say what a lane does next about its window, before every try and every new batch.

    `next_arrived_ms` is the arrival of the lane's next record, pending or waiting; None if everything that the shard
    holds now has been read and nothing waits. `is_shard_end`: nothing will ever follow, which closes a window before
    its time (§4.6, resharding). A window in which no invocation succeeded holds nothing and is left without a closing
    invocation (the fact sheet is silent).
    """
    if window is not None and window.state is not None:
        if window.closing is not None:
            return Close(window.closing)
        if _is_over_limit(window.state, STATE_LIMIT_BYTES):
            return Close(Closing.EARLY)
        if next_arrived_ms is None:
            is_over = is_shard_end or now_ms >= window.end_ms
            return Close(Closing.FINAL) if is_over else Wait(window.end_ms)
        if next_arrived_ms >= window.end_ms:
            return Close(Closing.FINAL)
    return Wait() if next_arrived_ms is None else Deliver()


def window_members(window: OpenWindow, *, shard_id: str, source_arn: str) -> bytes:
    """Build the members that a window adds to the event after its `Records`, as JSON without the braces.

    The invocation that ends a window early is a final one too, so that a function which flushes on
    `isFinalInvokeForWindow` alone loses no state (the fact sheet is silent).
    """
    members = {
        "window": {"start": _iso_seconds(window.start_ms), "end": _iso_seconds(window.end_ms)},
        "state": msgspec.Raw((window.state or FRESH_STATE).encode()),
        "shardId": shard_id,
        "eventSourceARN": source_arn,
        "isFinalInvokeForWindow": window.closing is not None,
        "isWindowTerminatedEarly": window.closing is Closing.EARLY,
    }
    return msgspec.json.encode(members)[1:-1]


def fits_event(state: str) -> bool:
    """Say whether the window's next event can carry this state."""
    return not _is_over_limit(state, STATE_CEILING_BYTES)


def _is_over_limit(state: str, limit_bytes: int) -> bool:
    return len(state) > limit_bytes or (not state.isascii() and len(state.encode()) > limit_bytes)


def _iso_seconds(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms // 1_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
