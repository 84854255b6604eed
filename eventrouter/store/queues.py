"""Queues, standard and FIFO: messages that hide while they are worked on and come back by themselves.

One sorted set, scored by the time a message becomes visible, serves delay, ready and in flight: receiving moves
the score ahead by the visibility timeout, so a message that nobody deletes reappears without anybody's help.
A FIFO queue adds the order inside each group and the order of the groups. Visibility and delay run in lease time;
retention, deduplication and what users see in wall time. Source: lambda-semantics §8, redis-design §8.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

import msgspec

from eventrouter.errors import NodeDead, StoreError
from eventrouter.store.catalogue import Conflict
from eventrouter.store.queue_calls import QueueCalls
from eventrouter.store.queue_moves import QueueMoves
from eventrouter.store.queue_types import (
    ChangeOutcome,
    DeleteOutcome,
    MessageState,
    MessageTooLong,
    MoveInProgress,
    MoveStatus,
    MoveTask,
    NewMessage,
    NoSuchMove,
    NoSuchQueue,
    PeekedMessage,
    PurgeInProgress,
    Queue,
    QueueDeletedRecently,
    QueueName,
    QueueSettings,
    Receipt,
    Received,
    ReceivedMessage,
    SendOutcome,
    Sent,
    StoredMessage,
)

if TYPE_CHECKING:
    from random import Random

    from eventrouter.clock import Clock
    from eventrouter.store.connect import Argument, Scripts
    from eventrouter.store.keys import Keys

__all__ = [
    "ChangeOutcome",
    "DeleteOutcome",
    "MessageState",
    "MessageTooLong",
    "MoveInProgress",
    "MoveStatus",
    "MoveTask",
    "NewMessage",
    "NoSuchMove",
    "NoSuchQueue",
    "PeekedMessage",
    "PurgeInProgress",
    "Queue",
    "QueueDeletedRecently",
    "QueueMoves",
    "QueueName",
    "QueueSettings",
    "Queues",
    "Receipt",
    "Received",
    "ReceivedMessage",
    "SendOutcome",
    "Sent",
    "StoredMessage",
]

REMEMBER_MS = 120_000
"""How long a deleted message's id is remembered, so that a late repetition of its send stores nothing."""

IN_FLIGHT_LIMIT = 120_000
"""How many messages of a queue receivers may hold. Source: lambda-semantics §8.4."""

CHANGE_TRIES = 10
_LIST_STEP = 100
_DEFAULT = -1
"""In a script's arguments: take the queue's own setting."""


class Queues:
    """The queues of this installation. A method on one queue is one script, unless it says more.

    Methods on a queue raise NoSuchQueue and Unavailable.
    """

    def __init__(
        self, scripts: Scripts, keys: Keys, clock: Clock, random: Random, *, in_flight_limit: int = IN_FLIGHT_LIMIT
    ) -> None:
        self._calls = QueueCalls(scripts, keys, clock, random)
        self._in_flight_limit = in_flight_limit
        self._registered: set[tuple[str, QueueName]] = set()
        self.moves = QueueMoves(self._calls)
        """Dead letters on their way, and move tasks."""

    def new_id(self) -> str:
        """Return a fresh message id."""
        return self._calls.new_id()

    # Queues

    async def create(self, name: QueueName, settings: QueueSettings) -> tuple[Queue, bool]:
        """Create a queue and return it, with True; if it exists already, return that one unchanged, with False.

        Raises QueueDeletedRecently, IntakeRefused.
        """
        if settings.dead_letter_target is not None:
            await self.moves.register(name)
        generation = self.new_id()
        code, *answer = await self._calls.call("queue_create", name, generation, *_pairs(settings))
        if code == b"DELETED":
            raise QueueDeletedRecently(f"queue {name.name} was deleted less than 60 s ago")
        queue = _queue(name, answer[0])
        # The index only helps to list. It is written after the queue, which alone decides what exists; if we die
        # in between, whoever repeats the unanswered create writes it.
        await self._index(name, queue.generation, exists=True)
        return queue, queue.generation == generation

    async def get(self, name: QueueName) -> Queue | None:
        """Return the queue with its counts, or None if there is none."""
        try:
            _, stored, visible, hidden, delayed = await self._calls.call("queue_get", name)
        except NoSuchQueue:
            return None
        return replace(_queue(name, stored), visible=visible, in_flight=hidden - delayed, delayed=delayed)

    async def exists(self, name: QueueName) -> bool:
        """Say whether the queue exists."""
        answer = await self._calls.scripts.call("queue_exists", [self._calls.key(name, "q")], [])
        return bool(answer[0] == b"OK")

    async def change(self, name: QueueName, change: Callable[[QueueSettings], QueueSettings]) -> Queue:
        """Apply `change` to the settings as they are now, and return the queue as it is then.

        Of changes made at the same time each is applied to what the one before left: `change` may be called several
        times. The kind of the queue cannot be changed. Raises Conflict if others keep changing it, IntakeRefused.
        """
        token = self.new_id()
        for _ in range(CHANGE_TRIES):
            queue = await self.get(name)
            if queue is None:
                await self._calls.call("queue_get", name)  # raises, unless it was created meanwhile
                continue
            settings = change(queue.settings)
            if settings == queue.settings:
                return queue
            if settings.is_fifo != queue.settings.is_fifo:
                raise StoreError("a queue cannot become FIFO, nor cease to be")
            if settings.dead_letter_target is not None:
                await self.moves.register(name)
            is_modified = replace(settings, tags=queue.settings.tags) != queue.settings
            code, *answer = await self._calls.call(
                "queue_change", name, token, queue.revision, int(is_modified), *_pairs(settings)
            )
            if code == b"OK":
                return replace(
                    _queue(name, answer[0]), visible=queue.visible, in_flight=queue.in_flight, delayed=queue.delayed
                )
        raise Conflict(f"queue {name.name} is changed by others all the time")

    async def names(
        self, account: str, region: str, *, prefix: str = "", after: str = "", limit: int = 1_000
    ) -> tuple[str, ...]:
        """Return up to `limit` names of queues, in order, that begin with `prefix` and come behind `after`."""
        found: list[str] = []
        index = self._index_key(account, region)
        last = f"{after}\x01" if after else ""
        while len(found) < limit:
            listed: list[bytes] = await self._calls.scripts.call("queue_list", [index], [prefix, last, _LIST_STEP])
            entries = [entry.decode().partition("\0") for entry in listed]
            queues = [QueueName(account=account, region=region, name=name) for name, _, _ in entries]
            alive = await self._calls.scripts.call_each(
                "queue_exists", [([self._calls.key(queue, "q")], []) for queue in queues]
            )
            found += [
                name
                for (name, _, generation), answer in zip(entries, alive, strict=True)
                if answer[1:] == [generation.encode()]
            ]
            if len(listed) < _LIST_STEP:
                break
            last = listed[-1].decode()
        return tuple(found[:limit])

    async def purge(self, name: QueueName) -> None:
        """Remove every message, and forget deduplication. Raises PurgeInProgress."""
        code = (await self._calls.call("queue_purge", name, self.new_id()))[0]
        if code == b"BUSY":
            raise PurgeInProgress(f"queue {name.name} was purged less than 60 s ago")

    async def remove(self, name: QueueName) -> None:
        """Remove the queue with all it holds; the name rests for 60 s. Its dead letters are sent on before."""
        await self.moves.forward(name)
        _, generation = await self._calls.call("queue_remove", name, self.new_id())
        await self._index(name, generation.decode(), exists=False)

    # Messages

    async def send(
        self, name: QueueName, message: NewMessage, *, delay_ms: int | None = None, remember_ms: int = REMEMBER_MS
    ) -> int:
        """Store one message and return the delay that applied, in ms (None: the message's own, or the queue's).

        As `send_all`, but raises MessageTooLong.
        """
        if delay_ms is not None:
            message = msgspec.structs.replace(message, delay_ms=delay_ms)
        [sent] = await self.send_all(name, [message], remember_ms=remember_ms)
        if sent.outcome is SendOutcome.TOO_LONG:
            raise MessageTooLong(sent.max_bytes)
        return sent.delay_ms

    async def send_all(
        self, name: QueueName, messages: Sequence[NewMessage], *, remember_ms: int = REMEMBER_MS
    ) -> list[Sent]:
        """Store up to 10 messages, in this order, and say of each what became of it.

        An id is remembered while the message exists and for `remember_ms` after it was deleted: sending it again
        stores nothing. Raises IntakeRefused: none of them is stored.
        """
        args: list[Argument] = []
        for message in messages:
            args += (_header(message, remember_ms), message.body, message.extras)
        _, *sent = await self._calls.call("queue_send", name, *args)
        return [_sent(answer, message.id) for answer, message in zip(sent, messages, strict=True)]

    async def receive(
        self,
        name: QueueName,
        *,
        limit: int,
        visibility_ms: int | None = None,
        owner: str = "",
        attempt_id: str = "",
    ) -> Received:
        """Take up to `limit` (at most 10) visible messages and hide them for `visibility_ms` (None: the queue's own).

        `owner` is the incarnation of a node that receives for itself: should it die, its messages become visible at
        once. On a FIFO queue the same `attempt_id` gets, for 5 min, the same messages again while none of them was
        changed. A message that was received as often as the queue allows goes to the dead-letter queue instead.
        Raises NodeDead: `owner` is not listed as living.
        """
        if owner:
            await self._register(owner, name)
        code, outbox, *answer = await self._calls.call(
            "queue_receive",
            name,
            self.new_id(),
            limit,
            _DEFAULT if visibility_ms is None else visibility_ms,
            owner,
            attempt_id,
            self._in_flight_limit,
            name.arn,
        )
        if code == b"DEAD":
            raise NodeDead(owner)
        if outbox:
            await self.moves.forward_now(name)
        match code:
            case b"OK":
                return Received(messages=tuple([_message(message) for message in answer]))
            case b"OVER":
                return Received(is_over_limit=True, wait_ms=answer[0])
            case _:
                next_in_ms, wait_ms = answer
                return Received(next_in_ms=None if next_in_ms < 0 else next_in_ms, wait_ms=wait_ms)

    async def delete(self, name: QueueName, receipt: Receipt) -> bool:
        """Remove one message; as `delete_all`. Returns whether it was removed now."""
        [outcome] = await self.delete_all(name, [receipt])
        return outcome is DeleteOutcome.DELETED

    async def delete_all(self, name: QueueName, receipts: Sequence[Receipt]) -> list[DeleteOutcome]:
        """Remove up to 10 messages, each if nobody has received it since.

        On a standard queue its visibility may have run out. On a FIFO queue deleting the last held message of a
        group frees the group.
        """
        args: list[Argument] = []
        for receipt in receipts:
            args += (receipt.id, receipt.count, receipt.nonce)
        _, *outcomes = await self._calls.call("queue_delete", name, *args)
        return [DeleteOutcome(outcome.decode()) for outcome in outcomes]

    async def change_visibility(self, name: QueueName, changes: Sequence[tuple[Receipt, int]]) -> list[ChangeOutcome]:
        """Hide up to 10 received messages for so many ms from now (0: visible at once)."""
        args: list[Argument] = [self.new_id()]
        for receipt, visibility_ms in changes:
            args += (receipt.id, receipt.count, receipt.nonce, visibility_ms)
        _, *outcomes = await self._calls.call("queue_hide", name, *args)
        return [ChangeOutcome(outcome.decode()) for outcome in outcomes]

    async def peek(self, name: QueueName, *, start: int = 0, limit: int = 100) -> tuple[PeekedMessage, ...]:
        """Return messages in the order in which they were sent, without receiving them; leave out the first `start`.

        At most 100, and fewer if they are large; none: there are no more.
        """
        _, *found = await self._calls.call("queue_peek", name, start, limit)
        return tuple(
            PeekedMessage(message=_message(message), state=MessageState(state.decode())) for state, *message in found
        )

    async def find(self, name: QueueName, message_id: str) -> StoredMessage | None:
        """Say where a message stands, without receiving it; None if it is not in this queue."""
        _, where, *facts = await self._calls.call("queue_find", name, message_id)
        if where == b"NONE":
            return None
        if where == b"LEAVING":
            return StoredMessage(is_leaving=True)
        visible_in_ms, receives, owner, sent_at_ms = facts
        return StoredMessage(
            visible_in_ms=visible_in_ms, receives=receives, owner=owner.decode() or None, sent_at_ms=sent_at_ms
        )

    async def _register(self, owner: str, name: QueueName) -> None:
        """Note that `owner` may hold messages of this queue, before it does: so they are found should it die."""
        if (owner, name) in self._registered:
            return
        keys = self._calls.keys
        registry = (keys.installation("hosts"), keys.installation(f"queues:{owner}"))
        answer = await self._calls.scripts.call("queue_register", registry, (owner, name.key))
        if answer[0] != b"OK":
            raise NodeDead(owner)
        self._registered.add((owner, name))

    async def _index(self, name: QueueName, generation: str, *, exists: bool) -> None:
        args = (f"{name.name}\0{generation}", int(exists))
        await self._calls.scripts.call("queue_index", [self._index_key(name.account, name.region)], args)

    def _index_key(self, account: str, region: str) -> str:
        return self._calls.keys.of(f"q:{account}:{region}", "names")


class _Header(msgspec.Struct, omit_defaults=True, gc=False):
    """What queue_send is told of a message; see there."""

    id: str
    z: int
    u: str
    k: int
    d: int | None = None
    g: str = ""
    y: str = ""


_encode = msgspec.json.Encoder().encode


def _header(message: NewMessage, remember_ms: int) -> bytes:
    return _encode(
        _Header(
            message.id,
            message.size_bytes,
            message.sender,
            remember_ms,
            message.delay_ms,
            message.group,
            message.deduplication_id,
        )
    )


def _sent(answer: Sequence[Any], message_id: str) -> Sent:
    match answer:
        case [b"LARGE", max_bytes]:
            return Sent(SendOutcome.TOO_LONG, message_id, max_bytes=max_bytes)
        case [code, first_id, sequence_number, delay_ms]:
            return Sent(SendOutcome(code.decode()), first_id.decode(), sequence_number.decode(), delay_ms)
        case _:
            raise StoreError(f"queue_send answered {answer!r}")


def _pairs(settings: QueueSettings) -> Iterator[str | int]:
    """Write settings as fields and values of the queue's hash; None is ''."""
    for field in fields(settings):
        value = getattr(settings, field.name)
        yield field.name
        if isinstance(value, Mapping):
            yield msgspec.json.encode(value).decode()
        elif value is None:
            yield ""
        else:
            yield value if isinstance(value, str) else int(value)


_DEFAULTS = QueueSettings()


def _setting(name: str, stored: bytes) -> Any:
    """Read one field of the queue's hash, of the type that its default shows."""
    default = getattr(_DEFAULTS, name)
    if name == "tags":
        return msgspec.json.decode(stored)
    if default is None:
        text = stored.decode() or None
        return int(text) if text and name == "max_receive_count" else text
    return type(default)(int(stored)) if isinstance(default, int) else stored.decode()


def _queue(name: QueueName, flat: Sequence[bytes]) -> Queue:
    """Read a queue's hash from its flattened fields and values. A field that an older release did not write is
    as its default.
    """
    stored = {key.decode(): value for key, value in zip(flat[::2], flat[1::2], strict=True)}
    known = [field.name for field in fields(QueueSettings) if field.name in stored]
    created_at_ms = int(stored["created_at_ms"])
    return Queue(
        name=name,
        generation=stored["generation"].decode(),
        settings=QueueSettings(**{field: _setting(field, stored[field]) for field in known}),
        created_at_ms=created_at_ms,
        modified_at_ms=int(stored.get("modified_at_ms", created_at_ms)),
        revision=int(stored.get("revision", 1)),
    )


def _message(answer: Sequence[bytes]) -> ReceivedMessage:
    identity, count, nonce, sent_at, first_at, sender, body, extras, group, deduplication, sequence, source = answer
    return ReceivedMessage(
        receipt=Receipt(id=identity.decode(), count=int(count), nonce=nonce.decode()),
        body=body,
        extras=extras,
        sender=sender.decode(),
        sent_at_ms=int(sent_at),
        first_received_at_ms=int(first_at),
        group=group.decode(),
        deduplication_id=deduplication.decode(),
        sequence_number=sequence.decode(),
        source_arn=source.decode(),
    )
