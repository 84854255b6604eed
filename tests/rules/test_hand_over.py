"""What follows a hand-over that failed. Source: lambda-semantics §6.3, §9.2."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from eventrouter.rules.hand_over import (
    DEAD_LETTER_AGE_MS,
    ErrorCode,
    Exhausted,
    GiveUp,
    HandOver,
    TryAgain,
    dead_letter_attributes,
    judge_dead_letter,
    judge_hand_over,
    retry_delay_ms,
)
from eventrouter.rules.scheduled_rule import RuleTarget

pytestmark = pytest.mark.unit

TARGET = RuleTarget(id="t", arn="arn:aws:lambda:us-east-1:000000000000:function:f")
HAND_OVER = HandOver(rule="rule", timer="rule#1", due_ms=5, target="t", tries=4, message="it is away")
DAY_MS = 86_400_000


def judge(
    target: RuleTarget = TARGET, *, tries: int = 1, age_ms: int = 0, is_transient: bool = True
) -> TryAgain | GiveUp:
    return judge_hand_over(target, tries=tries, age_ms=age_ms, is_transient=is_transient, chance=1.0)


def test_pauses_double_from_a_second_to_ten_minutes() -> None:
    assert [retry_delay_ms(tries, 1.0) for tries in (1, 2, 3, 10, 11, 185)] == [
        1_000,
        2_000,
        4_000,
        512_000,
        600_000,
        600_000,
    ]


def test_half_of_a_pause_is_left_to_chance() -> None:
    assert [retry_delay_ms(3, chance) for chance in (0.0, 0.5, 1.0)] == [2_000, 3_000, 4_000]


def test_185_retries_take_about_a_day() -> None:
    assert 20 * 3_600_000 < sum(retry_delay_ms(tries, 0.5) for tries in range(1, 186)) < 24 * 3_600_000


def test_a_missing_target_is_given_up_at_once() -> None:
    assert judge(is_transient=False) == GiveUp(None)


def test_a_hand_over_is_tried_again_185_times() -> None:
    assert judge(tries=185) == TryAgain(600_000)
    assert judge(tries=186) == GiveUp(Exhausted.ATTEMPTS)


def test_a_hand_over_is_tried_again_for_24_hours() -> None:
    assert judge(age_ms=DAY_MS - 1_000) == TryAgain(1_000)
    assert judge(age_ms=DAY_MS - 999) == GiveUp(Exhausted.AGE)


def test_the_retry_policy_says_less() -> None:
    never = replace(TARGET, maximum_retry_attempts=0)
    shortly = replace(TARGET, maximum_event_age_s=60)

    assert judge(never) == GiveUp(Exhausted.ATTEMPTS)
    assert judge(shortly, age_ms=59_000) == TryAgain(1_000)
    assert judge(shortly, age_ms=59_001) == GiveUp(Exhausted.AGE)


def test_a_dead_letter_is_tried_for_another_day() -> None:
    def judged(age_ms: int, *, is_transient: bool = True) -> TryAgain | GiveUp:
        return judge_dead_letter(TARGET, buried=1, age_ms=age_ms, is_transient=is_transient, chance=1.0)

    assert judged(DAY_MS + DEAD_LETTER_AGE_MS - 1_000) == TryAgain(1_000)
    assert judged(DAY_MS + DEAD_LETTER_AGE_MS) == GiveUp(None)
    assert judged(0, is_transient=False) == GiveUp(None)


def test_a_dead_letter_says_what_happened() -> None:
    exhausted = msgspec.structs.replace(HAND_OVER, exhausted=Exhausted.AGE)
    missing = msgspec.structs.replace(HAND_OVER, tries=1, code=ErrorCode.NO_RESOURCE)

    assert dead_letter_attributes("arn:rule", TARGET, exhausted) == {
        "RULE_ARN": ("String", "arn:rule"),
        "TARGET_ARN": ("String", TARGET.arn),
        "ERROR_CODE": ("String", "INTERNAL_ERROR"),
        "ERROR_MESSAGE": ("String", "it is away"),
        "RETRY_ATTEMPTS": ("String", "3"),
        "EXHAUSTED_RETRY_CONDITION": ("String", "MaximumEventAgeInSeconds"),
    }
    assert dead_letter_attributes("arn:rule", TARGET, missing)["RETRY_ATTEMPTS"] == ("String", "0")
    assert "EXHAUSTED_RETRY_CONDITION" not in dead_letter_attributes("arn:rule", TARGET, missing)


def test_a_stored_hand_over_is_read_back() -> None:
    stored = msgspec.json.encode(HAND_OVER)

    assert msgspec.json.decode(stored, type=HandOver) == HAND_OVER
    assert HAND_OVER.key == "rule#1#5#t"
