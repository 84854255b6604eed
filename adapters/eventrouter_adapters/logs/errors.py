"""The errors of CloudWatch Logs. Source: lambda-semantics §9.4."""

from __future__ import annotations

from eventrouter.errors import RequestError


def invalid_parameter(message: str) -> RequestError:
    return RequestError("InvalidParameterException", message, status=400, fault=None)


def invalid_token() -> RequestError:
    return invalid_parameter("The specified nextToken is invalid.")


def no_such_group() -> RequestError:
    return RequestError("ResourceNotFoundException", "The specified log group does not exist.", status=400, fault=None)


def no_such_stream() -> RequestError:
    return RequestError("ResourceNotFoundException", "The specified log stream does not exist.", status=400, fault=None)
