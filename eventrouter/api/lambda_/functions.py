"""CreateFunction, GetFunction, ListFunctions, UpdateFunctionCode, DeleteFunction.

Source: lambda-semantics §1.4, §1.9, §2.1-2.4.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from eventrouter.api.lambda_.answers import Answer, code_location, function_configuration, marker, read_marker
from eventrouter.api.lambda_.code import code_of
from eventrouter.api.lambda_.errors import conflict, function_not_found, invalid
from eventrouter.api.lambda_.references import Values, found, reference_of
from eventrouter.api.lambda_.settings_of import check_settings, echoed, with_settings
from eventrouter.api.lambda_.tags import check_tags
from eventrouter.api.lambda_.targets import TargetCheck
from eventrouter.api.lambda_.writes import CREATING, FunctionWrites, check_updatable
from eventrouter.api.protocol.validate import detected, failed
from eventrouter.ports import Caller, Operation
from eventrouter.rules import limits
from eventrouter.rules.function import Function, LoggingConfig
from eventrouter.rules.names import LATEST, FunctionName, FunctionReference, parse_reference
from eventrouter.rules.runtimes import check_runtime

if TYPE_CHECKING:
    from eventrouter.runtime.packages import Packages
    from eventrouter.store import Functions


class FunctionOperations:
    """Functions and their code."""

    def __init__(
        self, *, functions: Functions, writes: FunctionWrites, packages: Packages, targets: TargetCheck
    ) -> None:
        self._functions = functions
        self._writes = writes
        self._packages = packages
        self._targets = targets

    def operations(self) -> dict[str, Operation]:
        return {
            "CreateFunction": self.create_function,
            "GetFunction": self.get_function,
            "ListFunctions": self.list_functions,
            "UpdateFunctionCode": self.update_function_code,
            "DeleteFunction": self.delete_function,
        }

    async def create_function(self, caller: Caller, values: Values) -> Answer:
        name = _new_name(caller, values)
        _check_new(values)
        check_settings(values)
        tags = values.get("Tags", {})
        check_tags(tags)
        if self._functions.get(name) is not None:
            raise conflict(f"Function already exist: {name.name}")
        draft = Function(
            name=name,
            runtime=values["Runtime"],
            handler=values["Handler"],
            role=values["Role"],
            code=await code_of(self._packages, values["Code"]),
            logging=LoggingConfig(group=f"/aws/lambda/{name.name}"),
            tags=dict(tags),
            state_reason=CREATING,
            state_reason_code="Creating",
            last_modified_ms=self._writes.now_ms(),
            revision_id=self._writes.new_revision_id(),
            echoed=echoed(values["Code"], {}),
        )
        function = with_settings(draft, values)
        if function.dead_letter_target is not None:
            await self._targets.check_dead_letter(function.dead_letter_target)
        return function_configuration(await self._writes.create(function))

    async def get_function(self, caller: Caller, values: Values) -> Answer:
        reference = reference_of(caller, values)
        function = found(self._functions, reference)
        answer: dict[str, Any] = {
            "Configuration": function_configuration(function, reference.qualifier),
            "Code": code_location(function, caller.base_url),
        }
        if function.tags:
            answer["Tags"] = dict(function.tags)
        if function.reserved_concurrency is not None and reference.qualifier is None:
            answer["Concurrency"] = {"ReservedConcurrentExecutions": function.reserved_concurrency}
        return answer

    async def list_functions(self, caller: Caller, values: Values) -> Answer:
        functions = self._functions.list(caller.account, caller.region)
        after = read_marker(values.get("Marker"))
        waiting = [function for function in functions if function.name.name > after]
        size = min(values.get("MaxItems", limits.LIST_PAGE), limits.LIST_PAGE)
        page = waiting[:size]
        qualifier = LATEST if values.get("FunctionVersion") == "ALL" else None
        answer: dict[str, Any] = {
            "Functions": [function_configuration(function, qualifier, listed=True) for function in page]
        }
        if len(waiting) > size:
            answer["NextMarker"] = marker(page[-1].name.name)
        return answer

    async def update_function_code(self, caller: Caller, values: Values) -> Answer:
        reference = reference_of(caller, values)
        current = found(self._functions, reference)
        revision_id = values.get("RevisionId")
        check_updatable(current, revision_id)
        code = await code_of(self._packages, values)

        def change(function: Function) -> Function:
            shown = {name: value for name, value in function.echoed.items() if name != "SourceKMSKeyArn"}
            return dataclasses.replace(function, code=code, echoed={**shown, **echoed(values, function.echoed)})

        if values.get("DryRun"):
            return function_configuration(change(current), reference.qualifier)
        stored = await self._writes.deploy(reference.function, change, revision_id=revision_id)
        return function_configuration(stored, reference.qualifier)

    async def delete_function(self, caller: Caller, values: Values) -> Answer:
        reference = reference_of(caller, values)
        if reference.qualifier is not None:
            return self._delete_version(reference)
        if not await self._writes.delete(reference.function):
            raise function_not_found(reference.function)
        return {"StatusCode": 204}

    def _delete_version(self, reference: FunctionReference) -> Answer:
        """Delete one version: there are none but `$LATEST`, and deleting a missing one succeeds."""
        if self._functions.get(reference.function) is None:
            raise function_not_found(reference.function)
        if reference.qualifier == LATEST:
            raise invalid("$LATEST version cannot be deleted without deleting the function.")
        if not str(reference.qualifier).isdigit():
            raise invalid("Deletion of aliases is not currently supported.")
        return {"StatusCode": 204}


def _new_name(caller: Caller, values: Values) -> FunctionName:
    """Return the name of a function to be. Raises RequestError."""
    text = values["FunctionName"]
    reference = parse_reference(text, None, account=caller.account, region=caller.region)
    name = reference.function
    if reference.qualifier is not None:
        raise invalid("A function is created without a qualifier: give its name or its unqualified ARN.")
    if len(name.name) > limits.FUNCTION_NAME_LENGTH:
        constraint = f"Member must have length less than or equal to {limits.FUNCTION_NAME_LENGTH}"
        raise invalid(detected([failed(name.name, "functionName", constraint)]))
    return name


def _check_new(values: Values) -> None:
    """Check what only a creation must bring: package type, runtime and handler. Raises RequestError."""
    if values.get("PackageType") == "Image":
        raise invalid("PackageType Image is not supported by eventrouter: functions are zip packages.")
    missing = [member for member in ("Runtime", "Handler") if not values.get(member)]
    if len(missing) == 2:
        raise invalid("Runtime and Handler are mandatory parameters for functions created with deployment packages.")
    if missing:
        raise invalid(f"{missing[0]} is mandatory for functions created with deployment packages.")
    check_runtime(values["Runtime"], creating=True)
