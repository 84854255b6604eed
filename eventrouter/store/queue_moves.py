"""Messages that go from one queue to another, exactly once: dead letters, and the tasks that move messages back.

One script takes a message out of its queue into the queue's outbox; then it is sent to the other queue, which lives
elsewhere; then it is struck from the outbox. Each hop of a message has a number that both queues check, so every step
may be repeated, by anyone, at any time. Queues that may have an outbox are registered, so that `sweep` finds what a
node that died has left. Source: lambda-semantics §8.6, redis-design §8.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any

import msgspec

from eventrouter.errors import StoreError
from eventrouter.store.queue_calls import QueueCalls
from eventrouter.store.queue_types import (
    MoveInProgress,
    MoveStatus,
    MoveTask,
    NoSuchMove,
    NoSuchQueue,
    QueueName,
)

STEP = 10
"""How many messages are sent on at a time."""

FORGET_MS = 3_600_000
"""How long a queue stays registered at least; setting its dead-letter queue follows the registration at once."""


class QueueMoves:
    """Dead letters and move tasks of all queues."""

    def __init__(self, calls: QueueCalls) -> None:
        self._calls = calls
        self._registry = calls.keys.installation("queues")
        self._listeners: list[Callable[[QueueName, str, Sequence[str]], None]] = []

    def on_sent(self, listener: Callable[[QueueName, str, Sequence[str]], None]) -> None:
        """Have `listener` called with a queue, the ARN of another and the ids of messages that went there from it."""
        self._listeners.append(listener)

    async def register(self, name: QueueName) -> None:
        """Note that a queue may have an outbox. Done before it may, and again with every change of it."""
        await self._calls.scripts.call("queue_watch", [self._registry], (name.key, self._calls.now_ms()))

    async def forward(self, name: QueueName) -> int:
        """Send on what is in the queue's outbox, and return how many messages were.

        What is addressed to a queue that does not exist stays until it does, or until it is past the retention of
        the queue it came from. May be repeated, by anyone, also at the same time. Raises NoSuchQueue, Unavailable.
        """
        return (await self._forward(name))[0]

    async def forward_now(self, name: QueueName) -> None:
        """Do `forward`, but leave to `sweep` what cannot be sent now."""
        with contextlib.suppress(StoreError):
            await self._forward(name, is_hasty=True)

    async def sweep(self) -> int:
        """Forward what is left in the outbox of any queue; return how many messages were sent on.

        A queue that is gone, or can have no dead letters any more, is struck from the register.
        """
        forwarded = 0
        for name in await self._registered():
            try:
                sent, is_needed = await self._forward(name)
            except NoSuchQueue:
                sent, is_needed = 0, False
            forwarded += sent
            if not is_needed:
                before = self._calls.now_ms() - FORGET_MS
                await self._calls.scripts.call("queue_unwatch", [self._registry], (name.key, before))
        return forwarded

    async def sources(self, target: QueueName) -> tuple[QueueName, ...]:
        """Return the queues whose dead letters go to `target`, in order of their names."""
        registered = await self._registered()
        wanted = target.arn.encode()
        targets = await self._calls.scripts.command_each(
            [("HGET", self._calls.key(name, "q"), "dead_letter_target") for name in registered]
        )
        return tuple(sorted(name for name, arn in zip(registered, targets, strict=True) if arn == wanted))

    # Tasks

    async def start(self, name: QueueName, task: MoveTask) -> MoveTask:
        """Start a task on the messages of queue `name`; return it with the number of messages that there are.

        The caller makes the handle; starting it again changes nothing. Raises NoSuchQueue, MoveInProgress,
        IntakeRefused.
        """
        await self.register(name)
        code, *answer = await self._calls.call("queue_move_start", name, task.handle, msgspec.json.encode(task))
        if code == b"BUSY":
            raise MoveInProgress(f"a task moves the messages of {name.name} already")
        return _task(answer[0])

    async def tasks(self, name: QueueName) -> tuple[MoveTask, ...]:
        """Return the last 10 tasks on a queue, the newest first. Raises NoSuchQueue."""
        _, *found = await self._calls.call("queue_moves", name)
        tasks = [_task(text) for text in found]
        return tuple(sorted(tasks, key=lambda task: (task.started_at_ms, task.handle), reverse=True))

    async def running(self) -> list[tuple[QueueName, MoveTask]]:
        """Return every active task there is, with its queue: what a worker that starts has to go on with."""
        found: list[tuple[QueueName, MoveTask]] = []
        for name in await self._registered():
            with contextlib.suppress(NoSuchQueue):
                found += [(name, task) for task in await self.tasks(name) if task.is_active]
        return found

    async def step(self, name: QueueName, handle: str, limit: int) -> tuple[MoveTask, int, int]:
        """Move up to `limit` (at most 100) visible messages for a task.

        Returns the task as it is now, how many messages were moved, and how many visible ones were met that have no
        source to go back to. Nothing is moved unless the task is RUNNING. Progress is counted in the same step as
        messages are taken. Raises NoSuchQueue, NoSuchMove, Unavailable: unknown how many were moved, so read the
        task anew.
        """
        code, *answer = await self._calls.call("queue_move_step", name, handle, self._calls.new_id(), limit)
        if code == b"GONE":
            raise NoSuchMove(f"{name.name} knows no task {handle}")
        text, moved, homeless = answer
        await self.forward(name)
        return _task(text), moved, homeless

    async def cancel(self, name: QueueName, handle: str) -> MoveTask:
        """Ask a running task to stop: it is CANCELLING then. Raises NoSuchQueue, NoSuchMove (it has ended)."""
        return await self._turn(name, handle, MoveStatus.CANCELLING, "")

    async def finish(self, name: QueueName, handle: str, status: MoveStatus, failure: str = "") -> MoveTask:
        """End a task, CANCELLED, COMPLETED or FAILED; an ended one stays as it is. Raises NoSuchQueue, NoSuchMove."""
        return await self._turn(name, handle, status, failure)

    async def _turn(self, name: QueueName, handle: str, status: MoveStatus, failure: str) -> MoveTask:
        code, *answer = await self._calls.call("queue_move_turn", name, handle, status.value, failure)
        if code == b"GONE":
            raise NoSuchMove(f"{name.name} has no task {handle} that could be {status.value}")
        return _task(answer[0])

    async def _forward(self, name: QueueName, *, is_hasty: bool = False) -> tuple[int, bool]:
        """Return how many messages were sent on, and whether the queue has to stay registered.

        In haste an outbox whose oldest messages cannot be sent is left as it is.
        """
        forwarded, after = 0, 0
        while True:
            _, is_needed, *entries = await self._calls.call("queue_outbox", name, after, STEP)
            if not entries or (is_hasty and after and not forwarded):
                return forwarded, is_needed == 1
            after = entries[-1][1]
            for to, group in groupby(entries, key=lambda entry: entry[2]):
                forwarded += await self._send_on(name, to.decode(), list(group))

    async def _send_on(self, name: QueueName, to: str, entries: Sequence[Sequence[Any]]) -> int:
        """Send entries (id, number, to, header, body, extras) of the outbox to one queue, and strike them."""
        target = QueueName.of_arn(to)
        args: list[Any] = []
        for _, _, _, header, body, extras in entries:
            args += (header, body, extras)
        try:
            if target is not None:
                await self._calls.call("queue_send", target, *args)
        except NoSuchQueue:
            target = None
        struck: list[Any] = [int(target is not None)]
        for message_id, number, *_ in entries:
            struck += (message_id, number)
        answer = await self._calls.call("queue_forwarded", name, *struck)
        if target is None:
            return 0
        for listener in self._listeners:
            listener(name, to, [message_id.decode() for message_id, *_ in entries])
        return int(answer[1])

    async def _registered(self) -> list[QueueName]:
        members = await self._calls.scripts.command("ZRANGE", self._registry, 0, -1)
        return [QueueName.of_key(member.decode()) for member in members]


def _task(text: bytes) -> MoveTask:
    return msgspec.json.decode(text, type=MoveTask)
