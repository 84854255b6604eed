"""Queue attributes: AWS's names and units on the outside, `QueueSettings` within.

Source: lambda-semantics §8.2. Policies and keys of KMS are kept and answered; they keep nobody out here and encrypt
nothing. Nor is the throughput of FIFO queues limited (see NOT_APPLIED).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Any

import msgspec

from eventrouter.store.queues import Queue, QueueSettings
from eventrouter_adapters.sqs import errors
from eventrouter_adapters.sqs.redrive import RedrivePolicy, check_allow_policy, parse_redrive_policy

ALL = "All"
MANAGED_ENCRYPTION = "SqsManagedSseEnabled"
KMS_KEY = "KmsMasterKeyId"
KMS_REUSE = "KmsDataKeyReusePeriodSeconds"
REDRIVE = "RedrivePolicy"

NOT_APPLIED = {
    "Policy": "there is no identity and access management here: nobody is kept out",
    KMS_KEY: "messages are stored as they are: no key service encrypts them",
    "FifoThroughputLimit": "no calls are throttled, whatever their rate",
}
"""Attributes that are kept, answered and without effect, and why."""

_RANGES = {  # AWS's name: (our field, lowest, highest, our units in one of AWS's)
    "DelaySeconds": ("delay_ms", 0, 900, 1_000),
    "MaximumMessageSize": ("max_bytes", 1_024, 1_048_576, 1),
    "MessageRetentionPeriod": ("retention_ms", 60, 1_209_600, 1_000),
    "ReceiveMessageWaitTimeSeconds": ("wait_ms", 0, 20, 1_000),
    "VisibilityTimeout": ("visibility_ms", 0, 43_200, 1_000),
}
_LONGEST = 8_192
"""AWS's limit for a policy, which is the longest of all values."""
_ONLY_FIFO = ("DeduplicationScope", "FifoThroughputLimit")
_UNSET = frozenset(
    {"Policy", REDRIVE, "RedriveAllowPolicy", KMS_KEY, KMS_REUSE, "FifoQueue", "ContentBasedDeduplication", *_ONLY_FIFO}
)
"""Names that may be asked for, and are answered only where there is something to answer."""

Changes = dict[str, Any]
"""Fields of QueueSettings to their new values."""


def parse_new(given: Mapping[str, str]) -> QueueSettings:
    """Read the attributes of a new queue, defaults for those not given. Raises RequestError."""
    kind = given.get("FifoQueue")
    if kind == "false":
        raise errors.unknown_attribute("FifoQueue")
    if kind not in (None, "true"):
        raise errors.invalid_attribute_value("FifoQueue")
    settings = QueueSettings(is_fifo=kind == "true")
    return replace(settings, **parse_changes(given, settings))


def parse_changes(given: Mapping[str, str], current: QueueSettings) -> Changes:
    """Read the attributes that are to change on a queue. Raises RequestError."""
    changes: Changes = {}
    for name, text in given.items():
        if len(text) > _LONGEST:
            raise errors.invalid_attribute_value(name, f"Must be at most {_LONGEST} characters long.")
        changes |= _read(name, text, current)
    if given.get(KMS_KEY):
        if given.get(MANAGED_ENCRYPTION) == "true":
            raise errors.sqs_error(
                "InvalidAttributeName",
                "You can use one type of server-side encryption (SSE) at one time. "
                "You can either enable KMS SSE or SQS SSE.",
            )
        changes["managed_encryption"] = 0
    elif changes.get("managed_encryption"):
        changes["kms_key"] = None
    later = replace(current, **changes)
    if later.throughput_limit == "perMessageGroupId" and later.deduplication_scope != "messageGroup":
        raise errors.invalid_attribute_value(
            "FifoThroughputLimit",
            "The perMessageGroupId value is allowed only when the value for DeduplicationScope is messageGroup.",
        )
    return changes


def first_difference(given: Mapping[str, str], queue: Queue) -> str | None:
    """Return the name of a given attribute whose value `queue` does not have; None if it has them all."""
    for name, text in given.items():
        wanted = _read(name, text, queue.settings)
        if any(getattr(queue.settings, field) != value for field, value in wanted.items()):
            return name
    return None


def shown(queue: Queue) -> dict[str, str]:
    """Return every attribute of a queue, as `All` shows them."""
    settings = queue.settings
    found = {
        "ApproximateNumberOfMessages": str(queue.visible),
        "ApproximateNumberOfMessagesDelayed": str(queue.delayed),
        "ApproximateNumberOfMessagesNotVisible": str(queue.in_flight),
        "CreatedTimestamp": str(queue.created_at_ms // 1_000),
        "LastModifiedTimestamp": str(queue.modified_at_ms // 1_000),
        "QueueArn": queue.name.arn,
        **{name: str(getattr(settings, field) // unit) for name, (field, _, _, unit) in _RANGES.items()},
        MANAGED_ENCRYPTION: _flag(settings.managed_encryption),
    }
    if settings.is_fifo:
        found |= {
            "FifoQueue": "true",
            "ContentBasedDeduplication": _flag(settings.content_based_deduplication),
            "DeduplicationScope": settings.deduplication_scope,
            "FifoThroughputLimit": settings.throughput_limit,
        }
    if settings.policy:
        found["Policy"] = settings.policy
    if settings.dead_letter_target and settings.max_receive_count:
        policy = RedrivePolicy(target_arn=settings.dead_letter_target, max_receive_count=settings.max_receive_count)
        found[REDRIVE] = policy.text
    if settings.redrive_allow:
        found["RedriveAllowPolicy"] = settings.redrive_allow
    if settings.kms_key:
        found |= {KMS_KEY: settings.kms_key, KMS_REUSE: str(settings.kms_reuse_s)}
    return found


def selected(queue: Queue, names: Collection[str]) -> dict[str, str]:
    """Return the attributes that `names` asks for. Raises RequestError for a name that is none."""
    everything = shown(queue)
    for name in names:
        if name != ALL and name not in everything and name not in _UNSET:
            raise errors.unknown_attribute(name)
    return {name: value for name, value in everything.items() if ALL in names or name in names}


def _read(name: str, text: str, current: QueueSettings) -> Changes:
    """Read one attribute. Raises RequestError."""
    if name in _RANGES:
        field, lowest, highest, unit = _RANGES[name]
        return {field: _number(name, text, lowest, highest) * unit}
    if name == "FifoQueue":
        if text != "true" or not current.is_fifo:
            raise errors.invalid_attribute_value(name, "Modifying queue type is not supported.")
        return {}
    if not current.is_fifo and name in _ONLY_FIFO:
        raise errors.sqs_error(
            "InvalidAttributeName", f"You can specify the {name} only when FifoQueue is set to true."
        )
    reader = (_FIFO_READERS if current.is_fifo else {}).get(name) or _READERS.get(name)
    if reader is None:
        raise errors.unknown_attribute(name)
    return reader(name, text)


def _number(name: str, text: str, lowest: int, highest: int) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 9 or not lowest <= int(text) <= highest:
        raise errors.invalid_attribute_value(name)
    return int(text)


def _boolean(name: str, text: str) -> bool:
    if text not in ("true", "false"):
        raise errors.invalid_attribute_value(name)
    return text == "true"


def _one_of(name: str, text: str, *values: str) -> str:
    if text not in values:
        raise errors.invalid_attribute_value(name)
    return text


def _policy(name: str, text: str) -> Changes:
    if text:
        try:
            is_object = isinstance(msgspec.json.decode(text), dict)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            is_object = False
        if not is_object:
            raise errors.invalid_attribute_value(name)
    return {"policy": text or None}


def _redrive(text: str) -> Changes:
    if not text:
        return {"dead_letter_target": None, "max_receive_count": None}
    policy = parse_redrive_policy(text)
    return {"dead_letter_target": policy.target_arn, "max_receive_count": policy.max_receive_count}


_READERS: Mapping[str, Callable[[str, str], Changes]] = {
    MANAGED_ENCRYPTION: lambda name, text: {"managed_encryption": int(_boolean(name, text))},
    KMS_KEY: lambda _, text: {"kms_key": text or None},
    KMS_REUSE: lambda name, text: {"kms_reuse_s": _number(name, text, 60, 86_400)},
    "Policy": _policy,
    REDRIVE: lambda _, text: _redrive(text),
    "RedriveAllowPolicy": lambda _, text: {"redrive_allow": check_allow_policy(text) if text else None},
}
_FIFO_READERS: Mapping[str, Callable[[str, str], Changes]] = {
    "ContentBasedDeduplication": lambda name, text: {"content_based_deduplication": _boolean(name, text)},
    "DeduplicationScope": lambda name, text: {"deduplication_scope": _one_of(name, text, "queue", "messageGroup")},
    "FifoThroughputLimit": lambda name, text: {
        "throughput_limit": _one_of(name, text, "perQueue", "perMessageGroupId")
    },
}


def _flag(value: object) -> str:
    return "true" if value else "false"
