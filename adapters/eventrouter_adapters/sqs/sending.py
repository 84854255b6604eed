"""SendMessage and SendMessageBatch. Source: lambda-semantics §8.3."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from eventrouter.errors import RequestError
from eventrouter.ports import Caller, Operation
from eventrouter.store.queues import NewMessage, QueueName, Queues, SendOutcome, Sent
from eventrouter_adapters.sqs import batches, errors, messages
from eventrouter_adapters.sqs.addresses import is_fifo, parse_queue_url
from eventrouter_adapters.sqs.digests import md5_of_attributes, md5_of_body
from eventrouter_adapters.sqs.parameters import Members, in_range, token
from eventrouter_adapters.sqs.translation import translated
from eventrouter_adapters.sqs.waiting import Waiting

_ENTRY = "SendMessageBatchRequestEntry"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Prepared:
    """A message that passed its checks, and what is answered about it beside its id."""

    message: NewMessage
    digests: dict[str, str]

    def answer(self, sent: Sent) -> dict[str, Any]:
        shown = {"MessageId": sent.id, **self.digests}
        return {**shown, "SequenceNumber": sent.sequence_number} if sent.sequence_number else shown


class SendOperations:
    """The operations."""

    def __init__(self, queues: Queues, waiting: Waiting) -> None:
        self._queues = queues
        self._waiting = waiting

    def operations(self) -> dict[str, Operation]:
        """Return the operations by their names on the wire."""
        return {"SendMessage": self.send_message, "SendMessageBatch": self.send_message_batch}

    async def send_message(self, caller: Caller, members: Members) -> Members:
        """Store a message and answer with its id and digests."""
        queue = parse_queue_url(caller, members["QueueUrl"])
        if is_fifo(queue) and members.get("MessageGroupId") is None:
            raise errors.missing_parameter("MessageGroupId")
        await self._check_deduplication(queue, [members])
        prepared = self._prepare(caller, queue, members)
        [sent] = await self._store(queue, [prepared])
        if sent.outcome is SendOutcome.TOO_LONG:
            raise errors.too_long(sent.max_bytes)
        return prepared.answer(sent)

    async def send_message_batch(self, caller: Caller, members: Members) -> Members:
        """Store up to 10 messages; what is wrong with one of them fails it alone."""
        queue = parse_queue_url(caller, members["QueueUrl"])
        entries = members["Entries"]
        batches.check_entries(entries, _ENTRY, "MessageBody")
        if is_fifo(queue) and any(entry.get("MessageGroupId") is None for entry in entries):
            raise errors.invalid_parameter("The request must contain the parameter MessageGroupId.")
        await self._check_deduplication(queue, entries)
        prepared = [self._try_prepare(caller, queue, entry) for entry in entries]
        good = [entry for entry in prepared if isinstance(entry, _Prepared)]
        batches.check_size(sum(entry.message.size_bytes for entry in good))
        sent = iter(await self._store(queue, good))
        results = [entry if isinstance(entry, RequestError) else _result(entry, next(sent)) for entry in prepared]
        return batches.answer(entries, results)

    async def _check_deduplication(self, queue: QueueName, entries: list[Members]) -> None:
        """Raise RequestError if messages have no deduplication id, on a queue that does not make it of their bodies."""
        if not is_fifo(queue) or all(entry.get("MessageDeduplicationId") is not None for entry in entries):
            return
        found = await self._queues.get(queue)
        if found is None:
            raise errors.queue_does_not_exist()
        if not found.settings.content_based_deduplication:
            raise errors.invalid_parameter(
                "The queue should either have ContentBasedDeduplication enabled or "
                "MessageDeduplicationId provided explicitly"
            )

    async def _store(self, queue: QueueName, prepared: list[_Prepared]) -> list[Sent]:
        if not prepared:
            if not await self._queues.exists(queue):
                raise errors.queue_does_not_exist()
            return []
        with translated(queue):
            sent = await self._queues.send_all(queue, [entry.message for entry in prepared])
        for answer in sent:
            if answer.outcome is SendOutcome.STORED and answer.delay_ms == 0:
                self._waiting.wake(queue)
        return sent

    def _try_prepare(self, caller: Caller, queue: QueueName, entry: Members) -> _Prepared | RequestError:
        try:
            return self._prepare(caller, queue, entry)
        except RequestError as error:
            return error

    def _prepare(self, caller: Caller, queue: QueueName, members: Members) -> _Prepared:
        """Check one message. Raises RequestError."""
        body = messages.check_body(members["MessageBody"])
        user = messages.parse_attributes(members.get("MessageAttributes") or {})
        system = messages.parse_system_attributes(members.get("MessageSystemAttributes") or {})
        group = token(members, "MessageGroupId")
        deduplication_id = token(members, "MessageDeduplicationId")
        delay_s = in_range(members, "DelaySeconds", 0, 900, reason="DelaySeconds must be >= 0 and <= 900.")
        if is_fifo(queue):
            if delay_s:
                raise errors.wrong_for_queue_type(delay_s, "DelaySeconds")
            delay_s = None  # 0 means the queue's own delay
            deduplication_id = deduplication_id or hashlib.sha256(body).hexdigest()
        elif deduplication_id:
            raise errors.wrong_for_queue_type(deduplication_id, "MessageDeduplicationId")
        trace = system[messages.TRACE_HEADER].value.decode() if system else ""
        digests = {"MD5OfMessageBody": md5_of_body(body)}
        if user:
            digests["MD5OfMessageAttributes"] = md5_of_attributes(user)
        if system:
            digests["MD5OfMessageSystemAttributes"] = md5_of_attributes(system)
        message = NewMessage(
            id=self._queues.new_id(),
            body=body,
            extras=messages.Extras(attributes=user, trace=trace).encode(),
            sender=caller.account,
            size_bytes=messages.size_bytes(body, user),
            delay_ms=None if delay_s is None else delay_s * 1_000,
            group=group,
            deduplication_id=deduplication_id,
        )
        return _Prepared(message=message, digests=digests)


def _result(prepared: _Prepared, sent: Sent) -> dict[str, Any] | RequestError:
    if sent.outcome is SendOutcome.TOO_LONG:
        return errors.too_long_in_batch(sent.max_bytes)
    return prepared.answer(sent)
