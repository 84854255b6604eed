"""A small DynamoDB Streams server that keeps to what AWS's does and moto's does not: closed shards, trimmed records,
iterators that expire, empty pages between records, ends. Source: lambda-semantics §7.6.
"""

from __future__ import annotations

import itertools
import json
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

FIRST_SEQUENCE = 100_000_000_000_000_000_001


class Refusal(Exception):
    """A modelled error."""


@dataclass
class Shard:
    id: str
    parent: str | None = None
    records: list[dict[str, Any]] = field(default_factory=list)
    trimmed: int = 0
    is_closed: bool = False


@dataclass
class Stream:
    arn: str
    shards: list[Shard]


class StreamsServer:
    """One endpoint. Use it as a context manager; `shards_a_page`, `empty_pages` and `fail_with` may be set."""

    def __init__(self) -> None:
        self.streams: dict[str, Stream] = {}
        self.calls: list[str] = []
        self.shards_a_page = 100
        self.empty_pages = 0
        self.fail_with: tuple[int, str] | None = None
        self._iterators: dict[str, tuple[Stream, Shard, int, int]] = {}
        self._numbers = itertools.count()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01})

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    def make(self, table: str, shards: int = 1) -> str:
        arn = (
            f"arn:aws:dynamodb:eu-west-1:000000000000:table/{table}/stream/2024-06-10T19:26:16.{next(self._numbers):03}"
        )
        self.streams[arn] = Stream(arn, [self._shard() for _ in range(shards)])
        return arn

    def put(self, arn: str, key: str, **change: Any) -> None:
        """Add a record; `change` overrides members of `dynamodb`, `record` members of the record itself."""
        takes = [shard for shard in self.streams[arn].shards if not shard.is_closed]
        shard = takes[sum(key.encode()) % len(takes)]
        record = change.pop("record", {})
        number = next(self._numbers)
        members = {
            "ApproximateCreationDateTime": int(time.time()),
            "Keys": {"id": {"S": key}},
            "SequenceNumber": str(FIRST_SEQUENCE + number),
            "SizeBytes": 46,
            "StreamViewType": "NEW_AND_OLD_IMAGES",
        }
        shown = {
            "eventID": f"{number:032x}",
            "eventName": "INSERT",
            "eventVersion": "1.1",
            "eventSource": "aws:dynamodb",
        }
        shard.records.append({**shown, "awsRegion": "eu-west-1", **record, "dynamodb": members | change})

    def split(self, arn: str, shard_id: str) -> None:
        stream = self.streams[arn]
        self._find(stream, shard_id).is_closed = True
        stream.shards.append(self._shard(shard_id))

    def trim(self, arn: str) -> None:
        for shard in self.streams[arn].shards:
            shard.trimmed = len(shard.records)

    def expire_iterators(self) -> None:
        self._iterators.clear()

    def _shard(self, parent: str | None = None) -> Shard:
        return Shard(f"shardId-{next(self._numbers):020d}-0a1b2c3d", parent)

    def _find(self, stream: Stream, shard_id: str) -> Shard:
        for shard in stream.shards:
            if shard.id == shard_id:
                return shard
        raise Refusal("ResourceNotFoundException", f"Requested resource not found: Shard {shard_id} is not there")

    def _stream(self, arn: str) -> Stream:
        if arn not in self.streams:
            raise Refusal("ResourceNotFoundException", f"Requested resource not found: Stream: {arn} not found")
        return self.streams[arn]

    def answer(self, operation: str, members: dict[str, Any]) -> dict[str, Any]:
        self.calls.append(operation)
        match operation:
            case "DescribeStream":
                return self._describe(self._stream(members["StreamArn"]), members.get("ExclusiveStartShardId"))
            case "GetShardIterator":
                stream = self._stream(members["StreamArn"])
                shard = self._find(stream, members["ShardId"])
                return {"ShardIterator": self._iterate(stream, shard, self._index(shard, members))}
            case _:
                return self._records(members["ShardIterator"], members["Limit"])

    def _describe(self, stream: Stream, start: str | None) -> dict[str, Any]:
        ids = [shard.id for shard in stream.shards]
        first = ids.index(start) + 1 if start else 0
        page = stream.shards[first : first + self.shards_a_page]
        shards = [{"ShardId": shard.id} | ({"ParentShardId": shard.parent} if shard.parent else {}) for shard in page]
        more = {"LastEvaluatedShardId": page[-1].id} if first + len(page) < len(ids) else {}
        label = stream.arn.rpartition("/")[2]
        return {"StreamDescription": {"StreamArn": stream.arn, "StreamLabel": label, "Shards": shards, **more}}

    def _index(self, shard: Shard, members: dict[str, Any]) -> int:
        if members["ShardIteratorType"] == "TRIM_HORIZON":
            return shard.trimmed
        first = int(members["SequenceNumber"]) + (members["ShardIteratorType"] == "AFTER_SEQUENCE_NUMBER")
        index = sum(int(record["dynamodb"]["SequenceNumber"]) < first for record in shard.records)
        if index < shard.trimmed:
            raise Refusal("TrimmedDataAccessException", "The operation attempted to read past the oldest record")
        return index

    def _iterate(self, stream: Stream, shard: Shard, index: int, empty: int | None = None) -> str:
        name = f"iterator-{next(self._numbers)}"
        self._iterators[name] = (stream, shard, index, self.empty_pages if empty is None else empty)
        return name

    def _records(self, iterator: str, limit: int) -> dict[str, Any]:
        if iterator not in self._iterators:
            raise Refusal("ExpiredIteratorException", "Iterator expired")
        stream, shard, index, empty = self._iterators[iterator]
        self._find(self._stream(stream.arn), shard.id)
        if index < shard.trimmed:
            raise Refusal("TrimmedDataAccessException", "The operation attempted to read past the oldest record")
        if empty:
            return {"Records": [], "NextShardIterator": self._iterate(stream, shard, index, empty - 1)}
        page = shard.records[index : index + limit]
        is_end = shard.is_closed and index + len(page) == len(shard.records)
        following = {} if is_end else {"NextShardIterator": self._iterate(stream, shard, index + len(page))}
        return {"Records": page, **following}

    def _handler(server) -> type[BaseHTTPRequestHandler]:  # noqa: N805
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # one packet an answer: the second of two would wait for an acknowledgement

            def do_POST(self) -> None:
                members = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                operation = self.headers["X-Amz-Target"].partition(".")[2]
                try:
                    if server.fail_with is not None:
                        status, body = server.fail_with[0], {"__type": server.fail_with[1], "message": "told to fail"}
                    else:
                        status, body = 200, server.answer(operation, members)
                except Refusal as refusal:
                    status, body = (
                        400,
                        {"__type": f"com.amazonaws.dynamodb#{refusal.args[0]}", "message": refusal.args[1]},
                    )
                text = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/x-amz-json-1.0")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_: object) -> None:
                pass

        return Handler
