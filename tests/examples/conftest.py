"""The fixtures come from the plugin, as in any project that has eventrouter installed; only the mark is ours."""

from __future__ import annotations

from pathlib import Path

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark everything in this folder as integration."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.integration)


@pytest.fixture
def anyio_backend() -> str:
    """The loop of the async tests."""
    return "asyncio"
