"""AWS::Serverless::Function: CloudFormation's function in SAM's words, with the events that invoke it.

Source: SAM's specification; lambda-semantics §2, §3.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eventrouter.project.cfn_destinations import is_served
from eventrouter.project.cfn_functions import TRACING, read_function, set_event_invoke
from eventrouter.project.cfn_members import input_shape
from eventrouter.project.cfn_parts import Properties
from eventrouter.project.cfn_sources import add_queue
from eventrouter.project.model import ProjectError
from eventrouter.project.sam_events import read_event
from eventrouter.project.yaml_lines import Node

_NO_IAM = "functions run with the rights of the node; there is no IAM here"
_NO_VERSIONS = "versions and aliases are not served: events go to the function itself"
_NOT_APPLIED: Mapping[str, str] = {
    "AssumeRolePolicyDocument": _NO_IAM,
    "AutoPublishAlias": _NO_VERSIONS,
    "AutoPublishAliasAllProperties": _NO_VERSIONS,
    "AutoPublishCodeSha256": _NO_VERSIONS,
    "DeploymentPreference": _NO_VERSIONS,
    "FunctionUrlConfig": "function URLs are not served",
    "PermissionsBoundary": _NO_IAM,
    "Policies": _NO_IAM,
    "PropagateTags": "what SAM makes for a function bears no tags here",
    "ProvisionedConcurrencyConfig": "environments are not kept ready by number",
    "RolePath": _NO_IAM,
    "SourceKMSKeyArn": "packages are not encrypted with keys of yours",
    "Tracing": TRACING,
    "VersionDeletionPolicy": _NO_VERSIONS,
    "VersionDescription": _NO_VERSIONS,
}
_DESTINATIONS = ("SQS", "SNS", "Lambda", "EventBridge", "S3Bucket")


def read_serverless_function(logical_id: str, properties: Properties) -> None:
    """Add an AWS::Serverless::Function and all that its properties stand for."""
    _put_code(properties)
    _put_dead_letters(properties)
    invoke, events = properties.outline("EventInvokeConfig"), properties.outline("Events")
    properties.skip(_NOT_APPLIED)
    function = read_function(logical_id, properties)
    if function is None:
        return
    if invoke is not None:
        _read_event_invoke(logical_id, function, properties, invoke)
    for event_id, event in {} if events is None else events.mapping.items():
        read_event(properties.parts, logical_id, function, event_id, event)


def _put_code(properties: Properties) -> None:
    """Set `Code` from CodeUri or InlineCode."""
    uri, inline = properties.take("CodeUri"), properties.take("InlineCode")
    image = properties.take("ImageUri")
    if inline:  # goes before CodeUri, which Globals often hold for all
        properties.put("Code", Node({"ZipFile": inline}, inline.place))
    elif uri:
        properties.put("Code", uri)
    elif image:
        properties.put("Code", Node({"ImageUri": image}, image.place))


def _put_dead_letters(properties: Properties) -> None:
    """Set `DeadLetterConfig` from DeadLetterQueue."""
    queue = properties.take("DeadLetterQueue")
    if queue is None:
        return
    inner = Properties(properties.parts, f"DeadLetterQueue of {properties.owner}", queue.mapping, queue.place)
    kind, target = inner.need("Type"), inner.need("TargetArn")
    inner.finish()
    if kind.text not in ("SQS", "SNS"):
        raise ProjectError(kind.place, f"the Type of a DeadLetterQueue is SQS or SNS, not {kind.text}")
    properties.put("DeadLetterConfig", Node({"TargetArn": target}, queue.place))


def _read_event_invoke(logical_id: str, function: str, properties: Properties, node: Node) -> None:
    parts = properties.parts
    inner = Properties.of(parts, f"EventInvokeConfig of {properties.owner}", node, node.place)
    names = ("MaximumEventAgeInSeconds", "MaximumRetryAttempts")
    members = inner.members(names, input_shape("lambda", "PutFunctionEventInvokeConfig"))
    destinations = inner.take("DestinationConfig")
    inner.finish()
    if destinations is not None:
        both = Properties(parts, f"DestinationConfig of {properties.owner}", destinations.mapping, destinations.place)
        found = {side: _destination(logical_id, side, both) for side in ("OnSuccess", "OnFailure")}
        both.finish()
        served = {side: value for side, value in found.items() if value is not None}
        if served:
            members["DestinationConfig"] = served
    set_event_invoke(parts, function, members, node.place)


def _destination(logical_id: str, side: str, both: Properties) -> dict[str, Any] | None:
    """Return one destination. One of type SQS without an ARN is a queue that SAM makes for it, SNS a topic."""
    node = both.take(side)
    if node is None:
        return None
    inner = Properties(both.parts, f"{side} of {both.owner}", node.mapping, node.place)
    kind, target = inner.take("Type"), inner.take("Destination")
    inner.finish()
    if kind and kind.text not in _DESTINATIONS:
        raise ProjectError(kind.place, f"the Type of a destination is one of {', '.join(_DESTINATIONS)}")
    if target:
        return {"Destination": target.text} if is_served(both.parts, inner.owner, target) else None
    if kind and kind.text == "SNS":
        both.parts.skip(inner.owner, node.place, "SNS is not served as a destination")
        return None
    if kind and kind.text == "SQS":
        return {"Destination": add_queue(both.parts, f"{logical_id}EventInvokeConfig{side}Queue", node.place)}
    raise ProjectError(node.place, f"{inner.owner} has no Destination")
