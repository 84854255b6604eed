"""One node for the whole run, with short retry delays, and one account a test."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.accounts import Account, Notes
from tests.e2e.nodes import NodeProcess, shared_folder, wait_until
from tests.e2e.streams import Aged, Bench, a_bench


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark everything in this folder as conformance; what waits for records to age comes last."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.conformance)
    items.sort(key=lambda item: "aged" in getattr(item, "fixturenames", ()))


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    """A `dev` node with its embedded server that retries events after 0.2 s and 0.4 s."""
    data_dir = tmp_path_factory.mktemp("node") / "data"
    process = NodeProcess(data_dir, environment={"EVENTROUTER_ASYNC_RETRY_BASE_DELAY": "0.2"})
    try:
        yield process.start()
    finally:
        process.stop()


@pytest.fixture(scope="session")
def patient_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    """A node with AWS's own retry delays of one and two minutes, and four concurrent executions an account."""
    data_dir = tmp_path_factory.mktemp("patient") / "data"
    process = NodeProcess(data_dir, environment={"EVENTROUTER_ACCOUNT_CONCURRENCY": "4"})
    try:
        yield process.start()
    finally:
        process.stop()


@pytest.fixture
def account(node: NodeProcess) -> Iterator[Account]:
    """An account that no other test uses."""
    account = Account(node.url)
    yield account
    account.close()


@pytest.fixture
def patient_account(patient_node: NodeProcess) -> Iterator[Account]:
    """An account on the patient node."""
    account = Account(patient_node.url)
    yield account
    account.close()


@pytest.fixture
def notes() -> Iterator[Notes]:
    with shared_folder() as folder:
        yield Notes(folder)


@pytest.fixture(scope="session")
def ageing(node: NodeProcess) -> Iterator[Aged]:
    """Put a record at the first test with streams, for the last one: it has aged meanwhile."""
    with a_bench(node.url) as bench:
        stream = bench.stream()
        [sequence] = stream.put("old")
        yield Aged(bench, stream, sequence)


@pytest.fixture
def aged(ageing: Aged) -> Aged:
    """Return that stream once its record is over the lowest maximum age that a mapping may have."""
    [record] = ageing.stream.records()
    due_at = record["ApproximateArrivalTimestamp"].timestamp() + 60
    wait_until("its record to be old", lambda: time.time() > due_at, seconds=65)
    return ageing


@pytest.fixture
def bench(node: NodeProcess, ageing: Aged) -> Iterator[Bench]:
    """An account with streams that no other test uses."""
    with a_bench(node.url) as bench:
        yield bench
