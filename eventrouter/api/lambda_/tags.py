"""TagResource, UntagResource, ListTags: tags of functions and of event source mappings.

Source: lambda-semantics §2.8.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from eventrouter.api.lambda_.errors import function_not_found, invalid
from eventrouter.api.lambda_.mapping_writes import MappingWrites
from eventrouter.api.lambda_.references import Values
from eventrouter.api.lambda_.writes import FunctionWrites
from eventrouter.errors import RequestError
from eventrouter.ports import Caller, Operation
from eventrouter.rules.function import Function
from eventrouter.rules.limits import TAGS
from eventrouter.rules.mapping import EventSourceMapping
from eventrouter.rules.names import parse_reference

if TYPE_CHECKING:
    from eventrouter.api.lambda_.answers import Answer
    from eventrouter.store import Functions

_NOT_FOUND = {
    "event-source-mapping": "Event source mapping not found: {}",
    "capacity-provider": "Capacity provider not found: {}",
    "network-connector": "Network connector not found: {}",
    "code-signing-config": "The Lambda code signing configuration {} can not be found.",
}


Edit = Callable[[Mapping[str, str]], Mapping[str, str]]
"""Makes the new tags out of the current ones. Raises RequestError if they are too many."""


class Tags:
    """Tags of whatever can have them here."""

    def __init__(self, *, functions: Functions, writes: FunctionWrites, mapping_writes: MappingWrites) -> None:
        self._functions = functions
        self._writes = writes
        self._mapping_writes = mapping_writes

    def operations(self) -> dict[str, Operation]:
        return {
            "TagResource": self.tag_resource,
            "UntagResource": self.untag_resource,
            "ListTags": self.list_tags,
        }

    async def tag_resource(self, caller: Caller, values: Values) -> Answer:
        resource = await self._find(caller, values["Resource"])
        given: Mapping[str, str] = values["Tags"]
        if not given:
            raise invalid("An error occurred and the request cannot be processed.")

        def tagged(current: Mapping[str, str]) -> Mapping[str, str]:
            tags = {**current, **given}
            check_tags(tags)
            return tags

        await self._edit(resource, tagged)
        return {}

    async def untag_resource(self, caller: Caller, values: Values) -> Answer:
        resource = await self._find(caller, values["Resource"])
        keys = frozenset(values["TagKeys"])
        await self._edit(resource, lambda tags: {key: value for key, value in tags.items() if key not in keys})
        return {}

    async def list_tags(self, caller: Caller, values: Values) -> Answer:
        return {"Tags": dict((await self._find(caller, values["Resource"])).tags)}

    async def _edit(self, resource: Function | EventSourceMapping, edit: Edit) -> None:
        if isinstance(resource, EventSourceMapping):
            await self._mapping_writes.change(
                resource.uuid, lambda current: dataclasses.replace(current, tags=edit(current.tags))
            )
        else:
            await self._writes.change(resource.name, lambda current: self._revised(current, edit(current.tags)))

    def _revised(self, current: Function, tags: Mapping[str, str]) -> Function:
        if tags == current.tags:
            return current
        return dataclasses.replace(current, tags=tags, revision_id=self._writes.new_revision_id())

    async def _find(self, caller: Caller, arn: str) -> Function | EventSourceMapping:
        kind, name = arn.split(":")[5:7]
        if kind == "event-source-mapping":
            mapping = await self._mapping_writes.known(name)
            if mapping is not None and mapping.arn == arn and mapping.account == caller.account:
                return mapping
        if kind != "function":
            code = "CodeSigningConfigNotFoundException" if kind.startswith("code-") else "ResourceNotFoundException"
            raise RequestError(code, _NOT_FOUND[kind].format(arn))
        reference = parse_reference(arn, None, account=caller.account, region=caller.region)
        if reference.qualifier is not None:
            raise invalid("Tags on function aliases and versions are not supported. Please specify a function ARN.")
        function = self._functions.get(reference.function)
        if function is None:
            raise function_not_found(reference.function)
        return function


def check_tags(tags: Mapping[str, str]) -> None:
    """Raise RequestError if something would have more tags than allowed."""
    if len(tags) > TAGS:
        raise invalid("Number of tags exceeds resource tag limit.")
