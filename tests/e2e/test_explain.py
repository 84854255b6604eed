"""Two nodes on one server: either explains what the other has decided, and what it remembers after the other died."""

from __future__ import annotations

import json
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.servers import ValkeyProcess
from tests.e2e.accounts import Account
from tests.e2e.nodes import NodeProcess, wait_until

BROKEN = """
def handler(event, context):
    raise ValueError("broken")
"""


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[tuple[NodeProcess, NodeProcess]]:
    with tempfile.TemporaryDirectory(prefix="er-") as folder:
        server = ValkeyProcess(Path(folder)).start()
        pair = [NodeProcess(tmp_path / name, redis_url=server.url) for name in ("first", "second")]
        try:
            yield pair[0].start(), pair[1].start()
        finally:
            for node in pair:
                node.stop()
            server.kill()


def explained(node: NodeProcess, subject: str) -> dict[str, Any]:
    with urllib.request.urlopen(f"{node.url}/_eventrouter/explain/{subject}", timeout=10) as answer:
        told: dict[str, Any] = json.loads(answer.read())
    return told


def steps(told: dict[str, Any]) -> list[str]:
    return [each["step"] for each in told["history"]]


def incarnation(node: NodeProcess) -> str:
    with urllib.request.urlopen(f"{node.url}/health", timeout=10) as answer:
        return str(json.loads(answer.read())["incarnation"])


def test_any_node_tells_the_whole_history_and_the_store_what_a_dead_one_has_taken_along(
    nodes: tuple[NodeProcess, NodeProcess],
) -> None:
    first, second = nodes
    account = Account(first.url)
    name = account.function(BROKEN)
    answer = account.lambda_.invoke(FunctionName=name, InvocationType="Event", Payload=b"{}")
    request_id = answer["ResponseMetadata"]["RequestId"]
    account.close()
    wait_until("the first attempt to fail", lambda: steps(explained(first, request_id))[-1:] == ["scheduled"])

    told = explained(second, request_id)
    assert told["history"] == explained(first, request_id)["history"]
    assert steps(told) == ["accepted", "invoked", "failed", "scheduled"]
    assert told["history"][0]["node"] == incarnation(first)
    assert told["now"] == f"waits for attempt 2 of 3 of {name}"

    mine = [each for each in told["history"] if each["node"] == incarnation(second)]
    first.kill()
    told = explained(second, request_id)

    assert told["history"] == mine
    assert told["now"] == f"waits for attempt 2 of 3 of {name}"
    assert "Counted by the store: claims by nodes 1, function errors 1." in told["notes"]
    assert f"Node {first.url} did not answer: what it did is missing here." in told["notes"]


def test_what_no_node_knows_is_not_found(nodes: tuple[NodeProcess, NodeProcess]) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        explained(nodes[1], "nothing")

    assert refused.value.code == 404
    refused.value.close()
