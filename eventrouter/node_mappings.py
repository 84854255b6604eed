"""What works off event source mappings on a node: their states, and this node's share of streams and of queues."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import Self
from uuid import UUID

from structlog.typing import FilteringBoundLogger

from eventrouter.clock import Clock
from eventrouter.journal import Journal
from eventrouter.metrics import Metrics
from eventrouter.planes.duties import Duties
from eventrouter.planes.loops import Loops
from eventrouter.planes.mapping_results import MappingResults
from eventrouter.planes.mappings import MappingTransitions
from eventrouter.planes.membership import Membership
from eventrouter.planes.nudges import Nudges
from eventrouter.planes.queue_parts import QueueParts
from eventrouter.planes.queues import QueuePlane
from eventrouter.planes.shard_parts import WorkerParts
from eventrouter.planes.streams import StreamPlane
from eventrouter.planes.sync import SyncPlane
from eventrouter.ports import Environments, QueueSource, StreamSource
from eventrouter.rules.explain import Rule
from eventrouter.settings import Settings
from eventrouter.store import Store
from eventrouter.store.queues import QueueName


class MappingPlanes:
    """Long-lived: `async with planes:`. `transitions` brings mappings from state to state."""

    def __init__(
        self,
        *,
        settings: Settings,
        store: Store,
        sources: Mapping[str, StreamSource],
        queues: Mapping[str, QueueSource],
        environments: Environments,
        membership: Membership,
        nudges: Nudges,
        duties: Duties,
        loops: Loops,
        clock: Clock,
        metrics: Metrics,
        journal: Journal,
        log: FilteringBoundLogger,
        new_id: Callable[[], UUID],
        on_deliveries_due: Callable[[int], None],
    ) -> None:
        self._store = store
        self._membership = membership
        self._nudges = nudges
        self._duties = duties
        self._loops = loops
        self._is_stopping = False
        self._stack = contextlib.AsyncExitStack()
        self.transitions = MappingTransitions(
            mappings=store.mappings,
            lanes=store.lanes,
            sources=sources,
            hosts=store.hosts,
            loops=loops,
            clock=clock,
            log=log,
        )

        def incarnation() -> str:
            return membership.incarnation

        def may_take_work() -> bool:
            return membership.may_take_work

        def note_move(source: QueueName, to: str, ids: Sequence[str]) -> None:
            journal.note(source.arn, Rule.REDRIVEN, {"to": to, "messages": len(ids)}, (), ids)

        store.queues.moves.on_sent(note_move)

        def released(uuid: str, unit: str) -> None:
            mapping = store.mappings.catalogue.get(uuid)
            if mapping is not None and mapping.runs:  # or nobody waits for it
                nudges.say_free(f"{uuid}/{unit}")

        # A batch runs where its messages are held: when this node is buried, nothing of it may run elsewhere.
        sync = SyncPlane(
            incarnation=incarnation,
            slots=store.slots,
            environments=environments,
            metrics=metrics,
            journal=journal,
            may_begin=lambda: duties.may_poll() and not self._is_stopping,
        )
        store.functions.on_change(sync.function_changed)
        self._streams = StreamPlane(
            mappings=store.mappings,
            loops=loops,
            polls=lambda: duties.polls,
            parts=WorkerParts(
                incarnation=incarnation,
                sources=sources,
                lanes=store.lanes,
                hosts=store.hosts,
                functions=store.functions,
                events=store.events,
                sync=sync,
                results=MappingResults(store.mappings),
                clock=clock,
                metrics=metrics,
                journal=journal,
                log=log,
                new_id=new_id,
                may_take_work=may_take_work,
                max_backoff_ms=round(settings.mapping_max_backoff_s * 1_000),
                on_deliveries_due=on_deliveries_due,
                on_released=released,
            ),
        )
        self._queues = QueuePlane(
            mappings=store.mappings,
            loops=loops,
            polls=lambda: duties.polls,
            parts=QueueParts(
                incarnation=incarnation,
                sources=queues,
                lanes=store.lanes,
                hosts=store.hosts,
                functions=store.functions,
                sync=sync,
                clock=clock,
                metrics=metrics,
                journal=journal,
                log=log,
                new_id=new_id,
                may_take_work=may_take_work,
                max_backoff_ms=round(settings.mapping_max_backoff_s * 1_000),
                most_runs=max(settings.max_environments // 2, 1),
            ),
        )

    async def __aenter__(self) -> Self:
        enter = self._stack.enter_async_context
        await enter(self.transitions)
        self._membership.on_look(self._streams.see)
        self._membership.on_look(self._queues.see)
        self._nudges.on_units(self._streams.freed)
        self._loops.start("streams-watch", self._store.streams.watch.turn)
        await enter(self._streams)
        await enter(self._queues)
        self._duties.on_change(self._streams.share_soon)
        self._duties.on_change(self._queues.share)
        return self

    async def __aexit__(self, *exc: object) -> None:
        self.stop_taking()
        await self._stack.aclose()

    @property
    def shards(self) -> int:
        """Return how many shards are this node's."""
        return self._streams.held

    @property
    def pollers(self) -> int:
        """Return how many pollers of queues there are here."""
        return self._queues.pollers

    def stop_taking(self) -> None:
        """Begin no further batch; those under way come to their end."""
        self._is_stopping = True
        self._streams.stop_reading()
        self._queues.stop_receiving()

    async def drain(self) -> None:
        """Stop, and wait until every shard is let go of and every message settled."""
        self.stop_taking()
        await asyncio.gather(self._streams.drain(), self._queues.drain())
