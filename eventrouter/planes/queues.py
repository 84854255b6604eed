"""Queue mappings on this node: one worker for each, with this node's share of the mapping's concurrency.

A queue has no owner: every node polls it, and the queue hands each message to one of them. Only how many batches a
mapping runs at once is shared out, evenly, over the nodes that live. Source: lambda-semantics §4.8.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Self

from eventrouter.planes.loops import Loops
from eventrouter.planes.queue_parts import QueueParts
from eventrouter.planes.queue_worker import QueueWorker
from eventrouter.rules.mapping import EventSourceMapping
from eventrouter.rules.pollers import Scaling, share_of
from eventrouter.settings import Role
from eventrouter.store import HostInfo, Mappings

LOOK_EVERY_S = 1.0
LOOP = "queues-share"


class QueuePlane:
    """Long-lived: `async with plane:`; leaving it ends every poller."""

    def __init__(
        self, *, mappings: Mappings, loops: Loops, parts: QueueParts, polls: Callable[[], bool] = lambda: True
    ) -> None:
        """`polls` says whether this node has a share at all."""
        self._polls = polls
        self._mappings = mappings
        self._loops = loops
        self._parts = parts
        self._workers: dict[str, QueueWorker] = {}
        self._others: frozenset[str] = frozenset()

    async def __aenter__(self) -> Self:
        self._mappings.catalogue.on_change(self._changed)
        self._loops.start(LOOP, self._turn)
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._loops.stop(LOOP)
        await self.drain()

    def see(self, living: Mapping[str, HostInfo]) -> None:
        """Take note of the other nodes that have a share: this node's follows."""
        sharing = frozenset(node for node, info in living.items() if info.takes(Role.POLLER))
        before, self._others = self._others, sharing
        if before != self._others:
            self.share()

    def stop_receiving(self) -> None:
        """Receive nothing more; batches that run come to their end."""
        self._parts.is_draining = True
        for worker in self._workers.values():
            worker.retire()

    async def drain(self) -> None:
        """Stop receiving, and wait until the last batch has ended."""
        self.stop_receiving()
        await asyncio.gather(*(worker.wait_gone() for worker in list(self._workers.values())))

    def worker(self, uuid: str) -> QueueWorker | None:
        """Return what works off a mapping's queue here, if anything does."""
        return self._workers.get(uuid)

    def _changed(self, uuid: str, mapping: EventSourceMapping | None) -> None:
        """Take over a mapping's new settings at once."""
        worker = self._workers.get(uuid)
        if worker is not None:
            if mapping is not None and mapping.runs:
                worker.update(mapping)
            else:
                worker.retire()
        elif mapping is not None and mapping.runs and mapping.is_queue:
            asyncio.get_running_loop().call_soon(self.share)

    async def _turn(self) -> float:
        self.share()
        return LOOK_EVERY_S

    @property
    def pollers(self) -> int:
        """Return how many pollers look for messages, or work some off, here."""
        return sum(worker.pollers for worker in self._workers.values())

    def share(self) -> None:
        """Start, fit and end workers, so that each mapping has this node's share."""
        parts = self._parts
        if parts.is_draining or not parts.may_take_work():
            return
        incarnation = parts.incarnation()
        nodes = {incarnation, *self._others}
        for mapping in self._mappings.catalogue.all():
            if not (mapping.is_queue and mapping.runs) or mapping.service not in parts.sources:
                continue
            limit = Scaling.of(mapping).limit if self._polls() else 0
            share = share_of(limit, mapping.uuid, incarnation, nodes)
            worker = self._workers.get(mapping.uuid)
            if worker is None:
                if share:
                    self._start(mapping, share, incarnation)
            elif not share or worker.incarnation != incarnation:
                worker.retire()
            else:
                worker.resize(share)

    def _start(self, mapping: EventSourceMapping, share: int, incarnation: str) -> None:
        worker = self._workers[mapping.uuid] = QueueWorker(self._parts, mapping, share, incarnation)

        def ended() -> None:
            del self._workers[mapping.uuid]

        worker.start(ended)
