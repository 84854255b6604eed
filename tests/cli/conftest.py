"""What the tests of commands share. Each module brings a node of its own, as the fixture `node`."""

from __future__ import annotations

import pytest

from eventrouter.cli import main


@pytest.fixture
def cli(node, capfd, monkeypatch):
    """Run one command against the node; return its exit code, what it printed, and what it complained about."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", node.url)

    def run(*arguments):
        code = main(list(arguments))
        told = capfd.readouterr()
        return code, told.out, told.err

    return run
