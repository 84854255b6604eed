"""AWS::Lambda::EventSourceMapping and AWS::Lambda::EventInvokeConfig. Source: lambda-semantics §2.13, §4."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eventrouter.project.cfn_destinations import put_served
from eventrouter.project.cfn_functions import function_name, set_event_invoke
from eventrouter.project.cfn_members import input_shape, tags
from eventrouter.project.cfn_parameters import Unknown
from eventrouter.project.cfn_parts import Parts, Properties
from eventrouter.project.model import MappingResource

MAPPING_MEMBERS = (
    "BatchSize", "BisectBatchOnFunctionError", "DestinationConfig", "Enabled", "FilterCriteria",
    "FunctionResponseTypes", "MaximumBatchingWindowInSeconds", "MaximumRecordAgeInSeconds", "MaximumRetryAttempts",
    "MetricsConfig", "ParallelizationFactor", "ProvisionedPollerConfig", "ScalingConfig", "StartingPosition",
    "StartingPositionTimestamp", "TumblingWindowInSeconds",
)  # fmt: skip
MAPPING_NOT_APPLIED: Mapping[str, str] = {"KmsKeyArn": "filter criteria are not encrypted with keys of yours"}
SOURCES = frozenset({"dynamodb", "kinesis", "sqs"})
_OTHER_SOURCES = (
    "AmazonManagedKafkaEventSourceConfig", "DocumentDBEventSourceConfig", "LoggingConfig", "Queues",
    "SelfManagedEventSource", "SelfManagedKafkaEventSourceConfig", "SourceAccessConfigurations", "Topics",
)  # fmt: skip


def read_mapping(logical_id: str, properties: Properties) -> None:
    """Add an AWS::Lambda::EventSourceMapping."""
    add_mapping(f"the mapping {logical_id}", properties)


def add_mapping(what: str, properties: Properties) -> None:
    """Add what the properties of a mapping say; one of a source that is not served is noted as not applied."""
    parts = properties.parts
    if [name for name in _OTHER_SOURCES if properties.outline(name) is not None]:
        parts.skip(what, properties.place, "Kafka, MQ and DocumentDB sources are not served")
        return
    source = source_arn(parts, what, properties, "EventSourceArn")
    if source is None:
        return
    function = function_name(parts, properties.need("FunctionName"))
    members: dict[str, Any] = {"FunctionName": function, "EventSourceArn": source, **mapping_members(properties)}
    tagged = properties.take("Tags")
    if tagged:
        members["Tags"] = tags(tagged)
    properties.skip(MAPPING_NOT_APPLIED)
    properties.finish()
    parts.add(MappingResource(members=members, place=properties.place), parts.mappings)


def mapping_members(properties: Properties) -> dict[str, Any]:
    """Return the members that CloudFormation's mappings and SAM's events share."""
    put_served(properties)
    return properties.members(MAPPING_MEMBERS, input_shape("lambda", "CreateEventSourceMapping"))


def source_arn(parts: Parts, what: str, properties: Properties, name: str) -> str | None:
    """Return a source's ARN; None, noted as not applied, if it is not known here or not one that is served."""
    try:
        node = properties.need(name)
    except Unknown as error:
        parts.skip(what, error.place, error.message)
        return None
    arn = node.text
    service = arn.split(":")[2] if arn.count(":") > 4 else ""
    if service not in SOURCES:
        parts.skip(what, node.place, f"{arn} is no queue and no stream of Kinesis or DynamoDB")
        return None
    return arn


def read_event_invoke(logical_id: str, properties: Properties) -> None:
    """Add an AWS::Lambda::EventInvokeConfig to its function."""
    parts = properties.parts
    function = function_name(parts, properties.need("FunctionName"))
    qualifier = properties.take("Qualifier")
    put_served(properties)
    names = ("DestinationConfig", "MaximumEventAgeInSeconds", "MaximumRetryAttempts")
    members = properties.members(names, input_shape("lambda", "PutFunctionEventInvokeConfig"))
    properties.finish()
    if qualifier and qualifier.text != "$LATEST":
        parts.skip(f"{logical_id} for {qualifier.text}", qualifier.place, "versions and aliases are not served")
        return
    set_event_invoke(parts, function, members, properties.place)
