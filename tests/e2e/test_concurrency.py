"""Reserved concurrency and the account's limit, as callers meet them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.exceptions import ClientError

from tests.e2e.accounts import GATED, Account, Notes
from tests.e2e.nodes import wait_until

RESERVED = "ReservedFunctionConcurrentInvocationLimitExceeded"


def _refusal(account: Account, name: str, notes: Notes) -> ClientError:
    with pytest.raises(account.lambda_.exceptions.TooManyRequestsException) as caught:
        account.invoke(name, {"notes": notes.path, "open": True})
    return caught.value


def test_a_second_caller_of_a_single_reserved_execution_is_throttled(account: Account, notes: Notes) -> None:
    name = account.function(GATED)
    account.reserve(name, 1)
    with ThreadPoolExecutor(1) as callers:
        first = callers.submit(account.invoke, name, {"notes": notes.path})
        wait_until("the slot to be taken", lambda: notes.lines("started"))

        refused = _refusal(account, name, notes).response

        notes.write("go")
        assert first.result().json == "through"
    assert refused["ResponseMetadata"]["HTTPStatusCode"] == 429
    assert (refused["message"], refused["Reason"], refused["Type"]) == ("Rate Exceeded.", RESERVED, "User")
    assert int(refused["ResponseMetadata"]["HTTPHeaders"]["retry-after"]) >= 0
    assert account.invoke(name, {"notes": notes.path, "open": True}).json == "through"


def test_a_full_account_is_throttled_with_the_account_s_reason(patient_account: Account, notes: Notes) -> None:
    names = [patient_account.function(GATED) for _ in range(2)]
    with ThreadPoolExecutor(4) as callers:
        calls = [callers.submit(patient_account.invoke, name, {"notes": notes.path}) for name in names for _ in (1, 2)]
        wait_until("the account's four executions to run", lambda: len(notes.lines("started")) == 4)

        refused = _refusal(patient_account, names[0], notes).response

        notes.write("go")
        assert [call.result().json for call in calls] == ["through"] * 4
    assert refused["Reason"] == "ConcurrentInvocationLimitExceeded"


def test_reserved_concurrency_0_refuses_every_call_until_it_is_lifted(account: Account, notes: Notes) -> None:
    name = account.function(GATED)
    account.reserve(name, 0)

    assert _refusal(account, name, notes).response["Reason"] == RESERVED

    account.lambda_.delete_function_concurrency(FunctionName=name)
    assert account.invoke(name, {"notes": notes.path, "open": True}).json == "through"


def test_slots_come_back_after_errors_timeouts_and_crashes(account: Account) -> None:
    source = """
import os, time
def handler(event, context):
    if event == "raise":
        raise RuntimeError
    if event == "exit":
        os._exit(1)
    if event == "hang":
        time.sleep(30)
    return "fine"
"""
    name = account.function(source, Timeout=1)
    account.reserve(name, 1)

    for event in ("raise", "exit", "hang", "raise"):
        assert account.invoke(name, event).function_error == "Unhandled"

    assert account.invoke(name, "fine").json == "fine"


def test_a_reservation_must_leave_100_unreserved(account: Account) -> None:
    name = account.function(GATED)

    with pytest.raises(account.lambda_.exceptions.InvalidParameterValueException) as caught:
        account.reserve(name, 901)

    assert caught.value.response["message"] == (
        "Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution "
        "below its minimum value of [100]."
    )
    account.reserve(name, 900)
    assert account.lambda_.get_account_settings()["AccountLimit"]["UnreservedConcurrentExecutions"] == 100


def test_concurrency_is_put_shown_and_deleted(account: Account) -> None:
    name = account.function(GATED)
    assert "ReservedConcurrentExecutions" not in account.lambda_.get_function_concurrency(FunctionName=name)
    assert "Concurrency" not in account.lambda_.get_function(FunctionName=name)

    account.reserve(name, 5)

    assert account.lambda_.get_function_concurrency(FunctionName=name)["ReservedConcurrentExecutions"] == 5
    assert account.lambda_.get_function(FunctionName=name)["Concurrency"] == {"ReservedConcurrentExecutions": 5}
    account.lambda_.delete_function_concurrency(FunctionName=name)
    assert "ReservedConcurrentExecutions" not in account.lambda_.get_function_concurrency(FunctionName=name)
