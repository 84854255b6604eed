"""Every row of "ReportBatchItemFailures, all response cases", and the states of windows (lambda-semantics §4.6)."""

from __future__ import annotations

import json

import pytest

from eventrouter.rules.batch_response import read_response
from eventrouter.rules.outcome import FunctionFailed, Outcome, Succeeded, SystemFault, Throttled, ThrottleReason
from eventrouter.rules.shard import BatchDone, BatchFailed, BatchFailedFrom, BatchNotRun, Result
from eventrouter.rules.window import STATE_CEILING_BYTES

pytestmark = pytest.mark.unit

IDS = ["98", "99", "100", "101"]
GONE_WRONG = FunctionFailed(payload=b"{}", error_type="ValueError")


def answer(value: object) -> Succeeded:
    return Succeeded(payload=json.dumps(value).encode())


def failures(*identifiers: object) -> dict[str, object]:
    return {"batchItemFailures": [{"itemIdentifier": identifier} for identifier in identifiers]}


@pytest.mark.parametrize("value", [failures(), {"batchItemFailures": None}, {}, None, [], ""])
def test_answers_that_report_nothing_are_successes(value: object) -> None:
    assert read_response(answer(value), IDS, reports_item_failures=True) == BatchDone()


@pytest.mark.parametrize("payload", [b"", b"  \n"])
def test_no_answer_is_a_success(payload: bytes) -> None:
    assert read_response(Succeeded(payload=payload), IDS, reports_item_failures=True) == BatchDone()


@pytest.mark.parametrize(
    "value",
    [
        failures(""),
        failures(None),
        {"foo": 123},
        {"foo": None},
        failures("123"),
        failures(123),
        failures(98),
        failures("99", "nobody"),
        failures("nobody", "99"),
        failures("99", None),
        failures(["98"]),
        {"batchItemFailures": [{}]},
        {"batchItemFailures": [{"foo": "98"}]},
        {"batchItemFailures": ["98"]},
        {"batchItemFailures": [None]},
        {"batchItemFailures": {"itemIdentifier": "98"}},
        {"batchItemFailures": "98"},
        "98",
        ["98"],
        7,
        0,
        True,
        False,
    ],
    ids=json.dumps,
)
def test_malformed_answers_fail_the_whole_batch(value: object) -> None:
    assert read_response(answer(value), IDS, reports_item_failures=True) == BatchFailed()


@pytest.mark.parametrize(
    "payload",
    [b"{", b"not JSON", b'{"batchItemFailures":[}', b"\xff\xfe", b'{"batchItemFailures":[{"itemIdentifier":"\xff"}]}'],
)
def test_an_answer_that_is_no_json_fails_the_whole_batch(payload: bytes) -> None:
    assert read_response(Succeeded(payload=payload), IDS, reports_item_failures=True) == BatchFailed()


@pytest.mark.parametrize(
    ("identifiers", "index"),
    [(["98"], 0), (["100"], 2), (["101", "99"], 1), (["101", "100", "101"], 2), (["100", "99", "98"], 0)],
)
def test_the_lowest_reported_record_is_where_the_batch_resumes(identifiers: list[str], index: int) -> None:
    value = {**failures(*identifiers), "more": [1]}

    assert read_response(answer(value), IDS, reports_item_failures=True) == BatchFailedFrom(index)


@pytest.mark.parametrize(
    "payload", [b"", b"not JSON", b'{"batchItemFailures":[{"itemIdentifier":"98"}]}', b'{"foo":1}']
)
def test_without_the_response_type_the_answer_is_not_looked_at(payload: bytes) -> None:
    assert read_response(Succeeded(payload=payload), IDS, reports_item_failures=False) == BatchDone()


@pytest.mark.parametrize("reports", [True, False])
@pytest.mark.parametrize(
    ("outcome", "result"),
    [
        (GONE_WRONG, BatchFailed()),
        (Throttled(reason=ThrottleReason.RESERVED), BatchNotRun()),
        (SystemFault(message="no room"), BatchNotRun()),
    ],
)
def test_what_did_not_succeed_has_no_answer(outcome: Outcome, result: Result, reports: bool) -> None:
    assert read_response(outcome, IDS, reports_item_failures=reports) == result
    assert read_response(outcome, IDS, reports_item_failures=reports, in_window=True) == result


@pytest.mark.parametrize("reports", [True, False])
def test_a_windows_state_is_taken_as_it_stands(reports: bool) -> None:
    payload = b'{ "more": 1, "state" :  {"n": 1.0, "x":"\xc3\xa9\\u00e9"} }'

    result = read_response(Succeeded(payload=payload), IDS, reports_item_failures=reports, in_window=True)

    assert result == BatchDone('{"n": 1.0, "x":"é\\u00e9"}')


@pytest.mark.parametrize("reports", [True, False])
@pytest.mark.parametrize(
    "value", [None, {}, {"foo": 1}, {"state": None}, {"state": []}, {"state": "{}"}, failures("99")]
)
def test_a_windows_answer_without_a_state_fails_the_batch(value: object, reports: bool) -> None:
    assert read_response(answer(value), IDS, reports_item_failures=reports, in_window=True) == BatchFailed()


def test_a_windows_report_carries_the_state_of_the_records_before_it() -> None:
    value = {"state": {"n": 2}, **failures("100")}

    assert read_response(answer(value), IDS, reports_item_failures=True, in_window=True) == BatchFailedFrom(
        2, '{"n": 2}'
    )
    assert read_response(answer(value), IDS, reports_item_failures=False, in_window=True) == BatchDone('{"n": 2}')


@pytest.mark.parametrize("value", [None, {}, {"foo": 1}, {"state": {"n": 1}}, {"state": 5}, {"batchItemFailures": []}])
@pytest.mark.parametrize("reports", [True, False])
def test_a_closing_invocation_needs_no_state(value: object, reports: bool) -> None:
    result = read_response(answer(value), [], reports_item_failures=reports, in_window=True, is_final=True)

    assert result == BatchDone()


def test_a_closing_invocation_that_reports_a_record_fails() -> None:
    result = read_response(answer(failures("98")), [], reports_item_failures=True, in_window=True, is_final=True)

    assert result == BatchFailed()


def test_a_state_that_no_event_could_carry_fails_the_batch() -> None:
    value = {"state": {"s": "x" * STATE_CEILING_BYTES}}

    assert read_response(answer(value), IDS, reports_item_failures=False, in_window=True) == BatchFailed()


def test_a_state_that_is_no_utf8_fails_the_batch() -> None:
    payload = b'{"state":{"s":"\xff"}}'

    assert read_response(Succeeded(payload=payload), IDS, reports_item_failures=False, in_window=True) == BatchFailed()
