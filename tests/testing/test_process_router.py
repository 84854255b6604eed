"""A router over real processes and a real server: the same methods, and the same times as in virtual time."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import boto3
import pytest

from eventrouter.errors import EventRouterError
from eventrouter.testing import FaultPlan, InvocationFailed
from eventrouter.testing.process_router import ProcessRouter
from tests.testing import process_handlers

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

NEAR = 2.0
"""How many seconds the machine may take for what takes no virtual time."""


@pytest.fixture
def router() -> Iterator[ProcessRouter]:
    with ProcessRouter() as opened:
        yield opened


def test_functions_run_in_other_processes_and_say_the_same(router: ProcessRouter) -> None:
    echo = router.function(process_handlers.echo, name="orders")

    answer = echo.invoke({"id": 1})

    assert (answer["seen"], answer["by"]) == ({"id": 1}, "orders")
    assert answer["pid"] != os.getpid()
    failing = router.function(process_handlers.failing)
    with pytest.raises(InvocationFailed, match="ValueError: no"):
        failing.invoke()


def test_retries_are_travelled_through_and_end_in_the_dead_letter_queue(router: ProcessRouter) -> None:
    router.queue("dead")
    failing = router.function(process_handlers.failing, dlq="dead")

    request_id = failing.send({"id": 1})
    router.run_until_idle()

    assert failing.attempt_times == pytest.approx([0, 60, 180], abs=NEAR)
    assert failing.errors == ["ValueError"] * 3
    [letter] = router.dlq("dead").letters()
    assert (letter.body, letter.request_id) == ({"id": 1}, request_id)
    assert router.history(request_id).steps == [
        "accepted", *("invoked", "failed", "scheduled") * 2, "invoked", "failed", "gave_up", "dead_lettered",
    ]  # fmt: skip
    router.assert_dead_lettered("dead", 1, error_code="200")
    router.assert_no_loss()
    assert "scheduled" in str(router.explain(request_id))


def test_a_poison_record_blocks_its_shard_and_is_bisected(router: ProcessRouter) -> None:
    router.queue("ends")
    function = router.function(process_handlers.poison)
    stream = router.stream("clicks", to=function, retries=1, bisect=True, on_failure="ends", window=30)

    stream.put("a", "b", "poison", "c", key="k")
    router.run_until_idle()

    assert [result for result in function.results if result] == [2, 1]
    [end] = router.dlq("ends").letters()
    assert end.body["requestContext"]["condition"] == "RetryAttemptsExhausted"
    router.assert_order()
    router.assert_no_overlap()
    router.assert_no_loss()


def test_a_queue_returns_what_failed_until_it_is_redriven(router: ProcessRouter) -> None:
    dead = router.queue("dead")
    function = router.function(process_handlers.half)
    jobs = router.queue(
        "jobs", to=function, visibility=60, dlq="dead", max_receives=2, report_item_failures=True, batch_size=5
    )

    jobs.send("a", "poison", "b")
    router.run_until_idle()

    assert jobs.empty()
    assert dead.messages() == ["poison"]
    poison_runs = [run.began_s for run in function.runs if any(r["body"] == "poison" for r in run.records)]
    assert [later - sooner for sooner, later in pairwise(poison_runs)] == pytest.approx([60], abs=NEAR)
    router.assert_no_loss()


def test_messages_are_moved_back_at_their_pace_in_virtual_time(router: ProcessRouter) -> None:
    dead = router.queue("dead")
    jobs = router.queue("jobs", dlq="dead", max_receives=1)
    sqs = router.client("sqs")
    dead.send(*range(10))

    began = router.elapsed
    sqs.start_message_move_task(SourceArn=dead.arn, DestinationArn=jobs.arn, MaxNumberOfMessagesPerSecond=1)
    router.run_until_idle()

    assert dead.empty()
    assert sorted(jobs.messages()) == list(range(10))
    assert 8 <= router.elapsed - began <= 12 + NEAR


def test_schedules_fire_at_their_times(router: ProcessRouter) -> None:
    function = router.function(process_handlers.echo)
    router.schedule("rate(5 minutes)", to=function)

    router.advance(3_600 + NEAR)

    assert function.attempts == 12
    pauses = [later - sooner for sooner, later in pairwise(function.attempt_times)]
    assert pauses == pytest.approx([300] * 11, abs=NEAR)


def test_schedules_keep_their_times_on_the_way_to_what_is_due_later(router: ProcessRouter) -> None:
    function = router.function(process_handlers.echo)
    failing = router.function(process_handlers.failing, retries=1)
    router.advance(10)
    router.schedule("rate(2 minutes)", to=function)
    failing.send()
    router.advance(65)
    failing.send()
    router.run_until_idle()  # at 135 s, past the firing at 130 s

    [fired] = router.history().of("fired")
    assert fired.at == pytest.approx(130, abs=NEAR)


def test_routes_answer(router: ProcessRouter) -> None:
    function = router.function(process_handlers.echo)
    router.route("GET /orders/{id}", to=function)

    [api] = router.client("apigatewayv2").get_apis()["Items"]
    status, _, body = router.answer("GET", f"{router.url}/_aws/execute-api/{api['ApiId']}/$default/orders/7", {}, b"")

    assert status == 200
    assert b'"id": "7"' in body or b'"id":"7"' in body


def test_handlers_that_call_the_node_are_waited_for(router: ProcessRouter) -> None:
    out = router.queue("out")
    done = router.function(process_handlers.echo)
    router.queue("out", to=done, batch_size=1)
    function = router.function(process_handlers.calls_back)

    function.send({"n": 5})
    router.run_until_idle()

    assert function.attempts == 1
    assert sorted(run.records[0]["body"] for run in done.runs) == list("01234")
    assert out.empty()


def test_slow_runs_and_cold_starts_are_waited_for(router: ProcessRouter) -> None:
    slow = router.function(process_handlers.slow, timeout=60)
    for _ in range(4):
        slow.send({"seconds": 0.4})

    router.advance(1)

    assert slow.results == ["slept"] * 4


def test_a_process_that_ends_is_a_failure(router: ProcessRouter) -> None:
    function = router.function(process_handlers.exits, retries=1)

    function.send()
    router.run_until_idle()

    assert function.attempts == 2
    assert all("exit" in error.lower() for error in function.errors)


def test_what_is_predicted_is_run_until(router: ProcessRouter) -> None:
    function = router.function(process_handlers.failing)
    function.send()

    router.run_until(lambda: function.attempts == 2)

    assert router.elapsed == pytest.approx(60, abs=NEAR)
    with pytest.raises(AssertionError, match="still not true"):
        router.run_until(lambda: False)


def test_code_under_test_finds_the_node_by_itself(router: ProcessRouter) -> None:
    function = router.function(process_handlers.echo)
    boto3.client("lambda").invoke(FunctionName="echo", InvocationType="Event", Payload=b'{"n": 1}')

    router.run_until_idle()

    assert [run.event for run in function.runs] == [{"n": 1}]


def test_the_functions_logs_are_in_the_nodes(router: ProcessRouter) -> None:
    function = router.function(process_handlers.failing, retries=0)
    function.send()
    router.run_until_idle()

    events = router.client("logs").filter_log_events(logGroupName="/aws/lambda/failing")["events"]
    text = "\n".join(event["message"] for event in events)
    assert "ValueError" in text
    assert "REPORT RequestId" in text


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("faults", lambda router: router.faults("x")),
        ("kill_node", lambda router: router.kill_node()),
        ("redis_outage", lambda router: router.redis_outage(1)),
        ("drop_reply", lambda router: router.drop_reply()),
        ("late_reply", lambda router: router.late_reply(1)),
        ("apply", lambda router: router.apply(FaultPlan())),
        ("fail", lambda router: router.function(process_handlers.echo, fail=[ValueError])),
        ("sees_virtual_time", lambda router: router.function(process_handlers.echo, sees_virtual_time=True)),
    ],
)
def test_what_has_no_meaning_here_is_refused_by_name(name: str, call: Any) -> None:
    with pytest.raises(EventRouterError, match=rf"^{name}: .*in-process"):
        call(ProcessRouter())


class Handlers:
    def method(self, event: Any, context: Any) -> None: ...


def _closure() -> Any:
    def inner(event: Any, context: Any) -> None: ...

    return inner


@pytest.mark.parametrize("handler", [lambda event, context: None, _closure(), Handlers().method, print])
def test_handlers_that_another_process_cannot_import_are_refused(handler: Any) -> None:
    with pytest.raises(EventRouterError, match="another process cannot import it"):
        ProcessRouter().function(handler)


def test_nothing_is_left_when_it_is_closed() -> None:
    before = threading.active_count(), dict(os.environ)
    with ProcessRouter() as router:
        router.invoke(router.function(process_handlers.echo))
        folder = router._folder
    assert not folder.exists()
    assert (threading.active_count(), dict(os.environ)) == before
