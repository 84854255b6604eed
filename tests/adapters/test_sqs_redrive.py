"""Redrive as callers see it: policies, dead letters, and the sources of a dead-letter queue. lambda-semantics §8.6."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.adapters.queue_steps import arn_of, attributes, receive, texts
from tests.adapters.world import CALLER, World, play, refused

pytestmark = pytest.mark.integration


def policy(target: str = "dead", count: object = 2) -> str:
    return json.dumps({"deadLetterTargetArn": arn_of(target), "maxReceiveCount": count})


def test_a_message_received_too_often_moves_to_the_dead_letter_queue() -> None:
    async def scenario(world: World) -> None:
        dead = await world.a_queue("dead")
        url = await world.a_queue("jobs", RedrivePolicy=policy())
        user = {"Foo": {"DataType": "String", "StringValue": "Bar"}}
        sent = await world.sqs("SendMessage", QueueUrl=url, MessageBody="x", MessageAttributes=user)

        for _ in range(2):
            assert texts(await receive(world, url, VisibilityTimeout=0)) == ["x"]
        assert await receive(world, url, VisibilityTimeout=0) == []
        [message] = await receive(world, dead, MessageSystemAttributeNames=["All"], MessageAttributeNames=["All"])

        assert message["MessageId"] == sent["MessageId"]
        assert message["MessageAttributes"] == user
        assert message["Attributes"]["ApproximateReceiveCount"] == "3"
        assert message["Attributes"]["DeadLetterQueueSourceArn"] == arn_of("jobs")

    play(scenario)


def test_a_redrive_policy_is_set_shown_and_removed() -> None:
    async def scenario(world: World) -> None:
        await world.a_queue("dead")
        url = await world.a_queue("jobs")

        await world.sqs("SetQueueAttributes", QueueUrl=url, Attributes={"RedrivePolicy": policy(count="7")})
        assert await attributes(world, url, "RedrivePolicy") == {
            "RedrivePolicy": f'{{"deadLetterTargetArn":"{arn_of("dead")}","maxReceiveCount":7}}'
        }
        assert await world.a_queue("jobs", RedrivePolicy=policy(count=7)) == url
        own = await refused(world.sqs("SetQueueAttributes", QueueUrl=url, Attributes={"RedrivePolicy": policy("jobs")}))
        assert own.message.endswith("Reason: Dead letter target must be another queue than the source.")
        other = await refused(world.a_queue("jobs", RedrivePolicy=policy(count=8)))
        assert other.code == "QueueNameExists"
        await world.sqs("SetQueueAttributes", QueueUrl=url, Attributes={"RedrivePolicy": ""})
        assert "RedrivePolicy" not in await attributes(world, url)

    play(scenario)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("no", "Redrive policy is not a valid JSON map."),
        ("[]", "Redrive policy is not a valid JSON map."),
        ("[" * 5_000, "Redrive policy is not a valid JSON map."),
        ('{"maxReceiveCount":1}', "Redrive policy does not contain mandatory attribute: deadLetterTargetArn."),
        (
            f'{{"deadLetterTargetArn":"{arn_of("dead")}"}}',
            "Redrive policy does not contain mandatory attribute: maxReceiveCount.",
        ),
        (
            policy(count=0),
            "Invalid value for maxReceiveCount: 0, valid values are from 1 to 1000 both inclusive.",
        ),
        (
            policy(count="1001"),
            "Invalid value for maxReceiveCount: 1001, valid values are from 1 to 1000 both inclusive.",
        ),
        (
            policy(count=True),
            "Invalid value for maxReceiveCount: True, valid values are from 1 to 1000 both inclusive.",
        ),
        ('{"deadLetterTargetArn":"dead","maxReceiveCount":1}', "Dead letter target ARN is invalid."),
        (policy("none"), "Dead letter target does not exist."),
        (policy().replace("us-east-1", "eu-west-1"), "Dead letter target does not exist."),
        (policy("dead.fifo"), "Dead letter target must be same type of queue as the source."),
        (policy("closed"), "Dead letter target does not allow this queue as a source."),
    ],
)
def test_a_wrong_redrive_policy_is_refused_with_its_reason(text: str, reason: str) -> None:
    async def scenario(world: World) -> None:
        await world.a_queue("dead")
        await world.a_queue("dead.fifo", FifoQueue="true")
        await world.a_queue("closed", RedriveAllowPolicy='{"redrivePermission":"denyAll"}')

        error = await refused(world.a_queue("jobs", RedrivePolicy=text))

        assert error.code == "InvalidParameterValueException"
        assert error.message == f"Value {text} for parameter RedrivePolicy is invalid. Reason: {reason}"

    play(scenario)


def test_a_dead_letter_queue_says_whose_it_is() -> None:
    async def scenario(world: World) -> None:
        allow = {"redrivePermission": "byQueue", "sourceQueueArns": [arn_of("jobs")]}
        dead = await world.a_queue("dead", RedriveAllowPolicy=json.dumps(allow))

        await world.a_queue("jobs", RedrivePolicy=policy())
        other = await refused(world.a_queue("other", RedrivePolicy=policy()))
        shown = await attributes(world, dead, "RedriveAllowPolicy")
        await world.sqs("SetQueueAttributes", QueueUrl=dead, Attributes={"RedriveAllowPolicy": ""})

        assert json.loads(shown["RedriveAllowPolicy"]) == allow
        assert other.message.endswith("Dead letter target does not allow this queue as a source.")
        await world.a_queue("other", RedrivePolicy=policy())

    play(scenario)


@pytest.mark.parametrize(
    "allow",
    [
        [],
        {},
        {"redrivePermission": "some"},
        {"redrivePermission": "allowAll", "sourceQueueArns": [arn_of("jobs")]},
        {"redrivePermission": "byQueue"},
        {"redrivePermission": "byQueue", "sourceQueueArns": []},
        {"redrivePermission": "byQueue", "sourceQueueArns": [arn_of("jobs")] * 11},
        {"redrivePermission": "byQueue", "sourceQueueArns": ["jobs"]},
        {"redrivePermission": "byQueue", "sourceQueueArns": [1]},
    ],
)
def test_a_wrong_redrive_allow_policy_is_refused(allow: Any) -> None:
    async def scenario(world: World) -> None:
        error = await refused(world.a_queue("dead", RedriveAllowPolicy=json.dumps(allow)))

        assert error.code == "InvalidParameterValueException"
        assert "for parameter RedriveAllowPolicy is invalid." in error.message

    play(scenario)


def test_the_sources_of_a_dead_letter_queue_are_listed_in_pages() -> None:
    async def scenario(world: World) -> None:
        dead = await world.a_queue("dead")
        urls = [await world.a_queue(f"jobs-{number}", RedrivePolicy=policy()) for number in range(3)]
        await world.a_queue("other")

        listed = await world.sqs("ListDeadLetterSourceQueues", QueueUrl=dead)
        first = await world.sqs("ListDeadLetterSourceQueues", QueueUrl=dead, MaxResults=2)
        rest = await world.sqs("ListDeadLetterSourceQueues", QueueUrl=dead, MaxResults=2, NextToken=first["NextToken"])

        assert listed == {"queueUrls": urls}
        assert (first["queueUrls"], rest) == (urls[:2], {"queueUrls": urls[2:]})
        assert await world.sqs("ListDeadLetterSourceQueues", QueueUrl=urls[0]) == {"queueUrls": []}
        nowhere = await refused(world.sqs("ListDeadLetterSourceQueues", QueueUrl=f"{CALLER.base_url}/none"))
        assert nowhere.code == "InvalidAddress"
        missing = await refused(world.sqs("ListDeadLetterSourceQueues", QueueUrl="none"))
        assert missing.code == "QueueDoesNotExist"

    play(scenario)
