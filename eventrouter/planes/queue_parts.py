"""What the queue mappings of a node share: the parts that they are built from, and how much they hold together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from uuid import UUID

from structlog.typing import FilteringBoundLogger

from eventrouter.clock import Clock
from eventrouter.journal import Journal
from eventrouter.metrics import Metrics
from eventrouter.planes.sync import SyncPlane
from eventrouter.ports import QueueSource
from eventrouter.store import Functions, Hosts, Lanes


@dataclass(slots=True, kw_only=True)
class QueueParts:
    """What every queue worker of a node is given. `most_runs` is what one mapping may run here at once."""

    incarnation: Callable[[], str]
    sources: Mapping[str, QueueSource]
    lanes: Lanes
    hosts: Hosts
    functions: Functions
    sync: SyncPlane
    clock: Clock
    metrics: Metrics
    journal: Journal
    log: FilteringBoundLogger
    new_id: Callable[[], UUID]
    may_take_work: Callable[[], bool]
    max_backoff_ms: int
    most_runs: int
    held_bytes: int = 0
    is_draining: bool = False
