"""How operations find their function: lambda-semantics §1.4."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest

from tests.api.conftest import REGION, Account

OPERATIONS_BY_NAME: list[tuple[str, dict[str, Any]]] = [
    ("get_function", {}),
    ("get_function_configuration", {}),
    ("get_function_concurrency", {}),
    ("get_function_code_signing_config", {}),
    ("put_function_concurrency", {"ReservedConcurrentExecutions": 1}),
    ("delete_function_concurrency", {}),
    ("put_function_event_invoke_config", {"MaximumRetryAttempts": 1}),
    ("update_function_event_invoke_config", {"MaximumRetryAttempts": 0}),
    ("get_function_event_invoke_config", {}),
    ("list_function_event_invoke_configs", {}),
    ("delete_function_event_invoke_config", {}),
    ("update_function_configuration", {"Timeout": 5}),
    ("update_function_code", {"S3Bucket": "hot-reload", "S3Key": "/tmp"}),
    ("delete_function", {}),
]


@pytest.mark.parametrize("form", ["f", "function:f", "{account}:function:f", "{arn}"])
def test_a_function_is_found_by_name_partial_arn_and_full_arn(account: Account, form: str) -> None:
    account.create()
    name = form.format(account=account.id, arn=account.arn())

    for operation, members in OPERATIONS_BY_NAME:
        getattr(account.lambda_, operation)(FunctionName=name, **members)

    assert account.lambda_.list_functions()["Functions"] == []


def test_the_qualifier_latest_is_shown_in_the_arn(account: Account) -> None:
    account.create()
    get = account.lambda_.get_function_configuration

    assert get(FunctionName="f")["FunctionArn"] == account.arn()
    assert get(FunctionName="f", Qualifier="$LATEST")["FunctionArn"] == account.arn("f:$LATEST")
    assert get(FunctionName="f:$LATEST")["FunctionArn"] == account.arn("f:$LATEST")
    found = account.lambda_.get_function(FunctionName="f", Qualifier="$LATEST")
    assert found["Configuration"]["FunctionArn"] == account.arn("f:$LATEST")


@pytest.mark.parametrize("operation", ["get_function", "get_function_configuration", "delete_function"])
def test_row_16_a_missing_function_is_named_without_latest(account: Account, operation: str) -> None:
    with pytest.raises(account.lambda_.exceptions.ResourceNotFoundException) as caught:
        getattr(account.lambda_, operation)(FunctionName="nope")

    assert caught.value.response["Message"] == f"Function not found: {account.arn('nope')}"


@pytest.mark.parametrize("qualifier", ["1", "live", "$latest"])
def test_a_missing_qualifier_is_not_found_with_that_qualifier(account: Account, qualifier: str) -> None:
    account.create()

    with pytest.raises(account.lambda_.exceptions.ResourceNotFoundException) as caught:
        account.lambda_.get_function(FunctionName="f", Qualifier=qualifier)

    assert caught.value.response["Message"] == f"Function not found: {account.arn()}:{qualifier}"


def test_two_different_qualifiers_are_refused(account: Account) -> None:
    account.create()

    with pytest.raises(account.lambda_.exceptions.InvalidParameterValueException) as caught:
        account.lambda_.get_function(FunctionName="f:$LATEST", Qualifier="1")

    assert caught.value.response["message"] == (
        "The derived qualifier from the function name does not match the specified qualifier."
    )


def test_a_name_over_64_is_the_second_layer_s_on_create_and_not_found_elsewhere(account: Account) -> None:
    name = "x" * 65

    with pytest.raises(account.lambda_.exceptions.InvalidParameterValueException) as caught:
        account.create(name)
    assert caught.value.response["message"] == (
        f"1 validation error detected: Value '{name}' at 'functionName' failed to satisfy constraint: "
        "Member must have length less than or equal to 64"
    )
    for operation in (account.lambda_.get_function, account.lambda_.invoke):
        with pytest.raises(account.lambda_.exceptions.ResourceNotFoundException):
            operation(FunctionName=name)


def test_a_name_over_140_is_the_first_layer_s_on_create(account: Account) -> None:
    answer = account.ask(
        "POST",
        "/2015-03-31/functions",
        body=json.dumps({"FunctionName": "x" * 141, "Role": account.role, "Code": {}}).encode(),
    )

    assert (answer.status, answer.headers["x-amzn-errortype"]) == (400, "ValidationException")
    assert json.loads(answer.body)["message"].endswith("Member must have length less than or equal to 140")


@pytest.mark.parametrize("name", ["a b", "f!", "arn:aws:s3:::bucket", "a:b:c:d"])
def test_a_name_of_the_wrong_pattern_is_the_first_layer_s(account: Account, name: str) -> None:
    for method, path in (("GET", "/2015-03-31/functions/{}"), ("POST", "/2015-03-31/functions/{}/invocations")):
        answer = account.ask(method, path.format(quote(name, safe="")))

        assert (answer.status, answer.headers["x-amzn-errortype"]) == (400, "ValidationException")
        assert json.loads(answer.body)["message"].startswith(
            f"1 validation error detected: Value '{name}' at 'functionName' failed to satisfy constraint: "
            "Member must satisfy regular expression pattern: "
        )


def test_another_account_s_function_is_denied(account: Account) -> None:
    other = f"arn:aws:lambda:{REGION}:999999999999:function:f"

    for path in (f"/2015-03-31/functions/{quote(other, safe='')}", f"/2015-03-31/functions/{quote(other)}"):
        answer = account.ask("GET", path)
        assert (answer.status, answer.headers["x-amzn-errortype"]) == (403, "AccessDeniedException")
        assert set(json.loads(answer.body)) == {"Message"}


def test_an_arn_cut_after_function_names_a_function_called_function(account: Account) -> None:
    account.create("function")

    found = account.lambda_.get_function(FunctionName=f"arn:aws:lambda:{REGION}:{account.id}:function")

    assert found["Configuration"]["FunctionName"] == "function"
