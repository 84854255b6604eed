"""The servers for the contract tests: two in this process, and one embedded Valkey for the whole run."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from eventrouter.store.embedded import EmbeddedValkey
from tests.store.worlds import Server, fakeredis_server, memory_server, valkey_server


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedValkey]:
    """One embedded server without persistence; tests flush it."""
    with asyncio.Runner() as runner:
        server = EmbeddedValkey(tmp_path_factory.mktemp("valkey"), "memory", maxmemory=256 * 1024 * 1024)
        runner.run(server.__aenter__())
        try:
            yield server
        finally:
            runner.run(server.__aexit__(None, None, None))


@pytest.fixture(params=["memory", "fakeredis", "valkey"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """Each server in turn, empty."""
    if request.param == "valkey":
        yield valkey_server(request.getfixturevalue("valkey").url)
    elif request.param == "memory":
        yield memory_server()
    else:
        with fakeredis_server() as fake:
            yield fake
