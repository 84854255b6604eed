"""A Kinesis-compatible stream as the node knows it: its shards, their hash ranges and their ends.

Source: lambda-semantics §7.2, §7.3.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

DEFAULT_RETENTION_H = 24
LAST_HASH_KEY = 2**128 - 1
DEFAULT_RECORD_BYTES = 1_048_576


class RecordId(NamedTuple):
    """Where a record stands in its shard: its arrival in wall milliseconds, and its number within that one.

    Ids order as tuples. `RecordId(0, 0)` is before every record.
    """

    ms: int
    n: int


class StreamStatus(enum.StrEnum):
    CREATING = "CREATING"
    ACTIVE = "ACTIVE"
    UPDATING = "UPDATING"
    DELETING = "DELETING"


class StreamMode(enum.StrEnum):
    PROVISIONED = "PROVISIONED"
    ON_DEMAND = "ON_DEMAND"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class StreamName:
    """One stream of one account in one region."""

    account: str
    region: str
    name: str

    @property
    def key(self) -> str:
        """Return the text that names the stream in the store: `account:region:name`."""
        return f"{self.account}:{self.region}:{self.name}"

    @property
    def arn(self) -> str:
        return f"arn:aws:kinesis:{self.region}:{self.account}:stream/{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamShard:
    """One shard: the hash keys it takes (both ends included; decimal text, since they have 128 bits), its parents.

    `opened` is the id before its first possible record, None until it is open for records. `closed` is the id of
    its last possible record, None while it takes records.
    """

    index: int
    first_hash_key: str
    last_hash_key: str
    parents: tuple[int, ...] = ()
    opened: RecordId | None = None
    closed: RecordId | None = None
    closed_at_ms: int = 0

    @property
    def id(self) -> str:
        return f"shardId-{self.index:012d}"


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamConsumer:
    """A registered consumer: a name for enhanced fan-out."""

    name: str
    created_at_ms: int
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """One stream.

    `generation` is random and new for each creation, so that a stream never meets the records of a deleted one of
    its name. While `status` is UPDATING, shards that are not opened yet are the children of a reshard under way.
    `resized_at_ms` are the times of UpdateShardCount calls of the last 24 hours. `revision` is the store's
    compare-and-set number (0: not stored yet).
    """

    name: StreamName
    generation: str
    status: StreamStatus = StreamStatus.CREATING
    mode: StreamMode = StreamMode.PROVISIONED
    shards: tuple[StreamShard, ...] = ()
    retention_h: int = DEFAULT_RETENTION_H
    max_record_bytes: int = DEFAULT_RECORD_BYTES
    created_at_ms: int = 0
    changed_at_ms: int = 0
    tags: Mapping[str, str] = field(default_factory=dict)
    consumers: tuple[StreamConsumer, ...] = ()
    resized_at_ms: tuple[int, ...] = ()
    revision: int = 0

    @property
    def open_shards(self) -> tuple[StreamShard, ...]:
        """Return the shards that take records now."""
        return tuple(shard for shard in self.shards if shard.opened is not None and shard.closed is None)
