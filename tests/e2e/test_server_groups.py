"""Whole nodes on a primary behind sentinels, and on a cluster."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.accounts import Account
from tests.e2e.nodes import NodeProcess, wait_until
from tests.e2e.streams import a_bench
from tests.e2e.test_move_tasks import Letters
from tests.e2e.test_serve import check_that_all_parts_work, refusal
from tests.store.groups import ClusterOfServers, Sentinels, cluster, sentinels

pytestmark = pytest.mark.integration

RESUME_S = 5.0
ECHO = "def handler(event, context):\n    return event\n"


@pytest.fixture
def group(tmp_path: Path) -> Iterator[Sentinels]:
    with sentinels(tmp_path / "servers") as group:
        yield group


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterOfServers]:
    with cluster(tmp_path_factory.mktemp("three")) as three:
        yield three


def test_a_node_behind_sentinels_follows_the_primary(group: Sentinels, tmp_path: Path) -> None:
    for server in group.servers:
        server.ask("CONFIG", "SET", "min-replicas-to-write", "1")
    node = NodeProcess(tmp_path / "data", redis_url=group.url)
    try:
        node.start("--durability", "replicated")
        check_that_all_parts_work(node)
        for server in group.servers:
            server.ask("CONFIG", "SET", "min-replicas-to-write", "0")
        account = Account(node.url)
        name = account.function(ECHO)
        old = group.primary

        old.kill()
        group.wait_for_promotion(old)
        promoted_at = time.monotonic()
        wait_until("the node to be ready", node.is_ready)
        assert account.invoke(name, {"n": 1}).json == {"n": 1}
        resumed_s = time.monotonic() - promoted_at
        print(f"\na call is answered {resumed_s:.1f} s after the promotion")
        assert resumed_s <= RESUME_S

        group.rejoin(old.start())
        account.send(name, {"n": 2})
        account.close()
    finally:
        node.stop()


def test_a_node_behind_sentinels_moves_messages(group: Sentinels, tmp_path: Path) -> None:
    node = NodeProcess(tmp_path / "data", redis_url=group.url)
    account = Account(node.start().url)
    try:
        letters = Letters(account, 50)
        letters.start()
        letters.wait_for("COMPLETED")
        letters.check_all_moved_once()
    finally:
        account.close()
        node.stop()


def test_a_node_serves_on_a_cluster(three: ClusterOfServers, tmp_path: Path) -> None:
    node = NodeProcess(tmp_path / "data", redis_url=three.url)
    try:
        check_that_all_parts_work(node.start())
    finally:
        node.stop()


def test_streams_are_read_in_order_and_at_once_on_a_cluster(three: ClusterOfServers, tmp_path: Path) -> None:
    node = NodeProcess(tmp_path / "data", redis_url=three.url).start()
    try:
        with a_bench(node.url) as bench:
            stream, reader = bench.stream(shards=4), bench.reader()
            bench.map(stream, reader)
            for number in range(40):
                stream.put(f"value {number}", key=f"key {number % 8}")
            reader.wait_for(*(f"value {number}" for number in range(40)))
            in_order = [value for value in reader.values if int(value.split()[1]) % 8 == 3]
            assert in_order == [f"value {number}" for number in range(3, 40, 8)]

            began = time.monotonic()
            stream.put("alone", key="key 1")
            reader.wait_for("alone")
            assert time.monotonic() - began < 2.0
    finally:
        node.stop()


def test_on_a_cluster_another_node_takes_up_the_moving_of_messages(three: ClusterOfServers, tmp_path: Path) -> None:
    one, two = (NodeProcess(tmp_path / name, redis_url=three.url).start() for name in ("one", "two"))
    first = Account(one.url)
    second = Account(two.url, account_id=first.id)
    try:
        letters = Letters(first, 300)
        letters.start(MaxNumberOfMessagesPerSecond=40)
        wait_until("the first messages", lambda: letters.moved > 10, seconds=20)

        one.kill()

        letters.sqs = second.sqs
        letters.wait_for("COMPLETED", seconds=60)
        letters.check_all_moved_once()
    finally:
        first.close()
        second.close()
        one.stop()
        two.stop()


def test_what_cannot_be_promised_is_refused(three: ClusterOfServers, tmp_path: Path) -> None:
    assert "0 replicas follow the server" in refusal(three.url, tmp_path, "--durability", "replicated")
    assert "a cluster's time cannot travel" in refusal(three.url, tmp_path, "--clock", "virtual")
    assert "must end with the name of the primary" in refusal("redis+sentinel://s1,s2", tmp_path)


def test_the_embedded_server_has_no_replicas(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "eventrouter", "dev", "--port", "0", "--data-dir", tmp_path / "data"],
        capture_output=True,
        text=True,
        timeout=30,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "EVENTROUTER_DURABILITY": "replicated"},
        check=False,
    )
    assert ended.returncode == 1
    assert "durability is replicated: the embedded Valkey has no replicas" in ended.stderr


def test_doctor_looks_at_every_primary(three: ClusterOfServers, tmp_path: Path) -> None:
    three.servers[1].ask("CONFIG", "SET", "timeout", "60")
    try:
        ended = subprocess.run(
            [sys.executable, "-m", "eventrouter", "doctor", "--json"],
            capture_output=True,
            text=True,
            timeout=30,
            cwd=tmp_path,
            env={**os.environ, "EVENTROUTER_REDIS_URL": three.url},
            check=False,
        )
    finally:
        three.servers[1].ask("CONFIG", "SET", "timeout", "0")
    [check] = [check for check in json.loads(ended.stdout) if check["name"] == "server"]
    assert check["state"] == "warning"
    assert check["found"].startswith(f"{three.servers[1].address}: timeout is 60 s")
