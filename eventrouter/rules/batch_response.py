"""What a function's answer says about a batch of a stream: every row of the fact sheet's table.

Source: lambda-semantics §4.6 (ReportBatchItemFailures, all response cases; tumbling windows).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, assert_never

import msgspec

from eventrouter.rules.outcome import FunctionFailed, Outcome, Succeeded, SystemFault, Throttled
from eventrouter.rules.shard import BatchDone, BatchFailed, BatchFailedFrom, BatchNotRun, Result
from eventrouter.rules.window import fits_event

_FAILURES = "batchItemFailures"
_IDENTIFIER = "itemIdentifier"
_STATE = "state"


class Malformed(ValueError):
    """The answer is not one that the function may give."""


def read_response(
    outcome: Outcome,
    identifiers: Sequence[str],
    *,
    reports_item_failures: bool,
    in_window: bool = False,
    is_final: bool = False,
) -> Result:
    """Say what one invocation did to its batch, whose records have `identifiers`, in order.

    The answer is looked at only if the mapping has the response type or a tumbling window. A window's answer needs
    a `state` object, except that of its closing invocation (`is_final`), whose state nobody will see. Answers that
    the fact sheet does not list (other JSON types than an object, identifiers that are no text) fail the batch, as
    does a state too large for the next event.
    """
    match outcome:
        case Throttled() | SystemFault():
            return BatchNotRun()
        case FunctionFailed():
            return BatchFailed()
        case Succeeded(payload=payload):
            pass
        case _:
            assert_never(outcome)
    if not (reports_item_failures or in_window):
        return BatchDone()
    try:
        members = _members(payload)
        state = _state(members) if in_window and not is_final else None
        failures = _failures(members, in_window=in_window) if reports_item_failures else ()
        index = _lowest(failures, identifiers)
    except (Malformed, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return BatchFailed()
    return BatchDone(state) if index is None else BatchFailedFrom(index, state)


def failed_positions(payload: bytes, identifiers: Sequence[str]) -> frozenset[int]:
    """Return the positions of the items that an answer reports as failed, outside of windows. Raises Malformed."""
    try:
        return frozenset(_positions(_failures(_members(payload), in_window=False), identifiers))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed from error


def _members(payload: bytes) -> Mapping[str, msgspec.Raw]:
    """Return the members of an answer; none if it says nothing: no bytes, null, an empty list or text."""
    if not payload.strip():
        return {}
    try:
        return _MEMBERS.decode(payload)
    except msgspec.ValidationError as error:  # JSON, but no object
        if msgspec.json.decode(payload) in (None, [], ""):
            return {}
        raise Malformed from error


def _state(members: Mapping[str, msgspec.Raw]) -> str:
    """Return the window's state as the function wrote it: it must reach the next invocation unchanged."""
    state = bytes(members.get(_STATE, b"")).decode()
    if not state.startswith("{") or not fits_event(state):
        raise Malformed
    return state


def _failures(members: Mapping[str, msgspec.Raw], *, in_window: bool) -> Sequence[Any]:
    """Return the reported failures. An object that has members but not this one is wrong, except in a window."""
    raw = members.get(_FAILURES)
    if raw is None:
        if members and not in_window:
            raise Malformed
        return ()
    failures = msgspec.json.decode(raw)
    if failures is None:
        return ()
    if not isinstance(failures, list):
        raise Malformed
    return failures


def _lowest(failures: Sequence[Any], identifiers: Sequence[str]) -> int | None:
    return min(_positions(failures, identifiers), default=None)


def _positions(failures: Sequence[Any], identifiers: Sequence[str]) -> Sequence[int]:
    if not failures:
        return ()
    positions = {identifier: index for index, identifier in enumerate(identifiers)}
    found: list[int] = []
    for failure in failures:
        identifier = failure.get(_IDENTIFIER) if isinstance(failure, dict) else None
        if not isinstance(identifier, str) or identifier not in positions:
            raise Malformed
        found.append(positions[identifier])
    return found


_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
