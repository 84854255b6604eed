"""What can be known about a project without a node: what the API would refuse, and what has no meaning here.

The checks are the door's own, by AWS's models and the table of members; what only a node knows (whether a queue of
another project exists) is not checked here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from eventrouter.api.lambda_.guard import given_members
from eventrouter.api.lambda_.mapping_settings import settings_of
from eventrouter.api.lambda_.members import MEMBERS
from eventrouter.api.lambda_.notes import not_applied
from eventrouter.api.lambda_.queue_mappings import check_visibility
from eventrouter.api.lambda_.settings_of import check_settings, echoed
from eventrouter.api.protocol.constraints import check_input
from eventrouter.api.protocol.models import service_model
from eventrouter.api.registry import Refused
from eventrouter.errors import RequestError
from eventrouter.project.api import model_values
from eventrouter.project.deploy_functions import ROLE
from eventrouter.project.model import FunctionResource, NotApplied, Place, Project, function_name, source_name
from eventrouter.rules.function import Code, Function, LoggingConfig
from eventrouter.rules.http_route import RouteKeyError, parse_route_key
from eventrouter.rules.names import FunctionName
from eventrouter.rules.runtimes import check_runtime
from eventrouter.rules.schedule import At, InvalidSchedule, parse


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Something that the API would refuse: where it is declared, and AWS's own words."""

    place: Place
    what: str
    message: str

    def __str__(self) -> str:
        return f"{self.place}: {self.what}: {self.message}"


def check(project: Project) -> list[Problem]:
    """Return everything that the API would refuse."""
    problems = []
    for place, what, service, operation, members in _calls(project):
        model = service_model(service).operation(operation)
        try:
            values = {} if model.input is None else model_values(model.input, members)
            check_input(model, values)
            if service == "lambda":
                _check_members(operation, values)
            _check_values(operation, values)
        except RequestError as error:
            problems.append(Problem(place=place, what=what, message=error.message))
        except (InvalidSchedule, RouteKeyError) as error:
            problems.append(Problem(place=place, what=what, message=str(error)))
    return [*problems, *_hidden_too_shortly(project)]


def not_applied_of(project: Project) -> tuple[NotApplied, ...]:
    """Return what a project declares and has no meaning here: what its reader passed by, and functions' settings."""
    notes = [
        NotApplied(what=f"{note} on `{function.name}`", place=function.place, why=note.why)
        for function in project.functions
        for note in not_applied(_function(project, function))
    ]
    return (*project.not_applied, *notes)


def _calls(project: Project) -> Iterator[tuple[Place, str, str, str, dict[str, Any]]]:
    """Yield the operations that create what a project declares."""
    members: dict[str, Any]
    for queue in project.queues:
        members = {"QueueName": queue.name, "Attributes": dict(queue.attributes), "tags": dict(queue.tags)}
        yield queue.place, f"queue {queue.name}", "sqs", "CreateQueue", members
    for stream in project.streams:
        members = {"StreamName": stream.name, **stream.members}
        yield stream.place, f"stream {stream.name}", "kinesis", "CreateStream", members
    for function in project.functions:
        what = f"function {function.name}"
        members = {"Role": ROLE, **function.members, "FunctionName": function.name, "Code": {"ZipFile": b"code"}}
        yield function.place, what, "lambda", "CreateFunction", members
        if function.event_invoke is not None:
            members = {**function.event_invoke, "FunctionName": function.name}
            yield function.place, what, "lambda", "PutFunctionEventInvokeConfig", members
        if function.reserved_concurrency is not None:
            reserved = {"ReservedConcurrentExecutions": function.reserved_concurrency}
            members = {"FunctionName": function.name, **reserved}
            yield function.place, what, "lambda", "PutFunctionConcurrency", members
    for mapping in project.mappings:
        yield mapping.place, f"mapping {mapping.name}", "lambda", "CreateEventSourceMapping", dict(mapping.members)
    for schedule in project.schedules:
        what = f"schedule {schedule.name}"
        yield schedule.place, what, "events", "PutRule", {**schedule.members, "Name": schedule.name}
        if schedule.targets:
            targets = [dict(target) for target in schedule.targets]
            yield schedule.place, what, "events", "PutTargets", {"Rule": schedule.name, "Targets": targets}
    for route in project.routes:
        members = {"ApiId": "api", "RouteKey": route.route_key}
        yield route.place, f"route {route.name}", "apigatewayv2", "CreateRoute", members


def _check_members(operation: str, values: Mapping[str, Any]) -> None:
    """Raise RequestError for a member that the table refuses, as the API does."""
    entries = MEMBERS[operation]
    for path in given_members(values):
        entry = entries.get(path)
        if isinstance(entry, Refused):
            text = entry.message or f"{path} is not supported: {entry.why}"
            raise RequestError("InvalidParameterValueException", text)


def _check_values(operation: str, values: Mapping[str, Any]) -> None:
    """Raise as the rules do that the API has beyond AWS's models."""
    match operation:
        case "CreateFunction":
            check_runtime(values["Runtime"], creating=True)
            check_settings(values)
        case "CreateEventSourceMapping":
            settings_of(values)
        case "PutRule":
            if isinstance(parse(expression := values["ScheduleExpression"]), At):
                raise InvalidSchedule(expression, "a rule fires more than once: rate(...) or cron(...)")
        case "CreateRoute":
            parse_route_key(values["RouteKey"])


def _hidden_too_shortly(project: Project) -> Iterator[Problem]:
    """Yield the mappings whose queue shows messages again while the function still works on them."""
    queues = {queue.name: queue for queue in project.queues}
    functions = {function.name: function for function in project.functions}
    for mapping in project.mappings:
        service, queue = source_name(mapping.members["EventSourceArn"]).split(" ", 1)
        function = functions.get(function_name(mapping.members["FunctionName"]))
        if service != "sqs" or queue not in queues or function is None:
            continue
        visibility = queues[queue].attributes.get("VisibilityTimeout", "30")
        timeout = function.members.get("Timeout", 3)
        if visibility.isdecimal() and isinstance(timeout, int):
            try:
                check_visibility(int(visibility), timeout)
            except RequestError as error:
                yield Problem(place=mapping.place, what=f"mapping {mapping.name}", message=error.message)


def _function(project: Project, function: FunctionResource) -> Function:
    members = function.members
    return Function(
        name=FunctionName(account=project.account, region=project.region, name=function.name),
        runtime=members.get("Runtime", ""),
        handler=members.get("Handler", ""),
        role=members.get("Role", ROLE),
        code=Code(sha256="", size_bytes=0),
        logging=LoggingConfig(group=""),
        last_modified_ms=0,
        revision_id="",
        echoed=echoed(members, {}),
    )
