"""The keys of one shard, and what a node has last seen of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from eventrouter.rules.stream import RecordId, Stream

if TYPE_CHECKING:
    from eventrouter.store.keys import Keys


class Backlog(NamedTuple):
    """What a read has seen that left records behind.

    `until` is how long it may be relied on (monotonic), `largest` the bytes of the largest record ever put.
    """

    until: float
    largest: int
    newest: RecordId


class ShardKeys:
    """The keys of one shard, and what was last seen there: the lease time, and a backlog."""

    __slots__ = ("all", "backlog", "data", "ends", "generation", "lease", "meta", "new", "read", "stream")

    def __init__(self, keys: Keys, stream: Stream, index: int) -> None:
        self.stream = stream.name.key
        self.generation = stream.generation
        tag = f"s:{self.stream}:{self.generation}:{index}"
        self.all = tuple(keys.of(tag, name) for name in ("clk", "d", "m", "new", "put:0", "put:1", "put:2"))
        _, self.data, meta, self.new, *_ = self.all
        self.meta = (meta,)
        self.read = (meta, self.data)
        self.ends = (meta, self.new)
        self.lease: int | None = None
        self.backlog: Backlog | None = None
