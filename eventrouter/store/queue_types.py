"""What queues are made of, as callers see it: names, settings, messages, receipts, outcomes and errors.

Source: lambda-semantics §8.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Self

import msgspec

from eventrouter.errors import StoreError

_ARN = re.compile(r"arn:aws[a-z-]*:sqs:([a-z0-9-]+):(\d+):([A-Za-z0-9_.-]+)")


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


class MoveInProgress(StoreError):
    """Another task moves messages out of this queue now."""


class NoSuchMove(StoreError):
    """The queue remembers no such task, or it has ended."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class QueueName:
    """One queue of one account in one region."""

    account: str
    region: str
    name: str

    @property
    def arn(self) -> str:
        return f"arn:aws:sqs:{self.region}:{self.account}:{self.name}"

    @property
    def key(self) -> str:
        """The name as it stands in keys and registries."""
        return f"{self.account}:{self.region}:{self.name}"

    @classmethod
    def of_key(cls, key: str) -> Self:
        """Read what `key` gave."""
        account, region, name = key.split(":", 2)
        return cls(account=account, region=region, name=name)

    @classmethod
    def of_arn(cls, arn: str) -> Self | None:
        """Return the queue that an ARN names, or None if it is not a queue's."""
        match = _ARN.fullmatch(arn)
        return cls(region=match[1], account=match[2], name=match[3]) if match else None


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueSettings:
    """What can be set on a queue. The store acts on everything down to `dead_letter_target`; the rest it only keeps.

    `is_fifo` never changes. `deduplication_scope` is `queue` or `messageGroup`. Whether content makes the
    deduplication id is the sender's affair: the store is always told the id. Defaults: lambda-semantics §8.2.
    """

    delay_ms: int = 0
    max_bytes: int = 1_048_576
    retention_ms: int = 345_600_000
    wait_ms: int = 0
    visibility_ms: int = 30_000
    is_fifo: bool = False
    deduplication_scope: str = "queue"
    max_receive_count: int | None = None
    dead_letter_target: str | None = None
    content_based_deduplication: bool = False
    throughput_limit: str = "perQueue"
    redrive_allow: str | None = None
    policy: str | None = None
    managed_encryption: int = 1
    kms_key: str | None = None
    kms_reuse_s: int = 300
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """A queue as stored, and how many messages it holds now: to be had, held by receivers, not yet due."""

    name: QueueName
    generation: str
    settings: QueueSettings
    created_at_ms: int
    modified_at_ms: int
    revision: int = 1
    visible: int = 0
    in_flight: int = 0
    delayed: int = 0


class NewMessage(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A message to be sent. The sender makes `id` before its first try; sending an id again stores nothing.

    `extras` is kept beside the body, unread. `size_bytes` is what counts against the queue's maximum. `delay_ms` None
    is the queue's own. `group` orders the messages of a FIFO queue and holds no NUL; `deduplication_id` counts there
    only, and '' leaves out deduplication.
    """

    id: str
    body: bytes
    extras: bytes = b""
    sender: str
    size_bytes: int
    delay_ms: int | None = None
    group: str = ""
    deduplication_id: str = ""


class SendOutcome(StrEnum):
    """What became of one message that was sent."""

    STORED = "OK"
    DUPLICATE = "DUP"
    TOO_LONG = "LARGE"


class Sent(msgspec.Struct, frozen=True, gc=False):
    """The answer to one message. A duplicate has id and sequence number of the first one."""

    outcome: SendOutcome
    id: str
    sequence_number: str = ""
    """20 digits; empty on standard queues."""
    delay_ms: int = 0
    max_bytes: int = 0
    """The queue's limit, if the message is too long."""


class Receipt(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Proof of one receive of one message."""

    id: str
    count: int
    nonce: str


class ReceivedMessage(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A message handed out, for the `receipt.count`-th time."""

    receipt: Receipt
    body: bytes
    extras: bytes
    sender: str
    sent_at_ms: int
    first_received_at_ms: int
    group: str = ""
    deduplication_id: str = ""
    sequence_number: str = ""
    source_arn: str = ""
    """The queue that gave the message up, if this is a dead letter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """What a receive got. With no messages: when one may become visible, if any is held, and the queue's own wait.

    `is_over_limit`: nothing was handed out because too many messages are held already.
    """

    messages: tuple[ReceivedMessage, ...] = ()
    next_in_ms: int | None = None
    wait_ms: int = 0
    is_over_limit: bool = False


class DeleteOutcome(StrEnum):
    """What became of one receipt that was to delete its message."""

    DELETED = "OK"
    GONE = "GONE"
    """The message is not here (any more)."""
    STALE = "STALE"
    """The message was received again since; it stays."""
    EXPIRED = "EXPIRED"
    """FIFO only: its visibility has run out; it stays."""


class ChangeOutcome(StrEnum):
    """What became of one change of visibility."""

    CHANGED = "OK"
    GONE = "GONE"
    STALE = "STALE"
    """The message was received again since."""
    NOT_IN_FLIGHT = "IDLE"
    """FIFO only: its visibility has run out."""
    TOO_LONG = "LONG"
    """It would be hidden for more than 12 h since it was received."""


class MessageState(StrEnum):
    """Whether a message can be had."""

    VISIBLE = "visible"
    IN_FLIGHT = "in_flight"
    DELAYED = "delayed"


class PeekedMessage(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A message looked at without receiving it. Its receipt is that of its last receive, if there was one."""

    message: ReceivedMessage
    state: MessageState


class StoredMessage(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Where a message stands: when it is visible (ms from now; 0: it is), and how often it was received.

    `owner` is the incarnation that has received it for itself and holds it. `is_leaving`: it is on its way to another
    queue, and nothing else is told.
    """

    visible_in_ms: int = 0
    receives: int = 0
    owner: str | None = None
    sent_at_ms: int = 0
    is_leaving: bool = False


class MoveStatus(StrEnum):
    """How far a move task is."""

    RUNNING = "RUNNING"
    CANCELLING = "CANCELLING"
    CANCELLED = "CANCELLED"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"


class MoveTask(msgspec.Struct, frozen=True, kw_only=True):
    """A task that moves the messages of a queue (the source) to another one, or each to where it came from.

    `to` is the destination's ARN, or '' for each message's own. `rate` is messages per second, 0 for as fast as can
    be. `total` is how many messages there were at the start.
    """

    handle: str
    status: MoveStatus = MoveStatus.RUNNING
    to: str = ""
    rate: int = 0
    started_at_ms: int
    total: int = 0
    moved: int = 0
    failure: str = ""

    @property
    def is_active(self) -> bool:
        return self.status in (MoveStatus.RUNNING, MoveStatus.CANCELLING)
