"""Which shard takes a record: the MD5 of its partition key, as a number of 128 bits, falls into one hash key range.

Source: lambda-semantics §7.3.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from hashlib import md5

from eventrouter.rules.stream import LAST_HASH_KEY, StreamShard


def hash_key(partition_key: bytes) -> int:
    """Return where a partition key lies."""
    return int.from_bytes(md5(partition_key, usedforsecurity=False).digest())


def even_ranges(count: int) -> list[tuple[int, int]]:
    """Divide all hash keys into `count` ranges (first, last) of one size; the last takes the remainder."""
    size = (LAST_HASH_KEY + 1) // count
    starts = [index * size for index in range(count)]
    return list(zip(starts, [*(start - 1 for start in starts[1:]), LAST_HASH_KEY], strict=True))


class Router:
    """Finds the shard of each hash key among the open shards of a stream."""

    def __init__(self, shards: Sequence[StreamShard]) -> None:
        ordered = sorted(shards, key=lambda shard: int(shard.last_hash_key))
        self._shards = ordered
        self._last_keys = [int(shard.last_hash_key) for shard in ordered]

    def route(self, partition_key: bytes, explicit: str | None) -> StreamShard:
        """Return the shard of a record. Raises IndexError for an explicit hash key that is out of range."""
        if explicit is None and len(self._shards) == 1:
            return self._shards[0]
        key = hash_key(partition_key) if explicit is None else int(explicit)
        return self._shards[bisect_left(self._last_keys, key)]
