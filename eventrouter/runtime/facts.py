"""What the runtime is told about its node, and what it tells about its environments."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass

from eventrouter.rules.names import FunctionName


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFacts:
    """What functions are told about the node. `endpoint_url` is asked late: the port is known after the start."""

    endpoint_url: Callable[[], str]


class EnvironmentState(enum.StrEnum):
    """What an environment does now."""

    STARTING = "starting"
    IDLE = "idle"
    LEASED = "leased"
    ENDING = "ending"


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentInfo:
    """One environment as `Runtime.stats` shows it. `pid` is None while no process runs in it."""

    id: str
    function: FunctionName
    version: str
    generation: int
    log_stream: str
    state: EnvironmentState
    pid: int | None
    in_flight: int
