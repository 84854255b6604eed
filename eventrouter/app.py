"""Declare functions and what invokes them, in Python: `from eventrouter import App`.

    app = App()
    failed = app.queue("orders-dlq")

    @app.queue("orders", batch_size=5, dlq=failed, max_receives=3)
    def handle_order(event, context): ...

The decorated functions stay what they are: plain Lambda handlers, to be called and tested as such. Nothing runs on
import. `eventrouter dev app.py` and `eventrouter serve app:app` turn what is declared into the same resources that the
API makes. Every parameter has AWS's name, in snake_case and shortened, and AWS's default; durations are seconds, or
texts such as "90s", "15m", "6h". Imported inside of functions too: the standard library only.
"""

from __future__ import annotations

import dataclasses
import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from eventrouter.project.app_parameters import Duration, Filter, Parameters, caller_place
from eventrouter.project.app_parts import (
    DeclaredFunction,
    DeclaredQueue,
    DeclaredRoute,
    DeclaredSchedule,
    DeclaredStream,
    called,
)
from eventrouter.project.model import Place, Project, ProjectError

Handler = TypeVar("Handler", bound=Callable[..., Any])

Declared = TypeVar("Declared", DeclaredQueue, DeclaredStream)

_FOREVER = -1
_MAX_RECEIVES = 3
_PROJECT = re.compile(r".{1,128}")
_ACCOUNT = re.compile(r"\d{12}")
_REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-\d")
_EXPRESSION = re.compile(r"(rate|cron)\(.+\)")
_ROUTE_KEY = re.compile(r"(ANY|GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS) /\S*|\$default")


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Source:
    """A queue or stream of an app, and how a function is to be fed from it: decorate the function with it.

    It also stands for the queue or stream wherever one is wanted: `dlq=`, `on_failure=`. `mapping` are members of
    CreateEventSourceMapping.
    """

    name: str
    arn: str
    place: Place
    mapping: Mapping[str, Any]
    on_failure: Resource | None
    feed: Callable[[Callable[..., Any], Source], None]

    def __repr__(self) -> str:
        return f"<{self.arn}>"

    def __call__(self, handler: Handler) -> Handler:
        """Have `handler` invoked with batches of what arrives; return it unchanged."""
        self.feed(handler, self)
        return handler


Resource = Source | Callable[..., Any] | str
"""A queue (as `app.queue` returned it), a function of the app, the name of either, or an ARN."""


class App:
    """What an application declares. `name` marks what it has created on a node: by default its folder's name."""

    def __init__(self, name: str | None = None, *, account: str = "000000000000", region: str = "us-east-1") -> None:
        parameters = Parameters("App", caller_place(1))
        self.name = None if name is None else parameters.matching("name", name, _PROJECT, "must be a text, not empty")
        self.account = parameters.matching("account", account, _ACCOUNT, "must be 12 digits")
        self.region = parameters.matching("region", region, _REGION, "is no region, such as us-east-1")
        self.functions: dict[Callable[..., Any], DeclaredFunction] = {}
        self.queues: dict[str, DeclaredQueue] = {}
        self.streams: dict[str, DeclaredStream] = {}
        self.sources: list[Source] = []
        self.feeds: list[tuple[Callable[..., Any], Source]] = []
        self.schedules: list[DeclaredSchedule] = []
        self.routes: list[DeclaredRoute] = []

    def function(
        self,
        name: str | None = None,
        *,
        timeout: Duration = 3,
        memory: int = 128,
        environment: Mapping[str, str] | None = None,
        description: str = "",
        retries: int = 2,
        max_age: Duration = 21_600,
        on_success: Resource | None = None,
        on_failure: Resource | None = None,
        dlq: Resource | None = None,
        concurrency: int | None = None,
        log_format: str = "Text",
        tags: Mapping[str, str] | None = None,
    ) -> Callable[[Handler], Handler]:
        """Declare a function. Optional where another decorator declares one, but for settings other than these.

        name: by default the Python function's. timeout: 1 to 900 s. memory: 128 to 10,240 MB. retries: 0 to 2, after an
        asynchronous event's first attempt has failed; max_age: 60 s to 6 h, the age at which such an event is given up;
        on_success, on_failure: where a record of its end is sent; dlq: the queue that events given up are sent to.
        concurrency: executions reserved for the function, which are also its most; 0 lets none run. log_format: Text
        or JSON.
        """
        parameters = Parameters("@app.function", caller_place(1))
        given = DeclaredFunction(
            place=parameters.place,
            name=None if name is None else parameters.name("function", name),
            members={
                "Timeout": parameters.seconds("timeout", timeout, 1, 900),
                "MemorySize": parameters.number("memory", memory, 128, 10_240),
                "Environment": {"Variables": parameters.texts("environment", environment)},
                "Description": parameters.text("description", description),
                "LoggingConfig": {"LogFormat": parameters.one_of("log_format", log_format, ("Text", "JSON"))},
                "Tags": parameters.texts("tags", tags),
            },
            retries=parameters.number("retries", retries, 0, 2),
            max_age_s=parameters.seconds("max_age", max_age, 60, 21_600),
            on_success=on_success,
            on_failure=on_failure,
            dlq=dlq,
            concurrency=None if concurrency is None else parameters.number("concurrency", concurrency, 0, sys.maxsize),
            is_explicit=True,
        )

        def declare(handler: Handler) -> Handler:
            known = self.functions.get(handler)
            if known is not None and known.is_explicit:
                raise ProjectError(given.place, f"@app.function: {called(handler)} has one already ({known.place})")
            self.functions[handler] = given
            return handler

        return declare

    def queue(
        self,
        name: str,
        *,
        visibility: Duration = 30,
        delay: Duration = 0,
        wait: Duration = 0,
        retention: Duration = 345_600,
        max_message: int = 1_048_576,
        dlq: Resource | None = None,
        max_receives: int = _MAX_RECEIVES,
        content_based_deduplication: bool = False,
        tags: Mapping[str, str] | None = None,
        batch_size: int = 10,
        window: Duration = 0,
        max_concurrency: int | None = None,
        report_item_failures: bool = False,
        filter: Filter | Sequence[Filter] | None = None,  # noqa: A002 - AWS's word
        enabled: bool = True,
    ) -> Source:
        """Declare a queue; as a decorator, also the event source mapping that feeds the function from it.

        The queue (one whose name ends in `.fifo` keeps order): visibility, 0 to 12 h, for which a received message is
        hidden, and not less than the function's timeout; delay, 0 to 15 min; wait, 0 to 20 s; retention, 1 min to
        14 days; max_message, 1,024 to 1,048,576 bytes; dlq: where messages go after max_receives (1 to 1,000) receives.
        The mapping: batch_size, 1 to 10,000 (FIFO: 10); window, 0 to 300 s, waiting for a batch to fill (needed above
        10 messages); max_concurrency, 2 to 1,000; report_item_failures: the function answers which messages failed;
        filter: event patterns, of which one must match.
        """
        parameters = Parameters("app.queue", caller_place(1))
        parameters.name("queue", name)
        is_fifo = name.endswith(".fifo")
        attributes = {
            "VisibilityTimeout": parameters.seconds("visibility", visibility, 0, 43_200),
            "DelaySeconds": parameters.seconds("delay", delay, 0, 900),
            "ReceiveMessageWaitTimeSeconds": parameters.seconds("wait", wait, 0, 20),
            "MessageRetentionPeriod": parameters.seconds("retention", retention, 60, 1_209_600),
            "MaximumMessageSize": parameters.number("max_message", max_message, 1_024, 1_048_576),
        }
        texts = {attribute: str(value) for attribute, value in attributes.items()}
        if is_fifo:
            texts["FifoQueue"] = "true"
            deduplicates = parameters.flag("content_based_deduplication", content_based_deduplication)
            texts["ContentBasedDeduplication"] = str(deduplicates).lower()
        elif content_based_deduplication:
            raise parameters.refuse("content_based_deduplication", content_based_deduplication, "is for FIFO queues")
        count = parameters.number("max_receives", max_receives, 1, 1_000)
        if dlq is None and count != _MAX_RECEIVES:
            raise parameters.refuse("max_receives", max_receives, "needs a dlq")
        declared = DeclaredQueue(parameters.place, texts, parameters.texts("tags", tags), dlq, count)
        self._declare(self.queues, name, declared, "app.queue")
        mapping = {
            "BatchSize": parameters.number("batch_size", batch_size, 1, 10 if is_fifo else 10_000),
            **_batch_members(parameters, window, filter, reports=report_item_failures, enabled=enabled),
        }
        if max_concurrency is not None:
            most = parameters.number("max_concurrency", max_concurrency, 2, 1_000)
            mapping["ScalingConfig"] = {"MaximumConcurrency": most}
        if batch_size > 10 and not mapping["MaximumBatchingWindowInSeconds"]:
            raise parameters.refuse("batch_size", batch_size, "over 10 needs a window of at least 1 s")
        if is_fifo and mapping["MaximumBatchingWindowInSeconds"]:
            raise parameters.refuse("window", window, "is not for FIFO queues")
        return self._source(name, f"sqs:{self.region}:{self.account}:{name}", parameters.place, mapping, None)

    def stream(
        self,
        name: str,
        *,
        shards: int = 1,
        retention: Duration = 86_400,
        tags: Mapping[str, str] | None = None,
        start: str | datetime = "TRIM_HORIZON",
        batch_size: int = 100,
        window: Duration = 0,
        retries: int = _FOREVER,
        max_age: Duration = _FOREVER,
        bisect: bool = False,
        parallel: int = 1,
        tumbling_window: Duration = 0,
        on_failure: Resource | None = None,
        report_item_failures: bool = False,
        filter: Filter | Sequence[Filter] | None = None,  # noqa: A002 - AWS's word
        enabled: bool = True,
    ) -> Source:
        """Declare a Kinesis stream; as a decorator, also the event source mapping that feeds the function from it.

        The stream: shards, 1 to 10,000; retention, 24 h to 365 days, in whole hours.
        The mapping: start: TRIM_HORIZON (everything retained), LATEST, or a time; batch_size, 1 to 10,000; window, 0 to
        300 s, waiting for a batch to fill; retries, 0 to 10,000, or -1 without end; max_age, 60 s to 7 days, or -1;
        bisect: halve a batch that fails; parallel, 1 to 10 batches of a shard at once, in order per partition key;
        tumbling_window, 0 to 900 s; on_failure: where the record of a batch given up is sent; report_item_failures: the
        function answers where a batch failed; filter: event patterns, of which one must match.
        """
        parameters = Parameters("app.stream", caller_place(1))
        parameters.name("stream", name)
        retention_s = parameters.seconds("retention", retention, 86_400, 31_536_000)
        if retention_s % 3_600:
            raise parameters.refuse("retention", retention, "is not a whole number of hours")
        members = {
            "ShardCount": parameters.number("shards", shards, 1, 10_000),
            **({"Tags": parameters.texts("tags", tags)} if tags else {}),
        }
        declared = DeclaredStream(parameters.place, members, retention_s // 3_600)
        self._declare(self.streams, name, declared, "app.stream")
        if isinstance(start, datetime):
            begin: dict[str, Any] = {"StartingPosition": "AT_TIMESTAMP", "StartingPositionTimestamp": start}
        else:
            begin = {"StartingPosition": parameters.one_of("start", start, ("TRIM_HORIZON", "LATEST"))}
        mapping = {
            **begin,
            "BatchSize": parameters.number("batch_size", batch_size, 1, 10_000),
            "MaximumRetryAttempts": parameters.number("retries", retries, 0, 10_000, also=_FOREVER),
            "MaximumRecordAgeInSeconds": parameters.seconds("max_age", max_age, 60, 604_800, also=_FOREVER),
            "BisectBatchOnFunctionError": parameters.flag("bisect", bisect),
            "ParallelizationFactor": parameters.number("parallel", parallel, 1, 10),
            "TumblingWindowInSeconds": parameters.seconds("tumbling_window", tumbling_window, 0, 900),
            **_batch_members(parameters, window, filter, reports=report_item_failures, enabled=enabled),
        }
        arn = f"kinesis:{self.region}:{self.account}:stream/{name}"
        return self._source(name, arn, parameters.place, mapping, on_failure)

    def schedule(
        self,
        expression: str,
        *,
        name: str | None = None,
        input: object = None,  # noqa: A002 - AWS's word
        description: str = "",
        enabled: bool = True,
    ) -> Callable[[Handler], Handler]:
        """Have a function invoked by the clock: `rate(5 minutes)` or `cron(0 12 * * ? *)`, in UTC.

        name: the rule's; by default the function's name, with a number for the second. input: what the function gets
        instead of the scheduled event; anything that JSON can hold.
        """
        parameters = Parameters("@app.schedule", caller_place(1))
        parameters.matching("expression", expression, _EXPRESSION, "must be rate(...) or cron(...)")
        if name is not None:
            parameters.name("schedule", name)
        try:
            text = None if input is None else json.dumps(input)
        except TypeError:
            raise parameters.refuse("input", input, "cannot be written as JSON") from None
        members = {
            "ScheduleExpression": expression,
            "Description": parameters.text("description", description),
            "State": "ENABLED" if parameters.flag("enabled", enabled) else "DISABLED",
        }

        def declare(handler: Handler) -> Handler:
            self._ensure(handler, parameters.place)
            self.schedules.append(DeclaredSchedule(handler, parameters.place, name, members, text))
            return handler

        return declare

    def route(self, key: str, *, payload_format: str = "2.0", api: str = "default") -> Callable[[Handler], Handler]:
        """Have a function answer HTTP requests: `GET /orders/{id}`, `ANY /{proxy+}` or `$default`.

        payload_format: the shape of the event and of the answer, 2.0 or 1.0. api: which HTTP API the route belongs to.
        """
        parameters = Parameters("@app.route", caller_place(1))
        rule = 'must be a method and a path, such as "GET /orders/{id}", or $default'
        parameters.matching("key", key, _ROUTE_KEY, rule)
        parameters.one_of("payload_format", payload_format, ("1.0", "2.0"))
        parameters.matching("api", api, _PROJECT, "must be a text, not empty")

        def declare(handler: Handler) -> Handler:
            self._ensure(handler, parameters.place)
            self.routes.append(DeclaredRoute(handler, parameters.place, key, payload_format, api))
            return handler

        return declare

    def project(self, module: ModuleType | str, folder: Path | str) -> Project:
        """Return what the app declares. `module` holds it; `folder` is where functions' modules are imported from.

        Raises ProjectError, with the line of the decorator, for what cannot be.
        """
        from eventrouter.project.app_project import project_of

        return project_of(self, module if isinstance(module, ModuleType) else sys.modules[module], Path(folder))

    # What the decorators share.

    def _declare(self, known: dict[str, Declared], name: str, declared: Declared, what: str) -> None:
        """Note a queue or stream. The same one may be declared again, for another function, but not otherwise."""
        first = known.setdefault(name, declared)
        if dataclasses.replace(first, place=declared.place) != declared:
            raise ProjectError(
                declared.place, f"{what}: {name!r} is declared otherwise already ({first.place}); declare it once"
            )

    def _source(
        self, name: str, arn: str, place: Place, mapping: Mapping[str, Any], on_failure: Resource | None
    ) -> Source:
        source = Source(name, f"arn:aws:{arn}", place, mapping, on_failure, self._feed)
        self.sources.append(source)
        return source

    def _feed(self, handler: Callable[..., Any], source: Source) -> None:
        self._ensure(handler, source.place)
        self.feeds.append((handler, source))

    def _ensure(self, handler: Callable[..., Any], place: Place) -> None:
        if not callable(handler):
            raise ProjectError(place, f"{handler!r} cannot be called: decorate a function")
        self.functions.setdefault(handler, DeclaredFunction(place=place))


def _batch_members(
    parameters: Parameters,
    window: Duration,
    patterns: Filter | Sequence[Filter] | None,
    *,
    reports: bool,
    enabled: bool,
) -> dict[str, Any]:
    """Return what mappings of queues and streams have in common."""
    item_failures = parameters.flag("report_item_failures", reports)
    return {
        "MaximumBatchingWindowInSeconds": parameters.seconds("window", window, 0, 300),
        "FunctionResponseTypes": ["ReportBatchItemFailures"] if item_failures else [],
        "FilterCriteria": {"Filters": [{"Pattern": text} for text in parameters.patterns("filter", patterns)]},
        "Enabled": parameters.flag("enabled", enabled),
    }
