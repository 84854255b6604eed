"""Faults as data: what each of them does to a whole node, in virtual time."""

from __future__ import annotations

import time
from random import Random
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError

from eventrouter.testing import FaultPlan, FunctionFaults, FunctionPlan, InvocationFailed, Mishap, Router

pytestmark = pytest.mark.integration


def handler(event: Any, context: Any) -> Any:
    return event


@pytest.mark.parametrize(
    ("failure", "error"),
    [
        (ValueError, "ValueError"),
        (KeyError("k"), "KeyError"),
        ("timeout", "Sandbox.Timedout"),
        ("exit", "Runtime.ExitError"),
        ("LookupError", "LookupError"),
        ("OrderError", "OrderError"),
        (KeyboardInterrupt, "Runtime.ExitError"),
    ],
)
def test_runs_fail_in_the_way_that_is_asked_for(failure: Any, error: str) -> None:
    with Router() as router:
        function = router.function(handler, fail=[failure, None, failure])
        with pytest.raises(InvocationFailed) as caught:
            function.invoke()
        assert caught.value.error.type == error
        assert function.invoke(1) == 1
        with pytest.raises(InvocationFailed):
            function.invoke()
        assert function.invoke(2) == 2
        assert function.errors == [error, error]


def test_what_is_no_way_to_fail_is_refused() -> None:
    with Router() as router:
        function = router.function(handler)
        with pytest.raises(TypeError, match="no way to fail"):
            router.faults(function).fail(3)  # type: ignore[arg-type]


def test_a_crash_in_the_middle_of_a_batch_shows_the_handler_its_first_records_only() -> None:
    seen: list[int] = []

    def work(event: Any, context: Any) -> None:
        seen.append(len(event["Records"]))

    with Router() as router:
        function = router.function(work)
        stream = router.stream("clicks")
        stream.put_many(keys=["a"], n=10)
        router.faults(function).crash_mid_batch(every=2, after=4)
        router.stream("clicks", to=function, batch_size=5)
        router.run_until_idle()
        assert seen == [5, 4, 5]
        assert [run.given for run in function.runs] == [None, 4, None]
        assert function.errors == ["Runtime.ExitError"]
        assert [len(run.records) for run in function.runs] == [5, 5, 5]
        router.assert_order()
        router.assert_no_loss()


def test_a_crash_falls_anywhere_in_a_batch_but_the_same_for_one_seed() -> None:
    def places(seed: int) -> list[int | None]:
        faults = FunctionFaults("f", Random(seed)).crash_mid_batch()
        return [faults.records_before_death(10) for _ in range(20)]

    assert places(1) == places(1) != places(2)
    assert set(places(1)) <= set(range(1, 10))


def test_half_of_the_tries_find_no_slot() -> None:
    with Router(seed=3) as router:
        function = router.function(handler)
        router.faults(function).throttle(0.5)
        refused = 0
        for _ in range(40):
            try:
                function.invoke()
            except router.client("lambda").exceptions.TooManyRequestsException:
                refused += 1
        assert 10 <= refused <= 30
        assert function.attempts == 40 - refused
        router.faults(function).clear()
        assert function.invoke(1) == 1


def test_latency_is_virtual_and_ends_in_the_timeout() -> None:
    with Router() as router:
        function = router.function(handler, timeout=3)
        router.faults(function).latency(2)
        began = router.elapsed
        function.invoke()
        assert router.elapsed - began == pytest.approx(2, abs=0.1)
        router.faults(function).latency((3.5, 9))
        with pytest.raises(InvocationFailed, match=r"Task timed out after 3\.00 seconds"):
            function.invoke()
        router.faults(function).latency(lambda: 0.25)
        function.invoke()
        assert function.runs[-1].ended_s == pytest.approx(function.runs[-1].began_s + 0.25)


def test_a_node_that_is_killed_in_the_middle_of_a_run_runs_the_event_again() -> None:
    with Router() as router:
        slow = router.function(handler, timeout=60)
        router.faults(slow).latency(10)
        request_id = slow.send({"n": 1})
        router.advance(4)
        router.kill_node(down=5)
        assert [run.outcome for run in slow.runs] == ["killed"]
        router.run_until_idle()
        assert [run.outcome for run in slow.runs] == ["killed", "succeeded"]
        assert [run.is_duplicate for run in slow.runs] == [False, True]
        assert slow.duplicates == 1
        assert slow.runs[1].request_id == request_id
        assert slow.runs[1].began_s >= 9
        router.assert_no_loss()
        router.assert_no_overlap()


def test_a_killed_node_leaves_streams_and_queues_where_they_were() -> None:
    with Router() as router:
        work = router.function(handler, timeout=30)
        router.faults(work).latency((0.1, 3))
        stream = router.stream("clicks", to=work, batch_size=10, shards=2)
        queue = router.queue("jobs", to=work)
        stream.put_many(keys=range(5), n=60)
        queue.send(*range(20))
        for _ in range(3):
            router.advance(1)
            router.kill_node()
        router.run_until_idle()
        assert any(run.outcome == "killed" for run in work.runs)
        assert queue.empty()
        router.assert_order()
        router.assert_no_loss()
        router.assert_no_overlap()


def test_a_handler_that_has_its_node_killed_dies_of_it() -> None:
    after: list[str] = []

    def work(event: Any, context: Any) -> str:
        if not after:
            after.append("killed")
            router.kill_node()
            after.append("survived")
        return "done"

    with Router() as router:
        function = router.function(work)
        with pytest.raises(ConnectionClosedError):
            function.invoke()
        router.run_until_idle()
        assert after == ["killed"]
        assert function.invoke() == "done"


def test_requests_to_a_dead_node_fail_until_the_next_one_is_there() -> None:
    with Router() as router:
        function = router.function(handler)
        router.apply({"mishaps": [{"at": 0, "do": "kill_node", "seconds": 30}]})
        router.advance(1)
        with pytest.raises(ConnectionClosedError):
            function.invoke()
        router.advance(30)
        assert function.invoke(1) == 1


def test_nothing_is_lost_while_the_store_is_away_for_a_minute() -> None:
    with Router() as router:
        function = router.function(handler, timeout=30)
        router.faults(function).latency(3)
        stream = router.stream("clicks", to=function, batch_size=5)
        sent = [function.send({"n": number}) for number in range(5)]
        stream.put_many(keys=["a", "b"], n=20)
        router.advance(1)
        router.redis_outage(60)
        with pytest.raises(ClientError) as refused:
            function.send({"n": 5})
        assert refused.value.response["Error"]["Code"] == "ServiceUnavailableException"
        router.run_until_idle()
        done = {run.request_id for run in function.runs if run.outcome == "succeeded"}
        assert done >= set(sent)
        assert router.elapsed > 60
        router.assert_no_loss()
        router.assert_order()
        router.assert_no_overlap()


@pytest.mark.parametrize("late_s", [None, 0.5, 30.0])
def test_a_lost_or_late_answer_stores_an_event_once(late_s: float | None) -> None:
    with Router() as router:
        function = router.function(handler)
        if late_s is None:
            router.drop_reply(script="events_put")
        else:
            router.late_reply(late_s, script="events_put")
        began = router.elapsed
        function.send({"n": 1})
        router.run_until_idle()
        assert function.attempts == 1
        assert router.elapsed >= began + (0 if late_s is None else min(late_s, 2))
        router.assert_no_loss()


def test_there_is_no_answer_of_a_script_that_is_not_there() -> None:
    with Router() as router, pytest.raises(ValueError, match="no script"):
        router.drop_reply(script="none")


def test_a_plan_of_json_is_read_and_what_it_does_not_know_is_refused() -> None:
    plan = FaultPlan.of(
        {
            "functions": {"orders": {"fail": ["timeout", None], "crash_every": 7, "latency": [0, 1.5]}},
            "mishaps": [{"at": 12.5, "do": "kill_node"}],
        }
    )
    assert plan.functions["orders"] == FunctionPlan(fail=("timeout", None), crash_every=7, latency=(0, 1.5))
    assert list(plan.mishaps) == [Mishap(at=12.5, do="kill_node")]
    for wrong in ({"node": []}, {"functions": {"f": {"explode": 1}}}, {"mishaps": [{"at": 1, "do": "x", "z": 1}]}):
        with pytest.raises(ValueError, match="fault plan"):
            FaultPlan.of(wrong)


def test_a_plan_takes_effect_at_its_times() -> None:
    with Router() as router:
        function = router.function(handler, name="orders", timeout=60)
        router.apply(
            {
                "functions": {"orders": {"fail": ["ValueError"], "latency": [1, 1]}},
                "mishaps": [{"at": 61.5, "do": "kill_node"}, {"at": 62, "do": "redis_outage", "seconds": 10}],
            }
        )
        function.send()
        router.run_until_idle()
        assert [run.outcome for run in function.runs] == ["failed", "killed", "succeeded"]
        router.assert_no_loss()


def test_real_time_is_hardly_used() -> None:
    began = time.monotonic()
    with Router() as router:
        function = router.function(handler, fail=[ValueError] * 2)
        function.send()
        router.run_until_idle()
    assert time.monotonic() - began < 10
