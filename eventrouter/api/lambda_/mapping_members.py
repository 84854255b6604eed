"""What becomes of every input member of the operations on event source mappings.

Members of sources that are not served yet are refused; so are those that AWS refuses for streams.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from eventrouter.api.registry import Applied, Entry, Members, Refused

_API = "tests/api/test_event_source_mappings.py::"
_E2E = "tests/e2e/test_streams.py::"


def _api(test: str) -> Applied:
    return Applied(f"{_API}{test}")


def _e2e(test: str) -> Applied:
    return Applied(f"{_E2E}{test}")


def _not_for_streams(member: str, why: str) -> Refused:
    return Refused(why, f"Unsupported {member} parameter for given event source mapping type.")


_NO_KAFKA = Refused("Kafka sources are not served")
_NO_DOCUMENT_DB = Refused("DocumentDB sources are not served")
_NO_BROKERS = Refused("sources that are logged in to are not served")
_QUEUES = "tests/planes/test_queues.py::"
_POLLERS = Applied(f"{_QUEUES}test_provisioned_pollers_run_ten_batches_each_from_the_start")
_SCALING = Applied(f"{_QUEUES}test_maximum_concurrency_leaves_the_rest_in_the_queue_untouched")

_SETTINGS: Final[Mapping[str, Entry]] = {
    "FunctionName": _e2e("test_the_mapped_function_is_invoked_with_the_records"),
    "Enabled": _e2e("test_a_paused_mapping_goes_on_where_it_stood"),
    "BatchSize": _e2e("test_a_batch_holds_at_most_batch_size_records"),
    "FilterCriteria.Filters[].Pattern": _e2e("test_records_that_no_filter_matches_are_passed_over"),
    "KMSKeyArn": Refused("filter criteria are not encrypted with keys of yours"),
    "MetricsConfig.Metrics": _e2e("test_the_event_count_metrics_count_the_records_of_a_mapping"),
    "LoggingConfig.SystemLogLevel": _not_for_streams("LoggingConfig", "it is for Kafka sources"),
    "ScalingConfig.MaximumConcurrency": _SCALING,
    "MaximumBatchingWindowInSeconds": _e2e("test_a_batch_waits_for_its_window_and_no_longer"),
    "ParallelizationFactor": _e2e("test_parallel_lanes_run_together_and_keep_the_order_of_each_key"),
    "DestinationConfig.OnSuccess.Destination": _not_for_streams(
        "DestinationConfig", "a mapping has a destination for failed batches only"
    ),
    "DestinationConfig.OnFailure.Destination": _e2e("test_a_batch_that_is_given_up_leaves_its_record_in_the_queue"),
    "MaximumRecordAgeInSeconds": _e2e("test_records_over_their_maximum_age_are_given_up"),
    "BisectBatchOnFunctionError": _e2e("test_a_failing_batch_is_halved_until_the_poison_record_stands_alone"),
    "MaximumRetryAttempts": _e2e("test_maximum_retry_attempts_bounds_the_tries_of_a_batch"),
    "TumblingWindowInSeconds": _e2e("test_a_tumbling_window_carries_its_state_to_the_final_invocation"),
    "SourceAccessConfigurations[].Type": _NO_BROKERS,
    "SourceAccessConfigurations[].URI": _NO_BROKERS,
    "FunctionResponseTypes": _e2e("test_reported_item_failures_are_tried_again_from_the_lowest_on"),
    "AmazonManagedKafkaEventSourceConfig.ConsumerGroupId": _NO_KAFKA,
    "AmazonManagedKafkaEventSourceConfig.SchemaRegistryConfig.SchemaRegistryURI": _NO_KAFKA,
    "AmazonManagedKafkaEventSourceConfig.SchemaRegistryConfig.EventRecordFormat": _NO_KAFKA,
    "AmazonManagedKafkaEventSourceConfig.SchemaRegistryConfig.AccessConfigs[].Type": _NO_KAFKA,
    "AmazonManagedKafkaEventSourceConfig.SchemaRegistryConfig.AccessConfigs[].URI": _NO_KAFKA,
    "AmazonManagedKafkaEventSourceConfig.SchemaRegistryConfig.SchemaValidationConfigs[].Attribute": _NO_KAFKA,
    "SelfManagedKafkaEventSourceConfig.ConsumerGroupId": _NO_KAFKA,
    "SelfManagedKafkaEventSourceConfig.SchemaRegistryConfig.SchemaRegistryURI": _NO_KAFKA,
    "SelfManagedKafkaEventSourceConfig.SchemaRegistryConfig.EventRecordFormat": _NO_KAFKA,
    "SelfManagedKafkaEventSourceConfig.SchemaRegistryConfig.AccessConfigs[].Type": _NO_KAFKA,
    "SelfManagedKafkaEventSourceConfig.SchemaRegistryConfig.AccessConfigs[].URI": _NO_KAFKA,
    "SelfManagedKafkaEventSourceConfig.SchemaRegistryConfig.SchemaValidationConfigs[].Attribute": _NO_KAFKA,
    "SelfManagedKafkaEventSourceConfig.ConsumptionMode": _NO_KAFKA,
    "DocumentDBEventSourceConfig.DatabaseName": _NO_DOCUMENT_DB,
    "DocumentDBEventSourceConfig.CollectionName": _NO_DOCUMENT_DB,
    "DocumentDBEventSourceConfig.FullDocument": _NO_DOCUMENT_DB,
    "ProvisionedPollerConfig.MinimumPollers": _POLLERS,
    "ProvisionedPollerConfig.MaximumPollers": _POLLERS,
    "ProvisionedPollerConfig.PollerGroupName": _NO_KAFKA,
}
"""Members that Create and UpdateEventSourceMapping share."""

_UUID = _api("test_a_mapping_is_created_shown_changed_and_deleted")
_PAGES = _api("test_mappings_are_listed_in_pages")

MAPPING_MEMBERS: Final[Members] = {
    "CreateEventSourceMapping": {
        "EventSourceArn": _e2e("test_the_mapped_function_is_invoked_with_the_records"),
        **_SETTINGS,
        "StartingPosition": _e2e("test_each_starting_position_begins_where_it_says"),
        "StartingPositionTimestamp": _e2e("test_each_starting_position_begins_where_it_says"),
        "Tags": _api("test_a_mapping_has_tags"),
        "Topics": _NO_KAFKA,
        "Queues": Refused("message brokers are not served as sources"),
        "SelfManagedEventSource.Endpoints": _NO_KAFKA,
    },
    "GetEventSourceMapping": {"UUID": _UUID},
    "ListEventSourceMappings": {
        "EventSourceArn": _api("test_mappings_are_listed_by_source_and_by_function"),
        "FunctionName": _api("test_mappings_are_listed_by_source_and_by_function"),
        "Marker": _PAGES,
        "MaxItems": _PAGES,
    },
    "UpdateEventSourceMapping": {"UUID": _UUID, **_SETTINGS},
    "DeleteEventSourceMapping": {"UUID": _UUID},
}
