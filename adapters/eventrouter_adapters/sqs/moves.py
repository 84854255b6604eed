"""Move tasks: dead letters go back to where they came from, or to a queue that the caller names.

The operations here only note what is to be done; whoever implements MoveTasks does it.
Source: lambda-semantics §8.6.
"""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode
from typing import Any

import msgspec

from eventrouter.clock import Clock
from eventrouter.errors import RequestError
from eventrouter.ports import Caller, MoveTasks, Operation
from eventrouter.store.queues import MoveInProgress, MoveStatus, MoveTask, NoSuchMove, NoSuchQueue, QueueName, Queues
from eventrouter_adapters.sqs import errors
from eventrouter_adapters.sqs.addresses import is_fifo, parse_queue_arn
from eventrouter_adapters.sqs.parameters import Members, in_range

LISTED_TASKS = 10
HIGHEST_RATE = 500


class _Handle(msgspec.Struct, frozen=True):
    """What a task handle says: the task, and the queue that it empties."""

    taskId: str  # noqa: N815  # the names that AWS uses
    sourceArn: str  # noqa: N815


class MoveOperations:
    """The operations on move tasks."""

    def __init__(self, queues: Queues, clock: Clock, tasks: MoveTasks | None) -> None:
        self._queues = queues
        self._clock = clock
        self._tasks = tasks

    def operations(self) -> dict[str, Operation]:
        """Return the operations by their names on the wire."""
        return {
            "CancelMessageMoveTask": self.cancel_message_move_task,
            "ListMessageMoveTasks": self.list_message_move_tasks,
            "StartMessageMoveTask": self.start_message_move_task,
        }

    async def start_message_move_task(self, caller: Caller, members: Members) -> Members:
        """Start moving the messages of a dead-letter queue."""
        source = await self._existing(caller, members["SourceArn"], "SourceArn")
        rate = in_range(
            members, "MaxNumberOfMessagesPerSecond", 1, HIGHEST_RATE, reason="Must be between 1 and 500, if provided."
        )
        if not await self._queues.moves.sources(source):
            raise errors.invalid_parameter("Source queue must be configured as a Dead Letter Queue.")
        to = members.get("DestinationArn") or ""
        if to:
            target = await self._existing(caller, to, "DestinationArn")
            if target == source or is_fifo(target) != is_fifo(source):
                raise errors.invalid_value(
                    to, "DestinationArn", "Must be another queue than the source, and of the same type."
                )
        task = MoveTask(handle=self._queues.new_id(), to=to, rate=rate or 0, started_at_ms=self._clock.now_ms())
        try:
            started = await self._queues.moves.start(source, task)
        except MoveInProgress as error:
            raise errors.invalid_parameter(
                "There is already a task running. Only one active task is allowed for a source queue arn at a given "
                "time."
            ) from error
        except NoSuchQueue as error:
            raise _no_resource("SourceArn") from error
        if self._tasks is not None:
            await self._tasks.begin(source, started)
        return {"TaskHandle": _encode(source, task.handle)}

    async def list_message_move_tasks(self, caller: Caller, members: Members) -> Members:
        """Answer with the newest tasks on a queue."""
        source = await self._existing(caller, members["SourceArn"], "SourceArn")
        limit = in_range(members, "MaxResults", 1, LISTED_TASKS, reason="Must be between 1 and 10, if provided.")
        try:
            tasks = await self._queues.moves.tasks(source)
        except NoSuchQueue as error:
            raise _no_resource("SourceArn") from error
        results = [_shown(source, task) for task in tasks[: limit or 1]]
        return {"Results": results} if results else {}

    async def cancel_message_move_task(self, caller: Caller, members: Members) -> Members:
        """Stop a running task; what it has moved stays where it is."""
        source, handle = _decode(members["TaskHandle"])
        if (source.account, source.region) != (caller.account, caller.region):
            raise _no_resource("SourceArn")
        try:
            task = await self._queues.moves.cancel(source, handle)
        except NoSuchQueue as error:
            raise _no_resource("SourceArn") from error
        except NoSuchMove as error:
            raise errors.resource_not_found("Task does not exist.") from error
        return {"ApproximateNumberOfMessagesMoved": task.moved}

    async def _existing(self, caller: Caller, arn: str, parameter: str) -> QueueName:
        """Return the caller's queue that `arn` names. Raises RequestError."""
        name = parse_queue_arn(arn)
        if name is None or (name.account, name.region) != (caller.account, caller.region):
            raise _no_resource(parameter)
        if not await self._queues.exists(name):
            raise _no_resource(parameter)
        return name


def _no_resource(parameter: str) -> RequestError:
    return errors.resource_not_found(f"The resource that you specified for the {parameter} parameter doesn't exist.")


def _shown(source: QueueName, task: MoveTask) -> dict[str, Any]:  # Any: model values
    found: dict[str, Any] = {
        "Status": task.status.value,
        "SourceArn": source.arn,
        "ApproximateNumberOfMessagesMoved": task.moved,
        "ApproximateNumberOfMessagesToMove": task.total,
        "StartedTimestamp": task.started_at_ms,
    }
    if task.status is MoveStatus.RUNNING:
        found["TaskHandle"] = _encode(source, task.handle)
    if task.to:
        found["DestinationArn"] = task.to
    if task.rate:
        found["MaxNumberOfMessagesPerSecond"] = task.rate
    if task.failure:
        found["FailureReason"] = task.failure
    return found


def _encode(source: QueueName, handle: str) -> str:
    return b64encode(msgspec.json.encode(_Handle(handle, source.arn))).decode()


def _decode(text: str) -> tuple[QueueName, str]:
    """Return the queue and the task that a handle names. Raises RequestError."""
    try:
        handle = msgspec.json.decode(b64decode(text, validate=True), type=_Handle)
    except (binascii.Error, ValueError, RecursionError) as error:
        raise errors.invalid_parameter("Value for parameter TaskHandle is invalid.") from error
    source = parse_queue_arn(handle.sourceArn)
    if source is None:
        raise errors.invalid_parameter("Value for parameter TaskHandle is invalid.")
    return source, handle.taskId
