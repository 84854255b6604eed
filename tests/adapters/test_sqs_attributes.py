"""Queue attributes: FIFO, policies, encryption, and how they change. lambda-semantics §8.2."""

from __future__ import annotations

import json

import pytest
import structlog
from structlog.testing import CapturingLogger

from eventrouter_adapters.sqs.queue_operations import QueueOperations
from tests.adapters.queue_steps import attributes
from tests.adapters.world import CALLER, World, play, refused

pytestmark = pytest.mark.integration

SSE_TEXT = "You can use one type of server-side encryption (SSE) at one time. You can either enable KMS SSE or SQS SSE."


def test_a_fifo_queue_shows_four_attributes_more() -> None:
    async def scenario(world: World) -> None:
        standard = await attributes(world, await world.a_queue("jobs"))
        fifo = await attributes(world, await world.a_queue("jobs.fifo", FifoQueue="true"))

        assert {name: fifo[name] for name in fifo.keys() - standard.keys()} == {
            "FifoQueue": "true",
            "ContentBasedDeduplication": "false",
            "DeduplicationScope": "queue",
            "FifoThroughputLimit": "perQueue",
        }

    play(scenario)


def test_attributes_of_fifo_queues_are_kept() -> None:
    async def scenario(world: World) -> None:
        given = {
            "FifoQueue": "true",
            "ContentBasedDeduplication": "true",
            "DeduplicationScope": "messageGroup",
            "FifoThroughputLimit": "perMessageGroupId",
        }
        url = await world.a_queue("jobs.fifo", **given)

        assert await attributes(world, url, *given) == given
        assert await world.a_queue("jobs.fifo", **given) == url
        again = await refused(world.a_queue("jobs.fifo", FifoQueue="true", ContentBasedDeduplication="false"))
        assert again.code == "QueueNameExists"
        assert again.message.endswith("for attribute ContentBasedDeduplication")

    play(scenario)


@pytest.mark.parametrize(
    ("name", "given", "code", "message"),
    [
        (
            "jobs",
            {"FifoQueue": "true"},
            "InvalidParameterValueException",
            (
                "The name of a FIFO queue can only include alphanumeric characters, hyphens, or underscores, "
                "must end with .fifo suffix and be 1 to 80 in length"
            ),
        ),
        (
            "a" * 76 + ".fifo",
            {"FifoQueue": "true"},
            "InvalidParameterValueException",
            (
                "The name of a FIFO queue can only include alphanumeric characters, hyphens, or underscores, "
                "must end with .fifo suffix and be 1 to 80 in length"
            ),
        ),
        (
            "jobs.fifo",
            {},
            "InvalidParameterValueException",
            "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length",
        ),
        ("jobs.fifo", {"FifoQueue": "false"}, "InvalidAttributeName", "Unknown Attribute FifoQueue."),
        ("jobs.fifo", {"FifoQueue": "yes"}, "InvalidAttributeValue", "Invalid value for the parameter FifoQueue."),
        (
            "jobs",
            {"FifoThroughputLimit": "perQueue"},
            "InvalidAttributeName",
            "You can specify the FifoThroughputLimit only when FifoQueue is set to true.",
        ),
        (
            "jobs",
            {"ContentBasedDeduplication": "true"},
            "InvalidAttributeName",
            "Unknown Attribute ContentBasedDeduplication.",
        ),
        (
            "jobs.fifo",
            {"FifoQueue": "true", "FifoThroughputLimit": "perMessageGroupId"},
            "InvalidAttributeValue",
            (
                "Invalid value for the parameter FifoThroughputLimit. Reason: The perMessageGroupId value is "
                "allowed only when the value for DeduplicationScope is messageGroup."
            ),
        ),
        (
            "jobs.fifo",
            {"FifoQueue": "true", "DeduplicationScope": "all"},
            "InvalidAttributeValue",
            "Invalid value for the parameter DeduplicationScope.",
        ),
        ("jobs", {"Policy": "[]"}, "InvalidAttributeValue", "Invalid value for the parameter Policy."),
        (
            "jobs",
            {"Policy": json.dumps({"Id": "x" * 8_192})},
            "InvalidAttributeValue",
            "Invalid value for the parameter Policy. Reason: Must be at most 8192 characters long.",
        ),
        ("jobs", {"Policy": "{"}, "InvalidAttributeValue", "Invalid value for the parameter Policy."),
        (
            "jobs",
            {"SqsManagedSseEnabled": "1"},
            "InvalidAttributeValue",
            "Invalid value for the parameter SqsManagedSseEnabled.",
        ),
        (
            "jobs",
            {"KmsDataKeyReusePeriodSeconds": "59"},
            "InvalidAttributeValue",
            "Invalid value for the parameter KmsDataKeyReusePeriodSeconds.",
        ),
        ("jobs", {"KmsMasterKeyId": "k", "SqsManagedSseEnabled": "true"}, "InvalidAttributeName", SSE_TEXT),
        ("jobs", {"QueueArn": "a"}, "InvalidAttributeName", "Unknown Attribute QueueArn."),
        (
            "jobs",
            {"VisibilityTimeout": "9" * 5_000},
            "InvalidAttributeValue",
            "Invalid value for the parameter VisibilityTimeout.",
        ),
    ],
)
def test_a_wrong_attribute_is_refused_with_its_reason(
    name: str, given: dict[str, str], code: str, message: str
) -> None:
    async def scenario(world: World) -> None:
        error = await refused(world.a_queue(name, **given))

        assert (error.code, error.message) == (code, message)

    play(scenario)


def test_attributes_are_changed_and_the_others_stay() -> None:
    async def scenario(world: World) -> None:
        url = await world.a_queue("jobs", DelaySeconds="7")
        before = await attributes(world, url)
        await world.clock.sleep(3)

        await world.sqs("SetQueueAttributes", QueueUrl=url, Attributes={"VisibilityTimeout": "5", "Policy": "{}"})

        after = await attributes(world, url)
        changed = {name: text for name, text in after.items() if before.get(name) != text}
        assert changed == {
            "VisibilityTimeout": "5",
            "Policy": "{}",
            "LastModifiedTimestamp": str(int(before["CreatedTimestamp"]) + 3),
        }
        await world.sqs("SetQueueAttributes", QueueUrl=url, Attributes={"Policy": ""})
        assert "Policy" not in await attributes(world, url)
        assert await attributes(world, url, "Policy", "RedrivePolicy") == {}
        missing = await refused(world.sqs("SetQueueAttributes", QueueUrl="none", Attributes={"DelaySeconds": "1"}))
        assert missing.code == "QueueDoesNotExist"

    play(scenario)


def test_the_kind_of_a_queue_cannot_be_changed() -> None:
    async def scenario(world: World) -> None:
        standard = await world.a_queue("jobs")
        fifo = await world.a_queue("jobs.fifo", FifoQueue="true")

        for url, kind in ((standard, "true"), (fifo, "false")):
            error = await refused(world.sqs("SetQueueAttributes", QueueUrl=url, Attributes={"FifoQueue": kind}))
            assert error.code == "InvalidAttributeValue"
            assert error.message == (
                "Invalid value for the parameter FifoQueue. Reason: Modifying queue type is not supported."
            )
        await world.sqs("SetQueueAttributes", QueueUrl=fifo, Attributes={"FifoQueue": "true", "DelaySeconds": "1"})

    play(scenario)


def test_a_queue_is_encrypted_in_one_way_at_a_time() -> None:
    async def scenario(world: World) -> None:
        url = await world.a_queue("jobs")
        names = ("SqsManagedSseEnabled", "KmsMasterKeyId", "KmsDataKeyReusePeriodSeconds")

        await world.sqs("SetQueueAttributes", QueueUrl=url, Attributes={"KmsMasterKeyId": "alias/a"})
        assert await attributes(world, url, *names) == {
            "SqsManagedSseEnabled": "false",
            "KmsMasterKeyId": "alias/a",
            "KmsDataKeyReusePeriodSeconds": "300",
        }
        await world.sqs("SetQueueAttributes", QueueUrl=url, Attributes={"KmsDataKeyReusePeriodSeconds": "60"})
        assert await attributes(world, url, names[2]) == {"KmsDataKeyReusePeriodSeconds": "60"}
        await world.sqs("SetQueueAttributes", QueueUrl=url, Attributes={"SqsManagedSseEnabled": "true"})
        assert await attributes(world, url, *names) == {"SqsManagedSseEnabled": "true"}

    play(scenario)


def test_attributes_that_have_no_effect_here_are_reported() -> None:
    async def scenario(world: World) -> None:
        log = CapturingLogger()
        logger = structlog.wrap_logger(log, [], structlog.make_filtering_bound_logger(0))
        operations = QueueOperations(world.store.queues, logger).operations()
        await operations["CreateQueue"](CALLER, {"QueueName": "jobs", "Attributes": {"Policy": "{}"}})
        await operations["SetQueueAttributes"](CALLER, {"QueueUrl": "jobs", "Attributes": {"KmsMasterKeyId": "k"}})
        await operations["SetQueueAttributes"](CALLER, {"QueueUrl": "jobs", "Attributes": {"DelaySeconds": "1"}})
        limit = {"FifoQueue": "true", "FifoThroughputLimit": "perQueue"}
        await operations["CreateQueue"](CALLER, {"QueueName": "jobs.fifo", "Attributes": limit})

        assert {call.kwargs["event"] for call in log.calls} == {"setting.not_applied"}
        told = [call.kwargs["setting"].split(" ")[0] for call in log.calls]
        assert told == ["Policy", "KmsMasterKeyId", "FifoThroughputLimit"]

    play(scenario)
