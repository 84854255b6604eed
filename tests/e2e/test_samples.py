"""The sample functions and the template that describes them."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest

from handlers.demo_stage import HERE, Template
from tests.e2e.accounts import Account, Notes
from tests.e2e.nodes import wait_until


@pytest.fixture
def deployed(account: Account) -> Account:
    """An account that has the samples, deployed from their template as the demo does."""
    Template(HERE / "template.yaml").deploy(account.lambda_, account.sqs)
    return account


def test_the_template_describes_every_sample_and_nothing_else() -> None:
    functions = Template(HERE / "template.yaml").of_type("AWS::Serverless::Function")
    modules = {function["Handler"].partition(".")[0] for _, function in functions}

    samples = {path.stem for path in Path(HERE).glob("*.py") if not path.stem.startswith("demo")}

    assert modules == samples


def test_samples_answer_as_their_docstrings_say(deployed: Account) -> None:
    order = {"id": "A-1", "items": [{"sku": "x", "price": "2.50", "quantity": 3}]}

    assert deployed.invoke("hello", {"name": "Ada"}).json["message"] == "Hello, Ada!"
    assert deployed.invoke("echo", [1, "two"]).json == [1, "two"]
    assert deployed.invoke("orders", order).body == b'{"id": "A-1", "total": 7.50}'
    assert deployed.invoke("orders", {"id": "A-2"}).json["errorType"] == "OrderError"
    assert deployed.invoke("slow", {"seconds": 0}).json["slept"] == 0
    assert deployed.invoke("calls-aws", {"function": "echo", "payload": 1}).json == {"status": 200, "payload": 1}


def test_the_poison_sample_s_events_end_in_its_dead_letter_queue(deployed: Account) -> None:
    request_id = deployed.send("poison", {"id": 13})

    url = deployed.sqs.get_queue_url(QueueName="poison-dead-letters")["QueueUrl"]
    answer = deployed.sqs.receive_message(QueueUrl=url, WaitTimeSeconds=15, MessageAttributeNames=["All"])

    (message,) = answer["Messages"]
    assert json.loads(message["Body"]) == {"id": 13}
    assert message["MessageAttributes"]["RequestID"]["StringValue"] == request_id


def test_the_flaky_sample_succeeds_at_its_third_attempt(deployed: Account, notes: Notes) -> None:
    request_id = deployed.send("flaky", {"directory": notes.path, "failures": 2})

    wait_until("three attempts", lambda: len(notes.lines(f"{request_id}.attempts")) == 3)


def test_the_ledger_sample_writes_one_line_a_run(deployed: Account, notes: Notes) -> None:
    file = str(notes.folder / "ledger")
    sent = [deployed.invoke("ledger", {"file": file, "entry": f"e{number}"}).json for number in range(3)]

    assert sent == list(itertools.repeat(None, 3))
    assert notes.lines("ledger") == ["e0", "e1", "e2"]


def test_the_readings_sample_has_its_broken_reading_parked_and_takes_the_others(
    deployed: Account, notes: Notes
) -> None:
    kinesis = deployed.client("kinesis")
    kinesis.create_stream(StreamName="readings", ShardCount=1)
    celsius = {number: None if number == 3 else 20.5 for number in range(1, 9)}
    data = [
        json.dumps({"number": number, "celsius": value, "notes": f"{notes.path}/readings"})
        for number, value in celsius.items()
    ]
    put = kinesis.put_records(
        StreamName="readings", Records=[{"Data": each, "PartitionKey": f"p{at}"} for at, each in enumerate(data)]
    )
    queue = deployed.sqs.get_queue_url(QueueName="readings-parked")["QueueUrl"]
    asked = deployed.sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])
    stream = kinesis.describe_stream_summary(StreamName="readings")["StreamDescriptionSummary"]["StreamARN"]

    deployed.lambda_.create_event_source_mapping(
        EventSourceArn=stream,
        FunctionName="readings",
        StartingPosition="TRIM_HORIZON",
        BisectBatchOnFunctionError=True,
        MaximumRetryAttempts=0,
        DestinationConfig={"OnFailure": {"Destination": asked["Attributes"]["QueueArn"]}},
    )

    (message,) = deployed.sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=15)["Messages"]
    parked = json.loads(message["Body"])["KinesisBatchInfo"]
    assert (parked["batchSize"], parked["startSequenceNumber"]) == (1, put["Records"][2]["SequenceNumber"])
    wait_until("the last half", lambda: len(notes.lines("readings")) == 7)
    tries = [(note["numbers"], note["isWell"]) for note in map(json.loads, notes.lines("readings"))]
    halves = [([1, 2, 3, 4, 5, 6, 7, 8], False), ([1, 2, 3, 4], False), ([1, 2], True), ([3, 4], False)]
    assert tries == [*halves, ([3], False), ([4], True), ([5, 6, 7, 8], True)]


def test_the_parcels_sample_names_the_parcels_to_countries_that_are_not_served(deployed: Account, notes: Notes) -> None:
    (notes.folder / "countries").write_text("SE DK")
    queue = deployed.sqs.create_queue(QueueName="parcels")["QueueUrl"]
    asked = deployed.sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])
    countries = {1: "SE", 2: "NO", 3: "DK"}
    bodies = [json.dumps({"number": at, "country": each, "folder": notes.path}) for at, each in countries.items()]
    entries = [{"Id": str(at), "MessageBody": body} for at, body in enumerate(bodies)]
    deployed.sqs.send_message_batch(QueueUrl=queue, Entries=entries)

    deployed.lambda_.create_event_source_mapping(
        EventSourceArn=asked["Attributes"]["QueueArn"],
        FunctionName="parcels",
        FunctionResponseTypes=["ReportBatchItemFailures"],
    )

    wait_until("a note", lambda: notes.lines("parcels"))
    note = json.loads(notes.lines("parcels")[0])
    assert (sorted(note["numbers"]), note["failed"], note["received"]) == ([1, 2, 3], [2], 1)
    counts = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    wait_until(
        "the others to be deleted",
        lambda: (
            deployed.sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=counts)["Attributes"]
            == dict(zip(counts, "01", strict=True))
        ),
    )
