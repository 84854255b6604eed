"""SQS as its callers see it, in virtual time."""

from __future__ import annotations

import asyncio
import dataclasses

import pytest

from eventrouter.ports import Delivery
from tests.adapters.world import CALLER, EPOCH_MS, World, play, refused

pytestmark = pytest.mark.integration

ARN = "arn:aws:sqs:us-east-1:000000000000:jobs"
TEXT = {"DataType": "String", "StringValue": "Bar"}


async def receive(world: World, url: str, **members: object) -> list[dict[str, object]]:
    answer = await world.sqs("ReceiveMessage", QueueUrl=url, **{"MaxNumberOfMessages": 10} | members)
    return answer.get("Messages", [])


def texts(messages: list[dict[str, object]]) -> list[object]:
    return [message["Body"] for message in messages]


def test_a_new_queue_gets_a_url_and_the_default_attributes() -> None:
    async def scenario(world: World) -> None:
        url = await world.a_queue("jobs")
        answer = await world.sqs("GetQueueAttributes", QueueUrl=url, AttributeNames=["All"])

        assert url == "http://127.0.0.1:4566/000000000000/jobs"
        assert answer["Attributes"] == {
            "ApproximateNumberOfMessages": "0",
            "ApproximateNumberOfMessagesDelayed": "0",
            "ApproximateNumberOfMessagesNotVisible": "0",
            "CreatedTimestamp": str(EPOCH_MS // 1_000),
            "DelaySeconds": "0",
            "LastModifiedTimestamp": str(EPOCH_MS // 1_000),
            "MaximumMessageSize": "1048576",
            "MessageRetentionPeriod": "345600",
            "QueueArn": ARN,
            "ReceiveMessageWaitTimeSeconds": "0",
            "SqsManagedSseEnabled": "true",
            "VisibilityTimeout": "30",
        }

    play(scenario)


def test_given_attributes_are_applied_and_wrong_ones_are_refused_by_name() -> None:
    async def scenario(world: World) -> None:
        given = {
            "DelaySeconds": "1",
            "MaximumMessageSize": "1024",
            "MessageRetentionPeriod": "60",
            "ReceiveMessageWaitTimeSeconds": "2",
            "VisibilityTimeout": "3",
            "SqsManagedSseEnabled": "false",
        }
        url = await world.a_queue("own", **given)
        answer = await world.sqs("GetQueueAttributes", QueueUrl=url, AttributeNames=list(given))
        assert answer["Attributes"] == given

        await world.sqs("SendMessage", QueueUrl=url, MessageBody="x")
        began = world.clock.monotonic()
        assert await receive(world, url, MaxNumberOfMessages=1) != []  # the queue's wait outlasts the queue's delay
        assert 1 <= world.clock.monotonic() - began < 1.2
        assert await receive(world, url, WaitTimeSeconds=0) == []
        await world.clock.sleep(3)
        assert await receive(world, url, WaitTimeSeconds=0) != []
        await world.clock.sleep(60)
        assert await receive(world, url, WaitTimeSeconds=0) == []
        too_long = await refused(world.sqs("SendMessage", QueueUrl=url, MessageBody="x" * 1_025))
        assert too_long.message.endswith("Reason: Message must be shorter than 1024 bytes.")

        assert (await refused(world.a_queue("other", FifoQueue="false"))).message == "Unknown Attribute FifoQueue."
        assert (await refused(world.a_queue("other", Foobar="1"))).message == "Unknown Attribute Foobar."
        assert (
            await refused(world.a_queue("other", DeduplicationScope="queue"))
        ).message == "You can specify the DeduplicationScope only when FifoQueue is set to true."
        for name, value in (("DelaySeconds", "901"), ("VisibilityTimeout", "-1"), ("MaximumMessageSize", "many")):
            error = await refused(world.a_queue("other", **{name: value}))
            assert (error.code, error.message) == (
                "InvalidAttributeValue",
                f"Invalid value for the parameter {name}.",
            )

    play(scenario)


def test_creating_a_queue_again_fails_only_for_another_value_of_a_given_attribute() -> None:
    async def scenario(world: World) -> None:
        url = await world.a_queue("jobs", DelaySeconds="1")

        assert await world.a_queue("jobs") == url
        assert await world.a_queue("jobs", DelaySeconds="01", VisibilityTimeout="30") == url
        error = await refused(world.a_queue("jobs", DelaySeconds="2"))

        assert error.code == "QueueNameExists"
        assert error.headers["x-amzn-query-error"] == "QueueAlreadyExists;Sender"
        assert error.message == (
            "A queue already exists with the same name and a different value for attribute DelaySeconds"
        )

    play(scenario)


@pytest.mark.parametrize("name", ["", "a" * 81, "with space", "dots.not", "jobs.fifo"])
def test_a_wrong_queue_name_is_refused(name: str) -> None:
    async def scenario(world: World) -> None:
        error = await refused(world.a_queue(name))

        assert error.code == "InvalidParameterValueException"
        assert error.message == "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length"

    play(scenario)


def test_a_queue_is_reached_by_every_shape_of_its_url() -> None:
    async def scenario(world: World) -> None:
        await world.a_queue("jobs")
        for url in (
            "jobs",
            "http://127.0.0.1:4566/000000000000/jobs",
            "https://sqs.us-east-1.amazonaws.com/000000000000/jobs",
            "http://sqs.us-east-1.localhost.localstack.cloud:4566/000000000000/jobs",
            "http://us-east-1.queue.localhost.localstack.cloud:4566/000000000000/jobs",
            "http://localhost:4566/queue/us-east-1/000000000000/jobs",
        ):
            await world.sqs("SendMessage", QueueUrl=url, MessageBody="x")
            [message] = await receive(world, url)
            await world.sqs("DeleteMessage", QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            assert (await world.sqs("GetQueueAttributes", QueueUrl=url, AttributeNames=["QueueArn"])) == {
                "Attributes": {"QueueArn": ARN}
            }
        await world.sqs("PurgeQueue", QueueUrl="jobs")
        await world.sqs("DeleteQueue", QueueUrl="http://localhost:4566/000000000000/jobs")
        for operation in ("GetQueueAttributes", "ReceiveMessage", "PurgeQueue", "DeleteQueue"):
            error = await refused(world.sqs(operation, QueueUrl="jobs"))
            assert error.code == "QueueDoesNotExist"
            assert error.message == "The specified queue does not exist."
            assert error.headers["x-amzn-query-error"] == "AWS.SimpleQueueService.NonExistentQueue;Sender"
        for url in ("http://x/y/z/a/b", "http://[x/000000000000/jobs", "http://x]/000000000000/jobs"):
            assert (await refused(world.sqs("PurgeQueue", QueueUrl=url))).code == "InvalidAddress"

    play(scenario)


def test_a_queue_url_is_found_by_name() -> None:
    async def scenario(world: World) -> None:
        url = await world.a_queue("jobs")

        assert await world.sqs("GetQueueUrl", QueueName="jobs") == {"QueueUrl": url}
        for name in ("none", "not a name"):
            assert (await refused(world.sqs("GetQueueUrl", QueueName=name))).code == "QueueDoesNotExist"

    play(scenario)


def test_queues_of_another_account_or_region_do_not_exist() -> None:
    async def scenario(world: World) -> None:
        url = await world.a_queue("jobs")
        stranger = dataclasses.replace(CALLER, account="111111111111")
        abroad = dataclasses.replace(CALLER, region="eu-west-1")

        for caller in (stranger, abroad):
            assert (
                await refused(world.sqs("GetQueueUrl", QueueName="jobs", caller=caller))
            ).code == "QueueDoesNotExist"
            assert await world.sqs("ListQueues", caller=caller) == {}
        assert (await refused(world.sqs("ReceiveMessage", QueueUrl=url, caller=stranger))).code == "QueueDoesNotExist"
        far_url = "http://sqs.us-east-1.localhost.localstack.cloud:4566/000000000000/jobs"
        assert (await refused(world.sqs("ReceiveMessage", QueueUrl=far_url, caller=abroad))).code == "QueueDoesNotExist"
        own = await world.sqs("GetQueueUrl", QueueName="jobs", QueueOwnerAWSAccountId=CALLER.account)
        assert own == {"QueueUrl": url}
        asked = world.sqs("GetQueueUrl", QueueName="jobs", QueueOwnerAWSAccountId="111111111111")
        assert (await refused(asked)).code == "QueueDoesNotExist"

    play(scenario)


def test_only_the_attributes_asked_for_are_answered() -> None:
    async def scenario(world: World) -> None:
        url = await world.a_queue("jobs")

        assert await world.sqs("GetQueueAttributes", QueueUrl=url) == {}
        chosen = await world.sqs("GetQueueAttributes", QueueUrl=url, AttributeNames=["DelaySeconds", "Policy"])
        assert chosen == {"Attributes": {"DelaySeconds": "0"}}
        error = await refused(world.sqs("GetQueueAttributes", QueueUrl=url, AttributeNames=["Foobar"]))
        assert (error.code, error.message) == ("InvalidAttributeName", "Unknown Attribute Foobar.")

    play(scenario)


def test_messages_are_counted_by_what_holds_them() -> None:
    async def scenario(world: World) -> None:
        url = await world.a_queue("jobs")
        for _ in range(3):
            await world.sqs("SendMessage", QueueUrl=url, MessageBody="x")
        await world.sqs("SendMessage", QueueUrl=url, MessageBody="later", DelaySeconds=10)
        await receive(world, url, MaxNumberOfMessages=2)

        answer = await world.sqs("GetQueueAttributes", QueueUrl=url, AttributeNames=["All"])

        counts = [answer["Attributes"][f"ApproximateNumberOfMessages{kind}"] for kind in ("", "NotVisible", "Delayed")]
        assert counts == ["1", "2", "1"]

    play(scenario)


def test_queues_are_listed_by_prefix_and_in_pages() -> None:
    async def scenario(world: World) -> None:
        for name in ("a-1", "a-2", "a-3", "b-1"):
            await world.a_queue(name)
        base = f"{CALLER.base_url}/{CALLER.account}"

        assert await world.sqs("ListQueues", QueueNamePrefix="b") == {"QueueUrls": [f"{base}/b-1"]}
        assert await world.sqs("ListQueues", QueueNamePrefix="c") == {}
        first = await world.sqs("ListQueues", QueueNamePrefix="a", MaxResults=2)
        rest = await world.sqs("ListQueues", QueueNamePrefix="a", MaxResults=2, NextToken=first["NextToken"])
        assert first["QueueUrls"] == [f"{base}/a-1", f"{base}/a-2"]
        assert rest == {"QueueUrls": [f"{base}/a-3"]}
        assert (await refused(world.sqs("ListQueues", MaxResults=1_001))).code == "InvalidParameterValueException"
        assert (await refused(world.sqs("ListQueues", NextToken="%"))).code == "InvalidParameterValueException"

    play(scenario)


def test_a_sent_message_is_received_with_its_digests() -> None:
    async def scenario(world: World) -> None:
        url = await world.a_queue("jobs")

        sent = await world.sqs("SendMessage", QueueUrl=url, MessageBody="hello")
        [message] = await receive(world, url)

        assert sent == {"MessageId": message["MessageId"], "MD5OfMessageBody": "5d41402abc4b2a76b9719d911017c592"}
        assert message.keys() == {"MessageId", "ReceiptHandle", "MD5OfBody", "Body"}
        assert (message["Body"], message["MD5OfBody"]) == ("hello", "5d41402abc4b2a76b9719d911017c592")
        assert await receive(world, url) == []

    play(scenario)


def test_message_attributes_come_back_as_far_as_they_are_asked_for() -> None:
    async def scenario(world: World) -> None:
        url = await world.a_queue("jobs", VisibilityTimeout="0")
        attributes = {
            "Foo": TEXT,
            "foo.one": {"DataType": "Number.int", "StringValue": "1"},
            "foo.two": {"DataType": "Binary", "BinaryValue": b"\x00\xff"},
        }
        sent = await world.sqs("SendMessage", QueueUrl=url, MessageBody="x", MessageAttributes=attributes)
        [everything] = await receive(world, url, MessageAttributeNames=["All"])
        [by_name] = await receive(world, url, MessageAttributeNames=["Foo", "none"])
        [by_prefix] = await receive(world, url, MessageAttributeNames=["foo.*"])
        [by_dot] = await receive(world, url, MessageAttributeNames=[".*"])
        [nothing] = await receive(world, url)

        assert everything["MessageAttributes"] == by_dot["MessageAttributes"] == attributes
        assert everything["MD5OfMessageAttributes"] == sent["MD5OfMessageAttributes"]
        assert by_name["MessageAttributes"] == {"Foo": TEXT}
        assert by_name["MD5OfMessageAttributes"] == "ae7155c6026991b6d54b11589678bf9c"
        assert sorted(by_prefix["MessageAttributes"]) == ["foo.one", "foo.two"]
        assert "MessageAttributes" not in nothing
        assert "MD5OfMessageAttributes" not in nothing

    play(scenario)


def test_the_trace_header_travels_as_a_system_attribute() -> None:
    async def scenario(world: World) -> None:
        url = await world.a_queue("jobs")
        trace = {"AWSTraceHeader": {"DataType": "String", "StringValue": "Root=1-5759e988-bd862e3fe1be46a994272793"}}

        sent = await world.sqs(
            "SendMessage", QueueUrl=url, MessageBody="x", MessageAttributes={"Foo": TEXT}, MessageSystemAttributes=trace
        )
        [message] = await receive(world, url, MessageSystemAttributeNames=["AWSTraceHeader"])

        assert sent["MD5OfMessageAttributes"] == "ae7155c6026991b6d54b11589678bf9c"
        assert len(sent["MD5OfMessageSystemAttributes"]) == 32
        assert message["Attributes"] == {"AWSTraceHeader": trace["AWSTraceHeader"]["StringValue"]}
        for wrong in ({"Other": TEXT}, {"AWSTraceHeader": {"DataType": "Number", "StringValue": "1"}}):
            refusal = world.sqs("SendMessage", QueueUrl=url, MessageBody="x", MessageSystemAttributes=wrong)
            assert (await refused(refusal)).code == "InvalidParameterValueException"

    play(scenario)


def test_system_attributes_come_back_only_when_asked_for() -> None:
    async def scenario(world: World) -> None:
        url = await world.a_queue("jobs", VisibilityTimeout="1")
        await world.sqs("SendMessage", QueueUrl=url, MessageBody="x")
        await world.clock.sleep(5)
        [first] = await receive(world, url, AttributeNames=["All"])
        await world.clock.sleep(5)
        [second] = await receive(world, url, MessageSystemAttributeNames=["All"])
        await world.clock.sleep(5)
        names = {"MessageSystemAttributeNames": ["SenderId"], "AttributeNames": ["All"]}
        [third] = await receive(world, url, **names)

        assert first["Attributes"] == {
            "SenderId": "000000000000",
            "SentTimestamp": str(EPOCH_MS),
            "ApproximateReceiveCount": "1",
            "ApproximateFirstReceiveTimestamp": str(EPOCH_MS + 5_000),
        }
        assert second["Attributes"] == {**first["Attributes"], "ApproximateReceiveCount": "2"}
        assert third["Attributes"] == {"SenderId": "000000000000"}
        error = await refused(world.sqs("ReceiveMessage", QueueUrl=url, AttributeNames=["Foobar"]))
        assert error.message == "Unknown Attribute Foobar."

    play(scenario)


def test_a_message_group_id_comes_back_as_a_system_attribute() -> None:
    async def scenario(world: World) -> None:
        url = await world.a_queue("jobs")

        sent = await world.sqs("SendMessage", QueueUrl=url, MessageBody="x", MessageGroupId="g-1")
        [message] = await receive(world, url, MessageSystemAttributeNames=["MessageGroupId"])

        assert "SequenceNumber" not in sent
        assert message["Attributes"] == {"MessageGroupId": "g-1"}
        error = await refused(world.sqs("SendMessage", QueueUrl=url, MessageBody="x", MessageGroupId="a b"))
        assert error.message == (
            "Value a b for parameter MessageGroupId is invalid. Reason: MessageGroupId can only include alphanumeric "
            "and punctuation characters. 1 to 128 in length."
        )

    play(scenario)


def test_fifo_parameters_are_refused_for_standard_queues() -> None:
    async def scenario(world: World) -> None:
        url = await world.a_queue("jobs")

        sent = await refused(world.sqs("SendMessage", QueueUrl=url, MessageBody="x", MessageDeduplicationId="d"))
        received = await refused(world.sqs("ReceiveMessage", QueueUrl=url, ReceiveRequestAttemptId="a"))

        assert sent.message == (
            "Value d for parameter MessageDeduplicationId is invalid. "
            "Reason: The request include parameter that is not valid for this queue type."
        )
        assert received.code == "InvalidParameterValueException"

    play(scenario)


@pytest.mark.parametrize(
    ("operation", "member", "value", "message"),
    [
        (
            "ReceiveMessage",
            "MaxNumberOfMessages",
            11,
            "Value 11 for parameter MaxNumberOfMessages is invalid. Reason: Must be between 1 and 10, if provided.",
        ),
        (
            "ReceiveMessage",
            "MaxNumberOfMessages",
            0,
            "Value 0 for parameter MaxNumberOfMessages is invalid. Reason: Must be between 1 and 10, if provided.",
        ),
        (
            "ReceiveMessage",
            "WaitTimeSeconds",
            21,
            "Value 21 for parameter WaitTimeSeconds is invalid. Reason: Must be >= 0 and <= 20, if provided.",
        ),
        (
            "ReceiveMessage",
            "VisibilityTimeout",
            43_201,
            "Value 43201 for parameter VisibilityTimeout is invalid. Reason: Must be >= 0 and <= 43200, if provided.",
        ),
        (
            "SendMessage",
            "DelaySeconds",
            901,
            "Value 901 for parameter DelaySeconds is invalid. Reason: DelaySeconds must be >= 0 and <= 900.",
        ),
    ],
)
def test_a_number_out_of_range_is_refused_with_its_range(operation: str, member: str, value: int, message: str) -> None:
    async def scenario(world: World) -> None:
        url = await world.a_queue("jobs")

        error = await refused(world.sqs(operation, QueueUrl=url, MessageBody="x", **{member: value}))

        assert error.code == "InvalidParameterValueException"
        assert error.headers["x-amzn-query-error"] == "InvalidParameterValue;Sender"
        assert error.message == message

    play(scenario)


def test_a_receive_takes_no_more_than_it_asks_for() -> None:
    async def scenario(world: World) -> None:
        url = await world.a_queue("jobs")
        for number in range(4):
            await world.sqs("SendMessage", QueueUrl=url, MessageBody=str(number))

        one = await world.sqs("ReceiveMessage", QueueUrl=url)
        two = await receive(world, url, MaxNumberOfMessages=2)
        rest = await receive(world, url, MaxNumberOfMessages=10)

        assert [len(one["Messages"]), len(two), len(rest)] == [1, 2, 1]

    play(scenario)


def test_a_message_hides_for_the_visibility_timeout_of_its_receive() -> None:
    async def scenario(world: World) -> None:
        url = await world.a_queue("jobs")
        await world.sqs("SendMessage", QueueUrl=url, MessageBody="x")

        [first] = await receive(world, url, VisibilityTimeout=100)
        await world.clock.sleep(99)
        early = await receive(world, url)
        await world.clock.sleep(1)
        [second] = await receive(world, url)

        assert early == []
        assert first["MessageId"] == second["MessageId"]
        assert first["ReceiptHandle"] != second["ReceiptHandle"]

    play(scenario)


def test_a_deleted_message_does_not_come_back() -> None:
    async def scenario(world: World) -> None:
        url = await world.a_queue("jobs", VisibilityTimeout="5")
        await world.sqs("SendMessage", QueueUrl=url, MessageBody="x")
        [message] = await receive(world, url)
        await world.clock.sleep(10)  # a handle works on after its visibility timeout

        for _ in range(2):
            assert await world.sqs("DeleteMessage", QueueUrl=url, ReceiptHandle=message["ReceiptHandle"]) == {}

        await world.clock.sleep(10)
        assert await receive(world, url) == []
        for garbage in ("garbage", "Z2FyYmFnZQ=="):
            error = await refused(world.sqs("DeleteMessage", QueueUrl=url, ReceiptHandle=garbage))
            assert error.code == "ReceiptHandleIsInvalid"
            assert error.message == f'The input receipt handle "{garbage}" is not a valid receipt handle.'

    play(scenario)


def test_an_old_handle_is_answered_like_a_good_one_and_deletes_nothing() -> None:
    async def scenario(world: World) -> None:
        url = await world.a_queue("jobs")
        await world.sqs("SendMessage", QueueUrl=url, MessageBody="x")
        [old] = await receive(world, url, VisibilityTimeout=1)
        await world.clock.sleep(2)
        await receive(world, url, VisibilityTimeout=10)

        assert await world.sqs("DeleteMessage", QueueUrl=url, ReceiptHandle=old["ReceiptHandle"]) == {}

        await world.clock.sleep(11)
        assert texts(await receive(world, url)) == ["x"]

    play(scenario)


def test_a_delayed_message_is_received_when_its_delay_is_over() -> None:
    async def scenario(world: World) -> None:
        url = await world.a_queue("jobs", DelaySeconds="30")
        await world.sqs("SendMessage", QueueUrl=url, MessageBody="queue's")
        await world.sqs("SendMessage", QueueUrl=url, MessageBody="own", DelaySeconds=10)
        began = world.clock.monotonic()

        first = await receive(world, url, WaitTimeSeconds=20)
        own_after = world.clock.monotonic() - began
        second = await receive(world, url, WaitTimeSeconds=20)
        queues_after = world.clock.monotonic() - began

        assert (texts(first), texts(second)) == (["own"], ["queue's"])
        assert 10 <= own_after < 10.1
        assert 30 <= queues_after < 30.1

    play(scenario)


def test_a_long_poll_returns_as_soon_as_a_message_is_sent() -> None:
    async def scenario(world: World) -> None:
        url = await world.a_queue("jobs")
        polls = [asyncio.create_task(receive(world, url, WaitTimeSeconds=20)) for _ in range(2)]
        await world.clock.sleep(3.3)
        began = world.clock.monotonic()

        await world.sqs("SendMessage", QueueUrl=url, MessageBody="one")
        done, waiting = await asyncio.wait(polls, return_when=asyncio.FIRST_COMPLETED)
        at_once = world.clock.monotonic() - began
        await world.target.deliver(ARN, Delivery(id="d-1", body=b"two"))
        rest = await asyncio.gather(*waiting)

        assert at_once == 0
        assert world.clock.monotonic() - began == 0
        assert [texts(poll.result()) for poll in done] == [["one"]]
        assert [texts(messages) for messages in rest] == [["two"]]

    play(scenario)


def test_a_long_poll_whose_caller_has_left_takes_no_message() -> None:
    async def scenario(world: World) -> None:
        url = await world.a_queue("jobs")
        has_left = asyncio.Event()
        caller = dataclasses.replace(CALLER, leaves=has_left.wait)
        poll = asyncio.create_task(world.sqs("ReceiveMessage", caller=caller, QueueUrl=url, WaitTimeSeconds=20))
        await world.clock.sleep(3.3)

        has_left.set()
        began = world.clock.monotonic()
        assert await poll == {}
        assert world.clock.monotonic() == began
        await world.sqs("SendMessage", QueueUrl=url, MessageBody="x")
        assert texts(await receive(world, url)) == ["x"]

    play(scenario)


def test_a_long_poll_ends_empty_after_its_wait_without_looking_all_the_time() -> None:
    async def scenario(world: World) -> None:
        url = await world.a_queue("jobs", ReceiveMessageWaitTimeSeconds="5")
        looks = 0
        call = world.store.scripts.call

        async def counted(name: str, *arguments: object, **options: object) -> list[object]:
            nonlocal looks
            looks += name == "queue_receive"
            return await call(name, *arguments, **options)

        world.store.scripts.call = counted
        began = world.clock.monotonic()
        assert await world.sqs("ReceiveMessage", QueueUrl=url) == {}
        after_queues_wait = world.clock.monotonic() - began
        assert await world.sqs("ReceiveMessage", QueueUrl=url, WaitTimeSeconds=20) == {}

        assert after_queues_wait == pytest.approx(5)
        assert world.clock.monotonic() - began == pytest.approx(25)
        assert looks <= 28

    play(scenario)


def test_a_purge_empties_a_queue_once_a_minute() -> None:
    async def scenario(world: World) -> None:
        url = await world.a_queue("jobs")
        await world.sqs("SendMessage", QueueUrl=url, MessageBody="x")
        await world.sqs("SendMessage", QueueUrl=url, MessageBody="y", DelaySeconds=1)
        await receive(world, url, VisibilityTimeout=1)

        assert await world.sqs("PurgeQueue", QueueUrl=url) == {}
        error = await refused(world.sqs("PurgeQueue", QueueUrl=url))
        await world.clock.sleep(5)

        assert await receive(world, url) == []
        assert (error.code, error.status) == ("PurgeQueueInProgress", 403)
        assert error.message == "Only one PurgeQueue operation on jobs is allowed every 60 seconds."
        assert error.headers["x-amzn-query-error"] == "AWS.SimpleQueueService.PurgeQueueInProgress;Sender"
        await world.clock.sleep(60)
        assert await world.sqs("PurgeQueue", QueueUrl=url) == {}

    play(scenario)


def test_a_deleted_queue_may_be_created_again_after_a_minute() -> None:
    async def scenario(world: World) -> None:
        url = await world.a_queue("jobs")
        await world.sqs("SendMessage", QueueUrl=url, MessageBody="x")

        await world.sqs("DeleteQueue", QueueUrl=url)

        assert await world.sqs("ListQueues") == {}
        error = await refused(world.a_queue("jobs"))
        assert error.code == "QueueDeletedRecently"
        assert error.message == (
            "You must wait 60 seconds after deleting a queue before you can create another with the same name."
        )
        await world.clock.sleep(60)
        assert await world.a_queue("jobs") == url
        assert await receive(world, url) == []
        assert await world.sqs("ListQueues") == {"QueueUrls": [url]}

    play(scenario)
