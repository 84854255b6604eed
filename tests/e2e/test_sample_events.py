"""What a function is really given has the members of the sample of its source, and values of their kinds."""

from __future__ import annotations

import json
import urllib.request
from typing import Any

import pytest

from eventrouter.samples import Scene, find_sample
from tests.e2e.accounts import Account, Notes
from tests.e2e.nodes import wait_until
from tests.e2e.streams import Bench

NOTING = """
import json, os

def handler(event, context):
    with open(os.path.join(os.environ["NOTES"], "events"), "a") as file:
        file.write(json.dumps(event) + "\\n")
    return {"statusCode": 200}
"""


@pytest.fixture
def noting(account: Account, notes: Notes) -> str:
    """A function that notes the events it is given."""
    return account.function(NOTING, Environment={"Variables": {"NOTES": notes.path}})


def given(notes: Notes) -> Any:
    """Return the first event that the function was given."""
    wait_until("an event", lambda: notes.lines("events"))
    return json.loads(notes.lines("events")[0])


def shape(value: Any) -> Any:
    """Return the names of a document, in order, and the kinds of its values; a list by its first element."""
    match value:
        case dict():
            return {name: shape(each) for name, each in value.items()}
        case list():
            return [shape(value[0])] if value else []
        case int() | float() if not isinstance(value, bool):
            return "number"
        case _:
            return type(value).__name__


def names(document: dict[str, Any]) -> list[str]:
    return list(document)


def sample(name: str) -> Any:
    return find_sample(name).build(Scene())


def test_a_message(account: Account, notes: Notes, noting: str) -> None:
    queue = account.queue()
    attributes = {
        "attempt": {"DataType": "Number", "StringValue": "1"},
        "digest": {"DataType": "Binary", "BinaryValue": b"\x00\x01"},
        "kind": {"DataType": "String", "StringValue": "order.placed"},
    }
    account.sqs.send_message(QueueUrl=queue.url, MessageBody="{}", MessageAttributes=attributes)
    mapping = account.lambda_.create_event_source_mapping(EventSourceArn=queue.arn, FunctionName=noting)

    [real], [like, _] = given(notes)["Records"], sample("sqs:send")["Records"]

    account.lambda_.delete_event_source_mapping(UUID=mapping["UUID"])
    assert names(real) == names(like)
    assert shape(real) == shape(like)


def test_a_message_of_a_fifo_queue(account: Account, notes: Notes, noting: str) -> None:
    url = account.sqs.create_queue(
        QueueName="steps.fifo", Attributes={"FifoQueue": "true", "ContentBasedDeduplication": "true"}
    )["QueueUrl"]
    arn = account.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    account.sqs.send_message(QueueUrl=url, MessageBody="{}", MessageGroupId="g")
    mapping = account.lambda_.create_event_source_mapping(EventSourceArn=arn, FunctionName=noting)

    [real], [like, *_] = given(notes)["Records"], sample("sqs:fifo")["Records"]

    account.lambda_.delete_event_source_mapping(UUID=mapping["UUID"])
    assert names(real) == names(like)
    assert shape(real) == shape(like)


def test_a_record_of_a_stream(bench: Bench, notes: Notes) -> None:
    name = bench.account.function(NOTING, Environment={"Variables": {"NOTES": notes.path}})
    stream = bench.stream()
    stream.put("{}")
    answer = bench.lambda_.create_event_source_mapping(
        EventSourceArn=stream.arn, FunctionName=name, StartingPosition="TRIM_HORIZON"
    )

    [real], [like, _] = given(notes)["Records"], sample("kinesis:put")["Records"]

    bench.delete(answer["UUID"])
    assert names(real) == names(like)
    assert shape(real) == shape(like)
    assert {len(record["kinesis"]["sequenceNumber"]) for record in (real, like)} == {56}


@pytest.mark.parametrize(("payload_format", "name"), [("1.0", "http:v1"), ("2.0", "http:v2")])
def test_a_request(account: Account, notes: Notes, noting: str, payload_format: str, name: str) -> None:
    client = account.client("apigatewayv2")
    api = client.create_api(Name="shop", ProtocolType="HTTP")["ApiId"]
    integration = client.create_integration(
        ApiId=api,
        IntegrationType="AWS_PROXY",
        IntegrationUri=f"arn:aws:lambda:us-east-1:{account.id}:function:{noting}",
        PayloadFormatVersion=payload_format,
    )["IntegrationId"]
    client.create_route(ApiId=api, RouteKey="PUT /orders/{id}", Target=f"integrations/{integration}")
    client.close()
    request = urllib.request.Request(
        f"{account.url}/_aws/execute-api/{api}/$default/orders/7?notify=ada&notify=bob",
        data=b"{}",
        method="PUT",
        headers={"Content-Type": "application/json", "Cookie": "session=s1; theme=dark"},
    )
    urllib.request.urlopen(request, timeout=20).close()

    real, like = given(notes), sample(name)

    for headers in ("headers", "multiValueHeaders"):  # those are the client's
        assert bool(real.pop(headers, None)) == bool(like.pop(headers, None))
    assert names(real) == names(like)
    assert shape(real) == shape(like)


def test_a_record_of_an_event_that_was_given_up(account: Account, notes: Notes, noting: str) -> None:
    failing = account.function("def handler(event, context):\n    raise ValueError(event)\n")
    account.on_failure(failing, f"arn:aws:lambda:us-east-1:{account.id}:function:{noting}")
    account.send(failing, {"order_id": "order-7"})

    real, like = given(notes), sample("lambda:on-failure")

    assert names(real) == names(like)
    for part in ("requestContext", "responseContext"):
        assert shape(real[part]) == shape(like[part])
    assert set(like["responsePayload"]) <= set(real["responsePayload"])
