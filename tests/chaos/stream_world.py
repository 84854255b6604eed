"""Nodes on one Valkey, streams under load, and functions behind mappings that keep a story each."""

from __future__ import annotations

import json
import os
import secrets
import signal
import threading
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
from tests.chaos.processes import descendants, is_alive
from tests.chaos.servers import ValkeyProcess, look
from tests.chaos.stream_checker import violations
from tests.chaos.stream_history import SOURCE, Batch, Dropped, Probe, Record, Story, in_flight, read_batches
from tests.e2e.accounts import REGION, Account, Queue
from tests.e2e.nodes import NodeProcess, wait_until
from tests.e2e.streams import Stream

BATCH_SIZE = 4
KEYS = 16
QUICK = {"EVENTROUTER_MAPPING_MAX_BACKOFF_S": "1"}


@dataclass
class Feed:
    """A stream, the mapping that reads it, and all that is known of its records."""

    stream: Stream
    uuid: str
    lanes: int
    path: Path
    story: Story
    failed: Queue | None = None

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


class Load:
    """A thread that puts records on a stream, until it is stopped, and notes what it is told of each."""

    def __init__(self, feed: Feed, random: Random, *, seconds: float) -> None:
        self._feed = feed
        self._random = random
        self._seconds = seconds
        self._enough = threading.Event()
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> Load:
        self._thread.start()
        return self

    def end(self) -> None:
        """Say that it is enough."""
        self._enough.set()

    def stop(self) -> None:
        """End the load, and wait until it has ended."""
        self.end()
        self._thread.join(60)
        assert not self._thread.is_alive()
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        try:
            while not self._enough.wait(0.1 + 0.2 * self._random.random()):
                put(self._feed, self._random, self._random.randrange(1, 6), seconds=self._seconds)
        except Exception as error:
            self._failure = error


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


class StreamWorld:
    """One account on one or two nodes. Callers use the first node; the others only work."""

    def __init__(self, folder: Path, valkey: ValkeyProcess, *, nodes: int, seed: int) -> None:
        print(f"seed {seed}")
        self.random = Random(seed)
        self.valkey = valkey
        self.nodes = [
            NodeProcess(folder / f"node-{at}", redis_url=valkey.url, environment=QUICK) for at in range(nodes)
        ]
        self.feeds: list[Feed] = []
        self.loads: list[Load] = []
        self._folder = folder
        starters = [threading.Thread(target=node.start) for node in self.nodes]
        for starter in starters:
            starter.start()
        for starter in starters:
            starter.join()
        for node in self.nodes:
            wait_until("every node to be ready", node.is_ready)
        self.account = Account(self.nodes[0].url)
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

    def load(self, feed: Feed, *, seconds: float = 0.05) -> Load:
        load = Load(feed, Random(self.random.random()), seconds=seconds).start()
        self.loads.append(load)
        return load

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

    def in_flight_on(self, node: NodeProcess, feed: Feed) -> list[Batch]:
        """Return the batches of a feed that run on a node now."""
        below = set(descendants(node.process.pid))
        return [batch for batch in feed.in_flight() if batch.home in below]

    # Faults.

    def kill_environment(self, pid: int) -> None:
        with self.fault(f"environment {pid}", {pid}):
            os.kill(pid, signal.SIGKILL)
        wait_until(f"{pid} to be gone", lambda: not is_alive(pid))

    def kill_node(self, node: NodeProcess) -> None:
        """Kill a node; its environments end with it."""
        below = set(descendants(node.process.pid))
        with self.fault("node", below):
            node.kill()
            wait_until("its processes to be gone", lambda: not [pid for pid in below if is_alive(pid)])

    @contextmanager
    def stopped(self, node: NodeProcess) -> Iterator[None]:
        """Stop a node for the length of the block, which begins once its environments have been ended."""
        below = set(descendants(node.process.pid))
        with self.fault("stopped node", below):
            node.process.send_signal(signal.SIGSTOP)
            running = {batch.pid for feed in self.feeds for batch in feed.in_flight() if batch.home in below}
            wait_until("its environments to be ended", lambda: not [pid for pid in running if is_alive(pid)])
        yield
        node.process.send_signal(signal.SIGCONT)

    @contextmanager
    def fault(self, what: str, processes: set[int] | None = None) -> Iterator[None]:
        """Note a fault that lasts from the beginning of the block to its end, and the environments that it hits."""
        began = time.monotonic_ns()
        yield
        until = time.monotonic_ns()
        for feed in self.feeds:
            hit = None
            if processes is not None:
                hit = frozenset(b.pid for b in feed.batches() if b.pid in processes or b.home in processes)
            feed.story.faults.append(Fault(what, began, until, hit))

    # The end.

    def settle(self, *, seconds: float = 30) -> None:
        """End all load, wait until everything put is resolved, and check every promise."""
        for load in self.loads:
            load.stop()
        self.loads.clear()
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
        for load in self.loads:
            load.end()
        self.kinesis.close()
        self.account.close()
        for node in self.nodes:
            if node.process.poll() is None:
                node.process.send_signal(signal.SIGCONT)
                node.terminate()
        for node in self.nodes:
            node.stop()


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
