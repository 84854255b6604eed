"""Read the story of a queue and say which promises it breaks. Knows the promises only."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from tests.chaos.history import Fault
from tests.chaos.queue_history import Batch, Delivery, Message, Story
from tests.chaos.stream_checker import FINISHING_NS, ended_at, explained

NODE = "node"
"""The fault that releases messages before their visibility ends."""


def violations(
    story: Story, *, batch_size: int, hidden: int, most: int | None = None, finishing: int = FINISHING_NS
) -> list[str]:
    """Return every promise broken at quiescence, in words; an empty list when all hold.

    `hidden` is the shortest time, in ns, between the start of a batch and the next delivery of what it failed with:
    half of the visibility timeout, as that counts from the receive;
    `most` the receives after which the queue gives a message up, None if it never does.
    """
    found = [f"lost: {identity}" for identity in sorted(story.unresolved())]
    found += _strangers(story)
    found += [
        f"{batch.token} has {len(batch.deliveries)} messages"
        for batch in story.batches
        if len(batch.deliveries) > batch_size
    ]
    troubles = _troubles(story)
    for message, receives in _receives(story).items():
        found += _overlaps(f"message {message.id}", [receive.batch for receive in receives], story.faults)
        found += _counts(message, receives, story.faults, troubles)
        found += _returns(message, receives, story, hidden, finishing)
    for group, parts in _groups(story):
        found += _overlaps(f"group {group}", [part.batch for part in parts], story.faults)
        found += _order(group, parts)
    return found + _dead_letters(story, most, finishing, troubles)


class _Receive(NamedTuple):
    """A batch, and the one of its deliveries that is looked at."""

    batch: Batch
    nth: int


class _Part(NamedTuple):
    """A batch, and those of its messages that belong to one group."""

    batch: Batch
    sequences: tuple[int, ...]


def _receives(story: Story) -> dict[Message, list[_Receive]]:
    found: dict[Message, list[_Receive]] = defaultdict(list)
    for batch in story.batches:
        for delivery in batch.deliveries:
            found[delivery.message].append(_Receive(batch, delivery.nth))
    return found


def _groups(story: Story) -> Iterator[tuple[str, list[_Part]]]:
    found: dict[str, list[_Part]] = defaultdict(list)
    for batch in story.batches:
        mine: dict[str, list[int]] = defaultdict(list)
        for message, _ in batch.deliveries:
            if message.sequence:
                mine[message.group].append(message.sequence)
        for group, sequences in mine.items():
            found[group].append(_Part(batch, tuple(sequences)))
    yield from found.items()


def _troubles(story: Story) -> dict[str, list[tuple[int, int]]]:
    """Return when each FIFO group had a message fail: what was received behind it returns without having run."""
    found: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for batch in story.batches:
        end = ended_at(batch, story.faults)
        done = batch.done()
        for message, _ in batch.deliveries:
            if message.sequence and message.id not in done:
                found[message.group].append((message.sequence, batch.start if end is None else end))
    return found


def _strangers(story: Story) -> list[str]:
    """Nothing is delivered that nobody sent, nor as another message; and a message sent again is the same one (Q5)."""
    found = []
    seen: dict[str, Message] = dict(story.sent)
    for message in {each.message for batch in story.batches for each in batch.deliveries} | set(story.repeats):
        if message.id not in story.sent and message.id not in story.unknown:
            found.append(f"ghost: {message.id}")
        elif seen.setdefault(message.id, message) != message:
            found.append(f"{message.id} was sent as {seen[message.id]} and came as {message}")
    return found


def _overlaps(what: str, batches: Sequence[Batch], faults: Sequence[Fault]) -> list[str]:
    """Q2 and Q4: neither a message nor a group is held twice at once."""
    found = []
    for earlier, later in pairwise(batches):
        end = ended_at(earlier, faults)
        if end is None or end > later.start:
            found.append(f"{what}: {later.token} began before {earlier.token} was over")
    return found


def _counts(
    message: Message,
    receives: Sequence[_Receive],
    faults: Sequence[Fault],
    troubles: dict[str, list[tuple[int, int]]],
) -> list[str]:
    """Q3: every receive counts one. One that led to no batch has a cause."""
    found = []
    before, since = 0, 0
    for batch, nth in receives:
        if nth <= before:
            found.append(f"{message.id}: receive {nth} in {batch.token} comes after receive {before}")
        elif nth > before + 1 and not _may_have_missed(message, since, batch.start, faults, troubles):
            found.append(f"{message.id}: receive {nth} in {batch.token} comes right after receive {before}")
        before, since = nth, batch.start
    return found


def _may_have_missed(
    message: Message,
    since: int,
    until: int | None,
    faults: Sequence[Fault],
    troubles: dict[str, list[tuple[int, int]]],
) -> bool:
    """Say whether a receive in that time may have led to no batch: a fault, or trouble before it in its group."""

    def is_between(t: int) -> bool:
        return t >= since and (until is None or t <= until)

    if any(fault.until >= since and (until is None or fault.t <= until) for fault in faults):
        return True
    return any(sequence < message.sequence and is_between(t) for sequence, t in troubles.get(message.group, ()))


def _returns(message: Message, receives: Sequence[_Receive], story: Story, hidden: int, finishing: int) -> list[str]:
    """Q1 and Q2: what is deleted stays away, what succeeded too unless a fault kept that from being stored, and
    nothing comes back early."""
    found = []
    for (earlier, _), (later, _) in pairwise(receives):
        if message.id in earlier.deleted:
            found.append(f"{message.id} was deleted by {earlier.token} and came back in {later.token}")
        elif message.id in earlier.done() and not (
            explained(earlier, later, story.faults, finishing)
            or (later.start - earlier.start >= 2 * hidden and explained(earlier, later, story.delays, finishing))
        ):
            found.append(f"{message.id} was done by {earlier.token} and came back in {later.token} without a cause")
        releases = [fault for fault in story.faults if fault.what == NODE and fault.hits(earlier)]
        releases += [leave for leave in story.leaves if leave.hits(earlier)]
        if later.start - earlier.start < hidden and not any(fault.t <= later.start for fault in releases):
            found.append(f"{message.id} came back early: {later.token} after {earlier.token}")
    return found


def _order(group: str, parts: Sequence[_Part]) -> list[str]:
    """Q4: a group is received in the order in which it was sent; only what was received together comes back."""
    found = []
    for part in parts:
        if any(one >= other for one, other in pairwise(part.sequences)):
            found.append(f"group {group}: {part.batch.token} is not in order")
    for at, earlier in enumerate(parts):
        for later in parts[at + 1 :]:
            behind = [each for each in later.sequences if each < max(earlier.sequences)]
            if not set(behind) <= set(earlier.sequences):
                found.append(f"group {group}: {later.batch.token} has what {earlier.batch.token} overtook")
    return found


def _dead_letters(
    story: Story, most: int | None, finishing: int, troubles: dict[str, list[tuple[int, int]]]
) -> list[str]:
    """Q3: a message is given up exactly once, exactly when it was received too often, and as what it was."""
    found = [f"{identity} is a dead letter twice" for identity, n in Counter(d.id for d in story.dead).items() if n > 1]
    receives = {message.id: (message, of_it) for message, of_it in _receives(story).items()}
    for batch in story.batches:
        found += [_too_often(batch, each) for each in batch.deliveries if most is not None and each.nth > most]
    for dead in set(story.dead):
        message, of_it = receives.get(dead.id, (story.sent.get(dead.id), []))
        if message is None:
            if dead.id not in story.unknown:
                found.append(f"ghost among the dead letters: {dead.id}")
            continue
        if (dead.message_id, dead.group) != (message.message_id, message.group):
            found.append(f"{message} became {dead}")
        last, since = (of_it[-1].nth, of_it[-1].batch.start) if of_it else (0, 0)
        if most is None or (last < most and not _may_have_missed(message, since, None, story.faults, troubles)):
            found.append(f"{dead.id} was given up after {last} receives")
        if of_it and dead.id in of_it[-1].batch.deleted:
            found.append(f"{dead.id} was deleted and given up")
        elif of_it and dead.id in of_it[-1].batch.done() and not _unstored(of_it[-1].batch, story.faults, finishing):
            found.append(f"{dead.id} was done and given up")
    return found


def _too_often(batch: Batch, delivery: Delivery) -> str:
    return f"{delivery.message.id}: receive {delivery.nth} in {batch.token} is one too many"


def _unstored(batch: Batch, faults: Sequence[Fault], finishing: int) -> bool:
    """Say whether a fault may have kept a batch's success from being stored."""
    return any(fault.hits(batch) and (batch.end is None or batch.end >= fault.t - finishing) for fault in faults)
