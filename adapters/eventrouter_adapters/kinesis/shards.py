"""Listing shards, whole or as they were at some time. Source: lambda-semantics §7.2, kinesis.ShardFilter."""

from __future__ import annotations

from typing import Any

from eventrouter.clock import Clock
from eventrouter.ports import Caller, Operation
from eventrouter.rules.stream import Stream, StreamName, StreamShard
from eventrouter_adapters.kinesis import errors
from eventrouter_adapters.kinesis.access import Access, Members
from eventrouter_adapters.kinesis.retention import horizon_ms
from eventrouter_adapters.kinesis.shown import shown_shard
from eventrouter_adapters.kinesis.tokens import TOKEN_LIFE_MS, ShardPage, decode_token

PAGE = 1_000

_NOT_WITH_TOKEN = ("StreamName", "StreamCreationTimestamp", "ExclusiveStartShardId")
_TIMED = ("AT_TIMESTAMP", "FROM_TIMESTAMP")


class ShardOperations:
    """The one operation that lists shards."""

    def __init__(self, access: Access, clock: Clock) -> None:
        self._access = access
        self._clock = clock

    def operations(self) -> dict[str, Operation]:
        """Return the operations by their names on the wire."""
        return {"ListShards": self.list_shards}

    async def list_shards(self, caller: Caller, members: Members) -> Members:
        """Answer with a page of the shards that pass the filter, by id."""
        stream, place = await self._begin(caller, members)
        shards = [shard for shard in self._passing(stream, place) if shard.id > place.after]
        limit = min(members.get("MaxResults") or PAGE, PAGE)
        answer: dict[str, Any] = {"Shards": [shown_shard(shard) for shard in shards[:limit]]}
        if len(shards) > limit:
            answer["NextToken"] = ShardPage(
                place.name,
                place.generation,
                shards[limit - 1].id,
                place.filter_type,
                place.filter_time,
                self._clock.now_ms(),
            ).encode()
        return answer

    async def _begin(self, caller: Caller, members: Members) -> tuple[Stream, ShardPage]:
        """Return the stream, and where and with which filter its list begins. Raises RequestError."""
        token = members.get("NextToken")
        if token is not None:
            if given := [name for name in _NOT_WITH_TOKEN if members.get(name) is not None]:
                raise errors.invalid_argument(f"NextToken and {given[0]} cannot be provided together.")
            place = decode_token(token, ShardPage)
            if self._clock.now_ms() - place.issued_at_ms > TOKEN_LIFE_MS:
                raise errors.token_expired()
            name = StreamName(account=caller.account, region=caller.region, name=place.name)
            if members.get("StreamARN") is not None and self._access.name_of(caller, members) != name:
                raise errors.invalid_argument("The NextToken is not one of the stream that StreamARN names.")
            stream = await self._access.get(name)
            if stream.generation != place.generation:
                raise errors.no_such_stream(name)
            return stream, place
        stream = await self._access.find(caller, members)
        check_creation(stream, members)
        after = members.get("ExclusiveStartShardId") or ""
        filter_ = members.get("ShardFilter") or {}
        kind, time = filter_.get("Type", "FROM_TRIM_HORIZON"), filter_.get("Timestamp")
        if kind == "AFTER_SHARD_ID":
            if filter_.get("ShardId") is None:
                raise errors.invalid_argument("ShardFilter of type AFTER_SHARD_ID needs a ShardId.")
            after = max(after, filter_["ShardId"])
        if kind in _TIMED and time is None:
            raise errors.invalid_argument(f"ShardFilter of type {kind} needs a Timestamp.")
        return stream, ShardPage(stream.name.name, stream.generation, after, kind, time or 0.0, 0)

    def _passing(self, stream: Stream, place: ShardPage) -> list[StreamShard]:
        """Return the shards that pass the filter. Nothing is older than the trim horizon."""
        horizon = max(horizon_ms(stream, self._clock), stream.created_at_ms)
        at_ms = max(horizon, round(place.filter_time * 1_000))
        listed = self._access.listed(stream)
        match place.filter_type:
            case "AT_LATEST":
                return [shard for shard in listed if shard.closed is None]
            case "AT_TRIM_HORIZON" | "AT_TIMESTAMP":
                return [shard for shard in listed if _opened_ms(shard) <= at_ms and _is_open_at(shard, at_ms)]
            case "FROM_TIMESTAMP":
                return [shard for shard in listed if _is_open_at(shard, at_ms)]
        return listed


def check_creation(stream: Stream, members: Members) -> None:
    """Raise RequestError if a request means a stream of this name that was created at another time."""
    wanted = members.get("StreamCreationTimestamp")
    if wanted is not None and int(wanted) != stream.created_at_ms // 1_000:
        raise errors.no_such_stream(stream.name)


def _opened_ms(shard: StreamShard) -> int:
    return 0 if shard.opened is None else shard.opened.ms


def _is_open_at(shard: StreamShard, at_ms: int) -> bool:
    """Say whether a shard took records at or after an instant."""
    return shard.closed is None or shard.closed_at_ms >= at_ms
