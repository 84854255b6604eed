"""Charges a card for an order, once, however often the event comes."""

from __future__ import annotations

from typing import Any


class Gateway:
    """The payment provider's client."""

    def charge(self, order_id: str, cents: int, idempotency_key: str) -> str:
        """Charge, and return the provider's reference."""
        raise NotImplementedError("talks to the provider")


gateway = Gateway()
receipts: dict[str, str] = {}
"""Reference by order; a table in real life."""


def charge(event: dict[str, Any], context: Any) -> dict[str, str]:
    order_id = event["order"]
    if order_id not in receipts:
        receipts[order_id] = gateway.charge(order_id, event["cents"], idempotency_key=order_id)
    return {"order": order_id, "receipt": receipts[order_id]}
