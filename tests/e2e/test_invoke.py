"""Synchronous calls: statuses, headers, names, limits and the context that handlers see."""

from __future__ import annotations

import base64
import json
import re
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.e2e.accounts import GATED, REGION, Account, Notes
from tests.e2e.nodes import NodeProcess, wait_until

ECHO = "def handler(event, context):\n    return event\n"
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


@pytest.mark.parametrize("event", [{"a": 1}, [], "text", 4.5, None, True, {"ä": "ö"}], ids=json.dumps)
def test_any_json_value_goes_in_and_comes_back(account: Account, event: Any) -> None:
    name = account.function(ECHO)

    answer = account.invoke(name, event)

    assert (answer.status, answer.function_error, answer.json) == (200, None, event)
    assert answer.executed_version == "$LATEST"
    assert UUID.fullmatch(answer.request_id)


def test_an_empty_body_is_an_empty_object_and_no_result_is_null(account: Account) -> None:
    name = account.function("def handler(event, context):\n    assert event == {}, event\n")

    answer = account.invoke(name, b"")

    assert (answer.function_error, answer.body) == (None, b"null")


def test_a_dry_run_answers_204_and_runs_nothing(account: Account, notes: Notes) -> None:
    name = account.function(GATED)

    answer = account.invoke(name, {"notes": notes.path}, InvocationType="DryRun")

    assert (answer.status, answer.body, answer.executed_version) == (204, b"", None)
    assert notes.lines("started") == []


def test_an_event_answers_202_with_an_empty_body_and_no_version(account: Account) -> None:
    name = account.function(ECHO)

    answer = account.invoke(name, {}, InvocationType="Event")

    assert (answer.status, answer.body, answer.executed_version) == (202, b"", None)
    assert UUID.fullmatch(answer.request_id)


def test_invoke_async_answers_202(account: Account, notes: Notes) -> None:
    name = account.function(GATED)

    answer = account.lambda_.invoke_async(FunctionName=name, InvokeArgs=json.dumps({"notes": notes.path, "open": 1}))

    assert answer["Status"] == 202
    wait_until("the run", lambda: notes.lines("ended"))


def test_row_9_a_body_that_is_no_json_is_refused_for_both_types(account: Account) -> None:
    name = account.function(ECHO)

    for invocation_type in ("RequestResponse", "Event"):
        with pytest.raises(ClientError) as caught:
            account.invoke(name, b"\x99 no json", InvocationType=invocation_type)

        error = caught.value.response
        assert error["ResponseMetadata"]["HTTPStatusCode"] == 400
        assert error["Error"]["Code"] == "InvalidRequestContentException"
        assert error["Error"]["Message"].startswith("Could not parse request body into json: Could not parse payload")


def test_row_16_invoke_names_a_missing_function_with_latest_and_get_does_not(account: Account) -> None:
    arn = f"arn:aws:lambda:{REGION}:{account.id}:function:missing"

    with pytest.raises(account.lambda_.exceptions.ResourceNotFoundException) as invoked:
        account.invoke("missing", {})
    with pytest.raises(account.lambda_.exceptions.ResourceNotFoundException) as got:
        account.lambda_.get_function(FunctionName="missing")

    assert invoked.value.response["Error"]["Message"] == f"Function not found: {arn}:$LATEST"
    assert got.value.response["Error"]["Message"] == f"Function not found: {arn}"


CONTEXT = """
import os

def handler(event, context):
    return {
        "arn": context.invoked_function_arn,
        "memory": context.memory_limit_in_mb,
        "name": context.function_name,
        "version": context.function_version,
        "request": context.aws_request_id,
        "group": context.log_group_name,
        "stream": context.log_stream_name,
        "remaining": context.get_remaining_time_in_millis(),
        "custom": context.client_context.custom if context.client_context else None,
        "identity": context.identity.cognito_identity_id,
    }
"""


def test_row_17_the_invoked_arn_is_exactly_what_the_caller_named(account: Account) -> None:
    name = account.function(CONTEXT)
    arn = f"arn:aws:lambda:{REGION}:{account.id}:function:{name}"

    def seen(function: str, **settings: Any) -> str:
        return str(account.invoke(function, {}, **settings).json["arn"])

    assert seen(name) == arn
    assert seen(name, Qualifier="$LATEST") == f"{arn}:$LATEST"
    assert seen(f"{name}:$LATEST") == f"{arn}:$LATEST"
    assert seen(arn) == arn
    assert seen(f"{account.id}:function:{name}") == arn


def test_row_18_the_memory_limit_is_a_string_and_the_context_is_whole(account: Account) -> None:
    name = account.function(CONTEXT, MemorySize=256, Timeout=7)
    client_context = base64.b64encode(json.dumps({"custom": {"tenant": "t1"}}).encode()).decode()

    answer = account.invoke(name, {}, ClientContext=client_context)

    seen = answer.json
    assert seen["memory"] == "256"
    assert (seen["name"], seen["version"], seen["request"]) == (name, "$LATEST", answer.request_id)
    assert seen["group"] == f"/aws/lambda/{name}"
    assert re.fullmatch(r"\d{4}/\d\d/\d\d/\[\$LATEST\][0-9a-f]{32}", seen["stream"])
    assert 0 < seen["remaining"] <= 7000
    assert (seen["custom"], seen["identity"]) == ({"tenant": "t1"}, None)


def test_row_61_a_decimal_becomes_a_bare_number(account: Account) -> None:
    source = "from decimal import Decimal\ndef handler(event, context):\n    return {'total': Decimal('10.10')}\n"
    name = account.function(source)

    assert account.invoke(name, {}).body == b'{"total": 10.10}'


def test_a_sync_payload_of_6291456_bytes_passes_and_one_more_is_413(account: Account) -> None:
    name = account.function("def handler(event, context):\n    return len(event)\n", MemorySize=512)

    assert account.invoke(name, b'"' + b"x" * 6_291_454 + b'"').json == 6_291_454
    with pytest.raises(ClientError) as caught:
        account.invoke(name, b'"' + b"x" * 6_291_455 + b'"')

    error = caught.value.response
    assert error["ResponseMetadata"]["HTTPStatusCode"] == 413
    assert error["Error"]["Code"] == "RequestEntityTooLargeException"
    assert error["Error"]["Message"] == (
        "6291457 byte payload is too large for the RequestResponse invocation type (limit 6291456 bytes)"
    )


def test_row_15_an_event_of_1048576_bytes_passes_and_one_more_is_413(account: Account, notes: Notes) -> None:
    name = account.function(GATED)
    head = json.dumps({"notes": notes.path, "open": True, "fill": ""}).removesuffix('"}')

    def event_of(size: int) -> bytes:
        return f'{head}{"x" * (size - len(head) - 2)}"}}'.encode()

    request_id = account.send(name, event_of(1_048_576))
    wait_until("the large event's run", lambda: notes.lines("ended") == [request_id])
    with pytest.raises(ClientError) as caught:
        account.send(name, event_of(1_048_577))

    error = caught.value.response
    assert (error["ResponseMetadata"]["HTTPStatusCode"], error["Error"]["Code"]) == (
        413,
        "RequestEntityTooLargeException",
    )
    assert error["Error"]["Message"] == (
        "1048577 byte payload is too large for the Event invocation type (limit 1048576 bytes)"
    )


def test_a_caller_that_disconnects_does_not_stop_the_run(account: Account, node: NodeProcess, notes: Notes) -> None:
    name = account.function(GATED)
    account.reserve(name, 1)
    body = json.dumps({"notes": notes.path})
    request = (
        f"POST /2015-03-31/functions/{name}/invocations HTTP/1.1\r\nHost: localhost\r\n"
        f"Authorization: AWS4-HMAC-SHA256 Credential={account.id}/20260101/{REGION}/lambda/aws4_request, "
        f"SignedHeaders=host, Signature=0\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    )
    with socket.create_connection(("127.0.0.1", node.port)) as caller:
        caller.sendall(request.encode())
        wait_until("the run to start", lambda: notes.lines("started"))

    notes.write("go")

    wait_until("the run to end", lambda: notes.lines("ended"))
    wait_until("the slot to be free", lambda: _is_free(account, name, notes))


def _is_free(account: Account, name: str, notes: Notes) -> bool:
    try:
        return bool(account.invoke(name, {"notes": notes.path, "open": True}).json == "through")
    except account.lambda_.exceptions.TooManyRequestsException:
        return False


def test_simultaneous_calls_run_in_environments_of_their_own(account: Account, notes: Notes) -> None:
    name = account.function(GATED)
    with ThreadPoolExecutor(8) as callers:
        calls = [callers.submit(account.invoke, name, {"notes": notes.path}) for _ in range(8)]
        wait_until("eight runs at once", lambda: len(notes.lines("started")) == 8)
        notes.write("go")

        assert [call.result().json for call in calls] == ["through"] * 8


def test_the_aws_command_line_invokes_a_function(account: Account, tmp_path: Path) -> None:
    name = account.function(ECHO)
    aws, answer = Path(sys.executable).with_name("aws"), tmp_path / "answer.json"
    command = [str(aws), "lambda", "invoke", "--function-name", name, "--payload", '{"from": "the shell"}', str(answer)]
    environment = {
        "PATH": str(aws.parent),
        "HOME": str(tmp_path),
        "AWS_ENDPOINT_URL": account.url,
        "AWS_ACCESS_KEY_ID": account.id,
        "AWS_SECRET_ACCESS_KEY": "any",
        "AWS_DEFAULT_REGION": REGION,
    }

    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"StatusCode": 200, "ExecutedVersion": "$LATEST"}
    assert json.loads(answer.read_text()) == {"from": "the shell"}
