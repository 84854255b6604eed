"""An event source mapping as the node knows it: which source feeds which function, and how.

Source: lambda-semantics §4.1-4.3.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

from eventrouter.rules.names import FunctionName, FunctionReference

FOREVER = -1
"""The value of a limit that does not apply: retries without end, records of any age."""


class MappingState(enum.StrEnum):
    """Where a mapping stands in its life. Source: lambda-semantics §4.2."""

    CREATING = "Creating"
    ENABLING = "Enabling"
    ENABLED = "Enabled"
    DISABLING = "Disabling"
    DISABLED = "Disabled"
    UPDATING = "Updating"
    DELETING = "Deleting"


class StartingPosition(enum.StrEnum):
    """Where a new mapping begins to read a stream."""

    TRIM_HORIZON = "TRIM_HORIZON"
    LATEST = "LATEST"
    AT_TIMESTAMP = "AT_TIMESTAMP"


@dataclass(frozen=True, slots=True, kw_only=True)
class EventSourceMapping:
    """One mapping of a stream or a queue to a function.

    The function is shown, and invoked, as it was given. `is_enabled` is where a transition leads to. Times are in
    the unit that their names end in; `revision` is the store's compare-and-set number (0: not stored yet).
    `is_queue`: the source is a queue, which has no positions and no shards; what is about those means nothing then.
    `provisioned_pollers` are the fewest and the most.
    """

    uuid: str
    account: str
    region: str
    source_arn: str
    is_queue: bool = False
    function: FunctionName
    qualifier: str | None = None
    state: MappingState = MappingState.CREATING
    state_reason: str = "User action"
    is_enabled: bool = True
    batch_size: int = 100
    batching_window_s: int = 0
    starting_position: StartingPosition = StartingPosition.TRIM_HORIZON
    starting_timestamp_ms: int = 0
    parallelization_factor: int = 1
    bisect: bool = False
    maximum_retry_attempts: int = FOREVER
    maximum_record_age_s: int = FOREVER
    tumbling_window_s: int = 0
    reports_item_failures: bool = False
    filters: tuple[str, ...] = ()
    on_failure: str | None = None
    maximum_concurrency: int | None = None
    provisioned_pollers: tuple[int, int] | None = None
    metrics: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    last_modified_ms: int = 0
    revision: int = 0

    @property
    def arn(self) -> str:
        """Return the mapping's own ARN."""
        return f"arn:aws:lambda:{self.region}:{self.account}:event-source-mapping:{self.uuid}"

    @property
    def service(self) -> str:
        """Return the service part of the source's ARN."""
        return self.source_arn.split(":", 3)[2]

    @property
    def reference(self) -> FunctionReference:
        """Return the function as the mapping names it."""
        return FunctionReference(function=self.function, qualifier=self.qualifier)

    @property
    def runs(self) -> bool:
        """Say whether records are read and the function is invoked now."""
        return self.state in _RUNNING and self.is_enabled


_RUNNING = frozenset({MappingState.ENABLED, MappingState.UPDATING})
