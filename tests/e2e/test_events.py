"""Asynchronous events: attempts, retries, throttles, age, and where events end."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import pytest

from tests.e2e.accounts import GATED, Account, Notes
from tests.e2e.nodes import NodeProcess, wait_until

ATTEMPTS = """
import os, time

def handler(event, context):
    path = os.path.join(event["notes"], "attempts")
    with open(path, "a") as file:
        file.write(f"{time.time()} {context.aws_request_id}\\n")
    if len(open(path).readlines()) <= event["failures"]:
        raise RuntimeError(f"attempt fails")
    return {"done": True}
"""


def test_row_5_an_event_keeps_its_id_through_attempts_logs_record_and_dead_letter(
    account: Account, notes: Notes
) -> None:
    failures, letters = account.queue(), account.queue()
    name = account.function(ATTEMPTS, DeadLetterConfig={"TargetArn": letters.arn})
    account.on_failure(name, failures.arn, retries=2)

    request_id = account.send(name, {"notes": notes.path, "failures": 9})

    record = json.loads(failures.receive()["Body"])
    assert record["requestContext"]["requestId"] == request_id
    assert record["requestContext"]["approximateInvokeCount"] == 3
    assert letters.receive()["MessageAttributes"]["RequestID"]["StringValue"] == request_id
    assert [line.split()[1] for line in notes.lines("attempts")] == [request_id] * 3
    wait_until("three START lines", lambda: _starts(account, name, request_id) == 3)


def _starts(account: Account, name: str, request_id: str) -> int:
    return sum(message.startswith(f"START RequestId: {request_id} ") for message in account.log_messages(name))


def test_an_event_that_fails_twice_succeeds_at_its_third_attempt(account: Account, notes: Notes) -> None:
    successes = account.queue()
    name = account.function(ATTEMPTS)
    account.lambda_.put_function_event_invoke_config(
        FunctionName=name, DestinationConfig={"OnSuccess": {"Destination": successes.arn}}
    )

    account.send(name, {"notes": notes.path, "failures": 2})

    record = json.loads(successes.receive()["Body"])
    assert record["requestContext"]["condition"] == "Success"
    assert record["requestContext"]["approximateInvokeCount"] == 3
    times = [float(line.split()[0]) for line in notes.lines("attempts")]
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert len(gaps) == 2
    assert gaps[0] >= 0.15
    assert gaps[1] >= 0.35


@pytest.mark.parametrize("retries", [0, 1])
def test_maximum_retry_attempts_bounds_the_attempts(account: Account, notes: Notes, retries: int) -> None:
    failures = account.queue()
    name = account.function(ATTEMPTS)
    account.on_failure(name, failures.arn, retries=retries)

    account.send(name, {"notes": notes.path, "failures": 9})

    record = json.loads(failures.receive()["Body"])
    assert record["requestContext"]["approximateInvokeCount"] == 1 + retries
    assert len(notes.lines("attempts")) == 1 + retries


def test_row_11_a_success_record_holds_request_and_response_and_no_function_error(account: Account) -> None:
    successes = account.queue()
    name = account.function("def handler(event, context):\n    return {'echo': event}\n")
    account.lambda_.put_function_event_invoke_config(
        FunctionName=name, DestinationConfig={"OnSuccess": {"Destination": successes.arn}}
    )

    request_id = account.send(name, {"n": 1})

    message = successes.receive()
    record = json.loads(message["Body"])
    assert record["requestContext"] == {
        "requestId": request_id,
        "functionArn": f"arn:aws:lambda:us-east-1:{account.id}:function:{name}:$LATEST",
        "condition": "Success",
        "approximateInvokeCount": 1,
    }
    assert record["responseContext"] == {"statusCode": 200, "executedVersion": "$LATEST"}
    assert (record["requestPayload"], record["responsePayload"]) == ({"n": 1}, {"echo": {"n": 1}})
    assert "MessageAttributes" not in message
    assert message["Attributes"]["AWSTraceHeader"].startswith("Root=1-")


KEEP = """
import json, os

def handler(event, context):
    with open(os.path.join({folder!r}, "received"), "w") as file:
        json.dump({{"event": event, "arn": context.invoked_function_arn}}, file)
"""


def test_row_10_a_function_as_destination_is_invoked_with_the_record(account: Account, notes: Notes) -> None:
    target = account.function(KEEP.format(folder=notes.path))
    name = account.function("def handler(event, context):\n    raise ValueError('no')\n")
    arn = f"arn:aws:lambda:us-east-1:{account.id}:function:{target}"
    account.on_failure(name, arn, retries=0)

    request_id = account.send(name, {"n": 1})

    (line,) = wait_until("the record to arrive", lambda: notes.lines("received"))
    received = json.loads(line)
    context = received["event"]["requestContext"]
    assert (context["requestId"], context["condition"]) == (request_id, "RetriesExhausted")
    assert context["functionArn"].endswith(f":function:{name}:$LATEST")
    assert received["arn"] == arn


def test_row_6_events_of_a_function_with_reserved_concurrency_0_fail_at_once_without_a_run(
    account: Account, notes: Notes
) -> None:
    failures, letters = account.queue(), account.queue()
    name = account.function(ATTEMPTS, DeadLetterConfig={"TargetArn": letters.arn})
    account.on_failure(name, failures.arn, retries=2)
    account.reserve(name, 0)

    request_id = account.send(name, {"notes": notes.path, "failures": 0})

    record = json.loads(failures.receive()["Body"])
    assert list(record) == ["version", "timestamp", "requestContext", "requestPayload"]
    assert record["requestContext"] == {
        "requestId": request_id,
        "functionArn": f"arn:aws:lambda:us-east-1:{account.id}:function:{name}:$LATEST",
        "condition": "ZeroReservedConcurrency",
        "approximateInvokeCount": 0,
    }
    assert json.loads(letters.receive()["Body"]) == {"notes": notes.path, "failures": 0}
    assert notes.lines("attempts") == []


def test_row_7_a_throttled_event_keeps_its_retries(account: Account, node: NodeProcess, notes: Notes) -> None:
    failures = account.queue()
    name = account.function(GATED)
    account.on_failure(name, failures.arn, retries=1)
    account.reserve(name, 1)
    with ThreadPoolExecutor(1) as callers:
        occupant = callers.submit(account.invoke, name, {"notes": notes.path})
        wait_until("the only slot to be taken", lambda: notes.lines("started"))
        throttles = node.metric("Throttles", name)
        request_id = account.send(name, {"notes": notes.path, "fail": True})
        wait_until("a throttle", lambda: node.metric("Throttles", name) > throttles)
        assert request_id not in notes.lines("started")

        notes.write("go")

        assert occupant.result().json == "through"
    record = json.loads(failures.receive()["Body"])
    assert record["requestContext"]["condition"] == "RetriesExhausted"
    assert record["requestContext"]["approximateInvokeCount"] == 2
    assert notes.lines("started").count(request_id) == 2


def test_row_8_an_event_that_would_be_too_old_at_its_retry_is_given_up_at_once(
    patient_account: Account, notes: Notes
) -> None:
    failures = patient_account.queue()
    name = patient_account.function(ATTEMPTS)
    patient_account.on_failure(name, failures.arn, retries=2, MaximumEventAgeInSeconds=60)

    patient_account.send(name, {"notes": notes.path, "failures": 9})

    record = json.loads(failures.receive()["Body"])
    assert record["requestContext"]["condition"] == "EventAgeExceeded"
    assert record["requestContext"]["approximateInvokeCount"] == 1
    assert record["responseContext"] == {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"}
    assert record["responsePayload"]["errorMessage"] == "attempt fails"


def test_a_queued_event_runs_on_the_code_that_is_current_when_it_starts(account: Account, notes: Notes) -> None:
    name = account.function(GATED)
    account.reserve(name, 1)
    with ThreadPoolExecutor(1) as callers:
        occupant = callers.submit(account.invoke, name, {"notes": notes.path})
        wait_until("the only slot to be taken", lambda: notes.lines("started"))
        account.send(name, {"notes": notes.path})
        account.update(name, KEEP.format(folder=notes.path))

        notes.write("go")

        assert occupant.result().json == "through"
    wait_until("the queued event's run on the new code", lambda: notes.lines("received"), seconds=20)
    assert len(notes.lines("started")) == 1


def test_an_event_without_retries_left_and_without_a_destination_is_dropped_and_counted(
    account: Account, node: NodeProcess, notes: Notes
) -> None:
    name = account.function(ATTEMPTS)

    account.send(name, {"notes": notes.path, "failures": 9})

    wait_until("the event to be dropped", lambda: node.metric("AsyncEventsDropped", name) == 1)
    assert node.metric("AsyncEventsReceived", name) == 1
    assert (node.metric("Invocations", name), node.metric("Errors", name)) == (3, 3)


def test_a_destination_that_is_gone_is_counted_as_a_delivery_failure(account: Account, node: NodeProcess) -> None:
    queue = account.queue()
    name = account.function("def handler(event, context):\n    raise ValueError('no')\n")
    account.on_failure(name, queue.arn, retries=0)
    account.sqs.delete_queue(QueueUrl=queue.url)

    account.send(name, {})

    wait_until("the failure to be counted", lambda: node.metric("DestinationDeliveryFailures", name) >= 1)


def test_many_events_each_run_exactly_once(account: Account, node: NodeProcess, notes: Notes) -> None:
    name = account.function(GATED)
    event: dict[str, Any] = {"notes": notes.path, "open": True}
    with ThreadPoolExecutor(8) as callers:
        sent = set(callers.map(lambda _: account.send(name, event), range(200)))

    wait_until("all events", lambda: len(notes.lines("ended")) >= 200, seconds=30)

    assert sorted(notes.lines("ended")) == sorted(sent)
    wait_until("all invocations to be counted", lambda: node.metric("Invocations", name) == 200)
