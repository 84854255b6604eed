"""`eventrouter streams`: what streams there are, their shards, putting records and resharding."""

from __future__ import annotations

import base64
import contextlib
import threading
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click

from eventrouter.cli.client import NodeClient
from eventrouter.cli.options import node_options, read_argument
from eventrouter.cli.output import print_json, print_table
from eventrouter.clock import SystemClock
from eventrouter.errors import EventRouterError

_TARGET = "Kinesis_20131202"
_CALL_RECORDS = 500
_CALL_BYTES = 4_194_304
"""What one PutRecords takes, with room to spare."""
_LOOK_S = 0.1
_PATIENCE_S = 60.0


@click.group()
def streams() -> None:
    """Look after streams."""


@streams.command()
@click.argument("stream", required=False)
@node_options
def ls(stream: str | None, url: str | None, as_json: bool) -> None:
    """List the streams of the account and region, or the shards of STREAM."""
    with contextlib.closing(NodeClient(url)) as client:
        found = list(_summaries(client)) if stream is None else list(_shards(client, stream))
    if as_json:
        print_json(found)
    elif stream is None:
        headings = ["stream", "status", "mode", "open shards", "consumers", "kept h"]
        print_table(headings, [_summary_row(summary) for summary in found])
    else:
        print_table(
            ["shard", "state", "parents", "from hash key", "to hash key"], [_shard_row(shard) for shard in found]
        )


@streams.command()
@click.argument("stream")
@click.argument("data", required=False, default="{}", metavar="[DATA|@FILE|-]")
@click.option("-k", "--key", default=None, help="The partition key. [default: another one for each record]")
@click.option("-n", "--number", type=click.IntRange(min=1), default=1, help="How often the record is put.")
@node_options
def put(stream: str, data: str, key: str | None, number: int, url: str | None, as_json: bool) -> None:
    """Put a record into STREAM: its data as they stand, from a file, or from stdin."""
    blob = base64.b64encode(read_argument(data)).decode()
    placed: list[dict[str, Any]] = []
    with contextlib.closing(NodeClient(url)) as client:
        step = max(min(_CALL_RECORDS, _CALL_BYTES // max(len(blob), 1)), 1)
        for at in range(0, number, step):
            count = min(step, number - at)
            placed += _put(client, stream, [(key or str(uuid.uuid4()), blob) for _ in range(count)])
    if as_json:
        print_json(placed)
    elif number == 1:
        click.echo(f"{placed[0]['ShardId']}  {placed[0]['SequenceNumber']}")
    else:
        counts = Counter(record["ShardId"] for record in placed)
        print_table(["shard", "records"], sorted(counts.items()))


@streams.command()
@click.argument("stream")
@click.argument("shard")
@click.option("--at", default=None, metavar="HASHKEY", help="Where the second half begins. [default: the middle]")
@node_options
def split(stream: str, shard: str, at: str | None, url: str | None, as_json: bool) -> None:
    """Split SHARD of STREAM in two. Returns once both halves take records."""
    with contextlib.closing(NodeClient(url)) as client:
        middle = at or _middle(client, stream, shard)
        members = {"StreamName": stream, "ShardToSplit": shard, "NewStartingHashKey": middle}
        _reshard(client, stream, "SplitShard", members, as_json=as_json)


@streams.command()
@click.argument("stream")
@click.argument("shard")
@click.argument("adjacent")
@node_options
def merge(stream: str, shard: str, adjacent: str, url: str | None, as_json: bool) -> None:
    """Make one shard of SHARD and ADJACENT of STREAM. Returns once it takes records."""
    with contextlib.closing(NodeClient(url)) as client:
        members = {"StreamName": stream, "ShardToMerge": shard, "AdjacentShardToMerge": adjacent}
        _reshard(client, stream, "MergeShards", members, as_json=as_json)


def _call(client: NodeClient, operation: str, members: Mapping[str, Any]) -> Any:
    return client.call("kinesis", f"{_TARGET}.{operation}", members, version="1.1")


def _summaries(client: NodeClient) -> Iterator[dict[str, Any]]:
    members: dict[str, Any] = {}
    while True:
        page = _call(client, "ListStreams", members)
        for name in page["StreamNames"]:
            yield _summary(client, name)
        if not page["HasMoreStreams"]:
            return
        members = {"NextToken": page["NextToken"]}


def _summary(client: NodeClient, stream: str) -> dict[str, Any]:
    summary: dict[str, Any] = _call(client, "DescribeStreamSummary", {"StreamName": stream})["StreamDescriptionSummary"]
    return summary


def _shards(client: NodeClient, stream: str) -> Iterator[dict[str, Any]]:
    members: dict[str, Any] = {"StreamName": stream}
    while True:
        page = _call(client, "ListShards", members)
        yield from page["Shards"]
        if not page.get("NextToken"):
            return
        members = {"NextToken": page["NextToken"]}


def _summary_row(summary: Mapping[str, Any]) -> list[object]:
    return [
        summary["StreamName"],
        summary["StreamStatus"],
        summary["StreamModeDetails"]["StreamMode"],
        summary["OpenShardCount"],
        summary["ConsumerCount"],
        summary["RetentionPeriodHours"],
    ]


def _shard_row(shard: Mapping[str, Any]) -> list[object]:
    parents = [shard[name] for name in ("ParentShardId", "AdjacentParentShardId") if shard.get(name)]
    hashes = shard["HashKeyRange"]
    return [
        shard["ShardId"],
        "closed" if _is_closed(shard) else "open",
        ", ".join(parents),
        hashes["StartingHashKey"],
        hashes["EndingHashKey"],
    ]


def _is_closed(shard: Mapping[str, Any]) -> bool:
    return "EndingSequenceNumber" in shard["SequenceNumberRange"]


def _put(client: NodeClient, stream: str, records: Sequence[tuple[str, str]]) -> list[dict[str, Any]]:
    """Put records with one call, and again what a limit kept out; return where each is."""
    waiting = [{"PartitionKey": key, "Data": blob} for key, blob in records]
    placed: list[dict[str, Any]] = []
    pause, clock = threading.Event(), SystemClock()
    deadline = clock.monotonic() + _PATIENCE_S
    while True:
        answers = _call(client, "PutRecords", {"StreamName": stream, "Records": waiting})["Records"]
        placed += [answer for answer in answers if "ErrorCode" not in answer]
        refused = [answer for answer in answers if "ErrorCode" in answer]
        if not refused:
            return placed
        if clock.monotonic() > deadline:
            raise EventRouterError(f"{len(refused)} records were not put: {refused[0].get('ErrorMessage')}")
        waiting = [record for record, answer in zip(waiting, answers, strict=True) if "ErrorCode" in answer]
        pause.wait(_LOOK_S)


def _middle(client: NodeClient, stream: str, shard: str) -> str:
    """Return the hash key that begins the second half of a shard's range."""
    for found in _shards(client, stream):
        if found["ShardId"] == shard:
            hashes = found["HashKeyRange"]
            return str((int(hashes["StartingHashKey"]) + int(hashes["EndingHashKey"]) + 1) // 2)
    raise click.UsageError(f"{stream} has no shard {shard}")


def _reshard(client: NodeClient, stream: str, operation: str, members: Mapping[str, Any], *, as_json: bool) -> None:
    """Reshard, wait until the stream is as it will be, and print the new shards."""
    before = {shard["ShardId"] for shard in _shards(client, stream)}
    _call(client, operation, members)
    pause, clock = threading.Event(), SystemClock()
    deadline = clock.monotonic() + _PATIENCE_S
    while (status := _summary(client, stream)["StreamStatus"]) != "ACTIVE":
        if clock.monotonic() > deadline:
            raise EventRouterError(f"{stream} is still {status} after {_PATIENCE_S:.0f} s")
        pause.wait(_LOOK_S)
    opened = [shard for shard in _shards(client, stream) if shard["ShardId"] not in before]
    if as_json:
        print_json(opened)
    else:
        for shard in opened:
            click.echo(f"opened  {shard['ShardId']}")
