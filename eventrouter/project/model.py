"""What a project declares, whatever it was read from: resources in the words of AWS's own APIs.

Every resource holds the members that AWS's operations take, so that the API's own checks, defaults and models decide
about them: there is no second set of rules here. A reference to another resource stands as its ARN, which is known
ahead of creation because names are. Source: lambda-semantics §2-4, §6.5, §6.6, §8.2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eventrouter.errors import EventRouterError

Members = Mapping[str, Any]
"""Input members of an AWS operation, by their names in AWS's model."""


def function_name(reference: str) -> str:
    """Return the name in a function's name or ARN, its qualifier left out."""
    return reference.split(":")[6] if reference.startswith("arn:") else reference.partition(":")[0]


def source_name(arn: str) -> str:
    """Return what people call an event source: its service, and its queue, stream or table."""
    _, _, service, _, _, resource = arn.split(":", 5)
    parts = resource.split("/")
    return f"{service} {parts[1] if len(parts) > 1 else resource}"


@dataclass(frozen=True, slots=True)
class Place:
    """Where something was declared: the file as the user named it, and the line, counted from 1 (0: unknown)."""

    file: str
    line: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionResource:
    """A function: members of CreateFunction but `Code`, and the folder or archive that holds its code.

    `event_invoke` are members of PutFunctionEventInvokeConfig, `reserved_concurrency` of PutFunctionConcurrency; None
    where nothing is declared.
    """

    name: str
    members: Members
    code: Path
    place: Place
    event_invoke: Members | None = None
    reserved_concurrency: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueResource:
    """A queue: the `Attributes` and `tags` of CreateQueue."""

    name: str
    place: Place
    attributes: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamResource:
    """A Kinesis stream: members of CreateStream but its name. `retention_hours` is 24 unless declared."""

    name: str
    place: Place
    members: Members = field(default_factory=lambda: {"ShardCount": 1})
    retention_hours: int = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class MappingResource:
    """An event source mapping: members of CreateEventSourceMapping. One per function and source."""

    members: Members
    place: Place

    @property
    def name(self) -> str:
        """Return what tells it from other mappings: its source and its function."""
        return f"{self.members['EventSourceArn']} -> {self.members['FunctionName']}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleResource:
    """A scheduled EventBridge rule on the default bus: members of PutRule but `Name`, and its targets (PutTargets)."""

    name: str
    members: Members
    targets: Sequence[Members]
    place: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteResource:
    """One route of an HTTP API that invokes a function.

    `route_key` is `METHOD /path/{parameter}` or `$default`. `payload_format` is `2.0` or `1.0`; `api` names the API.
    """

    route_key: str
    function: str
    place: Place
    payload_format: str = "2.0"
    api: str = "default"

    @property
    def name(self) -> str:
        """Return what tells it from other routes."""
        return f"{self.api} {self.route_key}"


Resource = FunctionResource | QueueResource | StreamResource | MappingResource | ScheduleResource | RouteResource


@dataclass(frozen=True, slots=True, kw_only=True)
class NotApplied:
    """Something declared that has no meaning here: what, where, and why."""

    what: str
    place: Place
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """Everything a project declares. `name` is the folder's or the template's; `files` are those it was read from."""

    name: str
    account: str
    region: str
    functions: tuple[FunctionResource, ...] = ()
    queues: tuple[QueueResource, ...] = ()
    streams: tuple[StreamResource, ...] = ()
    mappings: tuple[MappingResource, ...] = ()
    schedules: tuple[ScheduleResource, ...] = ()
    routes: tuple[RouteResource, ...] = ()
    not_applied: tuple[NotApplied, ...] = ()
    files: tuple[Path, ...] = ()

    @property
    def resources(self) -> tuple[Resource, ...]:
        """Return all resources, in an order in which they can be created."""
        return (*self.queues, *self.streams, *self.functions, *self.mappings, *self.schedules, *self.routes)


class ProjectError(EventRouterError):
    """A project's file says something that cannot be: what, where, and the rule. Its text is `place: message`."""

    def __init__(self, place: Place, message: str) -> None:
        super().__init__(f"{place}: {message}")
        self.place = place
        self.message = message
