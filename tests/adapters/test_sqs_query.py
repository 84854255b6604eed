"""SQS in the query protocol: through botocore's old client, and by hand as with curl. lambda-semantics §8.1."""

from __future__ import annotations

import hashlib
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from xml.etree import ElementTree as ET

import pytest
from botocore.exceptions import ClientError

from tests.adapters.query_client import query_client
from tests.e2e.accounts import Account

pytestmark = pytest.mark.conformance

NAMESPACE = "{http://queue.amazonaws.com/doc/2012-11-05/}"


@pytest.fixture
def old(account: Account, tmp_path: Path) -> Iterator[Any]:
    client = query_client(account.url, account.id, tmp_path)
    yield client
    client.close()


def test_a_message_goes_through_a_queue_in_the_query_protocol(account: Account, old: Any) -> None:
    url = old.create_queue(QueueName="jobs", Attributes={"DelaySeconds": "0"}, tags={"team": "a"})["QueueUrl"]
    body = "grüße & <tags>\r\n\t\U0001f600"
    attributes = {
        "Foo.bar": {"DataType": "String", "StringValue": "<Bär>"},
        "Blob": {"DataType": "Binary", "BinaryValue": b"\x00\xfe"},
    }

    sent = old.send_message(QueueUrl=url, MessageBody=body, MessageAttributes=attributes)
    [message] = old.receive_message(
        QueueUrl=url, MessageAttributeNames=["All"], AttributeNames=["All"], WaitTimeSeconds=5
    )["Messages"]
    old.change_message_visibility(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=10)
    old.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])

    assert url == f"{account.url}/{account.id}/jobs"
    assert message["Body"] == body
    assert message["MD5OfBody"] == sent["MD5OfMessageBody"] == hashlib.md5(body.encode()).hexdigest()
    assert message["MessageAttributes"] == attributes
    assert message["Attributes"]["SenderId"] == account.id
    assert "Messages" not in old.receive_message(QueueUrl=url)
    assert old.list_queue_tags(QueueUrl=url)["Tags"] == {"team": "a"}
    assert old.list_queues()["QueueUrls"] == [old.get_queue_url(QueueName="jobs")["QueueUrl"]]


def test_batches_answer_entry_by_entry_in_the_query_protocol(old: Any) -> None:
    url = old.create_queue(QueueName="jobs.fifo", Attributes={"FifoQueue": "true"})["QueueUrl"]
    entries = [
        {"Id": str(n), "MessageBody": f"b{n}", "MessageGroupId": f"g{n}", "MessageDeduplicationId": str(n)}
        for n in range(3)
    ]

    sent = old.send_message_batch(QueueUrl=url, Entries=[*entries, {**entries[0], "Id": "x", "MessageBody": ""}])
    received = old.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
    changed = old.change_message_visibility_batch(
        QueueUrl=url,
        Entries=[{"Id": "c", "ReceiptHandle": received[0]["ReceiptHandle"], "VisibilityTimeout": 5}],
    )
    deleted = old.delete_message_batch(
        QueueUrl=url, Entries=[{"Id": m["Body"], "ReceiptHandle": m["ReceiptHandle"]} for m in received]
    )

    assert [entry["Id"] for entry in sent["Successful"]] == ["0", "1", "2"]
    assert all(len(entry["SequenceNumber"]) == 20 for entry in sent["Successful"])
    [failed] = sent["Failed"]
    assert (failed["Id"], failed["Code"], failed["SenderFault"]) == ("x", "MissingParameter", True)
    assert changed["Successful"] == [{"Id": "c"}]
    assert {entry["Id"] for entry in deleted["Successful"]} == {"b0", "b1", "b2"}


def test_every_other_operation_works_in_the_query_protocol(account: Account, old: Any) -> None:
    dead = old.create_queue(QueueName="dead")["QueueUrl"]
    arn = old.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    url = old.create_queue(QueueName="jobs")["QueueUrl"]

    policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": "5"})
    old.set_queue_attributes(QueueUrl=url, Attributes={"RedrivePolicy": policy, "VisibilityTimeout": "7"})
    shown = old.get_queue_attributes(QueueUrl=url, AttributeNames=["RedrivePolicy", "VisibilityTimeout"])["Attributes"]
    assert json.loads(shown["RedrivePolicy"]) == {"deadLetterTargetArn": arn, "maxReceiveCount": 5}
    assert shown["VisibilityTimeout"] == "7"
    assert old.list_dead_letter_source_queues(QueueUrl=dead)["queueUrls"] == [url]

    old.add_permission(QueueUrl=url, Label="l", AWSAccountIds=["1" * 12, "2" * 12], Actions=["SendMessage", "*"])
    old.remove_permission(QueueUrl=url, Label="l")
    old.tag_queue(QueueUrl=url, Tags={"a": "1", "b": "2"})
    old.untag_queue(QueueUrl=url, TagKeys=["a"])
    assert old.list_queue_tags(QueueUrl=url)["Tags"] == {"b": "2"}

    handle = old.start_message_move_task(SourceArn=arn)["TaskHandle"]
    [task] = old.list_message_move_tasks(SourceArn=arn)["Results"]
    assert (task["SourceArn"], task["ApproximateNumberOfMessagesToMove"]) == (arn, 0)
    if task["Status"] == "RUNNING":
        assert task["TaskHandle"] == handle
    old.purge_queue(QueueUrl=url)
    old.delete_queue(QueueUrl=url)


def test_errors_carry_their_old_codes(account: Account, old: Any) -> None:
    with pytest.raises(ClientError) as missing:
        old.get_queue_url(QueueName="none")
    url = old.create_queue(QueueName="jobs")["QueueUrl"]
    with pytest.raises(ClientError) as purging:
        for _ in range(2):
            old.purge_queue(QueueUrl=url)
    with pytest.raises(ClientError) as empty:
        old.send_message_batch(QueueUrl=url, Entries=[])

    answers: list[Any] = [error.value.response for error in (missing, purging, empty)]
    assert [(answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"]) for answer in answers] == [
        (400, "AWS.SimpleQueueService.NonExistentQueue"),
        (403, "AWS.SimpleQueueService.PurgeQueueInProgress"),
        (400, "AWS.SimpleQueueService.EmptyBatchRequest"),
    ]
    assert answers[0]["Error"]["Message"] == "The specified queue does not exist for this wsdl version."
    assert answers[0]["Error"]["Type"] == "Sender"


def get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_a_queue_s_url_takes_actions_by_get(account: Account) -> None:
    base = f"{account.url}/000000000000/{account.id}"
    _, created = get(f"{account.url}/?" + urlencode({"Action": "CreateQueue", "QueueName": account.id}))
    assert f"/000000000000/{account.id}</QueueUrl>" in created

    sent_status, sent = get(f"{base}?" + urlencode({"Action": "SendMessage", "MessageBody": "a <b> ü", "Version": "x"}))
    status, received = get(f"{base}?Action=ReceiveMessage&AttributeName.1=All&WaitTimeSeconds=5")

    body = ET.fromstring(received).find(f".//{NAMESPACE}Body")
    assert (sent_status, status) == (200, 200)
    assert "<MD5OfMessageBody>" in sent
    assert body is not None
    assert body.text == "a <b> ü"
    assert get(base) == (404, "<UnknownOperationException/>")
    assert get(f"{base}?Action=ListQueues")[0] == 400
    assert get(f"{base}?Action=DeleteQueue")[0] == 200


def test_ten_thousand_attributes_are_refused_clearly(account: Account, old: Any) -> None:
    url = old.create_queue(QueueName="jobs")["QueueUrl"]
    attributes = {f"a{n}": {"DataType": "String", "StringValue": "x"} for n in range(10_000)}

    for client in (old, account.sqs):
        with pytest.raises(ClientError, match=r"Number of message attributes \[10000\] exceeds the allowed maximum"):
            client.send_message(QueueUrl=url, MessageBody="x", MessageAttributes=attributes)
