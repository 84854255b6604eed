"""SQS spoken by unmodified boto3, which checks the digests of what it sends and receives."""

from __future__ import annotations

import hashlib
import http.client
import threading
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from botocore.exceptions import ClientError

from tests.e2e.accounts import Account

pytestmark = pytest.mark.conformance


def refusal(error: pytest.ExceptionInfo[ClientError]) -> tuple[int, str, str, str]:
    """Return HTTP status, the code that old SDKs show, the code of the model, and the message."""
    answer: Any = error.value.response
    return (
        answer["ResponseMetadata"]["HTTPStatusCode"],
        answer["Error"]["Code"],
        answer["Error"].get("QueryErrorCode", ""),
        answer["Error"]["Message"],
    )


def test_a_message_goes_through_a_queue(account: Account) -> None:
    sqs = account.sqs
    url = sqs.create_queue(QueueName="jobs", Attributes={"VisibilityTimeout": "5"})["QueueUrl"]
    attributes = {
        "Foo": {"DataType": "String", "StringValue": "Bär"},
        "Count": {"DataType": "Number", "StringValue": "3"},
        "Blob": {"DataType": "Binary", "BinaryValue": b"\x00\xfe"},
    }
    trace = {"AWSTraceHeader": {"DataType": "String", "StringValue": "Root=1-5759e988-bd862e3fe1be46a994272793"}}

    sent = sqs.send_message(
        QueueUrl=url, MessageBody="grüße", MessageAttributes=attributes, MessageSystemAttributes=trace
    )
    [message] = sqs.receive_message(
        QueueUrl=url, MessageAttributeNames=["All"], MessageSystemAttributeNames=["All"], WaitTimeSeconds=5
    )["Messages"]
    sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])

    assert url == f"{account.url}/{account.id}/jobs"
    assert message["MessageId"] == sent["MessageId"]
    assert message["Body"] == "grüße"
    assert message["MD5OfBody"] == sent["MD5OfMessageBody"] == hashlib.md5("grüße".encode()).hexdigest()
    assert message["MessageAttributes"] == attributes
    assert message["MD5OfMessageAttributes"] == sent["MD5OfMessageAttributes"]
    assert message["Attributes"]["AWSTraceHeader"] == trace["AWSTraceHeader"]["StringValue"]
    assert message["Attributes"]["ApproximateReceiveCount"] == "1"
    assert message["Attributes"]["SenderId"] == account.id
    assert "Messages" not in sqs.receive_message(QueueUrl=url)
    assert sqs.get_queue_url(QueueName="jobs")["QueueUrl"] == url
    assert sqs.list_queues(QueueNamePrefix="jo")["QueueUrls"] == [url]


def test_a_long_poll_that_was_hung_up_takes_no_message(account: Account) -> None:
    url = account.sqs.create_queue(QueueName="jobs")["QueueUrl"]
    node = urlsplit(account.url)
    poll = f"Action=ReceiveMessage&QueueUrl={quote(url)}&WaitTimeSeconds=20".encode()
    headers = {
        "authorization": f"AWS4-HMAC-SHA256 Credential={account.id}/20260101/us-east-1/sqs/aws4_request, Signature=0",
        "content-type": "application/x-www-form-urlencoded",
    }

    for _ in range(3):
        connection = http.client.HTTPConnection(node.hostname or "", node.port)
        connection.request("POST", "/", body=poll, headers=headers)
        account.sqs.list_queues()  # is answered behind the poll, which waits by now
        connection.close()
    account.sqs.list_queues()
    account.sqs.send_message(QueueUrl=url, MessageBody="x")

    [message] = account.sqs.receive_message(
        QueueUrl=url, WaitTimeSeconds=5, MessageSystemAttributeNames=["ApproximateReceiveCount"]
    )["Messages"]
    assert message["Attributes"] == {"ApproximateReceiveCount": "1"}


def test_a_long_poll_gets_what_is_sent_meanwhile(account: Account) -> None:
    url = account.sqs.create_queue(QueueName="jobs")["QueueUrl"]
    answers: list[Any] = []
    receiver = account.client("sqs")
    poll = threading.Thread(target=lambda: answers.append(receiver.receive_message(QueueUrl=url, WaitTimeSeconds=20)))
    poll.start()

    account.sqs.send_message(QueueUrl=url, MessageBody="now")
    poll.join(20)

    assert [message["Body"] for message in answers[0]["Messages"]] == ["now"]
    receiver.close()


def test_a_megabyte_goes_through_and_a_byte_more_does_not(account: Account) -> None:
    url = account.sqs.create_queue(QueueName="jobs")["QueueUrl"]

    account.sqs.send_message(QueueUrl=url, MessageBody="x" * 1_048_576)
    with pytest.raises(ClientError) as error:
        account.sqs.send_message(QueueUrl=url, MessageBody="x" * 1_048_577)

    [message] = account.sqs.receive_message(QueueUrl=url)["Messages"]
    assert len(message["Body"]) == 1_048_576
    assert refusal(error) == (
        400,
        "InvalidParameterValue",
        "InvalidParameterValueException",
        "One or more parameters are invalid. Reason: Message must be shorter than 1048576 bytes.",
    )


def test_errors_carry_the_codes_of_both_protocols(account: Account) -> None:
    sqs = account.sqs
    url = sqs.create_queue(QueueName="jobs", Attributes={"DelaySeconds": "1"})["QueueUrl"]

    with pytest.raises(sqs.exceptions.QueueDoesNotExist) as missing:
        sqs.get_queue_url(QueueName="none")
    with pytest.raises(sqs.exceptions.QueueNameExists) as exists:
        sqs.create_queue(QueueName="jobs", Attributes={"DelaySeconds": "2"})
    with pytest.raises(sqs.exceptions.PurgeQueueInProgress) as purging:
        for _ in range(2):
            sqs.purge_queue(QueueUrl=url)
    with pytest.raises(sqs.exceptions.ReceiptHandleIsInvalid) as garbage:
        sqs.delete_message(QueueUrl=url, ReceiptHandle="garbage")
    with pytest.raises(sqs.exceptions.InvalidAttributeName) as unknown:
        sqs.create_queue(QueueName="other", Attributes={"Foobar": "1"})
    with pytest.raises(ClientError) as empty:
        sqs.send_message(QueueUrl=url, MessageBody="")
    sqs.delete_queue(QueueUrl=url)
    with pytest.raises(sqs.exceptions.QueueDeletedRecently) as recent:
        sqs.create_queue(QueueName="jobs")

    assert refusal(missing) == (
        400,
        "AWS.SimpleQueueService.NonExistentQueue",
        "QueueDoesNotExist",
        "The specified queue does not exist.",
    )
    assert refusal(exists)[:3] == (400, "QueueAlreadyExists", "QueueNameExists")
    assert refusal(purging)[:3] == (403, "AWS.SimpleQueueService.PurgeQueueInProgress", "PurgeQueueInProgress")
    assert refusal(garbage)[1] == "ReceiptHandleIsInvalid"
    assert refusal(unknown)[3] == "Unknown Attribute Foobar."
    assert refusal(empty) == (
        400,
        "MissingParameter",
        "MissingRequiredParameterException",
        "The request must contain the parameter MessageBody.",
    )
    assert refusal(recent)[1] == "AWS.SimpleQueueService.QueueDeletedRecently"


def test_the_resource_interface_works_on_queues(account: Account) -> None:
    import boto3

    queues = boto3.resource(
        "sqs",
        endpoint_url=account.url,
        region_name="us-east-1",
        aws_access_key_id=account.id,
        aws_secret_access_key="any",
    )
    queue = queues.create_queue(QueueName="resource")

    queue.send_message(MessageBody="hello")
    [message] = queue.receive_messages(WaitTimeSeconds=5)
    message.delete()

    assert message.body == "hello"
    assert queue.attributes["ApproximateNumberOfMessages"] == "0"
    assert [found.url for found in queues.queues.all()] == [queue.url]
    queues.meta.client.close()
