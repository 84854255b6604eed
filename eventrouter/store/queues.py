"""Standard queues: messages that hide while they are worked on and come back by themselves.

One sorted set, scored by the time a message becomes visible, serves delay, ready and in flight: receiving moves
the score ahead by the visibility timeout, so a message that nobody deletes reappears without anybody's help.
Visibility and delay run in lease time, retention and what users see in wall time.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from eventrouter.errors import StoreError, Unavailable

if TYPE_CHECKING:
    from random import Random

    from eventrouter.clock import Clock
    from eventrouter.store.connect import Scripts
    from eventrouter.store.keys import Keys

REMEMBER_MS = 120_000
"""How long a deleted message's id is remembered, so that a late repetition of its send stores nothing."""

_PARTS = ("clk", "q", "gone", "v", "m", "b", "x", "s", "d", "dd", "rn", "rt")
"""The names of a queue's keys, in the order that every queue script declares (see scripts/_queue.lua)."""

_LIST_STEP = 100
_DEFAULT = -1
"""In a script's arguments: take the queue's own setting."""


class NoSuchQueue(StoreError):
    """The queue does not exist."""


class QueueDeletedRecently(StoreError):
    """The queue was deleted less than 60 s ago; it cannot be created again yet."""


class PurgeInProgress(StoreError):
    """The queue was purged less than 60 s ago."""


class MessageTooLong(StoreError):
    """The message is larger than the queue takes; `max_bytes` is the queue's limit."""

    def __init__(self, max_bytes: int) -> None:
        super().__init__(f"the message is longer than {max_bytes} bytes")
        self.max_bytes = max_bytes


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class QueueName:
    """One queue of one account in one region."""

    account: str
    region: str
    name: str

    @property
    def arn(self) -> str:
        return f"arn:aws:sqs:{self.region}:{self.account}:{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueSettings:
    """What a queue is created with. `managed_encryption` is kept only to be answered.

    Defaults: lambda-semantics §8.2.
    """

    delay_ms: int = 0
    max_bytes: int = 1_048_576
    retention_ms: int = 345_600_000
    wait_ms: int = 0
    visibility_ms: int = 30_000
    managed_encryption: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """A queue as stored, and how many messages it holds now: to be had, held by receivers, not yet due."""

    name: QueueName
    generation: str
    settings: QueueSettings
    created_at_ms: int
    visible: int = 0
    in_flight: int = 0
    delayed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class NewMessage:
    """A message to be sent. The sender makes `id` before its first try; sending an id again stores nothing.

    `extras` is kept beside the body, unread. `size_bytes` is what counts against the queue's maximum.
    """

    id: str
    body: bytes
    extras: bytes = b""
    sender: str
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """Proof of one receive of one message."""

    id: str
    count: int
    nonce: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedMessage:
    """A message handed out, for the `receipt.count`-th time."""

    receipt: Receipt
    body: bytes
    extras: bytes
    sender: str
    sent_at_ms: int
    first_received_at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """What a receive got. With no messages: when one may become visible, if any is held, and the queue's own wait."""

    messages: tuple[ReceivedMessage, ...] = ()
    next_in_ms: int | None = None
    wait_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Witness:
    """A queue's lease time when a call of ours was answered, and when that was on our monotonic clock."""

    at: float
    lease_ms: int


class Queues:
    """The queues of this installation. Every method is one script on one queue, except `names` and the index."""

    def __init__(self, scripts: Scripts, keys: Keys, clock: Clock, random: Random) -> None:
        self._scripts = scripts
        self._keys = keys
        self._clock = clock
        self._random = random
        self._witness: dict[QueueName, _Witness] = {}

    def new_id(self) -> str:
        """Return a fresh message id."""
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))

    async def create(self, name: QueueName, settings: QueueSettings) -> tuple[Queue, bool]:
        """Create a queue and return it, with True; if it exists already, return that one unchanged, with False.

        Raises QueueDeletedRecently.
        """
        generation = self.new_id()
        code, *answer = await self._call("queue_create", name, generation, *_pairs(settings))
        if code == b"DELETED":
            raise QueueDeletedRecently(f"queue {name.name} was deleted less than 60 s ago")
        queue = _queue(name, answer[0])
        # The index only helps to list. It is written after the queue, which alone decides what exists; if we die
        # in between, whoever repeats the unanswered create writes it.
        await self._scripts.call("queue_index", [self._index_key(name.account, name.region)], [_listed(queue), "1"])
        return queue, queue.generation == generation

    async def get(self, name: QueueName) -> Queue | None:
        """Return the queue with its counts, or None if there is none."""
        code, *answer = await self._call("queue_get", name)
        if code != b"OK":
            return None
        stored, visible, hidden, delayed = answer
        return replace(_queue(name, stored), visible=visible, in_flight=hidden - delayed, delayed=delayed)

    async def exists(self, name: QueueName) -> bool:
        """Say whether the queue exists."""
        answer = await self._scripts.call("queue_exists", self._keys_of(name)[1:2], [])
        return bool(answer[0] == b"OK")

    async def names(
        self, account: str, region: str, *, prefix: str = "", after: str = "", limit: int = 1_000
    ) -> tuple[str, ...]:
        """Return up to `limit` names of queues, in order, that begin with `prefix` and come behind `after`."""
        found: list[str] = []
        index = self._index_key(account, region)
        last = f"{after}\x01" if after else ""
        while len(found) < limit:
            listed: list[bytes] = await self._scripts.call("queue_list", [index], [prefix, last, _LIST_STEP])
            entries = [entry.decode().partition("\0") for entry in listed]
            queues = [QueueName(account=account, region=region, name=name) for name, _, _ in entries]
            alive = await self._scripts.call_each("queue_exists", [(self._keys_of(queue)[1:2], []) for queue in queues])
            found += [
                name
                for (name, _, generation), answer in zip(entries, alive, strict=True)
                if answer[1:] == [generation.encode()]
            ]
            if len(listed) < _LIST_STEP:
                break
            last = listed[-1].decode()
        return tuple(found[:limit])

    async def send(
        self, name: QueueName, message: NewMessage, *, delay_ms: int | None = None, remember_ms: int = REMEMBER_MS
    ) -> int:
        """Store a message and return the delay that applied, in ms (None: the queue's own).

        The id is remembered while the message exists and for `remember_ms` after it was deleted: sending it again
        stores nothing. Raises NoSuchQueue, MessageTooLong, IntakeRefused.
        """
        answer = await self._call(
            "queue_send",
            name,
            message.id,
            message.body,
            message.extras,
            message.sender,
            message.size_bytes,
            _DEFAULT if delay_ms is None else delay_ms,
            remember_ms,
        )
        match answer:
            case [b"OK" | b"DUP", delay]:
                return int(delay)
            case [b"LARGE", max_bytes]:
                raise MessageTooLong(max_bytes)
            case _:
                raise _missing(name)

    async def receive(self, name: QueueName, *, limit: int, visibility_ms: int | None = None) -> Received:
        """Take up to `limit` (at most 10) visible messages and hide them for `visibility_ms` (None: the queue's own).

        Raises NoSuchQueue.
        """
        answer = await self._call(
            "queue_receive", name, self.new_id(), limit, _DEFAULT if visibility_ms is None else visibility_ms
        )
        match answer:
            case [b"OK", *messages]:
                return Received(messages=tuple(_message(message) for message in messages))
            case [b"EMPTY", next_in_ms, wait_ms]:
                return Received(next_in_ms=None if next_in_ms < 0 else next_in_ms, wait_ms=wait_ms)
            case _:
                raise _missing(name)

    async def delete(self, name: QueueName, receipt: Receipt) -> bool:
        """Remove a message if nobody has received it since `receipt`; its visibility may have run out.

        Returns whether it was removed now. Raises NoSuchQueue.
        """
        code = (await self._call("queue_delete", name, receipt.id, receipt.count, receipt.nonce))[0]
        if code == b"MISSING":
            raise _missing(name)
        return bool(code == b"OK")

    async def purge(self, name: QueueName) -> None:
        """Remove every message, and forget the ids of those before. Raises NoSuchQueue, PurgeInProgress."""
        code = (await self._call("queue_purge", name, self.new_id()))[0]
        if code == b"MISSING":
            raise _missing(name)
        if code == b"BUSY":
            raise PurgeInProgress(f"queue {name.name} was purged less than 60 s ago")

    async def remove(self, name: QueueName) -> None:
        """Remove the queue with all it holds; the name rests for 60 s. Raises NoSuchQueue."""
        code, *answer = await self._call("queue_remove", name, self.new_id())
        if code == b"MISSING":
            raise _missing(name)
        listed = f"{name.name}\0{answer[0].decode()}"
        await self._scripts.call("queue_index", [self._index_key(name.account, name.region)], [listed, "0"])

    async def _call(self, script: str, name: QueueName, *args: str | bytes | int) -> list[Any]:
        """Run one script on a queue, telling it how far its lease time must be; return code and answer.

        Lease time moves by at most 2 s a call, whatever the server's clock says. So that it does not stand still
        while nobody calls, we tell how long our monotonic clock has run since a call of ours was answered. Time in
        which a call failed does not count: an outage must not use up anybody's visibility timeout.
        """
        witness = self._witness.get(name)
        reached = 0 if witness is None else witness.lease_ms + int((self._clock.monotonic() - witness.at) * 1_000)
        try:
            code, lease_ms, *answer = await self._scripts.call(
                script, self._keys_of(name), [reached, self._clock.now_ms(), *args]
            )
        except Unavailable:
            self._witness.clear()
            raise
        if code == b"MISSING":
            self._witness.pop(name, None)
        elif lease_ms:
            self._witness[name] = _Witness(at=self._clock.monotonic(), lease_ms=lease_ms)
        return [code, *answer]

    def _keys_of(self, name: QueueName) -> list[str]:
        """Return every key of a queue, in the order that the scripts declare."""
        tag = f"q:{name.account}:{name.region}:{name.name}"
        return [self._keys.of(tag, part) for part in _PARTS]

    def _index_key(self, account: str, region: str) -> str:
        return self._keys.of(f"q:{account}:{region}", "names")


def _listed(queue: Queue) -> str:
    return f"{queue.name.name}\0{queue.generation}"


def _missing(name: QueueName) -> NoSuchQueue:
    return NoSuchQueue(f"queue {name.name} of {name.account} in {name.region} does not exist")


def _pairs(settings: QueueSettings) -> Iterator[str | int]:
    for field in fields(settings):
        yield field.name
        yield getattr(settings, field.name)


def _queue(name: QueueName, flat: Sequence[bytes]) -> Queue:
    """Read a queue's hash from its flattened fields and values."""
    stored = {key.decode(): value for key, value in zip(flat[::2], flat[1::2], strict=True)}
    return Queue(
        name=name,
        generation=stored["generation"].decode(),
        settings=QueueSettings(**{field.name: int(stored[field.name]) for field in fields(QueueSettings)}),
        created_at_ms=int(stored["created_at_ms"]),
    )


def _message(answer: Sequence[bytes]) -> ReceivedMessage:
    identity, count, nonce, sent_at, first_at, sender, body, extras = answer
    return ReceivedMessage(
        receipt=Receipt(id=identity.decode(), count=int(count), nonce=nonce.decode()),
        body=body,
        extras=extras,
        sender=sender.decode(),
        sent_at_ms=int(sent_at),
        first_received_at_ms=int(first_at),
    )
