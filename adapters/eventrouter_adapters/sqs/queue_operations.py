"""The operations on queues themselves: create, delete, purge, list, and their attributes.

Source: lambda-semantics §8.1, §8.2.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from structlog.typing import FilteringBoundLogger

from eventrouter.errors import RequestError
from eventrouter.ports import Caller, Operation
from eventrouter.store.queues import Queue, QueueName, Queues, QueueSettings
from eventrouter_adapters.sqs import attributes as queue_attributes
from eventrouter_adapters.sqs import errors
from eventrouter_adapters.sqs.addresses import check_new_name, is_name, parse_queue_arn, parse_queue_url, queue_url
from eventrouter_adapters.sqs.parameters import Members, next_token, page_limit, page_start
from eventrouter_adapters.sqs.redrive import allows
from eventrouter_adapters.sqs.tags import check_tags
from eventrouter_adapters.sqs.translation import translated


class QueueOperations:
    """The operations."""

    def __init__(self, queues: Queues, log: FilteringBoundLogger) -> None:
        self._queues = queues
        self._log = log

    def operations(self) -> dict[str, Operation]:
        """Return the operations by their names on the wire."""
        return {
            "CreateQueue": self.create_queue,
            "DeleteQueue": self.delete_queue,
            "GetQueueAttributes": self.get_queue_attributes,
            "GetQueueUrl": self.get_queue_url,
            "ListDeadLetterSourceQueues": self.list_dead_letter_source_queues,
            "ListQueues": self.list_queues,
            "PurgeQueue": self.purge_queue,
            "SetQueueAttributes": self.set_queue_attributes,
        }

    async def create_queue(self, caller: Caller, members: Members) -> Members:
        """Create a queue, or answer with the one that has the same name and no other value of a given attribute."""
        given = members.get("Attributes") or {}
        settings = queue_attributes.parse_new(given)
        name = _named(caller, check_new_name(members["QueueName"], is_fifo=settings.is_fifo))
        settings = replace(settings, tags=check_tags(name.name, members.get("tags") or {}))
        await self._check_target(name, settings, given.get(queue_attributes.REDRIVE, ""))
        with translated(name):
            queue, is_new = await self._queues.create(name, settings)
        if not is_new and (attribute := queue_attributes.first_difference(given, queue)):
            raise errors.queue_name_exists(attribute)
        if is_new:
            self._note_not_applied(name, given)
        return {"QueueUrl": queue_url(caller.base_url, queue.name)}

    async def delete_queue(self, caller: Caller, members: Members) -> Members:
        """Remove a queue and its messages."""
        queue = parse_queue_url(caller, members["QueueUrl"])
        with translated(queue):
            await self._queues.remove(queue)
        return {}

    async def get_queue_url(self, caller: Caller, members: Members) -> Members:
        """Answer with the URL of a queue of the caller's own account."""
        queue = _named(caller, members["QueueName"])
        owner = members.get("QueueOwnerAWSAccountId") or caller.account
        if owner != caller.account or not is_name(queue.name) or not await self._queues.exists(queue):
            raise errors.queue_does_not_exist()
        return {"QueueUrl": queue_url(caller.base_url, queue)}

    async def get_queue_attributes(self, caller: Caller, members: Members) -> Members:
        """Answer with the attributes asked for; no names, no attributes."""
        queue = await self._get(parse_queue_url(caller, members["QueueUrl"]))
        found = queue_attributes.selected(queue, members.get("AttributeNames") or ())
        return {"Attributes": found} if found else {}

    async def set_queue_attributes(self, caller: Caller, members: Members) -> Members:
        """Change attributes of a queue; those not given stay as they are."""
        name = parse_queue_url(caller, members["QueueUrl"])
        given = members["Attributes"]
        queue = await self._get(name)
        wanted = replace(queue.settings, **queue_attributes.parse_changes(given, queue.settings))
        await self._check_target(name, wanted, given.get(queue_attributes.REDRIVE, ""))

        def change(settings: QueueSettings) -> QueueSettings:
            return replace(settings, **queue_attributes.parse_changes(given, settings))

        with translated(name):
            await self._queues.change(name, change)
        self._note_not_applied(name, given)
        return {}

    async def list_queues(self, caller: Caller, members: Members) -> Members:
        """Answer with the URLs of the caller's queues, by name; pages only if MaxResults is given."""
        limit = page_limit(members)
        names = await self._queues.names(
            caller.account,
            caller.region,
            prefix=members.get("QueueNamePrefix") or "",
            after=page_start(members),
            limit=limit + 1,
        )
        urls = [queue_url(caller.base_url, _named(caller, name)) for name in names[:limit]]
        return {"QueueUrls": urls, **next_token(members, names, limit)} if urls else {}

    async def list_dead_letter_source_queues(self, caller: Caller, members: Members) -> Members:
        """Answer with the URLs of the caller's queues that give up messages to this one."""
        target = parse_queue_url(caller, members["QueueUrl"])
        limit, after = page_limit(members), page_start(members)
        if not await self._queues.exists(target):
            raise errors.queue_does_not_exist()
        sources = await self._queues.moves.sources(target)
        names = [source.name for source in sources if source == _named(caller, source.name) and source.name > after]
        urls = [queue_url(caller.base_url, _named(caller, name)) for name in names[:limit]]
        answer: dict[str, Any] = {"queueUrls": urls, **next_token(members, names, limit)}
        return answer

    async def purge_queue(self, caller: Caller, members: Members) -> Members:
        """Remove all messages of a queue."""
        queue = parse_queue_url(caller, members["QueueUrl"])
        with translated(queue):
            await self._queues.purge(queue)
        return {}

    async def _get(self, name: QueueName) -> Queue:
        queue = await self._queues.get(name)
        if queue is None:
            raise errors.queue_does_not_exist()
        return queue

    async def _check_target(self, name: QueueName, settings: QueueSettings, policy: str) -> None:
        """Check that the queue a RedrivePolicy names can take dead letters. Raises RequestError."""
        if not policy or settings.dead_letter_target is None:
            return
        target = parse_queue_arn(settings.dead_letter_target)
        found = None if target is None else await self._queues.get(target)
        if target is None or found is None or (target.account, target.region) != (name.account, name.region):
            raise _refused_target(policy, "Dead letter target does not exist.")
        if target == name:
            raise _refused_target(policy, "Dead letter target must be another queue than the source.")
        if found.settings.is_fifo != settings.is_fifo:
            raise _refused_target(policy, "Dead letter target must be same type of queue as the source.")
        if not allows(found.settings.redrive_allow, name.arn):
            raise _refused_target(policy, "Dead letter target does not allow this queue as a source.")

    def _note_not_applied(self, name: QueueName, given: Members) -> None:
        """Log the attributes that are kept and have no effect here."""
        for attribute, why in queue_attributes.NOT_APPLIED.items():
            if given.get(attribute):
                self._log.info("setting.not_applied", queue=name.name, setting=f"{attribute} ({why})")


def _refused_target(policy: str, reason: str) -> RequestError:
    return errors.invalid_value(policy, queue_attributes.REDRIVE, reason)


def _named(caller: Caller, name: str) -> QueueName:
    return QueueName(account=caller.account, region=caller.region, name=name)
