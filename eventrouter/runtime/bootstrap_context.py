"""The context object that a handler is given. Standard library only: this runs inside functions.

Source: lambda-semantics §5.3.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any


class CognitoIdentity:
    """Who called, through Cognito; here always nobody."""

    __slots__ = ("cognito_identity_id", "cognito_identity_pool_id")

    def __init__(self) -> None:
        self.cognito_identity_id = None
        self.cognito_identity_pool_id = None


class Client:
    """What a mobile caller says of itself."""

    __slots__ = ("app_package_name", "app_title", "app_version_code", "app_version_name", "installation_id")

    def __init__(self, fields: dict[str, Any]) -> None:
        self.installation_id = fields.get("installation_id")
        self.app_title = fields.get("app_title")
        self.app_version_name = fields.get("app_version_name")
        self.app_version_code = fields.get("app_version_code")
        self.app_package_name = fields.get("app_package_name")


class ClientContext:
    """The caller's `X-Amz-Client-Context`."""

    __slots__ = ("client", "custom", "env")

    def __init__(self, fields: dict[str, Any]) -> None:
        client = fields.get("client")
        self.custom = fields.get("custom")
        self.env = fields.get("env")
        self.client = None if client is None else Client(client)


class LambdaContext:
    """What a handler may know of its invocation. Has a plain `__dict__`, as on AWS: handlers look at `vars()`."""

    function_name: str
    function_version: str
    memory_limit_in_mb: str
    log_group_name: str
    log_stream_name: str

    def __init__(
        self, fixed: dict[str, str], request_id: str, arn: str, deadline_s: float, client_context: ClientContext | None
    ) -> None:
        """Take what never changes (`fixed`) and what this invocation brings; `deadline_s` is monotonic time."""
        self.__dict__.update(fixed)
        self.aws_request_id = request_id
        self.invoked_function_arn = arn
        self.client_context = client_context
        self.identity = CognitoIdentity()
        self.tenant_id = None
        self._deadline_s = deadline_s

    def get_remaining_time_in_millis(self) -> int:
        """Return the milliseconds until the timeout, never below 0."""
        left = self._deadline_s - time.monotonic()
        return int(left * 1_000) if left > 0 else 0

    def log(self, message: object) -> None:
        """Write to the function's log, without adding a newline."""
        sys.stdout.write(str(message))

    def __repr__(self) -> str:
        names = (
            "aws_request_id",
            "log_group_name",
            "log_stream_name",
            "function_name",
            "memory_limit_in_mb",
            "function_version",
            "invoked_function_arn",
            "client_context",
            "identity",
            "tenant_id",
        )
        return f"LambdaContext([{','.join(f'{name}={getattr(self, name)}' for name in names)}])"


def parse_client_context(text: str) -> ClientContext | None:
    """Read the caller's JSON; empty text stands for none. Raises whatever the mistake in it raises."""
    return ClientContext(json.loads(text)) if text else None
