"""`eventrouter serve` with a project: packaged and deployed before the node is ready, on every node alike."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import boto3

from tests.e2e.nodes import NodeProcess, wait_until
from tests.e2e.test_serve import PASSWORD, a_server

APP = """
from eventrouter import App

app = App("shop")


@app.queue("orders")
@app.function(timeout=10)
def take(event, context):
    return {"version": 1}
"""


def invoke(node: NodeProcess) -> bytes:
    client = boto3.client("lambda", endpoint_url=node.url)
    try:
        body: bytes = client.invoke(FunctionName="take", Payload=b"{}")["Payload"].read()
    finally:
        client.close()
    return body


def test_nodes_that_start_with_one_app_at_the_same_time_all_run_it(tmp_path: Path) -> None:
    app = tmp_path / "shop" / "app.py"
    app.parent.mkdir()
    app.write_text(APP)
    with a_server() as server:
        nodes = [NodeProcess(tmp_path / name, redis_url=f"unix://:{PASSWORD}@{server.socket}") for name in "abc"]
        try:
            with ThreadPoolExecutor(len(nodes)) as threads:
                list(threads.map(lambda node: node.start(str(app)), nodes))
            assert [invoke(node) for node in nodes] == [b'{"version": 1}'] * len(nodes)

            nodes[0].stop()
            app.write_text(APP.replace('"version": 1', '"version": 2'))  # nobody watches it
            assert invoke(nodes[1]) == b'{"version": 1}'
            nodes[0].start(str(app))
            assert invoke(nodes[0]) == b'{"version": 2}'
            for node in nodes[1:]:
                wait_until("the others to hear of it", lambda node=node: invoke(node) == b'{"version": 2}')
        finally:
            for node in nodes:
                node.stop()


def test_an_app_is_named_by_module_and_variable(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    command = [sys.executable, "-m", "eventrouter", "serve", "--redis-url", "redis://127.0.0.1:9", "--port", "0"]

    missing = subprocess.run([*command, "app:other"], cwd=tmp_path, capture_output=True, text=True, check=False)
    found = subprocess.run([*command, "app:app"], cwd=tmp_path, capture_output=True, text=True, check=False)

    assert (missing.returncode, found.returncode) == (1, 1)
    assert "error: app.py: other is no App: `other = App()` is missing" in missing.stderr
    assert "Redis cannot be used" in found.stderr


def test_parameters_are_a_project_s() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "eventrouter", "serve", "--parameter", "A=1"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 2
    assert "--parameter is a template's" in done.stderr
