"""What must follow a hand-over to a rule's target that failed.

A missing target is given up at once. Everything else is tried again, with growing pauses, up to 185 times within 24
hours unless the target's RetryPolicy says less. What was given up goes to the target's dead-letter queue.

Source: lambda-semantics §6.3, §9.2.
"""

from __future__ import annotations

import enum

import msgspec

from eventrouter.rules.scheduled_rule import MAXIMUM_EVENT_AGE_S, MAXIMUM_RETRY_ATTEMPTS, RuleTarget

RETRY_FIRST_MS = 1_000
RETRY_LAST_MS = 600_000
"""With half of it by chance, 185 tries take about 24 hours."""
DEAD_LETTER_AGE_MS = 86_400_000
"""For how long after its event's age limit a dead letter is tried to be delivered."""


class ErrorCode(enum.StrEnum):
    """Why a hand-over failed, as dead letters say it."""

    NO_RESOURCE = "NO_RESOURCE"
    INTERNAL_ERROR = "INTERNAL_ERROR"


class Exhausted(enum.StrEnum):
    """Which limit ended the retries, as dead letters say it."""

    ATTEMPTS = "MaximumRetryAttempts"
    AGE = "MaximumEventAgeInSeconds"


class HandOver(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A hand-over that failed, as the store keeps it: of which firing, to which target, and what happened so far.

    `tries` counts those made. `is_dead`: it was given up, and only its dead letter is still to be delivered, which was
    tried `buried` times.
    """

    rule: str
    timer: str
    due_ms: int
    target: str
    tries: int = 0
    code: ErrorCode = ErrorCode.INTERNAL_ERROR
    message: str = ""
    is_dead: bool = False
    buried: int = 0
    exhausted: Exhausted | None = None

    @property
    def key(self) -> str:
        """Return what tells it from all others."""
        return f"{self.timer}#{self.due_ms}#{self.target}"


class TryAgain(msgspec.Struct, frozen=True):
    """Hand over again after `delay_ms`."""

    delay_ms: int


class GiveUp(msgspec.Struct, frozen=True):
    """Hand over no more. `exhausted` is the limit that ended it, None if no retry could have helped."""

    exhausted: Exhausted | None


def judge_hand_over(
    target: RuleTarget, *, tries: int, age_ms: int, is_transient: bool, chance: float
) -> TryAgain | GiveUp:
    """Say what follows when the `tries`-th try failed, `age_ms` after the event was due.

    `chance` is between 0 and 1. The age is judged ahead: an event that would be too old for its next try gets none.
    """
    if not is_transient:
        return GiveUp(None)
    retries = target.maximum_retry_attempts
    if tries > (MAXIMUM_RETRY_ATTEMPTS if retries is None else retries):
        return GiveUp(Exhausted.ATTEMPTS)
    delay_ms = retry_delay_ms(tries, chance)
    if age_ms + delay_ms > _age_limit_ms(target):
        return GiveUp(Exhausted.AGE)
    return TryAgain(delay_ms)


def judge_dead_letter(
    target: RuleTarget, *, buried: int, age_ms: int, is_transient: bool, chance: float
) -> TryAgain | GiveUp:
    """Say what follows when a dead letter could not be delivered: it is lost where trying again cannot help."""
    delay_ms = retry_delay_ms(buried, chance)
    if not is_transient or age_ms + delay_ms > _age_limit_ms(target) + DEAD_LETTER_AGE_MS:
        return GiveUp(None)
    return TryAgain(delay_ms)


def retry_delay_ms(tries: int, chance: float) -> int:
    """Return the pause after the `tries`-th try: 1 s, doubling to 10 minutes; up to half of it by chance."""
    whole = min(RETRY_FIRST_MS << min(tries - 1, 16), RETRY_LAST_MS)
    return round(whole * (0.5 + 0.5 * chance))


def dead_letter_attributes(rule: str, target: RuleTarget, hand_over: HandOver) -> dict[str, tuple[str, str]]:
    """Return a dead letter's message attributes: name to (data type, value)."""
    attributes = {
        "RULE_ARN": rule,
        "TARGET_ARN": target.arn,
        "ERROR_CODE": str(hand_over.code),
        "ERROR_MESSAGE": hand_over.message,
        "RETRY_ATTEMPTS": str(max(hand_over.tries - 1, 0)),
    }
    if hand_over.exhausted is not None:
        attributes["EXHAUSTED_RETRY_CONDITION"] = str(hand_over.exhausted)
    return {name: ("String", value) for name, value in attributes.items()}


def _age_limit_ms(target: RuleTarget) -> int:
    age_s = target.maximum_event_age_s
    return (MAXIMUM_EVENT_AGE_S if age_s is None else age_s) * 1_000
