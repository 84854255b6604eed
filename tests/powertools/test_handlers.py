"""Powertools' parser, event handlers, logger and metrics in functions, given the events of our samples."""

from __future__ import annotations

import json
from typing import Any

import pytest

from eventrouter.samples import Scene, edited, find_sample
from tests.powertools.functions import Functions

PARSED = """
from aws_lambda_powertools.utilities.parser import BaseModel, envelopes, event_parser

class Order(BaseModel):
    order_id: str
    total: float

@event_parser(model=Order, envelope=envelopes.ENVELOPE)
def handler(event, context):
    orders = event if isinstance(event, list) else [event]
    return [[order.order_id, order.total] for order in orders]
"""

ROUTES = """
from aws_lambda_powertools.event_handler import RESOLVER
from aws_lambda_powertools.event_handler.exceptions import NotFoundError

app = RESOLVER()

@app.put("/orders/<order_id>")
def put_order(order_id: str):
    order = app.current_event.json_body
    if order_id != order["order_id"].removeprefix("order-"):
        raise NotFoundError(f"there is no order {order_id}")
    return {"order": order_id, "total": order["total"]}, 201

@app.get("/orders/<order_id>")
def get_order(order_id: str):
    return {"order": order_id}

def handler(event, context):
    return app.resolve(event, context)
"""

OBSERVED = """
from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

logger = Logger()
metrics = Metrics()

@logger.inject_lambda_context(log_event=True, correlation_id_path="order_id")
@metrics.log_metrics(capture_cold_start_metric=True)
def handler(event, context):
    logger.info("order taken", extra={"total": event["total"]})
    metrics.add_metric(name="OrderTaken", unit=MetricUnit.Count, value=1)
"""


def sample(name: str, *changes: str) -> dict[str, Any]:
    return edited(find_sample(name).build(Scene()), changes)


@pytest.mark.parametrize(
    ("envelope", "name", "orders"),
    [
        ("KinesisDataStreamEnvelope", "kinesis:put", [["order-7", 129.5], ["order-8", 64.75]]),
        ("SqsEnvelope", "sqs:send", [["order-7", 129.5], ["order-8", 129.5]]),
        ("SnsEnvelope", "sns:publish", [["order-7", 129.5]]),
        ("SnsSqsEnvelope", "sqs:sns", [["order-7", 129.5]]),
        ("EventBridgeEnvelope", "eventbridge:custom", [["order-7", 129.5]]),
        ("KafkaEnvelope", "kafka:msk", [["order-7", 129.5], ["order-7", 129.5]]),
        ("KinesisFirehoseEnvelope", "firehose:transform", [["order-7", 129.5]]),
        ("ApiGatewayEnvelope", "http:rest", [["order-7", 129.5]]),
        ("ApiGatewayV2Envelope", "http:v2", [["order-7", 129.5]]),
        ("LambdaFunctionUrlEnvelope", "http:url", [["order-7", 129.5]]),
    ],
)
def test_an_envelope_unpacks_the_orders_of_an_event(
    functions: Functions, envelope: str, name: str, orders: list[Any]
) -> None:
    function = functions.make(PARSED.replace("ENVELOPE", envelope))

    assert functions.account.invoke(function, sample(name)).json == orders


def test_an_event_that_the_model_refuses_is_a_function_error(functions: Functions) -> None:
    function = functions.make(PARSED.replace("ENVELOPE", "SqsEnvelope"))

    answer = functions.account.invoke(function, sample("sqs:send", 'Records[1].body={"order_id": 8}'))

    assert answer.function_error == "Unhandled"
    assert answer.json["errorType"] == "ValidationError"


@pytest.mark.parametrize(
    ("resolver", "name"),
    [
        ("APIGatewayRestResolver", "http:rest"),
        ("APIGatewayHttpResolver", "http:v2"),
        ("LambdaFunctionUrlResolver", "http:url"),
    ],
)
def test_an_event_handler_finds_its_route(functions: Functions, resolver: str, name: str) -> None:
    function = functions.make(ROUTES.replace("RESOLVER", resolver))
    path = "path" if name == "http:rest" else "rawPath"
    context = "requestContext.path" if name == "http:rest" else "requestContext.http.path"

    taken = functions.account.invoke(function, sample(name)).json
    elsewhere = sample(name, f"{path}=/orders/8", f"{context}=/orders/8")
    refused = functions.account.invoke(function, elsewhere).json

    assert (taken["statusCode"], json.loads(taken["body"])) == (201, {"order": "7", "total": 129.5})
    assert (refused["statusCode"], json.loads(refused["body"])["message"]) == (404, "there is no order 8")


@pytest.mark.parametrize("name", ["alb:get", "alb:multi-value"])
def test_a_load_balancers_request_finds_its_route(functions: Functions, name: str) -> None:
    """The path has no braces there, and headers are answered in the form that they came in."""
    function = functions.make(ROUTES.replace("RESOLVER", "ALBResolver"))

    answer = functions.account.invoke(function, sample(name, "path=/orders/7")).json

    assert (answer["statusCode"], json.loads(answer["body"])) == (200, {"order": "7"})
    assert ("multiValueHeaders" in answer) == (name == "alb:multi-value")


def test_the_logger_and_the_metrics_know_the_run(functions: Functions) -> None:
    function = functions.make(OBSERVED, MemorySize=256)

    answers = [
        functions.account.invoke(function, {"order_id": "order-7", "total": 9.5}, LogType="Tail") for _ in range(2)
    ]

    cold, warm = ([json.loads(line) for line in answer.log.splitlines() if line.startswith("{")] for answer in answers)
    [taken] = [line for line in cold if line.get("message") == "order taken"]
    assert taken["function_request_id"] == answers[0].request_id
    assert taken["correlation_id"] == "order-7"
    assert (taken["function_name"], taken["function_memory_size"], taken["total"]) == (function, "256", 9.5)
    assert taken["function_arn"].endswith(f":{functions.account.id}:function:{function}")
    assert [line["cold_start"] for line in (*cold, *warm) if line.get("message") == "order taken"] == [True, False]
    metrics = [line for line in (*cold, *warm) if "_aws" in line]
    assert sorted(name for line in metrics for name in ("ColdStart", "OrderTaken") if name in line) == [
        "ColdStart",
        "OrderTaken",
        "OrderTaken",
    ]
