"""What shards cost in which nothing happens: a node with one mapping over many of them, everything it runs counted."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import redis

from bench.measure import Effort, Figure, Report
from bench.processes import descendants, usage
from bench.servers import ACCOUNT, REGION, BenchNode, node, valkey

if TYPE_CHECKING:
    from pathlib import Path

SHARDS = 1_000
STREAM = "quiet"
NOOP = "def handler(event, context):\n    pass\n"
SETTLE_S = 3.0


def measure(effort: Effort, folder: Path) -> Report:
    """Watch the node, and the server beside it, for a while each round."""
    nodes: list[float] = []
    servers: list[float] = []
    with valkey(folder / "valkey") as url, node(folder / "data", url) as running:
        client = redis.Redis.from_url(url)
        server = int(client.info("server")["process_id"])
        running.create_function("noop", NOOP)
        running.kinesis("CreateStream", {"StreamName": STREAM, "ShardCount": SHARDS})
        arn = f"arn:aws:kinesis:{REGION}:{ACCOUNT}:stream/{STREAM}"
        body = {"EventSourceArn": arn, "FunctionName": "noop", "StartingPosition": "TRIM_HORIZON"}
        running.call("POST", "/2015-03-31/event-source-mappings", body)
        running.child.wait_until("owned shards", lambda: _owned(client) == SHARDS, seconds=60, poll_s=0.5)
        time.sleep(SETTLE_S)
        for _ in range(effort.rounds):
            own, other = _cpu_s(running), usage(server).cpu_s
            began = time.perf_counter()
            time.sleep(effort.idle_seconds)
            elapsed = time.perf_counter() - began
            nodes.append((_cpu_s(running) - own) / elapsed * 100)
            servers.append((usage(server).cpu_s - other) / elapsed * 100)
        client.close()
    figures = (
        Figure(name=f"node with {SHARDS:,} idle shards", unit="% of a core", values=tuple(nodes), at_most=2.0),
        Figure(name="Valkey beside it", unit="% of a core", values=tuple(servers)),
    )
    what = f"one mapping over {SHARDS:,} shards without records, watched for {effort.idle_seconds:g} s a round"
    return Report(benchmark="idle_shards", what=what, figures=figures)


def _owned(client: redis.Redis) -> int:
    return sum(1 for key in client.scan_iter("*}:lane", count=1_000) if client.hget(key, "o"))


def _cpu_s(running: BenchNode) -> float:
    pid = running.child.pid
    return sum(usage(each).cpu_s for each in (pid, *descendants(pid)))
