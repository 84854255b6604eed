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
