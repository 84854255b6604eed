"""A report every night, for a thousand nights: none is missing, none comes twice, each is of its own day."""

from __future__ import annotations

from datetime import date, timedelta

from tests.examples.reports.reports import latest, nightly


def test_a_thousand_nights_have_a_report_each(eventrouter):
    function = eventrouter.function(nightly)
    eventrouter.schedule("cron(30 2 * * ? *)", to=function)
    yesterday = eventrouter.now.date() - timedelta(days=1)
    eventrouter.advance(1_000 * 86_400)

    days = [date.fromisoformat(result) for result in function.results]
    assert days == [yesterday + timedelta(days=number) for number in range(1_000)]
    assert {event["time"][11:] for event in function.payloads} == {"02:30:00Z"}
    assert function.errors == []


def test_a_night_that_fails_is_tried_again_before_the_next(eventrouter):
    function = eventrouter.function(nightly, fail=[None, OSError])
    eventrouter.schedule("rate(1 day)", to=function)
    eventrouter.run_until(lambda: len(function.results) == 3)

    assert function.attempt_times == [0, 86_400, 86_460, 172_800]
    assert len(set(function.results)) == 3


def test_a_handler_that_asks_for_the_time_is_told_the_virtual_one(eventrouter):
    function = eventrouter.function(latest, sees_virtual_time=True)
    eventrouter.advance(31 * 86_400)

    assert function.invoke() == (eventrouter.now.date() - timedelta(days=1)).isoformat()
