"""GetAccountSettings.

Source: lambda-semantics §2.14.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from eventrouter.api.lambda_.answers import Answer
from eventrouter.api.lambda_.references import Values
from eventrouter.ports import Caller, Operation
from eventrouter.rules import limits

if TYPE_CHECKING:
    from eventrouter.store import Functions


class Account:
    """What an account may use in a region, and what it uses."""

    def __init__(self, *, functions: Functions, account_limit: int) -> None:
        self._functions = functions
        self._account_limit = account_limit

    def operations(self) -> dict[str, Operation]:
        return {"GetAccountSettings": self.get_account_settings}

    async def get_account_settings(self, caller: Caller, values: Values) -> Answer:
        functions = self._functions.list(caller.account, caller.region)
        reserved = sum(function.reserved_concurrency or 0 for function in functions)
        return {
            "AccountLimit": {
                "TotalCodeSize": limits.CODE_STORAGE_BYTES,
                "CodeSizeUnzipped": limits.CODE_UNZIPPED_BYTES,
                "CodeSizeZipped": limits.CODE_ZIPPED_BYTES,
                "ConcurrentExecutions": self._account_limit,
                "UnreservedConcurrentExecutions": max(self._account_limit - reserved, 0),
            },
            "AccountUsage": {
                "TotalCodeSize": sum(function.code.size_bytes for function in functions),
                "FunctionCount": len(functions),
            },
        }
