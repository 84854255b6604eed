"""How a receive waits for messages: woken by sends of this node, and looking about once a second for the rest.

What others send, and messages whose visibility runs out, only the slow look finds; a wake-up is never more than a
hint, so a lost one costs a second.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, Self

from eventrouter.clock import Clock, Pause
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
        self._on_wake: list[Callable[[QueueName], None]] = []

    def on_wake(self, listener: Callable[[QueueName], None]) -> None:
        """Call `listener` whenever there may be something to receive, beside the receive that is woken."""
        self._on_wake.append(listener)

    def wake(self, queue: QueueName) -> None:
        """Wake the receive that has waited longest on `queue`: a message has just been stored."""
        for listener in self._on_wake:
            listener(queue)
        for event in self._sleepers.get(queue, ()):
            if not event.is_set():
                event.set()
                return

    async def receive(
        self,
        queue: QueueName,
        *,
        limit: int,
        visibility_ms: int | None,
        wait_ms: int | None,
        attempt_id: str = "",
        leaves: Callable[[], Awaitable[object]] | None = None,
    ) -> Received:
        """Receive as `Queues.receive`, waiting up to `wait_ms` (None: the queue's own) for a first message.

        A caller that `leaves` while it waits gets none: nobody else could have it until its visibility is over.
        """
        began = self._clock.monotonic()
        with self._sleeper(queue) as event, _Departure(leaves) as departure:
            while True:
                event.clear()
                received = await self._queues.receive(
                    queue, limit=limit, visibility_ms=visibility_ms, attempt_id=attempt_id
                )
                if received.messages:
                    return received
                patience_ms = received.wait_ms if wait_ms is None else wait_ms
                left_s = patience_ms / 1_000 - (self._clock.monotonic() - began)
                if left_s <= 0:
                    return received
                next_s = left_s if received.next_in_ms is None else max(received.next_in_ms / 1_000, LOOK_FIRST_S)
                await self._pause(event, departure, Pause(LOOK_S, min(left_s, next_s)))
                if departure.is_over:
                    if event.is_set():
                        self.wake(queue)  # it was meant for whoever still waits
                    return Received()

    async def _pause(self, event: asyncio.Event, departure: _Departure, pause: Pause) -> None:
        """Wait for `event` or for the caller to leave, no longer than `pause`."""
        woken = asyncio.ensure_future(event.wait())
        slept = asyncio.ensure_future(self._clock.pause(pause))
        ends: tuple[asyncio.Future[Any], ...] = (woken, slept, *departure.watched())
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
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


class _Departure:
    """Whether a caller has left; watched for from the first pause on: a receive that finds something is quick."""

    def __init__(self, leaves: Callable[[], Awaitable[object]] | None) -> None:
        self._leaves = leaves
        self._watch: asyncio.Future[object] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._watch is not None:
            self._watch.cancel()

    def watched(self) -> tuple[asyncio.Future[object], ...]:
        """Return what ends when the caller leaves; nothing where nobody can tell."""
        if self._leaves is not None and self._watch is None:
            self._watch = asyncio.ensure_future(self._leaves())
        return () if self._watch is None else (self._watch,)

    @property
    def is_over(self) -> bool:
        return self._watch is not None and self._watch.done()
