"""How fast one client stores records through the HTTP door: PutRecords of 500, unsigned and raw, and with boto3.

One connection, one call at a time: the client's own work is part of the time. The raw client sends bodies that it
has made before; boto3 serialises, signs and parses each call.
"""

from __future__ import annotations

import base64
import http.client
import json
import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import boto3

from bench.measure import Effort, Figure, Report
from bench.servers import REGION, BenchNode, node, valkey

if TYPE_CHECKING:
    from pathlib import Path

SHARDS = 16
PUT_RECORDS = 500
RECORD_BYTES = 200
STREAM = "clicks"
HEADERS = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": "Kinesis_20131202.PutRecords"}


def measure(effort: Effort, folder: Path) -> Report:
    """Store records a round, by each client."""
    raw: list[float] = []
    with_boto3: list[float] = []
    calls = effort.records // PUT_RECORDS // 4
    with valkey(folder / "valkey") as url, node(folder / "data", url) as running:
        running.kinesis("CreateStream", {"StreamName": STREAM, "ShardCount": SHARDS})
        for _ in range(effort.rounds):
            raw.append(_put_raw(running, calls))
            with_boto3.append(_put_boto3(running, calls // 2))
    figures = (
        Figure(name="raw HTTP, unsigned", unit="records/s", values=tuple(raw), at_least=15_000),
        Figure(name="boto3", unit="records/s", values=tuple(with_boto3)),
    )
    what = f"PutRecords of {PUT_RECORDS} records of {RECORD_BYTES} bytes to {SHARDS} shards, one client"
    return Report(benchmark="put_records", what=what, figures=figures)


def _put_raw(running: BenchNode, calls: int) -> float:
    data = base64.b64encode(b"x" * RECORD_BYTES).decode()
    bodies = [
        json.dumps(
            {
                "StreamName": STREAM,
                "Records": [{"Data": data, "PartitionKey": f"key-{body}-{number}"} for number in range(PUT_RECORDS)],
            }
        ).encode()
        for body in range(8)
    ]
    connection = http.client.HTTPConnection(urlsplit(running.url).netloc, timeout=30)
    began = time.perf_counter()
    for call in range(calls):
        connection.request("POST", "/", bodies[call % len(bodies)], HEADERS)
        answer = connection.getresponse()
        text = answer.read()
        assert b'"FailedRecordCount":0' in text, f"{answer.status} {text[:500]!r}"
    elapsed = time.perf_counter() - began
    connection.close()
    return calls * PUT_RECORDS / elapsed


def _put_boto3(running: BenchNode, calls: int) -> float:
    client = boto3.client(
        "kinesis",
        endpoint_url=running.url,
        region_name=REGION,
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    data = b"x" * RECORD_BYTES
    records = [{"Data": data, "PartitionKey": f"key-{number}"} for number in range(PUT_RECORDS)]
    began = time.perf_counter()
    for _ in range(calls):
        answer = client.put_records(StreamName=STREAM, Records=records)
        assert answer["FailedRecordCount"] == 0, answer
    elapsed = time.perf_counter() - began
    client.close()
    return calls * PUT_RECORDS / elapsed
