"""A node's ownership of one shard: taken, stored under, and given up.

While Redis does not answer, taking and storing are repeated until it is known what became of them: a shard that a
living node owned without knowing would be read by nobody. A node that drains does not wait for that, since others
take what it leaves as soon as it is gone. Source: redis-design §7.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from eventrouter.clock import Pause, first_of
from eventrouter.errors import NodeDead, StoreError, Unavailable
from eventrouter.ports import SourceShard
from eventrouter.store import Held, LaneChange, LaneLost, StoredLane, Taken

if TYPE_CHECKING:
    from eventrouter.planes.shard_parts import WorkerParts

AGAIN_S = 1.0


class ShardTenure:
    """One mapping's shard in the hands of one incarnation. `take`, then `store` any number of times, then `release`."""

    def __init__(self, parts: WorkerParts, uuid: str, shard: SourceShard, incarnation: str) -> None:
        self._parts = parts
        self._uuid = uuid
        self._shard = shard
        self._incarnation = incarnation
        self._epoch = 0
        self._freed = asyncio.Event()

    @property
    def is_held(self) -> bool:
        """Say whether the shard was taken, and neither released nor lost, as far as is known here."""
        return self._epoch > 0

    async def take(self, retired: asyncio.Event) -> StoredLane | None:
        """Become the owner as soon as no living node is; None if `retired` comes first. Raises LaneLost, Unavailable.

        That it is free now may be said by `freed`; once a second it is found out.
        """
        while not retired.is_set():
            self._freed.clear()
            taken = await self._take("")
            if isinstance(taken, Held) and taken.owner not in await self._parts.hosts.list():
                taken = await self._take(taken.owner)
                if isinstance(taken, Taken):
                    self._parts.log.info("shard.taken_over", mapping=self._uuid, shard=self._shard.id)
            if isinstance(taken, Taken):
                self._epoch = taken.epoch
                return taken.lane
            await first_of(self._parts.clock.pause(Pause(AGAIN_S)), self._freed.wait(), retired.wait())
        return None

    def freed(self) -> None:
        """Note that its owner has given the shard up."""
        self._freed.set()

    async def store(self, change: LaneChange) -> None:
        """Store one change for certain. Raises LaneLost; and Unavailable if this node drains."""
        parts = self._parts
        while True:
            try:
                await parts.lanes.save(self._uuid, self._shard.unit, self._incarnation, self._epoch, change)
                return
            except (LaneLost, NodeDead):
                self._epoch = 0
                raise
            except StoreError as error:
                if parts.is_draining:
                    raise  # this node ends: the next owner repeats what is not stored
                parts.log.warning("shard.not_saved", mapping=self._uuid, reason=str(error))
                await parts.clock.sleep(AGAIN_S)

    async def release(self) -> None:
        """Give the shard up. Raises Unavailable (unknown: release it again)."""
        await self._parts.lanes.release(self._uuid, self._shard.unit, self._incarnation, self._epoch)
        self._epoch = 0

    async def _take(self, over: str) -> Taken | Held:
        while True:
            try:
                return await self._parts.lanes.take(self._uuid, self._shard.unit, self._incarnation, over=over)
            except Unavailable:
                if self._parts.is_draining:
                    raise
                await self._parts.clock.sleep(AGAIN_S)
