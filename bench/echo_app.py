"""The floor of the HTTP benchmark: the least that a Python server can do with a JSON request."""

from __future__ import annotations

import json
from typing import Any


async def app(_scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Parse the body and answer it again."""
    body = b""
    more = True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    answer = json.dumps(json.loads(body or b"{}")).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(answer)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer})
