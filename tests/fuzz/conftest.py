"""One node for the tests of a module, and what it may not be left with."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.accounts import Account
from tests.fuzz.grammar import ACCOUNT
from tests.fuzz.under_fire import ECHO, Held, NodeUnderFire


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeUnderFire]:
    node = NodeUnderFire(tmp_path_factory.mktemp("fuzz") / "data")
    try:
        node.start()
        account = Account(node.url, account_id=ACCOUNT)
        account.function(ECHO, FunctionName="f")
        account.close()
        yield node
    finally:
        node.stop()


@pytest.fixture
def baseline(node: NodeUnderFire) -> Iterator[Held]:
    """What the node holds; after the test it holds no more, and complains of nothing."""
    with node.probed():  # what is made once and kept
        pass
    before = node.held()
    yield before
    assert not node.leaks(before), node.leaks(before)
    assert node.complaints() == []
    assert node.is_ready()
