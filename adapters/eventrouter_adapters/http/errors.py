"""The errors of API Gateway, in AWS's words where they are known."""

from __future__ import annotations

from eventrouter.errors import RequestError


def bad_request(message: str) -> RequestError:
    return RequestError("BadRequestException", message, status=400, fault=None)


def conflict(message: str) -> RequestError:
    return RequestError("ConflictException", message, status=409, fault=None)


def not_found(message: str) -> RequestError:
    return RequestError("NotFoundException", message, status=404, fault=None)


def no_such_api(account: str, api_id: str) -> RequestError:
    return not_found(f"Invalid API identifier specified {account}:{api_id}")


def no_such_integration(integration_id: str) -> RequestError:
    return not_found(f"Invalid Integration identifier specified {integration_id}")


def no_such_route(route_id: str) -> RequestError:
    return not_found(f"Invalid Route identifier specified {route_id}")


def not_supported(member: str, operation: str, why: str) -> RequestError:
    return bad_request(f"{member} of {operation} is not supported by eventrouter: {why}")
