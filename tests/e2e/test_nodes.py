"""Several real nodes on one server: an operator lists them, drains one, buries one; and nodes of one role each."""

from __future__ import annotations

import http.client
import json
import signal
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest
from botocore.exceptions import ClientError

from tests.chaos.servers import ValkeyProcess
from tests.e2e.accounts import Account
from tests.e2e.nodes import NodeProcess, wait_until
from tests.e2e.streams import Bench, a_bench

NODES = "/_eventrouter/nodes"
MakeNode = Callable[..., NodeProcess]


def ask(url: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(url, data, timeout=10) as answer:
        document: dict[str, Any] = json.load(answer)
    return document


def refusal(url: str, body: dict[str, Any]) -> tuple[int, str]:
    with pytest.raises(HTTPError) as refused:
        ask(url, body)
    with refused.value as answer:
        return answer.code, json.load(answer)["__type"]


def listed(node: NodeProcess) -> dict[str, dict[str, Any]]:
    """Return all nodes by URL, as one of them lists them."""
    return {shown["url"]: shown for shown in ask(node.url + NODES)["nodes"]}


def incarnation(node: NodeProcess) -> str:
    return str(ask(f"{node.url}/_eventrouter/health")["incarnation"])


@pytest.fixture
def make_node(tmp_path: Path) -> Iterator[MakeNode]:
    """Start nodes on one server; all end with the test."""
    valkey = ValkeyProcess(tmp_path).start()
    nodes: list[NodeProcess] = []

    def make(roles: str = "api,worker,poller") -> NodeProcess:
        settings = {"EVENTROUTER_ROLES": roles, "EVENTROUTER_ASYNC_RETRY_BASE_DELAY": "0.2"}
        node = NodeProcess(tmp_path / f"node-{len(nodes)}", redis_url=valkey.url, environment=settings)
        nodes.append(node)
        return node.start()

    try:
        yield make
    finally:
        for node in nodes:
            node.stop()
        valkey.kill()


def read_streams(bench: Bench, shards: int) -> tuple[Callable[[], None], Callable[[], list[str]]]:
    """Map a stream; return what puts a record into each shard and waits for it, and what tells all that was read."""
    stream, reader = bench.stream(shards=shards), bench.reader()
    bench.map(stream, reader)
    keys: dict[str, str] = {}
    for number in range(200):
        answer = bench.kinesis.put_record(StreamName=stream.name, PartitionKey=str(number), Data=b"warm")
        keys.setdefault(answer["ShardId"], str(number))
        if len(keys) == shards:
            break
    rounds: list[int] = []

    def put() -> None:
        rounds.append(len(rounds))
        values = [(key, f"{key} {rounds[-1]}") for key in keys.values()]
        stream.put_keyed(*values)
        reader.wait_for(*(value for _, value in values))

    return put, lambda: [value for value in reader.values if value != "warm"]


def test_every_node_lists_all_nodes_and_what_each_has(make_node: MakeNode) -> None:
    one, two = make_node(), make_node()
    with a_bench(one.url) as bench:
        put, _ = read_streams(bench, 4)
        put()

        wait_until("both to have two shards", lambda: {n["shards"] for n in listed(one).values()} == {2})
        assert listed(two).keys() == listed(one).keys() == {one.url, two.url}
        shown = listed(one)[two.url]
        assert shown["incarnation"] == incarnation(two)
        assert shown["incarnation"].startswith(f"{shown['host']}-")
        assert (shown["state"], shown["roles"]) == ("ready", ["api", "poller", "worker"])
        assert shown["beat_age_s"] < 3
        assert listed(one)[one.url]["is_asked"]
        assert not shown["is_asked"]


def test_a_drained_node_gives_its_share_up_stays_up_and_takes_it_again(make_node: MakeNode) -> None:
    one, two = make_node(), make_node()
    with a_bench(one.url) as bench:
        put, read = read_streams(bench, 4)
        put()
        wait_until("both to have two shards", lambda: {n["shards"] for n in listed(one).values()} == {2})

        answer = ask(f"{one.url}{NODES}/{incarnation(two)}/drain", {})
        assert (answer["is_drained"], answer["warnings"]) == (True, [])
        wait_until("the other to have all shards", lambda: listed(one)[one.url]["shards"] == 4, seconds=2)
        put()

        shown = listed(one)[two.url]
        assert (shown["state"], shown["shards"], shown["runs"]) == ("drained", 0, 0)
        assert not two.is_ready()
        name = bench.account.function("def handler(event, context):\n    return event\n")
        there = Account(two.url, account_id=bench.account.id)

        def answers() -> bool:
            try:
                return bool(there.invoke(name, {"a": 1}).json == {"a": 1})
            except ClientError:  # the node has not heard of the function yet
                return False

        wait_until("an answer", answers)
        assert (one.metric("Invocations", name), two.metric("Invocations", name)) == (1, 0)
        there.close()

        assert ask(f"{one.url}{NODES}/{incarnation(two)}/drain", {"undo": True})["is_drained"] is False
        wait_until("both to have two shards", lambda: {n["shards"] for n in listed(one).values()} == {2}, seconds=5)
        assert two.is_ready()
        put()
        values = read()
        assert sorted(values) == sorted(set(values))


def test_the_last_node_may_be_drained_and_says_what_nobody_does_now(make_node: MakeNode) -> None:
    node = make_node()

    warnings = ask(f"{node.url}{NODES}/{incarnation(node)}/drain", {})["warnings"]

    assert [warning.split(":")[0] for warning in warnings] == ["no node runs functions", "no node polls"]
    account = Account(node.url)
    name = account.function("def handler(event, context):\n    return 1\n")
    with pytest.raises(ClientError) as refused:
        account.invoke(name, {})
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 503
    assert account.lambda_.invoke(FunctionName=name, InvocationType="Event", Payload=b"1")["StatusCode"] == 202
    ask(f"{node.url}{NODES}/{incarnation(node)}/drain", {"undo": True})
    wait_until("the event to run", lambda: node.metric("Invocations", name) == 1)
    account.close()


def test_a_node_that_beats_is_not_buried_unless_by_force_and_comes_back_as_another(make_node: MakeNode) -> None:
    one, two = make_node(), make_node()
    before = incarnation(two)

    assert refusal(f"{one.url}{NODES}/{before}/bury", {}) == (409, "NodeBeats")
    answer = ask(f"{one.url}{NODES}/{before}/bury", {"force": True})

    assert "twice" in answer["consequence"]
    wait_until("it to join anew", lambda: two.is_ready() and incarnation(two) != before, seconds=10)
    wait_until("it to be listed", lambda: incarnation(two) in {n["incarnation"] for n in listed(one).values()})


def test_a_dead_node_that_is_buried_leaves_its_shards_and_events_at_once(make_node: MakeNode) -> None:
    one, two = make_node(), make_node()
    with a_bench(one.url) as bench:
        put, _ = read_streams(bench, 4)
        put()
        wait_until("both to have two shards", lambda: {n["shards"] for n in listed(one).values()} == {2})
        dead = incarnation(two)
        two.kill()

        def is_silent() -> bool:
            shown = listed(one)[two.url]
            assert shown["shards"] is None
            return shown["state"] == "silent" and shown["silent_since_ms"] is not None

        wait_until("it to be shown as silent", is_silent, seconds=8)
        began = time.monotonic()
        assert ask(f"{one.url}{NODES}/{dead}/bury", {})["consequence"] is None
        wait_until("its shards to be the other's", lambda: listed(one)[one.url]["shards"] == 4, seconds=3)
        put()

        assert time.monotonic() - began < 4
        assert listed(one).keys() == {one.url}


def test_what_cannot_be_done_is_refused_with_a_reason(make_node: MakeNode) -> None:
    one, two = make_node(), make_node()
    me, other = incarnation(one), incarnation(two)

    assert refusal(f"{one.url}{NODES}/nobody/drain", {}) == (404, "NoSuchNode")
    assert refusal(f"{one.url}{NODES}/{me}/bury", {"force": True}) == (409, "NodeAnswers")
    assert refusal(f"{one.url}{NODES}/{other}/drain", {"why": 1}) == (400, "BadRequest")
    assert refusal(f"{one.url}{NODES}/{other}/dance", {}) == (404, "NotFound")
    two.process.send_signal(signal.SIGSTOP)
    try:
        assert refusal(f"{one.url}{NODES}/{other}/drain", {}) == (502, "NodeNotReached")
    finally:
        two.process.send_signal(signal.SIGCONT)


def test_nodes_of_one_role_each_share_the_work(make_node: MakeNode) -> None:
    door, worker, poller = make_node("api"), make_node("worker"), make_node("poller")
    with a_bench(door.url) as bench:
        put, read = read_streams(bench, 2)
        put()
        name = bench.account.function("def handler(event, context):\n    return event\n")
        wait_until("a call to find the worker", lambda: bench.account.invoke(name, 5).json == 5)
        bench.lambda_.invoke(FunctionName=name, InvocationType="Event", Payload=b"1")
        wait_until("the event to run", lambda: worker.metric("Invocations", name) == 2)

        shown = listed(door)
        assert [shown[node.url]["shards"] for node in (door, worker, poller)] == [0, 0, 2]
        assert [shown[node.url]["roles"] for node in (door, worker, poller)] == [["api"], ["worker"], ["poller"]]
        assert [node.metric("Invocations", name) for node in (door, poller)] == [0, 0]
        assert all(node.is_ready() for node in (door, worker, poller))
        assert len(read()) == 2


def test_a_node_without_the_role_api_answers_probes_and_its_own_machine_and_refuses_others(make_node: MakeNode) -> None:
    worker = make_node("worker,poller")

    def get_from(source: str, path: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", worker.port, timeout=10, source_address=(source, 0))
        connection.request("GET", path, headers={"X-Amz-Date": "20260101T000000Z"})
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        return answer.status, text

    assert get_from("127.0.0.2", "/readyz")[0] == 200
    assert get_from("127.0.0.2", NODES)[0] == 200
    status, text = get_from("127.0.0.2", "/2015-03-31/functions/")
    assert (status, json.loads(text)["__type"]) == (503, "ServiceUnavailableException")
    assert b"worker,poller" in text
    assert get_from("127.0.0.1", "/2015-03-31/functions/")[0] == 200


def test_a_function_of_a_node_without_the_role_api_can_still_call_back(make_node: MakeNode) -> None:
    door, _ = make_node("api"), make_node("worker")
    account = Account(door.url)
    source = (
        "import boto3\n\ndef handler(event, context):\n"
        "    client = boto3.client('lambda')\n"
        "    return client.get_function(FunctionName=context.function_name)['Configuration']['FunctionName']\n"
    )
    name = account.function(source, Timeout=30)

    def answers() -> bool:
        return bool(account.invoke(name, {}).json == name)

    wait_until("the answer", answers)
    account.close()
