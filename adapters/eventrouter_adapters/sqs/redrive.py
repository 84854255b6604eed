"""Redrive: which queue gets what was received too often, and who may use a queue for that.

Source: lambda-semantics §8.2 (RedrivePolicy, RedriveAllowPolicy), §8.6.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from eventrouter_adapters.sqs import errors
from eventrouter_adapters.sqs.addresses import parse_queue_arn

ALLOW_ALL = "allowAll"
DENY_ALL = "denyAll"
BY_QUEUE = "byQueue"
MAXIMUM_RECEIVES = 1_000
MAXIMUM_SOURCES = 10

_POLICY = "RedrivePolicy"
_ALLOW = "RedriveAllowPolicy"


@dataclass(frozen=True, slots=True, kw_only=True)
class RedrivePolicy:
    """After `max_receive_count` receives a message moves to the queue `target_arn`."""

    target_arn: str
    max_receive_count: int

    @property
    def text(self) -> str:
        """Return the policy as it is answered."""
        shown = {"deadLetterTargetArn": self.target_arn, "maxReceiveCount": self.max_receive_count}
        return msgspec.json.encode(shown).decode()


def parse_redrive_policy(text: str) -> RedrivePolicy:
    """Read a RedrivePolicy; its count may be a number or text. Raises RequestError."""
    document = _object(text)
    if document is None:
        raise errors.invalid_value(text, _POLICY, "Redrive policy is not a valid JSON map.")
    target, count = document.get("deadLetterTargetArn"), document.get("maxReceiveCount")
    for name, value in (("deadLetterTargetArn", target), ("maxReceiveCount", count)):
        if value is None or value == "":
            raise errors.invalid_value(text, _POLICY, f"Redrive policy does not contain mandatory attribute: {name}.")
    number = _whole(count)
    if number is None or not 1 <= number <= MAXIMUM_RECEIVES:
        raise errors.invalid_value(
            text,
            _POLICY,
            f"Invalid value for maxReceiveCount: {count}, "
            f"valid values are from 1 to {MAXIMUM_RECEIVES} both inclusive.",
        )
    if not isinstance(target, str) or parse_queue_arn(target) is None:
        raise errors.invalid_value(text, _POLICY, "Dead letter target ARN is invalid.")
    return RedrivePolicy(target_arn=target, max_receive_count=number)


def check_allow_policy(text: str) -> str:
    """Return a RedriveAllowPolicy, written without blanks. Raises RequestError if it is none."""
    document = _object(text)
    if document is None:
        raise errors.invalid_value(text, _ALLOW, "Redrive allow policy is not a valid JSON map.")
    permission, sources = document.get("redrivePermission"), document.get("sourceQueueArns")
    if permission not in (ALLOW_ALL, DENY_ALL, BY_QUEUE):
        raise errors.invalid_value(
            text, _ALLOW, f"redrivePermission must be one of [{ALLOW_ALL}, {DENY_ALL}, {BY_QUEUE}]."
        )
    if permission != BY_QUEUE:
        if sources is not None:
            raise errors.invalid_value(
                text, _ALLOW, f"sourceQueueArns can be set only when redrivePermission is {BY_QUEUE}."
            )
    elif not isinstance(sources, list) or not 1 <= len(sources) <= MAXIMUM_SOURCES:
        raise errors.invalid_value(text, _ALLOW, f"sourceQueueArns must hold 1 to {MAXIMUM_SOURCES} queue ARNs.")
    elif any(not isinstance(arn, str) or parse_queue_arn(arn) is None for arn in sources):
        raise errors.invalid_value(text, _ALLOW, "sourceQueueArns must hold ARNs of queues.")
    return msgspec.json.encode(document).decode()


def allows(allow_policy: str | None, source_arn: str) -> bool:
    """Say whether a queue of this RedriveAllowPolicy takes what `source_arn` gives up."""
    if not allow_policy:
        return True
    document = msgspec.json.decode(allow_policy)
    permission = document["redrivePermission"]
    return permission == ALLOW_ALL or (permission == BY_QUEUE and source_arn in document["sourceQueueArns"])


def _object(text: str) -> dict[str, Any] | None:  # Any: JSON
    """Return the JSON object that `text` is, None if it is none."""
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _whole(count: object) -> int | None:
    """Return a count that is given as a number or as text."""
    if isinstance(count, str) and count.isascii() and count.isdigit() and len(count) < 10:
        return int(count)
    return count if isinstance(count, int) and not isinstance(count, bool) else None
