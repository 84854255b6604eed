"""What becomes of a batch of messages: lambda-semantics §4.6 (column SQS), §4.8."""

from __future__ import annotations

import pytest

from eventrouter.rules.outcome import FunctionFailed, Succeeded, SystemFault, Throttled, ThrottleReason
from eventrouter.rules.queue_batch import effective_visibility_ms, failed_messages, pause_ms

pytestmark = pytest.mark.unit

IDS = ["a", "b", "c"]
WHOLE = frozenset({0, 1, 2})
NONE: frozenset[int] = frozenset()


def one(identifier: str) -> str:
    return f'{{"batchItemFailures":[{{"itemIdentifier":{identifier}}}]}}'


@pytest.mark.parametrize(
    ("answer", "failed"),
    [
        ('{"batchItemFailures":[]}', NONE),
        ('{"batchItemFailures":null}', NONE),
        ("{}", NONE),
        ("null", NONE),
        ("", NONE),
        ("[]", NONE),
        ('""', NONE),
        (one('""'), WHOLE),
        (one("null"), WHOLE),
        (one("123"), WHOLE),
        (one('"elsewhere"'), WHOLE),
        ('{"foo":123}', WHOLE),
        ('{"foo":null}', WHOLE),
        ("not json", WHOLE),
        ('{"batchItemFailures":"b"}', WHOLE),
        ('{"batchItemFailures":["b"]}', WHOLE),
        ("7", WHOLE),
        (one('"b"'), frozenset({1})),
        ('{"batchItemFailures":[{"itemIdentifier":"c"},{"itemIdentifier":"a"}]}', frozenset({0, 2})),
        ('{"batchItemFailures":[{"itemIdentifier":"c"},{"itemIdentifier":"x"}]}', WHOLE),
        ('{"batchItemFailures":[{"itemIdentifier":"c"},{"itemIdentifier":"c"}]}', frozenset({2})),
    ],
)
def test_every_case_of_a_report(answer: str, failed: frozenset[int]):
    outcome = Succeeded(payload=answer.encode())
    assert failed_messages(outcome, IDS, reports_item_failures=True) == failed
    assert failed_messages(outcome, IDS, reports_item_failures=False) == NONE


@pytest.mark.parametrize("reports", [True, False])
def test_a_function_error_fails_everything_and_a_throttle_nothing(reports: bool):
    error = FunctionFailed(payload=b'{"batchItemFailures":[]}', error_type="ValueError")
    assert failed_messages(error, IDS, reports_item_failures=reports) == WHOLE
    throttled = Throttled(reason=ThrottleReason.RESERVED)
    assert failed_messages(throttled, IDS, reports_item_failures=reports) is None
    assert failed_messages(SystemFault(message="away"), IDS, reports_item_failures=reports) is None


@pytest.mark.parametrize(
    ("queue_ms", "timeout_s", "window_s", "expected_ms"),
    [
        (30_000, 3, 0, 30_000),
        (30_000, 60, 0, 30_000),
        (30_000, 3, 10, 30_000),
        (30_000, 20, 10, 30_000),
        (30_000, 25, 10, 65_000),
        (0, 3, 0, 1_000),
    ],
)
def test_a_window_may_lengthen_the_visibility(queue_ms: int, timeout_s: int, window_s: int, expected_ms: int):
    assert effective_visibility_ms(queue_ms, timeout_s=timeout_s, window_s=window_s) == expected_ms


def test_pauses_double_up_to_the_longest():
    assert [pause_ms(tries, 1_000) for tries in (1, 2, 3, 4, 5, 100)] == [100, 200, 400, 800, 1_000, 1_000]
