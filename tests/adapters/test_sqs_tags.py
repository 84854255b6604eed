"""Tags of queues."""

from __future__ import annotations

import asyncio

import pytest

from eventrouter.errors import RequestError
from tests.adapters.world import World, play, refused

pytestmark = pytest.mark.integration


def test_a_queue_is_created_with_tags() -> None:
    async def scenario(world: World) -> None:
        answer = await world.sqs("CreateQueue", QueueName="jobs", tags={"team": "a", "empty": ""})

        assert await world.sqs("ListQueueTags", QueueUrl=answer["QueueUrl"]) == {"Tags": {"team": "a", "empty": ""}}

    play(scenario)


def test_tags_are_added_changed_and_removed() -> None:
    async def scenario(world: World) -> None:
        url = await world.a_queue("jobs")
        assert await world.sqs("ListQueueTags", QueueUrl=url) == {}

        await world.sqs("TagQueue", QueueUrl=url, Tags={"a": "1", "b": "2"})
        await world.sqs("TagQueue", QueueUrl=url, Tags={"b": "3", "c": "4"})
        await world.sqs("UntagQueue", QueueUrl=url, TagKeys=["a", "none"])

        assert await world.sqs("ListQueueTags", QueueUrl=url) == {"Tags": {"b": "3", "c": "4"}}

    play(scenario)


@pytest.mark.parametrize(
    "tags",
    [
        {f"t{number}": "" for number in range(51)},
        {"": "x"},
        {"k" * 129: "x"},
        {"k": "x" * 257},
        {"AWS:k": "x"},
        {"k": "a\nb|"},
    ],
)
def test_tags_that_a_queue_cannot_have_are_refused(tags: dict[str, str]) -> None:
    async def scenario(world: World) -> None:
        url = await world.a_queue("jobs")

        for operation in (
            world.sqs("TagQueue", QueueUrl=url, Tags=tags),
            world.sqs("CreateQueue", QueueName="other", tags=tags),
        ):
            assert (await refused(operation)).code == "InvalidParameterValueException"

    play(scenario)


def test_tags_added_at_the_same_time_are_all_there_but_for_those_refused() -> None:
    async def scenario(world: World) -> None:
        url = await world.a_queue("jobs")

        keys = [f"t{number}" for number in range(30)]
        adding = [world.sqs("TagQueue", QueueUrl=url, Tags={key: ""}) for key in keys]
        answers = await asyncio.gather(*adding, return_exceptions=True)

        refusals = [answer for answer in answers if isinstance(answer, RequestError)]
        assert {(error.code, error.status) for error in refusals} <= {("RequestThrottled", 403)}
        tags = (await world.sqs("ListQueueTags", QueueUrl=url))["Tags"]
        assert set(tags) == {key for key, answer in zip(keys, answers, strict=True) if answer == {}}
        assert len(tags) + len(refusals) == len(keys)
        assert tags

    play(scenario)


def test_tags_of_no_queue_and_no_tags_are_refused() -> None:
    async def scenario(world: World) -> None:
        url = await world.a_queue("jobs")

        for operation, members in (
            ("ListQueueTags", {}),
            ("TagQueue", {"Tags": {"a": "b"}}),
            ("UntagQueue", {"TagKeys": ["a"]}),
        ):
            assert (await refused(world.sqs(operation, QueueUrl="none", **members))).code == "QueueDoesNotExist"
        for operation, empty in (("TagQueue", {"Tags": {}}), ("UntagQueue", {"TagKeys": []})):
            assert (
                await refused(world.sqs(operation, QueueUrl=url, **empty))
            ).code == "MissingRequiredParameterException"

    play(scenario)
