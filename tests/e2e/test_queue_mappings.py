"""Queue mappings from end to end: messages sent with boto3, and the batches that a function is given."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.e2e.accounts import Account, Notes
from tests.e2e.nodes import wait_until

WORKER = """
import json, os, time

def handler(event, context):
    with open(os.path.join(os.environ["NOTES"], "events"), "a") as file:
        file.write(json.dumps({"at": time.time(), "records": event["Records"]}) + "\\n")
    bodies = [record["body"] for record in event["Records"]]
    assert "poison" not in bodies
    return {"batchItemFailures": [
        {"itemIdentifier": record["messageId"]} for record in event["Records"] if record["body"] == "bad"
    ]}
"""


@dataclass(frozen=True)
class Jobs:
    """A queue, a function that works it off, and what that noted."""

    account: Account
    sqs: Any
    url: str
    arn: str
    function: str
    notes: Notes

    def map(self, **settings: Any) -> str:
        lambda_ = self.account.lambda_
        answer = lambda_.create_event_source_mapping(EventSourceArn=self.arn, FunctionName=self.function, **settings)
        uuid = str(answer["UUID"])
        self.wait_state(uuid, "Enabled")
        return uuid

    def wait_state(self, uuid: str, state: str) -> None:
        wait_until(
            f"{uuid} to be {state}",
            lambda: self.account.lambda_.get_event_source_mapping(UUID=uuid)["State"] == state,
        )

    def send(self, *bodies: str) -> None:
        entries = [{"Id": str(index), "MessageBody": body} for index, body in enumerate(bodies)]
        assert "Failed" not in self.sqs.send_message_batch(QueueUrl=self.url, Entries=entries)

    @property
    def batches(self) -> list[list[str]]:
        return [[record["body"] for record in event["records"]] for event in self.events]

    @property
    def bodies(self) -> list[str]:
        return [body for batch in self.batches for body in batch]

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.notes.lines("events")]

    def wait_empty(self) -> None:
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]

        def is_empty() -> bool:
            answer = self.sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=names)
            return set(answer["Attributes"].values()) == {"0"}

        wait_until("the queue to be empty", is_empty)


@pytest.fixture
def jobs(account: Account, notes: Notes) -> Iterator[Jobs]:
    sqs = account.client("sqs")
    url = sqs.create_queue(QueueName="jobs", Attributes={"VisibilityTimeout": "3"})["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    function = account.function(WORKER, Environment={"Variables": {"NOTES": notes.path}}, Timeout=3)
    yield Jobs(account, sqs, url, arn, function, notes)
    for mapping in account.lambda_.list_event_source_mappings()["EventSourceMappings"]:
        account.lambda_.delete_event_source_mapping(UUID=mapping["UUID"])
    sqs.close()


def test_messages_reach_the_function_within_moments_and_are_deleted(jobs: Jobs) -> None:
    jobs.map()
    jobs.send("one", "two")
    wait_until("the first messages", lambda: sorted(jobs.bodies) == ["one", "two"])
    sent_at = time.time()
    jobs.send("three")
    wait_until("the third message", lambda: jobs.bodies[2:] == ["three"])

    assert jobs.events[-1]["at"] - sent_at < 0.5
    [record] = jobs.events[-1]["records"]
    assert record["eventSourceARN"] == jobs.arn
    assert "md5OfMessageAttributes" not in record
    jobs.wait_empty()


def test_only_what_is_reported_comes_back_and_ends_in_the_dead_letter_queue(jobs: Jobs) -> None:
    dead = jobs.account.queue()
    redrive = json.dumps({"deadLetterTargetArn": dead.arn, "maxReceiveCount": 2})
    jobs.sqs.set_queue_attributes(QueueUrl=jobs.url, Attributes={"RedrivePolicy": redrive})
    jobs.map(FunctionResponseTypes=["ReportBatchItemFailures"])
    jobs.send("good", "bad", "better")

    assert dead.receive()["Body"] == "bad"
    assert [sorted(batch) for batch in jobs.batches] == [["bad", "better", "good"], ["bad"]]
    jobs.wait_empty()


def test_a_mapping_pauses_and_goes_on(jobs: Jobs) -> None:
    uuid = jobs.map()
    jobs.account.lambda_.update_event_source_mapping(UUID=uuid, Enabled=False)
    jobs.wait_state(uuid, "Disabled")
    jobs.send("waits")
    time.sleep(0.5)
    assert jobs.batches == []
    jobs.account.lambda_.update_event_source_mapping(UUID=uuid, Enabled=True)
    wait_until("the message", lambda: jobs.batches == [["waits"]])
    jobs.wait_empty()


def test_a_queue_mapping_is_shown_without_shards_and_cannot_be_rewound(jobs: Jobs) -> None:
    uuid = jobs.map()
    path = f"{jobs.account.url}/_eventrouter/mappings/{uuid}"
    with urllib.request.urlopen(path, timeout=10) as answer:
        shown = json.load(answer)

    assert (shown["state"], shown["shards"], shown["problem"]) == ("Enabled", [], None)
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"{path}/rewind", data=b'{"to":0}', timeout=10)
    assert refused.value.code == 400
    refused.value.close()
