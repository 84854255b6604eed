"""Functions: their code, their settings, and how their asynchronous events end."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from eventrouter.api.protocol.models import service_model
from eventrouter.project.differences import changes, with_defaults
from eventrouter.project.model import FunctionResource
from eventrouter.project.packages import package
from eventrouter.project.plan import Action, Change, Step
from eventrouter.project.target import Target

ROLE = "arn:aws:iam::000000000000:role/eventrouter"
"""Every function must name a role; none is ever assumed here."""
HOT_RELOAD_BUCKET = "hot-reload"

_DEFAULTS: Mapping[str, Any] = {
    "Description": "",
    "Timeout": 3,
    "MemorySize": 128,
    "Environment": {"Variables": {}},
    "DeadLetterConfig": {"TargetArn": ""},
    "LoggingConfig": {"LogFormat": "Text"},
    "TracingConfig": {"Mode": "PassThrough"},
    "EphemeralStorage": {"Size": 512},
    "Role": ROLE,
}
"""What a function has where nothing is declared (lambda-semantics §2.1)."""
_JSON_LOGS: Mapping[str, Any] = {"ApplicationLogLevel": "INFO", "SystemLogLevel": "INFO"}
_INVOKE_DEFAULTS: Mapping[str, Any] = {
    "MaximumRetryAttempts": 2,
    "MaximumEventAgeInSeconds": 21_600,
    "DestinationConfig": {"OnSuccess": {"Destination": ""}, "OnFailure": {"Destination": ""}},
}
_NOT_FOUND = "ResourceNotFoundException"


class FunctionSteps:
    """The steps of functions, and of the settings that may name other functions, which come after all of them."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._found: dict[str, dict[str, Any] | None] = {}

    async def declared(self) -> list[Step]:
        functions = self._target.project.functions
        steps = [await self._function(function) for function in functions]
        for function in functions:
            steps += await self._concurrency(function)
            steps += await self._event_invoke(function)
        return steps

    async def undeclared(self) -> list[Step]:
        target, steps = self._target, []
        names = {function.name for function in target.project.functions}
        async for listed in target.pages("lambda", "ListFunctions", "Functions", marker=("Marker", "NextMarker")):
            name = listed["FunctionName"]
            if name in names:
                continue
            found = await self._find(name)
            if found is not None and target.owns(found.get("Tags", {})):
                run = partial(self._delete, name)
                steps.append(Step(action=Action.DELETE, kind="function", name=name, run=run))
        return steps

    async def _find(self, name: str) -> dict[str, Any] | None:
        if name not in self._found:
            self._found[name] = await self._target.find(_NOT_FOUND, "lambda", "GetFunction", FunctionName=name)
        return self._found[name]

    async def _function(self, function: FunctionResource) -> Step:
        found = await self._find(function.name)
        kept = Step(action=Action.KEEP, kind="function", name=function.name, place=function.place)
        if found is None:
            return replace(kept, action=Action.CREATE, run=partial(self._create, function))
        tags = found.get("Tags", {})
        self._target.check_owner(f"the function {function.name}", tags, function.place)
        current = found["Configuration"]
        settings = changes(_settings_shape(), _settings(function), current)
        code = await self._code_changes(function, found)
        tagging = self._target.tag_changes(function.members.get("Tags", {}), tags)
        if not (settings or code or tagging):
            return kept
        run = partial(self._update, function, settings, has_new_code=bool(code), tags=tags)
        return replace(kept, action=Action.UPDATE, changes=(*code, *settings, *tagging), run=run)

    async def _code_changes(self, function: FunctionResource, found: dict[str, Any]) -> tuple[Change, ...]:
        changed = []
        current = found["Configuration"]
        location = found["Code"].get("Location", "")
        if self._target.hot_reload and function.code.is_dir():
            if location != (wanted := f"file://{function.code.resolve()}"):
                changed.append(Change(member="Code", before=location, after=wanted))
        else:
            zip_bytes = await asyncio.to_thread(package, function)
            digest = base64.b64encode(hashlib.sha256(zip_bytes).digest()).decode()
            if digest != current["CodeSha256"] or location.startswith("file://"):
                changed.append(Change(member="Code", before=current["CodeSha256"], after=digest))
        declared = function.members.get("Architectures")
        if declared and list(declared) != current.get("Architectures"):
            changed.append(Change(member="Architectures", before=current.get("Architectures"), after=list(declared)))
        return tuple(changed)

    async def _code(self, function: FunctionResource) -> dict[str, Any]:
        if self._target.hot_reload and function.code.is_dir():
            return {"S3Bucket": HOT_RELOAD_BUCKET, "S3Key": str(function.code.resolve())}
        return {"ZipFile": await asyncio.to_thread(package, function)}

    async def _create(self, function: FunctionResource) -> None:
        members = {"Role": ROLE, **function.members}
        await self._target.call(
            "lambda",
            "CreateFunction",
            **{
                **members,
                "FunctionName": function.name,
                "Code": await self._code(function),
                "Tags": {**members.get("Tags", {}), **self._target.owner},
            },
        )
        await self._wait_ready(function.name)

    async def _update(
        self, function: FunctionResource, settings: tuple[Change, ...], *, has_new_code: bool, tags: Mapping[str, str]
    ) -> None:
        name = function.name
        if settings:
            members = {change.member: change.after for change in settings}
            await self._target.call("lambda", "UpdateFunctionConfiguration", FunctionName=name, **members)
            await self._wait_ready(name)
        if has_new_code:
            architectures = {key: value for key, value in function.members.items() if key == "Architectures"}
            code = await self._code(function)
            await self._target.call("lambda", "UpdateFunctionCode", FunctionName=name, **code, **architectures)
            await self._wait_ready(name)
        project = self._target.project
        arn = f"arn:aws:lambda:{project.region}:{project.account}:function:{name}"
        await self._target.tag(arn, function.members.get("Tags", {}), tags)

    async def _delete(self, name: str) -> None:
        await self._target.call("lambda", "DeleteFunction", FunctionName=name)

    async def _wait_ready(self, name: str) -> None:
        async def is_ready() -> bool:
            current = await self._target.call("lambda", "GetFunctionConfiguration", FunctionName=name)
            return current["State"] == "Active" and current.get("LastUpdateStatus") != "InProgress"

        await self._target.wait(f"the function {name} to be active", is_ready)

    # What belongs to a function and is set by operations of its own.

    async def _concurrency(self, function: FunctionResource) -> list[Step]:
        found = await self._find(function.name)
        before = None if found is None else found.get("Concurrency", {}).get("ReservedConcurrentExecutions")
        after = function.reserved_concurrency
        if before == after:
            return []
        change = Change(member="ReservedConcurrentExecutions", before=before, after=after)
        action = _action(before, after)
        run = partial(self._set_concurrency, function.name, after)
        place = function.place
        return [Step(action=action, kind="concurrency", name=function.name, place=place, changes=(change,), run=run)]

    async def _set_concurrency(self, name: str, reserved: int | None) -> None:
        if reserved is None:
            await self._target.call("lambda", "DeleteFunctionConcurrency", FunctionName=name)
            return
        await self._target.call(
            "lambda", "PutFunctionConcurrency", FunctionName=name, ReservedConcurrentExecutions=reserved
        )

    async def _event_invoke(self, function: FunctionResource) -> list[Step]:
        current = None
        if await self._find(function.name) is not None:
            current = await self._target.find(
                _NOT_FOUND, "lambda", "GetFunctionEventInvokeConfig", FunctionName=function.name
            )
        if function.event_invoke is None and current is None:
            return []
        declared = None if function.event_invoke is None else with_defaults(_INVOKE_DEFAULTS, function.event_invoke)
        shape = service_model("lambda").operation("PutFunctionEventInvokeConfig").input
        assert shape is not None
        changed: tuple[Change, ...] = ()
        if current is not None and declared is not None:
            shown = {name: value for name, value in current.items() if value is not None}
            changed = changes(shape, _without_name(declared), {**_INVOKE_DEFAULTS, **shown})  # unset is the default
            if not changed:
                return []
        return [
            Step(
                action=_action(current, declared),
                kind="async settings",
                name=function.name,
                place=function.place,
                changes=changed,
                run=partial(self._set_event_invoke, function),
            )
        ]

    async def _set_event_invoke(self, function: FunctionResource) -> None:
        if function.event_invoke is None:
            await self._target.call("lambda", "DeleteFunctionEventInvokeConfig", FunctionName=function.name)
            return
        members = {"MaximumRetryAttempts": 2, **_without_name(function.event_invoke)}
        await self._target.call("lambda", "PutFunctionEventInvokeConfig", FunctionName=function.name, **members)


def _settings(function: FunctionResource) -> dict[str, Any]:
    """Return the settings that a function is to have, the defaults included."""
    updatable = _settings_shape().members
    given = {name: value for name, value in function.members.items() if name in updatable}
    logging = {"LogGroup": f"/aws/lambda/{function.name}"}
    if given.get("LoggingConfig", {}).get("LogFormat") == "JSON":
        logging |= _JSON_LOGS
    return with_defaults(with_defaults(_DEFAULTS, {"LoggingConfig": logging}), given)


def _settings_shape() -> Any:  # Any: never None for this operation
    return service_model("lambda").operation("UpdateFunctionConfiguration").input


def _without_name(members: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if name != "FunctionName"}


def _action(before: object, after: object) -> Action:
    if before is None:
        return Action.CREATE
    return Action.DELETE if after is None else Action.UPDATE
