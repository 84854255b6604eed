"""Invoke and InvokeAsync: the one hot path of the door, read and answered by hand.

On the happy path no model is consulted: headers and query in, bytes out, with what was parsed before remembered
by its raw bytes. Anything unusual falls back to the model's own checks and texts.
Source: lambda-semantics §1.1-1.6, §1.9.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol
from urllib.parse import parse_qs, unquote

from eventrouter.api.auth import Signature
from eventrouter.api.http import Header, Request, Response
from eventrouter.api.lambda_.errors import (
    RETRY_AFTER_S,
    conflict,
    function_not_found,
    service_error,
    too_large,
)
from eventrouter.api.protocol.models import service_model
from eventrouter.api.protocol.rest_json import JSON_TYPE, RestJson
from eventrouter.api.protocol.validate import check
from eventrouter.clock import Clock
from eventrouter.errors import RequestError
from eventrouter.rules import limits
from eventrouter.rules.function import Function, State
from eventrouter.rules.invocation import Invocation
from eventrouter.rules.names import LATEST, FunctionReference, parse_reference
from eventrouter.rules.outcome import FunctionFailed, Run, Succeeded, Throttled
from eventrouter.rules.payload import json_problem
from eventrouter.rules.report import log_tail
from eventrouter.settings import Settings

if TYPE_CHECKING:
    from eventrouter.store import Functions

_CACHE_LIMIT = 4_096
_UUID = re.compile(rb"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")
_UNHANDLED: Header = (b"x-amz-function-error", b"Unhandled")
_REMAPPED: Header = (b"x-amzn-remapped-content-length", b"0")
_TYPES = frozenset({b"RequestResponse", b"Event", b"DryRun"})
_LOG_TYPES = frozenset({b"None", b"Tail"})
_UNUSUAL = (b"x-amz-tenant-id", b"x-amz-durable-execution-name", b"x-amzn-requestid")

Headers = Mapping[bytes, bytes]


class SyncInvoker(Protocol):
    """Runs an invocation whose caller waits."""

    async def invoke(self, function: Function, invocation: Invocation) -> Run | Throttled: ...


class EventAcceptor(Protocol):
    """Takes an asynchronous event; returns once it is durable."""

    async def accept(self, function: Function, invocation: Invocation) -> None: ...


class InvokeDoor:
    """Answers Invoke and InvokeAsync."""

    def __init__(
        self,
        *,
        functions: Functions,
        sync: SyncInvoker,
        events: EventAcceptor,
        settings: Settings,
        clock: Clock,
    ) -> None:
        self._functions = functions
        self._sync = sync
        self._events = events
        self._event_limit = settings.async_max_payload_bytes
        self._clock = clock
        self._references: dict[tuple[bytes, bytes, str, str], FunctionReference] = {}

    async def invoke(
        self, label: bytes, query: bytes, headers: Headers, body: bytes, signature: Signature, request_id: str
    ) -> Response:
        """Answer one Invoke. `label` is the FunctionName of the path, percent-encoded.

        `request_id` becomes the invocation's id. Raises RequestError, and what the planes raise.
        """
        kind = headers.get(b"x-amz-invocation-type", b"RequestResponse")
        log_type = headers.get(b"x-amz-log-type", b"None")
        reference = self._references.get((label, query, signature.account, signature.region))
        if reference is None:
            reference = self._parse(label, query, headers, signature)
        elif kind not in _TYPES or log_type not in _LOG_TYPES:
            self._check_model(label, query, headers)
        for name in _UNUSUAL:
            if name in headers:
                _refuse_unusual(headers)
        limit = self._event_limit if kind == b"Event" else limits.SYNC_REQUEST_BYTES
        if len(body) > limit:
            raise too_large(len(body), kind.decode(), limit)
        function = self._invocable(reference)
        payload = _event(body)
        trace = headers.get(b"x-amzn-trace-id")
        invocation = Invocation(
            request_id=request_id,
            reference=reference,
            payload=payload,
            trace=self._new_trace(request_id) if trace is None else trace.decode("latin-1"),
            client_context=_client_context(headers) if kind == b"RequestResponse" else None,
        )
        if kind == b"RequestResponse":
            return await self._run(function, invocation, tail=log_type == b"Tail")
        if kind == b"Event":
            await self._events.accept(function, invocation)
            return Response(202, headers=(_trace_header(invocation),))
        return Response(204)

    async def invoke_async(self, label: bytes, body: bytes, signature: Signature, request_id: str) -> Response:
        """Answer one InvokeAsync: no qualifier parameter, no trace, a limit of 256 KB. Raises as `invoke` does."""
        reference = self._references.get((label, b"", signature.account, signature.region))
        if reference is None:
            reference = self._parse(label, b"", {}, signature)
        if len(body) > limits.INVOKE_ASYNC_REQUEST_BYTES:
            raise too_large(len(body), "Event", limits.INVOKE_ASYNC_REQUEST_BYTES)
        function = self._invocable(reference)
        trace = self._new_trace(request_id)
        invocation = Invocation(request_id=request_id, reference=reference, payload=_event(body), trace=trace)
        await self._events.accept(function, invocation)
        return Response(202, b'{"Status":202}', (JSON_TYPE,))

    def _parse(self, label: bytes, query: bytes, headers: Headers, signature: Signature) -> FunctionReference:
        self._check_model(label, query, headers)
        qualifier = parse_qs(query.decode("latin-1")).get("Qualifier", [None])[0]
        account, region = signature.account, signature.region
        reference = parse_reference(unquote(label.decode("latin-1")), qualifier, account=account, region=region)
        if len(self._references) >= _CACHE_LIMIT:
            self._references.clear()
        self._references[(label, query, account, region)] = reference
        return reference

    @staticmethod
    def _check_model(label: bytes, query: bytes, headers: Headers) -> None:
        """Check names and headers as the model wants them. Raises RequestError (ValidationException)."""
        operation = service_model("lambda").operation("Invoke")
        request = Request(method="POST", path="", query=query, headers=headers)
        labels = {"FunctionName": unquote(label.decode("latin-1"))}
        values = RestJson().parse(operation, request, labels)
        if operation.input is not None:
            check(operation.input, values)

    def _invocable(self, reference: FunctionReference) -> Function:
        """Return the function, if it exists at that qualifier and its state allows invocations."""
        function = self._functions.runnable(reference.function)
        if function is None or reference.version != LATEST:
            raise function_not_found(reference.function, reference.version)
        if function.state is not State.ACTIVE:
            raise conflict(
                "The operation cannot be performed at this time. The function is currently in the following state: "
                f"{function.state}"
            )
        return function

    async def _run(self, function: Function, invocation: Invocation, *, tail: bool) -> Response:
        run = await self._sync.invoke(function, invocation)
        if isinstance(run, Throttled):
            raise RequestError(
                "TooManyRequestsException",
                "Rate Exceeded.",
                members={"Reason": run.reason, "retryAfterSeconds": RETRY_AFTER_S},
            )
        headers = [JSON_TYPE, (b"x-amz-executed-version", run.version.encode()), _REMAPPED]
        headers.append(_trace_header(invocation))
        if tail:
            log = log_tail(invocation.request_id, run, function.logging)
            headers.append((b"x-amz-log-result", base64.b64encode(log)))
        outcome = run.outcome
        if isinstance(outcome, Succeeded):
            if outcome.content_type != "application/json":
                headers[0] = (b"content-type", outcome.content_type.encode("latin-1", "replace"))
            return Response(200, outcome.payload, tuple(headers))
        if isinstance(outcome, FunctionFailed):
            return Response(200, outcome.payload, (*headers, _UNHANDLED))
        raise service_error(outcome.message)

    def _new_trace(self, request_id: str) -> str:
        """Make a trace header for a caller that sent none: not sampled, derived from the request's own id."""
        digits = request_id.replace("-", "")
        seconds = self._clock.now_ms() // 1_000
        return f"Root=1-{seconds:08x}-{digits[:24]};Parent={digits[16:]};Sampled=0"


def _trace_header(invocation: Invocation) -> Header:
    return (b"x-amzn-trace-id", invocation.trace.encode("latin-1", "replace"))


def _event(body: bytes) -> bytes:
    """Return the event: `{}` for no body. Raises RequestError (InvalidRequestContentException)."""
    if not body:
        return b"{}"
    problem = json_problem(body)
    if problem is not None:
        raise RequestError(
            "InvalidRequestContentException",
            f"Could not parse request body into json: Could not parse payload into json: {problem}",
        )
    return body


def _client_context(headers: Headers) -> str | None:
    encoded = headers.get(b"x-amz-client-context")
    if not encoded:
        return None
    if len(encoded) > limits.CLIENT_CONTEXT_BYTES:
        raise RequestError(
            "InvalidRequestContentException",
            f"Client context must be no larger than {limits.CLIENT_CONTEXT_BYTES} bytes.",
        )
    try:
        text = base64.b64decode(encoded, validate=True)
        if json_problem(text) is None:
            return text.decode()
    except (binascii.Error, UnicodeDecodeError):
        pass
    raise RequestError("InvalidRequestContentException", "Client context must be a valid Base64-encoded JSON object.")


def _refuse_unusual(headers: Headers) -> None:
    """Refuse headers that only functions of other kinds understand, and request ids that are none."""
    request_id = headers.get(b"x-amzn-requestid")
    if request_id is not None and _UUID.fullmatch(request_id) is None:
        raise RequestError("InvalidRequestContentException", "The x-amzn-RequestId header is not a valid UUID.")
    if b"x-amz-tenant-id" in headers:
        raise RequestError(
            "InvalidParameterValueException",
            "The invoked function is not enabled with tenancy configuration. Remove the X-Amz-Tenant-Id header.",
        )
    if b"x-amz-durable-execution-name" in headers:
        raise RequestError(
            "InvalidParameterValueException",
            "The invoked function is not a durable function. Remove the X-Amz-Durable-Execution-Name header.",
        )
