"""While a node drains its door stays open: for probes, and for the handlers that still run."""

from __future__ import annotations

import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from tests.e2e.accounts import Account
from tests.e2e.nodes import NodeProcess, shared_folder, wait_until

CALLS_BACK = """
import boto3, pathlib, time

def handler(event, context):
    folder = pathlib.Path(event["folder"])
    (folder / "began").touch()
    while not (folder / "go").exists():
        time.sleep(0.01)
    return boto3.client("lambda").get_function(FunctionName=context.function_name)["Configuration"]["FunctionName"]
"""


def status(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as refusal:
        refusal.close()
        return refusal.code


def test_a_handler_may_call_back_and_probes_are_answered_while_new_calls_are_refused(tmp_path: Path) -> None:
    node = NodeProcess(tmp_path / "data")
    with shared_folder() as folder, ThreadPoolExecutor() as pool:
        try:
            account = Account(node.start().url)
            name = account.function(CALLS_BACK, Timeout=30)
            call = pool.submit(account.invoke, name, {"folder": str(folder)})
            wait_until("the handler to begin", (folder / "began").exists)

            node.terminate()
            wait_until("the drain to begin", lambda: not node.is_ready())

            assert status(f"{node.url}/healthz") == 200
            assert status(f"{node.url}/readyz") == 503
            with pytest.raises(ClientError) as refused:
                account.invoke(name, {"folder": str(folder)})
            assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 503
            (folder / "go").touch()
            assert call.result(20).json == name
            assert node.process.wait(10) == 0
            account.close()
        finally:
            node.stop()
