"""One node for the whole run, with short retry delays, and one account a test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.accounts import Account, Notes
from tests.e2e.nodes import NodeProcess, shared_folder


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark everything in this folder as conformance."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.conformance)


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
