"""Queues: their attributes and tags."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from eventrouter.project.api import ApiError
from eventrouter.project.model import QueueResource
from eventrouter.project.plan import Action, Change, Step
from eventrouter.project.target import OWNER_TAG, Target

_DEFAULTS: Mapping[str, str] = {
    "DelaySeconds": "0",
    "MaximumMessageSize": "1048576",
    "MessageRetentionPeriod": "345600",
    "ReceiveMessageWaitTimeSeconds": "0",
    "VisibilityTimeout": "30",
    "RedrivePolicy": "",
}
_FIFO_DEFAULTS: Mapping[str, str] = {
    "ContentBasedDeduplication": "false",
    "DeduplicationScope": "queue",
    "FifoThroughputLimit": "perQueue",
}
"""What a queue has where nothing is declared (lambda-semantics §8.2)."""
_DOCUMENTS = frozenset({"RedrivePolicy", "RedriveAllowPolicy", "Policy"})
_FIXED = frozenset({"FifoQueue"})
_MISSING = ("NonExistentQueue", "QueueDoesNotExist")


class QueueSteps:
    """The steps of queues; dead-letter queues come before those that name them."""

    def __init__(self, target: Target) -> None:
        self._target = target

    async def declared(self) -> list[Step]:
        return [await self._queue(queue) for queue in _targets_first(self._target.project.queues)]

    async def undeclared(self) -> list[Step]:
        target, steps = self._target, []
        names = {queue.name for queue in target.project.queues}
        marker = ("NextToken", "NextToken")
        async for url in target.pages("sqs", "ListQueues", "QueueUrls", marker=marker, MaxResults=1000):
            name = url.rpartition("/")[2]
            if name in names or not target.owns(await self._tags(url)):
                continue
            if not target.prune:
                note = "holds messages; deleted with --prune only"
                steps.append(Step(action=Action.LEAVE, kind="queue", name=name, note=note))
            else:
                run = partial(self._delete, url)
                steps.append(Step(action=Action.DELETE, kind="queue", name=name, run=run))
        return steps

    async def _url(self, name: str) -> str | None:
        try:
            url: str = (await self._target.call("sqs", "GetQueueUrl", QueueName=name))["QueueUrl"]
        except ApiError as error:
            if error.code.endswith(_MISSING):
                return None
            raise
        return url

    async def _tags(self, url: str) -> dict[str, str]:
        tags: dict[str, str] = (await self._target.call("sqs", "ListQueueTags", QueueUrl=url)).get("Tags") or {}
        return tags

    async def _queue(self, queue: QueueResource) -> Step:
        url = await self._url(queue.name)
        kept = Step(action=Action.KEEP, kind="queue", name=queue.name, place=queue.place)
        if url is None:
            return replace(kept, action=Action.CREATE, run=partial(self._create, queue))
        tags = await self._tags(url)
        self._target.check_owner(f"the queue {queue.name}", tags, queue.place)
        answer = await self._target.call("sqs", "GetQueueAttributes", QueueUrl=url, AttributeNames=["All"])
        changed = _changes(queue, answer.get("Attributes") or {})
        tagging = self._target.tag_changes(queue.tags, tags, "tags")
        if not (changed or tagging):
            return kept
        run = partial(self._update, queue, url, changed, tags)
        return replace(kept, action=Action.UPDATE, changes=(*changed, *tagging), run=run)

    async def _create(self, queue: QueueResource) -> None:
        tags = {**queue.tags, **self._target.owner}
        await self._target.call(
            "sqs", "CreateQueue", QueueName=queue.name, Attributes=dict(queue.attributes), tags=tags
        )

    async def _update(
        self, queue: QueueResource, url: str, changed: tuple[Change, ...], tags: Mapping[str, str]
    ) -> None:
        if changed:
            attributes = {change.member: change.after for change in changed}
            await self._target.call("sqs", "SetQueueAttributes", QueueUrl=url, Attributes=attributes)
        if removed := [key for key in tags if key not in queue.tags and key != OWNER_TAG]:
            await self._target.call("sqs", "UntagQueue", QueueUrl=url, TagKeys=removed)
        if added := {key: value for key, value in queue.tags.items() if tags.get(key) != value}:
            await self._target.call("sqs", "TagQueue", QueueUrl=url, Tags=added)

    async def _delete(self, url: str) -> None:
        await self._target.call("sqs", "DeleteQueue", QueueUrl=url)


def _changes(queue: QueueResource, current: Mapping[str, str]) -> tuple[Change, ...]:
    defaults = {**_DEFAULTS, **(_FIFO_DEFAULTS if queue.name.endswith(".fifo") else {})}
    wanted = {**defaults, **{name: text for name, text in queue.attributes.items() if name not in _FIXED}}
    return tuple(
        Change(member=name, before=current.get(name), after=text)
        for name, text in wanted.items()
        if _value(name, text) != _value(name, current.get(name, ""))
    )


def _value(name: str, text: str) -> Any:
    """Return what an attribute's text means: documents are written in many ways."""
    if name not in _DOCUMENTS or not text:
        return text
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return {key: str(item) for key, item in value.items()} if name == "RedrivePolicy" else value


def _targets_first(queues: tuple[QueueResource, ...]) -> list[QueueResource]:
    """Order queues so that a dead-letter queue comes before those that name it, where that can be."""
    ordered: dict[str, QueueResource] = {}
    by_name = {queue.name: queue for queue in queues}

    def add(queue: QueueResource, above: frozenset[str]) -> None:
        policy = _value("RedrivePolicy", queue.attributes.get("RedrivePolicy", ""))
        arn = str(policy.get("deadLetterTargetArn", "")) if isinstance(policy, dict) else ""
        target = by_name.get(arn.rpartition(":")[2])
        if target is not None and target.name not in above:
            add(target, above | {queue.name})
        ordered.setdefault(queue.name, queue)

    for queue in queues:
        add(queue, frozenset({queue.name}))
    return list(ordered.values())
