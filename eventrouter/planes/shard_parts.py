"""What the readers of shards share: the parts of their node, what is stored of a unit to be shown, and limits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from uuid import UUID

import msgspec
from structlog.typing import FilteringBoundLogger

from eventrouter.clock import Clock
from eventrouter.journal import Journal
from eventrouter.metrics import Metrics
from eventrouter.planes.mapping_results import MappingResults
from eventrouter.planes.sync import SyncPlane
from eventrouter.ports import StreamSource
from eventrouter.store import Events, Functions, Hosts, Lanes

READ_RECORDS = 500
READ_BYTES = 4_194_304


@dataclass(slots=True, kw_only=True)
class WorkerParts:
    """What every worker of a node is given. `on_released` is told of each unit, by mapping, that is free again."""

    incarnation: Callable[[], str]
    sources: Mapping[str, StreamSource]
    lanes: Lanes
    hosts: Hosts
    functions: Functions
    events: Events
    sync: SyncPlane
    results: MappingResults
    clock: Clock
    metrics: Metrics
    journal: Journal
    log: FilteringBoundLogger
    new_id: Callable[[], UUID]
    may_take_work: Callable[[], bool]
    max_backoff_ms: int
    on_deliveries_due: Callable[[int], None]
    on_released: Callable[[str, str], None] = lambda uuid, unit: None
    buffered_bytes: int = 0
    is_draining: bool = False


class UnitInfo(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is shown of a unit beside its lanes: how many these are, and of the lane that is blocked the longest
    since when and why, and when its batch is tried next (wall milliseconds; 0: not blocked).
    """

    lanes: int = 1
    blocked_since_ms: int = 0
    blocked_by: str = ""
    next_try_ms: int = 0
