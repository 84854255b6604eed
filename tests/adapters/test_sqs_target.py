"""Queues as targets of records and dead letters, in virtual time."""

from __future__ import annotations

import dataclasses

import pytest

from eventrouter.errors import AdapterError, IntakeRefused, Unavailable
from eventrouter.ports import Delivery
from tests.adapters.queue_steps import arn_of, receive
from tests.adapters.world import World, play

pytestmark = pytest.mark.integration

ARN = arn_of("jobs")


def test_a_delivery_is_stored_once_even_after_it_was_read_and_deleted() -> None:
    async def scenario(world: World) -> None:
        url = await world.a_queue("jobs")
        delivery = Delivery(
            id="event-1/RetriesExhausted",
            body=b'{"order": 1}',
            attributes={"RequestID": ("String", "r-1"), "ErrorCode": ("Number", "200"), "ErrorMessage": ("String", "")},
            trace="Root=1-5759e988-bd862e3fe1be46a994272793",
        )
        assert await world.target.exists(ARN)
        await world.target.deliver(ARN, delivery)
        await world.target.deliver(ARN, delivery)
        asked = {"MessageAttributeNames": ["All"], "MessageSystemAttributeNames": ["AWSTraceHeader"]}
        [message] = await receive(world, url, **asked)
        await world.sqs("DeleteMessage", QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        await world.clock.sleep(900)
        await world.target.deliver(ARN, delivery)
        await world.target.deliver(ARN, dataclasses.replace(delivery, id="event-2/RetriesExhausted"))

        assert message["Body"] == '{"order": 1}'
        assert message["Attributes"] == {"AWSTraceHeader": delivery.trace}
        assert message["MessageAttributes"] == {
            "RequestID": {"DataType": "String", "StringValue": "r-1"},
            "ErrorCode": {"DataType": "Number", "StringValue": "200"},
        }
        assert len(await receive(world, url)) == 1

    play(scenario)


def test_characters_that_sqs_does_not_carry_do_not_lose_a_dead_letter() -> None:
    async def scenario(world: World) -> None:
        url = await world.a_queue("jobs")

        await world.target.deliver(
            ARN, Delivery(id="d", body=b"{}", attributes={"ErrorMessage": ("String", "\x1b[31mred")})
        )

        [message] = await receive(world, url, MessageAttributeNames=["All"])
        assert message["MessageAttributes"]["ErrorMessage"]["StringValue"] == "\ufffd[31mred"

    play(scenario)


def test_a_delivery_that_cannot_succeed_says_so() -> None:
    async def scenario(world: World) -> None:
        await world.a_queue("jobs", MaximumMessageSize="1024")
        for arn, body in (
            (ARN, b"x" * 1_025),
            (ARN.replace("jobs", "none"), b"x"),
            ("arn:aws:sns:us-east-1:000000000000:jobs", b"x"),
        ):
            with pytest.raises(AdapterError) as failure:
                await world.target.deliver(arn, Delivery(id="d", body=body))
            assert not failure.value.transient
        assert not await world.target.exists(ARN.replace("jobs", "none"))
        assert not await world.target.exists("nonsense")

    play(scenario)


@pytest.mark.parametrize("error", [IntakeRefused("full"), Unavailable("gone")])
def test_a_delivery_that_the_store_refuses_now_may_succeed_later(error: Exception) -> None:
    async def scenario(world: World) -> None:
        await world.a_queue("jobs")

        async def failing(*_: object, **__: object) -> list[object]:
            raise error

        world.store.scripts.call = failing
        with pytest.raises(AdapterError) as failure:
            await world.target.deliver(ARN, Delivery(id="d", body=b"x"))

        assert failure.value.transient

    play(scenario)
