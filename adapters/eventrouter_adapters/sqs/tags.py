"""Tags of queues."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from eventrouter.ports import Caller, Operation
from eventrouter.store.queues import Queues, QueueSettings
from eventrouter_adapters.sqs import errors
from eventrouter_adapters.sqs.addresses import parse_queue_url
from eventrouter_adapters.sqs.parameters import Members
from eventrouter_adapters.sqs.translation import translated

MOST_TAGS = 50
_ALLOWED = re.compile(r"[\w\s.:/=+\-@]*")


def check_tags(queue: str, tags: Mapping[str, str]) -> Mapping[str, str]:
    """Return the tags of a queue if it can have them. Raises RequestError."""
    if len(tags) > MOST_TAGS:
        raise errors.invalid_parameter(f"Too many tags added for queue {queue}.")
    for key, value in tags.items():
        if not 1 <= len(key) <= 128 or len(value) > 256:
            raise errors.invalid_parameter(
                "Tag keys must be between 1 and 128 characters in length, tag values at most 256."
            )
        if key.lower().startswith("aws:"):
            raise errors.invalid_parameter("Tag keys must not begin with aws: which is reserved.")
        if not _ALLOWED.fullmatch(key) or not _ALLOWED.fullmatch(value):
            raise errors.invalid_parameter("Tags can only hold letters, digits, spaces and _ . : / = + - @")
    return tags


class TagOperations:
    """The operations on tags."""

    def __init__(self, queues: Queues) -> None:
        self._queues = queues

    def operations(self) -> dict[str, Operation]:
        """Return the operations by their names on the wire."""
        return {
            "ListQueueTags": self.list_queue_tags,
            "TagQueue": self.tag_queue,
            "UntagQueue": self.untag_queue,
        }

    async def list_queue_tags(self, caller: Caller, members: Members) -> Members:
        """Answer with a queue's tags."""
        queue = await self._queues.get(parse_queue_url(caller, members["QueueUrl"]))
        if queue is None:
            raise errors.queue_does_not_exist()
        return {"Tags": dict(queue.settings.tags)} if queue.settings.tags else {}

    async def tag_queue(self, caller: Caller, members: Members) -> Members:
        """Add tags to a queue, or change their values."""
        name = parse_queue_url(caller, members["QueueUrl"])
        if not members["Tags"]:
            raise errors.missing_parameter("Tags")

        def change(settings: QueueSettings) -> QueueSettings:
            return replace(settings, tags=check_tags(name.name, {**settings.tags, **members["Tags"]}))

        with translated(name):
            await self._queues.change(name, change)
        return {}

    async def untag_queue(self, caller: Caller, members: Members) -> Members:
        """Remove tags from a queue; keys that it lacks are ignored."""
        name = parse_queue_url(caller, members["QueueUrl"])
        removed = frozenset(members["TagKeys"])
        if not removed:
            raise errors.missing_parameter("TagKeys")

        def change(settings: QueueSettings) -> QueueSettings:
            return replace(settings, tags={key: tag for key, tag in settings.tags.items() if key not in removed})

        with translated(name):
            await self._queues.change(name, change)
        return {}
