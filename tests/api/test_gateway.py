"""The door itself: routing, refusals, ids, limits, connections. lambda-semantics §1.3, §8.1, §9."""

from __future__ import annotations

import asyncio
import http.client
import json
from collections.abc import Mapping
from random import Random
from typing import Any

import boto3
import pytest
import structlog
from botocore.config import Config
from botocore.exceptions import ClientError

from eventrouter import __version__
from eventrouter.api.gateway import Gateway
from eventrouter.api.http import Request, Response
from eventrouter.api.request_ids import RequestIds
from eventrouter.errors import IntakeRefused, NodeDead, RequestError
from eventrouter.ports import Caller, ServiceApi
from eventrouter.settings import Settings
from tests.api.conftest import Account, Answer, Door, call

JSON_1_0 = {"Content-Type": "application/x-amz-json-1.0"}


class Recorder:
    """Two operations of SQS that note what they were called with."""

    def __init__(self) -> None:
        self.calls: list[tuple[Caller, Mapping[str, Any]]] = []
        self.error: Exception | None = None

    async def send_message(self, caller: Caller, values: Mapping[str, Any]) -> Mapping[str, Any]:
        self.calls.append((caller, values))
        if self.error is not None:
            raise self.error
        return {"MessageId": "m", "Novelty": 1}

    def gateway(self) -> Gateway:
        api = ServiceApi(service="sqs", operations={"SendMessage": self.send_message})
        return Gateway(
            services={"sqs": api},
            hot_invoke=None,  # type: ignore[arg-type]  # no test here invokes
            internal={},
            settings=Settings(),
            request_ids=RequestIds(Random(1)),
            log=structlog.get_logger(),
        )

    def ask(self, path: str = "/", *, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Answer:
        sent = {"X-Amz-Target": "AmazonSQS.SendMessage", **JSON_1_0, **(headers or {})}
        raw = [(name.lower().encode(), value.encode()) for name, value in sent.items()]
        return asyncio.run(call(self.gateway(), "POST", path.encode(), raw, body, b""))


MESSAGE = b'{"QueueUrl": "http://h/1/q", "MessageBody": "b"}'


@pytest.mark.parametrize("path", ["/", "/123456789012/q", "/queue/us-east-1/123456789012/q"])
@pytest.mark.parametrize("host", ["localhost:4566", "sqs.eu-west-1.localhost.localstack.cloud:4566"])
def test_a_target_leads_to_its_operation_on_any_path_and_host(path: str, host: str) -> None:
    recorder = Recorder()

    answer = recorder.ask(path, body=MESSAGE, headers={"Host": host})

    assert (answer.status, json.loads(answer.body)) == (200, {"MessageId": "m"})
    assert answer.headers["content-type"] == "application/x-amz-json-1.0"
    caller, values = recorder.calls[0]
    assert values == {"QueueUrl": "http://h/1/q", "MessageBody": "b"}
    assert caller.base_url == f"http://{host}"
    assert caller.request_id == answer.headers["x-amzn-requestid"]


def test_a_missing_parameter_of_sqs_is_told_in_its_own_words() -> None:
    answer = Recorder().ask(body=b"{}")

    assert (answer.status, answer.headers["x-amzn-query-error"]) == (400, "MissingParameter;Sender")
    assert json.loads(answer.body) == {
        "__type": "com.amazonaws.sqs#MissingRequiredParameterException",
        "message": "The request must contain the parameter QueueUrl.",
    }


@pytest.mark.parametrize("member", ['{"a": null}', '{"a": {"StringListValues": [null], "DataType": "String"}}'])
def test_null_in_a_list_or_map_never_reaches_an_operation_of_sqs(member: str) -> None:
    recorder = Recorder()

    answer = recorder.ask(body=f'{{"QueueUrl": "q", "MessageBody": "b", "MessageAttributes": {member}}}'.encode())

    assert (answer.status, answer.headers["x-amzn-errortype"]) == (400, "SerializationException")
    assert recorder.calls == []


@pytest.mark.parametrize(
    ("error", "status", "name"),
    [
        (RequestError("QueueDoesNotExist", "gone"), 400, "QueueDoesNotExist"),
        (IntakeRefused("memory is full"), 503, "ServiceUnavailableException"),
        (NodeDead("host-1"), 503, "ServiceUnavailableException"),
        (ValueError("a bug"), 500, "ServiceException"),
    ],
)
def test_an_operation_s_exception_becomes_an_answer(error: Exception, status: int, name: str) -> None:
    recorder = Recorder()
    recorder.error = error

    answer = recorder.ask(body=MESSAGE)

    assert (answer.status, answer.headers["x-amzn-errortype"]) == (status, name)
    assert "a bug" not in answer.body.decode()


def test_an_operation_that_is_not_served_is_named() -> None:
    answer = Recorder().ask(headers={"X-Amz-Target": "AmazonSQS.TagQueue"})

    assert answer.status == 501
    assert (
        json.loads(answer.body)["message"]
        == f"The operation TagQueue of sqs is not served by eventrouter {__version__}."
    )


def test_an_operation_that_aws_does_not_have_is_refused_too() -> None:
    answer = Recorder().ask(headers={"X-Amz-Target": "AmazonSQS.Nope"})

    assert (answer.status, answer.headers["x-amzn-errortype"]) == (501, "UnsupportedOperationException")


@pytest.mark.parametrize(
    ("method", "path", "operation"),
    [
        ("POST", "/2015-03-31/functions/f/versions", "PublishVersion"),
        ("GET", "/2015-03-31/functions/f/aliases", "ListAliases"),
        ("GET", "/2018-10-31/layers", "ListLayers"),
        ("POST", "/2021-11-15/functions/f/response-streaming-invocations", "InvokeWithResponseStream"),
    ],
)
def test_lambda_operations_that_are_not_served_are_named(
    account: Account, method: str, path: str, operation: str
) -> None:
    answer = account.ask(method, path)

    assert (answer.status, answer.headers["x-amzn-errortype"]) == (501, "UnsupportedOperationException")
    assert json.loads(answer.body)["message"] == (
        f"The operation {operation} of lambda is not served by eventrouter {__version__}."
    )


def test_a_service_that_is_not_served_is_named(account: Account) -> None:
    headers = account.signed("kinesis")

    by_target = account.ask("POST", "/", headers={**headers, "X-Amz-Target": "Kinesis_20131202.ListStreams"})
    by_path = account.ask("GET", "/bucket/key", headers=account.signed("s3"))
    by_form = account.ask(
        "POST",
        "/",
        headers={**account.signed("sts"), "Content-Type": "application/x-www-form-urlencoded; charset=utf-8"},
        body=b"Action=GetCallerIdentity&Version=2011-06-15",
    )

    for answer, service in ((by_target, "kinesis"), (by_path, "s3"), (by_form, "sts")):
        assert answer.status == 501
        assert f"The service {service}, or this operation of it, is not served by eventrouter" in answer.body.decode()
    assert by_form.headers["content-type"] == "text/xml"
    assert by_form.body.startswith(
        b"<ErrorResponse><Error><Type>Sender</Type><Code>UnsupportedOperationException</Code>"
    )


@pytest.mark.parametrize(
    ("service", "operation"),
    [
        ("s3", "list_buckets"), ("sts", "get_caller_identity"), ("ec2", "describe_regions"),
        ("dynamodb", "list_tables"), ("cloudwatch", "list_metrics"), ("sns", "list_topics"),
    ],
)  # fmt: skip
def test_boto3_reads_the_refusal_of_a_service_in_that_service_s_protocol(
    account: Account, service: str, operation: str
) -> None:
    client = boto3.client(
        service,
        endpoint_url=account.door.url,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(retries={"total_max_attempts": 1}),
    )

    with pytest.raises(ClientError) as caught:
        getattr(client, operation)()

    error = caught.value.response["Error"]
    assert error["Code"] == "UnsupportedOperationException"
    assert "is not served by eventrouter" in error["Message"]
    client.close()


def test_an_unsigned_request_to_nowhere_is_404(door: Door) -> None:
    answer = door.ask("GET", "/favicon.ico")

    assert (answer.status, answer.headers["x-amzn-errortype"]) == (404, "UnknownOperationException")


def test_internal_paths_are_answered_by_their_handlers(door: Door) -> None:
    assert door.ask("GET", "/_eventrouter/hello", body=b"you").body == b"hello /_eventrouter/hello you\n"
    assert door.ask("GET", "/_eventrouter/below/a%2Fb").body == b"hello /_eventrouter/below/a%2Fb \n"
    assert door.ask("GET", "/_eventrouter/below/").status == 404


def test_an_internal_handler_s_bug_is_a_500() -> None:
    async def broken(request: Request) -> Response:
        raise ValueError("a bug")

    gateway = Gateway(
        services={},
        hot_invoke=None,  # type: ignore[arg-type]  # no test here invokes
        internal={"/x": broken},
        settings=Settings(),
        request_ids=RequestIds(Random(1)),
        log=structlog.get_logger(),
    )

    assert asyncio.run(call(gateway, "GET", b"/x", [], b"", b"")).status == 500


def test_one_connection_serves_many_requests(account: Account) -> None:
    account.create()
    connection = http.client.HTTPConnection(account.door.url.removeprefix("http://"), timeout=10)
    path = "/2015-03-31/functions/f/invocations"
    try:
        ids = set()
        for body, status in (
            (b'{"n":1}', 200),
            (b"no json", 400),
            (b'"' + b"x" * 12_000_000 + b'"', 413),
            (b"{}", 200),
        ):
            connection.request("POST", path, body=body, headers=account.signed())
            connection_socket = connection.sock
            response = connection.getresponse()
            assert (response.status, len(response.read())) == (status, int(response.headers["content-length"]))
            assert connection.sock is connection_socket
            ids.add(response.headers["x-amzn-requestid"])
    finally:
        connection.close()

    assert len(ids) == 4


def test_a_caller_that_leaves_before_its_body_is_complete_is_not_answered(door: Door) -> None:
    sent: list[Any] = []

    async def ask(path: str) -> None:
        messages = [{"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"}]

        async def receive() -> Any:
            return messages.pop(0)

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {"type": "http", "method": "POST", "path": path, "query_string": b"", "headers": []}
        await door.gateway(scope, receive, send)

    for path in ("/2015-03-31/functions/f/invocations", "/2015-03-31/functions", "/_eventrouter/hello"):
        door.run(ask(path))

    assert sent == []


def test_a_body_without_a_declared_length_is_counted_as_it_arrives(door: Door) -> None:
    answer = door.ask("PUT", "/2017-10-31/functions/f/concurrency", body=b" " * 6_291_457)

    assert (answer.status, answer.headers["x-amzn-errortype"]) == (413, "RequestEntityTooLargeException")


@pytest.mark.parametrize("path", ["/2015-03-31/functions//invocations", "/2015-03-31/functions/a/b/invocations"])
def test_paths_that_only_look_like_invoke_are_no_operations(account: Account, path: str) -> None:
    assert account.ask("POST", path).status in {400, 404, 501}


def test_lifespan_and_websockets_are_answered() -> None:
    gateway = Recorder().gateway()
    sent: list[Any] = []

    async def run(kind: str, *messages: str) -> None:
        waiting = [{"type": message} for message in messages]

        async def receive() -> Any:
            return waiting.pop(0)

        async def send(message: Any) -> None:
            sent.append(message["type"])

        await gateway({"type": kind}, receive, send)

    asyncio.run(run("lifespan", "lifespan.startup", "lifespan.shutdown"))
    asyncio.run(run("websocket", "websocket.connect"))

    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete", "websocket.close"]
