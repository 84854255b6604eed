"""Streams behind each source of ours, as the suite of stream sources wants them."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable, Mapping
from contextlib import contextmanager, suppress
from random import Random
from typing import Any

from eventrouter.clock import Clock, Pause, SystemClock
from eventrouter.ports import Adapter, AdapterContext, SourceShard, StreamRecord
from eventrouter.settings import Settings
from eventrouter.store import open_store, redis_lanes
from eventrouter.testing.redis import virtual_redis
from eventrouter.testing.stream_world import StreamWorld
from eventrouter.testing.virtual import run_virtual, virtual_clock
from eventrouter_adapters import kinesis
from eventrouter_adapters.dynamodb.api import StreamsApi
from eventrouter_adapters.dynamodb.source import DynamoDBStreamSource
from tests.adapters.dynamodb_streams import StreamsServer
from tests.adapters.world import CALLER

POLL_INTERVAL_S = 0.02


@contextmanager
def dynamodb_source(endpoint: str):
    """A source of an endpoint, without connections left behind."""
    api = StreamsApi(endpoint)
    try:
        yield DynamoDBStreamSource(api, clock=SystemClock(), poll_interval_s=POLL_INTERVAL_S)
    finally:
        api.close()


class _DynamoDBWorld(StreamWorld):
    def __init__(self, source: DynamoDBStreamSource) -> None:
        self.source = source
        self.clock = SystemClock()

    def payload(self, record: StreamRecord) -> str:
        return json.loads(record.event)["dynamodb"]["NewImage"]["payload"]["S"]


class ServerWorld(_DynamoDBWorld):
    """Streams of our own small server."""

    def __init__(self, source: DynamoDBStreamSource, server: StreamsServer) -> None:
        super().__init__(source)
        self._server = server

    async def make_stream(self, name: str, *, shards: int = 1) -> str:
        return self._server.make(name, shards)

    async def put(self, arn: str, key: str, payload: str) -> None:
        self._server.put(arn, key, NewImage={"id": {"S": key}, "payload": {"S": payload}})

    async def delete_stream(self, arn: str) -> None:
        del self._server.streams[arn]

    async def split(self, arn: str, shard: SourceShard) -> None:
        self._server.split(arn, shard.id)

    async def outlive_retention(self, arn: str) -> None:
        self._server.trim(arn)


class MotoWorld(_DynamoDBWorld):
    """Streams of tables in moto, which has one shard a stream."""

    def __init__(self, source: DynamoDBStreamSource, tables: Any) -> None:
        super().__init__(source)
        self._tables = tables

    async def make_stream(self, name: str, *, shards: int = 1) -> str:
        def make() -> str:
            description = self._tables.create_table(
                TableName=name,
                KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
                AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
                BillingMode="PAY_PER_REQUEST",
                StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
            )["TableDescription"]
            return description["LatestStreamArn"]

        return await asyncio.to_thread(make)

    async def put(self, arn: str, key: str, payload: str) -> None:
        item = {"id": {"S": key}, "payload": {"S": payload}}
        await asyncio.to_thread(self._tables.put_item, TableName=arn.split("/")[1], Item=item)

    async def delete_stream(self, arn: str) -> None:
        await asyncio.to_thread(self._tables.delete_table, TableName=arn.split("/")[1])

    def forget_tables(self) -> None:
        for name in self._tables.list_tables()["TableNames"]:
            self._tables.delete_table(TableName=name)


class KinesisWorld(StreamWorld):
    """Streams of ours, in virtual time."""

    def __init__(self, adapter: Adapter, clock: Clock) -> None:
        (self.source,) = adapter.streams
        (api,) = adapter.apis
        self.clock = clock
        self._operations = api.operations

    async def make_stream(self, name: str, *, shards: int = 1) -> str:
        await self._call("CreateStream", StreamName=name, ShardCount=shards)
        summary = await self._call("DescribeStreamSummary", StreamName=name)
        return summary["StreamDescriptionSummary"]["StreamARN"]

    async def put(self, arn: str, key: str, payload: str) -> None:
        await self._call("PutRecord", StreamARN=arn, PartitionKey=key, Data=payload.encode())

    async def delete_stream(self, arn: str) -> None:
        await self._call("DeleteStream", StreamARN=arn)

    def payload(self, record: StreamRecord) -> str:
        return base64.b64decode(json.loads(record.event)["kinesis"]["data"]).decode()

    async def split(self, arn: str, shard: SourceShard) -> None:
        await self._call("SplitShard", StreamARN=arn, ShardToSplit=shard.id, NewStartingHashKey=str(2**127))

    async def outlive_retention(self, arn: str) -> None:
        await self.clock.sleep(25 * 3_600)

    async def _call(self, operation: str, **members: Any) -> Mapping[str, Any]:
        return await self._operations[operation](CALLER, members)


def play_kinesis(scenario: Callable[[StreamWorld], Awaitable[None]]) -> None:
    """Run a scenario in virtual time, on a store of its own, beside the loops that a node runs."""

    async def main() -> None:
        clock = virtual_clock()
        with virtual_redis(lambda: clock.now_ms() / 1_000) as connect:
            client = connect()
            store = await open_store(redis_lanes(client), prefix="er", partitions=1, clock=clock, random=Random(5))
            adapter = kinesis.build(AdapterContext(settings=Settings(), clock=clock, store=store))
            turns = [store.streams.watch.turn, *adapter.loops.values()]
            loops = [asyncio.create_task(_repeat(turn, clock)) for turn in turns]
            try:
                await scenario(KinesisWorld(adapter, clock))
            finally:
                for loop in loops:
                    loop.cancel()
                    with suppress(asyncio.CancelledError):
                        await loop
                await store.close()
                await client.aclose()

    run_virtual(main())


async def _repeat(turn: Callable[[], Awaitable[float]], clock: Clock) -> None:
    while True:
        await clock.pause(Pause.of(await turn()))
