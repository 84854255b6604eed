"""How a receive waits for messages: woken by sends of this node, and looking about once a second for the rest.

What others send, and messages whose visibility runs out, only the slow look finds; a wake-up is never more than a
hint, so a lost one costs a second.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from eventrouter.clock import Clock
from eventrouter.store.queues import QueueName, Queues, Received

LOOK_S = 1.0
LOOK_FIRST_S = 0.005
"""The shortest pause between two looks: a message that becomes visible in the next instant is not asked for twice."""


class Waiting:
    """The receives of this node that wait, by queue."""

    def __init__(self, queues: Queues, clock: Clock) -> None:
        self._queues = queues
        self._clock = clock
        self._sleepers: dict[QueueName, deque[asyncio.Event]] = {}

    def wake(self, queue: QueueName) -> None:
        """Wake the receive that has waited longest on `queue`: a message has just been stored."""
        for event in self._sleepers.get(queue, ()):
            if not event.is_set():
                event.set()
                return

    async def receive(
        self, queue: QueueName, *, limit: int, visibility_ms: int | None, wait_ms: int | None
    ) -> Received:
        """Receive as `Queues.receive`, waiting up to `wait_ms` (None: the queue's own) for a first message."""
        began = self._clock.monotonic()
        with self._sleeper(queue) as event:
            while True:
                event.clear()
                received = await self._queues.receive(queue, limit=limit, visibility_ms=visibility_ms)
                if received.messages:
                    return received
                patience_ms = received.wait_ms if wait_ms is None else wait_ms
                left_s = patience_ms / 1_000 - (self._clock.monotonic() - began)
                if left_s <= 0:
                    return received
                next_s = LOOK_S if received.next_in_ms is None else received.next_in_ms / 1_000
                await self._pause(event, min(left_s, LOOK_S, max(next_s, LOOK_FIRST_S)))

    async def _pause(self, event: asyncio.Event, seconds: float) -> None:
        """Wait for `event`, at most `seconds` of the clock."""
        woken = asyncio.ensure_future(event.wait())
        slept = asyncio.ensure_future(self._clock.sleep(seconds))
        try:
            await asyncio.wait((woken, slept), return_when=asyncio.FIRST_COMPLETED)
        finally:
            woken.cancel()
            slept.cancel()

    @contextmanager
    def _sleeper(self, queue: QueueName) -> Iterator[asyncio.Event]:
        event = asyncio.Event()
        waiting = self._sleepers.setdefault(queue, deque())
        waiting.append(event)
        try:
            yield event
        finally:
            waiting.remove(event)
            if not waiting:
                self._sleepers.pop(queue, None)
