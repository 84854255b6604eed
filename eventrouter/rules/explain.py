"""Why things happen: the steps of an invocation's life, and the one sentence that is the rule behind each.

Whoever decides notes a rule, not a text: the sentence stands here once, and every history, timeline and explanation
shows it. `topic` names the part of AWS's public behaviour that the rule follows; "eventrouter" marks what is our own.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping

from eventrouter.rules.retry import Condition
from eventrouter.rules.shard import DropCondition


class Step(enum.StrEnum):
    """What was decided, in one word. One step may have several rules."""

    ACCEPTED = "accepted"
    INVOKED = "invoked"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    THROTTLED = "throttled"
    FAULTED = "faulted"
    SCHEDULED = "scheduled"
    GAVE_UP = "gave_up"
    DISCARDED = "discarded"
    DESTINATION_SENT = "destination_sent"
    DEAD_LETTERED = "dead_lettered"
    DELIVERY_FAILED = "delivery_failed"
    BATCH_FORMED = "batch_formed"
    BATCH_RETRIED = "batch_retried"
    BISECTED = "bisected"
    CHECKPOINTED = "checkpointed"
    EXPIRED = "expired"
    SKIPPED = "skipped"
    FILTERED = "filtered"
    ON_FAILURE_SENT = "on_failure_sent"
    WINDOW_CLOSED = "window_closed"
    RECEIVED = "received"
    DELETED = "deleted"
    RETURNED = "returned"
    REDRIVEN = "redriven"
    FIRED = "fired"
    MISSED = "missed"


_ASYNC = "Lambda: asynchronous invocation"
_ERRORS = "Lambda: error handling of asynchronous invocation"
_SCALING = "Lambda: concurrency and throttling"
_SYNC = "Lambda: synchronous invocation"
_BATCHING = "Lambda: event source mappings, batching"
_STREAMS = "Lambda: Kinesis and DynamoDB streams, error handling"
_WINDOWS = "Lambda: tumbling windows"
_FILTERS = "Lambda: event filtering"
_QUEUES = "Lambda: Amazon SQS event source"
_SQS = "Amazon SQS: visibility timeout and dead-letter queues"
_SCHEDULES = "EventBridge: scheduled rules"
_OURS = "eventrouter"


class Rule(enum.Enum):
    """One rule: its step, its sentence, and the topic of AWS's behaviour that it follows."""

    ACCEPTED = (
        Step.ACCEPTED,
        "The event was stored before the caller got its 202; it runs as soon as there is concurrency.",
        _ASYNC,
    )
    INVOKED = (
        Step.INVOKED,
        "An invocation gets one concurrency slot and an environment to itself until it has ended.",
        _SCALING,
    )
    SUCCEEDED = (Step.SUCCEEDED, "The handler returned; a synchronous caller gets what it returned.", _SYNC)
    FAILED = (
        Step.FAILED,
        "The handler raised, or its process ended: a function error, which is what retries are counted by.",
        _ERRORS,
    )
    TIMED_OUT = (Step.TIMED_OUT, "The run was cut off at the function's timeout, which is a function error.", _ERRORS)
    THROTTLED = (
        Step.THROTTLED,
        "No concurrency slot was free: the function did not run, and no retry was used up.",
        _SCALING,
    )
    FAULTED = (
        Step.FAULTED,
        "The function could not be run, through no doing of its own: no retry was used up.",
        _ERRORS,
    )
    HOST_DEATHS = (
        Step.FAILED,
        "An event whose runs took three nodes down counts as failed each time it is due, without running.",
        _OURS,
    )
    ASYNC_RETRY = (
        Step.SCHEDULED,
        "Up to 2 retries after function errors, 1 and then 2 minutes later, unless MaximumRetryAttempts says less.",
        _ERRORS,
    )
    ASYNC_BACK_OFF = (
        Step.SCHEDULED,
        "Throttles and system errors are tried again after 1 second, doubling to 5 minutes, and use up no retry.",
        _ERRORS,
    )
    RETRIES_EXHAUSTED = (
        Step.GAVE_UP,
        "The last retry that MaximumRetryAttempts allows has failed: the event ends without success.",
        _ERRORS,
    )
    EVENT_AGE_EXCEEDED = (
        Step.GAVE_UP,
        "The event would be older than MaximumEventAgeInSeconds (6 hours by default) before it ran again.",
        _ERRORS,
    )
    ZERO_RESERVED_CONCURRENCY = (
        Step.GAVE_UP,
        "A function with a reserved concurrency of 0 runs nothing: its events end at once.",
        _SCALING,
    )
    EVENT_DISCARDED = (
        Step.DISCARDED,
        "Nobody can be told of the event's end: it is counted and logged.",
        _ASYNC,
    )
    HANDED_BACK = (
        Step.RETURNED,
        "The event was claimed and not started, because the node drains or lost its lanes: it is due again at once.",
        _OURS,
    )
    DESTINATION_SENT = (
        Step.DESTINATION_SENT,
        "The invocation record was delivered to the destination that the function's configuration names.",
        _ASYNC,
    )
    DEAD_LETTERED = (
        Step.DEAD_LETTERED,
        "The event was delivered to the function's dead-letter queue, with the error in its attributes.",
        _ASYNC,
    )
    DELIVERY_RETRIED = (
        Step.DELIVERY_FAILED,
        "A delivery that fails is tried again after 1 second, doubling to 5 minutes.",
        _OURS,
    )
    DELIVERY_GIVEN_UP = (
        Step.DISCARDED,
        "A delivery is given up when it is as old as an event may become: 6 hours.",
        _OURS,
    )
    BATCH_BY_SIZE = (Step.BATCH_FORMED, "A batch is sent when it holds BatchSize records.", _BATCHING)
    BATCH_BY_WINDOW = (
        Step.BATCH_FORMED,
        "A batch is sent when MaximumBatchingWindowInSeconds has passed since its first record; at once without one.",
        _BATCHING,
    )
    BATCH_BY_BYTES = (Step.BATCH_FORMED, "A batch is sent before its event would exceed 6 MB.", _BATCHING)
    BATCH_BY_END = (
        Step.BATCH_FORMED,
        "A batch is sent when nothing can join it: its shard has ended, or its tumbling window has.",
        _BATCHING,
    )
    BATCH_AGAIN = (
        Step.BATCH_RETRIED,
        "The same records are sent again, from the first unresolved one.",
        _STREAMS,
    )
    SHARD_RETRY = (
        Step.SCHEDULED,
        "A failed batch blocks its lane and is tried again after a growing pause, as long as retries and age allow.",
        _STREAMS,
    )
    SHARD_BACK_OFF = (
        Step.SCHEDULED,
        "A batch that found no place to run is tried again after a growing pause, which costs no attempt.",
        _STREAMS,
    )
    BISECTED = (
        Step.BISECTED,
        "BisectBatchOnFunctionError splits a failed batch in two, sent one after the other; that uses no retry.",
        _STREAMS,
    )
    CHECKPOINTED = (
        Step.CHECKPOINTED,
        "Every record up to the checkpoint is resolved; none of them is sent again.",
        _STREAMS,
    )
    REPORTED_FROM = (
        Step.CHECKPOINTED,
        "With ReportBatchItemFailures the records before the lowest failure are done, and the rest is sent again.",
        _STREAMS,
    )
    SHARD_RETRIES_EXHAUSTED = (
        Step.GAVE_UP,
        "The last retry that MaximumRetryAttempts allows has failed: the records are given up, and the lane goes on.",
        _STREAMS,
    )
    RECORD_AGE_EXCEEDED = (
        Step.EXPIRED,
        "Records older than MaximumRecordAgeInSeconds are given up before a try.",
        _STREAMS,
    )
    RECORD_TOO_LARGE = (Step.SKIPPED, "A record that no event of 6 MB can carry is given up.", _STREAMS)
    RECORDS_GONE = (
        Step.EXPIRED,
        "The records had passed the stream's retention before they were processed.",
        _STREAMS,
    )
    SKIPPED = (Step.SKIPPED, "An operator had what blocked the lane given up.", _OURS)
    FILTERED = (Step.FILTERED, "What no filter pattern matches is dropped and never reaches the function.", _FILTERS)
    ON_FAILURE_SENT = (
        Step.ON_FAILURE_SENT,
        "What tells of given-up records, without their data, was delivered to the on-failure destination.",
        _STREAMS,
    )
    WINDOW_CLOSED = (
        Step.WINDOW_CLOSED,
        "A tumbling window ends with one invocation without records, which sees the window's last state.",
        _WINDOWS,
    )
    RECEIVED = (
        Step.RECEIVED,
        "A received message is hidden for its visibility timeout, and comes back unless it is deleted by then.",
        _QUEUES,
    )
    DELETED = (Step.DELETED, "Messages of a batch that succeeded are deleted from their queue.", _QUEUES)
    RETURNED = (
        Step.RETURNED,
        "A failed message is not put back: it comes back when its visibility timeout ends.",
        _QUEUES,
    )
    GIVEN_BACK = (
        Step.RETURNED,
        "A batch that could not be sent is made visible again at once; the receive is counted.",
        _QUEUES,
    )
    MESSAGE_BACK_OFF = (
        Step.SCHEDULED,
        "A batch that found no place to run is tried again while its messages are hidden.",
        _QUEUES,
    )
    RETENTION = (Step.EXPIRED, "A message that nobody deletes is dropped when its queue's retention period ends.", _SQS)
    REDRIVEN = (
        Step.REDRIVEN,
        "What was received maxReceiveCount times moves to the dead-letter queue; a move task brings it back.",
        _SQS,
    )
    FIRED = (
        Step.FIRED,
        "A rule's schedule fires once for each due time, whichever nodes run; each target gets one event.",
        _SCHEDULES,
    )
    MISSED = (
        Step.MISSED,
        "Due times that passed while no node ran are not made up for: the next one fires.",
        _SCHEDULES,
    )

    def __init__(self, step: Step, text: str, topic: str) -> None:
        self.step = step
        self.text = text
        self.topic = topic


GIVEN_UP: Mapping[Condition, Rule] = {
    Condition.RETRIES_EXHAUSTED: Rule.RETRIES_EXHAUSTED,
    Condition.EVENT_AGE_EXCEEDED: Rule.EVENT_AGE_EXCEEDED,
    Condition.ZERO_RESERVED_CONCURRENCY: Rule.ZERO_RESERVED_CONCURRENCY,
}
"""Why an event ended without success, as a rule."""

DROPPED: Mapping[DropCondition, Rule] = {
    DropCondition.RETRY_ATTEMPTS_EXHAUSTED: Rule.SHARD_RETRIES_EXHAUSTED,
    DropCondition.RECORD_AGE_EXCEEDED: Rule.RECORD_AGE_EXCEEDED,
    DropCondition.MAXIMUM_PAYLOAD_SIZE_EXCEEDED: Rule.RECORD_TOO_LARGE,
}
"""Why records of a shard were given up, as a rule."""


def rule_of_batch(count: int, limit: int, *, is_full: bool, is_last: bool) -> Rule:
    """Say why a batch of `count` is sent now. `is_last`: what follows, if anything, can not join it."""
    if count >= limit:
        return Rule.BATCH_BY_SIZE
    if is_full:
        return Rule.BATCH_BY_BYTES
    return Rule.BATCH_BY_END if is_last else Rule.BATCH_BY_WINDOW
