"""How event source mappings look in answers: which members are always there, and which only when they are set.

Source: lambda-semantics §4.2, §4.3.
"""

from __future__ import annotations

from typing import Any

from eventrouter.api.lambda_.queue_mappings import queue_configuration
from eventrouter.rules.mapping import EventSourceMapping, StartingPosition

NOTHING_YET = "No records processed"


def mapping_configuration(mapping: EventSourceMapping, result: str | None) -> dict[str, Any]:  # Any: AWS's JSON
    """Return an EventSourceMappingConfiguration. `result` is how the last batch ended, None before the first."""
    answer = queue_configuration(mapping) if mapping.is_queue else _stream_configuration(mapping, result)
    if mapping.filters:
        answer["FilterCriteria"] = {"Filters": [{"Pattern": pattern} for pattern in mapping.filters]}
    if mapping.metrics:
        answer["MetricsConfig"] = {"Metrics": list(mapping.metrics)}
    return answer


def _stream_configuration(mapping: EventSourceMapping, result: str | None) -> dict[str, Any]:  # Any: AWS's JSON
    answer: dict[str, Any] = {
        "UUID": mapping.uuid,
        "StartingPosition": mapping.starting_position,
        "BatchSize": mapping.batch_size,
        "MaximumBatchingWindowInSeconds": mapping.batching_window_s,
        "ParallelizationFactor": mapping.parallelization_factor,
        "EventSourceArn": mapping.source_arn,
        "FunctionArn": mapping.reference.arn,
        "LastModified": mapping.last_modified_ms / 1_000,
        "LastProcessingResult": NOTHING_YET if result is None else result,
        "State": mapping.state,
        "StateTransitionReason": mapping.state_reason,
        "DestinationConfig": {"OnFailure": {} if mapping.on_failure is None else {"Destination": mapping.on_failure}},
        "MaximumRecordAgeInSeconds": mapping.maximum_record_age_s,
        "BisectBatchOnFunctionError": mapping.bisect,
        "MaximumRetryAttempts": mapping.maximum_retry_attempts,
        "TumblingWindowInSeconds": mapping.tumbling_window_s,
        "FunctionResponseTypes": ["ReportBatchItemFailures"] if mapping.reports_item_failures else [],
        "EventSourceMappingArn": mapping.arn,
    }
    if mapping.starting_position is StartingPosition.AT_TIMESTAMP:
        answer["StartingPositionTimestamp"] = mapping.starting_timestamp_ms / 1_000
    return answer
