"""An HTTP API whose handlers call AWS themselves: Lambda is the router's, DynamoDB is moto's."""

from __future__ import annotations

import json

import boto3
import pytest
from moto import mock_aws

from tests.examples.orders import orders


@pytest.fixture
def api(eventrouter):
    """The API, and DynamoDB beside it."""
    with mock_aws():
        boto3.client("dynamodb").create_table(
            TableName=orders.TABLE,
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        eventrouter.route("POST /orders", to=eventrouter.function(orders.create))
        eventrouter.route("GET /orders/{id}", to=eventrouter.function(orders.show))
        eventrouter.function(orders.mail)
        yield eventrouter


def test_an_order_is_stored_shown_and_told_of(api):
    assert ask(api, "POST", "/orders", {"id": "A-1", "cents": 4_200}) == (201, {"id": "A-1"})
    assert ask(api, "GET", "/orders/A-1") == (200, {"id": "A-1", "cents": 4_200})
    api.run_until_idle()
    assert [run.result for run in api.runs.of("mail")] == ["order A-1 was placed"]


@pytest.mark.anyio
async def test_what_cannot_be_ordered_is_refused_and_nobody_is_told(api):
    assert ask(api, "POST", "/orders", {"id": "A-2", "cents": 0}) == (422, {"error": "an order costs something"})
    assert ask(api, "GET", "/orders/A-2") == (404, {"error": "no such order"})
    api.run_until_idle()
    assert api.runs.of("mail") == []


def test_a_lookup_that_hangs_is_answered_when_its_function_times_out(api):
    api.faults("show").fail("timeout")
    before = api.elapsed
    assert ask(api, "GET", "/orders/A-1") == (502, {"message": "Internal server error"})
    assert api.elapsed - before == pytest.approx(3, abs=0.1)


def ask(router, method, path, body=None):
    """Ask the API; return the status and the body."""
    data = b"" if body is None else json.dumps(body).encode()
    status, _, answered = router.answer(method, router.url + path, {"content-type": "application/json"}, data)
    return status, json.loads(answered)
