"""Finds the streams that requests name, and changes their records one revision at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from eventrouter.clock import Clock
from eventrouter.errors import Unavailable
from eventrouter.ports import Caller
from eventrouter.rules.stream import Stream, StreamName, StreamShard, StreamStatus
from eventrouter.store import Conflict
from eventrouter.store.streams import Streams
from eventrouter_adapters.kinesis import errors
from eventrouter_adapters.kinesis.addresses import parse_stream_arn
from eventrouter_adapters.kinesis.retention import horizon_ms

CHANGE_TRIES = 10
"""How often a change meets another one before the caller is told to come again."""

Members = Mapping[str, Any]


class Access:
    """The streams of this installation, as callers name them."""

    def __init__(self, streams: Streams, clock: Clock) -> None:
        self._catalogue = streams.catalogue
        self._clock = clock

    def name_of(self, caller: Caller, members: Members) -> StreamName:
        """Return the stream that `StreamName`, `StreamARN` or both name. Raises RequestError."""
        arn, name = members.get("StreamARN"), members.get("StreamName")
        if arn is None:
            if name is None:
                raise errors.invalid_argument("Either StreamName or StreamARN must be given.")
            return StreamName(account=caller.account, region=caller.region, name=name)
        named = parse_stream_arn(arn)
        if named is None:
            raise errors.invalid_argument(f"{arn} is not the ARN of a stream.")
        if name is not None and name != named.name:
            raise errors.invalid_argument(f"StreamName {name} and StreamARN {arn} name different streams.")
        if (named.account, named.region) != (caller.account, caller.region):
            raise errors.no_such_stream(named)
        return named

    async def find(self, caller: Caller, members: Members) -> Stream:
        """Return the stream that a request names, whatever its state. Raises RequestError."""
        return await self.get(self.name_of(caller, members))

    async def find_usable(self, caller: Caller, members: Members) -> Stream:
        """Return the stream that a request reads or writes. One that is made or deleted is not found."""
        return self.usable(await self.find(caller, members))

    def usable(self, stream: Stream) -> Stream:
        """Raise RequestError for a stream that takes and gives no records."""
        if stream.status not in (StreamStatus.ACTIVE, StreamStatus.UPDATING):
            raise errors.no_such_stream(stream.name)
        return stream

    async def get(self, name: StreamName) -> Stream:
        """Return a stream by name; one that this node has not heard of yet is asked for. Raises RequestError."""
        stream = self._catalogue.get(name.key)
        if stream is None:
            stream = await self.refreshed(name)
        if stream is None:
            raise errors.no_such_stream(name)
        return stream

    async def refreshed(self, name: StreamName) -> Stream | None:
        """Return a stream as it is now, None if there is none."""
        await self._catalogue.refresh()
        return self._catalogue.get(name.key)

    async def of_caller(self, caller: Caller) -> list[Stream]:
        """Return the caller's streams, by name, those included that were made on other nodes just now."""
        await self._catalogue.refresh()
        found = [
            stream
            for stream in self._catalogue.all()
            if (stream.name.account, stream.name.region) == (caller.account, caller.region)
        ]
        return sorted(found, key=lambda stream: stream.name.name)

    def shard(self, stream: Stream, shard_id: str) -> StreamShard:
        """Return a shard of a stream by id. Raises RequestError."""
        for shard in self.listed(stream):
            if shard.id == shard_id:
                return shard
        raise errors.no_such_shard(shard_id, stream.name)

    def listed(self, stream: Stream) -> list[StreamShard]:
        """Return the shards that callers see: open ones, and closed ones whose records have not all expired."""
        horizon = horizon_ms(stream, self._clock)
        return [
            shard
            for shard in stream.shards
            if shard.opened is not None and (shard.closed is None or shard.closed_at_ms >= horizon)
        ]

    async def change(self, name: StreamName, change: Callable[[Stream], Stream]) -> Stream:
        """Store what `change` makes of the stream's record, and return it as stored.

        `change` sees the newest record, perhaps more than once; what it raises is passed on.
        """
        for _ in range(CHANGE_TRIES):
            stream = await self.get(name)
            changed = change(stream)
            if changed is stream:
                return stream
            try:
                return await self._catalogue.put(changed)
            except Conflict:
                await self._catalogue.refresh()
        raise Unavailable(f"stream {name.name} is being changed by others all the time")

    async def change_active(self, name: StreamName, change: Callable[[Stream], Stream]) -> Stream:
        """Change a stream as `change`, unless it is not ACTIVE. Raises RequestError."""

        def change_if_active(stream: Stream) -> Stream:
            if stream.status is not StreamStatus.ACTIVE:
                raise errors.stream_not_active(name, stream.status)
            return change(stream)

        return await self.change(name, change_if_active)
