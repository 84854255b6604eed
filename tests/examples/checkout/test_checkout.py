"""A node that dies in the middle of a batch, a store that goes away: nothing is lost, and order is kept."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from eventrouter.testing import Router, event_streams, fault_plans
from tests.examples.checkout.checkout import Totals


def test_a_node_killed_in_the_middle_of_a_batch_loses_nothing(eventrouter):
    totals = Totals()
    killed = []

    def record(event, context):
        totals.record(event, context)
        if len(totals.pieces) == 3 and not killed:
            killed.append(True)
            eventrouter.kill_node(down=30)

    stream = eventrouter.stream("checkouts", to=eventrouter.function(record), batch_size=10, shards=2)
    stream.put_many(keys=["pens", "mugs", "hats"], n=90)
    eventrouter.run_until_idle()

    assert totals.pieces == {"pens": 30, "mugs": 30, "hats": 30}
    assert [run.outcome for run in eventrouter.runs].count("killed") >= 1
    assert eventrouter.elapsed > 30
    eventrouter.assert_order(by="partitionKey")
    eventrouter.assert_no_overlap()
    eventrouter.assert_no_loss()


def test_five_minutes_without_redis_lose_nothing(eventrouter):
    totals = Totals()
    function = eventrouter.function(totals.record, name="record")
    stream = eventrouter.stream("checkouts", to=function, batch_size=10)
    stream.put_many(keys=["pens", "mugs"], n=50)
    eventrouter.redis_outage(300)
    with pytest.raises(AssertionError, match="InternalFailure"):
        stream.put({"key": "pens"}, key="pens")
    eventrouter.run_until_idle()

    assert totals.pieces == {"pens": 25, "mugs": 25}
    assert eventrouter.elapsed >= 300
    eventrouter.assert_order(by="partitionKey")
    eventrouter.assert_no_loss()


@settings(max_examples=8, deadline=None)
@given(plan=fault_plans(functions=["record"]), checkouts=event_streams(keys=("pens", "mugs")))
def test_no_plan_of_faults_makes_a_total_wrong(plan, checkouts):
    totals = Totals()
    with Router() as router:
        function = router.function(totals.record, name="record")
        stream = router.stream("checkouts", to=function, batch_size=5)
        stream.put_many((key, {"key": key, **data}) for key, data in checkouts)
        router.apply(plan)
        router.run_until_idle()
        router.assert_order(by="partitionKey")
        router.assert_no_loss()

    keys = [key for key, _ in checkouts]
    assert totals.pieces == {key: keys.count(key) for key in set(keys)}
