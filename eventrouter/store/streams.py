"""Shards: ordered records that stay where they are when they are read, until their retention has passed.

Every shard has a tag of its own, so shards spread over a cluster. A record's id is when it arrived and its number
within that millisecond, by the server's clock, and ids never go back. Source: redis-design §7, lambda-semantics §7.2.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

import msgspec

from eventrouter.errors import StoreError, Unavailable
from eventrouter.rules.stream import RecordId, Stream
from eventrouter.store.catalogue import Catalogue
from eventrouter.store.shard_keys import Backlog, ShardKeys
from eventrouter.store.watch import Watch

if TYPE_CHECKING:
    from random import Random

    from eventrouter.clock import Clock
    from eventrouter.store.connect import Lane, Scripts
    from eventrouter.store.keys import Keys

NAME = "streams"
"""The name of the catalogue."""

PUT_BUDGET_S = 5.0
BACKLOG_S = 0.1
"""How long reads of a backlog rely on what the script has seen of the shard."""

Row = tuple[bytes, bytes, bytes]
"""A record as it comes from Redis: its id as `ms-n`, partition key and data."""

Record = tuple[RecordId, bytes, bytes]
"""A record: its id, partition key and data."""


class ShardMissing(StoreError):
    """The shard is not open yet, or was removed."""


class ShardClosed(StoreError):
    """The shard takes no more records; its stream has other ones. Nothing was stored."""


class ShardLimits(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a shard takes within a second. Bytes are those of data and partition keys."""

    records: int
    bytes: int


class Stored(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What became of a put: the first `accepted` records are stored, under ids `(ms, n)`, `(ms, n + 1)`, …

    `first` means nothing if none was accepted.
    """

    first: RecordId
    accepted: int


class ShardPage(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Records in order, as rows of id (`ms-n`), partition key, data.

    `is_end`: the shard is closed and nothing follows. `has_lost`: records after the position have expired.
    """

    rows: list[Row]
    is_end: bool
    has_lost: bool

    @property
    def records(self) -> list[Record]:
        """Return the rows with their ids read."""
        return [(_read_id(text), key, data) for text, key, data in self.rows]

    @property
    def last(self) -> RecordId:
        """Return the id of the last record. Only of a page that has one."""
        return _read_id(self.rows[-1][0])


class Streams:
    """The streams of the installation and the records of their shards. One instance serves one node."""

    def __init__(self, scripts: Scripts, keys: Keys, clock: Clock, random: Random, lane: Callable[[], Lane]) -> None:
        """`lane` makes the connection that `watch` waits on."""
        self._scripts = scripts
        self._keys = keys
        self._clock = clock
        self._random = random
        self._shards: dict[tuple[str, int], ShardKeys] = {}
        self.catalogue = Catalogue(scripts, keys, name=NAME, record=Stream, key=lambda stream: stream.name.key)
        self.catalogue.on_change(self._stream_changed)
        self.watch = Watch(scripts, keys, clock, random, lane)

    def shard(self, stream: Stream, index: int) -> ShardKeys:
        """Return the keys of a shard, which the other methods take."""
        known = self._shards.get((stream.generation, index))
        if known is None:
            known = self._shards[stream.generation, index] = ShardKeys(self._keys, stream, index)
        return known

    async def open_shard(self, shard: ShardKeys, after: RecordId) -> None:
        """Let a shard take records, with ids greater than `after`; one that is open or closed stays as it is."""
        await self._scripts.call("shard_open", shard.meta, after)

    async def close_shard(self, shard: ShardKeys) -> RecordId:
        """Let a shard take no more records; return its last id, or the one that it was opened after.

        Whoever waits for a record of it, on any node, stops waiting. Raises ShardMissing, Unavailable.
        """
        answer = _present(await self._scripts.call("shard_close", shard.ends, ()), shard)
        return RecordId(answer[1], answer[2])

    async def put(
        self, shard: ShardKeys, records: Sequence[tuple[bytes, bytes]], *, limits: ShardLimits | None = None
    ) -> Stored:
        """Store records, each a partition key and data, 500 at most, in one step; with limits a prefix that fits.

        Raises ShardClosed, ShardMissing, IntakeRefused (nothing was stored) and Unavailable (unknown).
        """
        call = self._random.getrandbits(96).to_bytes(12, "big")
        bounds = ("", "") if limits is None else (limits.records, limits.bytes)
        began = self._clock.monotonic()
        while True:
            issued = "" if shard.lease is None else shard.lease
            args = (call, issued, *bounds, *chain.from_iterable(records))
            answer = _present(await self._scripts.call("shard_put", shard.all, args, budget_s=PUT_BUDGET_S), shard)
            shard.lease = answer[1]
            if answer[0] == b"OK":
                return Stored(first=RecordId(answer[2], answer[3]), accepted=answer[4])
            if answer[0] == b"CLOSED":
                raise ShardClosed(f"{shard.meta[0]} takes no more records")
            # Only this node's idea of the lease time was old. Trying afresh is safe while the first try is recent.
            if self._clock.monotonic() - began > PUT_BUDGET_S:
                raise Unavailable("Redis answered too late to say whether the records were stored")

    async def read(
        self, shard: ShardKeys, after: RecordId, *, limit: int, max_bytes: int, horizon_ms: int
    ) -> ShardPage:
        """Return records after an id: at most `limit`, and one more than fits into `max_bytes` at most.

        What arrived before `horizon_ms`, this node's wall time less the retention, is left out. Nothing counts as
        lost before the first read, after `RecordId(0, 0)`. Raises ShardMissing, Unavailable.
        """
        if backlog := await self._read_backlog(shard, after, limit=limit, max_bytes=max_bytes, horizon_ms=horizon_ms):
            return ShardPage(rows=backlog, is_end=False, has_lost=False)
        args = (*after, limit, max_bytes, horizon_ms, self._clock.now_ms())
        answer = _present(await self._scripts.call("shard_read", shard.read, args), shard)
        fields = iter(answer[6:])
        page = ShardPage(
            rows=list(zip(fields, fields, fields, strict=True)),
            is_end=answer[1] == 1,
            has_lost=answer[2] == 1 and after > (0, 0),
        )
        newest = RecordId(answer[3], answer[4])
        if not page.rows and not page.is_end and newest > after:
            # Everything after the position has expired: what is to be waited for is newer.
            self.watch.skip(shard, after, newest)
        is_behind = bool(page.rows) and page.last < newest
        until = self._clock.monotonic() + BACKLOG_S
        shard.backlog = Backlog(until=until, largest=answer[5], newest=newest) if is_behind else None
        return page

    async def _read_backlog(
        self, shard: ShardKeys, after: RecordId, *, limit: int, max_bytes: int, horizon_ms: int
    ) -> list[Row]:
        """Read on where the script has just seen more than it gave; empty if it has to be asked again.

        The script's checks and bounds still hold then, and the plain command costs Redis a quarter of the script.
        """
        backlog = shard.backlog
        if (
            backlog is None
            or after.ms < horizon_ms
            or after >= backlog.newest
            or limit * backlog.largest > max_bytes
            or self._clock.monotonic() > backlog.until
        ):
            return []
        page = await self._scripts.command("XRANGE", shard.data, f"({after.ms}-{after.n}", "+", "COUNT", limit)
        if len(page) < limit or _read_id(page[-1][0]) >= backlog.newest:
            return []
        return [(text, key, data) for text, (key, data) in page]

    async def last(self, shard: ShardKeys) -> RecordId | None:
        """Return the id of the newest record if it is retained. Raises ShardMissing, Unavailable."""
        answer = _present(await self._scripts.call("shard_last", shard.read, ()), shard)
        return None if answer[0] == b"NONE" else RecordId(answer[1], answer[2])

    async def trim(self, shard: ShardKeys, horizon_ms: int) -> bool:
        """Drop what arrived before `horizon_ms` (see `read`); say whether no record is left. Raises Unavailable."""
        while True:
            answer = await self._scripts.call("shard_trim", shard.read, (horizon_ms, self._clock.now_ms()))
            if answer[0] != b"MORE":
                return bool(answer[0] == b"MISSING" or answer[1] == 0)

    async def remove_shard(self, shard: ShardKeys) -> None:
        """Delete a shard and its records. Raises Unavailable (unknown: removing it again is harmless)."""
        await self._scripts.command("UNLINK", *shard.all)
        self.watch.wake(shard)

    def _stream_changed(self, key: str, stream: Stream | None) -> None:
        """Forget the shards of a stream that is gone, and let whoever waits for their records find out."""
        generation = None if stream is None else stream.generation
        gone = [each for each, shard in self._shards.items() if shard.stream == key and shard.generation != generation]
        for each in gone:
            self.watch.wake(self._shards.pop(each))


def _present(answer: list[Any], shard: ShardKeys) -> list[Any]:
    if answer[0] == b"MISSING":
        raise ShardMissing(f"there is no {shard.meta[0]}")
    return answer


def _read_id(text: bytes) -> RecordId:
    ms, _, n = text.partition(b"-")
    return RecordId(int(ms), int(n))
