"""Every operation of SQS once through unmodified boto3."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from eventrouter.api.protocol.models import service_model
from eventrouter_adapters.sqs.members import MEMBERS
from tests.adapters.test_sqs_boto3 import refusal
from tests.e2e.accounts import Account

pytestmark = pytest.mark.conformance


def arn_of(sqs: Any, url: str) -> str:
    answer = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    return str(answer["Attributes"]["QueueArn"])


def test_all_operations_of_the_model_are_served() -> None:
    assert set(MEMBERS) == set(service_model("sqs").operation_names)
    assert len(MEMBERS) == 23


def test_a_fifo_queue_keeps_order_and_drops_duplicates(account: Account) -> None:
    sqs = account.sqs
    given = {"FifoQueue": "true", "ContentBasedDeduplication": "true"}
    url = sqs.create_queue(QueueName="jobs.fifo", Attributes=given)["QueueUrl"]

    for body in ("1", "2", "1"):
        sqs.send_message(QueueUrl=url, MessageBody=body, MessageGroupId="g")
    messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, MessageSystemAttributeNames=["All"])[
        "Messages"
    ]

    assert [message["Body"] for message in messages] == ["1", "2"]
    assert messages[0]["Attributes"]["MessageGroupId"] == "g"
    with pytest.raises(ClientError) as missing:
        sqs.send_message(QueueUrl=url, MessageBody="x")
    assert refusal(missing)[1:3] == ("MissingParameter", "MissingRequiredParameterException")


def test_batches_are_answered_entry_by_entry(account: Account) -> None:
    sqs = account.sqs
    url = sqs.create_queue(QueueName="jobs")["QueueUrl"]
    entries = [{"Id": str(n), "MessageBody": str(n)} for n in range(5)]

    sent = sqs.send_message_batch(QueueUrl=url, Entries=[*entries, {"Id": "x", "MessageBody": "\x01"}])
    messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=5)["Messages"]
    handles = [{"Id": message["Body"], "ReceiptHandle": message["ReceiptHandle"]} for message in messages]
    changed = sqs.change_message_visibility_batch(
        QueueUrl=url, Entries=[{**entry, "VisibilityTimeout": 60} for entry in handles]
    )
    sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=handles[0]["ReceiptHandle"], VisibilityTimeout=0)
    deleted = sqs.delete_message_batch(QueueUrl=url, Entries=handles)

    assert [entry["Id"] for entry in sent["Successful"]] == ["0", "1", "2", "3", "4"]
    assert [(entry["Id"], entry["Code"]) for entry in sent["Failed"]] == [("x", "InvalidMessageContents")]
    assert len(changed["Successful"]) == len(deleted["Successful"]) == 5
    with pytest.raises(sqs.exceptions.TooManyEntriesInBatchRequest) as many:
        sqs.send_message_batch(QueueUrl=url, Entries=[{"Id": str(n), "MessageBody": "x"} for n in range(20)])
    with pytest.raises(sqs.exceptions.EmptyBatchRequest):
        sqs.delete_message_batch(QueueUrl=url, Entries=[])
    assert refusal(many)[1] == "AWS.SimpleQueueService.TooManyEntriesInBatchRequest"


def test_attributes_tags_and_permissions_of_a_queue_are_changed(account: Account) -> None:
    sqs = account.sqs
    url = sqs.create_queue(QueueName="jobs", tags={"a": "1"})["QueueUrl"]

    sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "5"})
    sqs.add_permission(QueueUrl=url, Label="l", AWSAccountIds=["111111111111"], Actions=["SendMessage"])
    sqs.tag_queue(QueueUrl=url, Tags={"b": "2"})
    sqs.untag_queue(QueueUrl=url, TagKeys=["a"])

    found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert found["VisibilityTimeout"] == "5"
    assert json.loads(found["Policy"])["Statement"][0]["Action"] == "SQS:SendMessage"
    assert sqs.list_queue_tags(QueueUrl=url)["Tags"] == {"b": "2"}
    sqs.remove_permission(QueueUrl=url, Label="l")
    assert "Policy" not in sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]


def test_dead_letters_are_moved_and_a_move_task_is_known(account: Account) -> None:
    sqs = account.sqs
    dead = sqs.create_queue(QueueName="dead")["QueueUrl"]
    policy = json.dumps({"deadLetterTargetArn": arn_of(sqs, dead), "maxReceiveCount": 1})
    url = sqs.create_queue(QueueName="jobs", Attributes={"RedrivePolicy": policy})["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody="x")

    for _ in range(2):
        sqs.receive_message(QueueUrl=url, VisibilityTimeout=0)
    [message] = sqs.receive_message(
        QueueUrl=dead, WaitTimeSeconds=5, VisibilityTimeout=0, MessageSystemAttributeNames=["All"]
    )["Messages"]

    assert message["Attributes"]["DeadLetterQueueSourceArn"] == arn_of(sqs, url)
    assert sqs.list_dead_letter_source_queues(QueueUrl=dead)["queueUrls"] == [url]
    handle = sqs.start_message_move_task(SourceArn=arn_of(sqs, dead), MaxNumberOfMessagesPerSecond=1)["TaskHandle"]
    [task] = sqs.list_message_move_tasks(SourceArn=arn_of(sqs, dead))["Results"]
    assert task["MaxNumberOfMessagesPerSecond"] == 1
    with pytest.raises(sqs.exceptions.ResourceNotFoundException):
        sqs.start_message_move_task(SourceArn=arn_of(sqs, dead).replace("dead", "none"))
    with pytest.raises(ClientError) as garbage:
        sqs.cancel_message_move_task(TaskHandle="garbage")
    assert refusal(garbage)[3] == "Value for parameter TaskHandle is invalid."
    if task["Status"] == "RUNNING":
        assert task["TaskHandle"] == handle


def test_queues_are_looked_into_over_http(account: Account) -> None:
    import urllib.request

    sqs = account.sqs
    url = sqs.create_queue(QueueName="jobs")["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody="hello")

    request = urllib.request.Request(
        f"{account.url}/_aws/sqs/messages?QueueUrl={url}", headers={"Accept": "application/json"}
    )
    with urllib.request.urlopen(request) as answer:
        [message] = json.loads(answer.read())["Messages"]

    assert message["Body"] == "hello"
    assert sqs.receive_message(QueueUrl=url)["Messages"][0]["Body"] == "hello"
