"""One node for the handlers of Powertools, with moto beside it for DynamoDB, and one account a test."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from moto.server import ThreadedMotoServer

from eventrouter.store.embedded import EmbeddedValkey
from tests.e2e.accounts import Account, Notes
from tests.e2e.nodes import NodeProcess, shared_folder
from tests.e2e.streams import Bench, a_bench
from tests.powertools.functions import Functions
from tests.powertools.tables import Tables


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark everything in this folder as conformance."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.conformance)


@pytest.fixture(scope="session")
def tables() -> Iterator[Tables]:
    """DynamoDB and its streams, by moto in a thread."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        with Tables(f"http://{host}:{port}") as tables:
            yield tables
    finally:
        server.stop()


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory, tables: Tables) -> Iterator[NodeProcess]:
    """A `dev` node that retries events after 0.2 s and 0.4 s, and reads moto's streams of tables."""
    data_dir = tmp_path_factory.mktemp("powertools") / "data"
    process = NodeProcess(
        data_dir,
        environment={
            "EVENTROUTER_ASYNC_RETRY_BASE_DELAY": "0.2",
            "EVENTROUTER_DYNAMODB_STREAMS_ENDPOINT": tables.url,
        },
    )
    try:
        yield process.start()
    finally:
        process.stop()


@pytest.fixture
def account(node: NodeProcess) -> Iterator[Account]:
    """An account that no other test uses."""
    account = Account(node.url)
    yield account
    for mapping in account.lambda_.list_event_source_mappings()["EventSourceMappings"]:
        account.lambda_.delete_event_source_mapping(UUID=mapping["UUID"])
    account.close()


@pytest.fixture
def notes() -> Iterator[Notes]:
    with shared_folder() as folder:
        yield Notes(folder)


@pytest.fixture
def functions(account: Account, notes: Notes, tables: Tables) -> Functions:
    return Functions(account, notes, tables.url)


@pytest.fixture
def bench(node: NodeProcess) -> Iterator[Bench]:
    """An account with streams that no other test uses."""
    with a_bench(node.url) as bench:
        yield bench


@pytest.fixture(scope="session")
def cache_socket() -> Iterator[Path]:
    """The socket of a Valkey server that functions use as their cache: not the node's own."""
    with shared_folder() as folder:
        ready, over = threading.Event(), threading.Event()
        failures: list[BaseException] = []
        server = EmbeddedValkey(folder / "cache", "memory", maxmemory=64 * 2**20)

        async def run() -> None:
            async with server:
                ready.set()
                await asyncio.to_thread(over.wait)

        def serve() -> None:
            try:
                asyncio.run(run())
            except BaseException as error:
                failures.append(error)
                ready.set()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            assert ready.wait(30), "the cache did not start"
            assert not failures, failures
            yield server.socket
        finally:
            over.set()
            thread.join(30)
