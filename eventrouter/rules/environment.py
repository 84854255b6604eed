"""What a function's environment variables may be.

Source: lambda-semantics §2.6.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from eventrouter.errors import RequestError
from eventrouter.rules.limits import ENVIRONMENT_BYTES

RESERVED = frozenset({
    "_HANDLER", "_X_AMZN_TRACE_ID", "AWS_DEFAULT_REGION", "AWS_REGION", "AWS_EXECUTION_ENV",
    "AWS_LAMBDA_FUNCTION_NAME", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "AWS_LAMBDA_FUNCTION_VERSION",
    "AWS_LAMBDA_INITIALIZATION_TYPE", "AWS_LAMBDA_LOG_GROUP_NAME", "AWS_LAMBDA_LOG_STREAM_NAME",
    "AWS_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_LAMBDA_RUNTIME_API",
    "LAMBDA_TASK_ROOT", "LAMBDA_RUNTIME_DIR",
})  # fmt: skip
_UNABLE = (
    "Lambda was unable to configure your environment variables because the environment variables you have provided"
)


def check_environment(variables: Mapping[str, str]) -> None:
    """Raise RequestError (InvalidParameterValueException) for reserved keys or more than 4 KB of JSON."""
    reserved = [key for key in variables if key in RESERVED]
    if reserved:
        raise RequestError(
            "InvalidParameterValueException",
            f"{_UNABLE} contains reserved keys that are currently not supported for modification. "
            f"Reserved keys used in this request: {', '.join(reserved)}",
        )
    measured = msgspec.json.encode(variables)
    if len(measured) > ENVIRONMENT_BYTES:
        raise RequestError(
            "InvalidParameterValueException",
            f"{_UNABLE} exceeded the 4KB limit. String measured: {measured.decode()}",
        )
