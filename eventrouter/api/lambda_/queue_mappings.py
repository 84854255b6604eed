"""Mappings of queues: which settings they take, what these must agree with, and how they look in answers.

Source: lambda-semantics §4.1-4.4, columns SQS.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from eventrouter.api.lambda_.errors import invalid
from eventrouter.api.lambda_.mapping_settings import Settings, settings_of
from eventrouter.api.lambda_.references import Values
from eventrouter.errors import AdapterError
from eventrouter.ports import QueueSource, QueueTraits, SourceGone
from eventrouter.rules.mapping import EventSourceMapping, MappingState

if TYPE_CHECKING:
    from eventrouter.store import Functions

REASON: Final = "USER_INITIATED"
"""The StateTransitionReason of a queue's mapping."""
DEFAULT_BATCH: Final = 10

_ONE_RECEIVE = 10
_FEWEST_POLLERS, _MOST_POLLERS = 2, 200
_STREAMS_ONLY = (
    "BisectBatchOnFunctionError",
    "DestinationConfig",
    "MaximumRecordAgeInSeconds",
    "MaximumRetryAttempts",
    "ParallelizationFactor",
    "StartingPosition",
    "StartingPositionTimestamp",
    "TumblingWindowInSeconds",
)
_QUEUES_ONLY = ("ProvisionedPollerConfig", "ScalingConfig")


class QueueMappings:
    """Reads the settings of queue mappings. `sources` maps an ARN's service to what receives there."""

    def __init__(self, *, functions: Functions, sources: Mapping[str, QueueSource]) -> None:
        self._functions = functions
        self._sources = sources

    def serves(self, arn: str) -> bool:
        """Say whether an ARN names a queue that can be received from here."""
        return arn.split(":", 3)[2] in self._sources

    def new(self, values: Values) -> Settings:
        """Return what a request says about a new mapping. Raises RequestError."""
        given = {"batch_size": DEFAULT_BATCH} | self.settings(values)
        is_enabled = given.get("is_enabled", True)
        state = MappingState.CREATING if is_enabled else MappingState.DISABLED  # there is no position to be found
        return {"is_queue": True, "state_reason": REASON, "state": state, **given}

    def settings(self, values: Values) -> Settings:
        """Return the settings that a request names, by field. Raises RequestError."""
        _refuse(values, _STREAMS_ONLY)
        settings = settings_of(values)
        if values.get("ScalingConfig") is not None:  # `{}` removes it
            settings["maximum_concurrency"] = values["ScalingConfig"].get("MaximumConcurrency")
        if values.get("ProvisionedPollerConfig") is not None:
            settings["provisioned_pollers"] = _pollers(values["ProvisionedPollerConfig"])
        return settings

    async def check(self, mapping: EventSourceMapping) -> None:
        """Raise RequestError unless the settings agree with each other, the queue and the function."""
        if mapping.maximum_concurrency is not None and mapping.provisioned_pollers is not None:
            raise invalid("ScalingConfig and ProvisionedPollerConfig cannot be used together.")
        traits = await self._traits(mapping)
        if traits.is_fifo and mapping.batching_window_s:
            raise invalid("Batching window is not supported for FIFO queues")
        if traits.is_fifo and mapping.batch_size > _ONE_RECEIVE:
            raise invalid(f"Batch size {mapping.batch_size} is not supported for FIFO queues: it is at most 10")
        if mapping.batch_size > _ONE_RECEIVE and not mapping.batching_window_s:
            raise invalid(
                "Maximum batch window in seconds must be greater than 0 if maximum batch size is greater than 10"
            )
        function = self._functions.get(mapping.function)
        if function is not None:
            check_visibility(traits.visibility_ms // 1_000, function.timeout_s)

    async def _traits(self, mapping: EventSourceMapping) -> QueueTraits:
        source = self._sources.get(mapping.service)
        if source is None:
            raise invalid(f"Unrecognized event source. No adapter here receives from {mapping.source_arn}.")
        try:
            return await source.traits(mapping.source_arn)
        except SourceGone as error:
            raise invalid(
                "Error occurred while ReceiveMessage. SQS Error Code: AWS.SimpleQueueService.NonExistentQueue. "
                "SQS Error Message: The specified queue does not exist."
            ) from error
        except AdapterError as error:
            raise invalid(f"Error occurred while ReceiveMessage. ({error})") from error


def refuse_for_streams(values: Values) -> None:
    """Raise RequestError if a request for a stream's mapping sets what only queues have."""
    _refuse(values, _QUEUES_ONLY)


def queue_configuration(mapping: EventSourceMapping) -> dict[str, Any]:  # Any: AWS's JSON
    """Return what answers show of every queue mapping, and ScalingConfig and pollers where they are set."""
    answer: dict[str, Any] = {
        "UUID": mapping.uuid,
        "BatchSize": mapping.batch_size,
        "MaximumBatchingWindowInSeconds": mapping.batching_window_s,
        "EventSourceArn": mapping.source_arn,
        "FunctionArn": mapping.reference.arn,
        "LastModified": mapping.last_modified_ms / 1_000,
        "State": mapping.state,
        "StateTransitionReason": mapping.state_reason,
        "FunctionResponseTypes": ["ReportBatchItemFailures"] if mapping.reports_item_failures else [],
        "EventSourceMappingArn": mapping.arn,
    }
    if mapping.maximum_concurrency is not None:
        answer["ScalingConfig"] = {"MaximumConcurrency": mapping.maximum_concurrency}
    if mapping.provisioned_pollers is not None:
        fewest, most = mapping.provisioned_pollers
        answer["ProvisionedPollerConfig"] = {"MinimumPollers": fewest, "MaximumPollers": most}
    return answer


def _refuse(values: Values, members: tuple[str, ...]) -> None:
    for member in members:
        value = values.get(member)
        if value or (value == 0 and member == "MaximumRetryAttempts"):  # 0 is a limit there, and nothing elsewhere
            raise invalid(f"Unsupported {member} parameter for given event source mapping type.")


def _pollers(given: Mapping[str, Any]) -> tuple[int, int] | None:
    """Return the fewest and the most pollers; None if neither is given, which ends the mode."""
    if not given:
        return None
    fewest = given.get("MinimumPollers") or _FEWEST_POLLERS
    most = given.get("MaximumPollers") or max(_MOST_POLLERS, fewest)
    if fewest < _FEWEST_POLLERS:
        raise invalid(f"MinimumPollers {fewest} is not allowed: it is at least {_FEWEST_POLLERS}.")
    if most < fewest:
        raise invalid(f"MaximumPollers {most} is not allowed: it is at least MinimumPollers, {fewest}.")
    return fewest, most


def check_visibility(visibility_s: int, timeout_s: int) -> None:
    """Raise RequestError if messages would appear again while a function still works on them."""
    if visibility_s < timeout_s:
        raise invalid(
            f"Queue visibility timeout: {visibility_s} seconds is less than Function timeout: {timeout_s} seconds"
        )
