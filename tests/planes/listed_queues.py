"""Queues over plain lists: an implementation of the port `QueueSource` that shows what it holds.

Messages come by `send`, in the time of the clock it is given. A FIFO queue hands out nothing of a group of which
anything is hidden. `away` makes every question fail for a while.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from eventrouter.clock import Clock
from eventrouter.ports import QueueMessage, QueueTraits, SourceGone

RECEIVE_LIMIT = 10


def queue_arn(name: str, *, account: str = "000000000000", region: str = "us-east-1") -> str:
    return f"arn:aws:sqs:{region}:{account}:{name}"


@dataclass
class Item:
    """One message as it is held. `visible_at` is on the monotonic clock; `owner` has received it last."""

    id: str
    body: str
    group: str
    sent_at_ms: int
    visible_at: float
    count: int = 0
    owner: str = ""
    first_received_ms: int = 0

    @property
    def receipt(self) -> str:
        return f"{self.id}/{self.count}"


@dataclass
class ListedQueue:
    is_fifo: bool
    visibility_ms: int
    maximum_receives: int | None
    items: list[Item] = field(default_factory=list)
    dead: list[Item] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def wake(self) -> None:
        self.changed.set()
        self.changed = asyncio.Event()


class ListedQueues:
    """Any number of queues, by ARN."""

    service = "sqs"
    data_key = "body"
    receive_limit = RECEIVE_LIMIT

    def __init__(self, clock: Clock) -> None:
        self.away: Exception | None = None
        """What every question raises while it is set."""
        self.receives = 0
        self.changes: list[tuple[float, int]] = []
        """Every change of visibility: when, and to how many milliseconds."""
        self.deleted: list[str] = []
        self._clock = clock
        self._queues: dict[str, ListedQueue] = {}
        self._numbers = itertools.count(1)

    # What tests do to queues.

    def create(
        self, arn: str, *, is_fifo: bool = False, visibility_s: float = 30, maximum_receives: int | None = None
    ) -> str:
        self._queues[arn] = ListedQueue(is_fifo, round(visibility_s * 1_000), maximum_receives)
        return arn

    def remove(self, arn: str) -> None:
        self._queues.pop(arn).wake()

    def send(self, arn: str, *bodies: Any, group: str = "", delay_s: float = 0) -> list[str]:
        """Add a message of JSON (or of bytes, as they are) for each body; return their ids."""
        queue = self._queues[arn]
        items = [
            Item(
                id=f"message-{next(self._numbers)}",
                body=body.decode() if isinstance(body, bytes) else json.dumps(body),
                group=group or ("g" if queue.is_fifo else ""),
                sent_at_ms=self._clock.now_ms(),
                visible_at=self._clock.monotonic() + delay_s,
            )
            for body in bodies
        ]
        queue.items += items
        queue.wake()
        return [item.id for item in items]

    def bury(self, owner: str) -> None:
        """Give back at once what a dead node has received, as the store does."""
        for queue in self._queues.values():
            for item in queue.items:
                if item.owner == owner:
                    item.visible_at = min(item.visible_at, self._clock.monotonic())
            queue.wake()

    def bodies(self, arn: str) -> list[Any]:
        """Return what a queue holds, hidden or not."""
        return [json.loads(item.body) for item in self._queues[arn].items]

    def dead(self, arn: str) -> list[Any]:
        """Return what was received too often."""
        return [json.loads(item.body) for item in self._queues[arn].dead]

    def counts(self, arn: str) -> list[int]:
        """Return how often each message was received."""
        return [item.count for item in self._queues[arn].items]

    # The port.

    def filterable(self, event: bytes) -> Mapping[str, Any]:
        body = json.loads(event)["body"]
        with contextlib.suppress(ValueError):
            document = json.loads(body)
            if isinstance(document, dict | list):
                return {"body": document}
        return {"body": body}

    async def traits(self, arn: str) -> QueueTraits:
        queue = self._queue(arn)
        return QueueTraits(visibility_ms=queue.visibility_ms, is_fifo=queue.is_fifo)

    async def receive(
        self, arn: str, *, limit: int, visibility_ms: int, owner: str, has_window: bool
    ) -> Sequence[QueueMessage]:
        assert 1 <= limit <= RECEIVE_LIMIT
        queue = self._queue(arn)
        self.receives += 1
        await asyncio.sleep(0)
        now = self._clock.monotonic()
        taken = list(itertools.islice(self._available(queue, now), limit))
        messages: list[QueueMessage] = []
        for item in taken:
            item.count += 1
            item.owner = owner
            item.first_received_ms = item.first_received_ms or self._clock.now_ms()
            if queue.maximum_receives is not None and item.count > queue.maximum_receives:
                queue.items.remove(item)
                queue.dead.append(item)
                continue
            item.visible_at = now + visibility_ms / 1_000
            messages.append(_message(arn, item, has_window=has_window))
        return messages

    async def wait(self, arn: str) -> None:
        while True:
            queue = self._queue(arn)
            now = self._clock.monotonic()
            if next(iter(self._available(queue, now)), None) is not None:
                return
            hidden = [item.visible_at - now for item in queue.items if item.visible_at > now]
            try:
                async with asyncio.timeout(min(hidden, default=None)):
                    await queue.changed.wait()
            except TimeoutError:
                pass

    async def delete(self, arn: str, receipts: Sequence[str]) -> int:
        queue = self._queue(arn)
        found = [item for item in queue.items if item.receipt in receipts]
        queue.items = [item for item in queue.items if item not in found]
        self.deleted += [item.id for item in found]
        queue.wake()
        return len(found)

    async def change_visibility(self, arn: str, receipts: Sequence[str], visibility_ms: int) -> None:
        queue = self._queue(arn)
        now = self._clock.monotonic()
        self.changes.append((now, visibility_ms))
        for item in queue.items:
            if item.receipt in receipts:
                item.visible_at = now + visibility_ms / 1_000
        queue.wake()

    def _queue(self, arn: str) -> ListedQueue:
        if self.away is not None:
            raise self.away
        if arn not in self._queues:
            raise SourceGone(f"Queue not found: {arn}")
        return self._queues[arn]

    def _available(self, queue: ListedQueue, now: float) -> Iterable[Item]:
        """Return what may be received now: of a FIFO queue one group after the other, each in order."""
        if not queue.is_fifo:
            return [item for item in queue.items if item.visible_at <= now]
        blocked = {item.group for item in queue.items if item.visible_at > now}
        groups = dict.fromkeys(item.group for item in queue.items if item.group not in blocked)
        return [item for group in groups for item in queue.items if item.group == group]


def _message(arn: str, item: Item, *, has_window: bool) -> QueueMessage:
    event: dict[str, Any] = {
        "messageId": item.id,
        "receiptHandle": item.receipt,
        "body": item.body,
        "attributes": {"ApproximateReceiveCount": str(item.count), "SentTimestamp": str(item.sent_at_ms)},
        "messageAttributes": {},
        **({"md5OfMessageAttributes": None} if has_window else {}),
        "eventSource": "aws:sqs",
        "eventSourceARN": arn,
        "awsRegion": arn.split(":")[3],
    }
    if item.group:
        event["attributes"]["MessageGroupId"] = item.group
    return QueueMessage(
        id=item.id,
        receipt=item.receipt,
        group=item.group,
        sent_at_ms=item.sent_at_ms,
        event=json.dumps(event, separators=(",", ":")).encode(),
    )
