"""One invocation of a function with a batch. Whatever prevents it is a fault that is not the function's."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from structlog.typing import FilteringBoundLogger

from eventrouter.errors import NodeDead, RuntimeFault, Unavailable
from eventrouter.journal import Journal
from eventrouter.planes.sync import SyncPlane
from eventrouter.rules.explain import Rule
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
    def journal(self) -> Journal: ...
    @property
    def log(self) -> FilteringBoundLogger: ...


async def call_function(
    parts: CallParts, mapping: EventSourceMapping, request_id: str, payload: bytes, **where: str
) -> Try:
    """Invoke a mapping's function and wait for its answer. `where` tells the log more than the mapping."""
    try:
        function = parts.functions.runnable(mapping.function)
        if function is None:
            await parts.functions.refresh()
            function = parts.functions.runnable(mapping.function)
        if function is None:
            return _fault(parts, request_id, "Function not found")
        invocation = Invocation(request_id=request_id, reference=mapping.reference, payload=payload)
        return Try(request_id, await parts.sync.invoke(function, invocation))
    except (Unavailable, RuntimeFault, NodeDead) as error:
        parts.log.warning("batch.not_run", mapping=mapping.uuid, **where, reason=str(error))
        return _fault(parts, request_id, "Function could not be run")


def _fault(parts: CallParts, request_id: str, message: str) -> Try:
    parts.journal.note(request_id, Rule.FAULTED, {"reason": message})
    return Try(request_id, SystemFault(message=message))
