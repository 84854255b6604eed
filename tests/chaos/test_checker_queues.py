"""The checker of queues: it must object to each kind of broken promise, and to nothing else."""

from __future__ import annotations

import pytest

from tests.chaos.history import Fault
from tests.chaos.queue_checker import violations
from tests.chaos.queue_history import Batch, Dead, Delivery, Message, Story


def message(number: int, *, group: str = "g") -> Message:
    """Make a message; in no group it is one of a standard queue."""
    return Message(f"m{number}", f"id{number}", group, number if group else 0)


def a_batch(
    token: str,
    deliveries: list[tuple[int, int]],
    start: int,
    end: int | None,
    *,
    group: str = "g",
    failed: tuple[int, ...] = (),
    deleted: tuple[int, ...] = (),
) -> Batch:
    """Make a batch of (message, receive count) that ran in the environment whose number is its token's length."""
    return Batch(
        token=token,
        pid=len(token),
        home=0,
        deliveries=tuple(Delivery(message(number, group=group), count) for number, count in deliveries),
        start=start,
        end=end,
        failed=frozenset(f"m{number}" for number in failed),
        deleted=frozenset(f"m{number}" for number in deleted),
    )


def a_story(*batches: Batch, more: tuple[Message, ...] = ()) -> Story:
    """Tell of batches, of what they hold, and of more messages that were sent."""
    sent = {each.message for batch in batches for each in batch.deliveries} | set(more)
    return Story(batches=batches, sent={each.id: each for each in sent})


def check(story: Story, *, most: int | None = None) -> list[str]:
    return violations(story, batch_size=3, hidden=10, most=most, finishing=5)


def found(text: str, story: Story, *, most: int | None = None) -> bool:
    """Say whether this is the one thing that the checker objects to."""
    objections = check(story, most=most)
    return len(objections) == 1 and text in objections[0]


def test_a_clean_story_breaks_nothing() -> None:
    story = a_story(
        a_batch("a", [(1, 1), (2, 1)], 10, 15, failed=(2,)),
        a_batch("b", [(2, 2), (3, 1)], 30, 40, deleted=(2, 3)),
        a_batch("c", [(7, 1)], 12, 50, group=""),
        a_batch("d", [(8, 1)], 13, 20, group="other", failed=(8,)),
        a_batch("d", [(8, 2)], 33, 40, group="other", failed=(8,)),
    )
    story.dead.append(Dead("m8", "id8", "other"))

    assert check(story, most=2) == []


def test_a_node_that_leaves_gives_back_what_failed_and_excuses_nothing_else() -> None:
    story = a_story(a_batch("a", [(1, 1)], 10, 15, failed=(1,)), a_batch("bb", [(1, 2)], 17, 18))

    assert found("came back early", story)

    story.leaves.append(Fault("drain", 16, 17, frozenset({1})))
    assert check(story) == []

    story.batches = (a_batch("a", [(1, 1)], 10, 15), a_batch("bb", [(1, 2)], 17, 18))
    assert found("without a cause", story)


def test_what_is_done_comes_back_after_its_visibility_only_if_something_kept_it_from_being_deleted() -> None:
    late = a_story(a_batch("a", [(1, 1)], 10, 15), a_batch("bb", [(1, 2)], 31, 32))
    early = a_story(a_batch("a", [(1, 1)], 10, 15), a_batch("bb", [(1, 2)], 29, 30))
    for story in (late, early):
        assert found("without a cause", story)
        story.delays.append(Fault("server stop", 16, 28))

    assert check(late) == []
    assert found("without a cause", early)


def test_a_message_that_was_sent_and_never_processed_is_lost() -> None:
    story = a_story(a_batch("a", [(1, 1)], 10, 20), more=(message(2),))

    assert check(story) == ["lost: m2"]


def test_a_message_that_was_only_delivered_is_lost_too() -> None:
    assert check(a_story(a_batch("a", [(1, 1)], 10, 20, failed=(1,)))) == ["lost: m1"]


def test_a_message_that_nobody_sent_is_a_ghost() -> None:
    story = a_story(a_batch("a", [(1, 1)], 10, 20))
    story.sent.clear()

    assert check(story) == ["ghost: m1"]

    story.unknown.add("m1")
    assert check(story) == []


def test_what_is_sent_again_must_be_the_same_message() -> None:
    story = a_story(a_batch("a", [(1, 1)], 10, 20))
    story.repeats.append(message(1))

    assert check(story) == []

    story.repeats.append(message(1)._replace(message_id="another"))
    assert found("came as", story)


def test_a_batch_that_is_too_large_is_found() -> None:
    assert found("has 4 messages", a_story(a_batch("a", [(1, 1), (2, 1), (3, 1), (4, 1)], 10, 20)))


@pytest.mark.parametrize("group", ["", "g"])
def test_a_message_that_is_held_twice_at_once_is_found(group: str) -> None:
    story = a_story(
        a_batch("a", [(1, 1)], 10, 30, group=group, failed=(1,)), a_batch("b", [(1, 2)], 25, 40, group=group)
    )

    assert any("message m1: b began before a was over" in text for text in check(story))


def test_two_batches_of_one_group_at_once_are_found_also_after_a_kill() -> None:
    story = a_story(a_batch("a", [(1, 1)], 10, 20), a_batch("b", [(2, 1)], 15, 30))

    assert found("group g: b began before a was over", story)

    story = a_story(a_batch("a", [(1, 1)], 10, None), a_batch("bb", [(1, 2)], 30, 40))
    story.faults.append(Fault("environment", 15, 20, frozenset({1})))
    assert check(story) == []
    story.faults[:] = [Fault("environment", 35, 36, frozenset({1}))]
    assert any("group g: bb began before a was over" in text for text in check(story))


def test_other_groups_and_standard_messages_run_at_once() -> None:
    story = a_story(
        a_batch("a", [(1, 1)], 10, 20),
        a_batch("b", [(2, 1)], 10, 20, group="other"),
        a_batch("c", [(4, 1)], 10, 20, group=""),
        a_batch("d", [(3, 1)], 10, 20, group=""),
    )

    assert check(story) == []


def test_a_message_that_overtakes_another_of_its_group_is_found() -> None:
    assert found("has what a overtook", a_story(a_batch("a", [(2, 1)], 10, 20), a_batch("b", [(1, 1)], 30, 40)))
    assert found("is not in order", a_story(a_batch("a", [(2, 1), (1, 1)], 10, 20)))


def test_a_message_that_overtakes_a_failed_one_is_found() -> None:
    story = a_story(
        a_batch("a", [(1, 1)], 10, 12, failed=(1,)), a_batch("b", [(2, 1)], 15, 20), a_batch("c", [(1, 2)], 30, 40)
    )

    assert found("c has what b overtook", story)


def test_a_receive_count_that_does_not_grow_is_found() -> None:
    story = a_story(a_batch("a", [(1, 1)], 10, 20, failed=(1,)), a_batch("b", [(1, 1)], 30, 40))

    assert found("m1: receive 1 in b comes after receive 1", story)


def test_a_receive_that_led_to_no_batch_needs_a_cause() -> None:
    story = a_story(a_batch("a", [(1, 1)], 10, 20, failed=(1,)), a_batch("b", [(1, 3)], 30, 40))

    assert found("m1: receive 3 in b comes right after receive 1", story)

    story.faults.append(Fault("valkey", 22, 23))
    assert check(story) == []
    assert found("comes right after receive 0", a_story(a_batch("a", [(1, 2)], 10, 20)))


def test_what_stood_behind_a_failed_message_of_its_group_may_have_been_received_for_nothing() -> None:
    batches = [a_batch("a", [(1, 1)], 10, 20, failed=(1,)), a_batch("b", [(1, 2), (2, 2)], 30, 40)]

    assert check(a_story(*batches)) == []

    batches[1] = a_batch("b", [(2, 2)], 30, 40, group="other")
    assert any("m2: receive 2 in b comes right after receive 0" in text for text in check(a_story(*batches)))


def test_what_was_deleted_must_stay_away_whatever_happens() -> None:
    story = a_story(a_batch("a", [(1, 1)], 10, 20, deleted=(1,)), a_batch("b", [(1, 2)], 30, 40))
    story.faults.append(Fault("valkey", 19, 23))

    assert found("m1 was deleted by a and came back in b", story)


def test_what_succeeded_comes_back_only_after_a_fault() -> None:
    story = a_story(a_batch("a", [(1, 1)], 10, 20), a_batch("bb", [(1, 2)], 30, 40))

    assert found("without a cause", story)

    story.faults.append(Fault("node", 22, 25, frozenset({1})))
    assert check(story) == []


@pytest.mark.parametrize(
    "fault",
    [
        Fault("of another node", 15, 25, frozenset({99})),
        Fault("long after", 28, 29, frozenset({1})),
        Fault("later than the return", 35, 36, frozenset({1})),
        Fault("before", 5, 8, frozenset({1})),
    ],
    ids=lambda fault: fault.what,
)
def test_a_fault_elsewhere_or_at_another_time_is_no_cause(fault: Fault) -> None:
    story = a_story(a_batch("a", [(1, 1)], 10, 20), a_batch("bb", [(1, 2)], 30, 40))
    story.faults.append(fault)

    assert found("without a cause", story)


def test_what_comes_back_before_its_visibility_ends_is_found_unless_its_node_died() -> None:
    story = a_story(a_batch("a", [(1, 1)], 10, None), a_batch("bb", [(1, 2)], 19, 40))

    story.faults[:] = [Fault("environment", 12, 13, frozenset({1}))]
    assert found("m1 came back early: bb after a", story)
    story.faults[:] = [Fault("node", 12, 13, frozenset({1}))]
    assert check(story) == []


def dead_story(*counts: int) -> Story:
    """Tell of a message that failed at these receives and was given up."""
    batches = [a_batch(f"{at}", [(1, count)], 20 * at, 20 * at + 5, failed=(1,)) for at, count in enumerate(counts)]
    story = a_story(*batches, more=(message(1),))
    story.dead.append(Dead("m1", "id1", "g"))
    return story


def test_a_message_is_given_up_after_so_many_receives_and_no_sooner_or_later() -> None:
    assert check(dead_story(1, 2), most=2) == []

    assert found("given up after 1 receives", dead_story(1), most=2)
    assert found("given up after 0 receives", dead_story(), most=2)
    assert found("receive 3 in 2 is one too many", dead_story(1, 2, 3), most=2)
    assert found("given up after 2 receives", dead_story(1, 2))


def test_a_message_whose_last_receives_a_fault_swallowed_may_be_given_up() -> None:
    story = dead_story(1)
    story.faults.append(Fault("valkey", 10, 11))

    assert check(story, most=2) == []


def test_a_dead_letter_that_comes_twice_or_as_another_message_is_found() -> None:
    story = dead_story(1, 2)
    story.dead.append(story.dead[0])

    assert found("m1 is a dead letter twice", story, most=2)

    story.dead[:] = [Dead("m1", "another", "g")]
    assert found("became", story, most=2)
    story.dead[:] = [Dead("m1", "id1", "other")]
    assert found("became", story, most=2)
    story.dead.append(Dead("m9", "id9"))
    assert any("ghost among the dead letters: m9" in text for text in check(story, most=2))


def test_what_succeeded_or_was_deleted_is_no_dead_letter() -> None:
    story = a_story(a_batch("a", [(1, 1)], 10, 20))
    story.dead.append(Dead("m1", "id1", "g"))

    assert found("m1 was done and given up", story, most=1)

    story.faults.append(Fault("node", 22, 23, frozenset({1})))
    assert check(story, most=1) == []
    story = a_story(a_batch("a", [(1, 1)], 10, 20, deleted=(1,)))
    story.dead.append(Dead("m1", "id1", "g"))
    assert found("m1 was deleted and given up", story, most=1)
