"""The few steps that tests of queues take over and over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tests.adapters.world import CALLER, World

Message = Mapping[str, Any]


def arn_of(name: str) -> str:
    return f"arn:aws:sqs:{CALLER.region}:{CALLER.account}:{name}"


async def receive(world: World, url: str, **members: Any) -> list[Message]:
    """Receive up to 10 messages without waiting, unless `members` say otherwise."""
    wanted = {"MaxNumberOfMessages": 10, "WaitTimeSeconds": 0} | members
    answer = await world.sqs("ReceiveMessage", QueueUrl=url, **wanted)
    messages: list[Message] = answer.get("Messages", [])
    return messages


def texts(messages: Sequence[Message]) -> list[str]:
    return [message["Body"] for message in messages]


async def attributes(world: World, url: str, *names: str) -> dict[str, str]:
    """Return a queue's attributes: those named, else all."""
    answer = await world.sqs("GetQueueAttributes", QueueUrl=url, AttributeNames=list(names) or ["All"])
    return dict(answer.get("Attributes", {}))


async def delete(world: World, url: str, *messages: Message) -> None:
    for message in messages:
        await world.sqs("DeleteMessage", QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
