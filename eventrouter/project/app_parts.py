"""What an app's decorators have noted, until a project is made of it. Imported inside of functions: small."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from eventrouter.project.model import Place

Handler = Callable[..., Any]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredFunction:
    """A function's settings; `is_explicit` if `@app.function` gave them. Destinations are as the user named them."""

    place: Place
    name: str | None = None
    members: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    retries: int = 2
    max_age_s: int = 21_600
    on_success: object = None
    on_failure: object = None
    dlq: object = None
    concurrency: int | None = None
    is_explicit: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class DeclaredQueue:
    """A queue: attributes of CreateQueue but its redrive policy, which `dlq` and `max_receives` make."""

    place: Place
    attributes: Mapping[str, str]
    tags: Mapping[str, str]
    dlq: object
    max_receives: int


@dataclasses.dataclass(frozen=True, slots=True)
class DeclaredStream:
    """A stream: members of CreateStream, and its retention."""

    place: Place
    members: Mapping[str, Any]
    retention_hours: int


@dataclasses.dataclass(frozen=True, slots=True)
class DeclaredSchedule:
    """A rule; `input` is JSON."""

    handler: Handler
    place: Place
    name: str | None
    members: Mapping[str, Any]
    input: str | None


@dataclasses.dataclass(frozen=True, slots=True)
class DeclaredRoute:
    """A route."""

    handler: Handler
    place: Place
    key: str
    payload_format: str
    api: str


def called(handler: Handler) -> str:
    """Return what errors call a handler."""
    return getattr(handler, "__name__", repr(handler))
