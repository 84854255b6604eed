"""An invocation: one wanted run of a function, whichever way it was asked for."""

from __future__ import annotations

import msgspec

from eventrouter.rules.names import FunctionReference


class Invocation(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What the handler is given.

    `payload` is the event as JSON bytes (never empty: `{}` stands for no body). `client_context` is decoded
    JSON text, for synchronous calls only. `trace` is the X-Amzn-Trace-Id header's value.
    """

    request_id: str
    reference: FunctionReference
    payload: bytes
    trace: str = ""
    client_context: str | None = None
