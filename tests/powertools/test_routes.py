"""Powertools' event handlers behind HTTP routes: requests over the wire, and what the client gets."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from tests.powertools.functions import Functions

SHOP = """
from aws_lambda_powertools.event_handler import RESOLVER, Response, content_types
from aws_lambda_powertools.event_handler.exceptions import BadRequestError, NotFoundError
from aws_lambda_powertools.shared.cookies import Cookie

app = RESOLVER()

@app.exception_handler(ValueError)
def handle_value_error(error):
    return Response(status_code=422, content_type=content_types.TEXT_PLAIN, body=str(error))

@app.get("/orders/<order_id>")
def get_order(order_id: str):
    if order_id == "none":
        raise NotFoundError("there is no such order")
    if order_id == "broken":
        raise ValueError("this order is broken")
    if order_id == "crash":
        raise RuntimeError("nobody expected this")
    return {"order": order_id, "notify": app.current_event.resolved_query_string_parameters.get("notify")}

@app.post("/orders")
def post_order():
    order = app.current_event.json_body
    if "sku" not in order:
        raise BadRequestError("an order has a sku")
    return Response(
        status_code=201,
        content_type=content_types.APPLICATION_JSON,
        body={"sku": order["sku"]},
        headers={"Location": "/orders/7"},
        cookies=[Cookie(name="last", value="7"), Cookie(name="theme", value="dark")],
    )

@app.get("/label")
def get_label():
    return Response(status_code=200, content_type="image/png", body=bytes(range(256)))

def handler(event, context):
    return app.resolve(event, context)
"""


@dataclass(frozen=True)
class Reply:
    status: int
    headers: Any
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


Ask = Callable[..., Reply]


@pytest.fixture(params=[("APIGatewayHttpResolver", "2.0"), ("APIGatewayRestResolver", "1.0")], ids=["2.0", "1.0"])
def ask(request: pytest.FixtureRequest, functions: Functions) -> Ask:
    """Send a request to an API whose every route leads to the shop."""
    resolver, payload_format = request.param
    account = functions.account
    name = functions.make(SHOP.replace("RESOLVER", resolver))
    client = account.client("apigatewayv2")
    try:
        api = client.create_api(Name="shop", ProtocolType="HTTP")["ApiId"]
        integration = client.create_integration(
            ApiId=api,
            IntegrationType="AWS_PROXY",
            IntegrationUri=f"arn:aws:lambda:us-east-1:{account.id}:function:{name}",
            PayloadFormatVersion=payload_format,
        )["IntegrationId"]
        client.create_route(ApiId=api, RouteKey="$default", Target=f"integrations/{integration}")
    finally:
        client.close()
    base = f"{account.url}/_aws/execute-api/{api}/$default"

    def send(method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None) -> Reply:
        asked = urllib.request.Request(base + path, data=body, method=method, headers=dict(headers or {}))
        try:
            with urllib.request.urlopen(asked, timeout=20) as answer:
                return Reply(answer.status, answer.headers, answer.read())
        except urllib.error.HTTPError as refusal:
            with refusal:
                return Reply(refusal.code, refusal.headers, refusal.read())

    return send


def test_a_path_leads_to_its_handler_with_its_parameters(ask: Ask) -> None:
    reply = ask("GET", "/orders/7?notify=ada&notify=bob")

    assert reply.status == 200
    assert reply.headers["Content-Type"] == "application/json"
    assert reply.json == {"order": "7", "notify": ["ada", "bob"]}


def test_what_handlers_raise_becomes_the_answer(ask: Ask) -> None:
    missing, broken, unrouted = ask("GET", "/orders/none"), ask("GET", "/orders/broken"), ask("GET", "/elsewhere")

    assert (missing.status, missing.json["message"]) == (404, "there is no such order")
    assert (broken.status, broken.body) == (422, b"this order is broken")
    assert (unrouted.status, unrouted.json["message"]) == (404, "Not found")


def test_what_nobody_handles_is_the_gateways_own_error(ask: Ask) -> None:
    crashed = ask("GET", "/orders/crash")

    assert (crashed.status, crashed.json) == (502, {"message": "Internal server error"})


def test_a_posted_body_is_read_and_cookies_are_set(ask: Ask) -> None:
    taken = ask("POST", "/orders", b'{"sku": "lamp-1"}', {"Content-Type": "application/json"})
    refused = ask("POST", "/orders", b"{}", {"Content-Type": "application/json"})

    assert (taken.status, taken.json) == (201, {"sku": "lamp-1"})
    assert taken.headers["Location"] == "/orders/7"
    assert [cookie.partition(";")[0] for cookie in taken.headers.get_all("Set-Cookie")] == ["last=7", "theme=dark"]
    assert (refused.status, refused.json["message"]) == (400, "an order has a sku")


def test_bytes_reach_the_client_as_they_are(ask: Ask) -> None:
    label = ask("GET", "/label")

    assert label.headers["Content-Type"] == "image/png"
    assert label.body == bytes(range(256))
