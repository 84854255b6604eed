"""Claims about a router's past: they hold where they should, and where they do not they say why."""

from __future__ import annotations

import json
from typing import Any

import boto3
import pytest

from eventrouter.testing import Router
from eventrouter.testing.order import key_function, order_breach, overlap, partition_key
from eventrouter.testing.runs import RunBook

pytestmark = pytest.mark.integration


def handler(event: Any, context: Any) -> None:
    """Do nothing."""


def failing(event: Any, context: Any) -> None:
    raise ValueError("no")


# Loss.


def test_an_event_that_is_given_up_without_anybody_being_told_is_lost() -> None:
    with Router(seed=7) as router:
        orders = router.function(failing)
        request_id = orders.send({"id": 1})
        router.run_until_idle()
        with pytest.raises(AssertionError) as caught:
            router.assert_no_loss()
        text = str(caught.value)
        assert f"event {request_id} of failing has not succeeded, and nobody was told of its end" in text
        assert "seed 7" in text
        assert "gave_up" in text
        assert "The last retry that MaximumRetryAttempts allows has failed" in text


def test_what_is_still_to_be_done_is_not_lost() -> None:
    with Router() as router:
        orders = router.function(failing)
        queue, stream = router.queue("jobs", to=orders), router.stream("clicks", to=orders)
        orders.send()
        queue.send("a")
        stream.put("b")
        router.advance(20)
        router.assert_no_loss()


def test_records_given_up_are_lost_unless_somebody_is_told() -> None:
    with Router() as router:
        router.queue("ends")
        told, untold = router.function(failing, name="told"), router.function(failing, name="untold")
        router.stream("one", to=told, retries=1, on_failure="ends").put("a")
        router.run_until_idle()
        router.assert_no_loss()
        [number] = router.stream("two", to=untold, retries=1).put("b")
        router.run_until_idle()
        with pytest.raises(AssertionError, match=f"{number} of two was given up, or passed over, by the mapping"):
            router.assert_no_loss()


def test_what_a_filter_leaves_out_is_not_lost() -> None:
    with Router() as router:
        orders = router.function(handler)
        router.stream("clicks", to=orders, filter={"data": {"kind": ["order"]}}).put({"kind": "order"}, {"kind": "x"})
        router.queue("jobs", to=orders, filter={"body": {"kind": ["order"]}}).send({"kind": "order"}, {"kind": "x"})
        router.run_until_idle()
        assert orders.attempts == 2
        router.assert_no_loss()


def test_messages_that_expire_or_are_deleted_or_purged_are_not_lost() -> None:
    with Router() as router:
        sqs = router.client("sqs")
        router.queue("short", retention=60).send("a")
        mine = router.queue("mine")
        mine.send("b")
        [message] = sqs.receive_message(QueueUrl=mine.url)["Messages"]
        sqs.delete_message(QueueUrl=mine.url, ReceiptHandle=message["ReceiptHandle"])
        purged = router.queue("purged")
        purged.send("c")
        sqs.purge_queue(QueueUrl=purged.url)
        router.advance(120)
        router.assert_no_loss()


def test_a_message_in_a_dead_letter_queue_is_not_lost() -> None:
    with Router() as router:
        dead = router.queue("dead")
        router.queue("jobs", to=router.function(failing), dlq="dead", max_receives=2).send("a")
        router.run_until_idle()
        assert dead.messages() == ["a"]
        router.assert_no_loss()


def test_messages_that_a_handler_reports_as_failed_come_back() -> None:
    def partly(event: Any, context: Any) -> Any:
        failed = [each["messageId"] for each in event["Records"] if each["body"] == "bad"]
        return {"batchItemFailures": [{"itemIdentifier": each} for each in failed]}

    with Router() as router:
        router.queue("dead")
        jobs = router.function(partly)
        queue = router.queue("jobs", to=jobs, dlq="dead", max_receives=3, report_item_failures=True)
        queue.send("good", "bad")
        router.run_until_idle()
        assert router.dlq("dead").messages() == ["bad"]
        router.assert_no_loss()


# Order.


def _event(*records: tuple[str, int]) -> bytes:
    shown = [
        {
            "eventID": f"shard:{number}",
            "eventSourceARN": "arn",
            "kinesis": {"partitionKey": key, "sequenceNumber": str(number)},
        }
        for key, number in records
    ]
    return json.dumps({"Records": shown}).encode()


def _book(*runs: tuple[str, list[tuple[str, int]]]) -> RunBook:
    """Make runs one after the other: how each ended, and its records."""
    book = RunBook()
    for number, (outcome, records) in enumerate(runs):
        run = book.begin("audit", f"request-{number}", _event(*records), float(number))
        book.end(run, outcome, number + 0.5)  # type: ignore[arg-type]
    return book


@pytest.mark.parametrize(
    "runs",
    [
        [("failed", [("a", 1), ("a", 2)]), ("succeeded", [("a", 1), ("a", 2)])],
        [("failed", [("a", 1), ("a", 2)]), ("succeeded", [("a", 1)]), ("succeeded", [("a", 2)])],
        [("succeeded", [("a", 1)]), ("succeeded", [("a", 2)]), ("succeeded", [("a", 1)])],
        [("failed", [("a", 1)]), ("succeeded", [("b", 2)]), ("succeeded", [("a", 1)])],
        [("failed", [("a", 1)]), ("succeeded", [("a", 2)])],
    ],
    ids=["repeated", "bisected", "again after success", "other keys", "given up"],
)
def test_an_order_with_repeats_holds(runs: Any) -> None:
    assert order_breach(_book(*runs), partition_key, {}) is None


@pytest.mark.parametrize(
    "runs",
    [
        [("succeeded", [("a", 2), ("a", 1)])],
        [("succeeded", [("a", 2)]), ("succeeded", [("a", 1)])],
        [("failed", [("a", 1)]), ("succeeded", [("a", 2)]), ("succeeded", [("a", 1)])],
        [("failed", [("a", 1), ("a", 2)]), ("succeeded", [("a", 2)]), ("succeeded", [("a", 1)])],
    ],
    ids=["in a batch", "in two", "past a failure", "the rest first"],
)
def test_a_broken_order_is_found(runs: Any) -> None:
    breach = order_breach(_book(*runs), partition_key, {})
    assert breach is not None
    assert "shard:2 was handed over before shard:1" in breach.text


def test_a_broken_order_of_a_router_is_told_with_its_timeline() -> None:
    with Router(seed=9) as router:
        orders = router.function(handler, fail=[ValueError])
        orders.send({"n": 1})
        router.advance(1)
        orders.send({"n": 2})
        router.run_until_idle()
        router.assert_order(by=lambda event: event["n"])
        with pytest.raises(AssertionError) as caught:
            router.assert_order(by=lambda event: "all", function=orders)
        text = str(caught.value)
        assert "order by 'all' is broken in handler" in text
        assert "handler ran for" in text
        assert "seed 9" in text
        assert "scheduled" in text


def test_an_unknown_order_is_refused() -> None:
    with pytest.raises(ValueError, match="no order by 'shard'"):
        key_function("shard")


# Overlap.


def test_two_runs_that_overlap_are_found() -> None:
    book = RunBook()
    first = book.begin("f", "one", _event(("a", 1)), 0.0)
    second = book.begin("f", "two", _event(("a", 2)), 1.0)
    book.end(first, "succeeded", 2.0)
    book.end(second, "succeeded", 3.0)
    breach = overlap(book, lambda run: ["lane"])
    assert breach is not None
    assert "the first ended at 2 s, the second began at 1 s" in breach.text
    assert overlap(book, lambda run: [run.request_id]) is None


def test_shards_and_groups_do_not_overlap_and_other_runs_may() -> None:
    with Router() as router:
        slow = router.function(handler, timeout=30)
        router.faults(slow).latency((1, 2))
        stream = router.stream("clicks", to=slow, batch_size=5, shards=2, parallel=2)
        stream.put_many(keys=range(8), n=60)
        queue = router.queue("jobs.fifo", to=slow, batch_size=2, content_based_deduplication=True)
        for number in range(12):
            queue.send(number, MessageGroupId=f"g{number % 3}")
        router.run_until_idle()
        spans = [(run.began_s, run.ended_s or 0) for run in slow.runs]
        assert any(a[0] < b[0] < a[1] for a in spans for b in spans)
        router.assert_no_overlap()
        router.assert_order()
        router.assert_order("messageGroupId")
        router.assert_no_loss()


# What is shown.


def test_a_wrong_number_of_dead_letters_is_told_with_what_happened_to_them() -> None:
    with Router() as router:
        router.queue("dead")
        router.function(failing, dlq="dead", retries=0).send({"id": 1})
        router.run_until_idle()
        router.assert_dead_lettered("dead")
        router.assert_dead_lettered("dead", 0, error_code="403")
        with pytest.raises(AssertionError, match=r"dead holds 1 dead letters, not 2(?s:.*)dead_lettered"):
            router.assert_dead_lettered("dead", 2)
        assert router.dlq("dead").error_codes == ["200"]


def test_histories_are_printed_compared_and_cut() -> None:
    def scenario(seed: int) -> Any:
        with Router(seed=seed) as router:
            orders = router.function(handler, fail=[ValueError])
            orders.send()
            router.run_until_idle()
            return router.history(orders)

    one, same, other = scenario(1), scenario(1), scenario(2)
    assert one == same
    assert one != other
    assert one.steps == other.steps == ["accepted", "invoked", "failed", "scheduled", "invoked", "succeeded"]
    assert one.of("failed")[0].facts["error"] == "ValueError"
    assert len(one[1:3]) == 2
    assert [moment.at for moment in one.of("invoked")] == pytest.approx([0.02, 60.02], abs=0.1)
    first = str(one).splitlines()[0].split()
    assert first[1:] == ["accepted", one[0].subject, "function=handler"]
    assert "Up to 2 retries after function errors" in one.timeline


def test_a_thing_is_explained_with_its_past_and_future() -> None:
    with Router() as router:
        orders = router.function(failing)
        request_id = orders.send()
        router.advance(1)
        told = router.explain(request_id)
        assert told.kind == "event"
        assert told.history.steps == ["accepted", "invoked", "failed", "scheduled"]
        assert told.ahead
        assert "to come:" in str(told)
        with pytest.raises(AssertionError, match="nothing is known"):
            router.explain("none")


def test_what_handlers_accept_for_others_counts_too() -> None:
    def relay(event: Any, context: Any) -> None:
        boto3.client("lambda").invoke(FunctionName="failing", InvocationType="Event", Payload=b"{}")

    with Router() as router:
        bad = router.function(failing)
        router.function(relay).invoke()
        router.run_until_idle()
        assert bad.attempts == 3
        with pytest.raises(AssertionError, match="of failing has not succeeded"):
            router.assert_no_loss()
