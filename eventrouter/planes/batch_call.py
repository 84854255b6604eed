"""One invocation of a function with a batch. Whatever prevents it is a fault that is not the function's."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol
from uuid import UUID

from structlog.typing import FilteringBoundLogger

from eventrouter.errors import NodeDead, RuntimeFault, Unavailable
from eventrouter.planes.sync import SyncPlane
from eventrouter.rules.invocation import Invocation
from eventrouter.rules.mapping import EventSourceMapping
from eventrouter.rules.outcome import Run, SystemFault, Throttled
from eventrouter.store import Functions


class Try(NamedTuple):
    """One invocation that was wanted: its request id, and what came of it."""

    request_id: str
    outcome: Run | Throttled | SystemFault


class CallParts(Protocol):
    """What an invocation needs of its node."""

    @property
    def functions(self) -> Functions: ...
    @property
    def sync(self) -> SyncPlane: ...
    @property
    def new_id(self) -> Callable[[], UUID]: ...
    @property
    def log(self) -> FilteringBoundLogger: ...


async def call_function(parts: CallParts, mapping: EventSourceMapping, payload: bytes, **where: str) -> Try:
    """Invoke a mapping's function and wait for its answer. `where` tells the log more than the mapping."""
    request_id = str(parts.new_id())
    try:
        function = parts.functions.runnable(mapping.function)
        if function is None:
            await parts.functions.refresh()
            function = parts.functions.runnable(mapping.function)
        if function is None:
            return Try(request_id, SystemFault(message="Function not found"))
        invocation = Invocation(request_id=request_id, reference=mapping.reference, payload=payload)
        return Try(request_id, await parts.sync.invoke(function, invocation))
    except (Unavailable, RuntimeFault, NodeDead) as error:
        parts.log.warning("batch.not_run", mapping=mapping.uuid, **where, reason=str(error))
        return Try(request_id, SystemFault(message="Function could not be run"))
