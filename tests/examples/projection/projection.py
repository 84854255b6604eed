"""Keeps the current state of every order, from the stream of what happened to them."""

from __future__ import annotations

import base64
import json
from typing import Any

orders: dict[str, list[str]] = {}
"""What happened to each order, in order; a table in real life."""


def handler(event: dict[str, Any], context: Any) -> None:
    changes = [json.loads(base64.b64decode(record["kinesis"]["data"])) for record in event["Records"]]
    parsed = [(change["order"], change["state"]) for change in changes]  # a record without a state fails the batch
    for order, state in parsed:
        orders.setdefault(order, []).append(state)
