"""The tables of `eventrouter.toml` that declare a project, and what each key means to AWS.

A key that does not exist is refused with the nearest one that does; what is not served is refused by name. Ranges are
AWS's, and checked by the API.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from eventrouter.project.toml_units import Bytes, Hours, Mebibytes, Seconds
from eventrouter.settings import nearest

MISPLACED = "key"
"""The type of the errors about a key; their context names it."""


class Table(BaseModel):
    """A table in which every key is known."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
    not_served: ClassVar[Mapping[str, str]] = {}
    """Keys that one might expect, and why they are refused."""

    @model_validator(mode="before")
    @classmethod
    def _know_every_key(cls, table: object) -> object:
        known = [field.alias or name for name, field in cls.model_fields.items()]
        for key in table if isinstance(table, dict) else ():
            if key in cls.not_served:
                raise PydanticCustomError(MISPLACED, "{why}", {"key": key, "why": f"{key}: {cls.not_served[key]}"})
            if key not in known:
                why = f"{key}: there is no such key; the nearest is {nearest(key, known)}"
                raise PydanticCustomError(MISPLACED, "{why}", {"key": key, "why": why})
        return table


def _patterns(value: object) -> tuple[str, ...]:
    """Return filter patterns as JSON texts: a text, a table, or a list of such."""
    patterns = value if isinstance(value, list) else [value]
    if not all(isinstance(pattern, str | dict) for pattern in patterns):
        raise ValueError("must be an event pattern: JSON in a text, a table, or a list of such")
    return tuple(pattern if isinstance(pattern, str) else _json(pattern) for pattern in patterns)


def _json(value: object) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    except TypeError:
        raise ValueError("must be made of texts, numbers, booleans, lists and tables: JSON has no dates") from None


def _start(value: object) -> object:
    if value in ("trim-horizon", "latest") or (isinstance(value, datetime.datetime) and value.tzinfo is not None):
        return value
    raise ValueError('must be "trim-horizon", "latest" or a time with its offset, such as 2026-01-31T12:00:00Z')


Patterns = Annotated[tuple[str, ...], BeforeValidator(_patterns)]
Start = Annotated[str | datetime.datetime, BeforeValidator(_start)]
Input = Annotated[str, BeforeValidator(_json)]
_Texts = dict[str, str]

_ONE_SCHEDULE = "it is beyond AWS, whose retries come after 1 and 2 minutes, and not served"


class AsyncTable(Table):
    """`[functions.NAME.async]`: what becomes of asynchronous events."""

    retries: int | None = None
    max_age: Seconds | None = None
    dlq: str | None = None
    on_success: str | None = None
    on_failure: str | None = None

    not_served: ClassVar[Mapping[str, str]] = {
        "extended": _ONE_SCHEDULE,
        "schedule": _ONE_SCHEDULE,
        "jitter": _ONE_SCHEDULE,
        "never_retry": "it is beyond AWS, which retries every function error, and not served",
    }


class LogTable(Table):
    """`[functions.NAME.logs]`: the function's own logs."""

    format: Literal["text", "json"] = "text"
    level: str | None = None
    system_level: str | None = None
    group: str | None = None


class FunctionTable(Table):
    """`[functions.NAME]`."""

    handler: str
    runtime: str | None = None
    code: str = "."
    description: str | None = None
    timeout: Seconds | None = None
    memory: Mebibytes | None = None
    concurrency: int | None = None
    role: str | None = None
    environment: _Texts | None = None
    tags: _Texts | None = None
    logs: LogTable | None = None
    events: AsyncTable = Field(AsyncTable(), alias="async")

    not_served: ClassVar[Mapping[str, str]] = {
        "tenant_key": "environments are not isolated per tenant",
        "command": "functions are Python packages; other programs are not served",
        "image": "functions are Python packages; container images are not served",
        "url": "functions are Python packages; functions behind a URL are not served",
        "layers": "layers are not served",
    }


class PollersTable(Table):
    """`pollers` of a mapping: the fewest and the most."""

    minimum: int | None = None
    maximum: int | None = None


class MappingTable(Table):
    """`[[mappings]]`: an event source mapping."""

    source: str
    function: str
    enabled: bool | None = None
    batch_size: int | None = None
    window: Seconds | None = None
    filter: Patterns | None = None
    report_item_failures: bool = False
    start: Start | None = None
    retries: int | None = None
    max_age: Seconds | None = None
    bisect: bool | None = None
    parallel: int | None = None
    tumbling_window: Seconds | None = None
    on_failure: str | None = None
    max_concurrency: int | None = None
    pollers: PollersTable | None = None
    event_count: bool = False
    tags: _Texts | None = None


class QueueTable(Table):
    """`[queues.NAME]`; a name that ends in `.fifo` is a FIFO queue's."""

    visibility: Seconds | None = None
    delay: Seconds | None = None
    wait: Seconds | None = None
    retention: Seconds | None = None
    max_message: Bytes | None = None
    dlq: str | None = None
    max_receives: int | None = None
    content_based_deduplication: bool | None = None
    deduplication_scope: Literal["queue", "message-group"] | None = None
    throughput_limit: Literal["queue", "message-group"] | None = None
    tags: _Texts | None = None

    @model_validator(mode="after")
    def _know_when_to_give_up(self) -> Self:
        if (self.dlq is None) != (self.max_receives is None):
            lacking, there = ("dlq", "max_receives") if self.dlq is None else ("max_receives", "dlq")
            why = f"{there}: {lacking} is missing; a message moves to dlq once it was received max_receives times"
            raise PydanticCustomError(MISPLACED, "{why}", {"key": there, "why": why})
        return self


class StreamTable(Table):
    """`[streams.NAME]`: a Kinesis stream."""

    shards: int = 1
    mode: Literal["provisioned", "on-demand"] = "provisioned"
    retention: Hours = 24
    tags: _Texts | None = None


class ScheduleTable(Table):
    """`[schedules.NAME]`: a scheduled rule of the default event bus, and the function or queue it sends to."""

    expression: str
    function: str | None = None
    queue: str | None = None
    input: Input | None = None
    enabled: bool = True
    description: str | None = None
    retries: int | None = None
    max_age: Seconds | None = None
    dlq: str | None = None

    @model_validator(mode="after")
    def _have_one_target(self) -> Self:
        if (self.function is None) == (self.queue is None):
            why = "expression: a schedule has one target: give it either function or queue"
            raise PydanticCustomError(MISPLACED, "{why}", {"key": "expression", "why": why})
        return self


class RouteTable(Table):
    """`[[routes]]`: a route of an HTTP API."""

    route: str
    function: str
    payload_format: Literal["2.0", "1.0"] = "2.0"
    api: str = "default"


class ProjectTables(BaseModel):
    """The tables that declare a project; whatever else the file holds are settings."""

    model_config = ConfigDict(frozen=True, strict=True)

    functions: dict[str, FunctionTable] = {}
    queues: dict[str, QueueTable] = {}
    streams: dict[str, StreamTable] = {}
    mappings: list[MappingTable] = []
    schedules: dict[str, ScheduleTable] = {}
    routes: list[RouteTable] = []

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> ProjectTables:
        """Read a whole file's tables. Raises pydantic's ValidationError."""
        return cls.model_validate({key: value for key, value in document.items() if key in cls.model_fields})
