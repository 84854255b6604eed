"""Finds and changes rules on behalf of the operations."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from eventrouter.clock import Clock
from eventrouter.errors import Unavailable
from eventrouter.ports import Caller
from eventrouter.rules.scheduled_rule import RuleName, ScheduledRule
from eventrouter.store import Conflict
from eventrouter.store.schedules import Schedules
from eventrouter_adapters.eventbridge import errors

CHANGE_TRIES = 20
PAGE = 100
DEFAULT_BUS = "default"

Members = Mapping[str, Any]
T = TypeVar("T")


class Access:
    """The rules of callers."""

    def __init__(self, schedules: Schedules, clock: Clock) -> None:
        self._schedules = schedules
        self._clock = clock

    def name_of(self, caller: Caller, members: Members, member: str = "Name") -> RuleName:
        """Return the rule that a request names. Raises RequestError if it names another bus."""
        check_bus(caller, members)
        return RuleName(account=caller.account, region=caller.region, name=members[member])

    async def find(self, name: RuleName) -> ScheduledRule | None:
        """Return a rule as it is now, None if there is none."""
        await self._schedules.catalogue.refresh()
        return self._schedules.catalogue.get(name.arn)

    async def get(self, name: RuleName) -> ScheduledRule:
        """Return a rule as it is now. Raises RequestError if there is none."""
        rule = await self.find(name)
        if rule is None:
            raise errors.no_such_rule(name.name)
        return rule

    async def of_caller(self, caller: Caller) -> list[ScheduledRule]:
        """Return the caller's rules, by name."""
        await self._schedules.catalogue.refresh()
        found = [
            rule
            for rule in self._schedules.catalogue.all()
            if (rule.name.account, rule.name.region) == (caller.account, caller.region)
        ]
        return sorted(found, key=lambda rule: rule.name.name)

    async def change(self, name: RuleName, change: Callable[[ScheduledRule], ScheduledRule]) -> ScheduledRule:
        """Store what `change` makes of a rule. Raises RequestError if there is none, and what `change` raises."""

        def changed(rule: ScheduledRule | None) -> ScheduledRule:
            if rule is None:
                raise errors.no_such_rule(name.name)
            return change(rule)

        return await self.put(name, changed)

    async def put(self, name: RuleName, change: Callable[[ScheduledRule | None], ScheduledRule]) -> ScheduledRule:
        """Store what `change` makes of a rule, or of None if there is none, and set its timer.

        `change` sees the newest record, perhaps more than once. A rule whose expression changed, or that was enabled,
        counts anew from now.
        """
        for _ in range(CHANGE_TRIES):
            before = await self.find(name)
            after = change(before)
            if after == before:
                return before
            if before is None or _begins_anew(before, after):
                now_ms = self._clock.now_ms()
                after = replace(
                    after, generation=f"{now_ms:x}-{after.revision:x}", anchored_at_ms=now_ms // 1_000 * 1_000
                )
            try:
                stored = await self._schedules.catalogue.put(after)
            except Conflict:
                continue
            if before is not None and (before.timer != stored.timer or not stored.is_enabled):
                await self._schedules.firings.forget(before.timer)
            await self._schedules.place([stored], self._clock.now_ms())
            return stored
        raise Unavailable(f"rule {name.name} is being changed by others all the time")

    async def delete(self, name: RuleName, check: Callable[[ScheduledRule], None]) -> None:
        """Delete a rule, if there is one and `check` raises nothing."""
        for _ in range(CHANGE_TRIES):
            rule = await self.find(name)
            if rule is None:
                return
            check(rule)
            try:
                await self._schedules.catalogue.delete(rule)
            except Conflict:
                continue
            await self._schedules.firings.forget(rule.timer)
            return
        raise Unavailable(f"rule {name.name} is being changed by others all the time")


def check_bus(caller: Caller, members: Members) -> None:
    """Raise RequestError unless a request means the default bus: the only one there is."""
    bus = members.get("EventBusName") or DEFAULT_BUS
    if bus not in (DEFAULT_BUS, f"arn:aws:events:{caller.region}:{caller.account}:event-bus/{DEFAULT_BUS}"):
        raise errors.no_such_bus(bus.rpartition("/")[2])


def page(found: Sequence[T], members: Members, key: Callable[[T], str]) -> tuple[Sequence[T], dict[str, str]]:
    """Return what a request asks for of a sorted list, and the token that leads on behind it."""
    token = members.get("NextToken")
    if token is not None:
        after = _decoded(token)
        found = [each for each in found if key(each) > after]
    limit = members.get("Limit") or PAGE
    if len(found) <= limit:
        return found, {}
    return found[:limit], {"NextToken": base64.urlsafe_b64encode(key(found[limit - 1]).encode()).decode()}


def _decoded(token: str) -> str:
    try:
        return base64.b64decode(token, altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError) as error:
        raise errors.invalid_parameter("NextToken") from error


def _begins_anew(before: ScheduledRule, after: ScheduledRule) -> bool:
    return before.expression != after.expression or (after.is_enabled and not before.is_enabled)
