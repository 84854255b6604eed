"""One turn of a move task: messages are moved in small steps, for a moment, and then it is the next task's turn.

The store knows everything that counts: which task runs, what it has moved, whether it was cancelled. So a turn that
dies half-way costs nothing but time, and two of the same task at once move no message twice. A task ends when as
many messages were moved as there were at its start, so that one that comes back at once is not moved for ever.
Source: lambda-semantics §8.6.
"""

from __future__ import annotations

from collections.abc import Callable

from eventrouter.clock import Clock
from eventrouter.rules.move_rate import MoveRate
from eventrouter.store.queues import MoveStatus, MoveTask, NoSuchMove, NoSuchQueue, QueueName, Queues

TURN_S = 2.0
STEP = 100
NAP_S = 0.05
"""The shortest wait of a task that keeps a pace: messages that come due meanwhile are moved in one step."""

NO_TARGET = "AWS.SimpleQueueService.NonExistentQueue"
NO_SOURCE = "CouldNotDetermineMessageSource"


class MoveTurn:
    """A turn of one task. `rate` is what the turns before have left. Who has to wait gives way, if others wait."""

    def __init__(
        self,
        *,
        queues: Queues,
        clock: Clock,
        source: QueueName,
        handle: str,
        rate: MoveRate,
        others_wait: Callable[[], bool],
    ) -> None:
        self._queues = queues
        self._clock = clock
        self._source = source
        self._handle = handle
        self._rate = rate
        self._others_wait = others_wait
        self._gives_way = False

    async def make(self) -> bool:
        """Move messages for a moment; say whether there is more to do. Raises Unavailable, IntakeRefused."""
        ends_at = self._clock.monotonic() + TURN_S
        try:
            while self._clock.monotonic() < ends_at and not self._gives_way:
                if await self._has_ended():
                    return False
        except (NoSuchQueue, NoSuchMove):
            return False
        return True

    async def _has_ended(self) -> bool:
        """Make one step, or wait for it to be due; say whether the task is over."""
        task = await self._task()
        if task.status is MoveStatus.CANCELLING:
            return await self._end(MoveStatus.CANCELLED)
        if not task.is_active:
            return True
        left = task.total - task.moved
        if left <= 0:
            return await self._end(MoveStatus.COMPLETED)
        if task.to and not await self._has_target(task):
            return await self._end(MoveStatus.FAILED, NO_TARGET)
        due = self._rate.due(task.rate, self._now_s())
        limit = min(left, STEP) if due is None else min(left, STEP, due)
        if limit == 0:
            self._gives_way = self._others_wait()
            wait_s = self._rate.wait_s(task.rate, self._now_s())
            await self._clock.sleep(NAP_S if self._gives_way else max(NAP_S, wait_s))
            return False
        _, moved, homeless = await self._queues.moves.step(self._source, self._handle, limit)
        self._rate.pay(task.rate, moved)
        if moved:
            return False
        return await self._end_without_more(homeless)

    async def _end_without_more(self, homeless: int) -> bool:
        """End a task that found nothing to move, unless it was cancelled just now: the next step sees to that."""
        if (await self._task()).status is not MoveStatus.RUNNING:
            return False
        if homeless:
            return await self._end(MoveStatus.FAILED, NO_SOURCE)
        return await self._end(MoveStatus.COMPLETED)

    async def _task(self) -> MoveTask:
        tasks = await self._queues.moves.tasks(self._source)
        found = next((task for task in tasks if task.handle == self._handle), None)
        if found is None:
            raise NoSuchMove(self._handle)
        return found

    async def _has_target(self, task: MoveTask) -> bool:
        target = QueueName.of_arn(task.to)
        return target is not None and await self._queues.exists(target)

    async def _end(self, status: MoveStatus, failure: str = "") -> bool:
        await self._queues.moves.finish(self._source, self._handle, status, failure)
        return True

    def _now_s(self) -> float:
        return self._clock.now_ms() / 1_000
