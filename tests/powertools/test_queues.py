"""Powertools' batch processors over queues: what fails comes back alone, and a FIFO group stops at its failure."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from tests.e2e.nodes import wait_until
from tests.powertools.functions import Functions

BATCH = """
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from told import note, process

processor = BatchProcessor(event_type=EventType.SQS)

def record_handler(record):
    return process(record.body)

def handler(event, context):
    note("batches", [record["body"] for record in event["Records"]])
    return process_partial_response(event=event, record_handler=record_handler, processor=processor, context=context)
"""

FIFO = """
from aws_lambda_powertools.utilities.batch import SqsFifoPartialProcessor, process_partial_response
from told import note, process

processor = SqsFifoPartialProcessor(SETTINGS)

def record_handler(record):
    return process(record.body)

def handler(event, context):
    note("batches", [record["body"] for record in event["Records"]])
    return process_partial_response(event=event, record_handler=record_handler, processor=processor, context=context)
"""


MODELLED = """
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.parser import BaseModel
from aws_lambda_powertools.utilities.parser.models import SqsRecordModel
from aws_lambda_powertools.utilities.parser.types import Json
from told import note

class Order(BaseModel):
    sku: str
    quantity: int

class OrderRecord(SqsRecordModel):
    body: Json[Order]

processor = BatchProcessor(event_type=EventType.SQS, model=OrderRecord)

def record_handler(record: OrderRecord):
    note("orders", [record.body.sku, record.body.quantity])

def handler(event, context):
    return process_partial_response(event=event, record_handler=record_handler, processor=processor, context=context)
"""


class Queue:
    """A queue, with a dead-letter queue for what was received `receives` times."""

    def __init__(self, functions: Functions, *, suffix: str = "", receives: int = 3, visible_s: int = 2) -> None:
        self.sqs = functions.account.sqs
        kind = {"FifoQueue": "true"} if suffix else {}
        self.dead_url, dead_arn = self._make(f"dead{suffix}", kind)
        redrive = json.dumps({"deadLetterTargetArn": dead_arn, "maxReceiveCount": receives})
        self.url, self.arn = self._make(
            f"jobs{suffix}", {**kind, "VisibilityTimeout": str(visible_s), "RedrivePolicy": redrive}
        )

    def _make(self, name: str, attributes: dict[str, str]) -> tuple[str, str]:
        url = self.sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
        answer = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
        return url, answer["Attributes"]["QueueArn"]

    def send(self, *bodies: str, group: str | None = None) -> None:
        fifo = {"MessageGroupId": group} if group else {}
        entries = [
            {"Id": str(index), "MessageBody": body, **fifo, **({"MessageDeduplicationId": body} if group else {})}
            for index, body in enumerate(bodies)
        ]
        assert "Failed" not in self.sqs.send_message_batch(QueueUrl=self.url, Entries=entries)

    def dead_letter(self) -> dict[str, Any]:
        """Return the next dead letter, deleted."""
        answer = self.sqs.receive_message(
            QueueUrl=self.dead_url, WaitTimeSeconds=20, MessageSystemAttributeNames=["All"]
        )
        assert answer.get("Messages"), "no dead letter came"
        letter: dict[str, Any] = answer["Messages"][0]
        self.sqs.delete_message(QueueUrl=self.dead_url, ReceiptHandle=letter["ReceiptHandle"])
        return letter

    def wait_empty(self) -> None:
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]

        def is_empty() -> bool:
            answer = self.sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=names)
            return set(answer["Attributes"].values()) == {"0"}

        wait_until("the queue to be empty", is_empty)


def test_only_what_failed_comes_back_and_ends_as_a_dead_letter(functions: Functions) -> None:
    queue = Queue(functions, receives=3)
    queue.send("one", "bad", "two", "once")
    functions.map(queue.arn, functions.make(BATCH, Timeout=2))

    letter = queue.dead_letter()
    queue.wait_empty()

    assert letter["Body"] == "bad"
    assert Counter(functions.noted("processed")) == {"one": 1, "two": 1, "once": 2, "bad": 3}


def test_a_batch_that_fails_altogether_is_a_function_error_and_comes_back_whole(functions: Functions) -> None:
    queue = Queue(functions, receives=2)
    name = functions.make(BATCH, Timeout=2)
    queue.send("bad-1", "bad-2")
    functions.map(queue.arn, name)

    dead = {queue.dead_letter()["Body"], queue.dead_letter()["Body"]}

    assert dead == {"bad-1", "bad-2"}
    assert Counter(functions.noted("processed")) == {"bad-1": 2, "bad-2": 2}
    wait_until(
        "the error in the log",
        lambda: any("BatchProcessingError" in line for line in functions.account.log_messages(name)),
    )


def test_a_fifo_batch_stops_at_its_first_failure_and_goes_on_there(functions: Functions) -> None:
    queue = Queue(functions, suffix=".fifo")
    queue.send("a-1", "once", "a-3", group="a")
    functions.map(queue.arn, functions.make(FIFO.replace("SETTINGS", ""), Timeout=2))

    queue.wait_empty()

    assert functions.noted("batches")[0] == ["a-1", "once", "a-3"]
    assert functions.noted("processed") == ["a-1", "once", "once", "a-3"]


def test_a_failure_holds_up_the_other_groups_of_its_batch_too(functions: Functions) -> None:
    queue = Queue(functions, suffix=".fifo")
    queue.send("once", "a-2", group="a")
    queue.send("b-1", "b-2", group="b")
    functions.map(queue.arn, functions.make(FIFO.replace("SETTINGS", ""), Timeout=2))

    queue.wait_empty()

    processed = functions.noted("processed")
    assert Counter(processed) == {"once": 2, "a-2": 1, "b-1": 1, "b-2": 1}
    assert [value for value in processed if value in {"once", "a-2"}] == ["once", "once", "a-2"]
    assert [value for value in processed if value.startswith("b")] == ["b-1", "b-2"]


def test_a_group_that_failed_is_skipped_while_the_others_go_on(functions: Functions) -> None:
    queue = Queue(functions, suffix=".fifo")
    queue.send("once", "a-2", group="a")
    queue.send("b-1", "b-2", group="b")
    functions.map(queue.arn, functions.make(FIFO.replace("SETTINGS", "skip_group_on_error=True"), Timeout=2))

    queue.wait_empty()

    processed = functions.noted("processed")
    assert processed[-2:] == ["once", "a-2"]
    assert sorted(processed[:3]) == ["b-1", "b-2", "once"]
    assert processed.index("b-1") < processed.index("b-2")


def test_what_waits_behind_a_poison_message_uses_up_its_receives_with_it(functions: Functions) -> None:
    """As on AWS: the processor reports what it did not touch as failed, and SQS counts every receive."""
    queue = Queue(functions, suffix=".fifo", receives=2)
    queue.send("a-1", "bad", "a-3", "a-4", group="a")
    functions.map(queue.arn, functions.make(FIFO.replace("SETTINGS", ""), Timeout=2))

    letters = [queue.dead_letter() for _ in range(3)]
    queue.wait_empty()

    assert [letter["Body"] for letter in letters] == ["bad", "a-3", "a-4"]
    assert {letter["Attributes"]["MessageGroupId"] for letter in letters} == {"a"}
    assert functions.noted("processed") == ["a-1", "bad", "bad"]


def test_a_message_that_the_model_refuses_fails_alone(functions: Functions) -> None:
    queue = Queue(functions, receives=2)
    queue.send('{"sku": "lamp", "quantity": 2}', '{"sku": "lamp", "quantity": "many"}')
    functions.map(queue.arn, functions.make(MODELLED, Timeout=2))

    assert queue.dead_letter()["Body"] == '{"sku": "lamp", "quantity": "many"}'
    queue.wait_empty()
    assert functions.noted("orders") == [["lamp", 2]]
