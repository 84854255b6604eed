"""What a scheduled rule hands over, exact to the byte. Source: lambda-semantics §6.3, §6.5."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID, uuid5

import msgspec

from eventrouter.rules.scheduled_rule import RuleName, RuleTarget

_FIRINGS = UUID("6a0a7a52-6b8f-4f0c-8c3c-2f0d6c1f5e0b")
"""The name space in which a rule, its generation and a due time become an event's id; fixed, so that the same firing
is the same event wherever and however often it is made."""


class _ScheduledEvent(msgspec.Struct, frozen=True, rename="kebab"):
    """The event's members, in AWS's order."""

    version: str
    id: str
    detail_type: str
    source: str
    account: str
    time: str
    region: str
    resources: tuple[str, ...]
    detail: dict[str, str]


def firing_id(timer: str, due_ms: int) -> str:
    """Return the id of the event that a timer's firing makes."""
    return str(uuid5(_FIRINGS, f"{timer}#{due_ms}"))


def delivery_id(firing: str, target_id: str) -> str:
    """Return the id under which a firing's event is handed to one target: always the same one."""
    return str(uuid5(_FIRINGS, f"{firing}#{target_id}"))


def scheduled_event(rule: RuleName, event_id: str, due_ms: int) -> bytes:
    """Return the event of a firing, as JSON. Its time is the time that was due, in seconds."""
    return msgspec.json.encode(
        _ScheduledEvent(
            version="0",
            id=event_id,
            detail_type="Scheduled Event",
            source="aws.events",
            account=rule.account,
            time=datetime.fromtimestamp(due_ms // 1_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            region=rule.region,
            resources=(rule.arn,),
            detail={},
        )
    )


def handed_over(target: RuleTarget, event: bytes) -> bytes:
    """Return what a target is given: its own input if it has one, else the event."""
    return event if target.input is None else target.input.encode()
