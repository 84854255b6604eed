"""Every source of ours keeps to what the port of stream sources promises."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import boto3
import pytest
from moto.server import ThreadedMotoServer

from eventrouter.testing.stream_source_suite import Play, StreamSourceSuite
from tests.adapters.dynamodb_streams import StreamsServer
from tests.adapters.stream_worlds import MotoWorld, ServerWorld, dynamodb_source, play_kinesis

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def streams_world() -> Iterator[ServerWorld]:
    with StreamsServer() as server, dynamodb_source(server.url) as source:
        yield ServerWorld(source, server)


@pytest.fixture(scope="module")
def moto_world() -> Iterator[MotoWorld]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    tables = boto3.client("dynamodb", endpoint_url=url, region_name="us-east-1")
    try:
        with dynamodb_source(url) as source:
            yield MotoWorld(source, tables)
    finally:
        tables.close()
        server.stop()


class TestKinesis(StreamSourceSuite):
    @pytest.fixture
    def play(self) -> Play:
        return play_kinesis


class TestDynamoDBStreams(StreamSourceSuite):
    @pytest.fixture
    def play(self, streams_world: ServerWorld) -> Play:
        return lambda scenario: asyncio.run(scenario(streams_world))


class TestDynamoDBStreamsOfMoto(StreamSourceSuite):
    @pytest.fixture
    def play(self, moto_world: MotoWorld) -> Iterator[Play]:
        yield lambda scenario: asyncio.run(scenario(moto_world))
        moto_world.forget_tables()
