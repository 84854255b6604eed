"""GetFunctionConfiguration, UpdateFunctionConfiguration, GetFunctionCodeSigningConfig.

Source: lambda-semantics §2.3, §2.4, §2.14.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from eventrouter.api.lambda_.answers import Answer, function_configuration
from eventrouter.api.lambda_.references import Values, found, reference_of
from eventrouter.api.lambda_.settings_of import check_settings, with_settings
from eventrouter.api.lambda_.targets import TargetCheck
from eventrouter.api.lambda_.writes import FunctionWrites, check_updatable
from eventrouter.ports import Caller, Operation
from eventrouter.rules.runtimes import check_runtime

if TYPE_CHECKING:
    from eventrouter.store import Functions


class Configurations:
    """What a function is set to."""

    def __init__(self, *, functions: Functions, writes: FunctionWrites, targets: TargetCheck) -> None:
        self._functions = functions
        self._writes = writes
        self._targets = targets

    def operations(self) -> dict[str, Operation]:
        return {
            "GetFunctionConfiguration": self.get_function_configuration,
            "UpdateFunctionConfiguration": self.update_function_configuration,
            "GetFunctionCodeSigningConfig": self.get_function_code_signing_config,
        }

    async def get_function_configuration(self, caller: Caller, values: Values) -> Answer:
        reference = reference_of(caller, values)
        return function_configuration(found(self._functions, reference), reference.qualifier)

    async def update_function_configuration(self, caller: Caller, values: Values) -> Answer:
        reference = reference_of(caller, values)
        current = found(self._functions, reference)
        revision_id = values.get("RevisionId")
        check_updatable(current, revision_id)
        check_settings(values)
        if "Runtime" in values:
            check_runtime(values["Runtime"], creating=False)
        target = values.get("DeadLetterConfig", {}).get("TargetArn")
        if target:
            await self._targets.check_dead_letter(target)
        stored = await self._writes.deploy(
            reference.function, lambda function: with_settings(function, values), revision_id=revision_id
        )
        return function_configuration(stored, reference.qualifier)

    async def get_function_code_signing_config(self, caller: Caller, values: Values) -> Answer:
        found(self._functions, reference_of(caller, values))
        return {}
