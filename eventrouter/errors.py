"""Every exception of eventrouter, in one tree.

A function that fails is not an exception here: it is an `Outcome` (see `rules.outcome`). Exceptions are for
callers' mistakes and for broken parts.
"""

from __future__ import annotations

from collections.abc import Mapping


class EventRouterError(Exception):
    """The root of everything that eventrouter raises on purpose."""


class ConfigError(EventRouterError):
    """A setting is wrong. The text names the field, the value and the rule; raised at start, not at use."""


class RequestError(EventRouterError):
    """The caller's fault (or a modelled service fault): an AWS error code, its HTTP status and message.

    `status` may stay None where botocore's model knows it. `members` are further members of the error's body
    (such as `Reason` of TooManyRequestsException). `fault` becomes the body's `Type` member; None leaves it out.
    Source: lambda-semantics §0 (error envelope).
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        status: int | None = None,
        fault: str | None = "User",
        members: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status
        self.fault = fault
        self.members = dict(members or {})
        self.headers = dict(headers or {})


class StoreError(EventRouterError):
    """Something between this node and its Redis."""


class Unavailable(StoreError):
    """Redis did not answer within the call's budget. The outcome of a write is unknown."""


class IntakeRefused(StoreError):
    """Redis takes no new data (memory full, no replica, disk error). Nothing was stored."""


class NodeDead(StoreError):
    """Other nodes have buried this incarnation: it must kill its environments and join again."""


class AdapterError(EventRouterError):
    """A source or target failed; `transient` says whether trying again can help."""

    def __init__(self, message: str, *, transient: bool) -> None:
        super().__init__(message)
        self.transient = transient


class RuntimeFault(EventRouterError):
    """An environment could not start or vanished, through no doing of its function."""
