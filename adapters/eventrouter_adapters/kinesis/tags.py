"""Tags of streams, by the stream's name and by its ARN, and of consumers. Source: lambda-semantics §7.1."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection

from eventrouter.ports import Caller, Operation
from eventrouter.rules.stream import Stream, StreamName
from eventrouter_adapters.kinesis.access import Access, Members
from eventrouter_adapters.kinesis.addresses import parse_consumer_arn
from eventrouter_adapters.kinesis.consumers import ConsumerOperations
from eventrouter_adapters.kinesis.tag_rules import MOST_TAGS, Tags, check_tags


class TagOperations:
    """The operations on tags."""

    def __init__(self, access: Access, consumers: ConsumerOperations) -> None:
        self._access = access
        self._consumers = consumers

    def operations(self) -> dict[str, Operation]:
        """Return the operations by their names on the wire."""
        return {
            "AddTagsToStream": self.add_tags_to_stream,
            "ListTagsForResource": self.list_tags_for_resource,
            "ListTagsForStream": self.list_tags_for_stream,
            "RemoveTagsFromStream": self.remove_tags_from_stream,
            "TagResource": self.tag_resource,
            "UntagResource": self.untag_resource,
        }

    async def add_tags_to_stream(self, caller: Caller, members: Members) -> Members:
        """Add tags to a stream, or change their values."""
        await self._edit_stream(self._access.name_of(caller, members), _adding(members["Tags"]))
        return {}

    async def remove_tags_from_stream(self, caller: Caller, members: Members) -> Members:
        """Remove tags from a stream; keys that it lacks are ignored."""
        await self._edit_stream(self._access.name_of(caller, members), _removing(members["TagKeys"]))
        return {}

    async def list_tags_for_stream(self, caller: Caller, members: Members) -> Members:
        """Answer with a page of a stream's tags, by key."""
        stream = await self._access.find(caller, members)
        after = members.get("ExclusiveStartTagKey") or ""
        tags = [tag for tag in _shown(stream.tags) if tag["Key"] > after]
        limit = members.get("Limit") or MOST_TAGS
        return {"Tags": tags[:limit], "HasMoreTags": len(tags) > limit}

    async def tag_resource(self, caller: Caller, members: Members) -> Members:
        """Add tags to the stream or the consumer that an ARN names."""
        await self._edit(caller, members["ResourceARN"], _adding(members["Tags"]))
        return {}

    async def untag_resource(self, caller: Caller, members: Members) -> Members:
        """Remove tags from the stream or the consumer that an ARN names."""
        await self._edit(caller, members["ResourceARN"], _removing(members["TagKeys"]))
        return {}

    async def list_tags_for_resource(self, caller: Caller, members: Members) -> Members:
        """Answer with all tags of the stream or the consumer that an ARN names."""
        arn = members["ResourceARN"]
        if parse_consumer_arn(arn) is not None:
            _, consumer = await self._consumers.find(caller, {"ConsumerARN": arn})
            return {"Tags": _shown(consumer.tags)}
        return {"Tags": _shown((await self._access.find(caller, {"StreamARN": arn})).tags)}

    async def _edit(self, caller: Caller, arn: str, edit: Callable[[Tags], Tags]) -> None:
        if parse_consumer_arn(arn) is not None:
            await self._consumers.retag(caller, arn, edit)
        else:
            await self._edit_stream(self._access.name_of(caller, {"StreamARN": arn}), edit)

    async def _edit_stream(self, name: StreamName, edit: Callable[[Tags], Tags]) -> None:
        def edited(stream: Stream) -> Stream:
            return dataclasses.replace(stream, tags=edit(stream.tags))

        await self._access.change(name, edited)


def _adding(new: Tags) -> Callable[[Tags], Tags]:
    return lambda old: check_tags(old, new)


def _removing(keys: Collection[str]) -> Callable[[Tags], Tags]:
    return lambda old: {key: value for key, value in old.items() if key not in keys}


def _shown(tags: Tags) -> list[dict[str, str]]:
    return [{"Key": key, "Value": tags[key]} for key in sorted(tags)]
