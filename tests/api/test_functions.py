"""Creating, reading, updating and deleting functions: lambda-semantics §2.1-2.6."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.api.conftest import REGION, Account, a_zip

CODE = {"S3Bucket": "hot-reload", "S3Key": str(Path(__file__).parent)}
"""Any folder will do: nothing here runs it."""


def refusal(account: Account, operation: str, **members: Any) -> tuple[str, str]:
    """Return code and message of a call that must fail."""
    with pytest.raises(ClientError) as caught:
        getattr(account.lambda_, operation)(**members)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def creation_refusal(account: Account, **members: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        account.create("g", **members)
    error = caught.value.response["Error"]
    assert not account.lambda_.list_functions()["Functions"]
    return error["Code"], error["Message"]


def test_an_answer_has_exactly_the_members_that_aws_shows(account: Account) -> None:
    package = a_zip()

    created = account.create(Description="what it does", Code={"ZipFile": package})

    created.pop("ResponseMetadata")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+0000", created.pop("LastModified"))
    assert re.fullmatch(r"[0-9a-f-]{36}", created.pop("RevisionId"))
    runtime_version = created.pop("RuntimeVersionConfig")["RuntimeVersionArn"]
    assert re.fullmatch(rf"arn:aws:lambda:{REGION}::runtime:[0-9a-f]{{64}}", runtime_version)
    assert created == {
        "FunctionName": "f",
        "FunctionArn": account.arn(),
        "Runtime": "python3.11",
        "Role": account.role,
        "Handler": "app.handler",
        "CodeSize": len(package),
        "CodeSha256": base64.b64encode(hashlib.sha256(package).digest()).decode(),
        "Description": "what it does",
        "Timeout": 3,
        "MemorySize": 128,
        "Version": "$LATEST",
        "TracingConfig": {"Mode": "PassThrough"},
        "State": "Pending",
        "StateReason": "The function is being created.",
        "StateReasonCode": "Creating",
        "PackageType": "Zip",
        "Architectures": ["x86_64"],
        "EphemeralStorage": {"Size": 512},
        "SnapStart": {"ApplyOn": "None", "OptimizationStatus": "Off"},
        "LoggingConfig": {"LogFormat": "Text", "LogGroup": "/aws/lambda/f"},
    }


def test_creation_answers_201_and_deletion_204(account: Account) -> None:
    assert account.create()["ResponseMetadata"]["HTTPStatusCode"] == 201

    deleted = account.lambda_.delete_function(FunctionName="f")

    assert deleted["ResponseMetadata"]["HTTPStatusCode"] == deleted["StatusCode"] == 204


def test_an_active_function_has_no_reasons_and_a_successful_update(account: Account) -> None:
    account.create()

    found = account.lambda_.get_function_configuration(FunctionName="f")

    assert (found["State"], found["LastUpdateStatus"]) == ("Active", "Successful")
    assert not {"StateReason", "StateReasonCode", "LastUpdateStatusReason", "LastUpdateStatusReasonCode"} & set(found)
    account.lambda_.get_waiter("function_active_v2").wait(FunctionName="f", WaiterConfig={"MaxAttempts": 1})
    account.lambda_.get_waiter("function_updated_v2").wait(FunctionName="f", WaiterConfig={"MaxAttempts": 1})


def test_row_21_optional_members_are_absent_until_they_are_given(account: Account) -> None:
    account.create()
    account.create("empty", Environment={"Variables": {}})
    account.create("bare", Environment={})

    found = account.lambda_.get_function(FunctionName="f")
    assert not {"Environment", "VpcConfig", "Layers", "DeadLetterConfig", "KMSKeyArn"} & set(found["Configuration"])
    assert not {"Tags", "Concurrency"} & set(found)
    for name in ("empty", "bare"):
        shown = account.lambda_.get_function_configuration(FunctionName=name)
        assert shown["Environment"] == {"Variables": {}}


def test_get_function_shows_tags_concurrency_and_where_the_code_is(account: Account) -> None:
    account.create(Tags={"team": "red"})
    account.lambda_.put_function_concurrency(FunctionName="f", ReservedConcurrentExecutions=5)

    found = account.lambda_.get_function(FunctionName="f")
    qualified = account.lambda_.get_function(FunctionName="f", Qualifier="$LATEST")

    sha256 = base64.b64decode(found["Configuration"]["CodeSha256"]).hex()
    location = f"{account.door.url}/_eventrouter/packages/{sha256}"
    assert found["Code"] == {"RepositoryType": "S3", "Location": location}
    assert found["Tags"] == {"team": "red"}
    assert found["Concurrency"] == {"ReservedConcurrentExecutions": 5}
    assert "Concurrency" not in qualified


def test_a_name_that_is_taken_conflicts(account: Account) -> None:
    account.create()

    with pytest.raises(account.lambda_.exceptions.ResourceConflictException) as caught:
        account.create()

    assert caught.value.response["message"] == "Function already exist: f"
    assert caught.value.response["Type"] == "User"


def test_a_local_folder_is_the_code_through_the_hot_reload_bucket(account: Account) -> None:
    account.create(Code=CODE)

    found = account.lambda_.get_function(FunctionName="f")

    assert account.stored().code.directory == CODE["S3Key"]
    assert found["Code"]["Location"] == f"file://{CODE['S3Key']}"


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ({}, "Please provide a source for function code."),
        ({"S3Bucket": "hot-reload"}, "Please provide a source for function code."),
        (
            {"ZipFile": a_zip(), **CODE},
            "Please do not provide other FunctionCode parameters when providing a ZipFile.",
        ),
        (
            {"S3Bucket": "artifacts", "S3Key": "f.zip"},
            (
                "Error occurred while GetObject. S3 Error Code: NoSuchBucket. S3 Error Message: The specified bucket "
                "does not exist"
            ),
        ),
        (
            {"ZipFile": b"no zip"},
            "Could not unzip uploaded file. Please check your file, then try to upload again.",
        ),
    ],
)
def test_code_must_come_from_exactly_one_known_place(account: Account, code: dict[str, Any], message: str) -> None:
    assert creation_refusal(account, Code=code) == ("InvalidParameterValueException", message)


def test_images_are_refused(account: Account) -> None:
    for members in (
        {"PackageType": "Image"},
        {"Code": {"ImageUri": "1.dkr.ecr.x/y:z"}},
        {"ImageConfig": {"Command": ["x"]}},
    ):
        code, message = creation_refusal(account, **members)
        assert code == "InvalidParameterValueException"
        assert "Image" in message

    account.create(PackageType="Zip")
    assert refusal(account, "update_function_code", FunctionName="f", ImageUri="1.dkr.ecr.x/y:z") == (
        "InvalidParameterValueException",
        "Please don't provide ImageUri when updating a function with packageType Zip.",
    )


@pytest.mark.parametrize(
    "members",
    [
        {"Publish": True},
        {"PublishTo": "LATEST_PUBLISHED"},
        {"Layers": [f"arn:aws:lambda:{REGION}:123456789012:layer:l:1"]},
        {"CodeSigningConfigArn": f"arn:aws:lambda:{REGION}:123456789012:code-signing-config:csc-{'a' * 17}"},
        {
            "FileSystemConfigs": [
                {
                    "Arn": f"arn:aws:elasticfilesystem:{REGION}:123456789012:access-point/fsap-{'0' * 17}",
                    "LocalMountPath": "/mnt/x",
                }
            ]
        },
        {"TenancyConfig": {"TenantIsolationMode": "PER_TENANT"}},
        {"DurableConfig": {"ExecutionTimeout": 60}},
        {"AcceleratorConfig": {"AcceleratorMemorySize": 8}},
        {
            "RuntimeConfig": {
                "RuntimeArn": f"arn:aws:lambda:{REGION}:123456789012:runtime/my-own-runtime",
                "RuntimeAlias": "a",
            }
        },
    ],
)
def test_what_would_change_the_outcome_is_refused_by_name(account: Account, members: dict[str, Any]) -> None:
    code, message = creation_refusal(account, **members)

    assert code == "InvalidParameterValueException"
    assert message.startswith(next(iter(members)))
    assert "of CreateFunction is not supported by eventrouter: " in message


def test_empty_values_of_refused_members_ask_for_nothing(account: Account) -> None:
    created = account.create(Publish=False, Layers=[], FileSystemConfigs=[], ImageConfig={})

    assert "Layers" not in created


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"Runtime": None}, "Runtime is mandatory for functions created with deployment packages."),
        ({"Handler": None}, "Handler is mandatory for functions created with deployment packages."),
        (
            {"Runtime": None, "Handler": None},
            "Runtime and Handler are mandatory parameters for functions created with deployment packages.",
        ),
        (
            {"Timeout": 901},
            "'Timeout' value failed to satisfy constraint: Member must have value less than or equal to 900",
        ),
        (
            {"MemorySize": 10_241},
            "'MemorySize' value failed to satisfy constraint: Member must have value less than or equal to 10240",
        ),
        (
            {"Environment": {"Variables": {"AWS_REGION": "x"}}},
            (
                "Lambda was unable to configure your environment variables because the environment variables you have "
                "provided contains reserved keys that are currently not supported for modification. Reserved keys used "
                "in this request: AWS_REGION"
            ),
        ),
        ({"Tags": {f"k{number}": "v" for number in range(51)}}, "Number of tags exceeds resource tag limit."),
    ],
)
def test_row_24_business_rules_are_the_second_layer(account: Account, members: dict[str, Any], message: str) -> None:
    wanted = {
        "FunctionName": "g",
        "Role": account.role,
        "Runtime": "python3.11",
        "Handler": "app.handler",
        "Code": CODE,
        **members,
    }
    body = {name: value for name, value in wanted.items() if value is not None}

    answer = account.ask("POST", "/2015-03-31/functions", body=json.dumps(body).encode())

    assert (answer.status, answer.headers["x-amzn-errortype"]) == (400, "InvalidParameterValueException")
    assert json.loads(answer.body) == {"Type": "User", "message": message}


@pytest.mark.parametrize(
    ("members", "at", "phrase"),
    [
        ({"Timeout": 0}, "'0' at 'timeout'", "Member must have value greater than or equal to 1"),
        ({"MemorySize": 127}, "'127' at 'memorySize'", "Member must have value greater than or equal to 128"),
        (
            {"Role": "r"},
            "'r' at 'role'",
            (
                "Member must satisfy regular expression pattern: "
                r"arn:(aws[a-zA-Z-]*)?:iam::\d{12}:role/?[a-zA-Z_0-9+=,.@\-_/]+"
            ),
        ),
        ({"Role": None}, "null at 'role'", "Member must not be null"),
        ({"Handler": "a b"}, "'a b' at 'handler'", r"Member must satisfy regular expression pattern: [^\s]+"),
        (
            {"Architectures": ["x86_64", "arm64"]},
            "'[x86_64, arm64]' at 'architectures'",
            "Member must have length less than or equal to 1",
        ),
        (
            {"Architectures": ["z80"]},
            "'[z80]' at 'architectures'",
            (
                "Member must satisfy constraint: [Member must satisfy enum value set: [x86_64, arm64], "
                "Member must not be null]"
            ),
        ),
        (
            {"SnapStart": {"ApplyOn": "x"}},
            "'x' at 'snapStart.applyOn'",
            "Member must satisfy enum value set: [PublishedVersions, None]",
        ),
        (
            {"Environment": {"Variables": {"1": "a secret, by AWS's model"}}},
            "at 'environment.variables'",
            (
                "Map keys must satisfy constraint: [Member must satisfy regular expression pattern: "
                "[a-zA-Z]([a-zA-Z0-9_])+, Member must not be null]"
            ),
        ),
    ],
)
def test_row_24_shape_constraints_are_the_first_layer(
    account: Account, members: dict[str, Any], at: str, phrase: str
) -> None:
    wanted = {"FunctionName": "g", "Role": account.role, "Runtime": "python3.11", "Handler": "h.h", "Code": CODE}
    body = {name: value for name, value in {**wanted, **members}.items() if value is not None}

    answer = account.ask("POST", "/2015-03-31/functions", body=json.dumps(body).encode())

    assert (answer.status, answer.headers["x-amzn-errortype"]) == (400, "ValidationException")
    assert json.loads(answer.body) == {
        "message": f"1 validation error detected: Value {at} failed to satisfy constraint: {phrase}"
    }


def test_several_broken_constraints_are_told_together(account: Account) -> None:
    body = {"FunctionName": "g", "Role": "r", "Code": CODE, "Timeout": 0, "Runtime": "no runtime"}

    answer = account.ask("POST", "/2015-03-31/functions", body=json.dumps(body).encode())

    message = json.loads(answer.body)["message"]
    assert message.startswith("2 validation errors detected: Value 'r' at 'role'")
    assert "; Value '0' at 'timeout'" in message


def test_unknown_members_are_ignored_and_nulls_are_absent(account: Account) -> None:
    body = {
        "FunctionName": "g", "Role": account.role, "Runtime": "python3.11", "Handler": "h.h", "Code": CODE,
        "Novelty": {"a": 1}, "Timeout": None,
    }  # fmt: skip

    answer = account.ask("POST", "/2015-03-31/functions", body=json.dumps(body).encode())

    assert (answer.status, json.loads(answer.body)["Timeout"]) == (201, 3)


def test_runtimes_that_do_not_run_here_are_refused(account: Account) -> None:
    assert creation_refusal(account, Runtime="nodejs22.x")[1].startswith("The runtime nodejs22.x is not supported")
    assert creation_refusal(account, Runtime="python3.7")[1].startswith(
        "The runtime parameter of python3.7 is no longer"
    )
    assert creation_refusal(account, Runtime="Python3.11")[0] == "InvalidParameterValueException"

    account.create()
    account.lambda_.update_function_configuration(FunctionName="f", Runtime="python3.7")
    assert account.stored().runtime == "python3.7"


def test_members_without_effect_come_back_as_they_were_given(account: Account) -> None:
    key = f"arn:aws:kms:{REGION}:{account.id}:key/1"
    account.create(
        VpcConfig={"SubnetIds": ["subnet-1"], "SecurityGroupIds": ["sg-1"]},
        KMSKeyArn=key,
        TracingConfig={"Mode": "Active"},
        Architectures=["arm64"],
        EphemeralStorage={"Size": 1_024},
        SnapStart={"ApplyOn": "PublishedVersions"},
        Code={"ZipFile": a_zip(), "SourceKMSKeyArn": key},
    )

    shown = account.lambda_.get_function(FunctionName="f")
    assert shown["Configuration"]["VpcConfig"] == {
        "SubnetIds": ["subnet-1"],
        "SecurityGroupIds": ["sg-1"],
        "VpcId": "",
        "Ipv6AllowedForDualStack": False,
    }
    assert shown["Configuration"]["KMSKeyArn"] == key
    assert shown["Configuration"]["TracingConfig"] == {"Mode": "Active"}
    assert shown["Configuration"]["Architectures"] == ["arm64"]
    assert shown["Configuration"]["EphemeralStorage"] == {"Size": 1_024}
    assert shown["Configuration"]["SnapStart"] == {"ApplyOn": "PublishedVersions", "OptimizationStatus": "Off"}
    assert shown["Code"]["SourceKMSKeyArn"] == key

    cleared = {"SubnetIds": [], "SecurityGroupIds": []}
    account.lambda_.update_function_configuration(FunctionName="f", VpcConfig=cleared, KMSKeyArn="")
    shown = account.lambda_.get_function_configuration(FunctionName="f")
    assert shown["VpcConfig"] == {**cleared, "VpcId": "", "Ipv6AllowedForDualStack": False}
    assert "KMSKeyArn" not in shown


def test_functions_are_listed_in_pages(account: Account) -> None:
    for name in ("c", "a", "b"):
        account.create(name)

    pages = list(account.lambda_.get_paginator("list_functions").paginate(PaginationConfig={"PageSize": 2}))

    assert [[function["FunctionName"] for function in page["Functions"]] for page in pages] == [["a", "b"], ["c"]]
    assert "NextMarker" not in pages[-1]
    item = pages[0]["Functions"][0]
    assert not {"State", "LastUpdateStatus", "RuntimeVersionConfig"} & set(item)
    assert item["FunctionArn"] == account.arn("a")


def test_a_page_holds_50_functions_at_most(account: Account) -> None:
    for number in range(51):
        account.create(f"f{number:02}")

    page = account.lambda_.list_functions(MaxItems=10_000)

    assert len(page["Functions"]) == 50
    assert len(account.lambda_.list_functions(Marker=page["NextMarker"])["Functions"]) == 1


def test_a_made_up_marker_is_refused(account: Account) -> None:
    assert refusal(account, "list_functions", Marker="%%%")[0] == "InvalidParameterValueException"


def test_all_versions_are_listed_with_qualified_arns(account: Account) -> None:
    account.create()

    listed = account.lambda_.list_functions(FunctionVersion="ALL")["Functions"]

    assert [function["FunctionArn"] for function in listed] == [account.arn("f:$LATEST")]
    assert refusal(account, "list_functions", FunctionVersion="1")[0] == "ValidationException"


def test_an_update_is_in_progress_with_aws_s_odd_reason(account: Account) -> None:
    account.create()
    account.planes.held = True

    updated = account.lambda_.update_function_configuration(FunctionName="f", Timeout=9)

    assert updated["Timeout"] == 9
    assert updated["State"] == "Active"
    assert updated["LastUpdateStatus"] == "InProgress"
    assert updated["LastUpdateStatusReason"] == "The function is being created."
    assert updated["LastUpdateStatusReasonCode"] == "Creating"


@pytest.mark.parametrize("operation", ["update_function_code", "update_function_configuration"])
def test_an_update_that_meets_another_conflicts(account: Account, operation: str) -> None:
    account.create()
    account.planes.held = True
    account.lambda_.update_function_configuration(FunctionName="f", Timeout=9)
    members = CODE if operation == "update_function_code" else {"Timeout": 10}

    assert refusal(account, operation, FunctionName="f", **members) == (
        "ResourceConflictException",
        "The operation cannot be performed at this time. An update is in progress for resource: " + account.arn(),
    )


@pytest.mark.parametrize("operation", ["update_function_code", "update_function_configuration"])
def test_a_pending_function_cannot_be_updated(account: Account, operation: str) -> None:
    account.planes.held = True
    account.create()
    members = CODE if operation == "update_function_code" else {"Timeout": 10}

    assert refusal(account, operation, FunctionName="f", **members) == (
        "ResourceConflictException",
        "The operation cannot be performed at this time. The function is currently in the following state: Pending",
    )


def test_row_20_an_update_changes_the_revision_at_once_and_again_when_complete(account: Account) -> None:
    account.create()
    before = account.stored().revision_id

    at_once = account.lambda_.update_function_code(FunctionName="f", ZipFile=a_zip("x = 1\n"))["RevisionId"]

    assert len({before, at_once, account.stored().revision_id}) == 3


@pytest.mark.parametrize("operation", ["update_function_code", "update_function_configuration"])
def test_an_update_of_another_revision_is_refused(account: Account, operation: str) -> None:
    account.create()
    members = CODE if operation == "update_function_code" else {"Timeout": 10}
    current = account.stored().revision_id

    assert refusal(account, operation, FunctionName="f", RevisionId="other", **members) == (
        "PreconditionFailedException",
        (
            "The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias API to "
            "retrieve the latest Revision Id"
        ),
    )
    getattr(account.lambda_, operation)(FunctionName="f", RevisionId=current, **members)
    assert account.stored().generation == 2


def test_only_given_members_change_and_variables_are_replaced_as_a_whole(account: Account) -> None:
    account.create(Environment={"Variables": {"AA": "1", "BB": "2"}}, Description="old", Timeout=7)

    account.lambda_.update_function_configuration(FunctionName="f", Environment={"Variables": {"CC": "3"}})

    shown = account.lambda_.get_function_configuration(FunctionName="f")
    assert shown["Environment"] == {"Variables": {"CC": "3"}}
    assert (shown["Description"], shown["Timeout"], shown["Handler"]) == ("old", 7, "app.handler")


def test_new_code_changes_digest_size_and_generation(account: Account) -> None:
    account.create()
    package = a_zip("def handler(event, context):\n    return 2\n")

    updated = account.lambda_.update_function_code(FunctionName="f", ZipFile=package)

    assert updated["CodeSize"] == len(package)
    assert updated["CodeSha256"] == base64.b64encode(hashlib.sha256(package).digest()).decode()
    assert account.stored().generation == 2


def test_a_dry_run_of_new_code_changes_nothing(account: Account) -> None:
    account.create()
    before = account.stored()
    package = a_zip("def handler(event, context):\n    return 2\n")

    shown = account.lambda_.update_function_code(FunctionName="f", ZipFile=package, DryRun=True)

    assert shown["CodeSize"] == len(package)
    assert account.stored() == before


def test_publishing_with_new_code_is_refused(account: Account) -> None:
    account.create()

    code, message = refusal(account, "update_function_code", FunctionName="f", ZipFile=a_zip(), Publish=True)

    assert code == "InvalidParameterValueException"
    assert message.startswith("Publish of UpdateFunctionCode is not supported by eventrouter")


def test_logging_settings_merge_and_levels_follow_the_format(account: Account) -> None:
    account.create(LoggingConfig={"LogGroup": "/mine"})

    def update(**config: str) -> dict[str, str]:
        updated = account.lambda_.update_function_configuration(FunctionName="f", LoggingConfig=config)
        shown: dict[str, str] = updated["LoggingConfig"]
        return shown

    levels = {"ApplicationLogLevel": "INFO", "SystemLogLevel": "INFO"}
    assert update(LogFormat="JSON") == {"LogFormat": "JSON", "LogGroup": "/mine", **levels}
    assert update(ApplicationLogLevel="ERROR")["ApplicationLogLevel"] == "ERROR"
    assert update(LogGroup="/other")["LogFormat"] == "JSON"
    assert update(SystemLogLevel="WARN") == {
        "LogFormat": "JSON",
        "LogGroup": "/other",
        "ApplicationLogLevel": "ERROR",
        "SystemLogLevel": "WARN",
    }
    assert update(LogFormat="Text") == {"LogFormat": "Text", "LogGroup": "/other"}
    members = {"LogFormat": "Text", "ApplicationLogLevel": "INFO"}
    code, _ = refusal(account, "update_function_configuration", FunctionName="f", LoggingConfig=members)
    assert code == "InvalidParameterValueException"


def test_a_dead_letter_queue_is_set_and_removed(account: Account) -> None:
    account.create(DeadLetterConfig={"TargetArn": account.queue()})
    get = account.lambda_.get_function_configuration

    assert get(FunctionName="f")["DeadLetterConfig"] == {"TargetArn": account.queue()}
    assert account.stored().dead_letter_target == account.queue()
    account.lambda_.update_function_configuration(FunctionName="f", DeadLetterConfig={"TargetArn": ""})
    assert "DeadLetterConfig" not in get(FunctionName="f")


@pytest.mark.parametrize("name", ["missing", "q.fifo"])
def test_a_dead_letter_queue_must_exist_and_be_standard(account: Account, name: str) -> None:
    account.create()
    wanted = {"TargetArn": account.queue(name)}

    code, message = refusal(account, "update_function_configuration", FunctionName="f", DeadLetterConfig=wanted)

    assert code == "InvalidParameterValueException"
    assert account.queue(name) in message
    assert account.stored().dead_letter_target is None


@pytest.mark.parametrize("service", ["sns", "lambda", "s3"])
def test_a_dead_letter_target_of_another_service_is_refused(account: Account, service: str) -> None:
    arn = f"arn:aws:{service}:{REGION}:{account.id}:x"

    code, message = creation_refusal(account, DeadLetterConfig={"TargetArn": arn})

    assert code == "InvalidParameterValueException"
    assert arn in message


@pytest.mark.parametrize(
    ("qualifier", "message"),
    [
        ("$LATEST", "$LATEST version cannot be deleted without deleting the function."),
        ("live", "Deletion of aliases is not currently supported."),
        ("7", None),
    ],
)
def test_deleting_a_qualifier_answers_as_aws_does(account: Account, qualifier: str, message: str | None) -> None:
    account.create()

    if message is None:
        assert account.lambda_.delete_function(FunctionName="f", Qualifier=qualifier)["StatusCode"] == 204
    else:
        wanted = ("InvalidParameterValueException", message)
        assert refusal(account, "delete_function", FunctionName="f", Qualifier=qualifier) == wanted
    assert account.lambda_.get_function(FunctionName="f")
    for named in ({"FunctionName": "nope", "Qualifier": "7"}, {"FunctionName": "nope"}):
        assert refusal(account, "delete_function", **named)[1] == f"Function not found: {account.arn('nope')}"


def test_row_63_a_function_without_code_signing_answers_an_empty_object(account: Account) -> None:
    account.create()

    answer = account.ask("GET", "/2020-06-30/functions/f/code-signing-config")

    assert (answer.status, answer.body) == (200, b"{}")
    assert account.ask("GET", "/2020-06-30/functions/nope/code-signing-config").status == 404


def test_account_settings_count_functions_code_and_reservations(account: Account) -> None:
    account.create("a")
    account.create("b")
    account.lambda_.put_function_concurrency(FunctionName="a", ReservedConcurrentExecutions=50)

    settings = account.lambda_.get_account_settings()

    assert settings["AccountLimit"] == {
        "TotalCodeSize": 80_530_636_800,
        "CodeSizeUnzipped": 262_144_000,
        "CodeSizeZipped": 52_428_800,
        "ConcurrentExecutions": 1_000,
        "UnreservedConcurrentExecutions": 950,
    }
    assert settings["AccountUsage"] == {"TotalCodeSize": 2 * len(a_zip()), "FunctionCount": 2}


def test_accounts_and_regions_keep_their_functions_apart(account: Account) -> None:
    account.create()
    elsewhere = account.client("eu-west-1")

    assert elsewhere.list_functions()["Functions"] == []
    elsewhere.close()


def test_a_request_of_70167211_bytes_is_too_large(account: Account) -> None:
    headers = {"Content-Length": "70167211"}

    answer = account.ask("POST", "/2015-03-31/functions", headers=headers)

    assert (answer.status, answer.headers["x-amzn-errortype"]) == (413, "RequestEntityTooLargeException")
    assert json.loads(answer.body) == {
        "message": "Request must be smaller than 70167211 bytes for the CreateFunction operation"
    }
