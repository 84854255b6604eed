"""Queue attributes: AWS's names and units on the outside, `QueueSettings` within.

Source: lambda-semantics §8.2. Attributes that would change what a queue does and are not built (FIFO, redrive,
policies, KMS) are refused by name rather than kept and ignored.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from eventrouter.store.queues import Queue, QueueSettings
from eventrouter_adapters.sqs import errors

ALL = "All"
MANAGED_ENCRYPTION = "SqsManagedSseEnabled"

_RANGES = {  # AWS's name: (our field, lowest, highest, our units in one of AWS's)
    "DelaySeconds": ("delay_ms", 0, 900, 1_000),
    "MaximumMessageSize": ("max_bytes", 1_024, 1_048_576, 1),
    "MessageRetentionPeriod": ("retention_ms", 60, 1_209_600, 1_000),
    "ReceiveMessageWaitTimeSeconds": ("wait_ms", 0, 20, 1_000),
    "VisibilityTimeout": ("visibility_ms", 0, 43_200, 1_000),
}
_FIFO_ONLY = frozenset({"ContentBasedDeduplication", "DeduplicationScope", "FifoThroughputLimit"})
_REFUSED = frozenset(
    {"Policy", "RedrivePolicy", "RedriveAllowPolicy", "KmsMasterKeyId", "KmsDataKeyReusePeriodSeconds"}
)
_NEEDS_FIFO = frozenset({"DeduplicationScope", "FifoThroughputLimit"})
_KNOWN_UNSET = _FIFO_ONLY | _REFUSED | {"FifoQueue"}


def parse_settings(given: Mapping[str, str]) -> QueueSettings:
    """Read the attributes of a new queue, defaults for those not given. Raises RequestError."""
    changes: dict[str, int] = {}
    for name, text in given.items():
        _refuse_unserved(name, text)
        if name == MANAGED_ENCRYPTION:
            if text not in ("true", "false"):
                raise errors.invalid_attribute_value(name)
            changes["managed_encryption"] = int(text == "true")
            continue
        if name not in _RANGES:
            raise errors.unknown_attribute(name)
        field, lowest, highest, unit = _RANGES[name]
        if not text.isascii() or not text.isdigit() or not lowest <= int(text) <= highest:
            raise errors.invalid_attribute_value(name)
        changes[field] = int(text) * unit
    return replace(QueueSettings(), **changes)


def first_difference(given: Mapping[str, str], queue: Queue) -> str | None:
    """Return the name of a given attribute whose value `queue` does not have; None if it has them all."""
    current = shown(queue)
    return next((name for name, text in given.items() if _normal(text) != current[name]), None)


def shown(queue: Queue) -> dict[str, str]:
    """Return every attribute of a standard queue, as `All` shows them."""
    settings = queue.settings
    created_s = str(queue.created_at_ms // 1_000)
    return {
        "ApproximateNumberOfMessages": str(queue.visible),
        "ApproximateNumberOfMessagesDelayed": str(queue.delayed),
        "ApproximateNumberOfMessagesNotVisible": str(queue.in_flight),
        "CreatedTimestamp": created_s,
        "LastModifiedTimestamp": created_s,
        "QueueArn": queue.name.arn,
        **{name: str(getattr(settings, field) // unit) for name, (field, _, _, unit) in _RANGES.items()},
        MANAGED_ENCRYPTION: "true" if settings.managed_encryption else "false",
    }


def selected(queue: Queue, names: Collection[str]) -> dict[str, str]:
    """Return the attributes that `names` asks for. Raises RequestError for a name that is none."""
    everything = shown(queue)
    for name in names:
        if name != ALL and name not in everything and name not in _KNOWN_UNSET:
            raise errors.unknown_attribute(name)
    return {name: value for name, value in everything.items() if ALL in names or name in names}


def _refuse_unserved(name: str, text: str) -> None:
    """Raise what AWS answers for a standard queue where it refuses too; else say what is not served here."""
    if name == "FifoQueue":
        if text == "true":
            raise errors.unsupported("FifoQueue: FIFO queues are not supported.")
        raise errors.unknown_attribute(name)
    if name in _NEEDS_FIFO:
        raise errors.sqs_error(
            "InvalidAttributeName", f"You can specify the {name} only when FifoQueue is set to true."
        )
    if name in _FIFO_ONLY:
        raise errors.unknown_attribute(name)
    if name in _REFUSED:
        raise errors.unsupported(f"The queue attribute {name} is not supported.")


def _normal(text: str) -> str:
    return str(int(text)) if text.isdigit() else text
