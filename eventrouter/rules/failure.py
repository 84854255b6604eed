"""The error payloads that a function's caller sees, to the byte: key order, spacing and wording are AWS's.

The platform's own errors are compact JSON with `errorType` first; an exception of the function has the Python
runtime's shape, `errorMessage` first and Python's spacing. Source: lambda-semantics §1.5, §1.7.
"""

from __future__ import annotations

import json
from typing import Any

from eventrouter.rules.outcome import FunctionFailed

RESPONSE_LIMIT_BYTES = 6_291_556
"""The largest response of a synchronous invocation: 6 MB and 100 bytes. Source: lambda-semantics §1.5."""

TIMED_OUT = "Sandbox.Timedout"
EXITED = "Runtime.ExitError"
OUT_OF_MEMORY = "Runtime.OutOfMemory"
TOO_LARGE = "Function.ResponseSizeTooLarge"

_COMPACT = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False)


def timed_out(request_id: str, timeout_s: float) -> FunctionFailed:
    """Build the answer of a run that was ended after the function's `timeout_s` seconds."""
    return _platform(TIMED_OUT, f"RequestId: {request_id} Error: Task timed out after {timeout_s:.2f} seconds")


def exited(request_id: str, *, status: int | None = None, signal_name: str | None = None) -> FunctionFailed:
    """Build the answer of a run whose process ended by itself.

    `signal_name` is the kernel's word for the signal (`killed`, `segmentation fault`); without one, an exit
    `status` other than 0 is named, and a clean exit is called an exit without a reason.
    """
    if signal_name:
        why = f"Runtime exited with error: signal: {signal_name}"
    elif status:
        why = f"Runtime exited with error: exit status {status}"
    else:
        why = "Runtime exited without providing a reason"
    return _platform(EXITED, f"RequestId: {request_id} Error: {why}")


def out_of_memory(request_id: str) -> FunctionFailed:
    """Build the answer of a run that was killed for its memory.

    The payload is that of any kill; `error_type`, which the report shows, is its own.
    """
    return FunctionFailed(payload=exited(request_id, signal_name="killed").payload, error_type=OUT_OF_MEMORY)


def too_large() -> FunctionFailed:
    """Build the answer of a run whose result was over the limit. It names no request."""
    message = f"Response payload size exceeded maximum allowed payload size ({RESPONSE_LIMIT_BYTES} bytes)."
    return _failed({"errorMessage": message, "errorType": TOO_LARGE}, TOO_LARGE)


def raised(*, error_type: str, message: str, request_id: str, stack_trace: list[str]) -> FunctionFailed:
    """Build the answer of an exception, as the Python runtime does. `request_id` is empty for one during init."""
    fields = {"errorMessage": message, "errorType": error_type, "requestId": request_id, "stackTrace": stack_trace}
    return FunctionFailed(payload=json.dumps(fields).encode(), error_type=error_type)


def error_message_of(payload: bytes) -> str:
    """Return the `errorMessage` of an error payload, empty where there is none. Takes any bytes."""
    return _member(payload, "errorMessage")


def error_type_of(payload: bytes) -> str:
    """Return the `errorType` of an error payload, empty where there is none. Takes any bytes."""
    return _member(payload, "errorType")


def _platform(error_type: str, message: str) -> FunctionFailed:
    return _failed({"errorType": error_type, "errorMessage": message}, error_type)


def _failed(fields: dict[str, str], error_type: str) -> FunctionFailed:
    return FunctionFailed(payload=_COMPACT.encode(fields).encode(errors="replace"), error_type=error_type)


def _member(payload: bytes, name: str) -> str:
    try:
        fields: Any = json.loads(payload)
    except (ValueError, RecursionError):
        return ""
    value = fields.get(name) if isinstance(fields, dict) else None
    return value if isinstance(value, str) else ""
