"""How fast a backlog of a stream is worked off, in order, each batch checkpointed after its run.

All records are stored first, while the mapping is disabled; then it is enabled. The rate is taken between the first
checkpoint that moves and the last, read from the store itself every 10 ms. Beside it, in the same run and on the
same Redis streams, a bare redis-py loop reads batches of the same size and stores a checkpoint after each.
"""

from __future__ import annotations

import asyncio
import bisect
import time
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any

import redis

from bench.measure import Effort, Figure, Report, ratio
from bench.servers import ACCOUNT, REGION, BenchNode, node, valkey
from eventrouter.clock import SystemClock
from eventrouter.rules.stream import RecordId, StreamName
from eventrouter.settings import Settings
from eventrouter.store import open_store, redis_lanes
from eventrouter.store.connect import make_client
from eventrouter.store.keys import Keys

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SHARDS = 16
RECORD_BYTES = 200
NOOP = "def handler(event, context):\n    pass\n"
DEADLINE_S = 180.0
PUT_RECORDS = 500
SMALL_SHARE = 10
"""Batches of one record are measured on this part of the backlog."""
_DEFAULTS = Settings()
_NAME = StreamName(account=ACCOUNT, region=REGION, name="clicks")


def measure(effort: Effort, folder: Path) -> Report:
    """Drain the backlog once a round by batches of 100, by single records, and by the bare loop."""
    full: list[float] = []
    single: list[float] = []
    bare: list[float] = []
    for number in range(effort.rounds):
        with _backlog(folder / f"full-{number}", effort.records) as backlog:
            full.append(backlog.drain(batch_size=100))
            bare.append(backlog.bare_loop(batch_size=100))
        with _backlog(folder / f"single-{number}", effort.records // SMALL_SHARE) as backlog:
            single.append(backlog.drain(batch_size=1))
    rates = tuple(full)
    floor = tuple(bare)
    figures = (
        Figure(name=f"batches of 100, {SHARDS} shards", unit="records/s", values=rates, at_least=40_000),
        Figure(name="bare redis-py loop on the same streams", unit="records/s", values=floor),
        ratio("eventrouter / bare loop", rates, floor, at_least=0.4),
        Figure(name="batches of 1", unit="records/s", values=tuple(single), at_least=2_000),
    )
    what = f"{effort.records:,} records of {RECORD_BYTES} bytes, no-op Python function, checkpointed after each batch"
    return Report(benchmark="stream_drain", what=what, figures=figures)


@contextmanager
def _backlog(folder: Path, records: int) -> Iterator[Backlog]:
    """Run a server and a node with a function, and a stream that holds `records`."""
    with valkey(folder / "valkey") as url, node(folder / "data", url) as running:
        running.create_function("noop", NOOP)
        running.kinesis("CreateStream", {"StreamName": _NAME.name, "ShardCount": SHARDS})
        units, streams, ids = asyncio.run(_fill(url, records))
        client = redis.Redis.from_url(url)
        running.child.wait_until("end of the AOF's rewrite", lambda: _is_quiet(client), seconds=DEADLINE_S)
        yield Backlog(node=running, client=client, units=units, streams=streams, ids=ids)
        client.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """Records that wait: of each shard the name of its unit, the Redis stream, and the ids in order."""

    node: BenchNode
    client: redis.Redis
    units: list[str]
    streams: list[str]
    ids: list[list[RecordId]]

    def drain(self, *, batch_size: int) -> float:
        """Enable a mapping, and return the records a second until every checkpoint is at its shard's end."""
        body = {"EventSourceArn": _NAME.arn, "FunctionName": "noop", "StartingPosition": "TRIM_HORIZON"}
        answer = self.node.call("POST", "/2015-03-31/event-source-mappings", {**body, "BatchSize": batch_size})
        keys = Keys(_DEFAULTS.key_prefix, _DEFAULTS.partitions)
        lanes = [keys.of(f"m:{answer['UUID']}:{unit}", "lane") for unit in self.units]
        total = sum(len(ids) for ids in self.ids)
        self.node.child.wait_until("first checkpoint", lambda: self._resolved(lanes) > 0, seconds=DEADLINE_S)
        began, left = time.perf_counter(), total - self._resolved(lanes)
        self.node.child.wait_until("last checkpoint", lambda: self._resolved(lanes) == total, seconds=DEADLINE_S)
        return left / (time.perf_counter() - began)

    def bare_loop(self, *, batch_size: int) -> float:
        """Read the shards in turn, a batch at a time and in order, and store a checkpoint after each batch."""
        total = sum(len(ids) for ids in self.ids)
        positions: dict[str, Any] = dict.fromkeys(self.streams, "0-0")
        read = 0
        began = time.perf_counter()
        while read < total:
            for stream in self.streams:
                answer: Any = self.client.xread({stream: positions[stream]}, count=batch_size)
                for _, records in answer:
                    read += len(records)
                    positions[stream] = records[-1][0]
                    self.client.set(f"bench:{stream}", positions[stream])
        return total / (time.perf_counter() - began)

    def _resolved(self, lanes: list[str]) -> int:
        """Return how many records are at or before their shard's checkpoint."""
        pipeline = self.client.pipeline(transaction=False)
        for lane in lanes:
            pipeline.hget(lane, "c")
        return sum(
            bisect.bisect_right(ids, _id_of(checkpoint))
            for ids, checkpoint in zip(self.ids, pipeline.execute(), strict=True)
            if checkpoint
        )


def _is_quiet(client: redis.Redis) -> bool:
    return not client.info("persistence")["aof_rewrite_in_progress"]


def _id_of(sequence: bytes) -> RecordId:
    """Read a Kinesis sequence number of ours: arrival and number within the millisecond."""
    return RecordId(int(sequence[4:24]), int(sequence[24:44])) if len(sequence) == 56 else RecordId(0, 0)


async def _fill(url: str, records: int) -> tuple[list[str], list[str], list[list[RecordId]]]:
    """Store the backlog through the store's own door; return each shard's unit, Redis stream and ids."""
    client = make_client(url)
    store = await open_store(
        redis_lanes(client),
        prefix=_DEFAULTS.key_prefix,
        partitions=_DEFAULTS.partitions,
        clock=SystemClock(),
        random=Random(1),
    )
    stream = store.streams.catalogue.get(_NAME.key)
    assert stream is not None, "the stream is not there"
    shards = [store.streams.shard(stream, index) for index in range(SHARDS)]
    data = b"x" * RECORD_BYTES
    ids: list[list[RecordId]] = [[] for _ in shards]
    each = records // SHARDS
    for first in range(0, each, PUT_RECORDS):
        batch = [(f"key-{number}".encode(), data) for number in range(first, min(first + PUT_RECORDS, each))]
        stored = await asyncio.gather(*(store.streams.put(shard, batch) for shard in shards))
        for mine, put in zip(ids, stored, strict=True):
            mine.extend(RecordId(put.first.ms, put.first.n + number) for number in range(put.accepted))
    await store.close()
    units = [f"{shard.id}@{stream.generation}" for shard in stream.shards]
    return units, [shard.all[1] for shard in shards], ids
