"""This node's life among the others: it joins, beats, watches the others' beats, buries the silent, reaps the dead.

And it judges itself: without an acknowledged beat it first takes no new work (6 s), then kills its environments
(8 s) before others may hand its work on (10 s). If no other node has a fresher beat either, Redis is away for
everyone and nothing is killed.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable, Mapping
from typing import Self

from structlog.typing import FilteringBoundLogger

from eventrouter.clock import Clock
from eventrouter.errors import NodeDead, StoreError
from eventrouter.planes.loops import Loops
from eventrouter.ports import Environments
from eventrouter.rules.witness import BEAT_EVERY_S, FENCE_KILL_S, FENCE_STOP_S, Sighting, is_silent, look
from eventrouter.store import HostInfo, Hosts, Slots

REAP_EVERY_LOOKS = 5
AUDIT_EVERY_LOOKS = 60


class Membership:
    """Long-lived: `async with membership:` joins and, at the end, leaves."""

    def __init__(
        self,
        *,
        hosts: Hosts,
        slots: Slots,
        environments: Environments,
        loops: Loops,
        clock: Clock,
        log: FilteringBoundLogger,
        info: HostInfo,
        new_incarnation: Callable[[], str],
        is_isolated: Callable[[Mapping[str, HostInfo]], Awaitable[bool]],
        refresh: Callable[[], Awaitable[object]],
    ) -> None:
        """`refresh` reads what changed in the store; it is called when a beat's answer tells of a change."""
        self._hosts = hosts
        self._slots = slots
        self._environments = environments
        self._clock = clock
        self._loops = loops
        self._log = log
        self._info = info
        self._new_incarnation = new_incarnation
        self._is_isolated = is_isolated
        self._refresh = refresh
        self._sightings: dict[str, Sighting] = {}
        self._others: dict[str, HostInfo] = {}
        self._on_look: list[Callable[[Mapping[str, HostInfo]], None]] = []
        self._counter = 0
        self._acknowledged_at = clock.monotonic()
        self._revision = -1
        self._killed = False
        self._rejoining = False
        self._looks = 0
        self._looking = asyncio.Lock()
        self._extra_look: asyncio.Task[None] | None = None
        self.incarnation = new_incarnation()
        self.has_left = False

    async def __aenter__(self) -> Self:
        await self._join()
        self._loops.start("membership-beat", self._beat_or_rejoin)
        self._loops.start("membership-watch", self._watch)
        self._loops.start("membership-fence", self._fence)
        return self

    async def __aexit__(self, *exc: object) -> None:
        for name in ("membership-beat", "membership-watch", "membership-fence"):
            await self._loops.stop(name)
        if self._extra_look is not None:
            self._extra_look.cancel()
            await asyncio.gather(self._extra_look, return_exceptions=True)
        try:
            await self._hosts.leave(self.incarnation)
            self.has_left = True
        except StoreError as error:
            self._log.warning("node.left_uncleanly", incarnation=self.incarnation, reason=str(error))

    @property
    def beat_age_s(self) -> float:
        """Return how long ago the last acknowledged beat was sent."""
        return self._clock.monotonic() - self._acknowledged_at

    @property
    def may_take_work(self) -> bool:
        """Say whether this node may take new work now."""
        return self.beat_age_s < FENCE_STOP_S and not self._rejoining

    def declare_dead(self) -> None:
        """Note that the store calls this incarnation dead: the next beat joins under a new one."""
        if not self._rejoining:
            self._log.error("node.declared_dead", incarnation=self.incarnation)
            self._rejoining = True

    async def join_anew(self) -> None:
        """Join under a new incarnation now, after the store has been emptied."""
        self._rejoining = True
        await self._rejoin()

    def on_look(self, listener: Callable[[Mapping[str, HostInfo]], None]) -> None:
        """Call `listener`, now and after every look at the others' beats, with those that live, by incarnation."""
        self._on_look.append(listener)
        listener(self._others)

    async def announce(self, *, is_draining: bool) -> None:
        """Tell the others whether this node takes anything new: what it would share with them is theirs if not.

        Raises StoreError, NodeDead: then the others may not know.
        """
        info = dataclasses.replace(self._info, is_draining=is_draining)
        await self._hosts.join(self.incarnation, info)
        self._info = info

    async def announce_draining(self) -> None:
        """Tell the others, if they can be told, that this node ends."""
        try:
            await self.announce(is_draining=True)
        except StoreError as error:
            self._log.warning("node.draining_unannounced", incarnation=self.incarnation, reason=str(error))

    def silence_s(self) -> dict[str, float]:
        """Return for how long each of the others' counters has been seen to stand still."""
        now = self._clock.monotonic()
        return {node: now - sighting.since for node, sighting in self._sightings.items()}

    def counter_of(self, node: str) -> int | None:
        """Return where another node's counter was seen last; None if it has not been seen."""
        sighting = self._sightings.get(node)
        return None if sighting is None else sighting.counter

    async def look(self) -> None:
        """Look at the others' beats now, besides once a second. Raises Unavailable."""
        async with self._looking:
            await self._look()

    def look_soon(self) -> None:
        """Look at the others' beats without being waited for."""
        if self._extra_look is None:
            self._extra_look = asyncio.create_task(self._look_quietly(), name="membership-look")

    async def bury(self, node: str, counter: int | None) -> int:
        """Declare another node dead and hand on what it holds; return how many events became due, -1 if it beats.

        `counter` is the one that it has stood still at; None: whatever it shows. Raises Unavailable.
        """
        if not await self._hosts.bury(node, counter):
            return -1
        self._log.warning("node.buried", incarnation=node, by="operator")
        requeued = await self._hosts.reap(node)
        await self.look()
        return requeued

    # Beating.

    async def _join(self) -> None:
        await self._hosts.join(self.incarnation, self._info)
        self._counter = 0
        self._killed = False
        await self._beat()
        self._log.info("node.joined", incarnation=self.incarnation)

    async def _beat(self) -> None:
        sent_at = self._clock.monotonic()
        self._counter += 1
        revision = await self._hosts.beat(self.incarnation, self._counter)
        self._acknowledged_at = sent_at
        self._environments.beat()
        if revision != self._revision:
            await self._refresh()
            self._revision = revision

    async def _beat_or_rejoin(self) -> float:
        try:
            if self._rejoining:
                await self._rejoin()
            else:
                await self._beat()
        except NodeDead:
            self.declare_dead()
        return BEAT_EVERY_S

    async def _rejoin(self) -> None:
        """Come back after being buried: nothing of the old incarnation may run on."""
        await self._environments.kill_all()
        self.incarnation = self._new_incarnation()
        await self._join()
        self._rejoining = False

    # Fencing itself.

    async def _fence(self) -> float:
        """Stop what runs here if this node alone has lost Redis for too long."""
        if self._killed or self.beat_age_s < FENCE_KILL_S - BEAT_EVERY_S:
            return BEAT_EVERY_S
        if not await self._is_isolated(self._others):
            self._environments.beat()  # Redis is away for everyone: the keeper waits on
        elif self.beat_age_s >= FENCE_KILL_S:
            self._killed = True
            self._log.error("node.fenced_itself", beat_age_s=round(self.beat_age_s, 1))
            await self._environments.kill_all()
        return BEAT_EVERY_S

    # Watching the others.

    async def _watch(self) -> float:
        self._looks += 1
        try:
            await self.look()
        except StoreError:
            self._sightings = {}  # what was not seen was not silent
            raise
        if self._looks % REAP_EVERY_LOOKS == 0:
            await self._reap(await self._hosts.dead())
        if self._looks % AUDIT_EVERY_LOOKS == 0:
            await self._reap(await self._hosts.audit())
            await self._audit_slots()
        return BEAT_EVERY_S

    async def _look_quietly(self) -> None:
        try:
            await self.look()
        except StoreError as error:  # the next look of the loop tells of it
            self._log.debug("node.not_looked", reason=str(error))
        finally:
            self._extra_look = None

    async def _look(self) -> None:
        beats = await self._hosts.beats()
        beats.pop(self.incarnation, None)
        everyone = await self._hosts.list() if beats else {}
        self._others = {node: info for node, info in everyone.items() if node in beats}
        self._sightings = look(self._sightings, beats, self._clock.monotonic())
        for node, sighting in self._sightings.items():
            if is_silent(sighting) and await self._hosts.bury(node, sighting.counter):
                self._log.warning("node.buried", incarnation=node)
                self._others.pop(node, None)
                self._tell_others()
                await self._reap([node])
        self._tell_others()

    def _tell_others(self) -> None:
        for listener in self._on_look:
            listener(self._others)

    async def _reap(self, incarnations: list[str]) -> None:
        for incarnation in incarnations:
            requeued = await self._hosts.reap(incarnation)
            self._log.warning("node.reaped", incarnation=incarnation, events=requeued)

    async def _audit_slots(self) -> None:
        if strays := await self._slots.drop_strays(self.incarnation):
            self._log.warning("slots.strays_dropped", incarnation=self.incarnation, slots=strays)
        for function, (counted, held) in (await self._slots.audit()).items():
            self._log.error("slots.repaired", function=function, counted=counted, held=held)
