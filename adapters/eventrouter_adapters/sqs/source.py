"""Our own queues as sources of event source mappings."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from eventrouter.clock import Clock, Pause, first_of
from eventrouter.errors import AdapterError, StoreError
from eventrouter.ports import QueueMessage, QueueSource, QueueTraits, SourceGone
from eventrouter.store.queues import DeleteOutcome, NoSuchQueue, QueueName, Queues
from eventrouter_adapters.sqs.addresses import is_fifo, parse_queue_arn
from eventrouter_adapters.sqs.events import EventWriter, filterable
from eventrouter_adapters.sqs.receipts import decode_receipt
from eventrouter_adapters.sqs.waiting import LOOK_FIRST_S, LOOK_S, Waiting

CALL_LIMIT = 10
"""Messages that one call receives, deletes or hides at most."""


@dataclass(slots=True)
class _Bell:
    """How often this node was told of messages of a queue, up to which of these it has looked, and when to look again:

    at the latest, and for what is known to become visible.
    """

    rings: int = 0
    seen: int = -1
    look_at: float = 0.0
    due_at: float | None = None
    rung: asyncio.Event = field(default_factory=asyncio.Event)


class SqsSource(QueueSource):
    """Receives from queues of this installation."""

    service = "sqs"
    data_key = "body"
    receive_limit = CALL_LIMIT

    def __init__(self, queues: Queues, waiting: Waiting, clock: Clock) -> None:
        self._queues = queues
        self._waiting = waiting
        self._clock = clock
        self._bells: dict[QueueName, _Bell] = {}
        waiting.on_wake(self._ring)

    def filterable(self, event: bytes) -> Mapping[str, Any]:
        """Return the message's body, decoded if it is a JSON object or array."""
        return filterable(event)

    async def traits(self, arn: str) -> QueueTraits:
        """Return what the queue's attributes say."""
        name = _name(arn)
        with _translated(arn):
            queue = await self._queues.get(name)
        if queue is None:
            self._bells.pop(name, None)
            raise _gone(arn)
        return QueueTraits(visibility_ms=queue.settings.visibility_ms, is_fifo=queue.settings.is_fifo)

    async def receive(
        self, arn: str, *, limit: int, visibility_ms: int, owner: str, has_window: bool
    ) -> Sequence[QueueMessage]:
        """Receive messages, as events. What is found missing is waited for from before this look on."""
        name = _name(arn)
        bell = self._bells.setdefault(name, _Bell())
        rings = bell.rings
        with _translated(arn):
            received = await self._queues.receive(name, limit=limit, visibility_ms=visibility_ms, owner=owner)
        if not received.messages:
            now = self._clock.monotonic()
            bell.seen = max(bell.seen, rings)
            bell.look_at = now + LOOK_S
            next_ms = received.next_in_ms
            bell.due_at = None if next_ms is None else now + max(next_ms / 1_000, LOOK_FIRST_S)
            return ()
        writer = EventWriter(name, arn=arn, has_window=has_window)
        return [writer.write(message) for message in received.messages]

    async def wait(self, arn: str) -> None:
        """Return when this node has stored a message since an empty look, or it is time for the next look."""
        bell = self._bells.setdefault(_name(arn), _Bell())
        now = self._clock.monotonic()
        pause = Pause(bell.look_at - now, None if bell.due_at is None else bell.due_at - now)
        if bell.rings > bell.seen or pause.soonest_s <= 0:
            return
        await first_of(bell.rung.wait(), self._clock.pause(pause))

    async def delete(self, arn: str, receipts: Sequence[str]) -> int:
        """Delete messages. In a FIFO queue the next ones of their groups may be free then."""
        name = _name(arn)
        deleted = 0
        for part in _calls(receipts):
            with _translated(arn):
                outcomes = await self._queues.delete_all(name, [decode_receipt(receipt) for receipt in part])
            deleted += sum(outcome is DeleteOutcome.DELETED for outcome in outcomes)
        if deleted and is_fifo(name):
            self._waiting.wake(name)
        return deleted

    async def change_visibility(self, arn: str, receipts: Sequence[str], visibility_ms: int) -> None:
        """Hide messages anew."""
        name = _name(arn)
        for part in _calls(receipts):
            changes = [(decode_receipt(receipt), visibility_ms) for receipt in part]
            with _translated(arn):
                await self._queues.change_visibility(name, changes)
        if visibility_ms == 0:
            self._waiting.wake(name)

    def _ring(self, queue: QueueName) -> None:
        """Take note that there may be something to receive."""
        bell = self._bells.get(queue)
        if bell is not None:
            bell.rings += 1
            bell.rung.set()
            bell.rung = asyncio.Event()


def _calls(receipts: Sequence[str]) -> Iterator[Sequence[str]]:
    """Yield as many receipts as one call takes, until all are yielded."""
    for start in range(0, len(receipts), CALL_LIMIT):
        yield receipts[start : start + CALL_LIMIT]


def _name(arn: str) -> QueueName:
    name = parse_queue_arn(arn)
    if name is None:
        raise AdapterError(f"{arn} is not the ARN of a queue", transient=False)
    return name


def _gone(arn: str) -> SourceGone:
    return SourceGone(f"Queue not found: {arn}")


@contextmanager
def _translated(arn: str) -> Iterator[None]:
    """Turn what the store raises into what the port promises."""
    try:
        yield
    except NoSuchQueue as error:
        raise _gone(arn) from error
    except StoreError as error:
        raise AdapterError(f"{arn}: {error}", transient=True) from error
