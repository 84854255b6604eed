"""`eventrouter dev` with a project: what it deploys, and how it follows saved files."""

import json
import signal
import subprocess
import sys
import threading
import time
import urllib.request

import pytest

from tests.cli.dev_node import DevNode

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

APP = """
from eventrouter import App

app = App()
failed = app.queue("failed")


@app.queue("orders", batch_size=2, dlq=failed)
@app.route("POST /orders")
@app.function(timeout=10)
def take(event, context):
    return {"version": 1, "event": event}


@app.schedule("rate(1 day)")
def often(event, context):
    return None
"""
DEADLINE_S = 30


@pytest.fixture
def folder(tmp_path):
    found = tmp_path / "shop"
    found.mkdir()
    (found / "app.py").write_text(APP)
    return found


@pytest.fixture
def dev(folder):
    """Start nodes in the project's folder; `started(*arguments)`."""
    nodes = []

    def start(*arguments):
        nodes.append(DevNode(folder / "data", *arguments))
        return nodes[-1]

    yield start
    for node in nodes:
        node.stop()


def invoke(node, name, payload=b"{}"):
    request = urllib.request.Request(f"{node.url}/2015-03-31/functions/{name}/invocations", data=payload, method="POST")
    with urllib.request.urlopen(request, timeout=DEADLINE_S) as answer:
        return json.loads(answer.read())


def wait_for(what, look):
    deadline = time.monotonic() + DEADLINE_S
    while not (found := look()):
        assert time.monotonic() < deadline, f"{what} did not come"
        threading.Event().wait(0.01)
    return found


def metrics(node):
    with urllib.request.urlopen(f"{node.url}/metrics", timeout=DEADLINE_S) as answer:
        return answer.read().decode()


def told(node, text):
    """Wait until the node, started with --json, has told something; return its line."""
    return wait_for(text, lambda: next((line for line in node.log.read_text().splitlines() if text in line), None))


def configuration(node, name):
    return node.request("GET", f"/2015-03-31/functions/{name}/configuration")


def test_the_app_of_the_folder_runs_and_the_banner_says_what(dev):
    node = dev()

    assert "  project     shop" in node.banner
    assert any("functions   2" in line and "take (python3." in line and "app.take)" in line for line in node.banner)
    [mappings] = [line for line in node.banner if line.startswith("  mappings ")]
    for wanted in ("sqs orders -> take", "rate(1 day) -> often", "POST /orders -> take"):
        assert wanted in mappings
    assert invoke(node, "take", b'{"id": 1}') == {"version": 1, "event": {"id": 1}}


def test_a_route_of_the_app_answers_http(dev):
    node = dev()
    request = urllib.request.Request(
        f"{node.url}/orders", data=b"new", method="POST", headers={"Content-Type": "text/plain"}
    )

    with urllib.request.urlopen(request, timeout=DEADLINE_S) as answer:
        assert json.loads(answer.read())["event"]["body"] == "new"


def test_saved_code_runs_at_once_and_what_is_running_finishes(dev, folder):
    (folder / "slow.py").write_text("import time\ndef wait(event, context):\n    time.sleep(3)\n    return 'old'\n")
    (folder / "app.py").write_text(APP + "\nimport slow\napp.function(timeout=20)(slow.wait)\n")
    node = dev()
    answers = []
    running = threading.Thread(target=lambda: answers.append(invoke(node, "wait")))
    running.start()
    wait_for("the run to begin", lambda: 'ConcurrentExecutions{FunctionName="wait"} 1.0' in metrics(node))
    assert invoke(node, "take")["version"] == 1

    saved = (folder / "app.py").read_text().replace('"version": 1', '"version": 2')
    (folder / "slow.py").write_text("def wait(event, context):\n    return 'new'\n")
    (folder / "app.py").write_text(saved)

    began = time.monotonic()
    wait_for("the new code", lambda: invoke(node, "take")["version"] == 2)
    assert time.monotonic() - began < 5
    running.join(DEADLINE_S)
    assert answers == ["old"]
    assert invoke(node, "wait") == "new"


def test_a_saved_declaration_is_applied_and_a_broken_one_changes_nothing(dev, folder):
    node = dev("--json")
    app = folder / "app.py"

    app.write_text(APP.replace("timeout=10", "timeout=11"))
    assert "update  function       take" in told(node, "update  function")
    assert configuration(node, "take")["Timeout"] == 11

    app.write_text(APP.replace("timeout=10", "timeout=0"))
    assert told(node, "error: ").endswith("app.py:10: @app.function: timeout=0 is not in 1..900")
    assert configuration(node, "take")["Timeout"] == 11

    app.write_text(APP.replace("timeout=10", "timeout=12").replace('@app.schedule("rate(1 day)")\n', ""))
    told(node, "delete  schedule       often")
    assert configuration(node, "take")["Timeout"] == 12


def test_a_module_that_could_not_be_imported_is_followed_once_it_can(dev, folder):
    node = dev(str(folder), "--json")
    (folder / "app.py").write_text(
        "import names\n" + APP.replace('failed = app.queue("failed")', "failed = app.queue(names.FAILED)")
    )
    told(node, "No module named 'names'")

    (folder / "names.py").write_text('FAILED = "lost"\n')

    told(node, "+ create  queue          lost")


def test_what_is_declared_no_longer_is_gone_after_the_next_start(dev, folder):
    dev().stop()
    (folder / "app.py").write_text(APP.partition("@app.schedule")[0])

    node = dev("--json")

    banner = json.loads(node.banner[0])
    assert banner["functions"] == ["take"]
    assert banner["mappings"] == ["sqs orders -> take", "POST /orders -> take"]


def test_a_file_that_is_named_is_the_project_and_the_others_are_not(dev, folder):
    (folder / "stack.yaml").write_text("Resources:\n  Q:\n    Type: AWS::SQS::Queue\n  R:\n    Type: AWS::IAM::Role\n")

    node = dev("stack.yaml", "--json")

    banner = json.loads(node.banner[0])
    assert banner["functions"] == []
    assert banner["project"] == "shop" or banner["project"]
    assert any("stack.yaml:4" in line for line in banner["not_applied"])
    urls = node_queues(node)
    assert len(urls) == 1


def node_queues(node):
    request = urllib.request.Request(
        node.url,
        data=b"{}",
        headers={"X-Amz-Target": "AmazonSQS.ListQueues", "Content-Type": "application/x-amz-json-1.0"},
    )
    with urllib.request.urlopen(request, timeout=DEADLINE_S) as answer:
        return json.loads(answer.read())["QueueUrls"]


def test_a_project_that_cannot_be_ends_the_start_with_its_line(folder):
    (folder / "app.py").write_text(APP.replace("batch_size=2", "batch_size=0"))

    done = subprocess.run(
        [sys.executable, "-m", "eventrouter", "dev", "--port", "0", "--data-dir", folder / "data"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 1
    assert "error: app.py:8: app.queue: batch_size=0 is not in 1..10000" in done.stderr
    assert "Ready." not in done.stdout


def test_what_the_node_refuses_ends_the_start_with_its_line(folder):
    (folder / "app.py").write_text(APP.replace("timeout=10", "concurrency=1000"))

    done = subprocess.run(
        [sys.executable, "-m", "eventrouter", "dev", "--port", "0", "--data-dir", folder / "data"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 1
    assert "error: app.py:10: concurrency take: cannot create: InvalidParameterValueException" in done.stderr
    assert "decreases account's UnreservedConcurrentExecution below its minimum value" in done.stderr


def test_a_folder_without_a_project_runs_an_empty_node_until_one_is_written(dev, folder):
    (folder / "app.py").unlink()
    (folder / "cdk.json").write_text("{}")
    node = dev("--json")

    banner = json.loads(node.banner[0])
    assert (banner["project"], banner["functions"]) == (None, [])
    assert any(note.startswith("cdk.json is not read") for note in banner["notes"])

    (folder / "app.py").write_text(APP)

    told(node, "create  function       often")
    assert invoke(node, "take")["version"] == 1
    node.signal(signal.SIGTERM)
    assert node.wait() == 0
