"""Event source mappings: one per source and function."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from eventrouter.api.protocol.models import service_model
from eventrouter.project.differences import changes, differs, with_defaults
from eventrouter.project.model import MappingResource, function_name, source_name
from eventrouter.project.plan import Action, Change, Step
from eventrouter.project.target import Target

_COMMON: Mapping[str, Any] = {
    "Enabled": True,
    "MaximumBatchingWindowInSeconds": 0,
    "FilterCriteria": {"Filters": []},
    "FunctionResponseTypes": [],
    "MetricsConfig": {"Metrics": []},
}
_QUEUE_DEFAULTS: Mapping[str, Any] = {**_COMMON, "BatchSize": 10, "ScalingConfig": {}}
_STREAM_DEFAULTS: Mapping[str, Any] = {
    **_COMMON,
    "BatchSize": 100,
    "ParallelizationFactor": 1,
    "BisectBatchOnFunctionError": False,
    "MaximumRetryAttempts": -1,
    "MaximumRecordAgeInSeconds": -1,
    "TumblingWindowInSeconds": 0,
    "DestinationConfig": {"OnFailure": {"Destination": ""}},
}
"""What a mapping has where nothing is declared (lambda-semantics §4.3)."""
_FIXED = ("StartingPosition", "StartingPositionTimestamp")
_WHOLE = {"ScalingConfig": "MaximumConcurrency", "ProvisionedPollerConfig": "MinimumPollers"}
"""Structures of which nothing declared means nothing set, and a member that shows whether something is."""
_SETTLED = frozenset({"Enabled", "Disabled"})
_MISSING = "ResourceNotFoundException"


class MappingSteps:
    """The steps of event source mappings."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._existing: dict[tuple[str, str], dict[str, Any]] | None = None

    async def declared(self) -> list[Step]:
        return [await self._mapping(mapping) for mapping in self._target.project.mappings]

    async def undeclared(self) -> list[Step]:
        declared = {_key(mapping.members) for mapping in self._target.project.mappings}
        steps = []
        for (arn, function), current in (await self._all()).items():
            if (arn, function) not in declared and self._target.owns(await self._tags(current)):
                run = partial(self._delete, current["UUID"])
                name = f"{source_name(arn)} -> {function}"
                steps.append(Step(action=Action.DELETE, kind="mapping", name=name, run=run))
        return steps

    async def _all(self) -> dict[tuple[str, str], dict[str, Any]]:
        if self._existing is None:
            marker = ("Marker", "NextMarker")
            self._existing = {
                (current["EventSourceArn"], function_name(current["FunctionArn"])): current
                async for current in self._target.pages(
                    "lambda", "ListEventSourceMappings", "EventSourceMappings", marker=marker
                )
                if current["State"] != "Deleting"
            }
        return self._existing

    async def _tags(self, current: Mapping[str, Any]) -> dict[str, str]:
        arn = current["EventSourceMappingArn"]
        answer = await self._target.find(_MISSING, "lambda", "ListTags", Resource=arn)
        return {} if answer is None else answer.get("Tags") or {}

    async def _mapping(self, mapping: MappingResource) -> Step:
        arn, function = _key(mapping.members)
        kept = Step(action=Action.KEEP, kind="mapping", name=f"{source_name(arn)} -> {function}", place=mapping.place)
        current = (await self._all()).get((arn, function))
        if current is None:
            return replace(kept, action=Action.CREATE, run=partial(self._create, mapping))
        tags, declared = await self._tags(current), mapping.members.get("Tags", {})
        self._target.check_owner(f"the mapping {mapping.name}", tags, mapping.place)
        changed, tagging = _changes(mapping, current), self._target.tag_changes(declared, tags)
        if not (changed or tagging):
            return kept
        uuid = current["UUID"]
        if any(change.member in _FIXED for change in changed):
            run = partial(self._replace, mapping, uuid)
            note = "starts anew: where a mapping begins cannot be changed"
            return replace(kept, action=Action.REPLACE, changes=(*changed, *tagging), note=note, run=run)

        async def update() -> None:
            if changed:
                await self._update(uuid, changed)
            await self._target.tag(current["EventSourceMappingArn"], declared, tags)

        return replace(kept, action=Action.UPDATE, changes=(*changed, *tagging), run=update)

    async def _create(self, mapping: MappingResource) -> None:
        tags = {**mapping.members.get("Tags", {}), **self._target.owner}
        created = await self._target.call("lambda", "CreateEventSourceMapping", **{**mapping.members, "Tags": tags})
        await self._wait_settled(created["UUID"])

    async def _replace(self, mapping: MappingResource, uuid: str) -> None:
        await self._delete(uuid)
        await self._create(mapping)

    async def _update(self, uuid: str, changed: tuple[Change, ...]) -> None:
        members = {change.member: change.after for change in changed}
        await self._wait_settled(uuid)
        await self._target.call("lambda", "UpdateEventSourceMapping", UUID=uuid, **members)
        await self._wait_settled(uuid)

    async def _delete(self, uuid: str) -> None:
        await self._wait_settled(uuid)
        await self._target.find(_MISSING, "lambda", "DeleteEventSourceMapping", UUID=uuid)

        async def is_gone() -> bool:
            return await self._find(uuid) is None

        await self._target.wait(f"the mapping {uuid} to be gone", is_gone)

    async def _find(self, uuid: str) -> dict[str, Any] | None:
        return await self._target.find(_MISSING, "lambda", "GetEventSourceMapping", UUID=uuid)

    async def _wait_settled(self, uuid: str) -> None:
        async def is_settled() -> bool:
            found = await self._find(uuid)
            return found is None or found["State"] in _SETTLED

        await self._target.wait(f"the mapping {uuid} to be enabled", is_settled)


def _key(members: Mapping[str, Any]) -> tuple[str, str]:
    return members["EventSourceArn"], function_name(members["FunctionName"])


def _changes(mapping: MappingResource, current: Mapping[str, Any]) -> tuple[Change, ...]:
    """Return what differs: the settings, and where the mapping begins, which cannot be changed."""
    members = mapping.members
    shape = service_model("lambda").operation("UpdateEventSourceMapping").input
    creation = service_model("lambda").operation("CreateEventSourceMapping").input
    assert shape is not None
    assert creation is not None
    is_queue = members["EventSourceArn"].split(":")[2] == "sqs"
    settings = {name: value for name, value in members.items() if name in shape.members and name != "FunctionName"}
    wanted = with_defaults(_QUEUE_DEFAULTS if is_queue else _STREAM_DEFAULTS, settings)
    shown = {**current, "Enabled": current["State"] not in {"Disabled", "Disabling"}}
    found = list(changes(shape, wanted, shown))
    known = {change.member for change in found}
    for name, telling in _WHOLE.items():
        if not wanted.get(name) and current.get(name, {}).get(telling) is not None and name not in known:
            found.append(Change(member=name, before=current[name], after={}))
    found += [
        Change(member=name, before=current.get(name), after=members[name])
        for name in _FIXED
        if name in members and differs(creation.members[name].shape, members[name], current.get(name))
    ]
    return tuple(found)
