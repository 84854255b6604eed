"""What follows when a stream's record says CREATING, UPDATING or DELETING, and what time does to its shards.

| the record says | what is done | the record then |
|---|---|---|
| CREATING | every shard is opened | ACTIVE |
| UPDATING | parents are closed, and their children opened behind their last records | ACTIVE |
| DELETING | the keys of every shard are removed | gone |

Each step may be repeated and may be done by several nodes at once, so whoever finds a transition under way can
finish it: the call that began it, or the upkeep of any node after `kinesis_latency_s` or a crash.
Source: lambda-semantics §7.2, §7.3.
"""

from __future__ import annotations

import dataclasses

from eventrouter.clock import Clock, Pause
from eventrouter.errors import StoreError
from eventrouter.rules.stream import RecordId, Stream, StreamName, StreamShard, StreamStatus
from eventrouter.store import Conflict
from eventrouter.store.streams import Streams
from eventrouter_adapters.kinesis.resharding import pending
from eventrouter_adapters.kinesis.retention import horizon_ms

CRASHED_AFTER_MS = 1_000
"""A transition this old was left behind by the call that began it."""

LOOK_S = 0.5
TRIM_EVERY_S = 60.0


class Lifecycle:
    """Finishes transitions, and forgets what has expired."""

    def __init__(self, streams: Streams, clock: Clock, *, latency_s: float) -> None:
        self._streams = streams
        self._clock = clock
        self._latency_ms = round(latency_s * 1_000)

    @property
    def takes_time(self) -> bool:
        """Say whether transitions are to be seen before they end."""
        return self._latency_ms > 0

    async def begun(self, stream: Stream) -> None:
        """Finish at once what a call has just begun, unless it is to take its time."""
        if self._latency_ms == 0:
            try:
                await self.finish(stream.name)
            except StoreError:
                return  # the record tells what is to be done: the upkeep will

    async def finish(self, name: StreamName) -> None:
        """Bring a stream to the end of its transition."""
        while (stream := self._streams.catalogue.get(name.key)) is not None:
            try:
                match stream.status:
                    case StreamStatus.ACTIVE:
                        return
                    case StreamStatus.DELETING:
                        for shard in stream.shards:
                            await self._streams.remove_shard(self._streams.shard(stream, shard.index))
                        await self._streams.catalogue.delete(stream)
                    case StreamStatus.CREATING:
                        await self._store_active(stream, await self._created(stream))
                    case StreamStatus.UPDATING:
                        await self._store_active(stream, await self._resharded(stream))
            except Conflict:
                await self._streams.catalogue.refresh()

    async def finish_turn(self) -> Pause:
        """Finish the transitions whose time has come; a turn of a loop."""
        patience_ms = self._latency_ms or CRASHED_AFTER_MS
        waits_ms: list[int] = []
        for stream in self._streams.catalogue.all():
            if stream.status is StreamStatus.ACTIVE:
                continue
            wait_ms = stream.changed_at_ms + patience_ms - self._clock.now_ms()
            if wait_ms > 0:
                waits_ms.append(wait_ms)
            else:
                await self.finish(stream.name)
        return Pause(LOOK_S, min(waits_ms) / 1_000 if waits_ms else None)

    async def trim_turn(self) -> float:
        """Drop expired records, and closed shards of which nothing is left; a turn of a loop."""
        await self._streams.catalogue.refresh()  # a retention that was just made longer on another node counts
        for stream in self._streams.catalogue.all():
            horizon = horizon_ms(stream, self._clock)
            for shard in stream.shards:
                if stream.status is StreamStatus.ACTIVE and shard.opened is not None and shard.opened.ms < horizon:
                    await self._trim(stream, shard, horizon)
        return TRIM_EVERY_S

    async def _trim(self, stream: Stream, shard: StreamShard, horizon: int) -> None:
        is_empty = await self._streams.trim(self._streams.shard(stream, shard.index), horizon)
        if is_empty and shard.closed is not None and shard.closed_at_ms < horizon:
            await self._forget(stream.name, shard)

    async def _forget(self, name: StreamName, shard: StreamShard) -> None:
        """Remove a closed shard: its keys first, so that none stay behind."""
        stream = self._streams.catalogue.get(name.key)
        if stream is None:
            return
        await self._streams.remove_shard(self._streams.shard(stream, shard.index))
        left = tuple(kept for kept in stream.shards if kept.index != shard.index)
        try:
            await self._streams.catalogue.put(dataclasses.replace(stream, shards=left))
        except Conflict:
            return  # the next turn finds it again

    async def _store_active(self, stream: Stream, shards: tuple[StreamShard, ...]) -> None:
        await self._streams.catalogue.put(dataclasses.replace(stream, status=StreamStatus.ACTIVE, shards=shards))

    async def _created(self, stream: Stream) -> tuple[StreamShard, ...]:
        """Open the first shards."""
        opened = RecordId(stream.created_at_ms, 0)
        for shard in stream.shards:
            await self._streams.open_shard(self._streams.shard(stream, shard.index), opened)
        return tuple(dataclasses.replace(shard, opened=opened) for shard in stream.shards)

    async def _resharded(self, stream: Stream) -> tuple[StreamShard, ...]:
        """Close the parents of every shard that is not open yet, and open it behind their last records."""
        shards = {shard.index: shard for shard in stream.shards}
        for child in pending(stream.shards):
            closed_at_ms = max([await self._close(stream, shards, parent) for parent in child.parents])
            opened = RecordId(closed_at_ms + 1, 0)
            await self._streams.open_shard(self._streams.shard(stream, child.index), opened)
            shards[child.index] = dataclasses.replace(child, opened=opened)
        return tuple(shards.values())

    async def _close(self, stream: Stream, shards: dict[int, StreamShard], index: int) -> int:
        """Close a shard and note its end in `shards`; return when that was.

        It is the same time for every node that does it: when the transition began, or the last record came.
        """
        shard = shards[index]
        if shard.closed is None:
            last = await self._streams.close_shard(self._streams.shard(stream, index))
            shard = dataclasses.replace(shard, closed=last, closed_at_ms=max(stream.changed_at_ms, last.ms))
            shards[index] = shard
        return shard.closed_at_ms
