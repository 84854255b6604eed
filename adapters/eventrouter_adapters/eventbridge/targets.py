"""The operations on rules' targets: functions and standard queues. Source: lambda-semantics §6.3, §9.2."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from eventrouter.ports import Caller, Operation
from eventrouter.rules.payload import json_problem
from eventrouter.rules.scheduled_rule import RuleTarget, ScheduledRule
from eventrouter_adapters.eventbridge import errors
from eventrouter_adapters.eventbridge.access import Access, Members, check_bus, page

MOST_TARGETS = 5
_ARN = re.compile(r"arn:aws[a-z-]*:([a-z0-9-]+):([a-z0-9-]*):(\d{12})?:(\S+)")
_FUNCTION = re.compile(r"function:[A-Za-z0-9_-]{1,140}(?::[A-Za-z0-9_$-]+)?")
_QUEUE = re.compile(r"[A-Za-z0-9_-]{1,80}")
_DONE = {"FailedEntryCount": 0, "FailedEntries": []}


class TargetOperations:
    """What rules hand their events to."""

    def __init__(self, access: Access) -> None:
        self._access = access

    def operations(self) -> dict[str, Operation]:
        """Return the operations by their names on the wire."""
        return {
            "ListRuleNamesByTarget": self.list_rule_names_by_target,
            "ListTargetsByRule": self.list_targets_by_rule,
            "PutTargets": self.put_targets,
            "RemoveTargets": self.remove_targets,
        }

    async def put_targets(self, caller: Caller, members: Members) -> Members:
        """Add targets to a rule, or replace those of the same ids."""
        given = {each["Id"]: _read(caller, each) for each in members["Targets"]}

        def put(rule: ScheduledRule) -> ScheduledRule:
            targets = {target.id: target for target in rule.targets} | given
            if len(targets) > MOST_TARGETS:
                raise errors.too_many()
            return replace(rule, targets=tuple(targets.values()))

        await self._access.change(self._access.name_of(caller, members, "Rule"), put)
        return _DONE

    async def remove_targets(self, caller: Caller, members: Members) -> Members:
        """Remove targets from a rule; ids that it lacks are ignored."""
        ids = frozenset(members["Ids"])

        def remove(rule: ScheduledRule) -> ScheduledRule:
            return replace(rule, targets=tuple(target for target in rule.targets if target.id not in ids))

        await self._access.change(self._access.name_of(caller, members, "Rule"), remove)
        return _DONE

    async def list_targets_by_rule(self, caller: Caller, members: Members) -> Members:
        """Answer with a page of a rule's targets, by id."""
        rule = await self._access.get(self._access.name_of(caller, members, "Rule"))
        found = sorted(rule.targets, key=lambda target: target.id)
        targets, token = page(found, members, lambda target: target.id)
        return {"Targets": [_shown(target) for target in targets], **token}

    async def list_rule_names_by_target(self, caller: Caller, members: Members) -> Members:
        """Answer with a page of the names of the rules that have a target, by name."""
        check_bus(caller, members)
        arn = members["TargetArn"]
        found = [
            rule.name.name
            for rule in await self._access.of_caller(caller)
            if any(target.arn == arn for target in rule.targets)
        ]
        names, token = page(found, members, lambda name: name)
        return {"RuleNames": list(names), **token}


def _read(caller: Caller, given: Mapping[str, Any]) -> RuleTarget:
    """Return a target as a request gives it. Raises RequestError."""
    _check_arn(caller, given["Arn"], dead_letters=False)
    text = given.get("Input")
    if text is not None and json_problem(text.encode()) is not None:
        raise errors.invalid(f"JSON syntax error in input for target {given['Id']}")
    dead_letter_arn = (given.get("DeadLetterConfig") or {}).get("Arn")
    if dead_letter_arn is not None:
        _check_arn(caller, dead_letter_arn, dead_letters=True)
    retry = given.get("RetryPolicy") or {}
    return RuleTarget(
        id=given["Id"],
        arn=given["Arn"],
        input=text,
        maximum_retry_attempts=retry.get("MaximumRetryAttempts"),
        maximum_event_age_s=retry.get("MaximumEventAgeInSeconds"),
        dead_letter_arn=dead_letter_arn,
        role_arn=given.get("RoleArn"),
    )


def _check_arn(caller: Caller, arn: str, *, dead_letters: bool) -> None:
    """Raise RequestError unless events, or dead letters, can be delivered to `arn`."""
    match = _ARN.fullmatch(arn)
    if match is None or match[3] is None:
        raise errors.invalid_parameter(arn, "Provided Arn is not in correct format.")
    service, region, _, resource = match.groups()
    if service not in (("sqs",) if dead_letters else ("sqs", "lambda")):
        wanted = "dead letters go to SQS queues" if dead_letters else "events are delivered to functions and SQS queues"
        raise errors.invalid(f"The target {arn} is not supported by eventrouter: {wanted}.")
    if region != caller.region:
        raise errors.invalid_parameter(arn, "Provided Arn is not in correct region.")
    if service == "sqs" and resource.endswith(".fifo"):
        wanted = "dead-letter queues are standard queues" if dead_letters else "events are delivered to standard queues"
        raise errors.invalid(f"The target {arn} is not supported by eventrouter: {wanted}.")
    if not (_QUEUE if service == "sqs" else _FUNCTION).fullmatch(resource):
        raise errors.invalid_parameter(arn, "Provided Arn is not in correct format.")


def _shown(target: RuleTarget) -> dict[str, Any]:
    shown: dict[str, Any] = {"Id": target.id, "Arn": target.arn}
    if target.role_arn is not None:
        shown["RoleArn"] = target.role_arn
    if target.input is not None:
        shown["Input"] = target.input
    if target.dead_letter_arn is not None:
        shown["DeadLetterConfig"] = {"Arn": target.dead_letter_arn}
    retry = {
        "MaximumRetryAttempts": target.maximum_retry_attempts,
        "MaximumEventAgeInSeconds": target.maximum_event_age_s,
    }
    if given := {name: value for name, value in retry.items() if value is not None}:
        shown["RetryPolicy"] = given
    return shown
