"""A poison record without a limit: its shard stands for seven days, and goes on when the record has expired."""

from __future__ import annotations

from unittest.mock import patch

import pytest

from tests.examples.telemetry import telemetry

DAY = 86_400


@pytest.mark.eventrouter(mapping_max_backoff_s=600)  # by default 12 s: 50,000 tries
def test_a_poison_record_blocks_its_shard_until_it_expires(eventrouter):
    function = eventrouter.function(telemetry.store)
    stream = eventrouter.stream("readings", to=function, batch_size=1, retention="7d")
    with patch.object(telemetry, "stored", []) as stored:
        stream.put({"degrees": 20.5}, {"celsius": 21.0}, key="oven")
        eventrouter.advance(6 * DAY)
        stream.put({"degrees": 22.0}, key="oven")
        assert stored == [20.5]
        eventrouter.run_until_idle()
        assert stored == [20.5, 22.0]

    first, *_, last = (run for run in function.runs if run.outcome == "failed")
    assert 6.9 * DAY < last.began_s - first.began_s <= 7 * DAY
    assert set(function.errors) == {"KeyError"}
    eventrouter.assert_no_loss()


def test_a_limit_lets_the_shard_go_on_after_a_minute(eventrouter):
    lost = eventrouter.queue("lost-readings")
    function = eventrouter.function(telemetry.store)
    stream = eventrouter.stream("readings", to=function, batch_size=1, max_age="1m", on_failure=lost)
    with patch.object(telemetry, "stored", []) as stored:
        stream.put({"degrees": 20.5}, {"celsius": 21.0}, key="oven")
        eventrouter.advance(30)
        stream.put({"degrees": 22.0}, key="oven")
        eventrouter.run_until_idle()
        assert stored == [20.5, 22.0]

    (told,) = eventrouter.dlq("lost-readings").letters()
    assert told.body["requestContext"]["condition"] == "RecordAgeExceeded"
    assert eventrouter.elapsed < 75
    eventrouter.assert_no_loss()
