"""Takes invoices from a queue. The first release knows no other currency than euros."""

from __future__ import annotations

import json
from typing import Any

booked: list[int] = []
"""Cents; a ledger in real life."""

RATES = {"EUR": 1.0}


def handler(event: dict[str, Any], context: Any) -> None:
    for record in event["Records"]:
        invoice = json.loads(record["body"])
        booked.append(round(invoice["cents"] * RATES[invoice["currency"]]))
