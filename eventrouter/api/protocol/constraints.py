"""How each service reports broken shape constraints: Lambda as ValidationException, others in words of their own.

Source: lambda-semantics §0 (two validation layers), §1.4 (name over 64), §2.1, §8.7.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eventrouter.api.protocol.models import OperationModel
from eventrouter.api.protocol.validate import check
from eventrouter.errors import RequestError

_SECOND_LAYER: Mapping[str, frozenset[tuple[str, str]]] = {
    "CreateFunction": frozenset({("runtime", "enum")}),
    "UpdateFunctionConfiguration": frozenset({("runtime", "enum")}),
}
"""What reads like the first layer but is AWS's second: the operation checks it."""


def check_input(operation: OperationModel, values: Mapping[str, Any]) -> None:  # Any: model values
    """Raise RequestError if the input breaks a constraint of its model."""
    if operation.input is None:
        return
    if operation.service == "sqs":
        if _holds_null(values):
            raise RequestError("SerializationException", "A list or map of the request holds null.", fault=None)
        for member in operation.input.members.values():
            if member.required and values.get(member.name) is None:
                raise RequestError(
                    "MissingRequiredParameterException",
                    f"The request must contain the parameter {member.name}.",
                    headers={"x-amzn-query-error": "MissingParameter;Sender"},
                )
        return
    try:
        check(operation.input, values, ignore=_SECOND_LAYER.get(operation.name, frozenset()))
    except RequestError as error:
        if operation.service != "logs":
            raise
        raise RequestError("InvalidParameterException", error.message) from error


def _holds_null(value: object) -> bool:
    """Say whether null stands in a list or map; of structures, a null member was left out when it was read."""
    if isinstance(value, Mapping):
        return any(map(_holds_null, value.values()))
    return value is None or (isinstance(value, list) and any(map(_holds_null, value)))
