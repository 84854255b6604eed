"""Event source mappings: lambda-semantics §4.1-4.4, §4.10."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from eventrouter.errors import AdapterError
from tests.api.conftest import REGION, Account, call

UNKNOWN = "00000000-0000-4000-8000-000000000000"
GOOD_FILTER = {"Pattern": '{"data":{"a":[1]}}'}
IN_USE = "Cannot {} the event source mapping because it is in use."


def refusal(account: Account, operation: str, **members: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        getattr(account.lambda_, operation)(**members)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def a_mapping(account: Account, **members: Any) -> dict[str, Any]:
    """Create a function, a stream and a mapping between them."""
    if "FunctionName" not in members:
        account.create()
    wanted = {"FunctionName": "f", "StartingPosition": "TRIM_HORIZON", **members}
    if "EventSourceArn" not in members:
        wanted["EventSourceArn"] = account.stream()
    answer: dict[str, Any] = account.lambda_.create_event_source_mapping(**wanted)
    return answer


def refused_create(account: Account, **members: Any) -> tuple[str, str]:
    wanted = {"FunctionName": "f", "StartingPosition": "TRIM_HORIZON", **members}
    return refusal(
        account, "create_event_source_mapping", **{name: value for name, value in wanted.items() if value is not None}
    )


def shown(account: Account, uuid: str) -> dict[str, Any]:
    answer: dict[str, Any] = account.lambda_.get_event_source_mapping(UUID=uuid)
    return answer


def test_a_mapping_is_created_shown_changed_and_deleted(account: Account) -> None:
    created = a_mapping(account)
    uuid = created["UUID"]
    assert created["ResponseMetadata"]["HTTPStatusCode"] == 202
    assert created["State"] == "Creating"
    assert shown(account, uuid)["State"] == "Enabled"

    updated = account.lambda_.update_event_source_mapping(UUID=uuid, BatchSize=7)
    assert updated["ResponseMetadata"]["HTTPStatusCode"] == 202
    assert (updated["State"], updated["BatchSize"]) == ("Updating", 7)
    assert (shown(account, uuid)["State"], shown(account, uuid)["BatchSize"]) == ("Enabled", 7)

    deleted = account.lambda_.delete_event_source_mapping(UUID=uuid)
    assert deleted["ResponseMetadata"]["HTTPStatusCode"] == 202
    assert (deleted["State"], deleted["UUID"]) == ("Deleting", uuid)
    assert refusal(account, "get_event_source_mapping", UUID=uuid)[0] == "ResourceNotFoundException"


def test_row_26_an_answer_has_exactly_the_members_that_aws_shows_for_a_stream(account: Account) -> None:
    created = a_mapping(account)

    uuid, modified = created["UUID"], created["LastModified"]
    del created["ResponseMetadata"]
    assert created == {
        "UUID": uuid,
        "StartingPosition": "TRIM_HORIZON",
        "BatchSize": 100,
        "MaximumBatchingWindowInSeconds": 0,
        "ParallelizationFactor": 1,
        "EventSourceArn": f"arn:aws:kinesis:{REGION}:{account.id}:stream/s",
        "FunctionArn": account.arn(),
        "LastModified": modified,
        "LastProcessingResult": "No records processed",
        "State": "Creating",
        "StateTransitionReason": "User action",
        "DestinationConfig": {"OnFailure": {}},
        "MaximumRecordAgeInSeconds": -1,
        "BisectBatchOnFunctionError": False,
        "MaximumRetryAttempts": -1,
        "TumblingWindowInSeconds": 0,
        "FunctionResponseTypes": [],
        "EventSourceMappingArn": f"arn:aws:lambda:{REGION}:{account.id}:event-source-mapping:{uuid}",
    }
    assert abs(modified - datetime.now(UTC)) < timedelta(minutes=1)


def test_every_setting_is_stored_and_shown(account: Account) -> None:
    since = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    settings: dict[str, Any] = {
        "BatchSize": 10_000,
        "MaximumBatchingWindowInSeconds": 300,
        "ParallelizationFactor": 10,
        "StartingPosition": "AT_TIMESTAMP",
        "StartingPositionTimestamp": since,
        "DestinationConfig": {"OnFailure": {"Destination": account.queue()}},
        "MaximumRecordAgeInSeconds": 60,
        "BisectBatchOnFunctionError": True,
        "MaximumRetryAttempts": 10_000,
        "TumblingWindowInSeconds": 900,
        "FunctionResponseTypes": ["ReportBatchItemFailures"],
        "FilterCriteria": {"Filters": [GOOD_FILTER, {"Pattern": '{"partitionKey":["1"]}'}]},
        "MetricsConfig": {"Metrics": ["EventCount"]},
    }

    created = a_mapping(account, **settings)

    found = shown(account, created["UUID"])
    assert {name: found[name] for name in settings} == settings


@pytest.mark.parametrize("nothing", [{}, {"OnFailure": {}}, {"OnFailure": {"Destination": ""}}])
def test_an_empty_destination_takes_back_the_one_before(account: Account, nothing: dict[str, Any]) -> None:
    destination = {"OnFailure": {"Destination": account.queue()}}
    uuid = a_mapping(account, DestinationConfig=destination)["UUID"]

    account.lambda_.update_event_source_mapping(UUID=uuid, BatchSize=1)
    kept = shown(account, uuid)
    account.lambda_.update_event_source_mapping(UUID=uuid, DestinationConfig=nothing)

    assert kept["DestinationConfig"] == destination
    assert shown(account, uuid)["DestinationConfig"] == {"OnFailure": {}}


def test_every_setting_can_be_changed_and_most_taken_back(account: Account) -> None:
    uuid = a_mapping(account)["UUID"]
    settings: dict[str, Any] = {
        "BatchSize": 1,
        "MaximumBatchingWindowInSeconds": 1,
        "ParallelizationFactor": 2,
        "DestinationConfig": {"OnFailure": {"Destination": account.queue()}},
        "MaximumRecordAgeInSeconds": 604_800,
        "BisectBatchOnFunctionError": True,
        "MaximumRetryAttempts": 0,
        "TumblingWindowInSeconds": 1,
        "FunctionResponseTypes": ["ReportBatchItemFailures"],
        "FilterCriteria": {"Filters": [GOOD_FILTER]},
        "MetricsConfig": {"Metrics": ["EventCount"]},
    }

    account.lambda_.update_event_source_mapping(UUID=uuid, **settings)
    changed = shown(account, uuid)
    account.lambda_.update_event_source_mapping(
        UUID=uuid,
        DestinationConfig={"OnFailure": {"Destination": ""}},
        MaximumRecordAgeInSeconds=-1,
        MaximumRetryAttempts=-1,
        BisectBatchOnFunctionError=False,
        FunctionResponseTypes=[],
        FilterCriteria={},
        MetricsConfig={},
    )
    cleared = shown(account, uuid)

    assert {name: changed[name] for name in settings} == settings
    assert cleared["DestinationConfig"] == {"OnFailure": {}}
    assert (cleared["MaximumRecordAgeInSeconds"], cleared["MaximumRetryAttempts"]) == (-1, -1)
    assert cleared["BisectBatchOnFunctionError"] is False
    assert cleared["FunctionResponseTypes"] == []
    assert "FilterCriteria" not in cleared
    assert "MetricsConfig" not in cleared
    assert cleared["BatchSize"] == 1


def test_row_28_a_batch_of_more_than_ten_needs_no_window(account: Account) -> None:
    created = a_mapping(account, BatchSize=100, MaximumBatchingWindowInSeconds=0)

    assert created["BatchSize"] == 100


def test_an_empty_list_of_filters_is_no_filter(account: Account) -> None:
    created = a_mapping(account, FilterCriteria={"Filters": []})

    assert "FilterCriteria" not in created


def test_a_mapping_is_switched_off_and_on(account: Account) -> None:
    uuid = a_mapping(account)["UUID"]

    off = account.lambda_.update_event_source_mapping(UUID=uuid, Enabled=False)
    assert off["State"] == "Disabling"
    assert shown(account, uuid)["State"] == "Disabled"
    still = account.lambda_.update_event_source_mapping(UUID=uuid, BatchSize=5)
    assert still["State"] == "Updating"
    assert shown(account, uuid)["State"] == "Disabled"
    on = account.lambda_.update_event_source_mapping(UUID=uuid, Enabled=True)
    assert on["State"] == "Enabling"
    assert shown(account, uuid)["State"] == "Enabled"


def test_a_mapping_may_be_created_disabled(account: Account) -> None:
    created = a_mapping(account, Enabled=False)

    assert shown(account, created["UUID"])["State"] == "Disabled"


def test_the_last_result_is_shown(account: Account) -> None:
    uuid = a_mapping(account)["UUID"]

    account.door.run(account.door.planes.store.mappings.set_result(uuid, "PROBLEM: Function call failed"))

    assert shown(account, uuid)["LastProcessingResult"] == "PROBLEM: Function call failed"
    (listed,) = account.lambda_.list_event_source_mappings()["EventSourceMappings"]
    assert listed["LastProcessingResult"] == "PROBLEM: Function call failed"


@pytest.mark.parametrize(
    ("name", "qualifier"),
    [
        ("f", None),
        ("f:$LATEST", "$LATEST"),
        ("{account}:function:f", None),
        ("{account}:function:f:$LATEST", "$LATEST"),
        ("arn:aws:lambda:us-east-1:{account}:function:f", None),
        ("arn:aws:lambda:us-east-1:{account}:function:f:$LATEST", None),
    ],
)
def test_the_function_is_shown_as_aws_shows_it(account: Account, name: str, qualifier: str | None) -> None:
    account.create()

    created = a_mapping(account, FunctionName=name.format(account=account.id))

    assert created["FunctionArn"] == account.arn("f" if qualifier is None else f"f:{qualifier}")


def test_row_23_a_mapping_outlives_its_function(account: Account) -> None:
    uuid = a_mapping(account)["UUID"]

    account.lambda_.delete_function(FunctionName="f")

    assert shown(account, uuid)["State"] == "Enabled"
    account.lambda_.update_event_source_mapping(UUID=uuid, BatchSize=2)
    account.lambda_.delete_event_source_mapping(UUID=uuid)


@pytest.mark.parametrize(("operation", "verb"), [("update", "update"), ("delete", "delete")])
def test_row_27_a_mapping_in_transition_takes_no_change(account: Account, operation: str, verb: str) -> None:
    account.planes.held = True
    account.create()
    account.door.run(account.door.planes.finish(account.stored().name))
    created = a_mapping(account, FunctionName="f")

    with pytest.raises(ClientError) as caught:
        getattr(account.lambda_, f"{operation}_event_source_mapping")(UUID=created["UUID"])

    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert caught.value.response["Error"]["Code"] == "ResourceInUseException"
    answer = account.ask("DELETE", f"/2015-03-31/event-source-mappings/{created['UUID']}")
    assert json.loads(answer.body) == {"Type": "User", "Message": IN_USE.format("delete")}
    assert caught.value.response["Message"] == IN_USE.format(verb)


@pytest.mark.parametrize("operation", ["get", "update", "delete"])
def test_an_unknown_mapping_is_not_found(account: Account, operation: str) -> None:
    assert refusal(account, f"{operation}_event_source_mapping", UUID=UNKNOWN) == (
        "ResourceNotFoundException",
        "The resource you requested does not exist.",
    )


@pytest.mark.parametrize("operation", ["get", "update", "delete"])
def test_mappings_of_other_regions_are_not_found(account: Account, operation: str) -> None:
    uuid = a_mapping(account)["UUID"]
    elsewhere = account.client("eu-west-1")

    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        getattr(elsewhere, f"{operation}_event_source_mapping")(UUID=uuid)

    assert elsewhere.list_event_source_mappings()["EventSourceMappings"] == []
    elsewhere.close()


# Conflicts.


def test_the_same_stream_and_function_are_mapped_once(account: Account) -> None:
    created = a_mapping(account)
    arn = created["EventSourceArn"]

    assert refused_create(account, EventSourceArn=arn) == (
        "ResourceConflictException",
        (
            f'The event source arn (" {arn} ") and function (" f ") provided mapping already exists. Please update or '
            f"delete the existing mapping with UUID {created['UUID']}"
        ),
    )
    assert refused_create(account, EventSourceArn=arn, FunctionName="f:$LATEST")[0] == "ResourceConflictException"


def test_several_functions_may_read_one_stream_and_one_function_several_streams(account: Account) -> None:
    first = a_mapping(account)
    account.create("g")

    second = a_mapping(account, FunctionName="g", EventSourceArn=first["EventSourceArn"])
    third = a_mapping(account, FunctionName="f", EventSourceArn=account.stream("t"))

    assert len({first["UUID"], second["UUID"], third["UUID"]}) == 3


def test_of_two_that_are_created_at_once_one_is_refused(account: Account) -> None:
    account.create()
    wanted = {"FunctionName": "f", "EventSourceArn": account.stream(), "StartingPosition": "LATEST"}
    body, gateway = json.dumps(wanted).encode(), account.door.gateway
    headers = [(b"authorization", account.signed()["Authorization"].encode())]

    async def create() -> int:
        return (await call(gateway, "POST", b"/2015-03-31/event-source-mappings", headers, body, b"")).status

    async def create_all() -> list[int]:
        return await asyncio.gather(*(create() for _ in range(4)))

    assert sorted(account.door.run(create_all())) == [202, 409, 409, 409]
    assert len(account.lambda_.list_event_source_mappings()["EventSourceMappings"]) == 1


def test_a_mapping_cannot_be_led_to_where_another_leads(account: Account) -> None:
    first = a_mapping(account)
    account.create("g")
    second = a_mapping(account, FunctionName="g", EventSourceArn=first["EventSourceArn"])

    code, message = refusal(account, "update_event_source_mapping", UUID=second["UUID"], FunctionName="f")

    assert (code, first["UUID"] in message) == ("ResourceConflictException", True)
    assert shown(account, second["UUID"])["State"] == "Enabled"


def test_a_mapping_can_be_led_to_another_function(account: Account) -> None:
    uuid = a_mapping(account)["UUID"]
    account.create("g")

    account.lambda_.update_event_source_mapping(UUID=uuid, FunctionName="g")

    assert shown(account, uuid)["FunctionArn"] == account.arn("g")
    assert refusal(account, "update_event_source_mapping", UUID=uuid, FunctionName="nope") == (
        "InvalidParameterValueException",
        "Function does not exist",
    )


# Sources.


def test_a_source_must_be_named(account: Account) -> None:
    account.create()

    assert refused_create(account) == ("InvalidParameterValueException", "Unrecognized event source.")


@pytest.mark.parametrize(
    ("arn", "why"),
    [
        ("arn:aws:mq:us-east-1:{}:broker", "mq sources are not served yet"),
        ("arn:aws:kafka:us-east-1:{}:cluster/c/1", "kafka sources are not served yet"),
    ],
)
def test_sources_that_are_not_served_are_refused_by_name(account: Account, arn: str, why: str) -> None:
    account.create()
    arn = arn.format(account.id)

    assert refused_create(account, EventSourceArn=arn) == (
        "InvalidParameterValueException",
        f"Unrecognized event source. eventrouter cannot read {arn}: {why}.",
    )


def test_tables_need_an_endpoint_to_be_read_from(account: Account) -> None:
    account.create()
    arn = f"arn:aws:dynamodb:{REGION}:{account.id}:table/t/stream/2026-01-01T00:00:00.000"
    tables = account.door.sources.pop("dynamodb")
    try:
        code, message = refused_create(account, EventSourceArn=arn)
    finally:
        account.door.sources["dynamodb"] = tables

    assert code == "InvalidParameterValueException"
    assert message.startswith(f"Unrecognized event source. eventrouter cannot read {arn}: the setting dynamodb_streams")


def test_the_stream_must_exist(account: Account) -> None:
    account.create()
    arn = f"arn:aws:kinesis:{REGION}:{account.id}:stream/missing"

    assert refused_create(account, EventSourceArn=arn) == (
        "InvalidParameterValueException",
        f"Stream not found: {arn}",
    )


def test_the_stream_must_be_readable(account: Account) -> None:
    account.create()
    arn = account.stream()
    account.door.streams.away = AdapterError("it is away", transient=True)
    try:
        code, message = refused_create(account, EventSourceArn=arn)
    finally:
        account.door.streams.away = None

    assert code == "InvalidParameterValueException"
    assert message.startswith(f"Cannot access stream {arn}. Please ensure the role can perform the GetRecords")


def test_a_consumer_of_a_stream_is_a_source(account: Account) -> None:
    arn = f"arn:aws:kinesis:{REGION}:{account.id}:stream/s/consumer/c:1700000000"
    account.door.streams.create(arn)

    assert a_mapping(account, EventSourceArn=arn)["EventSourceArn"] == arn


def test_the_function_must_exist(account: Account) -> None:
    account.create()
    arn = account.stream()

    for name in ("nope", "f:1", "f:live"):
        assert refused_create(account, FunctionName=name, EventSourceArn=arn) == (
            "InvalidParameterValueException",
            "Function does not exist",
        )


# Where reading begins.


def test_row_24_a_missing_starting_position_is_the_second_layer_s(account: Account) -> None:
    account.create()

    assert refused_create(account, EventSourceArn=account.stream(), StartingPosition=None) == (
        "InvalidParameterValueException",
        (
            "1 validation error detected: Value null at 'startingPosition' failed to satisfy constraint: Member must "
            "not be null."
        ),
    )


def test_row_24_an_unknown_starting_position_is_the_first_layer_s(account: Account) -> None:
    account.create()

    code, message = refused_create(account, EventSourceArn=account.stream(), StartingPosition="FIRST")

    assert code == "ValidationException"
    assert message == (
        "1 validation error detected: Value 'FIRST' at 'startingPosition' failed to satisfy constraint: "
        "Member must satisfy enum value set: [LATEST, AT_TIMESTAMP, TRIM_HORIZON]"
    )


def test_tables_are_not_read_from_a_time_on(account: Account) -> None:
    account.create()
    arn = f"arn:aws:dynamodb:{REGION}:{account.id}:table/t/stream/2026-01-01T00:00:00.000"
    account.door.tables.create(arn)

    assert refused_create(
        account, EventSourceArn=arn, StartingPosition="AT_TIMESTAMP", StartingPositionTimestamp=1
    ) == ("InvalidParameterValueException", f"Unsupported starting position for arn type: {arn}")
    assert a_mapping(account, FunctionName="f", EventSourceArn=arn, StartingPosition="LATEST")["BatchSize"] == 100


@pytest.mark.parametrize(
    ("start", "timestamp", "message"),
    [
        ("AT_TIMESTAMP", None, "StartingPositionTimestamp is required for the starting position AT_TIMESTAMP."),
        ("AT_TIMESTAMP", 32_503_680_000, "StartingPositionTimestamp cannot be in the future."),
        ("LATEST", 1_700_000_000, "StartingPositionTimestamp goes with the starting position AT_TIMESTAMP only."),
    ],
)
def test_a_starting_time_goes_with_its_position(
    account: Account, start: str, timestamp: int | None, message: str
) -> None:
    account.create()

    assert refused_create(
        account, EventSourceArn=account.stream(), StartingPosition=start, StartingPositionTimestamp=timestamp
    ) == ("InvalidParameterValueException", message)


# Other rules.


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("BatchSize", 0),
        ("BatchSize", 10_001),
        ("MaximumBatchingWindowInSeconds", 301),
        ("ParallelizationFactor", 0),
        ("ParallelizationFactor", 11),
        ("MaximumRetryAttempts", -2),
        ("MaximumRetryAttempts", 10_001),
        ("MaximumRecordAgeInSeconds", 604_801),
        ("TumblingWindowInSeconds", 901),
    ],
)
def test_ranges_are_the_first_layer_s(account: Account, member: str, value: int) -> None:
    uuid = a_mapping(account)["UUID"]

    created = refused_create(account, EventSourceArn=account.stream("t"), **{member: value})
    updated = refusal(account, "update_event_source_mapping", UUID=uuid, **{member: value})

    assert created == updated
    assert created[0] == "ValidationException"
    assert f"Value '{value}' at '{member[0].lower()}{member[1:]}'" in created[1]


@pytest.mark.parametrize("age_s", [0, 59])
def test_a_record_age_under_a_minute_is_refused(account: Account, age_s: int) -> None:
    uuid = a_mapping(account)["UUID"]

    assert refusal(account, "update_event_source_mapping", UUID=uuid, MaximumRecordAgeInSeconds=age_s) == (
        "InvalidParameterValueException",
        f"MaximumRecordAgeInSeconds {age_s} is not allowed: it is -1 or at least 60.",
    )


@pytest.mark.parametrize(
    "pattern", ["", "no JSON", "[]", '{"data":"no list"}', '{"data":[]}', '{"data":[{"PREFIX":"x"}]}']
)
def test_a_bad_filter_is_refused(account: Account, pattern: str) -> None:
    account.create()
    criteria = {"Filters": [GOOD_FILTER, {"Pattern": pattern}]}

    assert refused_create(account, EventSourceArn=account.stream(), FilterCriteria=criteria) == (
        "InvalidParameterValueException",
        "Invalid filter pattern definition.",
    )


def test_there_is_a_limit_to_filters(account: Account) -> None:
    account.create()
    filters = [GOOD_FILTER] * 11

    code, message = refused_create(account, EventSourceArn=account.stream(), FilterCriteria={"Filters": filters})

    assert (code, "limit of 10" in message) == ("InvalidParameterValueException", True)


@pytest.mark.parametrize("metric", ["ErrorCount", "KafkaMetrics"])
def test_kafka_s_metrics_are_refused(account: Account, metric: str) -> None:
    account.create()

    code, message = refused_create(
        account, EventSourceArn=account.stream(), MetricsConfig={"Metrics": ["EventCount", metric]}
    )

    assert (code, metric in message) == ("InvalidParameterValueException", True)


@pytest.mark.parametrize(
    ("arn", "message"),
    [
        ("arn:aws:sns:us-east-1:{}:t", "The destination ARN {arn} is invalid: eventrouter serves no sns yet."),
        ("arn:aws:s3:::bucket", "The destination ARN {arn} is invalid: eventrouter serves no s3 yet."),
        ("arn:aws:sqs:us-east-1:{}:missing", "The destination ARN {arn} is invalid."),
        ("arn:aws:sqs:us-east-1:{}:q.fifo", "The destination ARN {arn} is invalid."),
        ("arn:aws:lambda:us-east-1:{}:function:f", "You can't specify the function as a destination for itself."),
        (
            "kafka://topic",
            (
                "The provided destination config DestinationConfig(onSuccess=null, "
                "onFailure=OnFailure(destination={arn})) is invalid."
            ),
        ),
    ],
)
def test_a_destination_must_be_there(account: Account, arn: str, message: str) -> None:
    arn = arn.format(account.id)
    uuid = a_mapping(account)["UUID"]
    destination = {"OnFailure": {"Destination": arn}}

    updated = refusal(account, "update_event_source_mapping", UUID=uuid, DestinationConfig=destination)
    created = refused_create(account, EventSourceArn=account.stream("t"), DestinationConfig=destination)

    assert created == updated == ("InvalidParameterValueException", message.format(arn=arn))


def test_another_function_may_be_the_destination(account: Account) -> None:
    destination = {"OnFailure": {"Destination": account.arn("parking")}}

    assert a_mapping(account, DestinationConfig=destination)["DestinationConfig"] == destination


@pytest.mark.parametrize(
    ("members", "message"),
    [
        (
            {"ScalingConfig": {"MaximumConcurrency": 2}},
            "Unsupported ScalingConfig parameter for given event source mapping type.",
        ),
        (
            {"DestinationConfig": {"OnSuccess": {"Destination": "arn:aws:sqs:us-east-1:000000000000:q"}}},
            "Unsupported DestinationConfig parameter for given event source mapping type.",
        ),
        (
            {"LoggingConfig": {"SystemLogLevel": "INFO"}},
            "Unsupported LoggingConfig parameter for given event source mapping type.",
        ),
        ({"Topics": ["topic"]}, "Topics of CreateEventSourceMapping is not supported by eventrouter: Kafka sources"),
        (
            {"SelfManagedEventSource": {"Endpoints": {"KAFKA_BOOTSTRAP_SERVERS": ["kafka:1000"]}}},
            "SelfManagedEventSource.Endpoints of CreateEventSourceMapping is not supported by eventrouter: Kafka",
        ),
        (
            {"KMSKeyArn": "arn:aws:kms:us-east-1:000000000000:key/1"},
            "KMSKeyArn of CreateEventSourceMapping is not supported by eventrouter: filter criteria",
        ),
        (
            {"ProvisionedPollerConfig": {"MinimumPollers": 2}},
            "Unsupported ProvisionedPollerConfig parameter for given event source mapping type.",
        ),
    ],
)
def test_members_that_mean_nothing_for_streams_are_refused(
    account: Account, members: dict[str, Any], message: str
) -> None:
    account.create()

    code, text = refused_create(account, EventSourceArn=account.stream(), **members)

    assert code == "InvalidParameterValueException"
    assert text.startswith(message)


# Lists.


def test_mappings_are_listed_in_pages(account: Account) -> None:
    account.create()
    made = {a_mapping(account, FunctionName="f", EventSourceArn=account.stream(f"s{n}"))["UUID"] for n in range(5)}

    paginator = account.lambda_.get_paginator("list_event_source_mappings")
    pages = list(paginator.paginate(PaginationConfig={"PageSize": 2}))

    assert [len(page["EventSourceMappings"]) for page in pages] == [2, 2, 1]
    assert {mapping["UUID"] for page in pages for mapping in page["EventSourceMappings"]} == made
    assert refusal(account, "list_event_source_mappings", Marker="made up!")[0] == "InvalidParameterValueException"


def test_mappings_are_listed_by_source_and_by_function(account: Account) -> None:
    first = a_mapping(account)
    account.create("g")
    second = a_mapping(account, FunctionName="g", EventSourceArn=first["EventSourceArn"])
    third = a_mapping(account, FunctionName="g", EventSourceArn=account.stream("t"))

    def listed(**filters: str) -> set[str]:
        found = account.lambda_.list_event_source_mappings(**filters)["EventSourceMappings"]
        return {mapping["UUID"] for mapping in found}

    assert listed() == {first["UUID"], second["UUID"], third["UUID"]}
    assert listed(EventSourceArn=first["EventSourceArn"]) == {first["UUID"], second["UUID"]}
    assert listed(FunctionName="g") == {second["UUID"], third["UUID"]}
    assert listed(FunctionName=account.arn("g"), EventSourceArn=third["EventSourceArn"]) == {third["UUID"]}
    assert listed(FunctionName="nope") == set()


# Tags.


def test_a_mapping_has_tags(account: Account) -> None:
    arn = a_mapping(account, Tags={"team": "red"})["EventSourceMappingArn"]
    assert account.lambda_.list_tags(Resource=arn)["Tags"] == {"team": "red"}

    account.lambda_.tag_resource(Resource=arn, Tags={"stage": "dev", "team": "blue"})
    assert account.lambda_.list_tags(Resource=arn)["Tags"] == {"team": "blue", "stage": "dev"}

    account.lambda_.untag_resource(Resource=arn, TagKeys=["team", "unknown"])
    assert account.lambda_.list_tags(Resource=arn)["Tags"] == {"stage": "dev"}
    many = {f"k{number}": "v" for number in range(50)}
    assert refusal(account, "tag_resource", Resource=arn, Tags=many) == (
        "InvalidParameterValueException",
        "Number of tags exceeds resource tag limit.",
    )


def test_a_mapping_has_50_tags_at_most_from_the_start(account: Account) -> None:
    account.create()
    many = {f"k{number}": "v" for number in range(51)}

    assert refused_create(account, EventSourceArn=account.stream(), Tags=many) == (
        "InvalidParameterValueException",
        "Number of tags exceeds resource tag limit.",
    )
