"""Errors that several Lambda operations raise, each in AWS's words.

Source: lambda-semantics §1.4-1.6, §1.9, §2.
"""

from __future__ import annotations

from eventrouter.errors import RequestError
from eventrouter.rules.names import FunctionName

RETRY_AFTER_S = "1"


def invalid(message: str) -> RequestError:
    """Return a business rule's refusal: the second validation layer."""
    return RequestError("InvalidParameterValueException", message)


def function_not_found(name: FunctionName, qualifier: str | None = None) -> RequestError:
    """Return the 404 for a function, or for a qualifier that a function does not have."""
    return RequestError("ResourceNotFoundException", f"Function not found: {name.arn(qualifier)}")


def conflict(message: str) -> RequestError:
    """Return the 409 for a resource that exists already or is in motion."""
    return RequestError("ResourceConflictException", message)


def too_large(size: int, invocation_type: str, limit: int) -> RequestError:
    """Return the 413 for an event over its limit; sizes in bytes."""
    return RequestError(
        "RequestEntityTooLargeException",
        f"{size} byte payload is too large for the {invocation_type} invocation type (limit {limit} bytes)",
        status=413,
        fault=None,
    )


def request_too_large(limit: int, operation: str) -> RequestError:
    """Return the 413 for a body that was cut while it arrived."""
    return RequestError(
        "RequestEntityTooLargeException",
        f"Request must be smaller than {limit} bytes for the {operation} operation",
        status=413,
        fault=None,
    )


def service_error(message: str) -> RequestError:
    """Return the 500 for a fault of ours."""
    return RequestError("ServiceException", message, status=500, fault="Service")


def unavailable(reason: str) -> RequestError:
    """Return the 503 for a store that does not answer or takes nothing new; SDKs try again."""
    return RequestError(
        "ServiceUnavailableException", reason, status=503, fault="Service", headers={"retry-after": RETRY_AFTER_S}
    )
