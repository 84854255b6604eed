"""What the end of a process means for the invocation that it was running.

Source: lambda-semantics §1.7, §5.6.
"""

from __future__ import annotations

import enum

from eventrouter.rules import failure
from eventrouter.rules.outcome import FunctionFailed, RunStatus, Succeeded
from eventrouter.runtime import wire

RAW_CONTENT_TYPE = "application/unknown"

_SIGNAL_NAMES = {
    1: "hangup", 2: "interrupt", 3: "quit", 4: "illegal instruction", 5: "trace/breakpoint trap", 6: "aborted",
    7: "bus error", 8: "floating point exception", 9: "killed", 10: "user defined signal 1",
    11: "segmentation fault", 12: "user defined signal 2", 13: "broken pipe", 14: "alarm clock", 15: "terminated",
}  # fmt: skip
"""Signals as the Lambda supervisor, a Go program, writes them."""


class Cause(enum.Enum):
    """Why we killed a process."""

    TIMEOUT = enum.auto()
    INIT_TIMEOUT = enum.auto()
    MEMORY = enum.auto()
    ENDING = enum.auto()


def of_answer(kind: int, error_type: str, body: bytes) -> tuple[Succeeded | FunctionFailed, RunStatus]:
    """Turn an environment's answer into an outcome."""
    if kind == wire.SUCCEEDED:
        return Succeeded(payload=body), RunStatus.SUCCESS
    if kind == wire.SUCCEEDED_RAW:
        return Succeeded(payload=body, content_type=RAW_CONTENT_TYPE), RunStatus.SUCCESS
    if kind == wire.TOO_LARGE:
        return failure.too_large(), RunStatus.FAILURE
    return FunctionFailed(payload=body, error_type=error_type), RunStatus.FAILURE


def of_end(
    request_id: str, *, cause: Cause | None, code: int, init_error: FunctionFailed | None, timeout_s: float
) -> tuple[FunctionFailed, RunStatus]:
    """Turn the end of a process into the outcome of the invocation that it was running.

    `code` is the exit code, negative for a signal; `init_error` is what init answered before, if it failed.
    """
    if cause is Cause.TIMEOUT:
        return failure.timed_out(request_id, timeout_s), RunStatus.TIMEOUT
    if cause is Cause.MEMORY:
        return failure.out_of_memory(request_id), RunStatus.ERROR
    if init_error is not None:
        return init_error, RunStatus.ERROR
    if code < 0:
        return failure.exited(request_id, signal_name=_signal_name(-code)), RunStatus.ERROR
    return failure.exited(request_id, status=code), RunStatus.ERROR


def of_failed_init(*, cause: Cause | None, init_error: FunctionFailed | None) -> tuple[str, RunStatus]:
    """Return error type and status that INIT_REPORT names for an init that failed."""
    if cause in {Cause.INIT_TIMEOUT, Cause.TIMEOUT}:
        return "", RunStatus.TIMEOUT
    if cause is Cause.MEMORY:
        return failure.OUT_OF_MEMORY, RunStatus.ERROR
    return (init_error.error_type if init_error is not None else failure.EXITED), RunStatus.ERROR


def _signal_name(number: int) -> str:
    return _SIGNAL_NAMES.get(number, f"signal {number}")
