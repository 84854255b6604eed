"""Reserved concurrency at the door: lambda-semantics §2.9."""

from __future__ import annotations

import json

import pytest

from tests.api.conftest import Account

PUT = "/2017-10-31/functions/{}/concurrency"


def test_a_reservation_is_put_shown_and_deleted(account: Account) -> None:
    account.create()
    reserved = {"ReservedConcurrentExecutions": 7}

    put = account.ask("PUT", PUT.format("f"), body=json.dumps(reserved).encode())
    shown = account.ask("GET", "/2019-09-30/functions/f/concurrency")
    deleted = account.ask("DELETE", PUT.format("f"))
    unset = account.ask("GET", "/2019-09-30/functions/f/concurrency")

    assert (put.status, json.loads(put.body)) == (200, reserved)
    assert (shown.status, json.loads(shown.body)) == (200, reserved)
    assert (deleted.status, deleted.body) == (204, b"")
    assert (unset.status, unset.body) == (200, b"{}")


def test_zero_is_a_reservation(account: Account) -> None:
    account.create()

    account.lambda_.put_function_concurrency(FunctionName="f", ReservedConcurrentExecutions=0)

    assert account.stored().reserved_concurrency == 0
    shown = account.lambda_.get_function_concurrency(FunctionName="f")
    assert shown["ReservedConcurrentExecutions"] == 0


def test_100_must_stay_unreserved(account: Account) -> None:
    account.create()
    account.lambda_.put_function_concurrency(FunctionName="f", ReservedConcurrentExecutions=900)

    answer = account.ask("PUT", PUT.format("f"), body=b'{"ReservedConcurrentExecutions": 901}')

    assert answer.headers["x-amzn-errortype"] == "InvalidParameterValueException"
    assert json.loads(answer.body) == {
        "message": "Specified ReservedConcurrentExecutions for function decreases account's "
        "UnreservedConcurrentExecution below its minimum value of [100]."
    }
    assert account.stored().reserved_concurrency == 900


@pytest.mark.parametrize("operation", ["put", "get", "delete"])
def test_versions_have_no_reservation(account: Account, operation: str) -> None:
    account.create()
    call = getattr(account.lambda_, f"{operation}_function_concurrency")
    members = {"ReservedConcurrentExecutions": 1} if operation == "put" else {}

    with pytest.raises(account.lambda_.exceptions.InvalidParameterValueException) as caught:
        call(FunctionName=account.arn("f:1"), **members)

    assert caught.value.response["message"] == (
        "This operation is permitted on Lambda functions only. Aliases and versions do not support this operation. "
        "Please specify either a function name or an unqualified function ARN."
    )


@pytest.mark.parametrize("operation", ["put", "get", "delete"])
def test_a_missing_function_is_named_with_latest(account: Account, operation: str) -> None:
    call = getattr(account.lambda_, f"{operation}_function_concurrency")
    members = {"ReservedConcurrentExecutions": 1} if operation == "put" else {}

    with pytest.raises(account.lambda_.exceptions.ResourceNotFoundException) as caught:
        call(FunctionName="nope", **members)

    assert caught.value.response["Message"] == f"Function not found: {account.arn('nope')}:$LATEST"
