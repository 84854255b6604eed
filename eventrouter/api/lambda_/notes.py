"""What of a function's settings has no effect here: for the banner, the log and `functions show`."""

from __future__ import annotations

import platform
import sys
from dataclasses import dataclass

from eventrouter.api.lambda_.members import MEMBERS
from eventrouter.api.registry import NotApplicable
from eventrouter.rules.function import Function
from eventrouter.rules.runtimes import runs_elsewhere

_MACHINES = {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "arm64", "arm64": "arm64"}
_HARMLESS = {"TracingConfig": "PassThrough", "SnapStart": "None", "EphemeralStorage": "512"}
"""Values of echoed members that ask for nothing."""
_PATHS = {
    "VpcConfig": "VpcConfig.SubnetIds",
    "TracingConfig": "TracingConfig.Mode",
    "EphemeralStorage": "EphemeralStorage.Size",
    "SnapStart": "SnapStart.ApplyOn",
    "SourceKMSKeyArn": "Code.SourceKMSKeyArn",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class NotAppliedNote:
    """One setting that was accepted and does nothing here. As text it is its member and value."""

    member: str
    value: str
    why: str

    def __str__(self) -> str:
        return f"{self.member} {self.value}"


def not_applied(function: Function) -> list[NotAppliedNote]:
    """List the settings of a function that ask for something this node does not do.

    Settings at their default ask for nothing. Role, which every function must have, is not listed: that no role
    is ever assumed is said once, in the table of the README.
    """
    notes = []
    version = sys.version_info
    if runs_elsewhere(function.runtime, (version.major, version.minor)):
        why = f"runs on this node's Python {version.major}.{version.minor}"
        notes.append(NotAppliedNote(member="Runtime", value=function.runtime, why=why))
    for member, value in function.echoed.items():
        entry = MEMBERS["CreateFunction"][_PATHS.get(member, member)]
        text = _text(value)
        if not isinstance(entry, NotApplicable) or not text or _HARMLESS.get(member) == text:
            continue
        if member == "Architectures" and text == _MACHINES.get(platform.machine().lower()):
            continue
        notes.append(NotAppliedNote(member=member, value=text, why=entry.why))
    return notes


def _text(value: object) -> str:
    """Return the telling part of an echoed value: its first text or number, or those of its lists."""
    if isinstance(value, dict):
        return next((text for text in map(_text, value.values()) if text), "")
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return "" if isinstance(value, bool) else str(value)
