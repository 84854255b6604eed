"""Greet somebody: the smallest function worth calling."""

from __future__ import annotations

import itertools
from typing import Any

_calls = itertools.count(1)


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Answer a greeting, the request's id and how often this environment has been used."""
    print(f"greeting {event.get('name', 'world')}")
    return {
        "message": f"Hello, {event.get('name', 'world')}!",
        "requestId": context.aws_request_id,
        "callsInThisEnvironment": next(_calls),
    }
