"""Hypothesis strategies of the kit: their examples can be applied, printed and shrunk."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st

from eventrouter.testing import FaultPlan, Router, event_streams, fault_plans

pytestmark = pytest.mark.property


@given(fault_plans(functions=["orders", "audit"]))
def test_plans_are_plain_json_and_can_be_read(plan: Any) -> None:
    assert FaultPlan.of(json.loads(json.dumps(plan))) == FaultPlan.of(plan)


def test_plans_shrink_to_what_matters() -> None:
    plans = fault_plans(functions=["orders"])
    small = find(plans, lambda plan: any(each["do"] == "kill_node" for each in plan["mishaps"]))
    assert small["functions"] == {}
    assert small["mishaps"][-1] == {"at": 0.0, "do": "kill_node", "seconds": 0}
    assert find(plans, lambda plan: True) == {"functions": {}, "mishaps": []}


@given(event_streams(keys=["x", "y"], min_size=1))
def test_event_streams_number_their_events(events: Any) -> None:
    assert {key for key, _ in events} <= {"x", "y"}
    assert [data["n"] for _, data in events] == list(range(len(events)))


@settings(max_examples=15, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
@given(plan=fault_plans(functions=["audit"], within=60), events=event_streams(min_size=1), seed=st.integers(0, 99))
def test_no_plan_loses_disorders_or_overlaps_anything(plan: Any, events: Any, seed: int) -> None:
    def audit(event: Any, context: Any) -> None:
        """Do nothing."""

    with Router(seed=seed) as router:
        router.queue("dead")
        function = router.function(audit, dlq="dead")
        stream = router.stream("clicks", to=function, batch_size=4)
        queue = router.queue("jobs.fifo", to=function, content_based_deduplication=True)
        sent = [function.send(data) for _, data in events]
        stream.put_many(events)
        for group, data in events:
            queue.send(data, MessageGroupId=group)
        router.apply(plan)
        router.run_until_idle()
        router.assert_no_loss()
        router.assert_order()
        router.assert_order("messageGroupId")
        router.assert_no_overlap()
        done = {run.request_id for run in function.runs if run.outcome == "succeeded"}
        assert set(sent) <= done | {letter.request_id for letter in router.dlq("dead").letters()}
