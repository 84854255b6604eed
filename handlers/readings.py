"""Take readings from a stream, and fail if one is broken: what bisecting and on-failure records are for."""

from __future__ import annotations

import base64
import json
import os
import time
from typing import Any


class ReadingError(Exception):
    """A reading has no value, so its whole batch fails."""


def handler(event: dict[str, Any], context: Any) -> None:
    """Raise ReadingError if a reading of the batch has no `celsius`, and note the try either way.

    A record's data is JSON with `number`, `celsius`, and `notes`, the file that tries are noted in. A note is a line
    of JSON: shard, numbers of the readings, first and last sequence number, whether all was well, and the time.
    """
    records = [record["kinesis"] for record in event["Records"]]
    readings = [json.loads(base64.b64decode(record["data"])) for record in records]
    broken = [reading["number"] for reading in readings if reading["celsius"] is None]
    note = {
        "shard": event["Records"][0]["eventID"].partition(":")[0],
        "numbers": [reading["number"] for reading in readings],
        "first": records[0]["sequenceNumber"],
        "last": records[-1]["sequenceNumber"],
        "isWell": not broken,
        "at": time.time(),
    }
    _append(readings[0]["notes"], json.dumps(note))
    if broken:
        raise ReadingError(f"readings {broken} have no value")


def _append(file: str, line: str) -> None:
    """Write a line in one go, so that lines of several environments never mix."""
    descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(descriptor, f"{line}\n".encode())
    finally:
        os.close(descriptor)
