"""Projects declared in `eventrouter.toml`: functions, mappings, queues, streams, schedules and routes.

The same file may hold the node's settings; those are `eventrouter.settings`' affair. Resources name each other by the
names that the file gives them; what another project owns is named by its ARN.
"""

from __future__ import annotations

import datetime
import json
import re
import sys
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from eventrouter.project.model import (
    FunctionResource,
    MappingResource,
    Place,
    Project,
    ProjectError,
    QueueResource,
    RouteResource,
    ScheduleResource,
    StreamResource,
)
from eventrouter.project.toml_lines import KeyPath, key_lines, line_of
from eventrouter.project.toml_tables import (
    MISPLACED,
    FunctionTable,
    MappingTable,
    ProjectTables,
    QueueTable,
    RouteTable,
    ScheduleTable,
    StreamTable,
)
from eventrouter.project.yaml_lines import read_text
from eventrouter.settings import PROJECT_TABLES, Settings, nearest

_LINE = re.compile(r"at line (\d+)")
"""How the standard library's parser tells where it stood."""
_KINDS = {"queues": "sqs", "streams": "kinesis", "functions": "lambda"}


def read_toml(path: Path, *, account: str = "000000000000", region: str | None = None) -> Project:
    """Read what `path`, an `eventrouter.toml`, declares.

    Without `region` the file's own setting of that name holds, or else us-east-1. Raises ProjectError, which names the
    line, for what is no TOML, keys that do not exist, values that cannot be, and names of nothing.
    """
    try:
        text = read_text(path)
        document = tomllib.loads(text)
    except RecursionError:
        raise ProjectError(Place(str(path)), "is nested too deeply") from None
    except tomllib.TOMLDecodeError as error:
        line = _LINE.search(str(error))
        raise ProjectError(Place(str(path), int(line[1]) if line else 0), f"is not valid TOML: {error}") from None
    lines = key_lines(text)
    _check_tables(path, document, lines)
    try:
        tables = ProjectTables.of(document)
    except ValidationError as error:
        raise _first_problem(path, error, lines) from None
    if region is None:
        region = str(document.get("region", Settings.model_fields["region"].default))
    return _Reader(path, tables, lines, account, region).project()


def _check_tables(path: Path, document: Mapping[str, Any], lines: dict[KeyPath, int]) -> None:
    """Refuse tables that are neither a project's nor hold settings; single settings are checked as settings."""
    for key, value in document.items():
        if key in PROJECT_TABLES or key in Settings.model_fields:
            continue
        if isinstance(value, dict) and any(f"{key}_{inner}" in Settings.model_fields for inner in value):
            continue
        known = nearest(key, (*PROJECT_TABLES, *Settings.model_fields))
        raise ProjectError(
            Place(str(path), line_of(lines, (key,))), f"{key}: there is no such key; the nearest is {known}"
        )


def _first_problem(path: Path, error: ValidationError, lines: dict[KeyPath, int]) -> ProjectError:
    problems: list[tuple[int, str]] = []
    for problem in error.errors(include_url=False):
        where, message = problem["loc"], problem["msg"].removeprefix("Value error, ")
        if problem["type"] == MISPLACED:
            where = (*where, problem["ctx"]["key"])
        elif problem["type"] == "missing":
            message = f"{where[-1]} is missing from {_shown(where[:-1])}"
        else:
            value = problem["input"]
            shown = value.isoformat() if isinstance(value, datetime.datetime) else repr(value)
            message = f"{where[-1]} = {shown}: {message[:1].lower()}{message[1:]}"
        problems.append((line_of(lines, where), message))
    line, message = min(problems)
    return ProjectError(Place(str(path), line), message)


def _shown(where: Iterable[str | int]) -> str:
    return ".".join(str(part) for part in where if isinstance(part, str))


class _Reader:
    def __init__(self, path: Path, tables: ProjectTables, lines: dict[KeyPath, int], account: str, region: str) -> None:
        self._path = path
        self._tables = tables
        self._lines = lines
        self._account = account
        self._region = region

    def project(self) -> Project:
        tables = self._tables
        mappings = [self._mapping(index, table) for index, table in enumerate(tables.mappings)]
        routes = [self._route(index, table) for index, table in enumerate(tables.routes)]
        self._check_once("mappings", [mapping.name for mapping in mappings])
        self._check_once("routes", [route.name for route in routes])
        return Project(
            name=self._path.absolute().parent.name,
            account=self._account,
            region=self._region,
            functions=tuple(self._function(name, table) for name, table in tables.functions.items()),
            queues=tuple(self._queue(name, table) for name, table in tables.queues.items()),
            streams=tuple(self._stream(name, table) for name, table in tables.streams.items()),
            mappings=tuple(mappings),
            schedules=tuple(self._schedule(name, table) for name, table in tables.schedules.items()),
            routes=tuple(routes),
            files=(self._path,),
        )

    def _place(self, *where: str | int) -> Place:
        return Place(str(self._path), line_of(self._lines, where))

    def _check_once(self, table: str, names: list[str]) -> None:
        for index, name in enumerate(names):
            if name in names[:index]:
                raise ProjectError(self._place(table, index), f"{name}: stands twice in {table}")

    def _arn(self, value: str, kinds: tuple[str, ...], *where: str | int) -> str:
        """Return the ARN of what `value` names: something of this file, or an ARN itself."""
        if value.startswith("arn:"):
            return value
        found = [kind for kind in kinds if value in getattr(self._tables, kind)]
        if len(found) == 1:
            kind = found[0]
            resource = {"queues": value, "streams": f"stream/{value}", "functions": f"function:{value}"}[kind]
            return f"arn:aws:{_KINDS[kind]}:{self._region}:{self._account}:{resource}"
        place, key = self._place(*where), where[-1]
        if "://" in value:
            scheme = value.partition("://")[0]
            raise ProjectError(place, f'{key} = "{value}": {scheme} sources are not served; name a queue or a stream')
        if found:
            raise ProjectError(place, f'{key} = "{value}": that is in {" and in ".join(found)}; give the ARN')
        known = [name for kind in kinds for name in getattr(self._tables, kind)]
        hint = f"; the nearest is {nearest(value, known)}" if known else ""
        raise ProjectError(
            place, f'{key} = "{value}": not among the {" and ".join(kinds)} of this file{hint}; name others by ARN'
        )

    def _function_name(self, value: str, *where: str | int) -> str:
        """Return what names a function to AWS: a name of this file as it is, another by ARN."""
        self._arn(value, ("functions",), *where)
        return value

    def _function(self, name: str, table: FunctionTable) -> FunctionResource:
        where = ("functions", name)
        code = (self._path.absolute().parent / table.code).resolve()
        if not code.exists():
            raise ProjectError(self._place(*where, "code"), f'code = "{table.code}": {code} does not exist')
        members: dict[str, Any] = {
            "FunctionName": name,
            "Role": table.role,
            "Runtime": table.runtime or f"python{sys.version_info[0]}.{sys.version_info[1]}",
            "Handler": table.handler,
            "Description": table.description,
            "Timeout": table.timeout,
            "MemorySize": table.memory,
            "Environment": None if table.environment is None else {"Variables": table.environment},
            "Tags": table.tags,
        }
        if table.logs is not None:
            members["LoggingConfig"] = _present(
                {
                    "LogFormat": {"text": "Text", "json": "JSON"}[table.logs.format],
                    "ApplicationLogLevel": table.logs.level,
                    "SystemLogLevel": table.logs.system_level,
                    "LogGroup": table.logs.group,
                }
            )
        if (dlq := table.events.dlq) is not None:
            members["DeadLetterConfig"] = {"TargetArn": self._arn(dlq, ("queues",), *where, "async", "dlq")}
        return FunctionResource(
            name=name,
            members=_present(members),
            code=code,
            place=self._place(*where),
            event_invoke=self._event_invoke(name, table),
            reserved_concurrency=table.concurrency,
        )

    def _event_invoke(self, name: str, table: FunctionTable) -> Mapping[str, Any] | None:
        where = ("functions", name, "async")
        kinds = ("queues", "functions")
        destinations = {
            member: {"Destination": self._arn(target, kinds, *where, key)}
            for member, key, target in (
                ("OnSuccess", "on_success", table.events.on_success),
                ("OnFailure", "on_failure", table.events.on_failure),
            )
            if target is not None
        }
        members = {
            "MaximumRetryAttempts": table.events.retries,
            "MaximumEventAgeInSeconds": table.events.max_age,
            "DestinationConfig": destinations or None,
        }
        return _present(members) or None

    def _mapping(self, index: int, table: MappingTable) -> MappingResource:
        where = ("mappings", index)
        source = self._arn(table.source, ("queues", "streams"), *where, "source")
        members: dict[str, Any] = {
            "EventSourceArn": source,
            "FunctionName": self._function_name(table.function, *where, "function"),
            "Enabled": table.enabled,
            "BatchSize": table.batch_size,
            "MaximumBatchingWindowInSeconds": table.window,
            "MaximumRetryAttempts": table.retries,
            "MaximumRecordAgeInSeconds": table.max_age,
            "BisectBatchOnFunctionError": table.bisect,
            "ParallelizationFactor": table.parallel,
            "TumblingWindowInSeconds": table.tumbling_window,
            "Tags": table.tags,
        }
        if isinstance(table.start, datetime.datetime):
            members |= {"StartingPosition": "AT_TIMESTAMP", "StartingPositionTimestamp": table.start}
        elif table.start is not None:
            members["StartingPosition"] = table.start.upper().replace("-", "_")
        elif not source.startswith("arn:aws:sqs:"):
            members["StartingPosition"] = "TRIM_HORIZON"
        if table.filter is not None:
            members["FilterCriteria"] = {"Filters": [{"Pattern": pattern} for pattern in table.filter]}
        if table.report_item_failures:
            members["FunctionResponseTypes"] = ["ReportBatchItemFailures"]
        if table.on_failure is not None:
            target = self._arn(table.on_failure, ("queues", "functions"), *where, "on_failure")
            members["DestinationConfig"] = {"OnFailure": {"Destination": target}}
        if table.max_concurrency is not None:
            members["ScalingConfig"] = {"MaximumConcurrency": table.max_concurrency}
        if table.pollers is not None:
            members["ProvisionedPollerConfig"] = _present(
                {"MinimumPollers": table.pollers.minimum, "MaximumPollers": table.pollers.maximum}
            )
        if table.event_count:
            members["MetricsConfig"] = {"Metrics": ["EventCount"]}
        return MappingResource(members=_present(members), place=self._place(*where))

    def _queue(self, name: str, table: QueueTable) -> QueueResource:
        grouped = {"queue": "perQueue", "message-group": "perMessageGroupId", None: None}
        attributes: dict[str, Any] = {
            "VisibilityTimeout": table.visibility,
            "DelaySeconds": table.delay,
            "ReceiveMessageWaitTimeSeconds": table.wait,
            "MessageRetentionPeriod": table.retention,
            "MaximumMessageSize": table.max_message,
            "FifoQueue": "true" if name.endswith(".fifo") else None,
            "DeduplicationScope": {"message-group": "messageGroup"}.get(
                table.deduplication_scope or "", table.deduplication_scope
            ),
            "FifoThroughputLimit": grouped[table.throughput_limit],
        }
        if table.content_based_deduplication is not None:
            attributes["ContentBasedDeduplication"] = str(table.content_based_deduplication).lower()
        if table.dlq is not None:
            target = self._arn(table.dlq, ("queues",), "queues", name, "dlq")
            redrive = {"deadLetterTargetArn": target, "maxReceiveCount": table.max_receives}
            attributes["RedrivePolicy"] = json.dumps(redrive, separators=(",", ":"))
        texts = {attribute: str(value) for attribute, value in _present(attributes).items()}
        return QueueResource(name=name, place=self._place("queues", name), attributes=texts, tags=table.tags or {})

    def _stream(self, name: str, table: StreamTable) -> StreamResource:
        members: dict[str, Any] = {"ShardCount": table.shards}
        if table.mode == "on-demand":
            if "shards" in table.model_fields_set:
                place = self._place("streams", name, "shards")
                raise ProjectError(place, 'shards: a stream of mode = "on-demand" has no declared shards')
            members = {"StreamModeDetails": {"StreamMode": "ON_DEMAND"}}
        if table.tags is not None:
            members["Tags"] = table.tags
        place = self._place("streams", name)
        return StreamResource(name=name, place=place, members=members, retention_hours=table.retention)

    def _schedule(self, name: str, table: ScheduleTable) -> ScheduleResource:
        where = ("schedules", name)
        key, kind = ("function", "functions") if table.function is not None else ("queue", "queues")
        target: dict[str, Any] = {
            "Id": "target",
            "Arn": self._arn(table.function or table.queue or "", (kind,), *where, key),
            "Input": table.input,
            "RetryPolicy": _present({"MaximumRetryAttempts": table.retries, "MaximumEventAgeInSeconds": table.max_age})
            or None,
        }
        if table.dlq is not None:
            target["DeadLetterConfig"] = {"Arn": self._arn(table.dlq, ("queues",), *where, "dlq")}
        members = {
            "ScheduleExpression": table.expression,
            "State": "ENABLED" if table.enabled else "DISABLED",
            "Description": table.description,
        }
        place = self._place(*where)
        return ScheduleResource(name=name, members=_present(members), targets=(_present(target),), place=place)

    def _route(self, index: int, table: RouteTable) -> RouteResource:
        return RouteResource(
            route_key=table.route,
            function=self._function_name(table.function, "routes", index, "function"),
            place=self._place("routes", index),
            payload_format=table.payload_format,
            api=table.api,
        )


def _present(members: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what was not declared: AWS's defaults are the API's to give."""
    return {member: value for member, value in members.items() if value is not None}
