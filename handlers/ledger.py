"""Write one line a run into a file: how the demo counts what was processed, and how often."""

from __future__ import annotations

import os
import time
from typing import Any


def handler(event: dict[str, Any], context: Any) -> None:
    """Work for `event["seconds"]`, then append `event["entry"]` to the file `event["file"]`.

    One write of one short line with O_APPEND: lines of several environments never mix.
    """
    time.sleep(float(event.get("seconds", 0)))
    descriptor = os.open(event["file"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(descriptor, f"{event['entry']}\n".encode())
    finally:
        os.close(descriptor)
