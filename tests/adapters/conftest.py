"""One node for the tests that speak to adapters with boto3, and one account a test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.accounts import Account
from tests.e2e.nodes import NodeProcess

pytest.register_assert_rewrite(
    "eventrouter.testing.queue_source_suite",
    "eventrouter.testing.stream_source_suite",
    "eventrouter.testing.stream_world",
)


@pytest.fixture(scope="session")
def adapter_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    """A `dev` node with its embedded server."""
    process = NodeProcess(tmp_path_factory.mktemp("adapters") / "data")
    try:
        yield process.start()
    finally:
        process.stop()


@pytest.fixture
def account(adapter_node: NodeProcess) -> Iterator[Account]:
    """An account that no other test uses."""
    account = Account(adapter_node.url)
    yield account
    account.close()
