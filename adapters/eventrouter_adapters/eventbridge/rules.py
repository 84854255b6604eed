"""The operations on rules. Source: lambda-semantics §6.5, §9.2."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from eventrouter.ports import Caller, Operation
from eventrouter.rules.schedule import At, InvalidSchedule, parse
from eventrouter.rules.scheduled_rule import RuleName, ScheduledRule
from eventrouter_adapters.eventbridge import errors
from eventrouter_adapters.eventbridge.access import DEFAULT_BUS, Access, Members, check_bus, page
from eventrouter_adapters.eventbridge.tags import tags_of

ENABLED, DISABLED = "ENABLED", "DISABLED"


class RuleOperations:
    """Making, finding, pausing and deleting rules."""

    def __init__(self, access: Access) -> None:
        self._access = access

    def operations(self) -> dict[str, Operation]:
        """Return the operations by their names on the wire."""
        return {
            "DeleteRule": self.delete_rule,
            "DescribeRule": self.describe_rule,
            "DisableRule": self.disable_rule,
            "EnableRule": self.enable_rule,
            "ListRules": self.list_rules,
            "PutRule": self.put_rule,
        }

    async def put_rule(self, caller: Caller, members: Members) -> Members:
        """Make a rule, or change all of it but its targets and tags."""
        expression = members.get("ScheduleExpression")
        if not expression:
            raise errors.invalid("Parameter(s) EventPattern or ScheduleExpression must be specified.")
        if _names_another_bus(members):
            raise errors.invalid("ScheduleExpression is supported only on the default event bus.")
        _check_expression(expression)
        state = members.get("State") or ENABLED
        if state not in (ENABLED, DISABLED):
            raise errors.invalid(f"State {state} is not supported by eventrouter: no CloudTrail events are delivered.")
        name = self._access.name_of(caller, members)
        tags = tags_of(members.get("Tags") or ())

        def put(rule: ScheduledRule | None) -> ScheduledRule:
            return replace(
                rule or _new(name, tags),
                expression=expression,
                is_enabled=state == ENABLED,
                description=members.get("Description") or "",
                role_arn=members.get("RoleArn"),
            )

        await self._access.put(name, put)
        return {"RuleArn": name.arn}

    async def describe_rule(self, caller: Caller, members: Members) -> Members:
        """Answer with a rule."""
        rule = await self._access.get(self._access.name_of(caller, members))
        return {**_shown(rule), "CreatedBy": rule.name.account}

    async def list_rules(self, caller: Caller, members: Members) -> Members:
        """Answer with a page of the caller's rules, by name."""
        check_bus(caller, members)
        prefix = members.get("NamePrefix") or ""
        found = [rule for rule in await self._access.of_caller(caller) if rule.name.name.startswith(prefix)]
        rules, token = page(found, members, lambda rule: rule.name.name)
        return {"Rules": [_shown(rule) for rule in rules], **token}

    async def delete_rule(self, caller: Caller, members: Members) -> Members:
        """Delete a rule that has no targets; one that does not exist is deleted already."""

        def check(rule: ScheduledRule) -> None:
            if rule.targets:
                raise errors.invalid("Rule can't be deleted since it has targets.")

        await self._access.delete(self._access.name_of(caller, members), check)
        return {}

    async def enable_rule(self, caller: Caller, members: Members) -> Members:
        """Let a rule fire again; a rate counts from now."""
        await self._access.change(self._access.name_of(caller, members), lambda rule: replace(rule, is_enabled=True))
        return {}

    async def disable_rule(self, caller: Caller, members: Members) -> Members:
        """Let a rule fire no more."""
        await self._access.change(self._access.name_of(caller, members), lambda rule: replace(rule, is_enabled=False))
        return {}


def _new(name: RuleName, tags: dict[str, str]) -> ScheduledRule:
    return ScheduledRule(name=name, expression="", generation="", anchored_at_ms=0, tags=tags)


def _names_another_bus(members: Members) -> bool:
    bus = (members.get("EventBusName") or DEFAULT_BUS).rpartition("/")[2]
    return bool(bus != DEFAULT_BUS)


def _check_expression(expression: str) -> None:
    """Raise RequestError unless a rule can have this schedule: EventBridge Scheduler has `at`, rules do not."""
    try:
        parsed = parse(expression)
    except InvalidSchedule as error:
        raise errors.invalid_parameter("ScheduleExpression") from error
    if isinstance(parsed, At):
        raise errors.invalid_parameter("ScheduleExpression")


def _shown(rule: ScheduledRule) -> dict[str, Any]:
    shown = {
        "Arn": rule.name.arn,
        "EventBusName": DEFAULT_BUS,
        "Name": rule.name.name,
        "ScheduleExpression": rule.expression,
        "State": ENABLED if rule.is_enabled else DISABLED,
    }
    if rule.description:
        shown["Description"] = rule.description
    if rule.role_arn:
        shown["RoleArn"] = rule.role_arn
    return shown
