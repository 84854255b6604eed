"""A message as the Lambda event shows it, and as filter patterns see it. Source: lambda-semantics §4.10, §4.11."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from eventrouter.ports import QueueMessage
from eventrouter.store.queues import QueueName, ReceivedMessage
from eventrouter_adapters.sqs.digests import md5_of_attributes, md5_of_body
from eventrouter_adapters.sqs.messages import Extras, MessageAttribute
from eventrouter_adapters.sqs.receipts import encode_receipt
from eventrouter_adapters.sqs.shown import system_attributes

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


class EventWriter:
    """Writes messages of one queue for one mapping; what they have in common is rendered once.

    `has_window`: a mapping with a batch window shows null for the digest of attributes that are not there.
    """

    def __init__(self, queue: QueueName, *, arn: str, has_window: bool) -> None:
        self._no_digest = b"null" if has_window else None
        self._end = b'","eventSource":"aws:sqs","eventSourceARN":%b,"awsRegion":%b}' % (
            _encode(arn),
            _encode(queue.region),
        )

    def write(self, message: ReceivedMessage) -> QueueMessage:
        """Render a message."""
        receipt = message.receipt
        handle = encode_receipt(receipt)
        extras = Extras.decode(message.extras)
        attributes, digest = b"{}", self._no_digest
        if extras.attributes:
            attributes = _encode({name: _attribute(each) for name, each in extras.attributes.items()})
            digest = b'"%b"' % md5_of_attributes(extras.attributes).encode()
        event = b"".join(
            (
                b'{"messageId":"',
                receipt.id.encode(),
                b'","receiptHandle":"',
                handle.encode(),
                b'","body":',
                _encode(message.body.decode()),
                b',"attributes":',
                _encode(system_attributes(message, extras)),
                b',"messageAttributes":',
                attributes,
                b"" if digest is None else b',"md5OfMessageAttributes":' + digest,
                b',"md5OfBody":"',
                md5_of_body(message.body).encode(),
                self._end,
            )
        )
        is_ordered = bool(message.sequence_number)
        return QueueMessage(
            id=receipt.id,
            receipt=handle,
            group=message.group if is_ordered else "",
            sent_at_ms=message.sent_at_ms,
            event=event,
        )


def filterable(event: bytes) -> Mapping[str, Any]:
    """Return the message's body: a JSON object or array decoded; text as it is, and so what is too deep to be read."""
    body = _decode(event)["body"]
    try:
        document = _decode(body)
    except (msgspec.DecodeError, RecursionError):
        document = None
    return {"body": document if isinstance(document, dict | list) else body}


def _attribute(attribute: MessageAttribute) -> dict[str, Any]:
    """Return a user attribute; bytes become base64."""
    shown: dict[str, Any] = (
        {"binaryValue": attribute.value} if attribute.is_binary else {"stringValue": attribute.value.decode()}
    )
    return {**shown, "stringListValues": [], "binaryListValues": [], "dataType": attribute.type}
