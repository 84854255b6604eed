"""Schedules: EventBridge rules on the default bus, and their targets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from eventrouter.api.protocol.models import service_model
from eventrouter.project.differences import changes
from eventrouter.project.model import ScheduleResource
from eventrouter.project.plan import Action, Change, Step
from eventrouter.project.target import OWNER_TAG, Target

_DEFAULTS: Mapping[str, Any] = {"State": "ENABLED", "Description": ""}
_MISSING = "ResourceNotFoundException"
_PAGES = ("NextToken", "NextToken")


class ScheduleSteps:
    """The steps of schedules. A project that has none asks nothing of the service."""

    def __init__(self, target: Target) -> None:
        self._target = target

    async def declared(self) -> list[Step]:
        return [await self._schedule(schedule) for schedule in self._target.project.schedules]

    async def undeclared(self) -> list[Step]:
        target, steps = self._target, []
        names = {schedule.name for schedule in target.project.schedules}
        async for rule in target.pages("events", "ListRules", "Rules", marker=_PAGES):
            if rule["Name"] not in names and target.owns(await self._tags(rule["Arn"])):
                run = partial(self._delete, rule["Name"])
                steps.append(Step(action=Action.DELETE, kind="schedule", name=rule["Name"], run=run))
        return steps

    async def _tags(self, arn: str) -> dict[str, str]:
        answer = await self._target.find(_MISSING, "events", "ListTagsForResource", ResourceARN=arn)
        return {tag["Key"]: tag["Value"] for tag in (answer or {}).get("Tags", ())}

    async def _targets(self, name: str) -> dict[str, dict[str, Any]]:
        found = self._target.pages("events", "ListTargetsByRule", "Targets", marker=_PAGES, Rule=name)
        return {target["Id"]: target async for target in found}

    async def _schedule(self, schedule: ScheduleResource) -> Step:
        kept = Step(action=Action.KEEP, kind="schedule", name=schedule.name, place=schedule.place)
        target = self._target
        rule = await target.find(_MISSING, "events", "DescribeRule", Name=schedule.name)
        if rule is None:
            return replace(kept, action=Action.CREATE, run=partial(self._create, schedule))
        tags = await self._tags(rule["Arn"])
        target.check_owner(f"the schedule {schedule.name}", tags, schedule.place)
        shape = service_model("events").operation("PutRule").input
        assert shape is not None
        wanted = {name: value for name, value in {**_DEFAULTS, **schedule.members}.items() if name != "Tags"}
        changed = changes(shape, wanted, rule)
        existing = await self._targets(schedule.name)
        targets = _target_changes(schedule, existing)
        tagging = target.tag_changes(_tags_of(schedule), tags)
        if not (changed or targets or tagging):
            return kept

        async def update() -> None:
            await self._update(schedule, changed, frozenset(existing))
            await self._tag(rule["Arn"], _tags_of(schedule), tags)

        return replace(kept, action=Action.UPDATE, changes=(*changed, *targets, *tagging), run=update)

    async def _create(self, schedule: ScheduleResource) -> None:
        tags = _listed({**_tags_of(schedule), **self._target.owner})
        await self._target.call("events", "PutRule", **{**schedule.members, "Name": schedule.name, "Tags": tags})
        await self._put_targets(schedule)

    async def _update(self, schedule: ScheduleResource, changed: tuple[Change, ...], existing: frozenset[str]) -> None:
        if changed:  # a rule that is put anew begins its rate anew: not without need
            members = {name: value for name, value in schedule.members.items() if name != "Tags"}
            await self._target.call("events", "PutRule", Name=schedule.name, **members)
        await self._remove_targets(schedule.name, existing - {target["Id"] for target in schedule.targets})
        await self._put_targets(schedule)

    async def _tag(self, arn: str, declared: Mapping[str, str], tags: Mapping[str, str]) -> None:
        if removed := [key for key in tags if key not in declared and key != OWNER_TAG]:
            await self._target.call("events", "UntagResource", ResourceARN=arn, TagKeys=removed)
        if added := {key: value for key, value in declared.items() if tags.get(key) != value}:
            await self._target.call("events", "TagResource", ResourceARN=arn, Tags=_listed(added))

    async def _put_targets(self, schedule: ScheduleResource) -> None:
        if not schedule.targets:
            return
        targets = [dict(target) for target in schedule.targets]
        answer = await self._target.call("events", "PutTargets", Rule=schedule.name, Targets=targets)
        self._target.check_entries(answer)

    async def _remove_targets(self, name: str, ids: frozenset[str]) -> None:
        if ids:
            answer = await self._target.call("events", "RemoveTargets", Rule=name, Ids=sorted(ids))
            self._target.check_entries(answer)

    async def _delete(self, name: str) -> None:
        await self._remove_targets(name, frozenset(await self._targets(name)))
        await self._target.call("events", "DeleteRule", Name=name)


def _tags_of(schedule: ScheduleResource) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in schedule.members.get("Tags", ())}


def _listed(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def _target_changes(schedule: ScheduleResource, existing: Mapping[str, Mapping[str, Any]]) -> tuple[Change, ...]:
    """Return the targets that differ, are new, or are declared no longer."""
    declared = {target["Id"]: target for target in schedule.targets}
    shape = service_model("events").operation("PutTargets").input
    item = None if shape is None else shape.members["Targets"].shape.item
    assert item is not None
    found = []
    for name in sorted(declared.keys() | existing.keys()):
        before, after = existing.get(name), declared.get(name)
        if before is None or after is None or changes(item, after, before) or before.keys() - after.keys():
            found.append(Change(member=f"target {name}", before=_plain(before), after=_plain(after)))
    return tuple(found)


def _plain(target: Mapping[str, Any] | None) -> dict[str, Any] | None:
    return None if target is None else dict(target)
