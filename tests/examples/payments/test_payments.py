"""A payment whose third attempt wins: what the provider sees, when, and what is told of the payment that never wins."""

from __future__ import annotations

from unittest.mock import call, patch

import pytest

from tests.examples.payments import payments

ORDER = {"order": "A-1", "cents": 4_200}


@pytest.fixture(autouse=True)
def _no_receipts():
    payments.receipts.clear()


def test_the_third_attempt_wins_and_the_card_is_charged_once(eventrouter):
    function = eventrouter.function(payments.charge)
    answers = [TimeoutError("no answer"), ConnectionError("reset"), "ch_17"]

    with patch.object(payments, "gateway") as gateway:
        gateway.charge.side_effect = answers
        function.send(ORDER)
        eventrouter.run_until_idle()

    assert function.attempt_times == [0, 60, 180]
    assert function.errors == ["TimeoutError", "ConnectionError"]
    assert function.results == [{"order": "A-1", "receipt": "ch_17"}]
    assert gateway.charge.mock_calls == [call("A-1", 4_200, idempotency_key="A-1")] * 3


def test_a_payment_that_the_node_ran_but_could_not_report_is_not_charged_twice(eventrouter):
    function = eventrouter.function(payments.charge)
    eventrouter.faults(function).crash_mid_batch(every=2)  # every second run ends with its process, after its work

    with patch.object(payments, "gateway") as gateway:
        gateway.charge.return_value = "ch_17"
        function.send(ORDER)
        function.send({"order": "A-2", "cents": 100})
        eventrouter.run_until_idle()

    assert function.errors == ["Runtime.ExitError"]
    assert function.attempts == 3
    assert gateway.charge.call_count == 2


def test_a_payment_that_never_wins_is_told_of_with_its_error(eventrouter):
    unpaid = eventrouter.queue("unpaid")
    function = eventrouter.function(payments.charge, dlq=unpaid, fail=[TimeoutError] * 3)

    request_id = function.send(ORDER)
    eventrouter.run_until_idle()

    assert eventrouter.elapsed == pytest.approx(180, abs=1)
    eventrouter.assert_dead_lettered("unpaid", 1, error_code="200")
    (letter,) = eventrouter.dlq("unpaid").letters()
    assert (letter.body, letter.request_id) == (ORDER, request_id)
    assert payments.receipts == {}
    assert eventrouter.history(request_id).steps[-2:] == ["gave_up", "dead_lettered"]
