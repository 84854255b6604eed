"""PutFunctionConcurrency, GetFunctionConcurrency, DeleteFunctionConcurrency.

Source: lambda-semantics §2.9.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from eventrouter.api.lambda_.answers import Answer
from eventrouter.api.lambda_.errors import function_not_found
from eventrouter.api.lambda_.references import Values, unqualified
from eventrouter.api.lambda_.writes import FunctionWrites
from eventrouter.ports import Caller, Operation
from eventrouter.rules.function import Function
from eventrouter.rules.names import LATEST

if TYPE_CHECKING:
    from eventrouter.store import Functions


class Concurrency:
    """Reserved concurrency."""

    def __init__(self, *, functions: Functions, writes: FunctionWrites) -> None:
        self._functions = functions
        self._writes = writes

    def operations(self) -> dict[str, Operation]:
        return {
            "PutFunctionConcurrency": self.put_function_concurrency,
            "GetFunctionConcurrency": self.get_function_concurrency,
            "DeleteFunctionConcurrency": self.delete_function_concurrency,
        }

    async def put_function_concurrency(self, caller: Caller, values: Values) -> Answer:
        function = self._function(caller, values)
        reserved: int = values["ReservedConcurrentExecutions"]
        await self._writes.change(
            function.name, lambda current: dataclasses.replace(current, reserved_concurrency=reserved)
        )
        return {"ReservedConcurrentExecutions": reserved}

    async def get_function_concurrency(self, caller: Caller, values: Values) -> Answer:
        return {"ReservedConcurrentExecutions": self._function(caller, values).reserved_concurrency}

    async def delete_function_concurrency(self, caller: Caller, values: Values) -> Answer:
        function = self._function(caller, values)
        await self._writes.change(
            function.name, lambda current: dataclasses.replace(current, reserved_concurrency=None)
        )
        return {}

    def _function(self, caller: Caller, values: Values) -> Function:
        reference = unqualified(caller, values)
        function = self._functions.get(reference.function)
        if function is None:
            raise function_not_found(reference.function, LATEST)
        return function
