"""How functions look in answers: which members are there, which are absent, and their odd spellings.

Source: lambda-semantics §2.1 (present-or-absent rules), §2.4, §1.9.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from eventrouter.api.lambda_.errors import invalid
from eventrouter.rules.function import Function, LogFormat, LoggingConfig, State, UpdateStatus

Answer = Mapping[str, Any]  # Any: model values
"""The members of one answer, by their AWS names."""

NO_VPC = {"SubnetIds": [], "SecurityGroupIds": [], "VpcId": "", "Ipv6AllowedForDualStack": False}


def timestamp(at_ms: int) -> str:
    """Render an instant as functions' LastModified: `2018-11-27T15:10:45.123+0000`."""
    moment = datetime.fromtimestamp(at_ms / 1_000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{at_ms % 1_000:03d}+0000"


def function_configuration(
    function: Function, qualifier: str | None = None, *, listed: bool = False
) -> dict[str, Any]:  # Any: AWS's JSON
    """Return a FunctionConfiguration. Lists leave out states and the runtime's version."""
    answer = {
        "FunctionName": function.name.name,
        "FunctionArn": function.name.arn(qualifier),
        "Runtime": function.runtime,
        "Role": function.role,
        "Handler": function.handler,
        "CodeSize": function.code.size_bytes,
        "Description": function.description,
        "Timeout": function.timeout_s,
        "MemorySize": function.memory_mb,
        "LastModified": timestamp(function.last_modified_ms),
        "CodeSha256": base64.b64encode(bytes.fromhex(function.code.sha256)).decode("ascii"),
        "Version": function.version,
        "RevisionId": function.revision_id,
        "PackageType": "Zip",
        "TracingConfig": {"Mode": "PassThrough"},
        "Architectures": ["x86_64"],
        "EphemeralStorage": {"Size": 512},
        "SnapStart": {"ApplyOn": "None", "OptimizationStatus": "Off"},
        "LoggingConfig": logging_config(function.logging),
        **{name: value for name, value in function.echoed.items() if name != "SourceKMSKeyArn"},
    }
    if function.environment is not None:
        answer["Environment"] = {"Variables": dict(function.environment)}
    if function.dead_letter_target:
        answer["DeadLetterConfig"] = {"TargetArn": function.dead_letter_target}
    if not listed:
        answer |= _states(function)
        digest = hashlib.sha256(function.runtime.encode()).hexdigest()
        answer["RuntimeVersionConfig"] = {
            "RuntimeVersionArn": f"arn:aws:lambda:{function.name.region}::runtime:{digest}"
        }
    return answer


def logging_config(logging: LoggingConfig) -> dict[str, str]:
    """Return a LoggingConfig: the two levels stand in it for JSON only."""
    answer = {"LogFormat": str(logging.format), "LogGroup": logging.group}
    if logging.format is LogFormat.JSON:
        answer["ApplicationLogLevel"] = logging.application_level or "INFO"
        answer["SystemLogLevel"] = logging.system_level or "INFO"
    return answer


def _states(function: Function) -> dict[str, str | None]:
    """Return State and LastUpdateStatus with their reasons; None is left out of the answer.

    A create's own answer has no LastUpdateStatus; once active it is Successful.
    """
    status = function.last_update_status
    if status is None and function.state is State.ACTIVE:
        status = UpdateStatus.SUCCESSFUL
    return {
        "State": function.state,
        "StateReason": function.state_reason,
        "StateReasonCode": function.state_reason_code,
        "LastUpdateStatus": status,
        "LastUpdateStatusReason": function.last_update_status_reason,
        "LastUpdateStatusReasonCode": function.last_update_status_reason_code,
    }


def code_location(function: Function, base_url: str) -> dict[str, Any]:  # Any: AWS's JSON
    """Return GetFunction's Code: where the package can be downloaded from this node."""
    code = function.code
    location = (
        f"{base_url}/_eventrouter/packages/{code.sha256}" if code.directory is None else f"file://{code.directory}"
    )
    answer: dict[str, Any] = {"RepositoryType": "S3", "Location": location}
    if "SourceKMSKeyArn" in function.echoed:
        answer["SourceKMSKeyArn"] = function.echoed["SourceKMSKeyArn"]
    return answer


def marker(last: str) -> str:
    """Return the opaque marker of a page that ended with `last`."""
    return base64.urlsafe_b64encode(last.encode()).decode("ascii")


def read_marker(text: str | None) -> str:
    """Return where a marker's page ended; empty for the first page. Raises RequestError for a made-up marker."""
    if not text:
        return ""
    try:
        return base64.b64decode(text, altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError) as error:
        raise invalid("Invalid Marker.") from error
