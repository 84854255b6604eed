"""HTTP APIs made by unmodified boto3, asked over real connections, answered by real functions."""

from __future__ import annotations

import gzip
import http.client
import json
import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.e2e.accounts import Account
from tests.e2e.nodes import NodeProcess, wait_until

pytestmark = pytest.mark.conformance

SHOP = """
import base64, json, time

def handler(event, context):
    path = event.get("rawPath", event.get("path"))
    if path == "/echo":
        return {"statusCode": 200, "body": json.dumps(event)}
    if path == "/image":
        body = base64.b64encode(b"\\x89PNG\\x00" + base64.b64decode(event["body"])).decode()
        return {"statusCode": 201, "headers": {"Content-Type": "image/png"}, "body": body, "isBase64Encoded": True}
    if path == "/cookies":
        return {"statusCode": 200, "cookies": ["a=1; Secure", "b=2"], "body": "set"}
    if path == "/plain":
        return "plain"
    if path == "/fail":
        raise ValueError("told to fail")
    if path == "/slow":
        time.sleep(3)
    if path == "/gone":
        return {"statusCode": 204, "body": "not sent"}
    if path == "/id":
        return {"statusCode": 200, "body": context.aws_request_id}
    return {"statusCode": 404, "body": "nothing"}
"""


class Shop:
    """An API with one function behind it, in an account of its own."""

    def __init__(self, account: Account, node: NodeProcess) -> None:
        self.account = account
        self.function = account.function(SHOP, Timeout=5)
        self.arn = f"arn:aws:lambda:us-east-1:{account.id}:function:{self.function}"
        self.gateway = account.client("apigatewayv2")
        self.api = self.gateway.create_api(Name="shop", ProtocolType="HTTP")["ApiId"]
        self._node = node

    def integrate(self, **members: Any) -> str:
        settings = {"IntegrationType": "AWS_PROXY", "IntegrationUri": self.arn, "PayloadFormatVersion": "2.0"}
        answer = self.gateway.create_integration(ApiId=self.api, **{**settings, **members})
        return str(answer["IntegrationId"])

    def route(self, key: str, **members: Any) -> str:
        target = f"integrations/{self.integrate(**members)}"
        return str(self.gateway.create_route(ApiId=self.api, RouteKey=key, Target=target)["RouteId"])

    def ask(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> tuple[http.client.HTTPResponse, bytes]:
        """Make a request to the API's own host, on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self._node.port, timeout=20)
        host = f"{self.api}.execute-api.localhost.localstack.cloud:{self._node.port}"
        try:
            connection.request(method, path, body=body, headers={"Host": host, **(headers or {})})
            answer = connection.getresponse()
            return answer, answer.read()
        finally:
            connection.close()


@pytest.fixture
def shop(account: Account, adapter_node: NodeProcess) -> Iterator[Shop]:
    shop = Shop(account, adapter_node)
    yield shop
    shop.gateway.delete_api(ApiId=shop.api)


def test_an_api_is_made_shown_changed_and_deleted(shop: Shop) -> None:
    gateway, api = shop.gateway, shop.api
    route = shop.route("GET /orders/{id}", Description="Orders.")

    assert gateway.get_api(ApiId=api)["ApiEndpoint"].startswith(f"http://{api}.execute-api.localhost.localstack.cloud:")
    assert [each["ApiId"] for each in gateway.get_apis()["Items"]] == [api]
    [integration] = gateway.get_integrations(ApiId=api)["Items"]
    assert (integration["Description"], integration["TimeoutInMillis"]) == ("Orders.", 30_000)
    gateway.update_integration(ApiId=api, IntegrationId=integration["IntegrationId"], TimeoutInMillis=50)
    assert gateway.get_integration(ApiId=api, IntegrationId=integration["IntegrationId"])["TimeoutInMillis"] == 50
    gateway.update_route(ApiId=api, RouteId=route, RouteKey="GET /orders")
    assert gateway.get_route(ApiId=api, RouteId=route)["RouteKey"] == "GET /orders"
    gateway.delete_route(ApiId=api, RouteId=route)
    gateway.delete_integration(ApiId=api, IntegrationId=integration["IntegrationId"])
    assert gateway.get_routes(ApiId=api)["Items"] == gateway.get_integrations(ApiId=api)["Items"] == []


def test_an_api_is_tagged_by_its_arn(shop: Shop) -> None:
    arn = f"arn:aws:apigateway:us-east-1::/apis/{shop.api}"
    shop.gateway.tag_resource(ResourceArn=arn, Tags={"a": "1", "b": "2"})
    shop.gateway.untag_resource(ResourceArn=arn, TagKeys=["a"])

    assert shop.gateway.get_tags(ResourceArn=arn)["Tags"] == {"b": "2"}


def test_errors_are_those_that_boto3_knows(shop: Shop) -> None:
    gateway = shop.gateway
    with pytest.raises(gateway.exceptions.NotFoundException, match="Invalid API identifier specified .*:nobody"):
        gateway.get_api(ApiId="nobody")
    with pytest.raises(gateway.exceptions.BadRequestException, match="not formatted properly"):
        gateway.create_route(ApiId=shop.api, RouteKey="orders")
    shop.route("$default")
    with pytest.raises(gateway.exceptions.ConflictException, match="already exists"):
        shop.route("$default")
    with pytest.raises(ClientError, match="between 50 and 30000|greater than or equal to 50"):
        shop.integrate(TimeoutInMillis=49)


@pytest.mark.parametrize("operation", ["create_stage", "create_deployment", "create_authorizer", "create_domain_name"])
def test_what_is_not_served_is_refused_by_name(shop: Shop, operation: str) -> None:
    members: dict[str, Any] = {"ApiId": shop.api, "StageName": "prod", "DomainName": "d"}
    accepted = shop.gateway.meta.service_model.operation_model(
        shop.gateway.meta.method_to_api_mapping[operation]
    ).input_shape.members
    given = {name: value for name, value in members.items() if name in accepted}

    with pytest.raises(ClientError, match=r"of apigatewayv2 is not served by eventrouter") as refusal:
        getattr(shop.gateway, operation)(**given)

    assert refusal.value.response["ResponseMetadata"]["HTTPStatusCode"] == 501


def test_a_request_reaches_its_function_whole(shop: Shop) -> None:
    shop.route("POST /{proxy+}")
    shop.route("PUT /{proxy+}", PayloadFormatVersion="1.0")
    headers = {"Content-Type": "application/json", "X-cUstom": "ä".encode().decode("latin-1"), "Cookie": "a=1"}

    _, body = shop.ask("POST", "/echo?a=1&a=2", '{"ä":1}'.encode(), headers)
    two = json.loads(body)
    _, body = shop.ask("PUT", "/echo?a=1&a=2", '{"ä":1}'.encode(), headers)
    one = json.loads(body)

    assert (two["body"], two["isBase64Encoded"], two["cookies"]) == ('{"ä":1}', False, ["a=1"])
    assert two["queryStringParameters"] == {"a": "1,2"}
    assert two["headers"]["x-custom"] == "ä".encode().decode("latin-1")
    assert (one["body"], one["isBase64Encoded"]) == ('{"ä":1}', False)
    assert one["multiValueQueryStringParameters"] == {"a": ["1", "2"]}
    assert one["headers"]["X-cUstom"] == "ä".encode().decode("latin-1")
    assert one["requestContext"]["identity"]["sourceIp"] == "127.0.0.1"


def test_bytes_come_and_go_as_base64(shop: Shop) -> None:
    shop.route("POST /image")
    body = gzip.compress(b"pixels")

    answer, image = shop.ask("POST", "/image", body, {"Content-Type": "application/octet-stream"})

    assert (answer.status, answer.headers["content-type"], image) == (201, "image/png", b"\x89PNG\x00" + body)


def test_cookies_plain_results_and_empty_answers(shop: Shop) -> None:
    shop.route("$default")

    answer, _ = shop.ask("GET", "/cookies")
    assert answer.headers.get_all("set-cookie") == ["a=1; Secure", "b=2"]
    answer, body = shop.ask("GET", "/plain")
    assert (answer.headers["content-type"], body) == ("application/json", b"plain")
    answer, body = shop.ask("DELETE", "/gone")
    assert (answer.status, body) == (204, b"")
    answer, body = shop.ask("HEAD", "/plain")
    assert (answer.status, body) == (200, b"")
    answer, body = shop.ask("GET", "/id")
    assert answer.headers["apigw-requestid"] == answer.headers["x-amzn-requestid"] == body.decode()


def test_failures_time_limits_and_throttles_are_told_as_api_gateway_does(shop: Shop) -> None:
    shop.route("$default")
    shop.route("GET /slow", TimeoutInMillis=300)
    quick = shop.account.function(SHOP, Timeout=1)
    arn = f"arn:aws:lambda:us-east-1:{shop.account.id}:function:{quick}"
    shop.route("PUT /slow", IntegrationUri=arn)
    shop.route("GET /nobody", IntegrationUri=f"{shop.arn}-gone")

    def told(method: str, path: str) -> tuple[int, bytes]:
        answer, body = shop.ask(method, path)
        return answer.status, body

    assert told("GET", "/fail") == (502, b'{"message": "Internal server error"}')
    assert told("PUT", "/slow") == (502, b'{"message": "Internal server error"}')
    assert told("GET", "/slow") == (503, b'{"message":"Service Unavailable"}')
    assert told("GET", "/nobody") == (500, b'{"message":"Internal server error"}')
    shop.account.reserve(shop.function, 0)
    assert told("GET", "/plain") == (503, b'{"message":"Service Unavailable"}')


def test_a_function_that_is_called_after_the_time_limit_still_runs_to_its_end(shop: Shop) -> None:
    shop.route("GET /slow", TimeoutInMillis=300)

    answer, _ = shop.ask("GET", "/slow")

    assert answer.status == 503
    wait_until(
        "the function's report",
        lambda: any(line.startswith("REPORT") for line in shop.account.log_messages(shop.function)),
    )


def test_many_requests_at_once_are_answered_each_by_its_own(shop: Shop) -> None:
    shop.route("POST /{proxy+}")

    def echoed(number: int) -> int:
        _, body = shop.ask("POST", f"/echo?n={number}")
        return int(json.loads(body)["queryStringParameters"]["n"])

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(echoed, range(40))) == list(range(40))


def test_without_an_address_the_default_account_s_apis_answer(adapter_node: NodeProcess) -> None:
    account = Account(adapter_node.url, account_id="000000000000")
    gateway = account.client("apigatewayv2")
    function = account.function(SHOP)
    path = f"/plain-{secrets.token_hex(4)}"
    api = gateway.create_api(
        Name="default",
        ProtocolType="HTTP",
        RouteKey=f"GET {path}",
        Target=f"arn:aws:lambda:us-east-1:000000000000:function:{function}",
    )["ApiId"]
    connection = http.client.HTTPConnection("127.0.0.1", adapter_node.port, timeout=20)
    try:
        for asked in (path, f"/_aws/execute-api/{api}/$default{path}"):
            connection.request("GET", asked)
            answer = connection.getresponse()
            assert (answer.status, answer.read()) == (404, b"nothing")
            assert answer.headers["apigw-requestid"]
        connection.request("POST", path)
        answer = connection.getresponse()
        assert answer.status == 404
        assert b"serves nothing at POST" in answer.read()
    finally:
        connection.close()
        gateway.delete_api(ApiId=api)
        gateway.close()
        account.close()
