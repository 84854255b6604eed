"""A function as the node knows it: its configuration, code and settings, as plain frozen values.

Every field is one that is *applied*; settings that are accepted but have no meaning here live in
`Function.echoed`, keyed by their AWS name, and come back in answers unchanged.
Source: lambda-semantics §2.1.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from eventrouter.rules.names import LATEST, FunctionName


class State(enum.StrEnum):
    """Whether a function can be invoked. Source: lambda-semantics §1.9."""

    PENDING = "Pending"
    ACTIVE = "Active"
    FAILED = "Failed"


class UpdateStatus(enum.StrEnum):
    """How the last update of code or configuration went."""

    IN_PROGRESS = "InProgress"
    SUCCESSFUL = "Successful"
    FAILED = "Failed"


class LogFormat(enum.StrEnum):
    TEXT = "Text"
    JSON = "JSON"


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggingConfig:
    """Where and how a function logs. The two levels are set for JSON only."""

    format: LogFormat = LogFormat.TEXT
    group: str
    application_level: str | None = None
    system_level: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """A function's code package, named by its content.

    `sha256` is the hex digest of the zip (`GetFunction` shows it in base64). `directory` is set for hot reload
    only: the absolute path of a local folder that is read in place, and `sha256` then digests its file states.
    """

    sha256: str
    size_bytes: int
    directory: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EventInvokeConfig:
    """How asynchronous events of one qualifier are retried and where they end. None means AWS's default.

    Source: lambda-semantics §2.13.
    """

    maximum_retry_attempts: int | None = None
    maximum_event_age_s: int | None = None
    on_success: str | None = None
    on_failure: str | None = None
    last_modified_ms: int = 0


_DEFAULTS = EventInvokeConfig()


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """One function: what `$LATEST` is now, and the settings that belong to the whole function.

    `generation` grows with every change of code or configuration; environments of an older generation finish
    what they run and take nothing new. `revision` is the store's compare-and-set number (0: not stored yet).
    """

    name: FunctionName
    runtime: str
    handler: str
    role: str
    code: Code
    logging: LoggingConfig
    description: str = ""
    timeout_s: int = 3
    memory_mb: int = 128
    environment: Mapping[str, str] | None = None
    dead_letter_target: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    reserved_concurrency: int | None = None
    event_invoke: Mapping[str, EventInvokeConfig] = field(default_factory=dict)
    echoed: Mapping[str, Any] = field(default_factory=dict)  # AWS's own JSON, kept only to be answered
    state: State = State.PENDING
    state_reason: str | None = None
    state_reason_code: str | None = None
    last_update_status: UpdateStatus | None = None
    last_update_status_reason: str | None = None
    last_update_status_reason_code: str | None = None
    last_modified_ms: int
    revision_id: str
    generation: int = 1
    revision: int = 0

    @property
    def version(self) -> str:
        """Return the version this record stands for."""
        return LATEST

    def event_invoke_config(self, qualifier: str | None) -> EventInvokeConfig:
        """Return the async settings of the qualifier that was used to invoke (never inherited)."""
        return self.event_invoke.get(qualifier or LATEST, _DEFAULTS)
