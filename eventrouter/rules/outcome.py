"""What one invocation did. Runtime produces these, rules judge them, doors and records render them.

These are built for every run, so they are structs: a third of the cost of a frozen dataclass.
"""

from __future__ import annotations

import enum

import msgspec


class ThrottleReason(enum.StrEnum):
    """Why an invocation found no concurrency. Source: lambda-semantics §1.6 (TooManyRequestsException.Reason)."""

    ACCOUNT = "ConcurrentInvocationLimitExceeded"
    RESERVED = "ReservedFunctionConcurrentInvocationLimitExceeded"


class Succeeded(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag=True):
    """The handler returned. `payload` is the response body, byte for byte."""

    payload: bytes
    content_type: str = "application/json"


class FunctionFailed(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag=True):
    """The handler raised, timed out, exited or answered too much. `payload` is the error object, as JSON.

    `error_type` is the runtime's own (`Runtime.ExitError`, `Sandbox.Timedout`) or the exception's class name.
    Source: lambda-semantics §1.7.
    """

    payload: bytes
    error_type: str


class Throttled(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag=True):
    """There was no slot. The function did not run."""

    reason: ThrottleReason


class SystemFault(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag=True):
    """We failed, not the function."""

    message: str


Outcome = Succeeded | FunctionFailed | Throttled | SystemFault


class RunStatus(enum.StrEnum):
    """How a run ended, as the REPORT line and `platform.report` name it. Source: lambda-semantics §5.6."""

    SUCCESS = "success"
    FAILURE = "failure"
    ERROR = "error"
    TIMEOUT = "timeout"


class Run(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One run of one invocation in one environment, complete: what it did, how long, and what it printed.

    `init_ms` is set on the first invocation of a new environment only. `log` holds what the function wrote to
    stdout and stderr, without the START, END and REPORT lines (those come from `rules.report`).
    """

    outcome: Succeeded | FunctionFailed | SystemFault
    status: RunStatus
    version: str
    log_group: str
    log_stream: str
    started_at_ms: int
    duration_ms: float
    memory_mb: int
    max_memory_mb: int
    init_ms: float | None = None
    log: bytes = b""
