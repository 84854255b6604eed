"""The table of rules: complete, in sentences, and each said once."""

from __future__ import annotations

import pytest

from eventrouter.rules.explain import DROPPED, GIVEN_UP, Rule, Step, rule_of_batch
from eventrouter.rules.retry import Condition
from eventrouter.rules.shard import DropCondition

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("rule", Rule)
def test_a_rule_is_one_sentence_with_a_topic(rule: Rule) -> None:
    assert rule.text[0].isupper()
    assert rule.text.endswith(".")
    assert ". " not in rule.text
    assert rule.topic == "eventrouter" or ": " in rule.topic


def test_no_sentence_is_said_twice() -> None:
    assert len({rule.text for rule in Rule}) == len(Rule.__members__)


def test_every_step_has_a_rule() -> None:
    assert {rule.step for rule in Rule} == set(Step)


def test_every_end_of_an_event_but_success_has_its_rule() -> None:
    assert set(GIVEN_UP) == set(Condition) - {Condition.SUCCESS}
    assert {rule.step for rule in GIVEN_UP.values()} == {Step.GAVE_UP}


def test_every_reason_to_drop_records_has_its_rule() -> None:
    assert set(DROPPED) == set(DropCondition)


@pytest.mark.parametrize(
    ("count", "is_full", "is_last", "rule"),
    [
        (10, True, False, Rule.BATCH_BY_SIZE),
        (10, True, True, Rule.BATCH_BY_SIZE),
        (7, True, False, Rule.BATCH_BY_BYTES),
        (7, False, True, Rule.BATCH_BY_END),
        (7, False, False, Rule.BATCH_BY_WINDOW),
    ],
)
def test_a_batch_is_sent_for_the_first_reason_that_holds(count: int, is_full: bool, is_last: bool, rule: Rule) -> None:
    assert rule_of_batch(count, 10, is_full=is_full, is_last=is_last) is rule
