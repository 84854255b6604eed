"""Tags of rules. Source: lambda-semantics §9.2."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace

from eventrouter.ports import Caller, Operation
from eventrouter.rules.scheduled_rule import RuleName, ScheduledRule
from eventrouter_adapters.eventbridge import errors
from eventrouter_adapters.eventbridge.access import Access, Members

MOST_TAGS = 50
_RULE_ARN = re.compile(r"arn:aws[a-z-]*:events:([a-z0-9-]+):(\d{12}):rule/(?:default/)?([.\-_A-Za-z0-9]+)")


class TagOperations:
    """The operations on tags."""

    def __init__(self, access: Access) -> None:
        self._access = access

    def operations(self) -> dict[str, Operation]:
        """Return the operations by their names on the wire."""
        return {
            "ListTagsForResource": self.list_tags_for_resource,
            "TagResource": self.tag_resource,
            "UntagResource": self.untag_resource,
        }

    async def list_tags_for_resource(self, caller: Caller, members: Members) -> Members:
        """Answer with the tags of a rule."""
        rule = await self._access.get(_named(caller, members["ResourceARN"]))
        return {"Tags": [{"Key": key, "Value": rule.tags[key]} for key in sorted(rule.tags)]}

    async def tag_resource(self, caller: Caller, members: Members) -> Members:
        """Add tags to a rule, or change their values."""
        new = tags_of(members["Tags"])

        def tag(rule: ScheduledRule) -> ScheduledRule:
            return replace(rule, tags=_checked({**rule.tags, **new}))

        await self._access.change(_named(caller, members["ResourceARN"]), tag)
        return {}

    async def untag_resource(self, caller: Caller, members: Members) -> Members:
        """Remove tags from a rule; keys that it lacks are ignored."""
        keys = frozenset(members["TagKeys"])

        def untag(rule: ScheduledRule) -> ScheduledRule:
            return replace(rule, tags={key: value for key, value in rule.tags.items() if key not in keys})

        await self._access.change(_named(caller, members["ResourceARN"]), untag)
        return {}


def tags_of(given: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """Return tags as a request gives them. Raises RequestError."""
    return _checked({each["Key"]: each["Value"] for each in given})


def _checked(tags: dict[str, str]) -> dict[str, str]:
    if len(tags) > MOST_TAGS:
        raise errors.invalid(f"A rule has {MOST_TAGS} tags at most; this would make {len(tags)}.")
    if reserved := next((key for key in tags if key.lower().startswith("aws:")), None):
        raise errors.invalid(f"The tag key {reserved} is reserved: keys must not begin with aws:.")
    return tags


def _named(caller: Caller, arn: str) -> RuleName:
    """Return the rule of the caller's own that an ARN names. Raises RequestError."""
    match = _RULE_ARN.fullmatch(arn)
    if match is None:
        raise errors.invalid_parameter(arn, "Provided Arn is not in correct format.")
    region, account, name = match.groups()
    if (region, account) != (caller.region, caller.account):
        raise errors.no_such_rule(name)
    return RuleName(account=account, region=region, name=name)
