"""The messages that an asynchronous event leaves behind: invocation records and dead letters.

Source: lambda-semantics §3.3 (records), §3.5 (dead letters), §3.2 (both may be set; both then get their own).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import msgspec

from eventrouter.rules.failure import error_message_of
from eventrouter.rules.function import Function
from eventrouter.rules.names import LATEST
from eventrouter.rules.outcome import FunctionFailed, Outcome, Succeeded, Throttled
from eventrouter.rules.retry import Condition

RECORD_LIMIT_BYTES = 1_048_576  # what SQS and an asynchronous invocation take: lambda-semantics §8.2, §1.5
ERROR_MESSAGE_LIMIT_BYTES = 1_024
DEAD_LETTER_ID_SUFFIX = "dead-letter"


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedEvent:
    """An event that has ended, with all that its messages tell.

    `invoke_count` is the number of attempts that ran. `outcome` is the last attempt's; None if none ever ran
    and nothing else is known. `version` is the version that the last attempt ran.
    """

    request_id: str
    function: Function
    qualifier: str | None
    payload: bytes
    condition: Condition
    invoke_count: int
    outcome: Outcome | None
    ended_at_ms: int
    trace: str = ""
    version: str = LATEST


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message to send: where, a derived id (the same whenever it is built again), the body, attributes."""

    id: str
    arn: str
    body: bytes
    is_dead_letter: bool
    attributes: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    trace: str = ""


def message_ids(request_id: str) -> list[str]:
    """Return the ids that messages about the event of a request may have."""
    return [f"{request_id}:{suffix}" for suffix in (*Condition, DEAD_LETTER_ID_SUFFIX)]


def messages_of(event: EndedEvent) -> tuple[Message, ...]:
    """Return what must be sent for an ended event: its destination's record, its dead letter, both or none."""
    config = event.function.event_invoke_config(event.qualifier)
    succeeded = event.condition is Condition.SUCCESS
    destination = config.on_success if succeeded else config.on_failure
    messages: list[Message] = []
    if destination:
        messages.append(
            Message(
                id=f"{event.request_id}:{event.condition}",
                arn=destination,
                body=invocation_record(event),
                is_dead_letter=False,
                trace=event.trace,
            )
        )
    if not succeeded and event.function.dead_letter_target:
        messages.append(
            Message(
                id=f"{event.request_id}:{DEAD_LETTER_ID_SUFFIX}",
                arn=event.function.dead_letter_target,
                body=event.payload,
                is_dead_letter=True,
                attributes=dead_letter_attributes(event),
                trace=event.trace,
            )
        )
    return tuple(messages)


def invocation_record(event: EndedEvent) -> bytes:
    """Build the record that a destination receives, as JSON.

    Payloads are embedded as JSON values. They are left out if the record would pass RECORD_LIMIT_BYTES.
    """
    record = _record(event, with_payloads=True)
    return record if len(record) <= RECORD_LIMIT_BYTES else _record(event, with_payloads=False)


def dead_letter_attributes(event: EndedEvent) -> dict[str, tuple[str, str]]:
    """Build the message attributes of a dead letter: RequestID, ErrorCode (a Number) and ErrorMessage."""
    match event.outcome:
        case FunctionFailed(payload=payload):
            code, message = "200", error_message_of(payload)
        case Throttled() | None:
            code, message = "429", "Rate Exceeded."
        case _:
            code, message = "500", "The service could not run the function."
    attributes = {"RequestID": ("String", event.request_id), "ErrorCode": ("Number", code)}
    clipped = message.encode()[:ERROR_MESSAGE_LIMIT_BYTES].decode(errors="ignore")
    if clipped:  # an empty attribute value is not a legal SQS message attribute
        attributes["ErrorMessage"] = ("String", clipped)
    return attributes


def iso_timestamp(at_ms: int) -> str:
    """Render wall milliseconds as `2019-11-14T18:16:05.568Z`."""
    return datetime.fromtimestamp(at_ms / 1_000, UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{at_ms % 1_000:03d}Z"


def _record(event: EndedEvent, *, with_payloads: bool) -> bytes:
    record: dict[str, Any] = {
        "version": "1.0",
        "timestamp": iso_timestamp(event.ended_at_ms),
        "requestContext": {
            "requestId": event.request_id,
            "functionArn": event.function.name.arn(event.qualifier or LATEST),
            "condition": event.condition.value,
            "approximateInvokeCount": event.invoke_count,
        },
    }
    if with_payloads:
        record["requestPayload"] = _as_json(event.payload)
    if isinstance(event.outcome, Succeeded | FunctionFailed):
        context: dict[str, Any] = {"statusCode": 200, "executedVersion": event.version}
        if isinstance(event.outcome, FunctionFailed):
            context["functionError"] = "Unhandled"
        record["responseContext"] = context
        if with_payloads:
            record["responsePayload"] = _as_json(event.outcome.payload)
    return msgspec.json.encode(record)


def _as_json(payload: bytes) -> msgspec.Raw | str:
    """Embed bytes as the JSON they are, or as a string where a handler answered something else."""
    try:
        msgspec.json.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return payload.decode(errors="replace")
    return msgspec.Raw(payload)
