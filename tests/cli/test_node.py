"""The command line against a node that runs as a process of its own."""

import json
import os
import signal
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path

import pytest

from eventrouter import __version__
from eventrouter.cli import main
from eventrouter.cli.client import NodeClient
from tests.adapters.dynamodb_streams import Stream, StreamsServer
from tests.cli.dev_node import RUNTIME, DevNode

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

ECHO = "def handler(event, context):\n    print('seen', event)\n    return {'echo': event}\n"
FAIL = "def handler(event, context):\n    raise ValueError('no')\n"
ROOT = Path(__file__).resolve().parents[2]
SLOW = "import time\ndef handler(event, context):\n    time.sleep(event['s'])\n    return 'done'\n"


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    """One node with a function `echo`, and one `fail` that has a dead-letter queue and no retries."""
    folder = tmp_path_factory.mktemp("cli")
    started = DevNode(folder / "data", environment={"EVENTROUTER_ASYNC_RETRY_BASE_DELAY": "0.1"})
    try:
        started.create("echo", ECHO, folder)
        started.create("fail", FAIL, folder)
        yield started
    finally:
        assert started.stop() == 0, started.log.read_text()[-4000:]


def test_the_banner_tells_version_functions_and_addresses_and_ends_with_ready_alone(node):
    assert node.banner[0].startswith(f"eventrouter {__version__}  ready in ")
    assert node.url in node.banner[0]
    assert "Valkey" in node.banner[0]
    assert any(line.split()[:2] == ["functions", "0"] for line in node.banner)
    assert any(line.split()[:3] == ["not", "applied", "0"] for line in node.banner)
    assert any("/healthz" in line and "/readyz" in line for line in node.banner)
    assert node.banner[-1] == "Ready."


def test_an_invocation_prints_the_answer(cli):
    assert cli("invoke", "echo", "-p", '{"n": 1}') == (0, '{"echo": {"n": 1}}\n', "")


def test_a_payload_may_come_from_a_file(cli, tmp_path):
    (tmp_path / "event.json").write_text('{"n": 2}')

    code, out, _ = cli("invoke", "echo", "-p", f"@{tmp_path / 'event.json'}", "--json")

    answer = json.loads(out)
    assert (code, answer["status"], answer["payload"]) == (0, 200, {"echo": {"n": 2}})
    assert len(answer["request_id"]) == 36


def test_a_payload_may_come_from_stdin(node):
    done = subprocess.run(
        [sys.executable, "-m", "eventrouter", "invoke", "echo", "-p", "-", "--url", node.url],
        input=b'{"n": 3}',
        capture_output=True,
        check=True,
    )

    assert done.stdout == b'{"echo": {"n": 3}}\n'


def test_the_tail_of_the_log_goes_to_stderr(cli):
    code, out, err = cli("invoke", "echo", "-p", '{"n": 4}', "--tail")

    assert (code, out) == (0, '{"echo": {"n": 4}}\n')
    assert "seen {'n': 4}" in err
    assert "REPORT RequestId" in err


def test_a_failing_function_exits_with_1_and_prints_its_error(cli):
    code, out, err = cli("invoke", "fail")

    assert code == 1
    assert json.loads(out)["errorType"] == "ValueError"
    assert "the function failed (Unhandled)" in err


def test_what_the_node_refuses_is_told_in_its_words(cli):
    code, out, err = cli("invoke", "nobody")

    assert (code, out) == (1, "")
    assert err.startswith("error: ResourceNotFoundException: Function not found: ")


def test_a_dry_run_invokes_nothing(cli):
    code, out, _ = cli("invoke", "echo", "--dry-run")

    assert (code, out) == (0, "dry run passed: nothing was invoked\n")


def test_a_load_run_counts_and_draws(cli):
    code, out, err = cli("invoke", "echo", "-p", "{}", "-n", "60", "-c", "3", "-q")

    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].startswith("60 calls by 3 callers in ")
    assert lines[0].endswith("(60 ok)")
    assert all(name in lines[1] for name in ("p50", "p90", "p99", "max"))
    assert sum(int(line.split()[-1]) for line in lines[2:]) == 60
    assert any("#" in line for line in lines[2:])


def test_a_load_run_of_failures_exits_with_1(cli):
    code, out, _ = cli("invoke", "fail", "-n", "5", "-c", "2", "-q", "--json")

    result = json.loads(out)
    assert (code, result["calls"], result["outcomes"]) == (1, 5, {"function error": 5})


def test_functions_are_listed_in_columns_and_as_json(cli):
    code, out, _ = cli("functions", "ls")
    assert code == 0
    rows = [line.split() for line in out.splitlines()]
    assert rows[0] == ["function", "runtime", "handler", "MB", "timeout", "s", "modified"]
    assert ["echo", RUNTIME, "app.handler", "128", "3"] in [row[:5] for row in rows]

    _, out, _ = cli("functions", "ls", "--json")
    assert {function["FunctionName"] for function in json.loads(out)} >= {"echo", "fail"}


def test_a_function_is_shown_with_what_is_not_applied(cli, node, tmp_path):
    node.create("networked", ECHO, tmp_path, VpcConfig={"SubnetIds": ["subnet-1"], "SecurityGroupIds": ["sg-1"]})

    code, out, _ = cli("functions", "show", "networked")

    assert code == 0
    assert ["Handler", "app.handler"] in [line.split() for line in out.splitlines()]
    assert any(line.startswith("not applied  ") and "VpcConfig" in line for line in out.splitlines())
    _, out, _ = cli("functions", "show", "networked", "--json")
    assert json.loads(out)["NotApplied"]


def test_removing_goes_on_after_a_function_that_is_not_there(cli, node, tmp_path):
    node.create("passing", ECHO, tmp_path)

    code, out, err = cli("functions", "rm", "nobody", "passing")

    assert (code, out) == (1, "removed  passing\n")
    assert "ResourceNotFoundException" in err
    assert "passing" not in cli("functions", "ls")[1]


def test_logs_show_what_a_function_printed(cli):
    cli("invoke", "echo", "-p", '{"mark": "for the log"}')

    code, out, err = wait_for(lambda: cli("logs", "echo", "--since", "1m"), lambda told: "for the log" in told[1])

    assert (code, err) == (0, "")
    assert "START RequestId" in out


def test_a_function_that_has_logged_nothing_yet_is_no_error(cli, node, tmp_path):
    node.create("silent", ECHO, tmp_path)

    assert cli("logs", "silent") == (0, "", "/aws/lambda/silent holds nothing yet\n")
    code, out, err = cli("logs", "nobody")
    assert (code, out) == (1, "")
    assert err.startswith("error: ResourceNotFoundException: ")


def test_logs_can_be_followed(node):
    with subprocess.Popen(
        [sys.executable, "-m", "eventrouter", "logs", "echo", "-f", "--since", "1m", "--json", "--url", node.url],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as following:
        deadline = threading.Timer(30, following.kill)
        deadline.start()
        try:
            assert main(["invoke", "echo", "-p", '{"mark": "followed"}', "--url", node.url]) == 0
            assert following.stdout is not None
            found = next(line for line in following.stdout if "followed" in line)
        finally:
            deadline.cancel()
            following.send_signal(signal.SIGINT)
            try:
                following.communicate(timeout=10)
            finally:
                following.kill()

    assert "followed" in json.loads(found)["message"]
    assert following.returncode == 130


def test_dead_letters_are_counted(cli, node, tmp_path):
    url = sqs(node, "CreateQueue", QueueName="letters")["QueueUrl"]
    arn = sqs(node, "GetQueueAttributes", QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    node.create("doomed", FAIL, tmp_path, DeadLetterConfig={"TargetArn": arn})
    node.request("PUT", "/2019-09-25/functions/doomed/event-invoke-config", {"MaximumRetryAttempts": 0})

    code, out, _ = cli("invoke", "doomed", "--async")
    assert (code, out.split()[0]) == (0, "accepted")

    def letters():
        _, out, _ = cli("dlq", "ls", "--json")
        return next(row for row in json.loads(out)["targets"] if row["target"] == arn)

    row = wait_for(letters, lambda row: row["messages"] == 1)
    assert row["used_by"] == ["doomed (dead letters)"]
    _, out, _ = cli("dlq", "ls")
    assert [arn, "doomed", "(dead", "letters)", "1", "0"] in [line.split()[:6] for line in out.splitlines()]


def test_functions_outlive_the_node_and_show_in_the_next_banner(tmp_path):
    first = DevNode(tmp_path / "data")
    first.create("kept", ECHO, tmp_path)
    assert first.stop() == 0

    second = DevNode(tmp_path / "data")
    try:
        assert any(line.split()[:3] == ["functions", "1", "kept"] for line in second.banner), second.banner
        assert main(["invoke", "kept", "-p", "{}", "--url", second.url]) == 0
    finally:
        assert second.stop() == 0


def test_the_banner_tells_what_feeds_which_function_and_what_nothing_here_reads(tmp_path):
    with StreamsServer() as server:
        table = server.make("orders").replace("eu-west-1", "us-east-1")
        server.streams[table] = Stream(table, [])
        first = DevNode(tmp_path / "data", environment={"EVENTROUTER_DYNAMODB_STREAMS_ENDPOINT": server.url})
        first.create("kept", ECHO, tmp_path)
        client = NodeClient(first.url)
        made = {"StreamName": "clicks", "ShardCount": 4}
        client.call("kinesis", "Kinesis_20131202.CreateStream", made, version="1.1")
        client.call("sqs", "AmazonSQS.CreateQueue", {"QueueName": "mails"})
        client.close()
        mapping = {"FunctionName": "kept", "EventSourceArn": "arn:aws:sqs:us-east-1:000000000000:mails"}
        first.request("POST", "/2015-03-31/event-source-mappings", mapping)
        for arn in ("arn:aws:kinesis:us-east-1:000000000000:stream/clicks", table):
            mapping = {"FunctionName": "kept", "EventSourceArn": arn, "StartingPosition": "TRIM_HORIZON"}
            first.request("POST", "/2015-03-31/event-source-mappings", {**mapping, "Enabled": arn == table})
        assert first.stop() == 0

    second = DevNode(tmp_path / "data")
    second.stop()

    [line] = [line for line in second.banner if line.startswith("  mappings ")]
    assert line.split(maxsplit=2)[1] == "3"
    assert "clicks[4 shards] -> kept (Disabled)" in line
    assert "dynamodb orders -> kept" in line
    assert "sqs mails -> kept" in line
    [line] = [line for line in second.banner if line.startswith("  not applied 1 ")]
    assert "no adapter here reads dynamodb streams" in line


def test_the_banner_can_be_json(tmp_path):
    (tmp_path / "template.yaml").write_text("Resources:\n  Q:\n    Type: AWS::SQS::Queue\n")

    node = DevNode(tmp_path / "data", "--json")
    node.stop()

    banner = json.loads(node.banner[0])
    assert banner["url"] == node.url
    assert banner["functions"] == []
    assert banner["mappings"] == []
    assert banner["project"]
    assert banner["notes"] == []
    assert node.banner[-1] == "Ready."


def test_a_drain_lets_a_running_invocation_finish(tmp_path):
    node = DevNode(tmp_path / "data")
    node.create("slow", SLOW, tmp_path)

    with running(node, "slow", seconds=1.0) as caller:
        node.signal(signal.SIGTERM)
        assert node.wait() == 0
        out, _ = caller.communicate(timeout=30)

    assert out == '"done"\n'


@pytest.mark.parametrize(("second", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_second_signal_does_not_wait(tmp_path, second, code):
    node = DevNode(tmp_path / "data")
    node.create("slow", SLOW, tmp_path, Timeout=60)

    with running(node, "slow", seconds=50.0) as caller:
        node.signal(signal.SIGTERM)
        wait_for(node.log.read_text, lambda log: "node.draining" in log)
        node.signal(second)
        assert node.wait() == code
        caller.communicate(timeout=30)

    assert caller.returncode == 1


def test_a_port_that_is_taken_is_an_error_with_a_fix(node, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "eventrouter", "dev", "--port", node.url.rpartition(":")[2]],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    assert "--port" in done.stderr
    assert "Ready." not in done.stdout


def test_the_readmes_example_runs_as_it_stands(node, tmp_path):
    readme = (ROOT / "README.md").read_text()
    example = readme.partition("```python\n")[2].partition("```")[0]
    (tmp_path / "example.py").write_text(example.replace("http://127.0.0.1:4566", node.url))

    done = subprocess.run([sys.executable, "example.py"], cwd=tmp_path, capture_output=True, text=True, check=False)

    assert done.stderr == ""
    assert done.stdout == 'b\'{"hello": "Ada"}\'\n'


def running(node, name, *, seconds):
    """Start a caller of a function, and return it once the function runs."""
    caller = subprocess.Popen(
        [sys.executable, "-m", "eventrouter", "invoke", name, "-p", json.dumps({"s": seconds}), "--url", node.url],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for(lambda: metrics(node), lambda found: f'ConcurrentExecutions{{FunctionName="{name}"}} 1.0' in found)
    return caller


def metrics(node):
    """Return the node's metrics as text."""
    with urllib.request.urlopen(f"{node.url}/metrics", timeout=10) as answer:
        return answer.read().decode()


def sqs(node, operation, **members):
    """Call an operation of the queue service."""
    client = NodeClient(node.url)
    try:
        return client.call("sqs", f"AmazonSQS.{operation}", members)
    finally:
        client.close()


def wait_for(look, wanted, *, tries=1500):
    """Look until `wanted` likes what it sees, and return that."""
    pause = threading.Event()
    found = None
    for _ in range(tries):
        found = look()
        if wanted(found):
            return found
        pause.wait(0.02)
    raise AssertionError(f"waited in vain; last seen: ...{str(found)[-300:]}")
