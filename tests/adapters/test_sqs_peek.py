"""Looking into queues at /_aws/sqs/messages."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode
from xml.etree import ElementTree as ET

import pytest

from eventrouter.api.http import Request, Response
from eventrouter_adapters.sqs.peek import PATH, RECEIPT, Peek
from tests.adapters.queue_steps import attributes, receive
from tests.adapters.world import CALLER, World, play

pytestmark = pytest.mark.integration

NAMESPACE = "{http://queue.amazonaws.com/doc/2012-11-05/}"


async def peek(world: World, *, headers: dict[bytes, bytes] | None = None, **asked: str) -> Response:
    request = Request(
        method="GET",
        path=PATH,
        query=urlencode(asked).encode(),
        headers={b"accept": b"application/json"} if headers is None else headers,
    )
    return await Peek(world.store.queues, default_region="us-east-1").answer(request)


async def peeked(world: World, **asked: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((await peek(world, **asked)).body).get("Messages", [])
    return found


async def a_busy_queue(world: World) -> str:
    """Return the URL of a queue with a visible, a held and a delayed message."""
    url = await world.a_queue("jobs")
    for body in ("held", "visible"):
        await world.sqs("SendMessage", QueueUrl=url, MessageBody=body)
        await world.clock.sleep(0.1)
    await world.sqs("SendMessage", QueueUrl=url, MessageBody="delayed", DelaySeconds=10)
    await receive(world, url, MaxNumberOfMessages=1)
    return url


def test_visible_messages_are_shown_without_being_received() -> None:
    async def scenario(world: World) -> None:
        url = await a_busy_queue(world)
        before = await attributes(world, url)

        [message] = await peeked(world, QueueUrl=url)
        assert (message["Body"], message["ReceiptHandle"]) == ("visible", RECEIPT)
        assert message["Attributes"]["ApproximateReceiveCount"] == "0"
        assert "ApproximateFirstReceiveTimestamp" not in message["Attributes"]
        assert await peeked(world, QueueUrl=url) == [message]
        assert await attributes(world, url) == before

    play(scenario)


def test_hidden_messages_are_shown_to_who_asks() -> None:
    async def scenario(world: World) -> None:
        url = await a_busy_queue(world)

        for asked, bodies in (
            ({"ShowInvisible": "true"}, ["held", "visible"]),
            ({"ShowDelayed": "true"}, ["visible", "delayed"]),
            ({"ShowInvisible": "true", "ShowDelayed": "True"}, ["held", "visible", "delayed"]),
            ({"ShowInvisible": "false"}, ["visible"]),
        ):
            assert [message["Body"] for message in await peeked(world, QueueUrl=url, **asked)] == bodies

    play(scenario)


def test_the_answer_is_xml_unless_json_is_asked_for() -> None:
    async def scenario(world: World) -> None:
        url = await a_busy_queue(world)

        answer = await peek(world, headers={}, QueueUrl=url)

        assert dict(answer.headers)[b"content-type"] == b"text/xml"
        bodies = ET.fromstring(answer.body).findall(
            f"{NAMESPACE}ReceiveMessageResult/{NAMESPACE}Message/{NAMESPACE}Body"
        )
        assert [body.text for body in bodies] == ["visible"]

    play(scenario)


def test_a_queue_with_many_messages_is_shown_whole() -> None:
    async def scenario(world: World) -> None:
        url = await world.a_queue("jobs")
        for number in range(25):
            entries = [{"Id": str(n), "MessageBody": f"{number}-{n}"} for n in range(10)]
            await world.sqs("SendMessageBatch", QueueUrl=url, Entries=entries)

        assert len(await peeked(world, QueueUrl=url)) == 250

    play(scenario)


def test_what_cannot_be_looked_into_is_told() -> None:
    async def scenario(world: World) -> None:
        for url, code in (
            ("http://h/000000000000/none", b"QueueDoesNotExist"),
            ("http://h/no/queue/at/all/", b"InvalidAddress"),
            ("", b"MissingRequiredParameterException"),
        ):
            answer = await peek(world, QueueUrl=url)
            assert answer.status == 400
            assert code in answer.body

    play(scenario)


def test_the_queue_may_be_any_account_s() -> None:
    async def scenario(world: World) -> None:
        other = "http://h/111111111111/jobs"
        assert b"QueueDoesNotExist" in (await peek(world, QueueUrl=other)).body
        await a_busy_queue(world)

        assert len(await peeked(world, QueueUrl="jobs")) == 1
        form = {b"content-type": b"application/x-www-form-urlencoded"}
        posted = Request(method="POST", path=PATH, headers=form, body=b"QueueUrl=jobs")
        answer = await Peek(world.store.queues, default_region="us-east-1").answer(posted)
        assert b"<Body>visible</Body>" in answer.body

    play(scenario)


def test_the_queue_may_be_of_the_region_that_its_url_names() -> None:
    async def scenario(world: World) -> None:
        there = replace(CALLER, region="eu-west-1")
        await world.sqs("CreateQueue", caller=there, QueueName="jobs")
        await world.sqs("SendMessage", caller=there, QueueUrl="jobs", MessageBody="x")

        for url in (
            "http://sqs.eu-west-1.localhost:4566/000000000000/jobs",
            "http://h/queue/eu-west-1/000000000000/jobs",
        ):
            assert [message["Body"] for message in await peeked(world, QueueUrl=url)] == ["x"]

    play(scenario)
