"""AddPermission and RemovePermission. lambda-semantics §8.7."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.adapters.queue_steps import arn_of, attributes
from tests.adapters.world import World, play, refused

pytestmark = pytest.mark.integration

ALLOWED: dict[str, Any] = {"AWSAccountIds": ["111111111111"], "Actions": ["ReceiveMessage"]}


def test_permissions_are_statements_of_the_policy() -> None:
    async def scenario(world: World) -> None:
        url = await world.a_queue("jobs")

        await world.sqs("AddPermission", QueueUrl=url, Label="one", **ALLOWED)
        policy = json.loads((await attributes(world, url))["Policy"])
        assert policy == {
            "Version": "2008-10-17",
            "Id": f"{arn_of('jobs')}/SQSDefaultPolicy",
            "Statement": [
                {
                    "Sid": "one",
                    "Effect": "Allow",
                    "Principal": {"AWS": "arn:aws:iam::111111111111:root"},
                    "Action": "SQS:ReceiveMessage",
                    "Resource": arn_of("jobs"),
                }
            ],
        }

        await world.sqs(
            "AddPermission",
            QueueUrl=url,
            Label="two",
            AWSAccountIds=["111111111111", "222222222222"],
            Actions=["SendMessage", "*"],
        )
        statement = json.loads((await attributes(world, url))["Policy"])["Statement"][1]
        assert statement["Principal"]["AWS"] == ["arn:aws:iam::111111111111:root", "arn:aws:iam::222222222222:root"]
        assert statement["Action"] == ["SQS:SendMessage", "SQS:*"]

        await world.sqs("RemovePermission", QueueUrl=url, Label="one")
        assert len(json.loads((await attributes(world, url))["Policy"])["Statement"]) == 1
        await world.sqs("RemovePermission", QueueUrl=url, Label="two")
        assert "Policy" not in await attributes(world, url)

    play(scenario)


def test_a_statement_is_added_to_a_policy_that_was_set() -> None:
    async def scenario(world: World) -> None:
        single = {"Version": "2012-10-17", "Statement": {"Sid": "mine", "Effect": "Deny"}}
        url = await world.a_queue("jobs", Policy=json.dumps(single))

        await world.sqs("AddPermission", QueueUrl=url, Label="one", **ALLOWED)

        policy = json.loads((await attributes(world, url))["Policy"])
        assert policy["Version"] == "2012-10-17"
        assert [statement["Sid"] for statement in policy["Statement"]] == ["mine", "one"]

    play(scenario)


@pytest.mark.parametrize(
    ("operation", "members", "message"),
    [
        (
            "AddPermission",
            {"Label": "one", **ALLOWED},
            "Value one for parameter Label is invalid. Reason: Already exists.",
        ),
        ("RemovePermission", {"Label": "two"}, "Value two for parameter Label is invalid. Reason: can't find label."),
        (
            "AddPermission",
            {"Label": "two", **ALLOWED, "Actions": ["Fly"]},
            (
                "Value SQS:Fly for parameter ActionName is invalid. "
                "Reason: Please refer to the appropriate WSDL for a list of valid actions."
            ),
        ),
        (
            "AddPermission",
            {"Label": "two", **ALLOWED, "AWSAccountIds": ["me"]},
            "Value [me] for parameter PrincipalId is invalid. Reason: Unable to verify.",
        ),
        (
            "AddPermission",
            {"Label": "a b", **ALLOWED},
            (
                "Value a b for parameter Label is invalid. "
                "Reason: Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length"
            ),
        ),
        (
            "AddPermission",
            {"Label": "two", **ALLOWED, "Actions": []},
            "The request must contain the parameter Actions.",
        ),
        (
            "AddPermission",
            {"Label": "two", **ALLOWED, "AWSAccountIds": []},
            "The request must contain the parameter AWSAccountIds.",
        ),
        (
            "AddPermission",
            {"Label": "two", **ALLOWED, "Actions": ["*"] * 8},
            "8 Actions were found, maximum allowed is 7.",
        ),
    ],
)
def test_a_wrong_permission_is_refused_with_its_reason(operation: str, members: dict[str, Any], message: str) -> None:
    async def scenario(world: World) -> None:
        url = await world.a_queue("jobs")
        await world.sqs("AddPermission", QueueUrl=url, Label="one", **ALLOWED)

        assert (await refused(world.sqs(operation, QueueUrl=url, **members))).message == message

    play(scenario)


def test_a_queue_that_does_not_exist_has_no_permissions() -> None:
    async def scenario(world: World) -> None:
        adding = await refused(world.sqs("AddPermission", QueueUrl="none", Label="one", **ALLOWED))
        removing = await refused(world.sqs("RemovePermission", QueueUrl="none", Label="one"))

        assert adding.code == removing.code == "QueueDoesNotExist"

    play(scenario)
