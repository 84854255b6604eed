"""Event source mappings of queues: lambda-semantics §4.1-4.4, columns SQS."""

from __future__ import annotations

from typing import Any

import pytest

from eventrouter.errors import AdapterError
from tests.api.conftest import Account
from tests.api.test_event_source_mappings import refusal, shown

NO_QUEUE = (
    "Error occurred while ReceiveMessage. SQS Error Code: AWS.SimpleQueueService.NonExistentQueue. "
    "SQS Error Message: The specified queue does not exist."
)
NO_WINDOW = "Maximum batch window in seconds must be greater than 0 if maximum batch size is greater than 10"


def a_queue(account: Account, name: str = "jobs", **queue: Any) -> str:
    return account.door.queues.create(account.queue(name), **queue)


def a_queue_mapping(account: Account, **members: Any) -> dict[str, Any]:
    """Create a function, a queue and a mapping between them."""
    if "FunctionName" not in members:
        account.create()
    wanted = {"FunctionName": "f", **members}
    if "EventSourceArn" not in members:
        wanted["EventSourceArn"] = a_queue(account)
    answer: dict[str, Any] = account.lambda_.create_event_source_mapping(**wanted)
    return answer


def refused(account: Account, **members: Any) -> str:
    """Return the text with which a mapping is refused."""
    account.create()
    wanted = {"FunctionName": "f", **members}
    if "EventSourceArn" not in members:
        wanted["EventSourceArn"] = a_queue(account)
    code, text = refusal(account, "create_event_source_mapping", **wanted)
    assert code == "InvalidParameterValueException"
    return text


def test_an_answer_has_exactly_the_members_that_aws_shows_for_a_queue(account: Account) -> None:
    created = a_queue_mapping(account)

    uuid, modified = created["UUID"], created["LastModified"]
    assert created.pop("ResponseMetadata")["HTTPStatusCode"] == 202
    assert created == {
        "UUID": uuid,
        "BatchSize": 10,
        "MaximumBatchingWindowInSeconds": 0,
        "EventSourceArn": account.queue("jobs"),
        "FunctionArn": account.arn(),
        "LastModified": modified,
        "State": "Creating",
        "StateTransitionReason": "USER_INITIATED",
        "FunctionResponseTypes": [],
        "EventSourceMappingArn": f"arn:aws:lambda:us-east-1:{account.id}:event-source-mapping:{uuid}",
    }
    assert shown(account, uuid)["State"] == "Enabled"
    assert "LastProcessingResult" not in shown(account, uuid)


def test_a_mapping_that_is_created_disabled_is_so_at_once(account: Account) -> None:
    account.planes.held = True

    assert a_queue_mapping(account, Enabled=False)["State"] == "Disabled"


def test_settings_are_kept_changed_and_removed(account: Account) -> None:
    created = a_queue_mapping(
        account,
        BatchSize=100,
        MaximumBatchingWindowInSeconds=5,
        FunctionResponseTypes=["ReportBatchItemFailures"],
        ScalingConfig={"MaximumConcurrency": 7},
        FilterCriteria={"Filters": [{"Pattern": '{"body":{"a":[1]}}'}]},
        MetricsConfig={"Metrics": ["EventCount"]},
    )
    uuid = created["UUID"]
    assert created["BatchSize"] == 100
    assert created["MaximumBatchingWindowInSeconds"] == 5
    assert created["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert created["ScalingConfig"] == {"MaximumConcurrency": 7}
    assert created["FilterCriteria"] == {"Filters": [{"Pattern": '{"body":{"a":[1]}}'}]}
    assert created["MetricsConfig"] == {"Metrics": ["EventCount"]}

    updated = account.lambda_.update_event_source_mapping(UUID=uuid, ScalingConfig={}, FilterCriteria={}, BatchSize=20)
    assert updated["BatchSize"] == 20
    assert not {"ScalingConfig", "FilterCriteria"} & set(updated)

    updated = account.lambda_.update_event_source_mapping(
        UUID=uuid, ProvisionedPollerConfig={"MinimumPollers": 3, "MaximumPollers": 30}
    )
    assert updated["ProvisionedPollerConfig"] == {"MinimumPollers": 3, "MaximumPollers": 30}
    assert "ProvisionedPollerConfig" not in account.lambda_.update_event_source_mapping(
        UUID=uuid, ProvisionedPollerConfig={}
    )


def test_row_28_a_batch_over_ten_needs_a_window(account: Account) -> None:
    assert refused(account, BatchSize=11) == NO_WINDOW
    uuid = a_queue_mapping(account, FunctionName="f", EventSourceArn=account.queue("jobs"))["UUID"]

    assert refusal(account, "update_event_source_mapping", UUID=uuid, BatchSize=11) == (
        "InvalidParameterValueException",
        NO_WINDOW,
    )
    account.lambda_.update_event_source_mapping(UUID=uuid, BatchSize=11, MaximumBatchingWindowInSeconds=1)


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"MaximumBatchingWindowInSeconds": 1}, "Batching window is not supported for FIFO queues"),
        ({"BatchSize": 11}, "Batch size 11 is not supported for FIFO queues: it is at most 10"),
    ],
)
def test_a_fifo_queue_has_no_window_and_small_batches(account: Account, members: dict[str, Any], message: str) -> None:
    arn = a_queue(account, "steps.fifo", is_fifo=True)

    assert refused(account, EventSourceArn=arn, **members) == message


def test_the_visibility_covers_the_function_s_timeout(account: Account) -> None:
    account.create(Timeout=60)
    wanted = {"FunctionName": "f", "EventSourceArn": a_queue(account, visibility_s=30)}

    assert refusal(account, "create_event_source_mapping", **wanted) == (
        "InvalidParameterValueException",
        "Queue visibility timeout: 30 seconds is less than Function timeout: 60 seconds",
    )


def test_a_queue_that_is_missing_or_away_is_told(account: Account) -> None:
    assert refused(account, EventSourceArn=account.queue("missing")) == NO_QUEUE
    account.door.queues.away = AdapterError("no answer", transient=True)
    try:
        wanted = {"FunctionName": "f", "EventSourceArn": a_queue(account)}
        _, text = refusal(account, "create_event_source_mapping", **wanted)
    finally:
        account.door.queues.away = None
    assert text == "Error occurred while ReceiveMessage. (no answer)"


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("DestinationConfig", {"OnFailure": {"Destination": "arn:aws:sqs:us-east-1:000000000000:q"}}),
        ("StartingPosition", "LATEST"),
        ("ParallelizationFactor", 2),
        ("BisectBatchOnFunctionError", True),
        ("MaximumRetryAttempts", 3),
        ("MaximumRetryAttempts", 0),
        ("MaximumRecordAgeInSeconds", 60),
        ("TumblingWindowInSeconds", 10),
    ],
)
def test_what_is_for_streams_is_refused(account: Account, member: str, value: Any) -> None:
    text = refused(account, **{member: value})

    assert text == f"Unsupported {member} parameter for given event source mapping type."


@pytest.mark.parametrize(
    ("pollers", "message"),
    [
        ({"MinimumPollers": 1}, "MinimumPollers 1 is not allowed: it is at least 2."),
        (
            {"MinimumPollers": 5, "MaximumPollers": 4},
            "MaximumPollers 4 is not allowed: it is at least MinimumPollers, 5.",
        ),
    ],
)
def test_pollers_have_a_sensible_range(account: Account, pollers: dict[str, int], message: str) -> None:
    assert refused(account, ProvisionedPollerConfig=pollers) == message


def test_concurrency_and_pollers_exclude_each_other(account: Account) -> None:
    text = refused(account, ScalingConfig={"MaximumConcurrency": 5}, ProvisionedPollerConfig={"MinimumPollers": 2})

    assert text == "ScalingConfig and ProvisionedPollerConfig cannot be used together."


def test_a_maximum_concurrency_of_one_is_the_first_layer_s(account: Account) -> None:
    account.create()
    wanted = {"FunctionName": "f", "EventSourceArn": a_queue(account), "ScalingConfig": {"MaximumConcurrency": 1}}

    assert refusal(account, "create_event_source_mapping", **wanted)[0] == "ValidationException"


def test_a_broken_filter_is_refused(account: Account) -> None:
    assert refused(account, FilterCriteria={"Filters": [{"Pattern": "body"}]}) == "Invalid filter pattern definition."


def test_a_second_mapping_of_queue_and_function_conflicts(account: Account) -> None:
    uuid = a_queue_mapping(account)["UUID"]
    arn = account.queue("jobs")

    assert refusal(account, "create_event_source_mapping", FunctionName="f", EventSourceArn=arn) == (
        "ResourceConflictException",
        (
            f'An event source mapping with SQS arn (" {arn} ") and function (" f ") already exists. '
            f"Please update or delete the existing mapping with UUID {uuid}"
        ),
    )


def test_a_queue_mapping_is_listed_beside_others_and_deleted(account: Account) -> None:
    uuid = a_queue_mapping(account)["UUID"]
    account.lambda_.create_event_source_mapping(
        FunctionName="f", EventSourceArn=account.stream(), StartingPosition="LATEST"
    )

    listed = account.lambda_.list_event_source_mappings()["EventSourceMappings"]
    assert sorted("StartingPosition" in each for each in listed) == [False, True]
    assert account.lambda_.delete_event_source_mapping(UUID=uuid)["State"] == "Deleting"
    assert refusal(account, "get_event_source_mapping", UUID=uuid)[0] == "ResourceNotFoundException"
