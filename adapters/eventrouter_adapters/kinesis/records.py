"""Putting records: routed by hash key, stored shard by shard, answered in the request's order.

Source: lambda-semantics §7.2, §7.3.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from random import Random
from typing import Any, NamedTuple

from eventrouter.clock import Clock, Pause
from eventrouter.errors import StoreError
from eventrouter.ports import Caller, Operation
from eventrouter.rules.stream import LAST_HASH_KEY, Stream
from eventrouter.store.streams import ShardClosed, ShardLimits, ShardMissing, Streams
from eventrouter_adapters.kinesis import errors
from eventrouter_adapters.kinesis.access import Access, Members
from eventrouter_adapters.kinesis.hashing import Router
from eventrouter_adapters.kinesis.sequence import sequence_numbers
from eventrouter_adapters.kinesis.shown import shard_id

REQUEST_BYTES = 10_485_760
SHARD_LIMITS = ShardLimits(records=1_000, bytes=1_048_576)

RESHARD_PATIENCE_S = 5.0
RESHARD_LOOK_S = 0.02
"""A put that meets a closed shard looks this often, and this long, for the shards that continue it."""

_INTERNAL_FAILURE = "InternalFailure"


class NewRecord(NamedTuple):
    """A record to be stored."""

    key: bytes
    data: bytes
    explicit: str | None


class RecordOperations:
    """The operations that put records."""

    def __init__(
        self,
        *,
        streams: Streams,
        access: Access,
        clock: Clock,
        random: Random,
        has_limits: bool = False,
        error_probability: float = 0.0,
    ) -> None:
        self._streams = streams
        self._access = access
        self._clock = clock
        self._random = random
        self._limits = SHARD_LIMITS if has_limits else None
        self._error_probability = error_probability
        self._routers: dict[str, tuple[Stream, Router]] = {}

    def operations(self) -> dict[str, Operation]:
        """Return the operations by their names on the wire."""
        return {"PutRecord": self.put_record, "PutRecords": self.put_records}

    async def put_record(self, caller: Caller, members: Members) -> Members:
        """Store one record and answer with its shard and sequence number."""
        stream = await self._access.find_usable(caller, members)
        [result] = await self._put_all(stream, [_new_record(stream, members)], members)
        if "ErrorCode" in result:
            if result["ErrorCode"] == errors.THROUGHPUT_EXCEEDED:
                raise errors.kinesis_error(errors.THROUGHPUT_EXCEEDED, result["ErrorMessage"])
            raise errors.internal_failure(result["ErrorMessage"])
        return {**result, "EncryptionType": "NONE"}

    async def put_records(self, caller: Caller, members: Members) -> Members:
        """Store records and answer for each of them in turn; a record that fails stops no other."""
        stream = await self._access.find_usable(caller, members)
        records = [
            _new_record(stream, entry, f"records.{number}.member.")
            for number, entry in enumerate(members["Records"], 1)
        ]
        if sum(len(record.key) + len(record.data) for record in records) > REQUEST_BYTES:
            raise errors.invalid_argument(f"Records size exceeds {REQUEST_BYTES // 1_048_576} MB limit")
        results = await self._put_all(stream, records, members)
        failed = sum("ErrorCode" in result for result in results)
        return {"FailedRecordCount": failed, "Records": results, "EncryptionType": "NONE"}

    async def _put_all(self, stream: Stream, records: Sequence[NewRecord], members: Members) -> list[dict[str, Any]]:
        """Store records, and return what PutRecords answers for each of them."""
        if members.get("DryRun"):
            raise errors.dry_run()
        results: list[dict[str, Any]] = [{}] * len(records)
        waiting = list(range(len(records)))
        if self._error_probability:
            waiting = self._refuse_some(stream, records, results)
        began = self._clock.monotonic()
        while waiting:
            groups = self._grouped(stream, records, waiting)
            closed = await asyncio.gather(
                *(self._put_group(stream, index, group, records, results) for index, group in groups.items())
            )
            waiting = sorted(position for positions in closed for position in positions)
            if waiting:
                if self._clock.monotonic() - began > RESHARD_PATIENCE_S:
                    for position in waiting:
                        results[position] = _failure(_INTERNAL_FAILURE, "The stream is being resharded.")
                    break
                stream = await self._resharded(stream)
        return results

    async def _put_group(
        self,
        stream: Stream,
        index: int,
        group: Sequence[int],
        records: Sequence[NewRecord],
        results: list[dict[str, Any]],
    ) -> Sequence[int]:
        """Store the records of one shard; return the positions of those to be routed anew."""
        try:
            stored = await self._streams.put(
                self._streams.shard(stream, index),
                [records[position][:2] for position in group],
                limits=self._limits,
            )
        except (ShardClosed, ShardMissing):
            return group
        except StoreError as error:
            for position in group:
                results[position] = _failure(_INTERNAL_FAILURE, f"Internal service failure: {error}")
            return ()
        shard = shard_id(index)
        numbers = sequence_numbers(stored.first, stored.accepted, index)
        for position, number in zip(group, numbers, strict=False):
            results[position] = {"SequenceNumber": number, "ShardId": shard}
        for position in group[stored.accepted :]:
            results[position] = _failure(errors.THROUGHPUT_EXCEEDED, errors.throttled_text(shard, stream.name))
        return ()

    def _grouped(self, stream: Stream, records: Sequence[NewRecord], positions: Sequence[int]) -> dict[int, list[int]]:
        """Return the positions of the records by the index of the shard that takes them."""
        route = self._router(stream).route
        groups: dict[int, list[int]] = {}
        for position in positions:
            key, _, explicit = records[position]
            groups.setdefault(route(key, explicit).index, []).append(position)
        return groups

    def _router(self, stream: Stream) -> Router:
        known = self._routers.get(stream.name.key)
        if known is None or known[0] is not stream:
            known = self._routers[stream.name.key] = stream, Router(stream.open_shards)
        return known[1]

    async def _resharded(self, stream: Stream) -> Stream:
        """Return the stream of that name as it is a short while later: resharded, or deleted and made anew."""
        await self._clock.pause(Pause(RESHARD_LOOK_S))
        await self._access.refreshed(stream.name)
        return self._access.usable(await self._access.get(stream.name))

    def _refuse_some(self, stream: Stream, records: Sequence[NewRecord], results: list[dict[str, Any]]) -> list[int]:
        """Refuse as many records as `kinesis_error_probability` wants; return the positions of the others."""
        kept = []
        route = self._router(stream).route
        for position, record in enumerate(records):
            if self._random.random() < self._error_probability:
                shard = route(record.key, record.explicit)
                results[position] = _failure(errors.THROUGHPUT_EXCEEDED, errors.throttled_text(shard.id, stream.name))
            else:
                kept.append(position)
        return kept


def _new_record(stream: Stream, members: Members, path: str = "") -> NewRecord:
    """Return the record that a request or an entry of it describes. Raises RequestError."""
    key = members.get("PartitionKey")
    if key is None:
        raise errors.validation(
            f"1 validation error detected: Value null at '{path}partitionKey' failed to satisfy constraint: "
            "Member must not be null"
        )
    record = NewRecord(key.encode(), members["Data"], members.get("ExplicitHashKey"))
    if len(record.key) + len(record.data) > stream.max_record_bytes:
        raise errors.too_long(f"{path}data", stream.max_record_bytes)
    if record.explicit is not None and int(record.explicit) > LAST_HASH_KEY:
        raise errors.invalid_argument(
            "Invalid ExplicitHashKey. ExplicitHashKey must be in the range: [0, 2^128-1]. "
            f"Specified value was {record.explicit}"
        )
    return record


def _failure(code: str, message: str) -> dict[str, Any]:
    return {"ErrorCode": code, "ErrorMessage": message}
