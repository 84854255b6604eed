"""What adapters give and are given: small protocols, and the plain values that cross them.

An adapter is a package that the entry-point group `eventrouter.adapters` names. Its entry point is a callable
`build(context: AdapterContext) -> Adapter`. A third party's adapter is found exactly as ours are.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from eventrouter.clock import Clock
    from eventrouter.rules.function import Function
    from eventrouter.rules.invocation import Invocation
    from eventrouter.rules.names import FunctionName
    from eventrouter.rules.outcome import Run
    from eventrouter.settings import Settings
    from eventrouter.store import Store


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


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterContext:
    """What an adapter may use."""

    settings: Settings
    clock: Clock
    store: Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapter:
    """What an adapter brings: APIs to serve and targets to deliver to, each optional."""

    name: str
    apis: tuple[ServiceApi, ...] = ()
    targets: tuple[Target, ...] = ()
