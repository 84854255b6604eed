"""From input members to a mapping's settings: what Create and UpdateEventSourceMapping share, and their rules.

Ranges are the first layer's, by the model; here stand the rules that it does not know.
Source: lambda-semantics §4.3, §4.4, §4.10.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from eventrouter.api.lambda_.errors import invalid
from eventrouter.api.lambda_.references import Values
from eventrouter.api.protocol.validate import NOT_NULL, detected, failed
from eventrouter.ports import StreamSource
from eventrouter.rules import limits
from eventrouter.rules.mapping import FOREVER, StartingPosition
from eventrouter.rules.pattern import PatternError, compile_pattern

Settings = dict[str, Any]
"""Fields of an EventSourceMapping, by name."""

_PLAIN: Final[Mapping[str, str]] = {
    "Enabled": "is_enabled",
    "BatchSize": "batch_size",
    "MaximumBatchingWindowInSeconds": "batching_window_s",
    "ParallelizationFactor": "parallelization_factor",
    "BisectBatchOnFunctionError": "bisect",
    "MaximumRetryAttempts": "maximum_retry_attempts",
    "MaximumRecordAgeInSeconds": "maximum_record_age_s",
    "TumblingWindowInSeconds": "tumbling_window_s",
}
_YOUNGEST_LIMIT_S = 60
_METRICS = ("EventCount",)


def settings_of(values: Values) -> Settings:
    """Return the settings that a request names, by field; what it does not name is left out.

    Raises RequestError where a rule of the second layer is broken.
    """
    settings: Settings = {field: values[member] for member, field in _PLAIN.items() if values.get(member) is not None}
    _check_age(settings.get("maximum_record_age_s", FOREVER))
    if values.get("FunctionResponseTypes") is not None:
        settings["reports_item_failures"] = bool(values["FunctionResponseTypes"])
    if values.get("FilterCriteria") is not None:
        settings["filters"] = _filters(values["FilterCriteria"].get("Filters") or ())
    if values.get("MetricsConfig") is not None:
        settings["metrics"] = _metrics(values["MetricsConfig"].get("Metrics") or ())
    if values.get("DestinationConfig") is not None:  # `{}` and an empty destination both remove it
        settings["on_failure"] = values["DestinationConfig"].get("OnFailure", {}).get("Destination") or None
    return settings


def starting_point(values: Values, source: StreamSource, *, now_ms: int) -> Settings:
    """Return where a new mapping begins to read. Raises RequestError."""
    if values.get("StartingPosition") is None:
        # Reads like the first layer, but is the second's, and has a full stop.
        raise invalid(detected([failed(None, "startingPosition", f"{NOT_NULL}.")]))
    start = StartingPosition(values["StartingPosition"])
    if start not in source.starting_positions:
        raise invalid(f"Unsupported starting position for arn type: {values['EventSourceArn']}")
    given = values.get("StartingPositionTimestamp")
    if start is not StartingPosition.AT_TIMESTAMP:
        if given is not None:
            raise invalid("StartingPositionTimestamp goes with the starting position AT_TIMESTAMP only.")
        return {"starting_position": start}
    if given is None:
        raise invalid("StartingPositionTimestamp is required for the starting position AT_TIMESTAMP.")
    at_ms = round(given * 1_000)
    if at_ms > now_ms:
        raise invalid("StartingPositionTimestamp cannot be in the future.")
    return {"starting_position": start, "starting_timestamp_ms": at_ms}


def _check_age(maximum_s: int) -> None:
    if maximum_s != FOREVER and maximum_s < _YOUNGEST_LIMIT_S:
        raise invalid(
            f"MaximumRecordAgeInSeconds {maximum_s} is not allowed: it is {FOREVER} or at least {_YOUNGEST_LIMIT_S}."
        )


def _filters(given: Sequence[Mapping[str, str]]) -> tuple[str, ...]:
    if len(given) > limits.MAPPING_FILTERS:
        raise invalid(f"Number of filters exceeds the limit of {limits.MAPPING_FILTERS} for an event source mapping.")
    patterns = tuple(each.get("Pattern", "") for each in given)
    for pattern in patterns:
        try:
            compile_pattern(pattern)
        except PatternError as error:
            raise invalid("Invalid filter pattern definition.") from error
    return patterns


def _metrics(given: Sequence[str]) -> tuple[str, ...]:
    for metric in given:
        if metric not in _METRICS:
            raise invalid(f"The metric {metric} is not supported for this event source type: it is Kafka's.")
    return tuple(dict.fromkeys(given))
