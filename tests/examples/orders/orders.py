"""An order API: orders are kept in a DynamoDB table, and each new one is told to whoever wants to know."""

from __future__ import annotations

import json
from typing import Any

import boto3

TABLE = "orders"


def create(event: dict[str, Any], context: Any) -> dict[str, Any]:
    order = json.loads(event["body"])
    if order["cents"] <= 0:
        return {"statusCode": 422, "body": json.dumps({"error": "an order costs something"})}
    boto3.resource("dynamodb").Table(TABLE).put_item(Item=order)
    boto3.client("lambda").invoke(
        FunctionName="mail", InvocationType="Event", Payload=json.dumps({"placed": order["id"]})
    )
    return {"statusCode": 201, "body": json.dumps({"id": order["id"]})}


def show(event: dict[str, Any], context: Any) -> dict[str, Any]:
    found = boto3.resource("dynamodb").Table(TABLE).get_item(Key={"id": event["pathParameters"]["id"]})
    if "Item" not in found:
        return {"statusCode": 404, "body": json.dumps({"error": "no such order"})}
    item = found["Item"]
    return {"statusCode": 200, "body": json.dumps({"id": item["id"], "cents": int(item["cents"])})}


async def mail(event: dict[str, Any], context: Any) -> str:
    return f"order {event['placed']} was placed"
