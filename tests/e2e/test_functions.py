"""Functions from creation to deletion, as boto3 and its waiters see them."""

from __future__ import annotations

import base64
import hashlib

import pytest
from botocore.exceptions import ClientError

from tests.e2e.accounts import REGION, Account, zip_of

SOURCE = "def handler(event, context):\n    return 1\n"
OTHER = "def handler(event, context):\n    return 2\n"


def test_a_new_function_is_pending_and_the_waiter_sees_it_become_active(account: Account) -> None:
    created = account.lambda_.create_function(
        FunctionName="f",
        Role=f"arn:aws:iam::{account.id}:role/test",
        Runtime="python3.11",
        Handler="app.handler",
        Code={"ZipFile": zip_of({"app.py": SOURCE})},
    )
    assert (created["State"], created["StateReasonCode"]) == ("Pending", "Creating")
    assert created["FunctionArn"] == f"arn:aws:lambda:{REGION}:{account.id}:function:f"
    assert "LastUpdateStatus" not in created

    account.lambda_.get_waiter("function_active_v2").wait(FunctionName="f", WaiterConfig={"Delay": 0.05})

    found = account.lambda_.get_function(FunctionName="f")["Configuration"]
    assert (found["State"], found["LastUpdateStatus"]) == ("Active", "Successful")


def test_updated_code_runs_once_the_waiter_is_satisfied(account: Account) -> None:
    name = account.function(SOURCE)
    assert account.invoke(name, {}).json == 1
    package = zip_of({"app.py": OTHER})

    updated = account.lambda_.update_function_code(FunctionName=name, ZipFile=package)
    assert updated["LastUpdateStatus"] == "InProgress"
    account.lambda_.get_waiter("function_updated_v2").wait(FunctionName=name, WaiterConfig={"Delay": 0.05})

    assert account.invoke(name, {}).json == 2
    found = account.lambda_.get_function_configuration(FunctionName=name)
    assert found["CodeSha256"] == base64.b64encode(hashlib.sha256(package).digest()).decode()
    assert found["CodeSize"] == len(package)


def test_row_20_the_revision_id_changes_at_once_and_again_when_the_update_is_complete(account: Account) -> None:
    name = account.function(SOURCE)
    before = account.lambda_.get_function_configuration(FunctionName=name)["RevisionId"]

    at_once = account.lambda_.update_function_configuration(FunctionName=name, Description="new")["RevisionId"]
    account.wait_active(name)
    complete = account.lambda_.get_function_configuration(FunctionName=name)["RevisionId"]

    assert len({before, at_once, complete}) == 3
    arn = f"arn:aws:lambda:{REGION}:{account.id}:function:{name}"
    account.lambda_.tag_resource(Resource=arn, Tags={"team": "red"})
    assert account.lambda_.get_function_configuration(FunctionName=name)["RevisionId"] != complete


def test_an_update_with_an_old_revision_id_is_refused(account: Account) -> None:
    name = account.function(SOURCE)

    with pytest.raises(account.lambda_.exceptions.PreconditionFailedException) as caught:
        account.lambda_.update_function_configuration(
            FunctionName=name, Description="x", RevisionId="00000000-0000-4000-8000-000000000000"
        )

    assert caught.value.response["message"].startswith("The Revision Id provided does not match the latest")


def test_row_21_environment_is_absent_unless_it_was_given(account: Account) -> None:
    without, empty = account.function(SOURCE), account.function(SOURCE, Environment={"Variables": {}})

    assert "Environment" not in account.lambda_.get_function_configuration(FunctionName=without)
    assert account.lambda_.get_function_configuration(FunctionName=empty)["Environment"] == {"Variables": {}}


def test_row_24_shape_constraints_and_business_rules_are_two_layers(account: Account) -> None:
    with pytest.raises(ClientError) as shape:
        account.create(SOURCE, Timeout=0)
    with pytest.raises(ClientError) as rule:
        account.create(SOURCE, Runtime="python9.9")

    error = shape.value.response
    assert (error["Error"]["Code"], error["ResponseMetadata"]["HTTPStatusCode"]) == ("ValidationException", 400)
    assert error["Error"]["Message"] == (
        "1 validation error detected: Value '0' at 'timeout' failed to satisfy constraint: "
        "Member must have value greater than or equal to 1"
    )
    assert "Type" not in error
    error = rule.value.response
    assert (error["Error"]["Code"], error["Type"]) == ("InvalidParameterValueException", "User")
    assert error["Error"]["Message"].startswith("Value python9.9 at 'runtime' failed to satisfy constraint: ")


def test_row_25_the_message_member_is_spelled_as_its_exception_spells_it(account: Account) -> None:
    name = account.function(SOURCE)

    with pytest.raises(ClientError) as missing:
        account.lambda_.get_function(FunctionName="missing")
    with pytest.raises(ClientError) as taken:
        account.create(SOURCE, FunctionName=name)

    assert "Message" in missing.value.response
    assert "message" in taken.value.response
    assert taken.value.response["Error"]["Code"] == "ResourceConflictException"
    assert taken.value.response["message"] == f"Function already exist: {name}"


def test_a_package_that_is_no_zip_is_refused(account: Account) -> None:
    with pytest.raises(account.lambda_.exceptions.InvalidParameterValueException) as caught:
        account.create(SOURCE, Code={"ZipFile": b"no zip"})

    assert caught.value.response["message"] == (
        "Could not unzip uploaded file. Please check your file, then try to upload again."
    )


def test_functions_are_listed_page_by_page_and_per_account(account: Account) -> None:
    names = sorted(account.function(SOURCE) for _ in range(5))

    pages = account.lambda_.get_paginator("list_functions").paginate(PaginationConfig={"PageSize": 2})
    listed = [page["Functions"] for page in pages]

    assert [len(page) for page in listed] == [2, 2, 1]
    functions = [function for page in listed for function in page]
    assert sorted(function["FunctionName"] for function in functions) == names
    assert not [function for function in functions if "State" in function]


def test_a_deleted_function_is_gone_and_its_name_free(account: Account) -> None:
    name = account.function(SOURCE)

    answer = account.lambda_.delete_function(FunctionName=name)

    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 204
    with pytest.raises(account.lambda_.exceptions.ResourceNotFoundException):
        account.invoke(name, {})
    account.function(OTHER, FunctionName=name)
    assert account.invoke(name, {}).json == 2


def test_regions_and_accounts_are_apart(account: Account) -> None:
    name = account.function(SOURCE)
    elsewhere = account.client("lambda", "eu-west-1")
    stranger = Account(account.url)

    assert elsewhere.list_functions()["Functions"] == []
    assert stranger.lambda_.list_functions()["Functions"] == []
    with pytest.raises(stranger.lambda_.exceptions.ResourceNotFoundException):
        stranger.invoke(name, {})
    elsewhere.close()
    stranger.close()


def test_tags_are_kept_with_the_function(account: Account) -> None:
    name = account.function(SOURCE, Tags={"a": "1"})
    arn = f"arn:aws:lambda:{REGION}:{account.id}:function:{name}"

    account.lambda_.tag_resource(Resource=arn, Tags={"b": "2"})
    account.lambda_.untag_resource(Resource=arn, TagKeys=["a"])

    assert account.lambda_.list_tags(Resource=arn)["Tags"] == {"b": "2"}
    assert account.lambda_.get_function(FunctionName=name)["Tags"] == {"b": "2"}


def test_the_event_invoke_config_is_put_merged_shown_and_deleted(account: Account) -> None:
    name, queue = account.function(SOURCE), account.queue()
    account.lambda_.put_function_event_invoke_config(FunctionName=name, MaximumRetryAttempts=1)

    account.lambda_.update_function_event_invoke_config(
        FunctionName=name, DestinationConfig={"OnFailure": {"Destination": queue.arn}}
    )

    found = account.lambda_.get_function_event_invoke_config(FunctionName=name)
    assert found["MaximumRetryAttempts"] == 1
    assert found["DestinationConfig"] == {"OnSuccess": {}, "OnFailure": {"Destination": queue.arn}}
    assert found["FunctionArn"].endswith(f":{name}:$LATEST")
    assert "MaximumEventAgeInSeconds" not in found
    account.lambda_.delete_function_event_invoke_config(FunctionName=name)
    with pytest.raises(account.lambda_.exceptions.ResourceNotFoundException) as caught:
        account.lambda_.get_function_event_invoke_config(FunctionName=name)
    assert caught.value.response["Error"]["Message"] == (
        f"The function {found['FunctionArn']} doesn't have an EventInvokeConfig"
    )


def test_a_second_update_while_one_is_in_progress_conflicts_or_follows(account: Account) -> None:
    name = account.function(SOURCE)
    taken, refusals = [], []
    for number in range(5):
        try:
            account.lambda_.update_function_configuration(FunctionName=name, Description=str(number))
            taken.append(number)
        except account.lambda_.exceptions.ResourceConflictException as error:
            refusals.append(error.response["message"])

    account.wait_active(name)

    assert not [text for text in refusals if "An update is in progress for resource: arn:aws:lambda:" not in text]
    assert account.lambda_.get_function_configuration(FunctionName=name)["Description"] == str(taken[-1])
