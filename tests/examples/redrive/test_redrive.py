"""Dead letters that are brought back after the fix: nothing is lost, and nothing is booked twice."""

from __future__ import annotations

from unittest.mock import patch

from tests.examples.redrive import parser

INVOICES = [{"cents": 100, "currency": "EUR"}, {"cents": 200, "currency": "CHF"}, {"cents": 300, "currency": "EUR"}]


def test_dead_letters_are_redriven_after_the_fix(eventrouter):
    failed = eventrouter.queue("invoices-failed")
    function = eventrouter.function(parser.handler)
    invoices = eventrouter.queue("invoices", to=function, dlq=failed, max_receives=5, batch_size=1)

    with patch.object(parser, "booked", []) as booked:
        invoices.send(*INVOICES)
        eventrouter.run_until_idle()
        assert booked == [100, 300]
        assert failed.messages() == [INVOICES[1]]
        assert function.errors == ["KeyError"] * 5

        with patch.dict(parser.RATES, CHF=1.1):  # the fix
            eventrouter.client("sqs").start_message_move_task(SourceArn=failed.arn)
            eventrouter.run_until_idle()
        assert booked == [100, 300, 220]

    assert failed.empty()
    assert invoices.empty()
    eventrouter.assert_no_loss()
