"""The events of a function in a serverless.yml: mappings, schedules and routes.

They are made into the resources of CloudFormation that the framework makes of them, with its defaults.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from eventrouter.project import serverless_keys as keys
from eventrouter.project.cfn_mappings import add_mapping
from eventrouter.project.cfn_members import boolean, checked, input_shape, read
from eventrouter.project.cfn_parts import Parts, Properties
from eventrouter.project.cfn_routes import AUTHORIZERS, DEFAULT_API, NO_CORS, add_route
from eventrouter.project.cfn_schedules import NO_PATTERNS, add_schedule, scheduler_members
from eventrouter.project.cfn_scope import is_expression
from eventrouter.project.model import Place, ProjectError
from eventrouter.project.yaml_lines import Node

BATCH_SIZE = 10
"""The framework's own default for streams too, which is not AWS's."""

_METHODS = frozenset({"ANY", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})
_SOURCE_MEMBERS = {
    "batchSize": "BatchSize",
    "enabled": "Enabled",
    "maximumBatchingWindow": "MaximumBatchingWindowInSeconds",
}
_QUEUE_MEMBERS = {**_SOURCE_MEMBERS}
_STREAM_MEMBERS = {
    **_SOURCE_MEMBERS,
    "batchWindow": "MaximumBatchingWindowInSeconds",
    "bisectBatchOnFunctionError": "BisectBatchOnFunctionError",
    "maximumRecordAgeInSeconds": "MaximumRecordAgeInSeconds",
    "maximumRetryAttempts": "MaximumRetryAttempts",
    "parallelizationFactor": "ParallelizationFactor",
    "startingPosition": "StartingPosition",
    "startingPositionTimestamp": "StartingPositionTimestamp",
    "tumblingWindowInSeconds": "TumblingWindowInSeconds",
}
_QUEUE_KEYS = frozenset(
    {*_QUEUE_MEMBERS, "arn", "filterPatterns", "functionResponseType", "maximumConcurrency", "provisionedPollerConfig"}
)
_STREAM_KEYS = frozenset(
    {*_STREAM_MEMBERS, "arn", "consumer", "destinations", "filterPatterns", "functionResponseType", "type"}
)
_SCHEDULE_KEYS = frozenset(
    {"description", "enabled", "input", "inputPath", "inputTransformer", "method", "name", "rate", "timezone"}
)
_NO_REST = "requests and answers are not changed on their way: the function gets the proxy event"
_HTTP: Mapping[str, str] = {
    "async": "requests wait for the function's answer",
    "authorizer": AUTHORIZERS,
    "cacheKeyParameters": "answers are not cached",
    "connectionId": "there are no links to VPCs here",
    "connectionType": "there are no links to VPCs here",
    "cors": NO_CORS,
    "documentation": "it is a note",
    "operationId": "it is a note",
    "private": "there are no API keys here: requests are let in",
    "request": _NO_REST,
    "response": _NO_REST,
    "timeoutInMillis": "the timeout of integrations is the service's own",
}
_HTTP_KEYS = frozenset({*_HTTP, "integration", "method", "path"})
_HTTP_API: Mapping[str, str] = {"authorizer": AUTHORIZERS}
_HTTP_API_KEYS = frozenset({*_HTTP_API, "method", "path"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """The function that events are of. `logical_id` names it in the framework's template."""

    key: str
    logical_id: str
    name: str
    payload_format: str
    has_plugins: bool


def read_events(parts: Parts, owner: Owner, events: Sequence[Node]) -> None:
    """Add what every event of a function stands for. Raises ProjectError."""
    for number, event in enumerate(events, 1):
        kind, node = _kind(event)
        what = f"the {kind} event {number} of the function {owner.key}"
        served = _KINDS.get(kind)
        if served is not None:
            served(_Event(parts=parts, owner=owner, what=what, node=node))
        elif kind in keys.EVENT:
            parts.skip(what, node.place, keys.EVENT[kind])
        elif owner.has_plugins:
            parts.skip(what, node.place, "it is none of the framework's events; a plugin may know it")
        else:
            checked(kind, node.place, {*_KINDS, *keys.EVENT})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Event:
    parts: Parts
    owner: Owner
    what: str
    node: Node

    @property
    def place(self) -> Place:
        return self.node.place

    def settings(self, known: frozenset[str], alone: str) -> dict[str, Node]:
        """Return the settings that are there; an event that is just a text, or an expression, is its `alone`."""
        if not isinstance(self.node.value, Mapping) or is_expression(self.node):
            return {alone: self.node}
        found = {name: child for name, child in self.node.mapping.items() if child.value is not None}
        keys.check(self.parts, self.what, found, known, has_plugins=self.owner.has_plugins)
        return found

    def properties(self, members: Mapping[str, Node]) -> Properties:
        return Properties.of(self.parts, self.what, Node(members, self.place), self.place)


def _kind(event: Node) -> tuple[str, Node]:
    if isinstance(event.value, str):
        return event.value, event
    members = event.mapping
    if len(members) != 1:
        raise ProjectError(event.place, f"an event has one kind, not {len(members)}: {', '.join(members)}")
    ((kind, node),) = members.items()
    return kind, node


def _sqs(event: _Event) -> None:
    found = event.settings(_QUEUE_KEYS, "arn")
    members = _mapping(event, found, _QUEUE_MEMBERS)
    if "maximumConcurrency" in found:
        node = found["maximumConcurrency"]
        members["ScalingConfig"] = Node({"MaximumConcurrency": node}, node.place)
    if "provisionedPollerConfig" in found:
        members["ProvisionedPollerConfig"] = _capitalised(found["provisionedPollerConfig"])
    add_mapping(event.what, event.properties(members))


def _stream(event: _Event) -> None:
    found = event.settings(_STREAM_KEYS, "arn")
    members = _mapping(event, found, _STREAM_MEMBERS)
    members.setdefault("StartingPosition", Node("TRIM_HORIZON", event.place))
    consumer = found.get("consumer")
    if consumer is not None:
        if isinstance(consumer.value, bool):
            why = "records are read from the shards themselves; the function gets the same ones"
            event.parts.skip(f"consumer of {event.what}", consumer.place, why)
        else:
            members["EventSourceArn"] = consumer
    destinations = found.get("destinations")
    if destinations is not None:
        for name, node in destinations.mapping.items():
            checked(name, node.place, {"onFailure"})
        target = destinations.get("onFailure")
        if target is not None:
            is_typed = isinstance(target.value, Mapping) and "arn" in target.value
            arn = target.mapping["arn"] if is_typed else target
            failure = Node({"OnFailure": Node({"Destination": arn}, target.place)}, target.place)
            members["DestinationConfig"] = failure
    add_mapping(event.what, event.properties(members))


def _mapping(event: _Event, found: Mapping[str, Node], names: Mapping[str, str]) -> dict[str, Node]:
    """Return the properties of AWS::Lambda::EventSourceMapping that queues and streams share."""
    if "arn" not in found:
        raise ProjectError(event.place, f"{event.what} has no arn")
    members = {
        "EventSourceArn": found["arn"],
        "FunctionName": Node(event.owner.name, event.place),
        "BatchSize": Node(BATCH_SIZE, event.place),
        **{names[name]: node for name, node in found.items() if name in names},
    }
    if "functionResponseType" in found:
        node = found["functionResponseType"]
        members["FunctionResponseTypes"] = Node([node], node.place)
    if "filterPatterns" in found:
        node = found["filterPatterns"]
        filters = [Node({"Pattern": _json(event.parts, item)}, item.place) for item in node.items]
        members["FilterCriteria"] = Node({"Filters": Node(filters, node.place)}, node.place)
    return members


def _capitalised(node: Node) -> Node:
    """Return settings that have the framework's spelling with AWS's."""
    return Node({f"{name[:1].upper()}{name[1:]}": child for name, child in node.mapping.items()}, node.place)


def _json(parts: Parts, node: Node) -> Node:
    """Return a value as JSON; a text stays as it is."""
    if isinstance(node.value, str):
        return node
    plain = parts.scope.resolve(node).plain
    return Node(json.dumps(plain, ensure_ascii=False, separators=(",", ":")), node.place)


def _schedule(event: _Event) -> None:
    found = event.settings(_SCHEDULE_KEYS, "rate")
    if "rate" not in found:
        raise ProjectError(event.place, f"{event.what} has no rate")
    rate = event.parts.scope.resolve(found["rate"])
    rates = rate.items if isinstance(rate.value, list) else [rate]
    if "name" in found and len(rates) > 1:
        raise ProjectError(found["name"].place, f"{event.what} has several rates, which cannot have one name")
    for each in rates:
        _one_schedule(event, found, each)


def _one_schedule(event: _Event, found: Mapping[str, Node], rate: Node) -> None:
    parts, method = event.parts, found.get("method")
    settings = {"ScheduleExpression": rate, **_named(found, {"description": "Description"})}
    enabled = found.get("enabled")
    is_enabled = enabled is None or boolean(parts.scope.resolve(enabled))
    settings["State"] = Node("ENABLED" if is_enabled else "DISABLED", event.place)
    target = _target(event, found)
    if method is not None:
        checked(method.text, method.place, {"eventBus", "scheduler"})
    if method is not None and method.text == "scheduler":
        settings |= _named(found, {"timezone": "ScheduleExpressionTimezone"})
        members = scheduler_members(parts, event.what, event.properties(settings), has_input="Input" in target)
        if members is None:
            return
    else:
        if "timezone" in found:
            raise ProjectError(found["timezone"].place, "timezone is for schedules with method: scheduler")
        members = event.properties(settings).members(settings, input_shape("events", "PutRule"))
    name = parts.scope.text(found["name"]) if "name" in found else _free_name(event)
    add_schedule(parts, name, members, [{"Id": f"{event.owner.key}Schedule", **target}], rate.place)


def _free_name(event: _Event) -> str:
    """Return the name of a function's next schedule that declares none: the framework counts them too."""
    names = (event.parts.scope.stack.physical_name(f"{event.owner.key}-schedule-{n}") for n in itertools.count(1))
    return next(name for name in names if name not in event.parts.schedules)


def _named(found: Mapping[str, Node], names: Mapping[str, str]) -> dict[str, Node]:
    return {member: found[name] for name, member in names.items() if name in found}


def _target(event: _Event, found: Mapping[str, Node]) -> dict[str, Any]:
    """Return the function as the target of a rule, with what it is given."""
    inputs = [name for name in ("input", "inputPath", "inputTransformer") if name in found]
    if len(inputs) > 1:
        raise ProjectError(found[inputs[1]].place, f"{' and '.join(inputs)} exclude each other")
    made = _named(found, {"inputPath": "InputPath"})
    if "input" in found:
        made["Input"] = _json(event.parts, found["input"])
    if "inputTransformer" in found:
        made["InputTransformer"] = _capitalised(found["inputTransformer"])
    shape = input_shape("events", "PutTargets").members["Targets"].shape.item
    assert shape is not None
    arn = event.parts.scope.identity(event.owner.logical_id, event.place).attributes["Arn"]
    return {"Arn": arn, **read(event.parts.scope.resolve(Node(made, event.place)), shape)}


def _event_bridge(event: _Event) -> None:
    """Add what an event of EventBridge stands for if it has a schedule instead of a pattern."""
    if "schedule" not in event.node.mapping:
        event.parts.skip(event.what, event.place, NO_PATTERNS)
        return
    found = event.settings(
        frozenset({"enabled", "eventBus", "input", "inputPath", "inputTransformer", "name", "schedule"}), "schedule"
    )
    bus = found.get("eventBus")
    if bus is not None and event.parts.scope.text(bus) != "default":
        event.parts.skip(event.what, bus.place, "schedules are rules of the default event bus")
        return
    _one_schedule(event, found, event.parts.scope.resolve(found["schedule"]))


def _http(event: _Event) -> None:
    found = event.settings(_HTTP_KEYS, "path")
    integration = found.get("integration")
    if integration is not None and integration.text.lower().replace("_", "-") not in ("lambda-proxy", "aws-proxy"):
        event.parts.skip(event.what, integration.place, _NO_REST)
        return
    keys.skip(event.parts, event.what, found, _HTTP)
    method, path = _route(event, found)
    if method is None or path is None:
        raise ProjectError(event.place, f"{event.what} needs a method and a path")
    _add_route(event, method, path, payload_format="1.0")


def _http_api(event: _Event) -> None:
    found = event.settings(_HTTP_API_KEYS, "path")
    keys.skip(event.parts, event.what, found, _HTTP_API)
    method, path = _route(event, found)
    _add_route(event, method, path, payload_format=event.owner.payload_format)


def _route(event: _Event, found: Mapping[str, Node]) -> tuple[str | None, str | None]:
    """Return method and path: of `GET /path`, of `*`, or as they are declared apart. None is what is not there."""
    if "method" not in found and "path" in found:
        written = event.parts.scope.text(found["path"]).split()
        if written == ["*"]:
            return "*", "*"
        if len(written) == 2:
            return written[0], written[1]
        if not isinstance(event.node.value, Mapping):
            raise ProjectError(event.place, f"{' '.join(written)!r} must be a method and a path, such as GET /orders")
    texts = {name: event.parts.scope.text(found[name]) for name in ("method", "path") if name in found}
    return texts.get("method"), texts.get("path")


def _add_route(event: _Event, method: str | None, path: str | None, *, payload_format: str) -> None:
    method = "*" if method is None else method.upper()
    path = "*" if path is None else path.strip()
    method = "ANY" if method == "*" else method
    if path == "*":
        if method != "ANY":
            raise ProjectError(event.place, f"{event.what}: the path * goes with the method *")
        key = "$default"
    else:
        checked(method, event.place, _METHODS)
        key = f"{method} /{path.strip('/')}"
    add_route(event.parts, key, event.owner.name, event.place, payload_format=payload_format, api=DEFAULT_API)


_KINDS: Mapping[str, Callable[[_Event], None]] = {
    "eventBridge": _event_bridge,
    "http": _http,
    "httpApi": _http_api,
    "schedule": _schedule,
    "sqs": _sqs,
    "stream": _stream,
}
