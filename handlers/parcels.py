"""Take parcels from a queue, and name those that could not be sent: what partial batch responses are for."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Send every parcel of the batch to a country that is served; report the others, and note the batch.

    A message's body is JSON with `number`, `country`, and `folder`, where the file `countries` names those that are
    served and the file `parcels` takes the notes. A note is a line of JSON: the numbers of the parcels, those that
    failed, how often the first one was received, and the time.
    """
    parcels = [json.loads(record["body"]) for record in event["Records"]]
    folder = Path(parcels[0]["folder"])
    served = (folder / "countries").read_text().split()
    failed = [at for at, parcel in enumerate(parcels) if parcel["country"] not in served]
    note = {
        "numbers": [parcel["number"] for parcel in parcels],
        "failed": [parcels[at]["number"] for at in failed],
        "received": int(event["Records"][0]["attributes"]["ApproximateReceiveCount"]),
        "at": time.time(),
    }
    _append(folder / "parcels", json.dumps(note))
    return {"batchItemFailures": [{"itemIdentifier": event["Records"][at]["messageId"]} for at in failed]}


def _append(file: Path, line: str) -> None:
    """Write a line in one go, so that lines of several environments never mix."""
    descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(descriptor, f"{line}\n".encode())
    finally:
        os.close(descriptor)
