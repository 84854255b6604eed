"""What is to come: when an event, a message or a shard's batch is tried again, how often, and where it ends.

Everything is computed from what is stored, so it holds after a restart and whichever node is asked. What depends on
how the next try goes is told without a time.
"""

from __future__ import annotations

import msgspec

from eventrouter.rules.explain import Rule
from eventrouter.rules.mapping import FOREVER
from eventrouter.rules.retry import EventPolicy


class Ahead(msgspec.Struct, frozen=True):
    """One thing to come: when (wall milliseconds; None: it depends), what, and the rule behind it."""

    at_ms: int | None
    text: str
    rule: str
    topic: str


class PendingEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An asynchronous event that is not over. Times are wall milliseconds; `held_until_ms` None: not held back."""

    errors: int
    accepted_at_ms: int
    due_at_ms: int
    held_until_ms: int | None
    is_running: bool


class PendingMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A message in its queue. `visible_at_ms` None: it is visible. `most_receives` None: there is no limit."""

    visible_at_ms: int | None
    receives: int
    most_receives: int | None
    dead_letter_target: str | None
    expires_at_ms: int


class BlockedBatch(msgspec.Struct, frozen=True, kw_only=True):
    """A shard's batch that failed. `next_try_ms` None: nobody reads the shard. `expires_at_ms` None: it never does."""

    next_try_ms: int | None
    retries: int
    most_retries: int
    expires_at_ms: int | None
    on_failure: str | None


def event_ahead(
    event: PendingEvent, policy: EventPolicy, *, on_failure: str | None, dead_letters: str | None
) -> list[Ahead]:
    """Say what an event has before it: its next attempt, how many may follow, its age limit, and where it then goes."""
    ahead: list[Ahead] = []
    attempt, most = event.errors + 1, policy.maximum_retry_attempts + 1
    if not event.is_running:
        if event.held_until_ms is not None and event.held_until_ms > event.due_at_ms:
            text = f"attempt {attempt} of {most} is due: the function is held back until then, or until a slot is freed"
            ahead.append(_ahead(event.held_until_ms, text, Rule.ASYNC_BACK_OFF))
        else:
            why = Rule.ASYNC_RETRY if event.errors else Rule.ACCEPTED
            ahead.append(_ahead(event.due_at_ms, f"attempt {attempt} of {most} is due", why))
    for failed in range(attempt, most):
        delay_s = policy.retry_base_ms * failed / 1_000
        text = f"if attempt {failed} fails, attempt {failed + 1} of {most} follows {delay_s:g} s later"
        ahead.append(_ahead(None, text, Rule.ASYNC_RETRY))
    ends_at_ms = event.accepted_at_ms + policy.maximum_event_age_ms
    ahead.append(_ahead(ends_at_ms, "given up, unless it has succeeded by then", Rule.EVENT_AGE_EXCEEDED))
    if on_failure is not None:
        ahead.append(_ahead(None, f"given up, it goes to {on_failure}", Rule.DESTINATION_SENT))
    if dead_letters is not None:
        ahead.append(_ahead(None, f"given up, it goes to {dead_letters}", Rule.DEAD_LETTERED))
    if on_failure is None and dead_letters is None:
        ahead.append(
            _ahead(None, "given up, it is counted in AsyncEventsDropped; nothing keeps it", Rule.EVENT_DISCARDED)
        )
    return ahead


def message_ahead(message: PendingMessage) -> list[Ahead]:
    """Say what a message has before it: when it comes back, how many receives it has left, and where it then goes."""
    ahead: list[Ahead] = []
    if message.visible_at_ms is not None:
        text = (
            "visible again, unless it is deleted or hidden anew before"
            if message.receives
            else "visible: its delay ends"
        )
        ahead.append(_ahead(message.visible_at_ms, text, Rule.RECEIVED))
    if message.most_receives is not None and message.dead_letter_target is not None:
        left = max(message.most_receives - message.receives, 0)
        text = f"received {message.receives} times, {left} more allowed; then it goes to {message.dead_letter_target}"
        ahead.append(_ahead(None, text, Rule.REDRIVEN))
    ahead.append(_ahead(message.expires_at_ms, "dropped: the queue's retention period ends", Rule.RETENTION))
    return ahead


def batch_ahead(batch: BlockedBatch) -> list[Ahead]:
    """Say what a blocked batch has before it: its next try, how many may follow, its age limit, where it then goes."""
    ahead: list[Ahead] = []
    if batch.next_try_ms is not None:
        ahead.append(_ahead(batch.next_try_ms, "the batch that blocks the shard is tried again", Rule.SHARD_RETRY))
    if batch.most_retries == FOREVER:
        ahead.append(_ahead(None, "retries have no limit", Rule.SHARD_RETRY))
    else:
        left = max(batch.most_retries - batch.retries, 0)
        text = f"{left} of {batch.most_retries} retries left, then its records are given up"
        ahead.append(_ahead(None, text, Rule.SHARD_RETRIES_EXHAUSTED))
    if batch.expires_at_ms is not None:
        ahead.append(
            _ahead(batch.expires_at_ms, "its first record is too old, and is given up", Rule.RECORD_AGE_EXCEEDED)
        )
    if batch.on_failure is not None:
        text = f"what tells of given-up records goes to {batch.on_failure}"
        ahead.append(_ahead(None, text, Rule.ON_FAILURE_SENT))
    return ahead


def delivery_ahead(due_at_ms: int, tries: int) -> Ahead:
    """Say when what tells of an event's end is delivered."""
    return _ahead(due_at_ms, f"delivered to its target, after {tries} tries so far", Rule.DELIVERY_RETRIED)


def held_ahead(until_ms: int) -> Ahead:
    """Say when a function that was throttled gets events again."""
    return _ahead(until_ms, "events are tried again, or as soon as a slot is freed", Rule.ASYNC_BACK_OFF)


def firing_ahead(due_at_ms: int, targets: int) -> Ahead:
    """Say when a schedule fires next."""
    return _ahead(due_at_ms, f"fires, for {targets} targets", Rule.FIRED)


def _ahead(at_ms: int | None, text: str, why: Rule) -> Ahead:
    return Ahead(at_ms=at_ms, text=text, rule=why.text, topic=why.topic)
