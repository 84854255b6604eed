"""Fail a given number of times and then succeed: what the retries of an asynchronous event are for."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any


class NotYetError(Exception):
    """This attempt was told to fail."""


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Note the attempt in `event["directory"]`, and raise NotYetError while attempts are at most `event["failures"]`.

    The notes outlive environments and nodes: one file an event, one line an attempt, holding the time in seconds
    since the epoch. All attempts of one event share its request id.
    """
    notes = Path(event["directory"]) / f"{context.aws_request_id}.attempts"
    with notes.open("a") as file:
        file.write(f"{time.time():.3f}\n")
    attempt = len(notes.read_text().splitlines())
    if attempt <= event["failures"]:
        raise NotYetError(f"attempt {attempt} fails, as it was told")
    return {"attempts": attempt}
