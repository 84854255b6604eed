"""What adapters give and are given: small protocols, and the plain values that cross them.

An adapter is a package that the entry-point group `eventrouter.adapters` names. Its entry point is a callable
`build(context: AdapterContext) -> Adapter`. A third party's adapter is found exactly as ours are.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random, SystemRandom
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import msgspec

from eventrouter.errors import EventRouterError

if TYPE_CHECKING:
    from eventrouter.api.http import InternalHandler, Request, Response, WebRequest
    from eventrouter.clock import Clock, Pause
    from eventrouter.rules.function import Function
    from eventrouter.rules.invocation import Invocation
    from eventrouter.rules.mapping import StartingPosition
    from eventrouter.rules.names import FunctionName
    from eventrouter.rules.outcome import Run, Throttled
    from eventrouter.settings import Settings
    from eventrouter.store import Store
    from eventrouter.store.queues import MoveTask, QueueName


class Lease(Protocol):
    """One execution environment, taken for one user of it."""

    is_retired: bool
    """Whether it runs code or settings of the past, and is to be given back as soon as it is idle."""

    def submit(self, invocation: Invocation, done: Callable[[Run], None]) -> None:
        """Run `invocation` and call `done` with what it did, always exactly once.

        May be called again before the first is done: invocations run strictly one at a time, in order.
        """
        ...

    def recall(self) -> list[Invocation]:
        """Take back, in order, every invocation that has not begun; its `done` is never called."""
        ...

    def release(self) -> None:
        """Give the environment back. Only when nothing is in flight."""
        ...


class Environments(Protocol):
    """Where planes get environments from: the node's runtime, or handlers run in process in tests."""

    @property
    def cpus(self) -> int:
        """Return how many cores the environments share: no more short runs than these go on at once."""
        ...

    def try_lease(self, function: Function) -> Lease | None:
        """Take an idle environment of the function's version and generation, if there is one."""
        ...

    def has_room(self, function: Function) -> bool:
        """Say whether `lease` would get an environment without waiting for somebody else's to become free."""
        ...

    async def lease(self, function: Function, *, patience_s: float) -> Lease:
        """Take an idle environment or start one. Raises RuntimeFault if none can be had within `patience_s`."""
        ...

    def retire(self, name: FunctionName) -> None:
        """End every environment that the function has: idle ones now, busy ones when they are done."""
        ...

    def beat(self) -> None:
        """Pass an acknowledged heartbeat on to the keeper."""
        ...

    async def kill_all(self) -> None:
        """Kill every environment now. What was running ends as a SystemFault."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who sent a request: the account and region that its credentials and signature name, and its id."""

    account: str
    region: str
    request_id: str
    base_url: str = "http://127.0.0.1:4566"
    leaves: Callable[[], Awaitable[object]] | None = None
    """Returns when the caller has gone: for operations that wait, and would then answer nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One message for a target.

    `id` is derived from the event and its condition, so a delivery made twice can be stored once by a target
    that remembers ids. `attributes` are name to (data type, value), as SQS message attributes are.
    `trace` is the X-Amzn-Trace-Id to pass on.
    """

    id: str
    body: bytes
    attributes: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    trace: str = ""


class Target(Protocol):
    """Somewhere that records and dead letters can be sent, named by an ARN of one service."""

    service: str
    """The ARN's service part that this target answers for, such as `sqs`."""

    async def exists(self, arn: str) -> bool:
        """Say whether `arn` names something that can be delivered to now."""
        ...

    async def deliver(self, arn: str, delivery: Delivery) -> None:
        """Deliver, and return only once the target has stored it for good.

        Raises AdapterError; `transient` says whether trying again can help.
        """
        ...


class StreamRecord(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One record of a shard.

    `sequence` is a decimal numeral without leading zeros that grows strictly within the shard. `key` is the
    partition key: records of one key keep their order. `event` is the record as it stands in the Lambda event's
    `Records`, as JSON.
    """

    sequence: str
    arrived_ms: int
    key: bytes
    event: bytes


class StreamPage(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What one read of a shard gave, in order. Nothing: there is nothing behind the position now.

    `is_end`: the shard is closed, and nothing follows these records. `has_lost`: records that followed the
    position had passed the source's retention before they were read.
    """

    records: Sequence[StreamRecord] = ()
    is_end: bool = False
    has_lost: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceShard:
    """One shard of a stream. `parents` are the ids of the shards it continues: it is read when these are drained.

    `generation` tells apart shards of one id that belong to different streams of one name, made one after the
    other; empty where ids are never used again.
    """

    id: str
    parents: tuple[str, ...] = ()
    generation: str = ""

    @property
    def unit(self) -> str:
        """Return the name under which a mapping's progress in this shard is stored: never another shard's."""
        return f"{self.id}@{self.generation}" if self.generation else self.id


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamHead:
    """The newest record of a shard."""

    sequence: str
    arrived_ms: int


class SourceGone(EventRouterError):
    """The stream does not exist, or no longer. Its mappings stay, and go on if it comes back."""


class StreamSource(Protocol):
    """Ordered shards that event source mappings read: what an adapter must give to be one.

    Positions are sequence numbers: reading goes on after them. The position `0` is before everything that is retained.
    Every method raises SourceGone if the stream does not exist, and AdapterError if it could not be asked; both are
    reported in the mapping's LastProcessingResult, and tried again.
    """

    START: ClassVar[str] = "0"

    service: str
    """The ARN's service part, such as `kinesis`."""
    data_key: str
    """What filter patterns call the payload of a record (lambda-semantics §4.10)."""
    batch_info: str
    """What on-failure records call the batch, such as `KinesisBatchInfo` (lambda-semantics §4.7)."""
    starting_positions: frozenset[StartingPosition]
    """Where a mapping may start."""

    def filterable(self, event: bytes) -> Mapping[str, Any]:
        """Return what filter patterns see of a record, from its JSON.

        `data_key` is missing if the payload cannot be read as JSON.
        """
        ...

    def arrival_text(self, at_ms: int) -> str:
        """Render a record's arrival as on-failure records show it: ISO 8601, UTC."""
        ...

    async def shards(self, arn: str) -> Sequence[SourceShard]:
        """Return every shard that still holds records or takes new ones, closed ones included."""
        ...

    async def position(self, arn: str, shard: SourceShard, start: StartingPosition, at_ms: int) -> str:
        """Return the position at which reading begins. `at_ms` counts for AT_TIMESTAMP: the first record since."""
        ...

    async def read(
        self, arn: str, shard: SourceShard, after: str, *, limit: int, max_bytes: int, identity_arn: str
    ) -> StreamPage:
        """Return the records after a position, without waiting: at most `limit`, of about `max_bytes` at most.

        `identity_arn` is the role that the event shows as the reader's.
        """
        ...

    async def wait(self, arn: str, shard: SourceShard, after: str) -> None:
        """Return when there may be something to read after a position; early returns are harmless.

        A source that cannot know lets its poll interval pass.
        """
        ...

    async def head(self, arn: str, shard: SourceShard) -> StreamHead | None:
        """Return the newest record of the shard, None if there is none or the source cannot say cheaply."""
        ...


class QueueMessage(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One message that was handed out, hidden from everybody else for a while.

    `id` is what functions report failures by. `receipt` proves this receive, as text that only the source reads.
    Messages of one `group` keep their order; it is empty where there is none. `event` is the message as it stands in
    the Lambda event's `Records`, as JSON.
    """

    id: str
    receipt: str
    group: str = ""
    sent_at_ms: int
    event: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueTraits:
    """What mappings must know of a queue: for how long a message is hidden, and whether groups keep their order."""

    visibility_ms: int
    is_fifo: bool = False


class QueueSource(Protocol):
    """Queues that event source mappings work off: what an adapter must give to be their source.

    A message that was received is hidden until its visibility ends, and comes back by itself unless it is deleted.
    Every method that names a queue raises SourceGone if it does not exist, and AdapterError if it could not be asked.
    """

    service: str
    """The ARN's service part, such as `sqs`."""
    data_key: str
    """What filter patterns call the payload of a message (lambda-semantics §4.10)."""
    receive_limit: int
    """How many messages one receive gives at most."""

    def filterable(self, event: bytes) -> Mapping[str, Any]:
        """Return what filter patterns see of a message: its payload, decoded if it is a JSON object or array, else as
        text. `data_key` is missing if it is not text either.
        """
        ...

    async def traits(self, arn: str) -> QueueTraits:
        """Return the queue's traits, as they are now."""
        ...

    async def receive(
        self, arn: str, *, limit: int, visibility_ms: int, owner: str, has_window: bool
    ) -> Sequence[QueueMessage]:
        """Take up to `limit` messages, without waiting, and hide them for `visibility_ms`.

        Of a FIFO queue: nothing of a group of which anything is hidden, and each group in order. `owner` is this
        node's incarnation: when the node dies, its messages come back at once. `has_window`: the mapping has a batch
        window, which shows in the event (lambda-semantics §4.11).
        """
        ...

    async def wait(self, arn: str) -> None:
        """Return when there may be something to receive; early returns are harmless.

        A source that cannot know lets its poll interval pass.
        """
        ...

    async def delete(self, arn: str, receipts: Sequence[str]) -> int:
        """Delete messages for good; return how many are gone. One that somebody else has received since stays."""
        ...

    async def change_visibility(self, arn: str, receipts: Sequence[str], visibility_ms: int) -> None:
        """Hide messages for `visibility_ms` from now on; 0 gives them back. Those not held stay as they are."""
        ...


Operation = Callable[[Caller, Mapping[str, Any]], Awaitable[Mapping[str, Any]]]
"""One operation of an AWS service: the caller and the parsed input members in, the output members out.

Input has passed the model's shape constraints. Raises RequestError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceApi:
    """The operations of one AWS service that an adapter serves; the door parses, checks and serialises them.

    `service` is botocore's name of the model. `members` is the apply-or-refuse registry: operation name to
    (input member path to its `Applied`, `NotApplicable` or `Refused` entry of `eventrouter.api.registry`).
    """

    service: str
    operations: Mapping[str, Operation]
    members: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


class FunctionCalls(Protocol):
    """Invokes functions by ARN, for adapters whose events are pushed: schedules, HTTP routes."""

    def exists(self, arn: str) -> bool:
        """Say whether `arn` names a function that is there."""
        ...

    async def call(self, arn: str, payload: bytes, *, request_id: str, trace: str = "") -> Run | Throttled:
        """Invoke synchronously. `payload` is JSON, `request_id` a UUID: the invocation's own.

        Raises AdapterError if there is no such function, Unavailable and RuntimeFault as the synchronous plane does.
        """
        ...

    async def accept(self, arn: str, payload: bytes, *, request_id: str, trace: str = "") -> None:
        """Store an asynchronous event; return once it is durable. The same `request_id` again is the same event.

        Raises AdapterError if there is no such function, IntakeRefused (nothing stored) or Unavailable (unknown).
        """
        ...


class MoveTasks(Protocol):
    """Works off the tasks that move messages from queue to queue, in the background."""

    async def begin(self, source: QueueName, task: MoveTask) -> None:
        """Work off a task that has just been stored. A call that is lost only delays: the store knows every task."""
        ...


class WebDoor(Protocol):
    """Answers plain HTTP requests: those to hosts and paths of its own, and what is for no AWS API."""

    body_limit: int
    """How long a body may be, in bytes."""

    def claims(self, request: Request) -> bool:
        """Say whether a request is for this door whatever else it looks like. Asked of every request, but Invoke."""
        ...

    async def answer(self, request: WebRequest) -> Response | None:
        """Answer a request; None if nothing here is at its path."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterContext:
    """What an adapter may use."""

    settings: Settings
    clock: Clock
    store: Store
    moves: MoveTasks | None = None
    functions: FunctionCalls | None = None
    random: Random = field(default_factory=SystemRandom)


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapter:
    """What an adapter brings: APIs to serve, targets to deliver to, streams and queues to read, each optional.

    `loops` are turns that the node makes in the background, by name; a turn returns the seconds until the next.
    `routes` are paths of the node's own that the adapter answers, outside of AWS's APIs. `fallback` is asked for what
    it claims, and for unsigned requests that are for no AWS API.
    """

    name: str
    apis: tuple[ServiceApi, ...] = ()
    targets: tuple[Target, ...] = ()
    streams: tuple[StreamSource, ...] = ()
    queues: tuple[QueueSource, ...] = ()
    loops: Mapping[str, Callable[[], Awaitable[float | Pause]]] = field(default_factory=dict)
    routes: Mapping[str, InternalHandler] = field(default_factory=dict)
    fallback: WebDoor | None = None
