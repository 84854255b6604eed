"""The events that this node holds: claimed from the store, and known here until their settlement is confirmed.

Settlements go to the store many at a time, at most one call per partition in flight; what arrives meanwhile goes
with the next one. While Redis does not answer they stay in memory and are repeated with the same ids: settling
twice is settling once.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass

from structlog.typing import FilteringBoundLogger

from eventrouter.clock import Clock
from eventrouter.errors import NodeDead
from eventrouter.metrics import Metrics
from eventrouter.store import Claim, Events, Settlement

BATCH = 100
RETRY_AFTER_S = 0.5


@dataclass(frozen=True, slots=True)
class _Place:
    """The incarnation that holds an event, and the partition it lies in."""

    incarnation: str
    partition: int


class Claims:
    """Every event that this node holds, whichever plane claimed it."""

    def __init__(
        self,
        *,
        incarnation: Callable[[], str],
        events: Events,
        clock: Clock,
        metrics: Metrics,
        log: FilteringBoundLogger,
    ) -> None:
        self._incarnation = incarnation
        self._events = events
        self._clock = clock
        self._metrics = metrics
        self._log = log
        self._held: dict[str, tuple[_Place, float]] = {}
        self._waiting: defaultdict[_Place, deque[Settlement]] = defaultdict(deque)
        self._flushing: dict[_Place, asyncio.Task[None]] = {}
        self._suspects: set[tuple[str, int]] = set()
        self._records_listeners: list[Callable[[int], None]] = []
        self.unsettled = 0

    def on_records(self, listener: Callable[[int], None]) -> None:
        """Have `listener` called with the partition in which a settlement has left records to deliver."""
        self._records_listeners.append(listener)

    async def claim(self, partition: int, key: str, limit: int, *, has_slot: bool = False) -> list[Claim]:
        """Claim up to `limit` due events of one function; without a slot not while it is held.

        Raises NodeDead or Unavailable.
        """
        place = _Place(self._incarnation(), partition)
        claims = await self._events.claim(place.incarnation, partition, key, limit, has_slot=has_slot)
        held = (place, self._clock.monotonic())
        for claim in claims:
            self._held[claim.id] = held
        return claims

    def age_ms(self, claim: Claim) -> int:
        """Return the event's age now, from its acceptance."""
        return claim.age_ms + round((self._clock.monotonic() - self._held[claim.id][1]) * 1_000)

    def settle(self, settlement: Settlement) -> None:
        """Take one settlement; it is carried out soon. One of a dead incarnation is fenced and dropped."""
        place = self._held[settlement.claim.id][0]
        self._waiting[place].append(settlement)
        self.unsettled += 1
        if place not in self._flushing:
            self._flushing[place] = asyncio.create_task(self._flush(place), name=f"settle-{place.partition}")

    async def wait_settled(self) -> None:
        """Wait until nothing is left to settle."""
        while self._flushing:
            await asyncio.wait(list(self._flushing.values()))

    async def stop(self) -> None:
        """Give up settling. What is unsettled is reaped with this incarnation."""
        tasks = list(self._flushing.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def return_strays(self) -> None:
        """Give events back that a lost answer claimed for this node without its knowing.

        An event is a stray if two looks in a row find it owned and not known here.
        """
        incarnation = self._incarnation()
        found: set[tuple[str, int]] = set()
        for partition in range(self._events.partitions):
            owned = await self._events.owned(incarnation, partition)
            unknown = {stray for stray in owned.items() if stray[0] not in self._held}
            found |= unknown
            if strays := [event_id for event_id, _ in unknown & self._suspects]:
                await self._return(_Place(incarnation, partition), strays)
        self._suspects = found

    async def _return(self, place: _Place, event_ids: list[str]) -> None:
        for claim in await self._events.recall(place.incarnation, place.partition, event_ids):
            self._log.warning("event.stray_returned", request_id=claim.id, attempt=claim.attempt)
            self._held[claim.id] = (place, self._clock.monotonic())
            self.settle(Settlement(claim=claim, action="back"))

    async def _flush(self, place: _Place) -> None:
        waiting = self._waiting[place]
        try:
            while waiting:
                batch = [waiting[i] for i in range(min(BATCH, len(waiting)))]
                try:
                    settled = await self._events.settle(place.incarnation, place.partition, batch)
                except NodeDead:
                    settled = [False] * len(batch)
                except Exception as error:  # noqa: BLE001 - no verdict may be lost; it is repeated until it is taken
                    self._log.warning("events.unsettled", events=len(waiting), reason=repr(error))
                    await self._clock.sleep(RETRY_AFTER_S)
                    continue
                self._forget(place, waiting, settled)
        finally:
            del self._flushing[place]
            if not waiting:
                self._waiting.pop(place, None)

    def _forget(self, place: _Place, waiting: deque[Settlement], settled: list[bool]) -> None:
        for was_ours in settled:
            settlement = waiting.popleft()
            claim = settlement.claim
            self.unsettled -= 1
            if settlement.records:
                for listener in self._records_listeners:
                    listener(place.partition)
            self._held.pop(claim.id, None)
            if not was_ours:
                self._metrics.fenced.inc()
                self._log.info("event.fenced", request_id=claim.id, attempt=claim.attempt)
