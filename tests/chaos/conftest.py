"""A Valkey of its own for each test, with its data on disk."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.servers import ValkeyProcess
from tests.e2e.nodes import shared_folder


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark everything in this folder as chaos."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.chaos)


@pytest.fixture
def valkey() -> Iterator[ValkeyProcess]:
    """A running server; its folder has a short name, as unix sockets need one."""
    with tempfile.TemporaryDirectory(prefix="er-") as folder:
        server = ValkeyProcess(Path(folder)).start()
        yield server
        server.kill()


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that the functions write their history into."""
    with shared_folder() as path:
        yield path
