"""Which function, and which of its versions, a request means.

Source: lambda-semantics §1.4.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from eventrouter.api.lambda_.errors import function_not_found, invalid
from eventrouter.ports import Caller
from eventrouter.rules.function import Function
from eventrouter.rules.names import LATEST, FunctionReference, parse_reference

if TYPE_CHECKING:
    from eventrouter.store import Functions

Values = Mapping[str, Any]
"""Input members; model values."""


def reference_of(caller: Caller, values: Values) -> FunctionReference:
    """Read the members FunctionName and Qualifier. Raises RequestError."""
    return parse_reference(
        values["FunctionName"], values.get("Qualifier"), account=caller.account, region=caller.region
    )


def found(functions: Functions, reference: FunctionReference) -> Function:
    """Return the function at its qualifier: only `$LATEST` so far. Raises RequestError (404)."""
    function = functions.get(reference.function)
    if function is None or reference.version != LATEST:
        raise function_not_found(reference.function, reference.qualifier)
    return function


def unqualified(caller: Caller, values: Values) -> FunctionReference:
    """Read a FunctionName that must name the whole function. Raises RequestError."""
    reference = reference_of(caller, values)
    if reference.qualifier is not None:
        raise invalid(
            "This operation is permitted on Lambda functions only. Aliases and versions do not support this operation. "
            "Please specify either a function name or an unqualified function ARN."
        )
    return reference
