"""Create, Get, List, Update and DeleteEventSourceMapping: which stream or queue feeds which function, and how.

Source: lambda-semantics §4.1-4.4.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from eventrouter.api.lambda_.answers import Answer, marker, read_marker
from eventrouter.api.lambda_.errors import invalid
from eventrouter.api.lambda_.mapping_answers import mapping_configuration
from eventrouter.api.lambda_.mapping_settings import Settings, settings_of, starting_point
from eventrouter.api.lambda_.mapping_writes import MappingWrites, deleting, mapping_not_found
from eventrouter.api.lambda_.queue_mappings import QueueMappings, refuse_for_streams
from eventrouter.api.lambda_.references import Values, reference_of
from eventrouter.api.lambda_.tags import check_tags
from eventrouter.api.lambda_.targets import TargetCheck
from eventrouter.errors import AdapterError
from eventrouter.ports import Caller, Operation, SourceGone, StreamSource
from eventrouter.rules.limits import MAPPING_PAGE
from eventrouter.rules.mapping import EventSourceMapping, MappingState
from eventrouter.rules.names import LATEST, FunctionReference

if TYPE_CHECKING:
    from eventrouter.store import Functions, Mappings

_CANNOT_READ: Mapping[str, str] = {
    "dynamodb": "the setting dynamodb_streams_endpoint names no DynamoDB Streams API to read from",
}
"""Why sources of a service are not read here, where more can be said than that no adapter does."""


class EventSourceMappings:
    """Mappings of streams and queues to functions. `sources` maps an ARN's service to what reads streams there."""

    def __init__(
        self,
        *,
        mappings: Mappings,
        functions: Functions,
        writes: MappingWrites,
        sources: Mapping[str, StreamSource],
        queues: QueueMappings,
        targets: TargetCheck,
    ) -> None:
        self._mappings = mappings
        self._functions = functions
        self._writes = writes
        self._sources = sources
        self._queues = queues
        self._targets = targets

    def operations(self) -> dict[str, Operation]:
        return {
            "CreateEventSourceMapping": self.create_event_source_mapping,
            "GetEventSourceMapping": self.get_event_source_mapping,
            "ListEventSourceMappings": self.list_event_source_mappings,
            "UpdateEventSourceMapping": self.update_event_source_mapping,
            "DeleteEventSourceMapping": self.delete_event_source_mapping,
        }

    async def create_event_source_mapping(self, caller: Caller, values: Values) -> Answer:
        arn = values.get("EventSourceArn")
        if not arn:
            raise invalid("Unrecognized event source.")
        reference = self._function(caller, values)
        now_ms = self._writes.now_ms()
        if self._queues.serves(arn):
            settings = self._queues.new(values)
        else:
            refuse_for_streams(values)
            settings = starting_point(values, self._source(arn), now_ms=now_ms) | settings_of(values)
        tags = values.get("Tags", {})
        check_tags(tags)
        mapping = EventSourceMapping(
            uuid=self._writes.new_uuid(),
            account=caller.account,
            region=caller.region,
            source_arn=arn,
            function=reference.function,
            qualifier=reference.qualifier,
            tags=dict(tags),
            last_modified_ms=now_ms,
            **settings,
        )
        await self._check_destination(settings, reference)
        if mapping.is_queue:
            await self._queues.check(mapping)
        else:
            await _check_stream(self._source(arn), arn)
        return mapping_configuration(await self._writes.create(mapping), None)

    async def get_event_source_mapping(self, caller: Caller, values: Values) -> Answer:
        return await self._answer(await self._find(caller, values))

    async def list_event_source_mappings(self, caller: Caller, values: Values) -> Answer:
        arn = values.get("EventSourceArn")
        reference = reference_of(caller, values) if values.get("FunctionName") else None
        after = read_marker(values.get("Marker"))
        waiting = [
            mapping
            for mapping in self._mappings.catalogue.all()
            if (mapping.account, mapping.region) == (caller.account, caller.region)
            and mapping.uuid > after
            and arn in (None, mapping.source_arn)
            and (reference is None or _leads_to(mapping, reference))
        ]
        page = waiting[: min(values.get("MaxItems", MAPPING_PAGE), MAPPING_PAGE)]
        results = await self._mappings.results([mapping.uuid for mapping in page])
        answer: dict[str, Any] = {
            "EventSourceMappings": [
                mapping_configuration(mapping, result) for mapping, result in zip(page, results, strict=True)
            ]
        }
        if len(waiting) > len(page):
            answer["NextMarker"] = marker(page[-1].uuid)
        return answer

    async def update_event_source_mapping(self, caller: Caller, values: Values) -> Answer:
        current = await self._find(caller, values)
        if current.is_queue:
            settings = self._queues.settings(values)
        else:
            refuse_for_streams(values)
            settings = settings_of(values)
        reference = current.reference
        if values.get("FunctionName"):
            reference = self._function(caller, values)
            settings |= {"function": reference.function, "qualifier": reference.qualifier}
        await self._check_destination(settings, reference)
        if current.is_queue:
            await self._queues.check(dataclasses.replace(current, **settings))

        def changed(mapping: EventSourceMapping) -> EventSourceMapping:
            wanted = dataclasses.replace(mapping, **settings)
            if "function" in settings:
                self._writes.check_unique(wanted)
            return dataclasses.replace(wanted, state=_way(mapping.state, is_enabled=wanted.is_enabled))

        return await self._answer(await self._writes.move(current.uuid, changed, verb="update"))

    async def delete_event_source_mapping(self, caller: Caller, values: Values) -> Answer:
        current = await self._find(caller, values)
        return await self._answer(await self._writes.move(current.uuid, deleting, verb="delete"))

    async def _find(self, caller: Caller, values: Values) -> EventSourceMapping:
        mapping = await self._writes.find(values["UUID"])
        if (mapping.account, mapping.region) != (caller.account, caller.region):
            raise mapping_not_found()
        return mapping

    async def _answer(self, mapping: EventSourceMapping) -> Answer:
        (result,) = await self._mappings.results([mapping.uuid])
        return mapping_configuration(mapping, result)

    def _function(self, caller: Caller, values: Values) -> FunctionReference:
        """Return the function as it will be shown and invoked. Raises RequestError unless it exists."""
        reference = reference_of(caller, values)
        if self._functions.get(reference.function) is None or reference.version != LATEST:
            raise invalid("Function does not exist")
        if values["FunctionName"].startswith("arn:"):  # a whole ARN loses `:$LATEST`, a part of one keeps it (§4.1)
            return FunctionReference(function=reference.function)
        return reference

    def _source(self, arn: str) -> StreamSource:
        service = arn.split(":", 3)[2]
        source = self._sources.get(service)
        if source is None:
            why = _CANNOT_READ.get(service, f"{service} sources are not served yet")
            raise invalid(f"Unrecognized event source. eventrouter cannot read {arn}: {why}.")
        return source

    async def _check_destination(self, settings: Settings, reference: FunctionReference) -> None:
        destination = settings.get("on_failure")
        if destination is not None:
            await self._targets.check_batch_destination(destination, own_arn=reference.function.arn())


def _leads_to(mapping: EventSourceMapping, reference: FunctionReference) -> bool:
    return (mapping.function, mapping.reference.version) == (reference.function, reference.version)


def _way(state: MappingState, *, is_enabled: bool) -> MappingState:
    """Return the state of a mapping that an update has changed: it may be switched on or off by it."""
    if is_enabled == (state is MappingState.ENABLED):
        return MappingState.UPDATING
    return MappingState.ENABLING if is_enabled else MappingState.DISABLING


async def _check_stream(source: StreamSource, arn: str) -> None:
    """Raise RequestError unless the stream exists and can be read."""
    try:
        await source.shards(arn)
    except SourceGone as error:
        raise invalid(f"Stream not found: {arn}") from error
    except AdapterError as error:
        raise invalid(
            f"Cannot access stream {arn}. Please ensure the role can perform the GetRecords, GetShardIterator, "
            f"DescribeStream, ListShards, and ListStreams Actions on your stream in IAM. ({error})"
        ) from error
