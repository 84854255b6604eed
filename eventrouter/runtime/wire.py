"""What the node and an environment say to each other. Standard library only: both sides load it.

Commands (node to environment) go over a SOCK_SEQPACKET pair, one message each, so that a message is either still
unread or taken whole: the node keeps a duplicate of the environment's end and can take back invocations that
have not been started. A payload above INLINE_BYTES travels in a memory file passed beside its message.

Results (environment to node) go over a SOCK_STREAM pair: each is a header and a body.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

INLINE_BYTES = 65_536

_INVOKE = struct.Struct("!36sIQIIII")
_RESULT = struct.Struct("!IBQIII")
RESULT_HEADER_BYTES = _RESULT.size

# Kinds of results.
READY = 0  # init is done; body is empty
INIT_FAILED = 1  # body is the error object
SUCCEEDED = 2  # body is the handler's result as JSON
SUCCEEDED_RAW = 3  # body is a bytes result, passed on as it is
FAILED = 4  # body is the error object
TOO_LARGE = 5  # the result was over the limit; body is empty


class Command(NamedTuple):
    """One invocation as it is sent. `timeout_ms` runs from the moment the environment starts it."""

    request_id: str
    timeout_ms: int
    arn: str
    trace: str
    client_context: str
    payload: bytes


class Result(NamedTuple):
    """One answer. `log_end` is the size of the log file when the handler was done; `duration_us` is the handler's
    (or init's) own time; `error_type` names the error of the failing kinds.
    """

    kind: int
    log_end: int
    duration_us: int
    max_rss_kb: int
    error_type: str
    body: bytes


def pack_command(command: Command, *, inline: bool) -> bytes:
    """Build one command message; with `inline` False the payload is left to the memory file."""
    request_id, timeout_ms, arn, trace, client_context, payload = command
    raw_arn, raw_trace, raw_context = arn.encode(), trace.encode(), client_context.encode()
    head = _INVOKE.pack(
        request_id.encode(),
        timeout_ms,
        len(payload),
        len(raw_arn),
        len(raw_trace),
        len(raw_context),
        1 if inline else 0,
    )
    return b"".join((head, raw_arn, raw_trace, raw_context, payload if inline else b""))


def unpack_command(message: bytes) -> tuple[Command, int]:
    """Read a command message. Returns the command and the length of a payload still to be read from the memory
    file that came beside the message (0: the payload is inline and complete).
    """
    request_id, timeout_ms, payload_bytes, arn, trace, context, inline = _INVOKE.unpack_from(message)
    at = _INVOKE.size
    arn_end = at + arn
    trace_end = arn_end + trace
    context_end = trace_end + context
    command = Command(
        request_id.rstrip(b"\0").decode(),
        timeout_ms,
        message[at:arn_end].decode(),
        message[arn_end:trace_end].decode(),
        message[trace_end:context_end].decode(),
        message[context_end:] if inline else b"",
    )
    return command, 0 if inline else payload_bytes


def pack_result(result: Result) -> bytes:
    """Build one result."""
    kind, log_end, duration_us, max_rss_kb, error_type, body = result
    raw_type = error_type.encode()[:255]
    head = _RESULT.pack(len(raw_type) + len(body), kind, log_end, duration_us, max_rss_kb, len(raw_type))
    return b"".join((head, raw_type, body))


def unpack_result_header(data: bytes | bytearray | memoryview, at: int) -> tuple[int, int, int, int, int, int]:
    """Read a header at offset `at`: (bytes that follow, kind, log_end, duration_us, max_rss_kb, type bytes)."""
    return _RESULT.unpack_from(data, at)
