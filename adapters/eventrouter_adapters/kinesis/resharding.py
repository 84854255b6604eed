"""How shards become other shards: plain values in, the stream's new shards out.

New shards are appended, not open yet, and name their parents; what must be closed and opened, and in which order,
follows from that (`pending`). A shard is the child of one that was split or of two that were merged, nothing else:
other shapes are made of several such steps, through shards that live for a moment.
Source: lambda-semantics §7.2, §7.3.
"""

from __future__ import annotations

from collections.abc import Sequence

from eventrouter.rules.stream import StreamShard
from eventrouter_adapters.kinesis.hashing import even_ranges

Shards = tuple[StreamShard, ...]


def first_shards(count: int) -> Shards:
    """Return the shards of a new stream: even hash key ranges."""
    return tuple(
        StreamShard(index=index, first_hash_key=str(first), last_hash_key=str(last))
        for index, (first, last) in enumerate(even_ranges(count))
    )


def split(shards: Shards, parent: StreamShard, at: int) -> Shards:
    """Return `shards` with two children of `parent`, the second of which begins at hash key `at`."""
    index = _next_index(shards)
    lower = _child(index, parent.first_hash_key, str(at - 1), parent)
    upper = _child(index + 1, str(at), parent.last_hash_key, parent)
    return (*shards, lower, upper)


def merge(shards: Shards, one: StreamShard, other: StreamShard) -> Shards:
    """Return `shards` with the child of two adjacent ones; the first named is its parent, the second is adjacent."""
    lower, upper = sorted((one, other), key=lambda shard: int(shard.first_hash_key))
    child = _child(_next_index(shards), lower.first_hash_key, upper.last_hash_key, one, other)
    return (*shards, child)


def are_adjacent(one: StreamShard, other: StreamShard) -> bool:
    """Say whether the hash key ranges of two shards are contiguous."""
    return int(one.last_hash_key) + 1 == int(other.first_hash_key) or (
        int(other.last_hash_key) + 1 == int(one.first_hash_key)
    )


def resize(shards: Shards, open_shards: Sequence[StreamShard], count: int) -> Shards:
    """Return `shards` with those that make the open ones `count` even ranges.

    Every open shard is first split where a new range begins within it; then the parts of each range are merged.
    """
    wanted = even_ranges(count)
    pieces: list[StreamShard] = []
    for shard in open_shards:
        rest = shard
        for start, _ in wanted:
            if int(rest.first_hash_key) < start <= int(rest.last_hash_key):
                shards = split(shards, rest, start)
                piece, rest = shards[-2:]
                pieces.append(piece)
        pieces.append(rest)
    pieces.sort(key=lambda piece: int(piece.first_hash_key))
    for first, last in wanted:
        parts = [piece for piece in pieces if first <= int(piece.first_hash_key) <= last]
        merged = parts[0]
        for part in parts[1:]:
            shards = merge(shards, merged, part)
            merged = shards[-1]
    return shards


def pending(shards: Shards) -> list[StreamShard]:
    """Return the shards that are to be opened, parents before their children."""
    return sorted((shard for shard in shards if shard.opened is None), key=lambda shard: shard.index)


def _next_index(shards: Shards) -> int:
    """Return an index that was never used: shards that are forgotten had children, whose indices are higher."""
    return max(shard.index for shard in shards) + 1


def _child(index: int, first: str, last: str, *parents: StreamShard) -> StreamShard:
    return StreamShard(
        index=index, first_hash_key=first, last_hash_key=last, parents=tuple(parent.index for parent in parents)
    )
