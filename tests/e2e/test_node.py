"""The node's own addresses, its reset, and how it starts."""

from __future__ import annotations

import json
import urllib.request
from typing import Any
from urllib.error import HTTPError

import pytest

from tests.e2e.accounts import REGION, Account
from tests.e2e.nodes import NodeProcess, wait_until

SOURCE = "def handler(event, context):\n    return 1\n"


def _get(url: str) -> tuple[int, bytes]:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.status, answer.read()


def test_a_dev_node_prints_ready_alone_on_a_line(node: NodeProcess) -> None:
    wait_until("the line", lambda: "Ready." in node.log().splitlines())


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_probes_answer_200(node: NodeProcess, path: str) -> None:
    assert _get(node.url + path)[0] == 200


@pytest.mark.parametrize("path", ["/_eventrouter/health", "/_localstack/health"])
def test_health_is_a_json_object(node: NodeProcess, path: str) -> None:
    status, body = _get(node.url + path)

    health: Any = json.loads(body)
    assert (status, isinstance(health, dict)) == (200, True)


def test_localstack_s_health_names_lambda_and_sqs_as_available(node: NodeProcess) -> None:
    services = json.loads(_get(f"{node.url}/_localstack/health")[1])["services"]

    assert {services["lambda"], services["sqs"]} <= {"available", "running"}


def test_a_reset_empties_everything_and_leaves_a_working_node(patient_node: NodeProcess) -> None:
    account = Account(patient_node.url)
    queue = account.queue()
    queue.sqs.send_message(QueueUrl=queue.url, MessageBody="x")
    name = account.function(SOURCE)
    account.invoke(name, {})

    with urllib.request.urlopen(
        urllib.request.Request(f"{patient_node.url}/_eventrouter/reset", method="POST")
    ) as done:
        assert done.status in {200, 204}

    assert account.lambda_.list_functions()["Functions"] == []
    assert "QueueUrls" not in account.sqs.list_queues()
    assert account.invoke(account.function(SOURCE), {}).json == 1
    account.close()


def test_a_path_of_the_node_s_own_may_be_percent_encoded(account: Account, node: NodeProcess) -> None:
    name = account.function(SOURCE, TracingConfig={"Mode": "Active"})
    location = account.lambda_.get_function(FunctionName=name)["Code"]["Location"]

    for separator in (":", "%3A"):
        key = separator.join((account.id, REGION, name))
        notes = json.loads(_get(f"{node.url}/_eventrouter/functions/{key}")[1])
        assert [note.split()[0] for note in notes["not_applied"]] == ["TracingConfig"]
    folder, digest = location.rsplit("/", 1)
    assert _get(f"{folder}/%{ord(digest[0]):x}{digest[1:]}")[1] == _get(location)[1]


@pytest.mark.parametrize("path", ["functions/a%3Ab%3Ac", "functions/%FF", "functions/%00", "packages/..%2F%00"])
def test_a_name_that_is_none_is_not_found(node: NodeProcess, path: str) -> None:
    with pytest.raises(HTTPError) as refused:
        _get(f"{node.url}/_eventrouter/{path}")

    assert refused.value.code == 404
    refused.value.close()


def test_metrics_count_what_a_function_did(account: Account, node: NodeProcess) -> None:
    name = account.function("def handler(event, context):\n    assert event\n")

    for event in (1, 1, 0):
        account.invoke(name, event)

    assert (node.metric("Invocations", name), node.metric("Errors", name)) == (3, 1)
    text = _get(f"{node.url}/metrics")[1].decode()
    assert f'eventrouter_Duration_count{{FunctionName="{name}"}} 3.0' in text


def test_an_operation_that_is_not_served_is_refused_by_name(account: Account) -> None:
    name = account.function(SOURCE)

    with pytest.raises(account.lambda_.exceptions.ClientError) as caught:
        account.lambda_.publish_version(FunctionName=name)

    error = caught.value.response
    assert error["ResponseMetadata"]["HTTPStatusCode"] in {400, 501}
    assert "PublishVersion" in error["Error"]["Message"]
