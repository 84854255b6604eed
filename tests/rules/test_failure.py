"""The error payloads, to the byte."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventrouter.rules import failure

ID = "0a1b"


def test_row_2_a_timeout_names_its_type_first_and_its_seconds_with_two_digits() -> None:
    assert failure.timed_out(ID, 3).payload == (
        b'{"errorType":"Sandbox.Timedout","errorMessage":"RequestId: 0a1b Error: Task timed out after 3.00 seconds"}'
    )
    assert failure.timed_out(ID, 0.125).error_type == "Sandbox.Timedout"
    assert "after 0.12 seconds" in failure.error_message_of(failure.timed_out(ID, 0.125).payload)


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ({}, "Runtime exited without providing a reason"),
        ({"status": 0}, "Runtime exited without providing a reason"),
        ({"status": 127}, "Runtime exited with error: exit status 127"),
        ({"signal_name": "killed"}, "Runtime exited with error: signal: killed"),
        ({"signal_name": "segmentation fault", "status": 139}, "Runtime exited with error: signal: segmentation fault"),
    ],
)
def test_an_exit_says_what_is_known_of_it(how: dict[str, object], why: str) -> None:
    outcome = failure.exited(ID, **how)  # type: ignore[arg-type]

    assert outcome.payload.decode() == (
        f'{{"errorType":"Runtime.ExitError","errorMessage":"RequestId: 0a1b Error: {why}"}}'
    )
    assert outcome.error_type == "Runtime.ExitError"


def test_running_out_of_memory_looks_like_any_kill_but_in_the_report() -> None:
    outcome = failure.out_of_memory(ID)

    assert outcome.payload == failure.exited(ID, signal_name="killed").payload
    assert outcome.error_type == "Runtime.OutOfMemory"


def test_row_14_too_large_an_answer_names_no_request() -> None:
    assert failure.too_large().payload == (
        b'{"errorMessage":"Response payload size exceeded maximum allowed payload size (6291556 bytes).",'
        b'"errorType":"Function.ResponseSizeTooLarge"}'
    )


def test_an_exception_has_the_python_runtime_s_order_and_spacing() -> None:
    outcome = failure.raised(error_type="Odd", message="é", request_id=ID, stack_trace=["a\n"])

    assert outcome.payload == (
        b'{"errorMessage": "\\u00e9", "errorType": "Odd", "requestId": "0a1b", "stackTrace": ["a\\n"]}'
    )
    assert outcome.error_type == "Odd"


@pytest.mark.property
@given(st.text(), st.text(), st.text(), st.lists(st.text()))
def test_what_was_raised_can_be_read_back(error_type: str, message: str, request_id: str, trace: list[str]) -> None:
    payload = failure.raised(error_type=error_type, message=message, request_id=request_id, stack_trace=trace).payload

    assert failure.error_message_of(payload) == message
    assert failure.error_type_of(payload) == error_type
    assert json.loads(payload)["stackTrace"] == trace


@pytest.mark.property
@given(st.text(), st.floats(min_value=0, max_value=1e6), st.integers(-1, 300))
def test_the_platform_s_payloads_are_json_of_two_members(request_id: str, timeout_s: float, status: int) -> None:
    for outcome in (failure.timed_out(request_id, timeout_s), failure.exited(request_id, status=status)):
        assert json.loads(outcome.payload).keys() == {"errorType", "errorMessage"}
        assert failure.error_type_of(outcome.payload) == outcome.error_type


@pytest.mark.property
@given(st.one_of(st.binary(), st.recursive(st.none() | st.text(), st.lists).map(lambda v: json.dumps(v).encode())))
def test_any_bytes_have_a_message_and_a_type_if_only_empty_ones(payload: bytes) -> None:
    assert failure.error_message_of(payload) == ""
    assert failure.error_type_of(payload) == ""


@pytest.mark.parametrize("payload", [b"[" * 100_000, b'{"errorMessage": 7, "errorType": null}', b"\xff", b""])
def test_payloads_of_other_shapes_have_neither(payload: bytes) -> None:
    assert (failure.error_message_of(payload), failure.error_type_of(payload)) == ("", "")
