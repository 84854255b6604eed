"""Invoke and InvokeAsync at the door: lambda-semantics §1.1-1.6, §1.9."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import socket
from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from eventrouter.errors import IntakeRefused, NodeDead, RuntimeFault, Unavailable
from eventrouter.rules.function import Function, State, UpdateStatus
from eventrouter.rules.invocation import Invocation
from eventrouter.rules.outcome import FunctionFailed, Run, SystemFault, Throttled, ThrottleReason
from tests.api.conftest import REGION, Account, a_run

PATH = "/2015-03-31/functions/f/invocations"
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


def answering(result: Run | Throttled | Exception) -> Any:
    async def run(function: Function, invocation: Invocation) -> Run | Throttled:
        if isinstance(result, Exception):
            raise result
        return result

    return run


def test_each_invocation_type_answers_with_its_own_status(account: Account) -> None:
    account.create()

    sync = account.ask("POST", PATH, body=b'{"a":1}')
    event = account.ask("POST", PATH, body=b'{"a":2}', headers={"X-Amz-Invocation-Type": "Event"})
    dry = account.ask("POST", PATH, body=b'{"a":3}', headers={"X-Amz-Invocation-Type": "DryRun"})

    assert (sync.status, sync.body) == (200, b'{"a":1}')
    assert (event.status, event.body) == (202, b"")
    assert (dry.status, dry.body) == (204, b"")
    assert sync.headers["x-amz-executed-version"] == "$LATEST"
    assert "x-amz-executed-version" not in event.headers
    assert "x-amz-executed-version" not in dry.headers
    assert [invocation.payload for invocation in account.planes.invocations] == [b'{"a":1}']
    assert [invocation.payload for invocation in account.planes.events] == [b'{"a":2}']


def test_the_answer_s_request_id_is_the_invocation_s(account: Account) -> None:
    account.create()

    sync = account.ask("POST", PATH)
    event = account.ask("POST", PATH, headers={"X-Amz-Invocation-Type": "Event"})

    assert UUID.fullmatch(sync.headers["x-amzn-requestid"])
    assert account.planes.invocations[0].request_id == sync.headers["x-amzn-requestid"]
    assert account.planes.events[0].request_id == event.headers["x-amzn-requestid"]
    assert sync.headers["x-amzn-requestid"] != event.headers["x-amzn-requestid"]


def test_boto3_sees_status_version_payload_and_no_function_error(account: Account) -> None:
    account.create()

    answer = account.lambda_.invoke(FunctionName="f", Payload=b'{"a": [1]}')

    assert (answer["StatusCode"], answer["ExecutedVersion"]) == (200, "$LATEST")
    assert "FunctionError" not in answer
    assert json.loads(answer["Payload"].read()) == {"a": [1]}
    assert answer["ResponseMetadata"]["HTTPHeaders"]["content-type"] == "application/json"
    assert answer["ResponseMetadata"]["HTTPHeaders"]["x-amzn-remapped-content-length"] == "0"


def test_no_body_is_an_empty_object(account: Account) -> None:
    account.create()

    account.ask("POST", PATH)

    assert account.planes.invocations[0].payload == b"{}"


def test_row_1_a_function_error_is_a_200_with_unhandled(account: Account) -> None:
    account.create()
    outcome = FunctionFailed(payload=b'{"errorMessage":"x"}', error_type="ValueError")
    account.planes.run = answering(a_run(outcome=outcome))

    answer = account.lambda_.invoke(FunctionName="f")

    assert (answer["StatusCode"], answer["FunctionError"]) == (200, "Unhandled")
    assert answer["Payload"].read() == b'{"errorMessage":"x"}'


def test_the_log_tail_is_the_last_4096_bytes_in_base64(account: Account) -> None:
    account.create()
    account.planes.run = answering(a_run(log=b"line\n" * 2_000))

    answer = account.lambda_.invoke(FunctionName="f", LogType="Tail")

    tail = base64.b64decode(answer["LogResult"])
    assert len(tail) == 4_096
    assert b"REPORT RequestId: " + answer["ResponseMetadata"]["RequestId"].encode() in tail
    assert "LogResult" not in account.lambda_.invoke(FunctionName="f", LogType="None")


@pytest.mark.parametrize("reason", list(ThrottleReason))
def test_a_throttle_is_a_429_with_reason_and_retry_after(account: Account, reason: ThrottleReason) -> None:
    account.create()
    account.planes.run = answering(Throttled(reason=reason))

    answer = account.ask("POST", PATH)

    assert answer.status == 429
    assert json.loads(answer.body) == {"Reason": str(reason), "Type": "User", "message": "Rate Exceeded."}
    assert answer.headers["x-amzn-errortype"] == "TooManyRequestsException"
    assert int(answer.headers["retry-after"]) > 0
    with pytest.raises(account.lambda_.exceptions.TooManyRequestsException) as caught:
        account.lambda_.invoke(FunctionName="f")
    assert caught.value.response["Reason"] == str(reason)
    assert caught.value.response["retryAfterSeconds"] == "1"


@pytest.mark.parametrize(
    ("result", "status", "code"),
    [
        (RuntimeFault("no environment could start"), 500, "ServiceException"),
        (a_run(outcome=SystemFault(message="the node was killed")), 500, "ServiceException"),
        (Unavailable("Redis does not answer"), 503, "ServiceUnavailableException"),
        (NodeDead("host-1"), 503, "ServiceUnavailableException"),
    ],
)
def test_our_faults_are_5xx(account: Account, result: Any, status: int, code: str) -> None:
    account.create()
    account.planes.run = answering(result)

    answer = account.ask("POST", PATH)

    assert (answer.status, answer.headers["x-amzn-errortype"]) == (status, code)
    assert json.loads(answer.body)["Type"] == "Service"
    assert ("retry-after" in answer.headers) == (status == 503)


@pytest.mark.parametrize("error", [IntakeRefused("memory is full"), Unavailable("Redis does not answer")])
def test_an_event_that_cannot_be_stored_is_a_503(account: Account, error: Exception) -> None:
    account.create()
    account.planes.refuse_events = error

    answer = account.ask("POST", PATH, headers={"X-Amz-Invocation-Type": "Event"})

    assert (answer.status, answer.headers["retry-after"]) == (503, "1")


def test_row_6_an_event_is_accepted_whatever_the_concurrency(account: Account) -> None:
    account.create()
    account.lambda_.put_function_concurrency(FunctionName="f", ReservedConcurrentExecutions=0)

    assert account.lambda_.invoke(FunctionName="f", InvocationType="Event")["StatusCode"] == 202


@pytest.mark.parametrize("kind", ["RequestResponse", "Event"])
def test_row_9_a_body_that_is_no_json_is_refused_before_anything_runs(account: Account, kind: str) -> None:
    account.create()

    answer = account.ask("POST", PATH, body=b"\x99", headers={"X-Amz-Invocation-Type": kind})

    assert (answer.status, answer.headers["x-amzn-errortype"]) == (400, "InvalidRequestContentException")
    assert json.loads(answer.body) == {
        "Type": "User",
        "message": "Could not parse request body into json: Could not parse payload into json: Unexpected character "
        "((CTRL-CHAR, code 153)): expected a valid value (JSON String, Number, Array, Object or token 'null', 'true' "
        "or 'false')\n at [Source: REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled); line: 1, "
        "column: 1]",
    }
    assert not account.planes.invocations
    assert not account.planes.events


@pytest.mark.parametrize(("kind", "limit"), [("RequestResponse", 6_291_456), ("Event", 1_048_576)])
def test_row_15_an_event_over_its_limit_is_413(account: Account, kind: str, limit: int) -> None:
    account.create()
    headers = {"X-Amz-Invocation-Type": kind}

    assert account.ask("POST", PATH, headers=headers, body=b'"' + b"x" * (limit - 2) + b'"').status in (200, 202)
    answer = account.ask("POST", PATH, headers=headers, body=b'"' + b"x" * (limit - 1) + b'"')

    assert (answer.status, answer.headers["x-amzn-errortype"]) == (413, "RequestEntityTooLargeException")
    assert json.loads(answer.body) == {
        "message": f"{limit + 1} byte payload is too large for the {kind} invocation type (limit {limit} bytes)"
    }


def test_a_much_larger_body_is_cut_while_it_arrives(account: Account) -> None:
    account.create()

    with pytest.raises(ClientError) as caught:
        account.lambda_.invoke(FunctionName="f", Payload=b'"' + b"x" * 12_000_000 + b'"')

    assert caught.value.response["Error"] == {
        "Code": "RequestEntityTooLargeException",
        "Message": "Request must be smaller than 6291456 bytes for the InvokeFunction operation",
    }


def test_row_16_a_missing_function_is_named_with_latest(account: Account) -> None:
    with pytest.raises(account.lambda_.exceptions.ResourceNotFoundException) as caught:
        account.lambda_.invoke(FunctionName="nope")

    assert caught.value.response["Error"]["Message"] == f"Function not found: {account.arn('nope')}:$LATEST"
    assert caught.value.response["Type"] == "User"


@pytest.mark.parametrize("qualifier", ["1", "live", "$latest"])
def test_a_missing_qualifier_is_named_as_it_was_given(account: Account, qualifier: str) -> None:
    account.create()

    with pytest.raises(account.lambda_.exceptions.ResourceNotFoundException) as caught:
        account.lambda_.invoke(FunctionName="f", Qualifier=qualifier)

    assert caught.value.response["Error"]["Message"] == f"Function not found: {account.arn()}:{qualifier}"


@pytest.mark.parametrize(
    ("named", "arn"),
    [
        ({"FunctionName": "f"}, "{}"),
        ({"FunctionName": "f", "Qualifier": "$LATEST"}, "{}:$LATEST"),
        ({"FunctionName": "f:$LATEST"}, "{}:$LATEST"),
        ({"FunctionName": "f:$LATEST", "Qualifier": "$LATEST"}, "{}:$LATEST"),
        ({"FunctionName": "{}"}, "{}"),
        ({"FunctionName": "{}:$LATEST"}, "{}:$LATEST"),
    ],
)
def test_row_17_the_reference_is_exactly_what_the_caller_named(
    account: Account, named: dict[str, str], arn: str
) -> None:
    account.create()

    account.lambda_.invoke(**{name: value.format(account.arn()) for name, value in named.items()})

    assert account.planes.invocations[0].reference.arn == arn.format(account.arn())


def test_a_function_that_is_pending_cannot_be_invoked(account: Account) -> None:
    account.planes.held = True
    account.create()

    with pytest.raises(account.lambda_.exceptions.ResourceConflictException) as caught:
        account.lambda_.invoke(FunctionName="f")

    assert caught.value.response["message"] == (
        "The operation cannot be performed at this time. The function is currently in the following state: Pending"
    )


def test_a_function_whose_deployment_failed_cannot_be_invoked(account: Account) -> None:
    account.create()
    store = account.door.planes.store.functions
    failed = replace(account.stored(), state=State.FAILED)
    account.door.run(store.put(failed, account_limit=1_000, minimum_unreserved=100))

    assert account.ask("POST", PATH).status == 409


def test_a_function_runs_while_its_update_is_in_progress(account: Account) -> None:
    account.create()
    account.planes.held = True
    account.lambda_.update_function_configuration(FunctionName="f", Timeout=5)
    assert account.stored().last_update_status is UpdateStatus.IN_PROGRESS

    assert account.ask("POST", PATH).status == 200


def test_the_client_context_reaches_synchronous_calls_only(account: Account) -> None:
    account.create()
    context = base64.b64encode(b'{"custom":{"a":"b"}}').decode()

    account.lambda_.invoke(FunctionName="f", ClientContext=context)
    account.lambda_.invoke(FunctionName="f", ClientContext=context, InvocationType="Event")

    assert account.planes.invocations[0].client_context == '{"custom":{"a":"b"}}'
    assert account.planes.events[0].client_context is None


@pytest.mark.parametrize("context", ["not base64!", base64.b64encode(b"no json").decode(), "A" * 3_584])
def test_a_bad_client_context_is_refused(account: Account, context: str) -> None:
    account.create()

    with pytest.raises(account.lambda_.exceptions.InvalidRequestContentException):
        account.lambda_.invoke(FunctionName="f", ClientContext=context)


def test_the_trace_header_is_passed_on_and_made_when_missing(account: Account) -> None:
    account.create()
    trace = "Root=1-3152b799-8954dae64eda91bc9a23a7e8;Parent=7fa8c0f79203be72;Sampled=1"

    given = account.ask("POST", PATH, headers={"X-Amzn-Trace-Id": trace})
    made = account.ask("POST", PATH)
    queued = account.ask("POST", PATH, headers={"X-Amzn-Trace-Id": trace, "X-Amz-Invocation-Type": "Event"})

    assert account.planes.events[0].trace == queued.headers["x-amzn-trace-id"] == trace
    assert account.planes.invocations[0].trace == given.headers["x-amzn-trace-id"] == trace
    pattern = r"Root=1-[0-9a-f]{8}-[0-9a-f]{24};Parent=[0-9a-f]{16};Sampled=0"
    assert re.fullmatch(pattern, account.planes.invocations[1].trace)
    assert made.headers["x-amzn-trace-id"] == account.planes.invocations[1].trace


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"x-amzn-RequestId": "not-a-uuid"}, "InvalidRequestContentException"),
        ({"X-Amz-Tenant-Id": "blue"}, "InvalidParameterValueException"),
        ({"X-Amz-Durable-Execution-Name": "run-1"}, "InvalidParameterValueException"),
    ],
)
def test_headers_of_what_is_not_served_are_refused(account: Account, headers: dict[str, str], code: str) -> None:
    account.create()

    for _ in range(2):  # the second time the name is known already
        answer = account.ask("POST", PATH, headers=headers)
        assert (answer.status, answer.headers["x-amzn-errortype"]) == (400, code)


@pytest.mark.parametrize(
    ("headers", "text"),
    [
        (
            {"X-Amz-Invocation-Type": "Later"},
            (
                "Value 'Later' at 'invocationType' failed to satisfy constraint: Member must satisfy enum value set: "
                "[Event, RequestResponse, DryRun]"
            ),
        ),
        (
            {"X-Amz-Log-Type": "All"},
            "Value 'All' at 'logType' failed to satisfy constraint: Member must satisfy enum value set: [None, Tail]",
        ),
    ],
)
def test_unknown_types_are_the_first_layer_s(account: Account, headers: dict[str, str], text: str) -> None:
    account.create()

    for _ in range(2):  # the second time the name is known already
        answer = account.ask("POST", PATH, headers=headers)
        assert answer.status == 400
        assert answer.headers["x-amzn-errortype"] == "ValidationException"
        assert json.loads(answer.body) == {"message": f"1 validation error detected: {text}"}


def test_invoke_async_answers_202_and_passes_no_trace(account: Account) -> None:
    account.create()
    trace = "Root=1-3152b799-8954dae64eda91bc9a23a7e8"

    for path in ("/2014-11-13/functions/f/invoke-async", "/2014-11-13/functions/f/invoke-async/"):
        answer = account.ask("POST", path, body=b'{"a":1}', headers={"X-Amzn-Trace-Id": trace})
        assert (answer.status, json.loads(answer.body)) == (202, {"Status": 202})

    assert [event.payload for event in account.planes.events] == [b'{"a":1}'] * 2
    assert all(event.trace != trace for event in account.planes.events)
    assert account.lambda_.invoke_async(FunctionName="f", InvokeArgs=b"{}")["Status"] == 202


def test_invoke_async_takes_256_kilobytes(account: Account) -> None:
    account.create()
    path = "/2014-11-13/functions/f/invoke-async"

    assert account.ask("POST", path, body=b'"' + b"x" * 262_142 + b'"').status == 202
    answer = account.ask("POST", path, body=b'"' + b"x" * 262_143 + b'"')

    assert answer.status == 413
    assert json.loads(answer.body)["message"] == (
        "262145 byte payload is too large for the Event invocation type (limit 262144 bytes)"
    )


def test_a_caller_that_disconnects_does_not_stop_the_run(account: Account) -> None:
    account.create()
    began, finish, ended = (asyncio.Event() for _ in range(3))

    async def run(function: Function, invocation: Invocation) -> Run:
        began.set()
        await finish.wait()
        ended.set()
        return a_run()

    account.planes.run = run
    host, port = account.door.url.removeprefix("http://").split(":")
    authorization = account.signed()["Authorization"]
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        request = (
            f"POST {PATH} HTTP/1.1\r\nHost: {host}\r\nAuthorization: {authorization}\r\nContent-Length: 2\r\n\r\n{{}}"
        )
        connection.sendall(request.encode())
        account.door.run(began.wait())
    account.door.loop.call_soon_threadsafe(finish.set)

    account.door.run(ended.wait())


def test_another_region_has_other_functions(account: Account) -> None:
    account.create()
    client = account.client("eu-west-1")

    with pytest.raises(client.exceptions.ResourceNotFoundException) as caught:
        client.invoke(FunctionName=account.arn())
    client.close()

    assert caught.value.response["Error"]["Message"] == (
        f"Functions from '{REGION}' are not reachable in this region ('eu-west-1')"
    )
