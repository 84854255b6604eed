"""Events that find no concurrency: they back off for up to six hours and use up no retry; then they are given up."""

from __future__ import annotations

from itertools import pairwise

import pytest

from tests.examples.importer.importer import import_catalogue

HOUR = 3_600


def test_five_hours_without_concurrency_use_up_no_retry(eventrouter):
    function = eventrouter.function(import_catalogue, fail=[OSError, OSError])
    eventrouter.faults(function).throttle(1.0)
    request_id = function.send({"supplier": "Acme"})
    eventrouter.advance(5 * HOUR)
    assert function.attempts == 0

    eventrouter.faults(function).throttle(0)
    eventrouter.run_until_idle()

    throttled_at = [moment.at for moment in eventrouter.history(request_id).of("throttled")]
    pauses = [later - earlier for earlier, later in pairwise(throttled_at)]
    assert pauses[:3] == pytest.approx([1, 2, 4])
    assert max(pauses) == pytest.approx(300)
    assert function.attempt_times == [0, 60, 180], "both retries are left"
    assert function.results == ["Acme is imported"]


def test_what_finds_no_slot_for_six_hours_is_given_up_without_an_attempt(eventrouter):
    eventrouter.queue("not-imported")
    function = eventrouter.function(import_catalogue, timeout="15m", concurrency=1, dlq="not-imported")
    eventrouter.faults(function).latency(14 * 60)  # so long each import takes

    for number in range(40):
        function.send({"supplier": f"supplier {number}"})
    eventrouter.run_until_idle()

    letters = eventrouter.dlq("not-imported").letters()
    assert len(function.results) + len(letters) == 40
    assert len(function.results) == function.attempts, "nobody failed"
    assert len(function.results) == 26, "of 14 minutes each, the last one begun in the sixth hour"
    assert all(run.began_s <= 6 * HOUR for run in function.runs)
    assert {letter.error_message for letter in letters} == {"Rate Exceeded."}
    eventrouter.assert_no_loss()
