"""What is for no AWS API: which of an adapter's doors is asked, when, and with what."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from random import Random
from typing import Any

import pytest
import structlog

from eventrouter.api.gateway import Gateway
from eventrouter.api.http import Request, Response, WebRequest, json_response
from eventrouter.api.request_ids import RequestIds
from eventrouter.ports import Caller, ServiceApi
from eventrouter.settings import Settings
from tests.api.conftest import Answer, call

SIGNED = {"Authorization": "AWS4-HMAC-SHA256 Credential=test/20261121/us-east-1/{}/aws4_request, SignedHeaders=host"}


async def _send_message(caller: Caller, values: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"MessageId": "m"}


async def _health(request: Request) -> Response:
    return json_response(200, "node")


class Door:
    """Claims one host, and answers paths that it knows by its name."""

    def __init__(self, name: str, *paths: str, host: str = "", body_limit: int = 100) -> None:
        self.name = name
        self.body_limit = body_limit
        self.requests: list[WebRequest] = []
        self.error: Exception | None = None
        self._paths = paths
        self._host = host

    def claims(self, request: Request) -> bool:
        return bool(self._host) and request.header("host") == self._host

    async def answer(self, request: WebRequest) -> Response | None:
        self.requests.append(request)
        if self.error is not None:
            raise self.error
        return json_response(200, self.name) if request.request.path in self._paths else None


def ask(
    *doors: Door, method: str = "GET", path: str = "/orders", body: bytes = b"", query: bytes = b"", **headers: str
) -> Answer:
    gateway = Gateway(
        services={"sqs": ServiceApi(service="sqs", operations={"SendMessage": _send_message})},
        hot_invoke=None,  # type: ignore[arg-type]  # no test here invokes
        internal={"/health": _health},
        settings=Settings(),
        request_ids=RequestIds(Random(1)),
        log=structlog.get_logger(),
        fallbacks=doors,
    )
    raw = [(name.replace("_", "-").lower().encode(), value.encode()) for name, value in headers.items()]
    return asyncio.run(call(gateway, method, path.encode(), raw, body, query))


def test_an_unsigned_request_that_is_for_no_aws_api_goes_to_the_doors_in_order() -> None:
    first, second = Door("first", "/a"), Door("second", "/a", "/orders")

    assert json.loads(ask(first, second, path="/a").body) == "first"
    assert json.loads(ask(first, second, path="/orders").body) == "second"
    assert len(second.requests) == 1


def test_what_no_door_knows_is_refused_as_before() -> None:
    for doors in ((), (Door("first"),)):
        answer = ask(*doors)
        assert (answer.status, answer.headers["x-amzn-errortype"]) == (404, "UnknownOperationException")


@pytest.mark.parametrize("service", ["s3", "execute-api"])
def test_a_signed_request_is_for_aws(service: str) -> None:
    door = Door("first", "/orders")

    answer = ask(door, Authorization=SIGNED["Authorization"].format(service))

    assert (answer.status, answer.headers["x-amzn-errortype"]) == (501, "UnsupportedOperationException")
    assert door.requests == []


def test_other_credentials_are_the_function_s_own_matter() -> None:
    assert ask(Door("first", "/orders"), Authorization="Bearer abc").status == 200


def test_the_node_s_own_paths_and_aws_s_go_before_what_a_door_does_not_claim() -> None:
    door = Door("first", "/health", "/", "/000000000000/q")

    assert json.loads(ask(door, path="/health").body) == "node"
    aws_json = {"X_Amz_Target": "AmazonSQS.SendMessage", "Content_Type": "application/x-amz-json-1.0"}
    message = b'{"QueueUrl": "http://h/1/q", "MessageBody": "b"}'
    assert json.loads(ask(door, method="POST", path="/", body=message, **aws_json).body) == {"MessageId": "m"}
    assert ask(door, path="/000000000000/q").status == 404
    assert door.requests == []


@pytest.mark.parametrize("path", ["/_eventrouter/nothing", "/_localstack/nothing", "/_aws/nothing"])
def test_paths_among_the_node_s_own_never_reach_a_door_that_does_not_claim_them(path: str) -> None:
    door = Door("first", path)

    assert ask(door, path=path).status == 404
    assert door.requests == []
    assert ask(Door("claims", path, host="mine"), path=path, host="mine").status == 200


def test_what_a_door_claims_is_its_own_whatever_it_looks_like() -> None:
    door = Door("claims", "/health", host="mine")

    assert json.loads(ask(door, path="/health", host="mine").body) == "claims"
    signed = SIGNED["Authorization"].format("sqs")
    answer = ask(door, method="POST", path="/", host="mine", X_Amz_Target="AmazonSQS.SendMessage", Authorization=signed)
    assert answer.status == 404
    assert len(door.requests) == 2


def test_a_door_is_given_the_whole_request() -> None:
    door = Door("first", "/a%20b")

    answer = ask(door, method="PUT", path="/a%20b", body=b"body", query=b"x=1&x=2", X_Two="v")

    [request] = door.requests
    assert request.id == answer.headers["x-amzn-requestid"]
    assert (request.sender, request.protocol, request.headers) == ("127.0.0.1", "HTTP/1.1", ((b"x-two", b"v"),))
    inner = request.request
    assert (inner.method, inner.path, inner.query, inner.body) == ("PUT", "/a%20b", b"x=1&x=2", b"body")


def test_a_body_over_the_limit_is_refused() -> None:
    assert ask(Door("first", "/orders"), body=b"a" * 100).status == 200

    answer = ask(Door("first", "/orders"), body=b"a" * 101)

    assert (answer.status, answer.body) == (413, b'{"message":"Request Too Long"}')


def test_a_door_that_breaks_answers_with_500() -> None:
    door = Door("first", "/orders")
    door.error = ValueError("a bug")

    assert ask(door).status == 500
