"""The operations of SQS on standard queues. Source: lambda-semantics §8."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Collection, Mapping
from typing import Any

from eventrouter.errors import RequestError
from eventrouter.ports import Caller, Operation
from eventrouter.store.queues import (
    MessageTooLong,
    NewMessage,
    NoSuchQueue,
    PurgeInProgress,
    QueueDeletedRecently,
    QueueName,
    Queues,
    ReceivedMessage,
)
from eventrouter_adapters.sqs import attributes as queue_attributes
from eventrouter_adapters.sqs import errors, messages
from eventrouter_adapters.sqs.addresses import check_new_name, is_name, parse_queue_url, queue_url
from eventrouter_adapters.sqs.digests import md5_of_attributes, md5_of_body
from eventrouter_adapters.sqs.receipts import decode_receipt, encode_receipt
from eventrouter_adapters.sqs.waiting import Waiting

LIST_MAXIMUM = 1_000
_SYSTEM_NAMES = frozenset(
    {
        "All",
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
_FIFO_PARAMETER = "The request include parameter that is not valid for this queue type."

Members = Mapping[str, Any]


class QueueService:
    """SQS, as far as it is served."""

    def __init__(self, queues: Queues, waiting: Waiting) -> None:
        self._queues = queues
        self._waiting = waiting

    def operations(self) -> dict[str, Operation]:
        """Return every operation by its name on the wire."""
        return {
            "CreateQueue": self.create_queue,
            "DeleteMessage": self.delete_message,
            "DeleteQueue": self.delete_queue,
            "GetQueueAttributes": self.get_queue_attributes,
            "GetQueueUrl": self.get_queue_url,
            "ListQueues": self.list_queues,
            "PurgeQueue": self.purge_queue,
            "ReceiveMessage": self.receive_message,
            "SendMessage": self.send_message,
        }

    async def create_queue(self, caller: Caller, members: Members) -> Members:
        """Create a queue, or answer with the one that has the same name and no other value of a given attribute."""
        name = check_new_name(members["QueueName"])
        given = members.get("Attributes") or {}
        settings = queue_attributes.parse_settings(given)
        if members.get("tags"):
            raise errors.unsupported("tags: tags of queues are not supported.")
        try:
            queue, created = await self._queues.create(_named(caller, name), settings)
        except QueueDeletedRecently as error:
            raise errors.queue_deleted_recently() from error
        if not created and (attribute := queue_attributes.first_difference(given, queue)):
            raise errors.queue_name_exists(attribute)
        return {"QueueUrl": queue_url(caller.base_url, queue.name)}

    async def get_queue_url(self, caller: Caller, members: Members) -> Members:
        """Answer with the URL of a queue of the caller's own account."""
        queue = _named(caller, members["QueueName"])
        owner = members.get("QueueOwnerAWSAccountId") or caller.account
        if owner != caller.account or not is_name(queue.name) or not await self._queues.exists(queue):
            raise errors.queue_does_not_exist()
        return {"QueueUrl": queue_url(caller.base_url, queue)}

    async def get_queue_attributes(self, caller: Caller, members: Members) -> Members:
        """Answer with the attributes asked for; no names, no attributes."""
        queue = await self._queues.get(parse_queue_url(caller, members["QueueUrl"]))
        if queue is None:
            raise errors.queue_does_not_exist()
        found = queue_attributes.selected(queue, members.get("AttributeNames") or ())
        return {"Attributes": found} if found else {}

    async def list_queues(self, caller: Caller, members: Members) -> Members:
        """Answer with the URLs of the caller's queues, by name; pages only if MaxResults is given."""
        wanted = members.get("MaxResults")
        limit = LIST_MAXIMUM if wanted is None else wanted
        if not 1 <= limit <= LIST_MAXIMUM:
            raise errors.invalid_value(limit, "MaxResults", "Must be >= 1 and <= 1000, if provided.")
        names = await self._queues.names(
            caller.account,
            caller.region,
            prefix=members.get("QueueNamePrefix") or "",
            after=_decode_page(members.get("NextToken")),
            limit=limit if wanted is None else limit + 1,
        )
        page = names[:limit]
        answer: dict[str, Any] = {"QueueUrls": [queue_url(caller.base_url, _named(caller, name)) for name in page]}
        if len(names) > limit:
            answer["NextToken"] = base64.b64encode(page[-1].encode()).decode()
        return answer if page else {}

    async def send_message(self, caller: Caller, members: Members) -> Members:
        """Store a message and answer with its id and digests."""
        queue = parse_queue_url(caller, members["QueueUrl"])
        body = messages.check_body(members["MessageBody"])
        user = messages.parse_attributes(members.get("MessageAttributes") or {})
        system = messages.parse_system_attributes(members.get("MessageSystemAttributes") or {})
        _refuse_fifo_parameter(members, "MessageDeduplicationId")
        group = members.get("MessageGroupId")
        extras = messages.Extras(
            attributes=user,
            trace=system[messages.TRACE_HEADER].value.decode() if system else "",
            group="" if group is None else messages.check_group(group),
        )
        delay_s = _in_range(members, "DelaySeconds", 0, 900, reason="DelaySeconds must be >= 0 and <= 900.")
        message = NewMessage(
            id=self._queues.new_id(),
            body=body,
            extras=extras.encode(),
            sender=caller.account,
            size_bytes=messages.size_bytes(body, user),
        )
        with _Translated(queue):
            applied_ms = await self._queues.send(queue, message, delay_ms=None if delay_s is None else delay_s * 1_000)
        if applied_ms == 0:
            self._waiting.wake(queue)
        answer = {"MessageId": message.id, "MD5OfMessageBody": md5_of_body(body)}
        if user:
            answer["MD5OfMessageAttributes"] = md5_of_attributes(user)
        if system:
            answer["MD5OfMessageSystemAttributes"] = md5_of_attributes(system)
        return answer

    async def receive_message(self, caller: Caller, members: Members) -> Members:
        """Hand out visible messages, waiting for a first one if asked to."""
        queue = parse_queue_url(caller, members["QueueUrl"])
        limit = _in_range(members, "MaxNumberOfMessages", 1, 10, reason="Must be between 1 and 10, if provided.")
        wait_s = _in_range(members, "WaitTimeSeconds", 0, 20, reason="Must be >= 0 and <= 20, if provided.")
        visibility_s = _in_range(
            members, "VisibilityTimeout", 0, 43_200, reason="Must be >= 0 and <= 43200, if provided."
        )
        _refuse_fifo_parameter(members, "ReceiveRequestAttemptId")
        system_names = members.get("MessageSystemAttributeNames") or members.get("AttributeNames") or ()
        if unknown := [name for name in system_names if name not in _SYSTEM_NAMES]:
            raise errors.unknown_attribute(unknown[0])
        user_names = members.get("MessageAttributeNames") or ()
        with _Translated(queue):
            received = await self._waiting.receive(
                queue,
                limit=1 if limit is None else limit,
                visibility_ms=None if visibility_s is None else visibility_s * 1_000,
                wait_ms=None if wait_s is None else wait_s * 1_000,
            )
        if not received.messages:
            return {}
        return {"Messages": [_shown(message, system_names, user_names) for message in received.messages]}

    async def delete_message(self, caller: Caller, members: Members) -> Members:
        """Delete a message; an old handle is answered alike, whether or not it still deletes."""
        queue = parse_queue_url(caller, members["QueueUrl"])
        receipt = decode_receipt(members["ReceiptHandle"])
        with _Translated(queue):
            await self._queues.delete(queue, receipt)
        return {}

    async def purge_queue(self, caller: Caller, members: Members) -> Members:
        """Remove all messages of a queue."""
        queue = parse_queue_url(caller, members["QueueUrl"])
        with _Translated(queue):
            await self._queues.purge(queue)
        return {}

    async def delete_queue(self, caller: Caller, members: Members) -> Members:
        """Remove a queue and its messages."""
        queue = parse_queue_url(caller, members["QueueUrl"])
        with _Translated(queue):
            await self._queues.remove(queue)
        return {}


class _Translated:
    """Turns what the store says about a queue into SQS's errors."""

    def __init__(self, queue: QueueName) -> None:
        self._queue = queue

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        translated: RequestError | None = None
        match error:
            case NoSuchQueue():
                translated = errors.queue_does_not_exist()
            case MessageTooLong():
                translated = errors.too_long(error.max_bytes)
            case PurgeInProgress():
                translated = errors.purge_in_progress(self._queue.name)
        if translated is not None:
            raise translated from error


def _named(caller: Caller, name: str) -> QueueName:
    return QueueName(account=caller.account, region=caller.region, name=name)


def _in_range(members: Members, name: str, lowest: int, highest: int, *, reason: str) -> int | None:
    value = members.get(name)
    if value is not None and not lowest <= value <= highest:
        raise errors.invalid_value(value, name, reason)
    return value


def _refuse_fifo_parameter(members: Members, name: str) -> None:
    if members.get(name) is not None:
        raise errors.invalid_value(members[name], name, _FIFO_PARAMETER)


def _decode_page(token: str | None) -> str:
    try:
        return base64.b64decode(token or "", validate=True).decode()
    except (binascii.Error, ValueError) as error:
        raise errors.invalid_parameter("Invalid or expired next token.") from error


def _shown(message: ReceivedMessage, system_names: Collection[str], user_names: Collection[str]) -> Members:
    """Return a message as the API shows it: attributes only as far as they were asked for."""
    extras = messages.Extras.decode(message.extras)
    answer: dict[str, Any] = {
        "MessageId": message.receipt.id,
        "ReceiptHandle": encode_receipt(message.receipt),
        "MD5OfBody": md5_of_body(message.body),
        "Body": message.body.decode(),
    }
    system = {
        "SenderId": message.sender,
        "SentTimestamp": str(message.sent_at_ms),
        "ApproximateReceiveCount": str(message.receipt.count),
        "ApproximateFirstReceiveTimestamp": str(message.first_received_at_ms),
        "AWSTraceHeader": extras.trace,
        "MessageGroupId": extras.group,
    }
    asked = {name: text for name, text in system.items() if text and ("All" in system_names or name in system_names)}
    if asked:
        answer["Attributes"] = asked
    user = {name: value for name, value in extras.attributes.items() if _is_asked_for(name, user_names)}
    if user:
        answer["MD5OfMessageAttributes"] = md5_of_attributes(user)
        answer["MessageAttributes"] = {name: value.wire() for name, value in user.items()}
    return answer


def _is_asked_for(name: str, patterns: Collection[str]) -> bool:
    """Say whether MessageAttributeNames asks for `name`: `All`, `.*`, `prefix.*` or the exact name."""
    return any(
        pattern in ("All", ".*", name) or (pattern.endswith(".*") and name.startswith(pattern[:-2]))
        for pattern in patterns
    )
