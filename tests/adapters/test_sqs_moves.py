"""Move tasks as callers see them; a worker of the test's own moves the messages. lambda-semantics §8.6."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from eventrouter.ports import AdapterContext
from eventrouter.settings import Settings
from eventrouter.store.queues import MoveStatus, MoveTask, QueueName
from eventrouter_adapters import sqs
from tests.adapters.queue_steps import arn_of, receive, texts
from tests.adapters.world import CALLER, EPOCH_MS, World, play, refused

pytestmark = pytest.mark.integration

DEAD = QueueName(account=CALLER.account, region=CALLER.region, name="dead")


async def a_dead_letter(world: World, name: str = "jobs") -> str:
    """Return the URL of a queue whose only message is in the dead-letter queue."""
    await world.a_queue("dead")
    redrive = json.dumps({"deadLetterTargetArn": DEAD.arn, "maxReceiveCount": 1})
    url = await world.a_queue(name, RedrivePolicy=redrive)
    await world.sqs("SendMessage", QueueUrl=url, MessageBody=name)
    await receive(world, url, VisibilityTimeout=0)
    assert await receive(world, url, VisibilityTimeout=0) == []
    return url


async def tasks(world: World, **members: Any) -> list[dict[str, Any]]:
    answer = await world.sqs("ListMessageMoveTasks", SourceArn=DEAD.arn, **members)
    found: list[dict[str, Any]] = answer.get("Results", [])
    return found


def test_a_task_is_started_listed_and_cancelled() -> None:
    async def scenario(world: World) -> None:
        await a_dead_letter(world)
        await world.a_queue("other")
        assert await tasks(world) == []

        started = await world.sqs(
            "StartMessageMoveTask", SourceArn=DEAD.arn, DestinationArn=arn_of("other"), MaxNumberOfMessagesPerSecond=5
        )
        [running] = await tasks(world, MaxResults=10)
        cancelled = await world.sqs("CancelMessageMoveTask", TaskHandle=started["TaskHandle"])
        [cancelling] = await tasks(world)

        assert running == {
            "Status": "RUNNING",
            "SourceArn": DEAD.arn,
            "DestinationArn": arn_of("other"),
            "MaxNumberOfMessagesPerSecond": 5,
            "ApproximateNumberOfMessagesMoved": 0,
            "ApproximateNumberOfMessagesToMove": 1,
            "StartedTimestamp": running["StartedTimestamp"],
            "TaskHandle": started["TaskHandle"],
        }
        assert running["StartedTimestamp"] >= EPOCH_MS
        assert cancelled == {"ApproximateNumberOfMessagesMoved": 0}
        assert (cancelling["Status"], "TaskHandle" in cancelling) == ("CANCELLING", False)

    play(scenario)


def test_messages_go_back_to_where_they_came_from() -> None:
    async def scenario(world: World) -> None:
        url = await a_dead_letter(world)
        await world.sqs("StartMessageMoveTask", SourceArn=DEAD.arn)
        [(source, task)] = await world.store.queues.moves.running()

        await world.store.queues.moves.step(source, task.handle, 10)
        await world.store.queues.moves.finish(source, task.handle, MoveStatus.COMPLETED)

        assert texts(await receive(world, url)) == ["jobs"]
        [completed] = await tasks(world)
        assert (completed["Status"], completed["ApproximateNumberOfMessagesMoved"]) == ("COMPLETED", 1)
        assert completed.keys().isdisjoint({"DestinationArn", "MaxNumberOfMessagesPerSecond", "FailureReason"})

    play(scenario)


def test_a_failed_task_says_why() -> None:
    async def scenario(world: World) -> None:
        await a_dead_letter(world)
        await world.sqs("StartMessageMoveTask", SourceArn=DEAD.arn)
        [(source, task)] = await world.store.queues.moves.running()

        reason = "AWS.SimpleQueueService.NonExistentQueue"
        await world.store.queues.moves.finish(source, task.handle, MoveStatus.FAILED, reason)

        [failed] = await tasks(world)
        assert (failed["Status"], failed["FailureReason"]) == ("FAILED", reason)

    play(scenario)


def test_whoever_works_off_tasks_is_told_of_a_new_one() -> None:
    async def scenario(world: World) -> None:
        begun: list[tuple[QueueName, MoveTask]] = []

        class Worker:
            async def begin(self, source: QueueName, task: MoveTask) -> None:
                begun.append((source, task))

        await a_dead_letter(world)
        context = AdapterContext(settings=Settings(), clock=world.clock, store=world.store, moves=Worker())
        start = sqs.build(context).apis[0].operations["StartMessageMoveTask"]
        await start(CALLER, {"SourceArn": DEAD.arn})

        assert begun == await world.store.queues.moves.running()

    play(scenario)


def test_what_cannot_be_moved_is_told() -> None:
    async def scenario(world: World) -> None:
        await a_dead_letter(world)
        await world.a_queue("plain")
        await world.a_queue("other.fifo", FifoQueue="true")
        source_text = "The resource that you specified for the SourceArn parameter doesn't exist."
        target_text = "The resource that you specified for the DestinationArn parameter doesn't exist."
        for members, code, message in (
            ({"SourceArn": arn_of("none")}, "ResourceNotFoundException", source_text),
            ({"SourceArn": "dead"}, "ResourceNotFoundException", source_text),
            ({"SourceArn": DEAD.arn.replace("0" * 12, "1" * 12)}, "ResourceNotFoundException", source_text),
            ({"SourceArn": DEAD.arn, "DestinationArn": arn_of("none")}, "ResourceNotFoundException", target_text),
            (
                {"SourceArn": arn_of("plain")},
                "InvalidParameterValueException",
                "Source queue must be configured as a Dead Letter Queue.",
            ),
            (
                {"SourceArn": DEAD.arn, "DestinationArn": arn_of("other.fifo")},
                "InvalidParameterValueException",
                (
                    f"Value {arn_of('other.fifo')} for parameter DestinationArn is invalid. "
                    "Reason: Must be another queue than the source, and of the same type."
                ),
            ),
            (
                {"SourceArn": DEAD.arn, "MaxNumberOfMessagesPerSecond": 501},
                "InvalidParameterValueException",
                (
                    "Value 501 for parameter MaxNumberOfMessagesPerSecond is invalid. "
                    "Reason: Must be between 1 and 500, if provided."
                ),
            ),
        ):
            error = await refused(world.sqs("StartMessageMoveTask", **members))
            assert (error.code, error.message) == (code, message)
            assert error.status == (404 if code.startswith("Resource") else 400)

    play(scenario)


def test_a_queue_has_one_task_at_a_time() -> None:
    async def scenario(world: World) -> None:
        await a_dead_letter(world)
        await world.sqs("StartMessageMoveTask", SourceArn=DEAD.arn)

        error = await refused(world.sqs("StartMessageMoveTask", SourceArn=DEAD.arn))

        assert error.code == "InvalidParameterValueException"
        assert error.message == (
            "There is already a task running. Only one active task is allowed for a source queue arn at a given time."
        )

    play(scenario)


def test_what_cannot_be_cancelled_or_listed_is_told() -> None:
    async def scenario(world: World) -> None:
        await a_dead_letter(world)
        started = await world.sqs("StartMessageMoveTask", SourceArn=DEAD.arn)
        [(source, task)] = await world.store.queues.moves.running()
        await world.store.queues.moves.finish(source, task.handle, MoveStatus.COMPLETED)
        other = type(CALLER)(account="111111111111", region=CALLER.region, request_id="r")

        garbage = await refused(world.sqs("CancelMessageMoveTask", TaskHandle="garbage"))
        nested = base64.b64encode(b'{"taskId":"x","deep":' + b"[" * 100_000).decode()
        deep = await refused(world.sqs("CancelMessageMoveTask", TaskHandle=nested))
        ended = await refused(world.sqs("CancelMessageMoveTask", TaskHandle=started["TaskHandle"]))
        foreign = await refused(world.sqs("CancelMessageMoveTask", caller=other, TaskHandle=started["TaskHandle"]))
        nowhere = await refused(world.sqs("ListMessageMoveTasks", SourceArn=arn_of("none")))
        wide = await refused(world.sqs("ListMessageMoveTasks", SourceArn=DEAD.arn, MaxResults=11))
        await world.sqs("DeleteQueue", QueueUrl="dead")
        gone = await refused(world.sqs("CancelMessageMoveTask", TaskHandle=started["TaskHandle"]))

        assert garbage.message == deep.message == "Value for parameter TaskHandle is invalid."
        assert (ended.status, ended.message) == (404, "Task does not exist.")
        assert foreign.code == nowhere.code == gone.code == "ResourceNotFoundException"
        assert wide.code == "InvalidParameterValueException"

    play(scenario)
