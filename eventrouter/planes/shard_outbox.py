"""On-failure records of one shard on their way to the queue of deliveries.

They are stored with the shard's progress first, so none is lost; then they are put into the queue, and struck from
the shard. Batches do not wait for that: while the queue takes nothing, because memory is full or Redis away, it is
tried again, and what is left when the shard is let go of the next owner passes on. Putting twice is putting once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from structlog.typing import FilteringBoundLogger

from eventrouter.clock import Clock, first_of
from eventrouter.rules.mapping import EventSourceMapping
from eventrouter.store import Events, Lanes, OutboxRecord

AGAIN_S = 1.0


class ShardOutbox:
    """The stored on-failure records of one shard that are not in the queue yet."""

    def __init__(
        self,
        *,
        mapping: EventSourceMapping,
        unit: str,
        events: Events,
        lanes: Lanes,
        clock: Clock,
        log: FilteringBoundLogger,
        on_deliveries_due: Callable[[int], None],
    ) -> None:
        self._mapping = mapping
        self._unit = unit
        self._events = events
        self._lanes = lanes
        self._clock = clock
        self._log = log
        self._on_deliveries_due = on_deliveries_due
        self._parcels: dict[str, bytes] = {}
        self._task: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()

    def add(self, parcels: Mapping[str, bytes]) -> None:
        """Pass stored parcels on, soon."""
        self._parcels.update(parcels)
        if self._parcels and self._task is None:
            self._task = asyncio.create_task(self._run(), name="shard-outbox")

    async def close(self) -> None:
        """Try once more to pass on what is left, and end."""
        self._closing.set()
        if self._task is not None:
            await asyncio.wait((self._task,))

    async def _run(self) -> None:
        try:
            while self._parcels:
                try:
                    await self._forward()
                except Exception as error:  # noqa: BLE001 - no record may be lost; it is put again until it is taken
                    self._log.warning("shard.not_forwarded", mapping=self._mapping.uuid, reason=repr(error))
                    if self._closing.is_set():
                        return
                    await self._pause()
        finally:
            self._task = None

    async def _forward(self) -> None:
        parcels = self._parcels.copy()
        partition = self._events.partition_of(self._mapping.function.key)
        for parcel_id, parcel in parcels.items():
            await self._events.put_record(partition, OutboxRecord(id=parcel_id, payload=parcel))
        self._on_deliveries_due(partition)
        await self._lanes.forwarded(self._mapping.uuid, self._unit, list(parcels))
        for parcel_id in parcels:
            del self._parcels[parcel_id]

    async def _pause(self) -> None:
        await first_of(self._clock.sleep(AGAIN_S), self._closing.wait())
