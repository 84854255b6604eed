"""The errors of EventBridge. Source: lambda-semantics §6.5, §9.2."""

from __future__ import annotations

from eventrouter.errors import RequestError


def invalid(message: str) -> RequestError:
    return RequestError("ValidationException", message, status=400, fault=None)


def invalid_parameter(parameter: str, reason: str | None = None) -> RequestError:
    because = "" if reason is None else f" Reason: {reason}"
    return invalid(f"Parameter {parameter} is not valid.{because}")


def no_such_bus(bus: str) -> RequestError:
    return _not_found(f"Event bus {bus} does not exist.")


def no_such_rule(rule: str) -> RequestError:
    return _not_found(f"Rule {rule} does not exist on EventBus default.")


def too_many() -> RequestError:
    return RequestError(
        "LimitExceededException",
        "The requested resource exceeds the maximum number allowed.",
        status=400,
        fault=None,
    )


def _not_found(message: str) -> RequestError:
    return RequestError("ResourceNotFoundException", message, status=400, fault=None)
