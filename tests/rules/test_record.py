"""Invocation records and dead letters, field by field (lambda-semantics §3.3, §3.5)."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventrouter.rules.function import Code, EventInvokeConfig, Function, LoggingConfig
from eventrouter.rules.names import FunctionName
from eventrouter.rules.outcome import FunctionFailed, Succeeded, Throttled, ThrottleReason
from eventrouter.rules.record import RECORD_LIMIT_BYTES, EndedEvent, invocation_record, messages_of
from eventrouter.rules.retry import Condition

pytestmark = pytest.mark.unit

NAME = FunctionName(account="000000000000", region="us-east-1", name="orders")
QUEUE = "arn:aws:sqs:us-east-1:000000000000:dead"
AUDIT = "arn:aws:sqs:us-east-1:000000000000:audit"
ERROR = b'{"errorMessage": "no stock", "errorType": "StockError", "requestId": "r-1", "stackTrace": []}'


def a_function(**changes: object) -> Function:
    function = Function(
        name=NAME,
        runtime="python3.11",
        handler="app.handler",
        role="arn:aws:iam::000000000000:role/r",
        code=Code(sha256="0" * 64, size_bytes=1),
        logging=LoggingConfig(group="/aws/lambda/orders"),
        last_modified_ms=0,
        revision_id="rev",
    )
    return replace(function, **changes)  # type: ignore[arg-type]  # a test builder: names are the dataclass's own


def an_ended_event(**changes: object) -> EndedEvent:
    event = EndedEvent(
        request_id="r-1",
        function=a_function(),
        qualifier=None,
        payload=b'{"any": ["json", 1.0]}',
        condition=Condition.RETRIES_EXHAUSTED,
        invoke_count=3,
        outcome=FunctionFailed(payload=ERROR, error_type="StockError"),
        ended_at_ms=1_573_755_365_568,
    )
    return replace(event, **changes)  # type: ignore[arg-type]  # as above


def test_a_failure_record_has_every_member_in_order() -> None:
    record = json.loads(invocation_record(an_ended_event()))

    assert record == {
        "version": "1.0",
        "timestamp": "2019-11-14T18:16:05.568Z",
        "requestContext": {
            "requestId": "r-1",
            "functionArn": NAME.arn("$LATEST"),
            "condition": "RetriesExhausted",
            "approximateInvokeCount": 3,
        },
        "requestPayload": {"any": ["json", 1.0]},
        "responseContext": {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"},
        "responsePayload": json.loads(ERROR),
    }
    assert list(record) == [
        "version",
        "timestamp",
        "requestContext",
        "requestPayload",
        "responseContext",
        "responsePayload",
    ]


def test_a_success_record_has_no_function_error() -> None:
    event = an_ended_event(condition=Condition.SUCCESS, invoke_count=1, outcome=Succeeded(payload=b"null"))

    record = json.loads(invocation_record(event))

    assert record["responseContext"] == {"statusCode": 200, "executedVersion": "$LATEST"}
    assert record["responsePayload"] is None


def test_zero_reserved_concurrency_has_no_response_parts() -> None:
    event = an_ended_event(condition=Condition.ZERO_RESERVED_CONCURRENCY, invoke_count=0, outcome=None)

    record = json.loads(invocation_record(event))

    assert record["requestContext"]["approximateInvokeCount"] == 0
    assert "requestPayload" in record
    assert "responseContext" not in record
    assert "responsePayload" not in record


def test_a_record_over_the_limit_leaves_the_payloads_out() -> None:
    event = an_ended_event(payload=json.dumps("x" * RECORD_LIMIT_BYTES).encode())

    record = json.loads(invocation_record(event))

    assert "requestPayload" not in record
    assert "responsePayload" not in record
    assert record["responseContext"]["functionError"] == "Unhandled"


def test_a_response_that_is_no_json_is_embedded_as_text() -> None:
    event = an_ended_event(condition=Condition.SUCCESS, outcome=Succeeded(payload=b"NaN"))

    assert json.loads(invocation_record(event))["responsePayload"] == "NaN"


def test_destination_and_dead_letter_queue_each_get_their_own_message() -> None:
    function = a_function(
        dead_letter_target=QUEUE, event_invoke={"$LATEST": EventInvokeConfig(on_failure=AUDIT, on_success=AUDIT)}
    )

    record, letter = messages_of(an_ended_event(function=function))

    assert (record.arn, record.attributes, record.is_dead_letter) == (AUDIT, {}, False)
    assert (letter.arn, letter.body, letter.is_dead_letter) == (QUEUE, b'{"any": ["json", 1.0]}', True)
    assert letter.attributes == {
        "RequestID": ("String", "r-1"),
        "ErrorCode": ("Number", "200"),
        "ErrorMessage": ("String", "no stock"),
    }
    assert record.id != letter.id


def test_a_dead_letter_of_a_throttled_event_says_429() -> None:
    event = an_ended_event(
        function=a_function(dead_letter_target=QUEUE),
        condition=Condition.EVENT_AGE_EXCEEDED,
        outcome=Throttled(reason=ThrottleReason.RESERVED),
        invoke_count=0,
    )

    (letter,) = messages_of(event)

    assert letter.attributes["ErrorCode"] == ("Number", "429")
    assert letter.attributes["ErrorMessage"] == ("String", "Rate Exceeded.")


def test_a_success_sends_no_dead_letter() -> None:
    function = a_function(dead_letter_target=QUEUE)

    assert messages_of(an_ended_event(function=function, condition=Condition.SUCCESS)) == ()


def test_the_configuration_of_the_qualifier_that_was_used_decides() -> None:
    function = a_function(event_invoke={"live": EventInvokeConfig(on_failure=AUDIT)})

    assert messages_of(an_ended_event(function=function)) == ()
    assert len(messages_of(an_ended_event(function=function, qualifier="live"))) == 1


@pytest.mark.property
@given(message=st.text(max_size=3_000))
def test_the_error_message_attribute_is_at_most_one_kilobyte_of_whole_characters(message: str) -> None:
    payload = json.dumps({"errorMessage": message, "errorType": "E"}).encode()
    event = an_ended_event(
        function=a_function(dead_letter_target=QUEUE), outcome=FunctionFailed(payload=payload, error_type="E")
    )

    (letter,) = messages_of(event)

    text = letter.attributes.get("ErrorMessage", ("String", ""))[1]
    assert len(text.encode()) <= 1_024
    assert message.startswith(text)
