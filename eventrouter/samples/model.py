"""A sample: an event as a source sends it, told as a name, a sentence and a function that builds it.

Samples are the same whenever they are built: times and ids come from the `Scene`, so a test may compare with them.
"""

from __future__ import annotations

import enum
import hashlib
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from eventrouter.rules.record import iso_timestamp

Document = dict[str, Any]  # Any: a JSON object, with the members of its source
"""An event as JSON: text, numbers, booleans, null, lists and objects with text for names."""


class Invoked(enum.StrEnum):
    """How the source invokes the function. Source: lambda-semantics §4, §6."""

    EVENT = "event"
    """Asynchronously: Lambda's own retries follow."""
    REQUEST = "request"
    """Synchronously: the source waits for the answer."""
    MAPPING = "mapping"
    """By an event source mapping, in batches."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """Whose event it is, and when it happened. The account and region are those of a node's first steps."""

    account: str = "000000000000"
    region: str = "us-east-1"
    at_ms: int = 1_768_469_400_568  # 2026-01-15T09:30:00.568Z

    @property
    def at_s(self) -> int:
        """Return the whole second in which it happened."""
        return self.at_ms // 1_000

    @property
    def timestamp(self) -> str:
        """Return the instant with milliseconds: `2026-01-15T09:30:00.568Z`."""
        return iso_timestamp(self.at_ms)

    @property
    def timestamp_s(self) -> str:
        """Return the instant in seconds: `2026-01-15T09:30:00Z`."""
        return self.moment.strftime("%Y-%m-%dT%H:%M:%SZ")

    @property
    def moment(self) -> datetime:
        return datetime.fromtimestamp(self.at_ms / 1_000, UTC)

    def arn(self, service: str, resource: str) -> str:
        """Return the ARN of a resource of the account and region."""
        return f"arn:aws:{service}:{self.region}:{self.account}:{resource}"

    def uuid(self, name: str) -> str:
        """Return the UUID of what `name` stands for, always the same."""
        return str(uuid.uuid5(uuid.NAMESPACE_URL, f"eventrouter:samples:{name}"))

    def digits(self, name: str, count: int) -> str:
        """Return so many hexadecimal digits for what `name` stands for, always the same."""
        return hashlib.shake_256(name.encode()).hexdigest((count + 1) // 2)[:count]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One event by name: the source, a colon and what happened, such as `s3:put`."""

    name: str
    summary: str
    invoked: Invoked
    build: Callable[[Scene], Document]

    @property
    def source(self) -> str:
        return self.name.partition(":")[0]


def an_order(order_id: str = "order-7") -> Document:
    """Return what most samples tell of: an order of a small shop."""
    return {
        "order_id": order_id,
        "customer": "ada",
        "items": [{"sku": "lamp-1", "quantity": 2}],
        "total": 129.5,
        "currency": "EUR",
    }
