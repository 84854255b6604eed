"""What is to come, computed from what is stored."""

from __future__ import annotations

import pytest

from eventrouter.rules.explain import Rule
from eventrouter.rules.mapping import FOREVER
from eventrouter.rules.outlook import (
    Ahead,
    BlockedBatch,
    PendingEvent,
    PendingMessage,
    batch_ahead,
    delivery_ahead,
    event_ahead,
    firing_ahead,
    held_ahead,
    message_ahead,
)
from eventrouter.rules.retry import EventPolicy

pytestmark = pytest.mark.unit

HOUR_MS = 3_600_000


def an_event(**changes: object) -> PendingEvent:
    facts = {"errors": 1, "accepted_at_ms": 0, "due_at_ms": 60_000, "held_until_ms": None, "is_running": False}
    return PendingEvent(**(facts | changes))  # type: ignore[arg-type]


def shown(ahead: list[Ahead]) -> list[tuple[int | None, str]]:
    return [(each.at_ms, each.text) for each in ahead]


def test_a_failed_event_has_its_next_attempt_the_one_after_and_its_age_before_it() -> None:
    assert shown(event_ahead(an_event(), EventPolicy(), on_failure=None, dead_letters=None)) == [
        (60_000, "attempt 2 of 3 is due"),
        (None, "if attempt 2 fails, attempt 3 of 3 follows 120 s later"),
        (6 * HOUR_MS, "given up, unless it has succeeded by then"),
        (None, "given up, it is counted in AsyncEventsDropped; nothing keeps it"),
    ]


def test_an_event_that_runs_is_not_due_and_tells_where_it_would_go() -> None:
    ahead = event_ahead(an_event(errors=2, is_running=True), EventPolicy(), on_failure="A", dead_letters="B")

    assert shown(ahead)[1:] == [(None, "given up, it goes to A"), (None, "given up, it goes to B")]
    assert [each.rule for each in ahead[1:]] == [Rule.DESTINATION_SENT.text, Rule.DEAD_LETTERED.text]


def test_an_event_of_a_function_that_is_held_back_waits_for_that() -> None:
    [first, *_] = event_ahead(an_event(held_until_ms=90_000), EventPolicy(), on_failure=None, dead_letters=None)

    assert (first.at_ms, first.rule) == (90_000, Rule.ASYNC_BACK_OFF.text)


def test_an_event_that_waits_longer_than_the_function_is_held_back_waits_for_itself() -> None:
    [first, *_] = event_ahead(an_event(held_until_ms=30_000), EventPolicy(), on_failure=None, dead_letters=None)

    assert (first.at_ms, first.rule) == (60_000, Rule.ASYNC_RETRY.text)


def test_the_policy_decides_how_many_attempts_there_are() -> None:
    policy = EventPolicy(maximum_retry_attempts=0, maximum_event_age_ms=60_000)

    assert shown(event_ahead(an_event(errors=0), policy, on_failure="A", dead_letters=None)) == [
        (60_000, "attempt 1 of 1 is due"),
        (60_000, "given up, unless it has succeeded by then"),
        (None, "given up, it goes to A"),
    ]


def test_a_hidden_message_comes_back_and_has_receives_left() -> None:
    message = PendingMessage(
        visible_at_ms=30_000, receives=1, most_receives=3, dead_letter_target="dead", expires_at_ms=9 * HOUR_MS
    )

    assert shown(message_ahead(message)) == [
        (30_000, "visible again, unless it is deleted or hidden anew before"),
        (None, "received 1 times, 2 more allowed; then it goes to dead"),
        (9 * HOUR_MS, "dropped: the queue's retention period ends"),
    ]


def test_a_delayed_message_of_a_queue_without_dead_letters_has_its_delay_and_its_retention_only() -> None:
    message = PendingMessage(
        visible_at_ms=30_000, receives=0, most_receives=None, dead_letter_target=None, expires_at_ms=9
    )

    assert shown(message_ahead(message))[0] == (30_000, "visible: its delay ends")
    assert len(message_ahead(message)) == 2


def test_a_visible_message_waits_for_nothing() -> None:
    message = PendingMessage(
        visible_at_ms=None, receives=0, most_receives=None, dead_letter_target=None, expires_at_ms=9
    )

    assert [each.at_ms for each in message_ahead(message)] == [9]


def test_a_blocked_batch_has_its_next_try_its_retries_its_age_and_its_destination_before_it() -> None:
    batch = BlockedBatch(next_try_ms=5, retries=2, most_retries=5, expires_at_ms=HOUR_MS, on_failure="failed")

    assert shown(batch_ahead(batch)) == [
        (5, "the batch that blocks the shard is tried again"),
        (None, "3 of 5 retries left, then its records are given up"),
        (HOUR_MS, "its first record is too old, and is given up"),
        (None, "what tells of given-up records goes to failed"),
    ]


def test_a_blocked_batch_without_limits_and_without_a_reader_has_no_times_at_all() -> None:
    batch = BlockedBatch(next_try_ms=None, retries=2, most_retries=FOREVER, expires_at_ms=None, on_failure=None)

    assert shown(batch_ahead(batch)) == [(None, "retries have no limit")]


def test_deliveries_schedules_and_functions_that_are_held_back_tell_when() -> None:
    assert (delivery_ahead(7, 2).at_ms, held_ahead(8).at_ms, firing_ahead(9, 1).at_ms) == (7, 8, 9)
    assert "after 2 tries" in delivery_ahead(7, 2).text
