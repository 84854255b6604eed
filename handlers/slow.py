"""Take a while: what timeouts, throttles and draining are tried with."""

from __future__ import annotations

import time
from typing import Any


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Sleep `event["seconds"]` (1 where none is given) and say how much of the timeout was left."""
    time.sleep(float(event.get("seconds", 1)))
    return {"slept": event.get("seconds", 1), "remainingMs": context.get_remaining_time_in_millis()}
