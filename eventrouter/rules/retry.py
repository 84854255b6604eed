"""What must follow one attempt of an asynchronous event.

The whole timetable of lambda-semantics §3.1: two retries after one and two minutes, throttles and our own
faults backed off without using a retry, the age judged ahead of every wait.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from functools import lru_cache
from typing import assert_never

import msgspec

from eventrouter.rules.function import EventInvokeConfig
from eventrouter.rules.outcome import FunctionFailed, Outcome, Succeeded, SystemFault, Throttled

DEFAULT_RETRY_BASE_MS = 60_000
DEFAULT_MAXIMUM_RETRY_ATTEMPTS = 2
DEFAULT_MAXIMUM_EVENT_AGE_S = 21_600
BACKOFF_FIRST_MS = 1_000
BACKOFF_LAST_MS = 300_000
HOST_DEATHS_AS_ERROR = 3
"""An event whose run has taken this many hosts down is treated as a function error (redis-design §4)."""


class Condition(enum.StrEnum):
    """Why an event ended, as records name it. Source: lambda-semantics §3.3."""

    SUCCESS = "Success"
    RETRIES_EXHAUSTED = "RetriesExhausted"
    EVENT_AGE_EXCEEDED = "EventAgeExceeded"
    ZERO_RESERVED_CONCURRENCY = "ZeroReservedConcurrency"


@dataclass(frozen=True, slots=True, kw_only=True)
class EventPolicy:
    """The settings an event is judged by."""

    maximum_retry_attempts: int = DEFAULT_MAXIMUM_RETRY_ATTEMPTS
    maximum_event_age_ms: int = DEFAULT_MAXIMUM_EVENT_AGE_S * 1_000
    retry_base_ms: int = DEFAULT_RETRY_BASE_MS


@lru_cache(maxsize=4_096)
def event_policy(config: EventInvokeConfig, retry_base_ms: int = DEFAULT_RETRY_BASE_MS) -> EventPolicy:
    """Return the policy of one qualifier's config, with AWS's defaults where it is silent."""
    retries = config.maximum_retry_attempts
    age_s = config.maximum_event_age_s
    return EventPolicy(
        maximum_retry_attempts=DEFAULT_MAXIMUM_RETRY_ATTEMPTS if retries is None else retries,
        maximum_event_age_ms=(DEFAULT_MAXIMUM_EVENT_AGE_S if age_s is None else age_s) * 1_000,
        retry_base_ms=retry_base_ms,
    )


class EventTally(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What an event has been through: age since acceptance, function errors *before* the attempt judged now,
    and back-offs in a row of its function.
    """

    age_ms: int
    errors: int = 0
    backoffs: int = 0


class Done(msgspec.Struct, frozen=True, gc=False):
    """The event succeeded."""


class Retry(msgspec.Struct, frozen=True, gc=False):
    """The function failed: one more attempt after `delay_ms`, counted."""

    delay_ms: int


class BackOff(msgspec.Struct, frozen=True, gc=False):
    """The event was throttled or we failed: try again after `delay_ms`, uncounted."""

    delay_ms: int


class GiveUp(msgspec.Struct, frozen=True, gc=False):
    """The event ends without success."""

    condition: Condition


Verdict = Done | Retry | BackOff | GiveUp


def backoff_ms(backoffs: int) -> int:
    """Return the wait after the `backoffs`-th back-off in a row (0 is the first): 1 s, doubling, at most 5 min."""
    return min(BACKOFF_FIRST_MS << min(backoffs, 16), BACKOFF_LAST_MS)


def judge_event(outcome: Outcome, tally: EventTally, policy: EventPolicy) -> Verdict:
    """Say what must follow one attempt of an asynchronous event.

    `tally.age_ms` runs from acceptance to the end of the attempt. Age is judged ahead: an event that would be
    too old when its delay is over is given up now. Throttles and our faults use no retry.
    Source: lambda-semantics §3.1.
    """
    again: Retry | BackOff
    match outcome:
        case Succeeded():
            return Done()
        case FunctionFailed():
            if tally.errors >= policy.maximum_retry_attempts:
                return GiveUp(Condition.RETRIES_EXHAUSTED)
            again = Retry(policy.retry_base_ms * (tally.errors + 1))
        case Throttled() | SystemFault():
            again = BackOff(backoff_ms(tally.backoffs))
        case _:
            assert_never(outcome)
    if tally.age_ms + again.delay_ms >= policy.maximum_event_age_ms:
        return GiveUp(Condition.EVENT_AGE_EXCEEDED)
    return again


def judge_claim(tally: EventTally, policy: EventPolicy, reserved_concurrency: int | None) -> GiveUp | None:
    """Say whether a claimed event may run at all: not past its age, not with a reserved concurrency of 0.

    Source: lambda-semantics §3.1 (event age; reserved concurrency 0).
    """
    if reserved_concurrency == 0:
        return GiveUp(Condition.ZERO_RESERVED_CONCURRENCY)
    if tally.age_ms >= policy.maximum_event_age_ms:
        return GiveUp(Condition.EVENT_AGE_EXCEEDED)
    return None
