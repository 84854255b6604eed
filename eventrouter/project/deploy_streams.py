"""Kinesis streams: shards, mode, retention, record size and tags."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from eventrouter.project.model import StreamResource
from eventrouter.project.plan import Action, Change, Step
from eventrouter.project.target import OWNER_TAG, Target

_MISSING = "ResourceNotFoundException"
_RECORD_KIB = 1024
"""The largest record of a stream that declares none."""


class StreamSteps:
    """The steps of streams."""

    def __init__(self, target: Target) -> None:
        self._target = target

    async def declared(self) -> list[Step]:
        return [await self._stream(stream) for stream in self._target.project.streams]

    async def undeclared(self) -> list[Step]:
        target, steps = self._target, []
        names = {stream.name for stream in target.project.streams}
        marker = ("NextToken", "NextToken")
        async for name in target.pages("kinesis", "ListStreams", "StreamNames", marker=marker):
            if name in names or not target.owns(await self._tags(name)):
                continue
            if not target.prune:
                note = "holds records; deleted with --prune only"
                steps.append(Step(action=Action.LEAVE, kind="stream", name=name, note=note))
            else:
                run = partial(self._delete, name)
                steps.append(Step(action=Action.DELETE, kind="stream", name=name, run=run))
        return steps

    async def _tags(self, name: str) -> dict[str, str]:
        answer = await self._target.find(_MISSING, "kinesis", "ListTagsForStream", StreamName=name)
        return {tag["Key"]: tag["Value"] for tag in (answer or {}).get("Tags", ())}

    async def _find(self, name: str) -> dict[str, Any] | None:
        answer = await self._target.find(_MISSING, "kinesis", "DescribeStreamSummary", StreamName=name)
        return None if answer is None else answer["StreamDescriptionSummary"]

    async def _stream(self, stream: StreamResource) -> Step:
        current = await self._find(stream.name)
        kept = Step(action=Action.KEEP, kind="stream", name=stream.name, place=stream.place)
        if current is None:
            return replace(kept, action=Action.CREATE, run=partial(self._create, stream))
        tags = await self._tags(stream.name)
        self._target.check_owner(f"the stream {stream.name}", tags, stream.place)
        before = {key: value for key, value in tags.items() if key != OWNER_TAG}
        changed = _changes(stream, current, before)
        if not changed:
            return kept
        run = partial(self._update, stream, current["StreamARN"], changed)
        return replace(kept, action=Action.UPDATE, changes=changed, run=run)

    async def _create(self, stream: StreamResource) -> None:
        tags = {**stream.members.get("Tags", {}), **self._target.owner}
        members = {**stream.members, "Tags": tags}
        await self._target.call("kinesis", "CreateStream", StreamName=stream.name, **members)
        await self._wait_active(stream.name)
        if stream.retention_hours != 24:
            await self._set_retention(stream.name, 24, stream.retention_hours)

    async def _update(self, stream: StreamResource, arn: str, changed: tuple[Change, ...]) -> None:
        name, call = stream.name, self._target.call
        for change in changed:
            match change.member:
                case "StreamModeDetails":
                    await call("kinesis", "UpdateStreamMode", StreamARN=arn, StreamModeDetails=change.after)
                case "ShardCount":
                    await call(
                        "kinesis",
                        "UpdateShardCount",
                        StreamName=name,
                        TargetShardCount=change.after,
                        ScalingType="UNIFORM_SCALING",
                    )
                case "MaxRecordSizeInKiB":
                    await call("kinesis", "UpdateMaxRecordSize", StreamARN=arn, MaxRecordSizeInKiB=change.after)
                case "RetentionPeriodHours":
                    await self._set_retention(name, change.before, change.after)
                case "Tags":
                    await self._tag(name, change.before, change.after)
            await self._wait_active(name)

    async def _set_retention(self, name: str, before: int, after: int) -> None:
        operation = "IncreaseStreamRetentionPeriod" if after > before else "DecreaseStreamRetentionPeriod"
        await self._target.call("kinesis", operation, StreamName=name, RetentionPeriodHours=after)
        await self._wait_active(name)

    async def _tag(self, name: str, before: Mapping[str, str], after: Mapping[str, str]) -> None:
        if removed := [key for key in before if key not in after]:
            await self._target.call("kinesis", "RemoveTagsFromStream", StreamName=name, TagKeys=removed)
        if added := {key: value for key, value in after.items() if before.get(key) != value}:
            await self._target.call("kinesis", "AddTagsToStream", StreamName=name, Tags=added)

    async def _delete(self, name: str) -> None:
        await self._target.call("kinesis", "DeleteStream", StreamName=name, EnforceConsumerDeletion=True)

        async def is_gone() -> bool:
            return await self._find(name) is None

        await self._target.wait(f"the stream {name} to be gone", is_gone)

    async def _wait_active(self, name: str) -> None:
        async def is_active() -> bool:
            found = await self._find(name)
            return found is not None and found["StreamStatus"] == "ACTIVE"

        await self._target.wait(f"the stream {name} to be active", is_active)


def _changes(stream: StreamResource, current: Mapping[str, Any], tags: Mapping[str, str]) -> tuple[Change, ...]:
    members = stream.members
    declared_mode = members.get("StreamModeDetails", {}).get("StreamMode")
    mode = declared_mode or ("PROVISIONED" if "ShardCount" in members else "ON_DEMAND")
    wanted: dict[str, tuple[Any, Any]] = {
        "StreamModeDetails": (current.get("StreamModeDetails"), {"StreamMode": mode}),
        "RetentionPeriodHours": (current["RetentionPeriodHours"], stream.retention_hours),
        "MaxRecordSizeInKiB": (
            current.get("MaxRecordSizeInKiB", _RECORD_KIB),
            members.get("MaxRecordSizeInKiB", _RECORD_KIB),
        ),
        "Tags": (dict(tags), dict(members.get("Tags", {}))),
    }
    if mode == "PROVISIONED" and "ShardCount" in members:
        wanted["ShardCount"] = (current["OpenShardCount"], members["ShardCount"])
    return tuple(
        Change(member=name, before=before, after=after) for name, (before, after) in wanted.items() if before != after
    )
