"""A scheduled rule as the node knows it: when it fires, and what it hands an event to.

A rule's `generation` is new whenever it begins to count anew: when it is made, when its expression changes, when it is
enabled. What an earlier generation had due is due no more.

Source: lambda-semantics §6.5, §9.2.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from eventrouter.rules.schedule import next_after, parse

LATE_MS = 60_000
"""A rule fires within the minute (lambda-semantics §6.5). What is later was missed, and is not made up.

Less than what the store remembers of events that were accepted, so that an event is one however often it is handed
over meanwhile."""

MAXIMUM_RETRY_ATTEMPTS = 185
MAXIMUM_EVENT_AGE_S = 86_400

_parsed = lru_cache(maxsize=4_096)(parse)


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleName:
    """One rule on the default event bus of one account in one region."""

    account: str
    region: str
    name: str

    @property
    def arn(self) -> str:
        """Return the rule's ARN, by which the store knows it too."""
        return f"arn:aws:events:{self.region}:{self.account}:rule/{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleTarget:
    """What a rule hands its events to: a function or a queue.

    `input` is JSON that is handed over instead of the event. A hand-over is tried again `maximum_retry_attempts` times,
    until the event is `maximum_event_age_s` old; what then fails goes to the queue `dead_letter_arn`.
    """

    id: str
    arn: str
    input: str | None = None
    maximum_retry_attempts: int | None = None
    maximum_event_age_s: int | None = None
    dead_letter_arn: str | None = None
    role_arn: str | None = None

    @property
    def service(self) -> str:
        """Return the service part of the target's ARN."""
        return self.arn.split(":", 3)[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduledRule:
    """A rule with a schedule. `revision` is the store's compare-and-set number (0: not stored yet).

    `anchored_at_ms`, a whole second, is when its generation began.
    """

    name: RuleName
    expression: str
    generation: str
    anchored_at_ms: int
    is_enabled: bool = True
    description: str = ""
    role_arn: str | None = None
    targets: tuple[RuleTarget, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    revision: int = 0

    @property
    def timer(self) -> str:
        """Return the name of what this generation has due. No ARN and no generation has a `#`."""
        return f"{self.name.arn}#{self.generation}"

    def due_after(self, after_ms: int) -> int | None:
        """Return when the rule fires next, later than `after_ms`; None if never again."""
        return next_after(_parsed(self.expression), after_ms, anchor_ms=self.anchored_at_ms)

    def due_from(self, now_ms: int, fired_ms: int = 0) -> int | None:
        """Return when the rule fires first after `fired_ms`, of what was not missed by `now_ms`."""
        return self.due_after(max(self.anchored_at_ms, fired_ms, now_ms - LATE_MS))

    def target(self, target_id: str) -> RuleTarget | None:
        """Return a target by its id."""
        return next((target for target in self.targets if target.id == target_id), None)


def was_missed(due_ms: int, now_ms: int) -> bool:
    """Say whether it is too late to fire what was due."""
    return now_ms - due_ms > LATE_MS
