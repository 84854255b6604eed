"""ReceiveMessage, and what is done to messages that were received: delete, change of visibility.

Source: lambda-semantics §8.4, §8.5.
"""

from __future__ import annotations

from collections.abc import Sequence

from eventrouter.errors import RequestError
from eventrouter.ports import Caller, Operation
from eventrouter.store.queues import ChangeOutcome, DeleteOutcome, QueueName, Queues, Receipt
from eventrouter_adapters.sqs import batches, errors
from eventrouter_adapters.sqs.addresses import is_fifo, parse_queue_url
from eventrouter_adapters.sqs.parameters import Members, in_range, token
from eventrouter_adapters.sqs.receipts import decode_receipt
from eventrouter_adapters.sqs.shown import check_system_names, show_message
from eventrouter_adapters.sqs.translation import translated
from eventrouter_adapters.sqs.waiting import Waiting

LONGEST_VISIBILITY_S = 43_200

_DELETE_ENTRY = "DeleteMessageBatchRequestEntry"
_CHANGE_ENTRY = "ChangeMessageVisibilityBatchRequestEntry"


class ReceiveOperations:
    """The operations."""

    def __init__(self, queues: Queues, waiting: Waiting) -> None:
        self._queues = queues
        self._waiting = waiting

    def operations(self) -> dict[str, Operation]:
        """Return the operations by their names on the wire."""
        return {
            "ChangeMessageVisibility": self.change_message_visibility,
            "ChangeMessageVisibilityBatch": self.change_message_visibility_batch,
            "DeleteMessage": self.delete_message,
            "DeleteMessageBatch": self.delete_message_batch,
            "ReceiveMessage": self.receive_message,
        }

    async def receive_message(self, caller: Caller, members: Members) -> Members:
        """Hand out visible messages, waiting for a first one if asked to."""
        queue = parse_queue_url(caller, members["QueueUrl"])
        limit = in_range(members, "MaxNumberOfMessages", 1, 10, reason="Must be between 1 and 10, if provided.")
        wait_s = in_range(members, "WaitTimeSeconds", 0, 20, reason="Must be >= 0 and <= 20, if provided.")
        visibility_s = in_range(
            members, "VisibilityTimeout", 0, LONGEST_VISIBILITY_S, reason="Must be >= 0 and <= 43200, if provided."
        )
        attempt_id = token(members, "ReceiveRequestAttemptId")
        if attempt_id and not is_fifo(queue):
            raise errors.wrong_for_queue_type(attempt_id, "ReceiveRequestAttemptId")
        system_names = members.get("MessageSystemAttributeNames") or members.get("AttributeNames") or ()
        check_system_names(system_names)
        user_names = members.get("MessageAttributeNames") or ()
        with translated(queue):
            received = await self._waiting.receive(
                queue,
                limit=1 if limit is None else limit,
                visibility_ms=None if visibility_s is None else visibility_s * 1_000,
                wait_ms=None if wait_s is None else wait_s * 1_000,
                attempt_id=attempt_id,
                leaves=caller.leaves,
            )
        patience_ms = received.wait_ms if wait_s is None else wait_s * 1_000
        if received.is_over_limit and patience_ms == 0 and not is_fifo(queue):
            raise errors.over_limit("The maximum number of in flight messages is reached.")
        if not received.messages:
            return {}
        return {"Messages": [show_message(message, system_names, user_names) for message in received.messages]}

    async def delete_message(self, caller: Caller, members: Members) -> Members:
        """Delete a message. On a standard queue an old handle is answered alike, whether or not it still deletes."""
        queue = parse_queue_url(caller, members["QueueUrl"])
        handle = members["ReceiptHandle"]
        receipt = _try_decode(members)
        if isinstance(receipt, RequestError):
            await self._check_exists(queue)
            raise receipt
        [outcome] = await self._delete(queue, [receipt])
        if error := _delete_error(queue, handle, outcome):
            raise error
        return {}

    async def delete_message_batch(self, caller: Caller, members: Members) -> Members:
        """Delete up to 10 messages; what is wrong with one handle fails it alone."""
        queue = parse_queue_url(caller, members["QueueUrl"])
        entries = members["Entries"]
        batches.check_entries(entries, _DELETE_ENTRY, "ReceiptHandle")
        receipts = [_try_decode(entry) for entry in entries]
        outcomes = iter(await self._delete(queue, [found for found in receipts if isinstance(found, Receipt)]))
        results: list[Members | RequestError] = [
            receipt
            if isinstance(receipt, RequestError)
            else _delete_error(queue, entry["ReceiptHandle"], next(outcomes)) or {}
            for entry, receipt in zip(entries, receipts, strict=True)
        ]
        return batches.answer(entries, results)

    async def change_message_visibility(self, caller: Caller, members: Members) -> Members:
        """Hide a received message for so long from now; 0 makes it visible at once."""
        queue = parse_queue_url(caller, members["QueueUrl"])
        change = _try_change(members)
        if isinstance(change, RequestError):
            await self._check_exists(queue)
            raise change
        [outcome] = await self._change(queue, [change])
        if error := _change_error(members, outcome):
            raise error
        return {}

    async def change_message_visibility_batch(self, caller: Caller, members: Members) -> Members:
        """Change the visibility of up to 10 messages; what is wrong with one of them fails it alone."""
        queue = parse_queue_url(caller, members["QueueUrl"])
        entries = members["Entries"]
        batches.check_entries(entries, _CHANGE_ENTRY, "ReceiptHandle", "VisibilityTimeout")
        changes = [_try_change(entry) for entry in entries]
        outcomes = iter(await self._change(queue, [change for change in changes if isinstance(change, tuple)]))
        results: list[Members | RequestError] = [
            change if isinstance(change, RequestError) else _change_error(entry, next(outcomes)) or {}
            for entry, change in zip(entries, changes, strict=True)
        ]
        return batches.answer(entries, results)

    async def _delete(self, queue: QueueName, receipts: Sequence[Receipt]) -> list[DeleteOutcome]:
        if not receipts:
            await self._check_exists(queue)
            return []
        with translated(queue):
            outcomes = await self._queues.delete_all(queue, receipts)
        if is_fifo(queue):  # the next messages of a group may be free now
            for outcome in outcomes:
                if outcome is DeleteOutcome.DELETED:
                    self._waiting.wake(queue)
        return outcomes

    async def _change(self, queue: QueueName, changes: Sequence[tuple[Receipt, int]]) -> list[ChangeOutcome]:
        if not changes:
            await self._check_exists(queue)
            return []
        with translated(queue):
            outcomes = await self._queues.change_visibility(queue, changes)
        for (_, visibility_ms), outcome in zip(changes, outcomes, strict=True):
            if outcome is ChangeOutcome.CHANGED and visibility_ms == 0:
                self._waiting.wake(queue)
        return outcomes

    async def _check_exists(self, queue: QueueName) -> None:
        """Raise RequestError if there is no such queue: that comes before what is wrong with handles."""
        if not await self._queues.exists(queue):
            raise errors.queue_does_not_exist()


def _try_decode(entry: Members) -> Receipt | RequestError:
    try:
        return decode_receipt(entry["ReceiptHandle"])
    except RequestError as error:
        return error


def _try_change(entry: Members) -> tuple[Receipt, int] | RequestError:
    try:
        return decode_receipt(entry["ReceiptHandle"]), _visibility_ms(entry)
    except RequestError as error:
        return error


def _visibility_ms(members: Members) -> int:
    in_range(members, "VisibilityTimeout", 0, LONGEST_VISIBILITY_S, reason="Must be between 0 and 43200, if provided.")
    seconds: int = members["VisibilityTimeout"]
    return seconds * 1_000


def _delete_error(queue: QueueName, handle: str, outcome: DeleteOutcome) -> RequestError | None:
    if is_fifo(queue) and outcome in (DeleteOutcome.EXPIRED, DeleteOutcome.STALE):
        return errors.expired_receipt_handle(handle)
    return None


def _change_error(members: Members, outcome: ChangeOutcome) -> RequestError | None:
    match outcome:
        case ChangeOutcome.CHANGED:
            return None
        case ChangeOutcome.NOT_IN_FLIGHT:
            return errors.message_not_in_flight()
        case ChangeOutcome.TOO_LONG:
            return errors.invalid_value(
                members["VisibilityTimeout"],
                "VisibilityTimeout",
                f"Total VisibilityTimeout for the message is beyond the limit [{LONGEST_VISIBILITY_S} seconds]",
            )
    return errors.not_available(members["ReceiptHandle"])
