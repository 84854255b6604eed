"""The journal by itself: what it keeps, what it lets go of, and what is found by which id."""

from __future__ import annotations

import pytest

from eventrouter.clock import SystemClock
from eventrouter.journal import Journal, Span
from eventrouter.rules.explain import Rule, Step

pytestmark = pytest.mark.unit


class Ticking(SystemClock):
    """A clock that shows one millisecond more whenever it is looked at."""

    def __init__(self) -> None:
        self.at_ms = 0

    def now_ms(self) -> int:
        self.at_ms += 1
        return self.at_ms


def a_journal(limit: int | None = None) -> Journal:
    return Journal(Ticking(), limit=limit)


def steps(journal: Journal, *subjects: str) -> list[str]:
    return [decision.step for decision in journal.of(*subjects)]


def test_a_decision_tells_when_what_and_why() -> None:
    journal = a_journal()

    journal.note("e1", Rule.ASYNC_RETRY, {"due_at_ms": 60_001})

    [decision] = journal.of("e1")
    assert (decision.at_ms, decision.subject, decision.step) == (1, "e1", Step.SCHEDULED)
    assert decision.rule.startswith("Up to 2 retries after function errors, 1 and then 2 minutes later")
    assert decision.facts == {"due_at_ms": 60_001}


def test_decisions_are_found_by_subject_in_order() -> None:
    journal = a_journal()

    journal.note("e1", Rule.ACCEPTED)
    journal.note("e2", Rule.ACCEPTED)
    journal.note("e1", Rule.INVOKED)

    assert steps(journal, "e1") == ["accepted", "invoked"]
    assert steps(journal, "e1", "e2") == ["accepted", "accepted", "invoked"]
    assert steps(journal, "e3") == []


def test_a_message_leads_to_its_batch_and_that_to_its_invocation_but_not_to_its_neighbours() -> None:
    journal = a_journal()

    journal.note("mapping", Rule.BATCH_BY_SIZE, {}, ("run-1",), ("m1", "m2"))
    journal.note("run-1", Rule.INVOKED)
    journal.note("mapping", Rule.BATCH_BY_SIZE, {}, ("run-2",), ("m3",))
    journal.note("run-2", Rule.INVOKED)
    journal.note("mapping", Rule.DELETED, {}, (), ("m1",))
    journal.note("mapping", Rule.RETURNED, {}, (), ("m2",))

    assert steps(journal, "m1") == ["batch_formed", "invoked", "deleted"]
    assert steps(journal, "m2") == ["batch_formed", "invoked", "returned"]
    assert steps(journal, "run-2") == ["batch_formed", "invoked"]


@pytest.mark.parametrize(
    ("asked", "is_found"),
    [
        ("shard-0:9", False),
        ("shard-0:10", True),
        ("shard-0:99", True),
        ("shard-0:100", True),
        ("shard-0:101", False),
        ("shard-1:50", False),
        ("mapping/shard-0:50", True),
        ("other/shard-0:50", False),
    ],
)
def test_a_record_is_found_in_the_span_of_its_batch(asked: str, is_found: bool) -> None:
    journal = a_journal()

    journal.note("mapping/shard-0", Rule.BATCH_BY_SIZE, {}, ("run",), (), Span("shard-0", "10", "100"))

    assert bool(journal.of(asked)) is is_found


def test_a_record_that_is_named_one_by_one_is_found_with_and_without_its_mapping() -> None:
    journal = a_journal()

    journal.note("mapping/shard-0", Rule.FILTERED, {}, (), ("shard-0:10",))

    assert journal.of("shard-0:10") == journal.of("mapping/shard-0:10") != []
    assert journal.of("other/shard-0:10") == []


def test_the_newest_decisions_are_kept_within_the_limit_and_members_count() -> None:
    journal = a_journal(limit=10)

    for number in range(20):
        journal.note(f"e{number}", Rule.ACCEPTED)

    assert (journal.count, journal.first) == (20, 10)
    assert [decision.subject for decision in journal.since()] == [f"e{number}" for number in range(10, 20)]

    journal.note("mapping", Rule.DELETED, {}, (), [f"m{number}" for number in range(6)])

    assert [decision.subject for decision in journal.since()] == ["e17", "e18", "e19", "mapping"]


def test_a_batch_larger_than_the_limit_leaves_an_empty_journal() -> None:
    journal = a_journal(limit=3)

    journal.note("mapping", Rule.DELETED, {}, (), ("a", "b", "c"))
    journal.note("e1", Rule.ACCEPTED)

    assert [decision.subject for decision in journal.since()] == ["e1"]
    assert journal.first == 1


def test_a_journal_without_a_limit_keeps_everything() -> None:
    journal = a_journal(limit=None)

    for _ in range(70_000):
        journal.note("e1", Rule.ACCEPTED)

    assert len(journal.of("e1")) == 70_000


def test_a_journal_of_limit_0_keeps_nothing() -> None:
    journal = a_journal(limit=0)

    journal.note("e1", Rule.ACCEPTED)

    assert journal.since() == []
    assert journal.count == 1


def test_what_is_new_is_asked_for_by_number() -> None:
    journal = a_journal(limit=4)
    for number in range(6):
        journal.note(f"e{number}", Rule.ACCEPTED)

    def since(number: int, limit: int | None = None) -> list[str]:
        return [decision.subject for decision in journal.since(number, limit=limit)]

    assert since(0) == ["e2", "e3", "e4", "e5"]
    assert since(4) == ["e4", "e5"]
    assert since(3, limit=2) == ["e3", "e4"]
    assert since(6) == []
    assert [number for number, _ in journal.numbered("e3", "e5")] == [3, 5]
