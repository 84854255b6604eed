"""TagResource, UntagResource, ListTags.

Source: lambda-semantics §2.8.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING

from eventrouter.api.lambda_.errors import function_not_found, invalid
from eventrouter.api.lambda_.references import Values
from eventrouter.api.lambda_.writes import FunctionWrites
from eventrouter.errors import RequestError
from eventrouter.ports import Caller, Operation
from eventrouter.rules.function import Function
from eventrouter.rules.limits import TAGS
from eventrouter.rules.names import FunctionName, parse_reference

if TYPE_CHECKING:
    from eventrouter.api.lambda_.answers import Answer
    from eventrouter.store import Functions

_NOT_FOUND = {
    "event-source-mapping": "Event source mapping not found: {}",
    "capacity-provider": "Capacity provider not found: {}",
    "network-connector": "Network connector not found: {}",
    "code-signing-config": "The Lambda code signing configuration {} can not be found.",
}


class Tags:
    """Tags of functions."""

    def __init__(self, *, functions: Functions, writes: FunctionWrites) -> None:
        self._functions = functions
        self._writes = writes

    def operations(self) -> dict[str, Operation]:
        return {
            "TagResource": self.tag_resource,
            "UntagResource": self.untag_resource,
            "ListTags": self.list_tags,
        }

    async def tag_resource(self, caller: Caller, values: Values) -> Answer:
        function = self._function(caller, values["Resource"])
        given: Mapping[str, str] = values["Tags"]
        if not given:
            raise invalid("An error occurred and the request cannot be processed.")

        def tagged(current: Function) -> Function:
            tags = {**current.tags, **given}
            check_tags(tags)
            return self._revised(current, tags)

        await self._writes.change(function.name, tagged)
        return {}

    async def untag_resource(self, caller: Caller, values: Values) -> Answer:
        function = self._function(caller, values["Resource"])
        keys = frozenset(values["TagKeys"])

        def untagged(current: Function) -> Function:
            return self._revised(current, {key: value for key, value in current.tags.items() if key not in keys})

        await self._writes.change(function.name, untagged)
        return {}

    async def list_tags(self, caller: Caller, values: Values) -> Answer:
        return {"Tags": dict(self._function(caller, values["Resource"]).tags)}

    def _revised(self, current: Function, tags: Mapping[str, str]) -> Function:
        if tags == current.tags:
            return current
        return dataclasses.replace(current, tags=tags, revision_id=self._writes.new_revision_id())

    def _function(self, caller: Caller, arn: str) -> Function:
        kind = arn.split(":")[5]
        if kind != "function":
            code = "CodeSigningConfigNotFoundException" if kind.startswith("code-") else "ResourceNotFoundException"
            raise RequestError(code, _NOT_FOUND[kind].format(arn))
        reference = parse_reference(arn, None, account=caller.account, region=caller.region)
        if reference.qualifier is not None:
            raise invalid("Tags on function aliases and versions are not supported. Please specify a function ARN.")
        name: FunctionName = reference.function
        function = self._functions.get(name)
        if function is None:
            raise function_not_found(name)
        return function


def check_tags(tags: Mapping[str, str]) -> None:
    """Raise RequestError if a function would have more tags than allowed."""
    if len(tags) > TAGS:
        raise invalid("Number of tags exceeds resource tag limit.")
