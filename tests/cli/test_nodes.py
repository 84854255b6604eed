"""`eventrouter nodes` against two nodes that run as processes of their own on one server."""

import json

import pytest

from tests.chaos.servers import ValkeyProcess
from tests.e2e.accounts import Account
from tests.e2e.nodes import NodeProcess, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    folder = tmp_path_factory.mktemp("nodes")
    valkey = ValkeyProcess(folder).start()
    nodes = [NodeProcess(folder / name, redis_url=valkey.url) for name in ("one", "two")]
    try:
        yield nodes[0].start(), nodes[1].start()
    finally:
        for each in nodes:
            each.stop()
        valkey.kill()


@pytest.fixture
def node(pair):
    """The node that is asked."""
    return pair[0]


@pytest.fixture
def other(pair, cli):
    """The other node as it is listed."""

    def look():
        listed = {each["url"]: each for each in json.loads(cli("nodes", "ls", "--json")[1])}
        return listed.get(pair[1].url, {"incarnation": ""})

    return look


def test_nodes_are_listed_and_the_asked_one_has_a_star(cli, pair, other):
    code, out, err = cli("nodes", "ls")

    assert (code, err) == (0, "")
    heading, *rows = out.splitlines()
    assert heading.split("  ")[0] == "node"
    assert "silent since" in heading
    assert {row.split()[4] for row in rows} == {node.url for node in pair}
    assert [row.split()[0].endswith("*") for row in rows if pair[0].url in row] == [True]
    assert all("ready" in row for row in rows)
    assert other()["host"] == other()["incarnation"].partition("-")[0]


def test_a_node_is_drained_by_its_host_and_takes_its_share_again_by_its_url(cli, pair, other):
    code, out, err = cli("nodes", "drain", other()["host"])

    assert (code, out.split(), err) == (0, ["drained", other()["incarnation"]], "")
    assert other()["state"] == "drained"
    assert not pair[1].is_ready()
    code, out, err = cli("nodes", "drain", pair[1].url, "--undo", "--json")
    assert (code, json.loads(out)["is_drained"], err) == (0, False, "")
    assert other()["state"] == "ready"
    assert pair[1].is_ready()


def test_draining_ends_with_what_is_left_when_the_wait_is_over(cli, pair, other):
    account = Account(pair[1].url)
    name = account.function("import time\n\ndef handler(event, context):\n    time.sleep(3)\n", Timeout=10)
    account.invoke(name, {}, InvocationType="Event")
    wait_until("it to run", lambda: pair[1].metric("Invocations", name) + other()["runs"] > 0)

    if other()["runs"]:  # the event may as well have been claimed by the other node
        code, out, err = cli("nodes", "drain", other()["incarnation"], "--wait", "0")
        assert (code, out) == (1, "")
        assert "1 runs after 0 s: it goes on draining" in err
    assert cli("nodes", "drain", other()["incarnation"])[0] == 0
    assert other()["runs"] == 0
    assert cli("nodes", "drain", other()["incarnation"], "--undo")[0] == 0
    account.close()


def test_a_node_that_beats_is_buried_by_force_only_and_the_consequence_is_told(cli, pair, other):
    before = other()["incarnation"]

    code, out, err = cli("nodes", "bury", before)
    assert (code, out) == (1, "")
    assert "NodeBeats" in err
    code, out, err = cli("nodes", "bury", before, "--force")
    assert (code, out.split()[:2]) == (0, ["buried", before])
    assert "warning" in err
    wait_until("it to join anew", lambda: pair[1].is_ready() and other()["incarnation"] not in {before, ""})


def test_a_node_that_is_not_there_is_no_node(cli):
    code, out, err = cli("nodes", "drain", "nobody")

    assert (code, out) == (1, "")
    assert "NoSuchNode" in err
