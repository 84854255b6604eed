"""One queue mapping on this node: how many pollers it has, and what they share.

There is always one poller that looks for messages, unless as many as may run are busy; whoever finds some leaves
another behind to look on. So pollers follow the backlog up and down by themselves, within what the rules allow. The
node's incarnation is the mapping's unit here: while it is owned, this node may be polling.
Source: lambda-semantics §4.8.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from eventrouter.clock import Pause, first_of
from eventrouter.errors import AdapterError, StoreError, Unavailable
from eventrouter.planes.queue_parts import QueueParts
from eventrouter.planes.queue_poller import Poller
from eventrouter.planes.queue_report import QueueReport
from eventrouter.ports import QueueTraits, SourceGone
from eventrouter.rules.mapping import EventSourceMapping
from eventrouter.rules.pattern import Filters
from eventrouter.rules.pollers import Pace, Scaling, next_pace
from eventrouter.store import Held, LaneLost

AGAIN_S = 1.0
TEND_EVERY_S = 1.0
TRAITS_KEPT_S = 5.0
"""By then a changed visibility timeout of a queue counts."""
NODE_HELD_BYTES = 268_435_456
"""Bytes of messages that all mappings of a node hold together; beyond it each has one poller at a time."""


class QueueWorker:
    """Works off one mapping's queue on this node. `start`, then `retire`; `update` and `resize` change it."""

    def __init__(self, parts: QueueParts, mapping: EventSourceMapping, share: int, incarnation: str) -> None:
        self.parts = parts
        self.incarnation = incarnation
        self.source = parts.sources[mapping.service]
        self.is_retiring = False
        self.report = QueueReport(clock=parts.clock, metrics=parts.metrics, journal=parts.journal, log=parts.log)
        self._share = share
        self._configure(mapping)
        self._pace = Pace(self._scaling.first)
        self._idle_s = 0
        self._pollers: set[asyncio.Task[None]] = set()
        self._looking = 0
        self._waiting = 0
        self._traits: tuple[QueueTraits, float] | None = None
        self._retired = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    # Life.

    def start(self, ended: Callable[[], None]) -> None:
        """Begin to poll; `ended` is called once the last batch has come to its end."""
        self._task = asyncio.create_task(self._run(), name=f"queue-{self.mapping.uuid}")

        def done(task: asyncio.Task[None]) -> None:
            self._say_how_it_ended(task)
            ended()

        self._task.add_done_callback(done)

    def update(self, mapping: EventSourceMapping) -> None:
        """Take over new settings: they count from the next batch on."""
        self._configure(mapping)

    def resize(self, share: int) -> None:
        """Take over how many batches this node may run at once for the mapping."""
        self._share = share

    def retire(self) -> None:
        """Receive nothing more; batches that run come to their end."""
        self.is_retiring = True
        self._retired.set()

    async def wait_gone(self) -> None:
        """Wait until nothing of the mapping runs here."""
        if self._task is not None:
            await asyncio.wait((self._task,))

    def _configure(self, mapping: EventSourceMapping) -> None:
        self.mapping = mapping
        self.filters = Filters.of(mapping.filters, self.source.data_key) if mapping.filters else None
        self._scaling = Scaling.of(mapping)
        self.report.configure(mapping)

    def _say_how_it_ended(self, task: asyncio.Task[None]) -> None:
        self.report.end()
        error = None if task.cancelled() else task.exception()
        if isinstance(error, StoreError):
            self.parts.log.warning("queue.interrupted", mapping=self.mapping.uuid, reason=str(error))
        elif error is not None:
            self.parts.metrics.loop_failures.labels("queue").inc()
            self.parts.log.error("queue.failed", mapping=self.mapping.uuid, exc_info=error)

    async def _run(self) -> None:
        epoch = await self._announce()
        if epoch is None:
            return
        try:
            await self._forget_dead()
            while not self.is_retiring:
                self._tend()
                await self._rest(TEND_EVERY_S)
        finally:
            self.retire()
            while self._pollers:
                await asyncio.wait(self._pollers)
            await self._withdraw(epoch)

    async def _announce(self) -> int | None:
        """Say that this node polls, before it does: only when nobody says so any more is the mapping disabled.

        It is said for certain: what was said unknowingly would never be taken back. None: the mapping is gone.
        """
        while True:
            try:
                taken = await self.parts.lanes.take(self.mapping.uuid, self.incarnation, self.incarnation)
            except LaneLost:
                return None
            except Unavailable:
                if self.parts.is_draining:
                    raise
                await self.parts.clock.sleep(AGAIN_S)
            else:
                return None if isinstance(taken, Held) else taken.epoch

    async def _forget_dead(self) -> None:
        """Remove the units of nodes that are no more. Units are asked first: who is listed then has joined before."""
        try:
            units = await self.parts.lanes.units(self.mapping.uuid)
            dead = sorted(units.keys() - (await self.parts.hosts.list()).keys())
            if dead:
                await self.parts.lanes.remove(self.mapping.uuid, dead)
        except StoreError as error:  # the next worker does it
            self.parts.log.info("queue.units_kept", mapping=self.mapping.uuid, reason=str(error))

    async def _withdraw(self, epoch: int) -> None:
        """Say that this node polls no more: nobody else does that for a node that lives."""
        while True:
            try:
                await self.parts.lanes.release(self.mapping.uuid, self.incarnation, self.incarnation, epoch)
                return
            except StoreError as error:
                self.parts.log.info("queue.not_released", mapping=self.mapping.uuid, reason=str(error))
                if self.parts.is_draining or not isinstance(error, Unavailable):
                    return
                await self.parts.clock.sleep(AGAIN_S)

    # Scaling.

    @property
    def allowed(self) -> int:
        """Return how many batches may run at once now."""
        return min(self._pace.allowed, self._share, self._scaling.limit, self.parts.most_runs)

    @property
    def pollers(self) -> int:
        """Return how many pollers there are."""
        return len(self._pollers)

    def _tend(self) -> None:
        """Fit the number of pollers to the last second."""
        succeeded, failed = self.report.ended()
        is_idle = len(self._pollers) == self._waiting
        self._idle_s = self._idle_s + 1 if is_idle else 0
        self._pace = next_pace(
            self._pace._replace(allowed=self.allowed),
            self._scaling,
            is_saturated=len(self._pollers) >= self.allowed and not self._waiting,
            succeeded=succeeded,
            failed=failed,
            idle_s=self._idle_s,
        )
        self._look_on()

    def _look_on(self) -> None:
        """Start a poller unless one looks for messages already, or as many as may be are busy."""
        if self.is_retiring or self._looking or len(self._pollers) >= self.allowed:
            return
        if self._pollers and self.parts.held_bytes >= NODE_HELD_BYTES:
            return
        task = asyncio.create_task(Poller(self).run(), name="poller")
        self._pollers.add(task)
        self._looking += 1
        task.add_done_callback(self._poller_ended)

    def _poller_ended(self, task: asyncio.Task[None]) -> None:
        self._pollers.discard(task)
        self.report.running(len(self._pollers))
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self.parts.metrics.loop_failures.labels("poller").inc()
            self.parts.log.error("poller.failed", mapping=self.mapping.uuid, exc_info=error)

    # What pollers use.

    @property
    def may_receive(self) -> bool:
        """Say whether messages may be taken now: by this node, which lives, for a function that can run."""
        parts = self.parts
        return (
            parts.may_take_work()
            and parts.incarnation() == self.incarnation
            and parts.functions.runnable(self.mapping.function) is not None
        )

    def looks_again(self) -> bool:
        """Let a poller that is done look for more, unless another one waits for messages or there are too many."""
        if self.is_retiring or self._waiting or len(self._pollers) > self.allowed:
            return False
        self._looking += 1
        return True

    def found(self) -> None:
        """Take note that a poller has messages, and let another one look on."""
        self._looking -= 1
        self._look_on()
        self.report.running(len(self._pollers))

    def gave_up(self) -> None:
        """Take note that a poller looks no more."""
        self._looking -= 1

    async def wait_for_messages(self) -> bool:
        """Wait until there may be messages; False: others wait, or nothing is to be received any more."""
        if self._waiting:
            return False
        self._waiting += 1
        try:
            await self.wait()
        finally:
            self._waiting -= 1
        return not self.is_retiring

    async def wait(self, seconds: float | None = None) -> None:
        """Wait until there may be messages, at most `seconds`, and not longer than until the worker retires."""
        limit = () if seconds is None else (self.parts.clock.sleep(seconds),)
        await first_of(self._wait_for_source(), self._retired.wait(), *limit)

    async def pause(self, seconds: float) -> None:
        """Wait, but not longer than until the worker retires."""
        await first_of(self.parts.clock.sleep(seconds), self._retired.wait())

    async def _rest(self, seconds: float) -> None:
        """Let it be for a while: nothing is due."""
        await first_of(self.parts.clock.pause(Pause(seconds)), self._retired.wait())

    async def traits(self) -> QueueTraits:
        """Return the queue's traits, asked anew now and then. Raises SourceGone, AdapterError."""
        now = self.parts.clock.monotonic()
        if self._traits is None or now >= self._traits[1]:
            self._traits = (await self.source.traits(self.mapping.source_arn), now + TRAITS_KEPT_S)
        return self._traits[0]

    async def source_failed(self, error: Exception) -> None:
        """Report that the queue could not be asked, and rest."""
        self._traits = None
        self.report.source_failed(error)
        await self._rest(AGAIN_S)

    async def _wait_for_source(self) -> None:
        try:
            await self.source.wait(self.mapping.source_arn)
        except (AdapterError, SourceGone, StoreError) as error:
            await self.source_failed(error)
