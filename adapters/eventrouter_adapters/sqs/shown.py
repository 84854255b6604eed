"""Messages as ReceiveMessage shows them. Source: lambda-semantics §8.4."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from eventrouter.store.queues import ReceivedMessage
from eventrouter_adapters.sqs import errors
from eventrouter_adapters.sqs.digests import md5_of_attributes, md5_of_body
from eventrouter_adapters.sqs.messages import Extras
from eventrouter_adapters.sqs.receipts import encode_receipt

ALL = "All"
_SYSTEM_NAMES = frozenset(
    {
        ALL,
        "SenderId",
        "SentTimestamp",
        "ApproximateReceiveCount",
        "ApproximateFirstReceiveTimestamp",
        "SequenceNumber",
        "MessageDeduplicationId",
        "MessageGroupId",
        "AWSTraceHeader",
        "DeadLetterQueueSourceArn",
    }
)


def check_system_names(names: Collection[str]) -> None:
    """Raise RequestError for a name that is no system attribute's."""
    for name in names:
        if name not in _SYSTEM_NAMES:
            raise errors.unknown_attribute(name)


def show_message(
    message: ReceivedMessage, system_names: Collection[str], user_names: Collection[str]
) -> dict[str, Any]:  # Any: model values
    """Return a message as the API shows it, with the attributes that are asked for."""
    extras = Extras.decode(message.extras)
    answer: dict[str, Any] = {
        "MessageId": message.receipt.id,
        "ReceiptHandle": encode_receipt(message.receipt),
        "MD5OfBody": md5_of_body(message.body),
        "Body": message.body.decode(),
    }
    if system_names:
        shown = system_attributes(message, extras)
        asked = {name: text for name, text in shown.items() if ALL in system_names or name in system_names}
        if asked:
            answer["Attributes"] = asked
    user = {name: value for name, value in extras.attributes.items() if _is_asked_for(name, user_names)}
    if user:
        answer["MD5OfMessageAttributes"] = md5_of_attributes(user)
        answer["MessageAttributes"] = {name: value.wire() for name, value in user.items()}
    return answer


def system_attributes(message: ReceivedMessage, extras: Extras) -> dict[str, str]:
    """Return the system attributes that a message has."""
    first_received_at = message.first_received_at_ms
    found = {
        "SenderId": message.sender,
        "SentTimestamp": str(message.sent_at_ms),
        "ApproximateReceiveCount": str(message.receipt.count),
        "ApproximateFirstReceiveTimestamp": str(first_received_at) if first_received_at else "",
        "SequenceNumber": message.sequence_number,
        "MessageDeduplicationId": message.deduplication_id,
        "MessageGroupId": message.group,
        "AWSTraceHeader": extras.trace,
        "DeadLetterQueueSourceArn": message.source_arn,
    }
    return {name: text for name, text in found.items() if text}


def _is_asked_for(name: str, patterns: Collection[str]) -> bool:
    """Say whether MessageAttributeNames asks for `name`: `All`, `.*`, `prefix.*` or the exact name."""
    return any(
        pattern in (ALL, ".*", name) or (pattern.endswith(".*") and name.startswith(pattern[:-2]))
        for pattern in patterns
    )
