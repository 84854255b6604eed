"""Nodes on one Valkey, streams under load, and functions behind mappings that keep a story each."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from eventrouter.store import Store
from tests.chaos.history import Fault
from tests.chaos.node_world import NodeWorld
from tests.chaos.servers import ValkeyProcess, look
from tests.chaos.stream_checker import violations
from tests.chaos.stream_history import SOURCE, Batch, Dropped, Probe, Record, Story, in_flight, read_batches
from tests.e2e.accounts import REGION, Queue
from tests.e2e.nodes import wait_until
from tests.e2e.streams import Stream

BATCH_SIZE = 4
KEYS = 16


@dataclass
class Feed:
    """A stream, the mapping that reads it, and all that is known of its records."""

    stream: Stream
    uuid: str
    lanes: int
    path: Path
    story: Story
    failed: Queue | None = None

    @property
    def faults(self) -> list[Fault]:
        return self.story.faults

    def batches(self) -> list[Batch]:
        self.story.batches = read_batches(self.path)
        return list(self.story.batches)

    def in_flight(self) -> list[Batch]:
        return in_flight(self.batches())

    def done(self) -> int:
        self.batches()
        return len(self.story.done())

    def unresolved(self) -> set[str]:
        self.batches()
        return self.story.unresolved()


def put(feed: Feed, random: Random, count: int, *, seconds: float = 0.02, **more: Any) -> set[str]:
    """Put records of random keys in one call, and note honestly what the caller knows afterwards."""
    wanted = {secrets.token_hex(6): f"key-{random.randrange(KEYS)}" for _ in range(count)}
    entries = [
        {"PartitionKey": key, "Data": json.dumps({"id": identity, "seconds": seconds, **more})}
        for identity, key in wanted.items()
    ]
    try:
        answers = feed.stream.kinesis.put_records(StreamName=feed.stream.name, Records=entries)["Records"]
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] not in {429, 500, 503}:
            raise
        feed.story.unknown |= wanted.keys()
        return set()
    except BotoCoreError:
        feed.story.unknown |= wanted.keys()
        return set()
    stored = set()
    for (identity, key), answer in zip(wanted.items(), answers, strict=True):
        if "SequenceNumber" in answer:
            sequence = int(answer["SequenceNumber"])
            feed.story.put[identity] = Record(identity, answer["ShardId"], sequence, key)
            stored.add(identity)
        elif answer["ErrorCode"] == "InternalFailure":
            feed.story.unknown.add(identity)
    return stored


class StreamWorld(NodeWorld[Feed]):
    """A world whose feeds are streams."""

    def __init__(self, folder: Path, valkey: ValkeyProcess, *, nodes: int, seed: int) -> None:
        super().__init__(folder, valkey, nodes=nodes, seed=seed)
        self.kinesis = self.account.client("kinesis")

    def feed(self, *, shards: int, lanes: int = 1, parks: bool = False, **settings: Any) -> Feed:
        """Make a stream, a function and the mapping between them; `parks`: with an on-failure queue."""
        name = f"s-{secrets.token_hex(4)}"
        path = self._folder / f"{name}.jsonl"
        self.kinesis.create_stream(StreamName=name, ShardCount=shards)
        stream = Stream(self.kinesis, name, f"arn:aws:kinesis:{REGION}:{self.account.id}:stream/{name}")
        stream.wait_active()
        function = self.account.function(SOURCE, Timeout=30, Environment={"Variables": {"HISTORY": str(path)}})
        failed = self.account.queue() if parks else None
        if failed is not None:
            settings["DestinationConfig"] = {"OnFailure": {"Destination": failed.arn}}
        mapping = self.account.lambda_.create_event_source_mapping(
            EventSourceArn=stream.arn,
            FunctionName=function,
            StartingPosition="TRIM_HORIZON",
            BatchSize=BATCH_SIZE,
            ParallelizationFactor=lanes,
            **settings,
        )
        feed = Feed(stream, mapping["UUID"], lanes, path, Story(), failed)
        self.feeds.append(feed)
        return feed

    def load(self, feed: Feed, *, seconds: float = 0.05) -> None:
        """Put records on a stream from now on."""
        self.keep_on(lambda random: put(feed, random, random.randrange(1, 6), seconds=seconds))

    def owners(self, feed: Feed) -> dict[str, str]:
        """Return who reads each shard's unit that is not drained."""

        async def ask(store: Store) -> dict[str, str]:
            units = await store.lanes.units(feed.uuid)
            lanes = {unit: await store.lanes.read(feed.uuid, unit) for unit in units}
            return {unit: lane.owner for unit, lane in lanes.items() if lane is not None and not lane.is_drained}

        return look(self.valkey.url, ask)

    def all_owners(self) -> set[str]:
        return set().union(*(self.owners(feed).values() for feed in self.feeds))

    def wait_shared(self) -> None:
        """Wait until all shards are read, by all nodes together."""

        def are_shared() -> bool:
            owners = self.all_owners()
            return "" not in owners and len(owners) == len(self.nodes)

        wait_until("every node to have its share", are_shared, poll_s=0.2)

    # The end.

    def settle(self, *, seconds: float = 30) -> None:
        """End all load, wait until everything put is resolved, and check every promise."""
        self.end_load()
        for feed in self.feeds:
            wait_until("every record to be resolved", lambda feed=feed: not feed.unresolved(), seconds=seconds)
            wait_until("running batches to end", lambda feed=feed: not feed.in_flight())
            wait_until("the checkpoints to be at the end", lambda feed=feed: self._is_at_end(feed))
            broken = violations(feed.story, lanes=feed.lanes, batch_size=BATCH_SIZE)
            assert not broken, "\n".join(broken[:10])

    def _is_at_end(self, feed: Feed) -> bool:
        """Probe the store, and say whether each shard's checkpoint has reached the last record that was put."""
        highest: dict[str, int] = {}
        for record in feed.story.put.values():
            highest[record.shard] = max(record.sequence, highest.get(record.shard, 0))
        probes = {probe.shard: probe for probe in self.probe(feed)}
        return all(shard in probes and probes[shard].checkpoint >= last for shard, last in highest.items())

    def probe(self, feed: Feed) -> list[Probe]:
        """Note what the store says of the feed's shards."""

        async def ask(store: Store) -> list[Probe]:
            found = []
            for unit in await store.lanes.units(feed.uuid):
                lane = await store.lanes.read(feed.uuid, unit)
                if lane is not None:
                    shard = unit.partition("@")[0]
                    found.append(Probe(time.monotonic_ns(), shard, lane.epoch, int(lane.checkpoint or 0)))
            return found

        found = look(self.valkey.url, ask)
        feed.story.probes += found
        return found

    def close(self) -> None:
        super().close()
        self.kinesis.close()


def dropped(record: Mapping[str, Any]) -> Dropped:
    """Read an on-failure record."""
    info = record["KinesisBatchInfo"]
    first, last = int(info["startSequenceNumber"]), int(info["endSequenceNumber"])
    return Dropped(info["shardId"], first, last, info["batchSize"])


@contextmanager
def stream_world(folder: Path, valkey: ValkeyProcess, *, nodes: int = 1, seed: int = 1) -> Iterator[StreamWorld]:
    """Run a world for the length of the block; everything it started is ended with it."""
    made = StreamWorld(folder, valkey, nodes=nodes, seed=seed)
    try:
        yield made
    finally:
        made.close()
