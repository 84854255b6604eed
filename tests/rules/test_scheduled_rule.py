"""Scheduled rules: what is due from now on, what was missed, and the event that is handed over."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from eventrouter.rules.schedule_event import delivery_id, firing_id, handed_over, scheduled_event
from eventrouter.rules.scheduled_rule import LATE_MS, RuleName, RuleTarget, ScheduledRule, was_missed

pytestmark = pytest.mark.unit

START_MS = 1_767_225_600_000  # 2026-01-01T00:00:00Z
NAME = RuleName(account="123456789012", region="us-east-1", name="my-rule")
RULE = ScheduledRule(name=NAME, expression="rate(5 minutes)", generation="1-0", anchored_at_ms=START_MS)
TARGET = RuleTarget(id="t", arn="arn:aws:lambda:us-east-1:123456789012:function:f")
MINUTE_MS = 60_000


def test_a_new_rule_is_due_a_period_after_its_anchor_whenever_that_is_asked() -> None:
    assert RULE.due_from(START_MS) == START_MS + 5 * MINUTE_MS
    assert RULE.due_from(START_MS + 5 * MINUTE_MS + LATE_MS - 1) == START_MS + 5 * MINUTE_MS


def test_what_was_missed_is_not_made_up() -> None:
    assert RULE.due_from(START_MS + 5 * MINUTE_MS + LATE_MS) == START_MS + 10 * MINUTE_MS
    assert RULE.due_from(START_MS + 1_000 * MINUTE_MS, START_MS + 5 * MINUTE_MS) == START_MS + 1_000 * MINUTE_MS


def test_the_next_firing_follows_the_one_that_was_made() -> None:
    assert RULE.due_from(START_MS + 5 * MINUTE_MS + 10, START_MS + 5 * MINUTE_MS) == START_MS + 10 * MINUTE_MS


def test_a_rule_that_is_over_is_never_due() -> None:
    assert replace(RULE, expression="cron(0 0 1 1 ? 2020)").due_from(START_MS) is None


def test_a_firing_is_missed_when_it_is_more_than_a_minute_late() -> None:
    assert not was_missed(START_MS, START_MS + LATE_MS)
    assert was_missed(START_MS, START_MS + LATE_MS + 1)


def test_each_generation_has_a_timer_of_its_own() -> None:
    assert RULE.timer != replace(RULE, generation="2-0").timer


def test_the_event_is_that_of_eventbridge() -> None:
    event = scheduled_event(NAME, "53dc4d37-cffa-4f76-80c9-8b7d4a4d2eaa", 1_444_323_186_999)

    assert event.decode() == (
        '{"version":"0","id":"53dc4d37-cffa-4f76-80c9-8b7d4a4d2eaa","detail-type":"Scheduled Event",'
        '"source":"aws.events","account":"123456789012","time":"2015-10-08T16:53:06Z","region":"us-east-1",'
        '"resources":["arn:aws:events:us-east-1:123456789012:rule/my-rule"],"detail":{}}'
    )


def test_the_same_firing_has_the_same_ids_and_others_have_others() -> None:
    first = firing_id(RULE.timer, START_MS)

    assert first == firing_id(RULE.timer, START_MS)
    assert len({first, firing_id(RULE.timer, START_MS + 1), firing_id("other#1-0", START_MS)}) == 3
    assert delivery_id(first, "a") == delivery_id(first, "a") != delivery_id(first, "b")


def test_an_input_is_handed_over_instead_of_the_event() -> None:
    assert handed_over(TARGET, b"{}") == b"{}"
    assert json.loads(handed_over(replace(TARGET, input='{"job": "ä"}'), b"{}")) == {"job": "ä"}
