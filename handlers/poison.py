"""Fail whatever comes: what dead-letter queues are for."""

from __future__ import annotations

from typing import Any


class PoisonError(Exception):
    """No attempt can succeed."""


def handler(event: dict[str, Any], context: Any) -> None:
    """Raise PoisonError, naming the event's `id`."""
    raise PoisonError(f"event {event.get('id')} cannot be processed")
