"""Queues as targets: where dead letters and invocation records go."""

from __future__ import annotations

import uuid

from eventrouter.errors import AdapterError, StoreError
from eventrouter.ports import Delivery
from eventrouter.store.queues import MessageTooLong, NewMessage, NoSuchQueue, Queues
from eventrouter_adapters.sqs import messages
from eventrouter_adapters.sqs.addresses import parse_queue_arn
from eventrouter_adapters.sqs.waiting import Waiting

REMEMBER_MS = 3_600_000
"""How long a delivered and deleted message is remembered. A delivery is repeated after 5 min at the latest, and
again when its node dies: an hour leaves room for several of both."""

_DELIVERIES = uuid.UUID("5ec8b3f2-6c4b-4d0e-9d57-2f5b0f6f7a11")
"""The name space in which a delivery's id becomes a message id; fixed, so that repetitions get the same one."""


class QueueTarget:
    """Delivers to our own queues, each delivery once."""

    service = "sqs"

    def __init__(self, queues: Queues, waiting: Waiting) -> None:
        self._queues = queues
        self._waiting = waiting

    async def exists(self, arn: str) -> bool:
        """Say whether `arn` names a queue that exists."""
        queue = parse_queue_arn(arn)
        return queue is not None and await self._queues.exists(queue)

    async def deliver(self, arn: str, delivery: Delivery) -> None:
        """Send the delivery's body, attributes and trace header as one message.

        Attributes without a value, which SQS cannot carry, are left out, and characters that it cannot carry are
        replaced: a dead letter must not be lost to the text of its error. Raises AdapterError.
        """
        queue = parse_queue_arn(arn)
        if queue is None:
            raise AdapterError(f"{arn} is not the ARN of a queue", transient=False)
        attributes = {
            name: messages.MessageAttribute(data_type, messages.with_valid_characters(value).encode())
            for name, (data_type, value) in delivery.attributes.items()
            if value
        }
        message = NewMessage(
            id=str(uuid.uuid5(_DELIVERIES, delivery.id)),
            body=delivery.body,
            extras=messages.Extras(attributes=attributes, trace=delivery.trace).encode(),
            sender=queue.account,
            size_bytes=messages.size_bytes(delivery.body, attributes),
        )
        try:
            delay_ms = await self._queues.send(queue, message, remember_ms=REMEMBER_MS)
        except (NoSuchQueue, MessageTooLong) as error:
            raise AdapterError(f"{arn}: {error}", transient=False) from error
        except StoreError as error:
            raise AdapterError(f"{arn}: {error}", transient=True) from error
        if delay_ms == 0:
            self._waiting.wake(queue)
