"""From what an app's decorators have noted to a project."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from eventrouter.app import App, Source
from eventrouter.project.app_parts import DeclaredFunction, DeclaredQueue, DeclaredSchedule, called
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

_UNDECORATED = {"sqs": App().queue("any"), "kinesis": App().stream("any")}
"""Queues and streams as they are declared when nothing is said about their mapping."""


def project_of(
    app: App, module: ModuleType, folder: Path, *, handler_name: Callable[[Callable[..., Any]], str] | None = None
) -> Project:
    """Return what `app`, which `module` holds, declares; see App.project.

    `handler_name` says how a handler is found, for those that no module holds.
    """
    return _Reader(app, module, folder, handler_name).project()


class _Reader:
    def __init__(
        self, app: App, module: ModuleType, folder: Path, handler_name: Callable[[Callable[..., Any]], str] | None
    ) -> None:
        self._app = app
        self._module = module
        self._folder = folder
        self._handler_name = handler_name
        self._names = {handler: self._name(handler, declared) for handler, declared in app.functions.items()}

    def project(self) -> Project:
        app = self._app
        self._check()
        return Project(
            name=app.name or self._folder.resolve().name,
            account=app.account,
            region=app.region,
            functions=tuple(self._function(handler, declared) for handler, declared in app.functions.items()),
            queues=tuple(self._queue(name, declared) for name, declared in app.queues.items()),
            streams=tuple(
                StreamResource(
                    name=name,
                    place=declared.place,
                    members=declared.members,
                    retention_hours=declared.retention_hours,
                )
                for name, declared in app.streams.items()
            ),
            mappings=tuple(self._mapping(handler, source) for handler, source in app.feeds),
            schedules=tuple(self._schedules()),
            routes=tuple(
                RouteResource(
                    route_key=route.key,
                    function=self._names[route.handler],
                    place=route.place,
                    payload_format=route.payload_format,
                    api=route.api,
                )
                for route in app.routes
            ),
            files=(Path(self._module.__file__ or self._folder),),
        )

    def _check(self) -> None:
        """Refuse what is declared twice, and what is said about mappings that are not there."""
        seen: dict[str, Place] = {}
        for handler, name in self._names.items():
            place = self._app.functions[handler].place
            if name in seen:
                raise ProjectError(place, f"two functions are called {name!r} (the other: {seen[name]}): name one")
            seen[name] = place
        pairs: set[tuple[str, str]] = set()
        for handler, source in self._app.feeds:
            pair = (source.arn, self._names[handler])
            if pair in pairs:
                raise ProjectError(source.place, f"{pair[1]} is fed from {source.name} twice")
            pairs.add(pair)
        feeding = {id(source) for _, source in self._app.feeds}
        for source in self._app.sources:
            plain = _UNDECORATED[source.arn.split(":")[2]]
            if id(source) not in feeding and (source.mapping, source.on_failure) != (plain.mapping, plain.on_failure):
                said = [name for name, value in source.mapping.items() if plain.mapping.get(name) != value]
                raise ProjectError(
                    source.place,
                    f"{source.name}: {', '.join(said) or 'on_failure'} concerns a function, and none is decorated",
                )
        routes = [(route.api, route.key) for route in self._app.routes]
        for index, route in enumerate(self._app.routes):
            if routes[index] in routes[:index]:
                raise ProjectError(route.place, f"the route {route.key!r} is declared twice")

    def _name(self, handler: Callable[..., Any], declared: DeclaredFunction) -> str:
        return declared.name or called(handler)

    def _function(self, handler: Callable[..., Any], declared: DeclaredFunction) -> FunctionResource:
        place = declared.place
        members: dict[str, Any] = {
            "FunctionName": self._names[handler],
            "Runtime": f"python{sys.version_info.major}.{sys.version_info.minor}",
            "Role": f"arn:aws:iam::{self._app.account}:role/eventrouter",
            "Handler": self._handler(handler, place),
            **declared.members,
        }
        if declared.dlq is not None:
            members["DeadLetterConfig"] = {"TargetArn": self._arn("dlq", declared.dlq, place)}
        destinations = {
            member: {"Destination": self._arn(parameter, wanted, place)}
            for member, parameter, wanted in (
                ("OnSuccess", "on_success", declared.on_success),
                ("OnFailure", "on_failure", declared.on_failure),
            )
            if wanted is not None
        }
        event_invoke: dict[str, Any] | None = None
        if destinations or (declared.retries, declared.max_age_s) != (2, 21_600):
            event_invoke = {
                "MaximumRetryAttempts": declared.retries,
                "MaximumEventAgeInSeconds": declared.max_age_s,
                "DestinationConfig": destinations,
            }
        return FunctionResource(
            name=self._names[handler],
            members=members,
            code=self._folder.resolve(),
            place=place,
            event_invoke=event_invoke,
            reserved_concurrency=declared.concurrency,
        )

    def _handler(self, handler: Callable[..., Any], place: Place) -> str:
        """Return the name by which a function's environment finds the handler."""
        if self._handler_name is not None:
            return self._handler_name(handler)
        module, name = getattr(handler, "__module__", ""), getattr(handler, "__qualname__", "")
        if module == "__main__":
            module = self._module.__name__
        if not name.isidentifier() or not hasattr(sys.modules.get(module, self._module), name):
            raise ProjectError(
                place, f"{called(handler)} cannot be found by its name: decorate a function of a module, not one inside"
            )
        return f"{module}.{name}"

    def _queue(self, name: str, declared: DeclaredQueue) -> QueueResource:
        attributes = dict(declared.attributes)
        if declared.dlq is not None:
            target = self._arn("dlq", declared.dlq, declared.place)
            policy = {"deadLetterTargetArn": target, "maxReceiveCount": declared.max_receives}
            attributes["RedrivePolicy"] = json.dumps(policy)
        return QueueResource(name=name, place=declared.place, attributes=attributes, tags=declared.tags)

    def _mapping(self, handler: Callable[..., Any], source: Source) -> MappingResource:
        members = {"EventSourceArn": source.arn, "FunctionName": self._names[handler], **source.mapping}
        if source.on_failure is not None:
            destination = self._arn("on_failure", source.on_failure, source.place)
            members["DestinationConfig"] = {"OnFailure": {"Destination": destination}}
        return MappingResource(members=members, place=source.place)

    def _schedules(self) -> list[ScheduleResource]:
        taken: dict[str, Place] = {}
        found = []
        for declared in self._app.schedules:
            name = self._schedule_name(declared, taken)
            taken[name] = declared.place
            target = {"Id": "function", "Arn": self._function_arn(self._names[declared.handler])}
            if declared.input is not None:
                target["Input"] = declared.input
            found.append(ScheduleResource(name=name, members=declared.members, targets=(target,), place=declared.place))
        return found

    def _schedule_name(self, declared: DeclaredSchedule, taken: dict[str, Place]) -> str:
        if declared.name is not None:
            if declared.name in taken:
                other = taken[declared.name]
                raise ProjectError(declared.place, f"two schedules are called {declared.name!r} (the other: {other})")
            return declared.name
        base = self._names[declared.handler]
        count = 1
        while (name := base if count == 1 else f"{base}-{count}") in taken:
            count += 1
        return name

    def _function_arn(self, name: str) -> str:
        return f"arn:aws:lambda:{self._app.region}:{self._app.account}:function:{name}"

    def _arn(self, parameter: str, wanted: object, place: Place) -> str:
        """Return the ARN of what a parameter names."""
        app = self._app
        if isinstance(wanted, Source):
            return wanted.arn
        if isinstance(wanted, str):
            if wanted.startswith("arn:"):
                return wanted
            if wanted in app.queues:
                return f"arn:aws:sqs:{app.region}:{app.account}:{wanted}"
            if wanted in self._names.values():
                return self._function_arn(wanted)
        elif callable(wanted) and wanted in self._names:
            return self._function_arn(self._names[wanted])
        raise ProjectError(
            place, f"{parameter}={wanted!r} is no queue and no function of this app, and no ARN: declare it, or name it"
        )
