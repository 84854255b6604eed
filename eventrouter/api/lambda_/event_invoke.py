"""Put, Update, Get, List and DeleteFunctionEventInvokeConfig: how asynchronous events are retried and end.

Source: lambda-semantics §2.13.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from eventrouter.api.lambda_.answers import Answer, marker, read_marker
from eventrouter.api.lambda_.errors import invalid
from eventrouter.api.lambda_.references import Values, reference_of
from eventrouter.api.lambda_.targets import TargetCheck
from eventrouter.api.lambda_.writes import FunctionWrites
from eventrouter.errors import RequestError
from eventrouter.ports import Caller, Operation
from eventrouter.rules.function import EventInvokeConfig, Function
from eventrouter.rules.limits import LIST_PAGE
from eventrouter.rules.names import LATEST, FunctionReference

if TYPE_CHECKING:
    from eventrouter.store import Functions


class EventInvokeConfigs:
    """Settings of asynchronous invocation, one set per qualifier."""

    def __init__(self, *, functions: Functions, writes: FunctionWrites, targets: TargetCheck) -> None:
        self._functions = functions
        self._writes = writes
        self._targets = targets

    def operations(self) -> dict[str, Operation]:
        return {
            "PutFunctionEventInvokeConfig": self.put_function_event_invoke_config,
            "UpdateFunctionEventInvokeConfig": self.update_function_event_invoke_config,
            "GetFunctionEventInvokeConfig": self.get_function_event_invoke_config,
            "ListFunctionEventInvokeConfigs": self.list_function_event_invoke_configs,
            "DeleteFunctionEventInvokeConfig": self.delete_function_event_invoke_config,
        }

    async def put_function_event_invoke_config(self, caller: Caller, values: Values) -> Answer:
        return await self._write(caller, values, merge=False)

    async def update_function_event_invoke_config(self, caller: Caller, values: Values) -> Answer:
        return await self._write(caller, values, merge=True)

    async def get_function_event_invoke_config(self, caller: Caller, values: Values) -> Answer:
        reference = reference_of(caller, values)
        return _answer(reference, _config(self._function(reference), reference))

    async def list_function_event_invoke_configs(self, caller: Caller, values: Values) -> Answer:
        reference = reference_of(caller, values)
        function = self._function(reference)
        after = read_marker(values.get("Marker"))
        waiting = sorted(qualifier for qualifier in function.event_invoke if qualifier > after)
        page = waiting[: min(values.get("MaxItems", LIST_PAGE), LIST_PAGE)]
        answer: dict[str, Any] = {
            "FunctionEventInvokeConfigs": [
                _answer(
                    FunctionReference(function=function.name, qualifier=qualifier), function.event_invoke[qualifier]
                )
                for qualifier in page
            ]
        }
        if len(waiting) > len(page):
            answer["NextMarker"] = marker(page[-1])
        return answer

    async def delete_function_event_invoke_config(self, caller: Caller, values: Values) -> Answer:
        reference = reference_of(caller, values)
        function = self._function(reference)

        def without(current: Function) -> Function:
            _config(current, reference)
            kept = {name: config for name, config in current.event_invoke.items() if name != reference.version}
            return dataclasses.replace(current, event_invoke=kept)

        await self._writes.change(function.name, without)
        return {}

    async def _write(self, caller: Caller, values: Values, *, merge: bool) -> Answer:
        given = _given(values)
        if not given:
            raise invalid("You must specify at least one of error handling or destination setting.")
        reference = reference_of(caller, values)
        function = self._function(reference)
        await self._targets.check_destinations(
            given.get("on_success"), given.get("on_failure"), own_arn=function.name.arn()
        )
        now_ms = self._writes.now_ms()

        def written(current: Function) -> Function:
            base = _config(current, reference) if merge else EventInvokeConfig()
            config = dataclasses.replace(base, **given, last_modified_ms=now_ms)
            return dataclasses.replace(current, event_invoke={**current.event_invoke, reference.version: config})

        stored = await self._writes.change(function.name, written)
        return _answer(reference, _config(stored, reference))

    def _function(self, reference: FunctionReference) -> Function:
        function = self._functions.get(reference.function)
        if function is None or reference.version != LATEST:
            raise RequestError("ResourceNotFoundException", "The function doesn't exist.")
        return function


def _given(values: Values) -> dict[str, Any]:
    """Return the settings that a request names, by field; an empty destination clears it."""
    given = {
        field: values[member]
        for member, field in (
            ("MaximumRetryAttempts", "maximum_retry_attempts"),
            ("MaximumEventAgeInSeconds", "maximum_event_age_s"),
        )
        if values.get(member) is not None
    }
    for member, field in (("OnSuccess", "on_success"), ("OnFailure", "on_failure")):
        destination = values.get("DestinationConfig", {}).get(member, {}).get("Destination")
        if destination is not None:
            given[field] = destination or None
    return given


def _config(function: Function, reference: FunctionReference) -> EventInvokeConfig:
    config = function.event_invoke.get(reference.version)
    if config is None:
        raise RequestError(
            "ResourceNotFoundException",
            f"The function {function.name.arn(reference.version)} doesn't have an EventInvokeConfig",
        )
    return config


def _answer(reference: FunctionReference, config: EventInvokeConfig) -> Answer:
    success = {} if config.on_success is None else {"Destination": config.on_success}
    failure = {} if config.on_failure is None else {"Destination": config.on_failure}
    return {
        "LastModified": config.last_modified_ms / 1_000,
        "FunctionArn": reference.function.arn(reference.version),
        "MaximumRetryAttempts": config.maximum_retry_attempts,
        "MaximumEventAgeInSeconds": config.maximum_event_age_s,
        "DestinationConfig": {"OnSuccess": success, "OnFailure": failure},
    }
