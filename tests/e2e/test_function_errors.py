"""Every way in which a function can fail, on the synchronous and on the asynchronous path."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.e2e.accounts import Account, Notes

DUMMY = "def handler(event, context):\n    "
EXITED = "RequestId: {id} Error: Runtime exited"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A function that fails, and the error that must come of it. `{id}` in the message is the request id."""

    name: str
    source: str
    error_type: str
    message: str
    settings: dict[str, Any] = field(default_factory=dict)


CASES = (
    Case(
        name="exception",
        source="class Boom(Exception):\n    pass\n\n" + DUMMY + "raise Boom('no luck')",
        error_type="Boom",
        message="no luck",
    ),
    Case(
        name="timeout",
        source="import time\n" + DUMMY + "time.sleep(30)",
        error_type="Sandbox.Timedout",
        message="RequestId: {id} Error: Task timed out after 1.00 seconds",
        settings={"Timeout": 1},
    ),
    Case(
        name="timeout with a child process",
        source="import subprocess\n" + DUMMY + "subprocess.run(['sleep', '30'])",
        error_type="Sandbox.Timedout",
        message="RequestId: {id} Error: Task timed out after 1.00 seconds",
        settings={"Timeout": 1},
    ),
    Case(
        name="sys.exit(0)",
        source="import sys\n" + DUMMY + "sys.exit(0)",
        error_type="Runtime.ExitError",
        message=EXITED + " without providing a reason",
    ),
    Case(
        name="os._exit(3)",
        source="import os\n" + DUMMY + "os._exit(3)",
        error_type="Runtime.ExitError",
        message=EXITED + " with error: exit status 3",
    ),
    Case(
        name="segmentation fault",
        source="import os, signal\n" + DUMMY + "os.kill(os.getpid(), signal.SIGSEGV)",
        error_type="Runtime.ExitError",
        message=EXITED + " with error: signal: segmentation fault",
    ),
    Case(
        name="out of memory",
        source=DUMMY + "return len(b'x' * (600 * 1024 * 1024))",
        error_type="Runtime.ExitError",
        message=EXITED + " with error: signal: killed",
        settings={"MemorySize": 128, "Timeout": 30},
    ),
    Case(
        name="import error",
        source="import nothing_of_that_name\n" + DUMMY + "pass",
        error_type="Runtime.ImportModuleError",
        message="Unable to import module 'app': No module named 'nothing_of_that_name'",
    ),
    Case(
        name="missing handler",
        source="def other(event, context):\n    pass",
        error_type="Runtime.HandlerNotFound",
        message="Handler 'handler' missing on module 'app'",
    ),
    Case(
        name="handler without a dot",
        source=DUMMY + "pass",
        error_type="Runtime.MalformedHandlerName",
        message="Bad handler 'app': not enough values to unpack (expected 2, got 1)",
        settings={"Handler": "app"},
    ),
    Case(
        name="builtin module as handler",
        source=DUMMY + "pass",
        error_type="Runtime.BuiltInModuleConflict",
        message="Cannot use built-in module sys as a handler module",
        settings={"Handler": "sys.handler"},
    ),
    Case(
        name="syntax error",
        source="def handler(event, context:\n    pass",
        error_type="Runtime.UserCodeSyntaxError",
        message="Syntax error in module 'app': ",
    ),
    Case(
        name="exception at import",
        source="raise ValueError('not today')",
        error_type="ValueError",
        message="not today",
    ),
    Case(
        name="exit at import",
        source="import sys\nsys.exit(0)",
        error_type="Runtime.ExitError",
        message=EXITED + " without providing a reason",
    ),
    Case(
        name="unserialisable result",
        source="import datetime\n" + DUMMY + "return datetime.datetime(2026, 1, 1)",
        error_type="Runtime.MarshalError",
        message="Unable to marshal response: Object of type datetime is not JSON serializable",
    ),
    Case(
        name="response over 6 MB",
        source=DUMMY + "return 'x' * 6_291_555",
        error_type="Function.ResponseSizeTooLarge",
        message="Response payload size exceeded maximum allowed payload size (6291556 bytes).",
    ),
)
each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


@each_case
def test_row_1_a_failing_function_answers_200_unhandled_and_its_error(account: Account, case: Case) -> None:
    name = account.function(case.source, **case.settings)

    answer = account.invoke(name, {})

    assert (answer.status, answer.function_error, answer.executed_version) == (200, "Unhandled", "$LATEST")
    assert answer.json["errorType"] == case.error_type
    assert answer.json["errorMessage"].startswith(case.message.format(id=answer.request_id))


@each_case
def test_row_12_a_failing_event_ends_in_its_record_and_its_dead_letter_exactly(account: Account, case: Case) -> None:
    failures, letters = account.queue(), account.queue()
    name = account.function(case.source, DeadLetterConfig={"TargetArn": letters.arn}, **case.settings)
    account.on_failure(name, failures.arn, retries=0)
    event = {"order": 1, "note": "Grüße"}

    request_id = account.send(name, event)

    message = case.message.format(id=request_id)
    record = json.loads(failures.receive()["Body"])
    assert list(record) == [
        "version", "timestamp", "requestContext", "requestPayload", "responseContext", "responsePayload",
    ]  # fmt: skip
    assert record["version"] == "1.0"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", record["timestamp"])
    assert record["requestContext"] == {
        "requestId": request_id,
        "functionArn": f"arn:aws:lambda:us-east-1:{account.id}:function:{name}:$LATEST",
        "condition": "RetriesExhausted",
        "approximateInvokeCount": 1,
    }
    assert record["requestPayload"] == event
    assert record["responseContext"] == {
        "statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled",
    }  # fmt: skip
    assert record["responsePayload"]["errorType"] == case.error_type
    assert record["responsePayload"]["errorMessage"].startswith(message)
    letter = letters.receive()
    assert letter["Body"] == json.dumps(event)
    attributes = letter["MessageAttributes"]
    assert {name: (value["DataType"], value["StringValue"]) for name, value in attributes.items()} == {
        "RequestID": ("String", request_id),
        "ErrorCode": ("Number", "200"),
        "ErrorMessage": ("String", record["responsePayload"]["errorMessage"][:1024]),
    }


def test_row_1_the_error_object_has_the_runtime_client_s_key_order_and_var_task_frames(account: Account) -> None:
    name = account.function("def handler(event, context):\n    raise KeyError('missing')\n")

    answer = account.invoke(name, {})

    assert list(answer.json) == ["errorMessage", "errorType", "requestId", "stackTrace"]
    assert answer.json["requestId"] == answer.request_id
    assert answer.json["stackTrace"] == [
        "  File \"/var/task/app.py\", line 2, in handler\n    raise KeyError('missing')\n"
    ]


def test_row_2_a_timeout_answers_exactly_the_type_and_then_the_message(account: Account) -> None:
    name = account.function("import time\ndef handler(event, context):\n    time.sleep(30)\n", Timeout=1)

    answer = account.invoke(name, {})

    expected = f"RequestId: {answer.request_id} Error: Task timed out after 1.00 seconds"
    assert answer.body == json.dumps(
        {"errorType": "Sandbox.Timedout", "errorMessage": expected}, separators=(",", ":")
    ).encode()  # fmt: skip


STATEFUL = """
import os, pathlib, time
count = 0

def handler(event, context):
    global count
    count += 1
    path = pathlib.Path("/tmp/seen")
    before = path.read_text() if path.exists() else ""
    path.write_text(before + "x")
    if event == "hang":
        time.sleep(30)
    if event == "exit":
        os._exit(1)
    if event == "raise":
        raise RuntimeError
    return [count, len(before)]
"""


@pytest.mark.parametrize("end", ["hang", "exit"])
def test_row_3_tmp_survives_a_reset_while_module_globals_do_not(account: Account, end: str) -> None:
    name = account.function(STATEFUL, Timeout=1)
    assert account.invoke(name, "ok").json == [1, 0]

    failed = account.invoke(name, end)

    assert failed.function_error == "Unhandled"
    assert account.invoke(name, "ok").json == [1, 2]


def test_an_exception_keeps_the_environment_with_its_globals(account: Account) -> None:
    name = account.function(STATEFUL)
    assert account.invoke(name, "ok").json == [1, 0]

    account.invoke(name, "raise")

    assert account.invoke(name, "ok").json == [3, 2]


def test_row_4_an_exception_at_import_has_an_empty_request_id_and_init_is_tried_again(account: Account) -> None:
    name = account.function("raise ValueError('not today')\n")

    answers = [account.invoke(name, {}) for _ in range(2)]

    for answer in answers:
        assert (answer.function_error, answer.json["requestId"]) == ("Unhandled", "")
        assert "/var/task/app.py" in "".join(answer.json["stackTrace"])


def test_an_init_that_fails_once_succeeds_within_the_first_invoke(account: Account, notes: Notes) -> None:
    marker = notes.folder / "tried"
    source = f"""
import os
if not os.path.exists({str(marker)!r}):
    open({str(marker)!r}, "w").close()
    raise RuntimeError("the first init fails")

def handler(event, context):
    return "initialised"
"""
    name = account.function(source)

    answer = account.invoke(name, {})

    assert (answer.function_error, answer.json) == (None, "initialised")


def test_row_14_a_response_of_6291556_bytes_passes_and_one_more_byte_is_a_function_error(account: Account) -> None:
    name = account.function("def handler(event, context):\n    return 'x' * (event['bytes'] - 2)\n", MemorySize=512)

    largest, larger = (account.invoke(name, {"bytes": size}) for size in (6_291_556, 6_291_557))

    assert (largest.function_error, len(largest.body)) == (None, 6_291_556)
    assert (larger.status, larger.function_error) == (200, "Unhandled")
    assert larger.body == (
        b'{"errorMessage":"Response payload size exceeded maximum allowed payload size (6291556 bytes).",'
        b'"errorType":"Function.ResponseSizeTooLarge"}'
    )
