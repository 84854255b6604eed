"""The `Events` of AWS::Serverless::Function: what invokes it.

Source: SAM's specification; lambda-semantics §4, §6.5, §6.6.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from eventrouter.project.cfn_mappings import MAPPING_NOT_APPLIED, mapping_members, source_arn
from eventrouter.project.cfn_members import boolean, checked, input_shape
from eventrouter.project.cfn_parts import Parts, Properties
from eventrouter.project.cfn_routes import AUTHORIZERS, DEFAULT_API, add_route, payload_format
from eventrouter.project.cfn_schedules import add_schedule, scheduler_members, target_settings
from eventrouter.project.cfn_sources import add_queue
from eventrouter.project.model import MappingResource, ProjectError
from eventrouter.project.yaml_lines import Node


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One event of a function: `logical_id` is what SAM calls the resource that it makes of it."""

    logical_id: str
    function: str
    what: str
    properties: Properties

    @property
    def parts(self) -> Parts:
        """Return the template's resources."""
        return self.properties.parts

    @property
    def function_arn(self) -> str:
        """Return the function's ARN."""
        return self.parts.scope.stack.arn("lambda", f"function:{self.function}")


def read_event(parts: Parts, function_id: str, function: str, event_id: str, node: Node) -> None:
    """Add what an event of a function stands for; one that is not served is noted as not applied."""
    what = f"the event {event_id} of {function_id}"
    outline = parts.scope.outline(node)
    if outline.value is None:  # taken out by a condition
        return
    members = outline.mapping
    for key, child in members.items():
        checked(key, child.place, ("Properties", "Type"))
    if "Type" not in members:
        raise ProjectError(node.place, f"{what} has no Type")
    kind = parts.scope.text(members["Type"])
    reader = READERS.get(kind)
    if reader is None:
        checked(kind, members["Type"].place, (*READERS, *_NOT_SERVED))
        parts.skip(what, node.place, f"events of {kind} are not served")
        return
    properties = Properties.of(parts, what, members.get("Properties"), node.place)
    reader(Event(logical_id=f"{function_id}{event_id}", function=function, what=what, properties=properties))


def _read_stream(event: Event) -> None:
    _read_source(event, "Stream")


def _read_queue(event: Event) -> None:
    _read_source(event, "Queue")


def _read_source(event: Event, name: str) -> None:
    parts, properties = event.parts, event.properties
    arn = source_arn(parts, event.what, properties, name)
    if arn is None:
        return
    destinations = properties.take("DestinationConfig")
    if destinations is not None:
        properties.put("DestinationConfig", _without_type(destinations))
    members = {"FunctionName": event.function, "EventSourceArn": arn, **mapping_members(properties)}
    properties.skip(MAPPING_NOT_APPLIED)
    properties.finish()
    parts.add(MappingResource(members=members, place=properties.place), parts.mappings)


def _without_type(destinations: Node) -> Node:
    """Return a mapping's destinations without `Type`, which tells SAM alone which rights to grant."""
    on_failure = destinations.get("OnFailure")
    if on_failure is None:
        return destinations
    kept = {name: node for name, node in on_failure.mapping.items() if name != "Type"}
    return Node({**destinations.mapping, "OnFailure": Node(kept, on_failure.place)}, destinations.place)


def _read_schedule(event: Event) -> None:
    properties = event.properties
    name = properties.take("Name")
    enabled = properties.take("Enabled")
    members = properties.members(("Description", "State"), input_shape("events", "PutRule"))
    members["ScheduleExpression"] = properties.need("Schedule").text
    if enabled is not None:
        if "State" in members:
            raise ProjectError(enabled.place, f"{event.what} has both Enabled and State")
        members["State"] = "ENABLED" if boolean(enabled) else "DISABLED"
    _put_dead_letters(event)
    settings = target_settings(properties)
    properties.skip({"RuleName": "it is no property of SAM's schedules: Name is"})
    properties.finish()
    rule = name.text if name else event.parts.scope.stack.physical_name(event.logical_id)
    target = {"Id": f"{event.logical_id}LambdaTarget"[-64:], "Arn": event.function_arn, **settings}
    add_schedule(event.parts, rule, members, [target], properties.place)


def _read_scheduler(event: Event) -> None:
    properties = event.properties
    name = properties.take("Name")
    _put_dead_letters(event)
    settings = target_settings(properties)
    members = scheduler_members(event.parts, event.what, properties, has_input="Input" in settings)
    no_iam = "there is no IAM here"
    properties.skip({"RoleArn": no_iam, "PermissionsBoundary": no_iam})
    omits_name = properties.take("OmitName")
    properties.finish()
    if members is not None:
        # Unlike all others, Scheduler's schedules have their logical id for a name unless OmitName says otherwise.
        made_up = event.parts.scope.stack.physical_name(event.logical_id)
        rule = name.text if name else made_up if omits_name and boolean(omits_name) else event.logical_id
        target = {"Id": f"{event.logical_id}LambdaTarget"[-64:], "Arn": event.function_arn, **settings}
        add_schedule(event.parts, rule, members, [target], properties.place)


def _put_dead_letters(event: Event) -> None:
    """Set DeadLetterConfig's Arn; one with a Type alone is a queue that SAM makes for it."""
    config = event.properties.take("DeadLetterConfig")
    if config is None:
        return
    inner = Properties(event.parts, f"DeadLetterConfig of {event.what}", config.mapping, config.place)
    arn, kind, logical_id = inner.take("Arn"), inner.take("Type"), inner.take("QueueLogicalId")
    inner.finish()
    if arn is None:
        if kind is None or kind.text != "SQS":
            raise ProjectError(config.place, f"{inner.owner} has an Arn, or the Type SQS")
        queue = logical_id.text if logical_id else f"{event.logical_id}Queue"
        arn = Node(add_queue(event.parts, queue, config.place), config.place)
    event.properties.put("DeadLetterConfig", Node({"Arn": arn}, config.place))


def _read_rest_route(event: Event) -> None:
    properties = event.properties
    key = f"{_method(properties.need('Method'))} {properties.need('Path').text}"
    properties.skip(
        {
            "RequestModel": "models are not checked",
            "RequestParameters": "parameters are not checked",
            "ResponseTransferMode": "answers are not streamed",
        }
    )
    _add_route(event, key, "RestApiId", "1.0")


def _read_http_route(event: Event) -> None:
    properties = event.properties
    method, path = properties.take("Method"), properties.take("Path")
    if (method is None) != (path is None):
        raise ProjectError(properties.place, f"{event.what} has Path and Method, or neither (then it is $default)")
    key = f"{_method(method)} {path.text}" if method and path else "$default"
    properties.skip({"RouteSettings": "no calls are throttled by route"})
    _add_route(event, key, "ApiId", payload_format(properties.take("PayloadFormatVersion"), "2.0"))


def _add_route(event: Event, key: str, api_property: str, version: str) -> None:
    properties = event.properties
    api = properties.take(api_property)
    auth = properties.take("Auth")
    if auth is not None and auth.plain != {"Authorizer": "NONE"}:
        event.parts.skip(f"Auth of {event.what}", auth.place, AUTHORIZERS)
    properties.skip(
        {"Stage": "routes have no stages here", "TimeoutInMillis": "the timeout of integrations is the service's own"}
    )
    properties.finish()
    name = api.text if api else DEFAULT_API
    add_route(event.parts, key, event.function, properties.place, payload_format=version, api=name)


def _method(node: Node) -> str:
    """Return a route's method: `ANY` in all of its spellings."""
    text = node.text.upper()
    return "ANY" if text in ("*", "X-AMAZON-APIGATEWAY-ANY-METHOD") else text


READERS: Mapping[str, Callable[[Event], None]] = {
    "Api": _read_rest_route,
    "DynamoDB": _read_stream,
    "HttpApi": _read_http_route,
    "Kinesis": _read_stream,
    "SQS": _read_queue,
    "Schedule": _read_schedule,
    "ScheduleV2": _read_scheduler,
}

_NOT_SERVED = (
    "AlexaSkill", "CloudWatchEvent", "CloudWatchLogs", "Cognito", "DocumentDB", "EventBridgeRule", "IoTRule", "MQ",
    "MSK", "S3", "SNS", "SelfManagedKafka",
)  # fmt: skip
