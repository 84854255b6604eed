"""Stores readings of machines."""

from __future__ import annotations

import base64
import json
from typing import Any

stored: list[float] = []
"""Degrees; a time series in real life."""


def store(event: dict[str, Any], context: Any) -> None:
    for record in event["Records"]:
        stored.append(json.loads(base64.b64decode(record["kinesis"]["data"]))["degrees"])
