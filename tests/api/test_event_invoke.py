"""Settings of asynchronous invocation: lambda-semantics §2.13."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from eventrouter.api.lambda_.functions import marker
from tests.api.conftest import REGION, Account


def refusal(account: Account, operation: str, **members: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        getattr(account.lambda_, operation)(**members)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def put(account: Account, **members: Any) -> dict[str, Any]:
    answer: dict[str, Any] = account.lambda_.put_function_event_invoke_config(FunctionName="f", **members)
    return answer


def test_the_answer_has_both_destinations_the_qualified_arn_and_no_absent_numbers(account: Account) -> None:
    account.create()

    answer = account.ask("PUT", "/2019-09-25/functions/f/event-invoke-config", body=b'{"MaximumRetryAttempts": 0}')
    shown = account.lambda_.get_function_event_invoke_config(FunctionName="f")

    assert b'"DestinationConfig":{"OnSuccess":{},"OnFailure":{}}' in answer.body
    assert b"MaximumEventAgeInSeconds" not in answer.body
    assert shown["FunctionArn"] == account.arn("f:$LATEST")
    assert shown["MaximumRetryAttempts"] == 0
    assert shown["LastModified"].timestamp() == account.stored().event_invoke["$LATEST"].last_modified_ms / 1_000


def test_put_replaces_and_update_merges(account: Account) -> None:
    account.create()
    put(account, MaximumRetryAttempts=1, MaximumEventAgeInSeconds=60)

    merged = account.lambda_.update_function_event_invoke_config(FunctionName="f", MaximumRetryAttempts=0)
    assert (merged["MaximumRetryAttempts"], merged["MaximumEventAgeInSeconds"]) == (0, 60)

    replaced = put(account, MaximumRetryAttempts=2)
    assert "MaximumEventAgeInSeconds" not in replaced


def test_destinations_are_kept_and_an_empty_one_is_cleared(account: Account) -> None:
    account.create()
    wanted = {"OnSuccess": {"Destination": account.arn("other")}, "OnFailure": {"Destination": account.queue()}}

    assert put(account, DestinationConfig=wanted)["DestinationConfig"] == wanted
    cleared = account.lambda_.update_function_event_invoke_config(
        FunctionName="f", DestinationConfig={"OnSuccess": {"Destination": ""}}
    )

    assert cleared["DestinationConfig"] == {"OnSuccess": {}, "OnFailure": wanted["OnFailure"]}
    assert account.stored().event_invoke["$LATEST"].on_failure == account.queue()


def test_a_configuration_is_kept_per_qualifier_and_shown_with_it(account: Account) -> None:
    account.create()
    get = account.lambda_.get_function_event_invoke_config

    account.lambda_.put_function_event_invoke_config(FunctionName="f", Qualifier="$LATEST", MaximumRetryAttempts=1)

    assert get(FunctionName="f")["FunctionArn"] == get(FunctionName="f:$LATEST")["FunctionArn"]
    assert refusal(account, "get_function_event_invoke_config", FunctionName="f", Qualifier="live") == (
        "ResourceNotFoundException",
        "The function doesn't exist.",
    )


def test_configurations_are_listed(account: Account) -> None:
    account.create()
    assert account.lambda_.list_function_event_invoke_configs(FunctionName="f")["FunctionEventInvokeConfigs"] == []
    put(account, MaximumRetryAttempts=1)

    listed = account.lambda_.list_function_event_invoke_configs(FunctionName="f", MaxItems=1)
    after = account.lambda_.list_function_event_invoke_configs(FunctionName="f", Marker=marker("$LATEST"))

    assert [config["FunctionArn"] for config in listed["FunctionEventInvokeConfigs"]] == [account.arn("f:$LATEST")]
    assert "NextMarker" not in listed
    assert after["FunctionEventInvokeConfigs"] == []
    made_up = refusal(account, "list_function_event_invoke_configs", FunctionName="f", Marker="!")
    assert made_up == ("InvalidParameterValueException", "Invalid Marker.")


def test_a_configuration_can_be_deleted_once(account: Account) -> None:
    account.create()
    put(account, MaximumRetryAttempts=1)

    deleted = account.lambda_.delete_function_event_invoke_config(FunctionName="f")

    assert deleted["ResponseMetadata"]["HTTPStatusCode"] == 204
    gone = ("ResourceNotFoundException", f"The function {account.arn('f:$LATEST')} doesn't have an EventInvokeConfig")
    for operation in ("get_function_event_invoke_config", "delete_function_event_invoke_config"):
        assert refusal(account, operation, FunctionName="f") == gone
    assert refusal(account, "update_function_event_invoke_config", FunctionName="f", MaximumRetryAttempts=1) == gone


@pytest.mark.parametrize("operation", ["put_function_event_invoke_config", "update_function_event_invoke_config"])
def test_something_must_be_given(account: Account, operation: str) -> None:
    account.create()

    assert refusal(account, operation, FunctionName="f") == (
        "InvalidParameterValueException",
        "You must specify at least one of error handling or destination setting.",
    )


def test_a_missing_function_is_told_in_words_of_its_own(account: Account) -> None:
    wanted = ("ResourceNotFoundException", "The function doesn't exist.")

    assert refusal(account, "put_function_event_invoke_config", FunctionName="f", MaximumRetryAttempts=1) == wanted
    for operation in (
        "get_function_event_invoke_config",
        "delete_function_event_invoke_config",
        "list_function_event_invoke_configs",
    ):
        assert refusal(account, operation, FunctionName="f") == wanted


@pytest.mark.parametrize("side", ["OnSuccess", "OnFailure"])
@pytest.mark.parametrize(
    ("destination", "message"),
    [
        ("arn:aws:sqs:{region}:{account}:missing", "The destination ARN {arn} is invalid."),
        ("arn:aws:sqs:{region}:{account}:q.fifo", "The destination ARN {arn} is invalid."),
        (
            "arn:aws:lambda:{region}:{account}:function:f",
            "You can't specify the function as a destination for itself.",
        ),
        (
            "arn:aws:lambda:{region}:{account}:function:f:$LATEST",
            "You can't specify the function as a destination for itself.",
        ),
        ("arn:aws:kinesis:{region}:{account}:stream/s", "The provided destination config {config} is invalid."),
        ("arn:aws:sns:{region}:{account}:topic", "The provided destination config {config} is invalid."),
        ("arn:aws:s3:::bucket", "The provided destination config {config} is invalid."),
    ],
)
def test_a_destination_must_exist_and_be_another(account: Account, side: str, destination: str, message: str) -> None:
    account.create()
    arn = destination.format(region=REGION, account=account.id)
    success, failure = f"OnSuccess(destination={arn})", f"OnFailure(destination={arn})"
    both = f"onSuccess={success}, onFailure=null" if side == "OnSuccess" else f"onSuccess=null, onFailure={failure}"
    wanted = message.format(arn=arn, config=f"DestinationConfig({both})")

    found = refusal(
        account,
        "put_function_event_invoke_config",
        FunctionName="f",
        DestinationConfig={side: {"Destination": arn}},
    )

    assert found == ("InvalidParameterValueException", wanted)
    assert not account.stored().event_invoke


@pytest.mark.parametrize(
    ("members", "path", "value", "phrase"),
    [
        ({"MaximumRetryAttempts": 3}, "maximumRetryAttempts", "3", "less than or equal to 2"),
        ({"MaximumEventAgeInSeconds": 59}, "maximumEventAgeInSeconds", "59", "greater than or equal to 60"),
        ({"MaximumEventAgeInSeconds": 21_601}, "maximumEventAgeInSeconds", "21601", "less than or equal to 21600"),
    ],
)
def test_ranges_are_the_first_layer_s(
    account: Account, members: dict[str, int], path: str, value: str, phrase: str
) -> None:
    account.create()

    assert refusal(account, "put_function_event_invoke_config", FunctionName="f", **members) == (
        "ValidationException",
        (
            f"1 validation error detected: Value '{value}' at '{path}' failed to satisfy constraint: Member must have "
            f"value {phrase}"
        ),
    )
