"""Take an order, or refuse it by raising: what a function error looks like."""

from __future__ import annotations

from decimal import Decimal
from typing import Any


class OrderError(Exception):
    """The order cannot be taken. Lambda reports the class's bare name as `errorType`."""


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Return the order's total, a Decimal, which arrives as a plain JSON number.

    Raises OrderError for an order without items or with a quantity below one.
    """
    items = event.get("items") or []
    if not items:
        raise OrderError(f"order {event.get('id')} has no items")
    return {"id": event.get("id"), "total": sum((total_of(item) for item in items), Decimal())}


def total_of(item: dict[str, Any]) -> Decimal:
    """Return price times quantity of one item."""
    quantity = int(item.get("quantity", 1))
    if quantity < 1:
        raise OrderError(f"quantity {quantity} of {item.get('sku')} is below 1")
    return Decimal(str(item["price"])) * quantity
