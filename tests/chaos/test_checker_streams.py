"""The checker of streams: it must object to each kind of broken promise, and to nothing else."""

from __future__ import annotations

import pytest

from tests.chaos.history import Fault
from tests.chaos.stream_checker import violations
from tests.chaos.stream_history import Batch, Dropped, Probe, Record, Story


def record(number: int, *, key: str = "k", shard: str = "s") -> Record:
    return Record(f"r{number}", shard, number, key)


def a_batch(
    token: str, numbers: list[int], start: int, end: int | None, outcome: str | None = "ok", **more: str
) -> Batch:
    """Make a batch that ran in the environment whose number is its token's length."""
    records = tuple(record(number, **more) for number in numbers)
    return Batch(
        token=token, pid=len(token), home=0, records=records, start=start, end=end, outcome=outcome if end else None
    )


def a_story(*batches: Batch, put: int = 0) -> Story:
    """Tell of batches, of what they hold, and of the records up to `put`."""
    records = {record for batch in batches for record in batch.records} | {
        record(number) for number in range(1, put + 1)
    }
    return Story(batches=batches, put={each.id: each for each in records})


def check(story: Story, *, lanes: int = 1) -> list[str]:
    return violations(story, lanes=lanes, batch_size=3, finishing=5)


def test_a_clean_story_breaks_nothing() -> None:
    story = a_story(
        a_batch("a", [1, 2, 3], 10, 20, "error"),
        a_batch("b", [1, 2, 3], 30, 40),
        a_batch("c", [4], 40, 50),
        a_batch("d", [5], 60, 70, shard="other", key="o"),
    )
    story.probes += [Probe(5, "s", 1, 0), Probe(45, "s", 1, 3), Probe(55, "s", 2, 4)]

    assert check(story) == []


def test_a_record_that_was_put_and_never_processed_is_lost() -> None:
    story = a_story(a_batch("a", [1], 10, 20), put=2)

    assert check(story) == ["lost: r2"]

    story.dropped.append(Dropped("s", 2, 2, 1))
    assert check(story) == []


def test_a_record_that_nobody_put_is_a_ghost() -> None:
    story = a_story(a_batch("a", [1], 10, 20))
    told = story.put.pop("r1")

    assert check(story) == ["ghost: r1"]

    story.unknown.add("r1")
    assert check(story) == []
    story.put["r1"] = told._replace(sequence=9)
    assert any("came as" in text for text in check(story))


def test_an_on_failure_record_covers_what_it_counts_and_nothing_twice() -> None:
    story = a_story(put=4)
    story.dropped += [Dropped("s", 1, 2, 2), Dropped("s", 3, 4, 2), Dropped("s", 3, 4, 2)]

    assert check(story) == []

    story.dropped[:] = [Dropped("s", 1, 4, 5)]
    assert any("tells of 4" in text for text in check(story))
    story.dropped[:] = [Dropped("s", 1, 3, 3), Dropped("s", 3, 4, 2)]
    assert "r3 was given up twice" in check(story)


def test_what_another_lane_gave_up_excuses_nothing_in_between() -> None:
    batches = [a_batch("a", [1, 3], 10, 20, "error", key="x"), a_batch("b", [2], 10, 20, "error", key="y")]
    story = a_story(*batches)
    story.dropped.append(Dropped("s", 1, 3, 2))

    assert check(story, lanes=2) == ["lost: r2"]


def test_success_out_of_order_is_found() -> None:
    assert any("older than" in text for text in check(a_story(a_batch("a", [2], 10, 20), a_batch("b", [1], 30, 40))))
    assert any("not in order" in text for text in check(a_story(a_batch("a", [2, 1], 10, 20))))


def test_with_lanes_only_the_order_of_a_key_counts() -> None:
    batches = [a_batch("a", [2], 10, 20, key="x"), a_batch("b", [1], 15, 40, key="y")]

    assert check(a_story(*batches), lanes=2) == []

    assert check(a_story(*batches), lanes=1) != []
    moved = [a_batch("a", [2], 10, 20, shard="child"), a_batch("b", [1], 30, 40, shard="parent")]
    assert any("key k" in text for text in check(a_story(*moved), lanes=2))


def test_batches_of_a_lane_that_overlap_are_found_also_after_a_kill() -> None:
    story = a_story(a_batch("a", [1], 10, None), a_batch("bb", [1], 30, 40))
    story.faults.append(Fault("environment", 50, 50, frozenset({1})))

    assert any("began before a was over" in text for text in check(story))

    story.faults[:] = [Fault("environment", 15, 20, frozenset({1}))]
    assert check(story) == []


def test_more_batches_at_once_than_a_shard_has_lanes_are_found() -> None:
    batches = [a_batch(f"{number}", [number], 10, 20, key=f"k{number}") for number in (1, 2, 3)]

    assert check(a_story(*batches), lanes=3) == []
    assert any("3 batches at once" in text for text in check(a_story(*batches), lanes=2))


def test_a_record_that_overtakes_a_failed_one_is_found() -> None:
    batches = [a_batch("a", [1], 10, 20, "error"), a_batch("b", [2], 30, 40), a_batch("c", [1], 50, 60)]
    story = a_story(*batches)

    assert any("began at 2 before 1 was resolved" in text for text in check(story))

    story = a_story(*batches[:2])
    story.dropped.append(Dropped("s", 1, 1, 1))
    assert check(story) == []


def test_a_repeat_without_a_cause_is_found() -> None:
    story = a_story(a_batch("a", [1, 2], 10, 20), a_batch("bb", [1, 2], 30, 40))

    assert any("without a cause" in text for text in check(story))

    story.faults.append(Fault("node", 22, 25, frozenset({1})))
    assert check(story) == []


@pytest.mark.parametrize(
    "fault",
    [
        Fault("of another node", 15, 25, frozenset({99})),
        Fault("long after", 28, 29, frozenset({1})),
        Fault("later than the repeat", 35, 36, frozenset({1})),
        Fault("before", 5, 8, frozenset({1})),
    ],
    ids=lambda fault: fault.what,
)
def test_a_fault_elsewhere_or_at_another_time_is_no_cause(fault: Fault) -> None:
    story = a_story(a_batch("a", [1], 10, 20), a_batch("bb", [1], 30, 40))
    story.faults.append(fault)

    assert any("without a cause" in text for text in check(story))


def test_a_takeover_that_repeats_more_than_the_batch_in_flight_is_found() -> None:
    batches = [
        a_batch("a", [1], 10, 20),
        a_batch("b", [2], 20, None),
        a_batch("cc", [1], 30, 40),
        a_batch("cc", [2], 40, 50),
    ]
    story = a_story(*batches)
    story.faults.append(Fault("node", 21, 25, frozenset({1})))

    assert any("was not in flight" in text for text in check(story))


def test_a_batch_that_is_too_large_is_found() -> None:
    assert check(a_story(a_batch("a", [1, 2, 3, 4], 10, 20))) == ["a has 4 records"]


def test_checkpoints_that_go_back_or_too_far_are_found() -> None:
    story = a_story(a_batch("a", [1], 10, 20), a_batch("b", [2], 20, 30))

    story.probes[:] = [Probe(25, "s", 1, 1), Probe(35, "s", 2, 0)]
    assert any("went back" in text for text in check(story))
    story.probes[:] = [Probe(25, "s", 2, 1), Probe(35, "s", 1, 2)]
    assert any("went back" in text for text in check(story))
    story.probes[:] = [Probe(25, "s", 1, 2)]
    assert any("passed" in text for text in check(story))
