"""Splitting, merging and counting shards. Source: lambda-semantics §7.2, §7.4."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from eventrouter.clock import Clock
from eventrouter.ports import Caller, Operation
from eventrouter.rules.stream import Stream, StreamMode, StreamShard, StreamStatus
from eventrouter_adapters.kinesis import errors
from eventrouter_adapters.kinesis.access import Access, Members
from eventrouter_adapters.kinesis.lifecycle import Lifecycle
from eventrouter_adapters.kinesis.resharding import Shards, are_adjacent, merge, resize, split

MOST_SHARDS = 10_000
RESIZES_A_DAY = 10
DAY_MS = 86_400_000


class ReshardOperations:
    """The operations that change which shards a stream has."""

    def __init__(self, *, access: Access, lifecycle: Lifecycle, clock: Clock) -> None:
        self._access = access
        self._lifecycle = lifecycle
        self._clock = clock

    def operations(self) -> dict[str, Operation]:
        """Return the operations by their names on the wire."""
        return {
            "MergeShards": self.merge_shards,
            "SplitShard": self.split_shard,
            "UpdateShardCount": self.update_shard_count,
        }

    async def split_shard(self, caller: Caller, members: Members) -> Members:
        """Split an open shard in two at a hash key."""
        at = int(members["NewStartingHashKey"])

        def halves(stream: Stream) -> Shards:
            shard = self._open_shard(stream, members["ShardToSplit"])
            if not int(shard.first_hash_key) + 1 < at < int(shard.last_hash_key):
                raise errors.invalid_argument(
                    f"NewStartingHashKey {at} used in SplitShard() on shard {shard.id} in stream {stream.name.name} "
                    f"under account {stream.name.account} is not both greater than one plus the shard's "
                    f"StartingHashKey {shard.first_hash_key} and less than the shard's EndingHashKey "
                    f"{shard.last_hash_key}."
                )
            return split(stream.shards, shard, at)

        await self._reshard(caller, members, halves)
        return {}

    async def merge_shards(self, caller: Caller, members: Members) -> Members:
        """Merge two open shards whose hash key ranges touch."""

        def merged(stream: Stream) -> Shards:
            one = self._open_shard(stream, members["ShardToMerge"])
            other = self._open_shard(stream, members["AdjacentShardToMerge"])
            if not are_adjacent(one, other):
                raise errors.invalid_argument(
                    f"Shards {one.id} and {other.id} in stream {stream.name.name} under account "
                    f"{stream.name.account} are not an adjacent pair of shards eligible for merging"
                )
            return merge(stream.shards, one, other)

        await self._reshard(caller, members, merged)
        return {}

    async def update_shard_count(self, caller: Caller, members: Members) -> Members:
        """Give a stream another number of open shards, with hash key ranges of one size."""
        target = members["TargetShardCount"]
        current = 0

        def resized(stream: Stream) -> Shards:
            nonlocal current
            current = len(stream.open_shards)
            self._check_count(stream, current, target)
            return resize(stream.shards, stream.open_shards, target)

        stream = await self._reshard(caller, members, resized, counts=True)
        return {
            "StreamName": stream.name.name,
            "CurrentShardCount": current,
            "TargetShardCount": target,
            "StreamARN": stream.name.arn,
        }

    def _check_count(self, stream: Stream, current: int, target: int) -> None:
        name = stream.name.name
        if target > MOST_SHARDS:
            raise errors.limit_exceeded(f"A stream has {MOST_SHARDS} shards at most; {target} were asked for.")
        if target > 2 * current:
            raise errors.limit_exceeded(
                f"UpdateShardCount cannot scale up over double your current open shard count. "
                f"Current open shard count: {current} Target shard count: {target}"
            )
        if 2 * target < current:
            raise errors.limit_exceeded(
                f"UpdateShardCount cannot scale down below half your current open shard count. "
                f"Current open shard count: {current} Target shard count: {target}"
            )
        if len(self._resizes_of_today(stream)) >= RESIZES_A_DAY:
            raise errors.limit_exceeded(f"Stream {name} was scaled {RESIZES_A_DAY} times in the last 24 hours.")

    def _resizes_of_today(self, stream: Stream) -> tuple[int, ...]:
        since = self._clock.now_ms() - DAY_MS
        return tuple(at_ms for at_ms in stream.resized_at_ms if at_ms > since)

    def _open_shard(self, stream: Stream, shard_id: str) -> StreamShard:
        shard = self._access.shard(stream, shard_id)
        if shard.closed is not None:
            raise errors.already_resharded(shard_id, stream.name)
        return shard

    async def _reshard(
        self, caller: Caller, members: Members, reshape: Callable[[Stream], Shards], *, counts: bool = False
    ) -> Stream:
        """Begin what `reshape` says; a stream that keeps its shards is left alone."""

        def changed(stream: Stream) -> Stream:
            if stream.mode is StreamMode.ON_DEMAND:
                raise errors.on_demand(stream.name)
            now_ms = self._clock.now_ms()
            shards = reshape(stream)
            more: dict[str, Any] = {"resized_at_ms": (*self._resizes_of_today(stream), now_ms)} if counts else {}
            if shards != stream.shards:
                more |= {"shards": shards, "status": StreamStatus.UPDATING, "changed_at_ms": now_ms}
            return dataclasses.replace(stream, **more)

        stream = await self._access.change_active(self._access.name_of(caller, members), changed)
        await self._lifecycle.begun(stream)
        return stream
