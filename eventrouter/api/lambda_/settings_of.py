"""From input members to a function's settings: what Create and UpdateFunctionConfiguration share.

Source: lambda-semantics §2.1, §2.3, §2.6.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from eventrouter.api.lambda_.answers import NO_VPC
from eventrouter.api.lambda_.errors import invalid
from eventrouter.rules import limits
from eventrouter.rules.environment import check_environment
from eventrouter.rules.function import Function, LogFormat, LoggingConfig

Values = Mapping[str, Any]
"""Input members; model values."""


def check_settings(values: Values) -> None:
    """Check the second layer's rules of all settings that are given. Raises RequestError."""
    for member, limit in (("Timeout", limits.TIMEOUT_S), ("MemorySize", limits.MEMORY_MB)):
        if values.get(member) is not None and values[member] > limit:
            raise invalid(_too_much(member, limit))
    size = values.get("EphemeralStorage", {}).get("Size")
    if size is not None and size > limits.EPHEMERAL_STORAGE_MB:
        raise invalid(_too_much("EphemeralStorage.Size", limits.EPHEMERAL_STORAGE_MB))
    variables = values.get("Environment", {}).get("Variables")
    if variables:
        check_environment(variables)


def _too_much(member: str, limit: int) -> str:
    return f"'{member}' value failed to satisfy constraint: Member must have value less than or equal to {limit}"


def with_settings(function: Function, values: Values) -> Function:
    """Return the function with the given settings changed; what is not given stays."""
    changes: dict[str, Any] = {
        field: values[member]
        for member, field in (
            ("Runtime", "runtime"),
            ("Handler", "handler"),
            ("Role", "role"),
            ("Description", "description"),
            ("Timeout", "timeout_s"),
            ("MemorySize", "memory_mb"),
        )
        if values.get(member) is not None
    }
    if "Variables" in values.get("Environment", {}):
        changes["environment"] = dict(values["Environment"]["Variables"])
    elif "Environment" in values:
        changes["environment"] = {}
    target = values.get("DeadLetterConfig", {}).get("TargetArn")
    if target is not None:
        changes["dead_letter_target"] = target or None
    if "LoggingConfig" in values:
        changes["logging"] = merged_logging(function.logging, values["LoggingConfig"])
    changes["echoed"] = {**function.echoed, **echoed(values, function.echoed)}
    if changes["echoed"].get("KMSKeyArn") == "":
        del changes["echoed"]["KMSKeyArn"]
    return dataclasses.replace(function, **changes)


def merged_logging(current: LoggingConfig, given: Values) -> LoggingConfig:
    """Return the logging settings after a partial update: JSON brings levels, Text drops them.

    Raises RequestError for levels with Text.
    """
    form = LogFormat(given.get("LogFormat", current.format))
    application, system = given.get("ApplicationLogLevel"), given.get("SystemLogLevel")
    if form is LogFormat.TEXT:
        if application or system:
            raise invalid("ApplicationLogLevel and SystemLogLevel can only be set when LogFormat is JSON.")
        return LoggingConfig(format=form, group=given.get("LogGroup", current.group))
    return LoggingConfig(
        format=form,
        group=given.get("LogGroup", current.group),
        application_level=application or current.application_level or "INFO",
        system_level=system or current.system_level or "INFO",
    )


def echoed(values: Values, current: Values) -> dict[str, Any]:
    """Return the members that have no effect here, as answers show them."""
    kept: dict[str, Any] = {
        member: values[member]
        for member in ("KMSKeyArn", "Architectures", "EphemeralStorage", "SourceKMSKeyArn")
        if values.get(member)
    }
    if values.get("KMSKeyArn") == "" and "KMSKeyArn" in current:
        kept["KMSKeyArn"] = ""
    if "Mode" in values.get("TracingConfig", {}):
        kept["TracingConfig"] = {"Mode": values["TracingConfig"]["Mode"]}
    if "ApplyOn" in values.get("SnapStart", {}):
        kept["SnapStart"] = {"ApplyOn": values["SnapStart"]["ApplyOn"], "OptimizationStatus": "Off"}
    vpc = values.get("VpcConfig")
    if vpc is not None and (vpc.get("SubnetIds") or vpc.get("SecurityGroupIds") or "VpcConfig" in current):
        kept["VpcConfig"] = {**NO_VPC, **vpc}
    return kept
