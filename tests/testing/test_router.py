"""A router: a whole node inside the test, whose scenarios have exact virtual times."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from eventrouter.errors import EventRouterError
from eventrouter.testing import InvocationFailed, Router

pytestmark = pytest.mark.integration


def handler(event: Any, context: Any) -> dict[str, Any]:
    return {"seen": event, "by": context.function_name}


def failing(event: Any, context: Any) -> None:
    raise ValueError("no")


def test_the_third_attempt_wins_after_three_virtual_minutes() -> None:
    with Router() as router:
        router.queue("orders-dlq")
        orders = router.function(handler, name="orders", dlq="orders-dlq", fail=[TimeoutError, TimeoutError, None])
        request_id = orders.send({"id": 1})
        router.run_until_idle()
        assert orders.attempts == 3
        assert orders.attempt_times == pytest.approx([0, 60, 180])
        assert orders.errors == ["TimeoutError", "TimeoutError"]
        assert orders.results == [{"seen": {"id": 1}, "by": "orders"}]
        assert router.dlq("orders-dlq").empty()
        assert router.history(request_id).steps == [
            "accepted",
            *("invoked", "failed", "scheduled") * 2,
            "invoked",
            "succeeded",
        ]


def test_an_event_that_never_succeeds_ends_in_the_dead_letter_queue() -> None:
    with Router() as router:
        router.queue("dead")
        orders = router.function(failing, dlq="dead")
        request_id = orders.send({"id": 1})
        router.run_until_idle()
        [letter] = router.dlq("dead").letters()
        assert letter.body == {"id": 1}
        assert (letter.request_id, letter.error_code, letter.error_message) == (request_id, "200", "no")
        router.assert_dead_lettered("dead", 1, error_code="200")
        router.assert_no_loss()


def test_throttled_events_are_tried_again_for_six_hours_with_growing_pauses() -> None:
    with Router() as router:
        router.queue("dead")
        orders = router.function(handler, dlq="dead")
        router.faults(orders).throttle(1)
        request_id = orders.send({})
        router.run_until_idle()
        assert orders.attempts == 0
        assert 6 * 3600 - 301 <= router.elapsed <= 6 * 3600 + 1
        tries = [moment.at for moment in router.history(request_id).of("throttled")]
        pauses = [round(later - sooner) for sooner, later in pairwise(tries)]
        assert pauses[:10] == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300]
        assert set(pauses[10:]) == {300}
        router.assert_dead_lettered("dead", 1)


def test_a_poison_record_is_tried_with_growing_pauses_until_it_is_too_old() -> None:
    with Router() as router:
        router.queue("ends")
        audit = router.function(failing)
        stream = router.stream("clicks", to=audit, max_age=300, on_failure="ends")
        stream.put({"n": 1})
        router.run_until_idle()
        assert audit.attempt_times[:6] == pytest.approx([0, 1, 3, 7, 15, 27])
        assert 285 < audit.attempt_times[-1] <= 300
        [letter] = router.dlq("ends").letters()
        assert letter.body["requestContext"]["condition"] == "RecordAgeExceeded"
        router.assert_no_loss()


def test_a_fifo_group_stops_at_a_failure_and_other_groups_go_on() -> None:
    seen: list[tuple[float, str]] = []

    def work(event: Any, context: Any) -> None:
        for record in event["Records"]:
            seen.append((round(router.elapsed), record["body"]))
            if record["body"] == "a1" and [body for _, body in seen].count("a1") == 1:
                raise ValueError(record["body"])

    with Router() as router:
        inventory = router.function(work)
        queue = router.queue("inventory.fifo", content_based_deduplication=True)
        for body in ("a1", "a2", "b1", "b2"):
            queue.send(body, MessageGroupId=body[0])
        router.queue("inventory.fifo", to=inventory, batch_size=1, content_based_deduplication=True)
        router.run_until_idle()
        assert seen == [(0, "a1"), (0, "b1"), (0, "b2"), (30, "a1"), (30, "a2")]
        router.assert_order("messageGroupId")
        router.assert_no_overlap()
        router.assert_no_loss()
        assert queue.empty()


def test_a_queue_may_feed_two_functions_but_not_have_two_kinds_of_settings() -> None:
    with Router() as router:
        router.queue("jobs", to=router.function(handler, name="one"))
        jobs = router.queue("jobs", to=router.function(handler, name="two"), batch_size=1)
        jobs.send("hello")
        router.run_until_idle()
        assert len(list(router.runs)) == 1
        with pytest.raises(ValueError, match="other settings"):
            router.queue("jobs", retention=60)


def test_synchronous_calls_return_results_and_raise_errors() -> None:
    with Router() as router:
        good, bad = router.function(handler), router.function(failing)
        assert good.invoke([1]) == {"seen": [1], "by": "handler"}
        with pytest.raises(InvocationFailed, match="ValueError: no") as caught:
            bad.invoke()
        assert caught.value.error.type == "ValueError"


def test_a_refused_request_is_refused_as_by_aws() -> None:
    with Router() as router:
        with pytest.raises(ClientError) as caught:
            router.client("sqs").get_queue_url(QueueName="none")
        assert "max retries" not in str(caught.value)


def test_schedules_fire_in_virtual_time() -> None:
    with Router() as router:
        tick = router.function(handler, name="tick")
        router.schedule("rate(5 minutes)", to=tick)
        router.advance(3600)
        assert tick.attempts == 12
        assert {round(later - sooner) for sooner, later in pairwise(tick.attempt_times)} == {300}


def test_handlers_find_the_router_with_clients_of_their_own() -> None:
    def sender(event: Any, context: Any) -> str:
        client = boto3.client("sqs")
        url = client.get_queue_url(QueueName="jobs")["QueueUrl"]
        message_id: str = client.send_message(QueueUrl=url, MessageBody="hello")["MessageId"]
        return message_id

    with Router() as router:
        queue = router.queue("jobs")
        assert router.function(sender).invoke()
        assert queue.messages() == ["hello"]


def test_handlers_invoke_other_functions_and_wait_for_them() -> None:
    def front(event: Any, context: Any) -> Any:
        answer = boto3.client("lambda").invoke(FunctionName="back", Payload=b'{"n": 1}')
        return answer["Payload"].read().decode()

    with Router() as router:
        router.function(handler, name="back")
        assert "back" in router.function(front).invoke()


def test_handlers_may_call_from_a_pool_of_threads() -> None:
    def fan_out(event: Any, context: Any) -> int:
        client = boto3.client("sqs")
        url = client.get_queue_url(QueueName="jobs")["QueueUrl"]

        def call(number: int) -> str:
            message_id: str = client.send_message(QueueUrl=url, MessageBody=str(number))["MessageId"]
            return message_id

        with ThreadPoolExecutor(4) as pool:
            return len(set(pool.map(call, range(8))))

    with Router() as router:
        jobs = router.queue("jobs")
        assert router.function(fan_out).invoke() == 8
        assert sorted(jobs.messages()) == list(range(8))


def test_the_environment_is_as_it_was_when_a_router_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", "http://mine")
    monkeypatch.delenv("AWS_ENDPOINT_URL_LAMBDA", raising=False)
    with Router() as router:
        assert os.environ["AWS_ENDPOINT_URL_SQS"] == os.environ["AWS_ENDPOINT_URL_CLOUDWATCH_LOGS"] == router.url
        assert "AWS_ENDPOINT_URL_DYNAMODB" not in os.environ
    assert os.environ["AWS_ENDPOINT_URL_SQS"] == "http://mine"
    assert "AWS_ENDPOINT_URL_LAMBDA" not in os.environ


def test_a_default_session_from_before_is_left_alone_and_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    before = boto3.session.Session(aws_access_key_id="mine", aws_secret_access_key="mine")
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", before)

    def look(event: Any, context: Any) -> str:
        client = boto3.client("sqs")
        client.list_queues()
        key: str = client._request_signer._credentials.access_key
        return key

    with Router() as router:
        assert router.function(look).invoke() == "test"
    assert boto3.DEFAULT_SESSION is before


def test_services_that_are_not_served_are_left_to_others() -> None:
    def save(event: Any, context: Any) -> int:
        table = boto3.resource("dynamodb").Table("orders")
        table.put_item(Item={"id": "1"})
        boto3.client("sqs").send_message(QueueUrl=queue.url, MessageBody="saved")
        return len(table.scan()["Items"])

    with mock_aws(), Router() as router:
        boto3.client("dynamodb").create_table(
            TableName="orders",
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        queue = router.queue("done")
        assert router.function(save).invoke() == 1
        assert queue.messages() == ["saved"]


def test_routers_work_in_asynchronous_tests() -> None:
    async def test() -> None:
        with Router() as router:
            orders = router.function(handler, fail=[ValueError])
            orders.send({"id": 1})
            router.run_until_idle()
            assert orders.attempts == 2
            assert orders.invoke(1)["seen"] == 1

    asyncio.run(test())


def test_coroutine_handlers_sleep_in_virtual_time_beside_each_other() -> None:
    async def slow(event: Any, context: Any) -> float:
        os.environ["SEEN"] = os.environ["NAME"]
        await asyncio.sleep(2)
        return context.get_remaining_time_in_millis() / 1_000

    with Router() as router:
        one = router.function(slow, name="one", environment={"NAME": "one"}, timeout=10)
        assert one.invoke() == 8
        for _ in range(3):
            one.send()
        router.run_until_idle()
        assert [run.ended_s - run.began_s for run in one.runs if run.ended_s] == pytest.approx([2] * 4)
        assert one.runs[2].began_s < (one.runs[1].ended_s or 0)
        assert "NAME" not in os.environ
    os.environ.pop("SEEN")


def test_a_coroutine_handler_that_would_block_its_loop_is_told_so() -> None:
    async def stuck(event: Any, context: Any) -> None:
        boto3.client("sqs").list_queues()

    with Router() as router, pytest.raises(InvocationFailed, match="plain handler"):
        router.function(stuck).invoke()


def test_a_closed_router_answers_no_more() -> None:
    with Router() as router:
        orders = router.function(handler)
    with pytest.raises(EventRouterError, match="closed"):
        orders.send()


def test_a_route_is_asked_as_a_browser_asks():
    def orders(event, context):
        return {"id": event["pathParameters"]["id"], "sent": json.loads(event["body"])}

    with Router() as router:
        router.route("POST /orders/{id}", to=router.function(orders))

        answer = router.http("POST", "/orders/7", json={"n": 1})

        assert (answer.status, answer.json()) == (200, {"id": "7", "sent": {"n": 1}})
        assert router.http("GET", "/nothing").status == 404


def test_a_router_takes_back_the_modules_that_it_has_imported(tmp_path):
    (tmp_path / "greeter_of_this_test.py").write_text("def handler(event, context):\n    return __name__\n")
    (tmp_path / "eventrouter.toml").write_text('[functions.greet]\nhandler = "greeter_of_this_test.handler"\n')

    with Router() as router:
        router.template(tmp_path / "eventrouter.toml")
        assert router.invoke("greet") == "greeter_of_this_test"
        assert "greeter_of_this_test" in sys.modules

    assert "greeter_of_this_test" not in sys.modules
