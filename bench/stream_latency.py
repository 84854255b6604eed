"""How long a record takes from its put to its function, with a batch window of 0 and nothing else to do.

Each record carries the time at which its put was sent; the function prints how long ago that was when it began.
Clients, server and function share one clock, since they share a machine.
"""

from __future__ import annotations

import base64
import http.client
import json
import statistics
import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from bench.measure import Effort, Figure, Report
from bench.servers import ACCOUNT, REGION, BenchNode, node, valkey

if TYPE_CHECKING:
    from pathlib import Path

SHARDS = 16
PAUSE_S = 0.01
PUTS = 200
STREAM = "clicks"
HEADERS = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": "Kinesis_20131202.PutRecord"}
TELL = """
import base64, time

def handler(event, context):
    now = time.time()
    for record in event["Records"]:
        print("took", now - float(base64.b64decode(record["kinesis"]["data"])))
"""


def measure(effort: Effort, folder: Path) -> Report:
    """Put records one at a time, and read what the function printed, round by round."""
    medians: list[float] = []
    tails: list[float] = []
    with valkey(folder / "valkey") as url, node(folder / "data", url) as running:
        running.create_function("tell", TELL)
        running.kinesis("CreateStream", {"StreamName": STREAM, "ShardCount": SHARDS})
        arn = f"arn:aws:kinesis:{REGION}:{ACCOUNT}:stream/{STREAM}"
        body = {"EventSourceArn": arn, "FunctionName": "tell", "StartingPosition": "TRIM_HORIZON"}
        running.call("POST", "/2015-03-31/event-source-mappings", body)
        connection = http.client.HTTPConnection(urlsplit(running.url).netloc, timeout=30)
        _put(connection, SHARDS * 4)  # environments are started before anything counts
        seen = SHARDS * 4
        _wait(running, seen)
        for _ in range(effort.rounds):
            _put(connection, PUTS)
            fresh = _wait(running, seen + PUTS)[seen:]
            seen += PUTS
            medians.append(statistics.median(fresh))
            tails.append(sorted(fresh)[int(len(fresh) * 0.99) - 1])
        connection.close()
    figures = (
        Figure(name="put to invoke, p50", unit="ms", values=tuple(medians), at_most=10.0),
        Figure(name="put to invoke, p99", unit="ms", values=tuple(tails)),
    )
    what = f"PutRecord every {PAUSE_S * 1_000:g} ms over {SHARDS} shards, BatchSize 100, batch window 0"
    return Report(benchmark="stream_latency", what=what, figures=figures)


def _put(connection: http.client.HTTPConnection, records: int) -> None:
    for number in range(records):
        data = base64.b64encode(repr(time.time()).encode()).decode()
        body = json.dumps({"StreamName": STREAM, "Data": data, "PartitionKey": f"key-{number}"})
        connection.request("POST", "/", body, HEADERS)
        answer = connection.getresponse()
        text = answer.read()
        assert b"SequenceNumber" in text, f"{answer.status} {text[:500]!r}"
        time.sleep(PAUSE_S)


def _wait(running: BenchNode, records: int) -> list[float]:
    """Return what the function has printed once it has seen so many records."""
    running.child.wait_until("records", lambda: len(_taken(running)) >= records, seconds=60, poll_s=0.5)
    return _taken(running)


def _taken(running: BenchNode) -> list[float]:
    """Return what the function has printed so far, in milliseconds."""
    return [took * 1_000 for took in running.printed("tell", "took")]
