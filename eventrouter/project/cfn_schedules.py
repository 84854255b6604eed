"""AWS::Events::Rule with a schedule, and AWS::Scheduler::Schedule where a rule does the same.

Source: lambda-semantics §6.5, §9.2, §9.3.
"""

from __future__ import annotations

from typing import Any

from eventrouter.project.cfn_members import input_shape, read, tags
from eventrouter.project.cfn_parts import Parts, Properties
from eventrouter.project.model import Place, ScheduleResource
from eventrouter.project.yaml_lines import Node

NO_PATTERNS = "event patterns are not served; only schedules are"
_OWN_EVENT = "without an Input the function gets EventBridge's event (source aws.events), not Scheduler's"


def read_rule(logical_id: str, properties: Properties) -> None:
    """Add an AWS::Events::Rule; one without a schedule is noted as not applied."""
    parts = properties.parts
    what = f"the rule {logical_id}"
    bus = properties.take("EventBusName")
    pattern = properties.outline("EventPattern")
    if pattern is not None or (bus and not bus.text.endswith("default")):
        parts.skip(what, properties.place, NO_PATTERNS)
        return
    properties.take("Name")
    members = properties.members(("Description", "State"), input_shape("events", "PutRule"))
    members["ScheduleExpression"] = properties.need("ScheduleExpression").text
    tagged = properties.take("Tags")
    if tagged:
        members["Tags"] = [{"Key": key, "Value": value} for key, value in tags(tagged).items()]
    targets = properties.take("Targets")
    properties.skip({"RoleArn": "there is no IAM here"})
    properties.finish()
    name = parts.scope.identity(logical_id, properties.place).name
    found = [target for item in (targets.items if targets else ()) if (target := _target(parts, what, item))]
    add_schedule(parts, name, members, found, properties.place)


def read_schedule(logical_id: str, properties: Properties) -> None:
    """Add an AWS::Scheduler::Schedule."""
    parts = properties.parts
    what = f"the schedule {logical_id}"
    name = parts.scope.identity(logical_id, properties.place).name
    properties.take("Name")
    node = properties.need("Target")
    target = Properties(parts, f"the target of {what}", node.mapping, node.place)
    arn = target.need("Arn")
    settings = target_settings(target)
    target.skip({"RoleArn": "there is no IAM here"})
    target.finish()
    members = scheduler_members(parts, what, properties, has_input="Input" in settings)
    properties.finish()
    if members is None:
        return
    if arn.text.split(":")[2:3] not in (["lambda"], ["sqs"]):
        parts.skip(what, arn.place, f"{arn.text} is no function and no queue")
        return
    add_schedule(parts, name, members, [{"Id": logical_id, "Arn": arn.text, **settings}], properties.place)


def add_schedule(parts: Parts, name: str, members: dict[str, Any], targets: list[Any], place: Place) -> None:
    """Add a scheduled rule."""
    parts.add(ScheduleResource(name=name, members=members, targets=targets, place=place), parts.schedules)


def target_settings(properties: Properties) -> dict[str, Any]:
    """Return what rules' and Scheduler's targets share: the input, and what happens when a hand-over fails."""
    shape = input_shape("events", "PutTargets").members["Targets"].shape.item
    assert shape is not None
    return properties.members(("DeadLetterConfig", "Input", "RetryPolicy"), shape)


def scheduler_members(parts: Parts, what: str, properties: Properties, *, has_input: bool) -> dict[str, Any] | None:
    """Return the rule that does what a schedule of EventBridge Scheduler says; None, noted, if no rule can."""
    expression = properties.need("ScheduleExpression")
    members = properties.members(("Description", "State"), input_shape("events", "PutRule"))
    members["ScheduleExpression"] = expression.text
    zone, window = properties.take("ScheduleExpressionTimezone"), properties.take("FlexibleTimeWindow")
    mode = window.get("Mode") if window else None
    begin, end = properties.take("StartDate"), properties.take("EndDate")
    properties.skip(
        {
            "ActionAfterCompletion": "schedules are not deleted when they end",
            "GroupName": "schedules have no groups here",
            "KmsKeyArn": "nothing is encrypted with keys of yours",
        }
    )
    why = None
    if expression.text.startswith("at("):
        why = "one-time schedules are not served"
    elif zone and zone.text not in ("UTC", "Etc/UTC"):
        why = f"schedules run on UTC, not on {zone.text}"
    elif mode and mode.text != "OFF":
        why = "schedules fire on time: there are no flexible time windows"
    elif begin or end:
        why = "schedules neither begin nor end"
    if why:
        parts.skip(what, expression.place, why)
        return None
    if not has_input:
        parts.skip(f"Scheduler's own event of {what}", expression.place, _OWN_EVENT)
    return members


def _target(parts: Parts, what: str, node: Node) -> dict[str, Any] | None:
    """Return a rule's target; None, noted as not applied, if it is of a service that is not served."""
    shape = input_shape("events", "PutTargets").members["Targets"].shape.item
    assert shape is not None
    target: dict[str, Any] = read(node, shape)
    arn = target.get("Arn", "")
    if arn.split(":")[2:3] not in (["lambda"], ["sqs"]):
        parts.skip(f"a target of {what}", node.place, f"{arn} is no function and no queue")
        return None
    return target
