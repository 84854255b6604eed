"""The door of a node without the role `api`: its own paths, and what its own functions ask; nobody else's calls.

A function's endpoint is its own node, which is always there, so such a node answers callers on its own machine: those
whose address is the one they have reached. Other callers are refused with a 503 that names the roles.
"""

from __future__ import annotations

import socket
from typing import Any

from eventrouter.api.gateway import Gateway
from eventrouter.api.http import Receive, Scope, Send, json_response
from eventrouter.settings import Role, Settings

_OWN_PATHS = ("/_eventrouter/", "/_localstack/")
_PROBES = ("/healthz", "/readyz", "/health", "/metrics")


class RoleDoor:
    """An ASGI application before the gateway."""

    def __init__(self, gateway: Gateway, roles: str) -> None:
        self._gateway = gateway
        self._roles = roles

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or _is_own(scope):
            await self._gateway(scope, receive, send)
            return
        message = f"this node serves no API (its roles: {self._roles}): ask one with the role api"
        answer = json_response(503, {"__type": "ServiceUnavailableException", "message": message})
        length = (b"content-length", str(len(answer.body)).encode())
        code = (b"x-amzn-errortype", b"ServiceUnavailableException")
        headers = [*answer.headers, length, code, (b"connection", b"close")]  # a body that was sent is not read
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body})


def door_of(gateway: Gateway, settings: Settings) -> Any:  # Any: either is an ASGI application
    """Return what answers at a node's port."""
    return gateway if settings.has_role(Role.API) else RoleDoor(gateway, settings.roles)


def endpoint_of(url: str, listener: socket.socket | None, settings: Settings) -> str:
    """Return the URL that a node's functions are given: its own, and on its own machine if it serves nobody else."""
    if listener is None or settings.has_role(Role.API):
        return url
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _is_own(scope: Scope) -> bool:
    """Say whether a request is for the node's own paths, or comes from its own machine."""
    path: str = scope["path"]
    if path in _PROBES or path.startswith(_OWN_PATHS):
        return True
    client, server = scope.get("client"), scope.get("server")
    return bool(client and server and client[0] == server[0])
