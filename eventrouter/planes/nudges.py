"""Nudges: what a node tells the others at once, which they would find out by themselves within a second or two.

A node that comes or goes says "look", and one that lets go of shards names them; so a shard that changes hands waits
for no one's next look. A nudge that is lost costs that look's time and nothing else. It goes through the others'
inboxes, which every node waits on. Source: redis-design §1 (R8), §6.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Mapping, Sequence

import msgspec
from structlog.typing import FilteringBoundLogger

from eventrouter.errors import StoreError
from eventrouter.store import HostInfo, Inbox, Reply

NUDGE = "nudge"
"""The kind of an inbox's entry that answers nothing and asks for nothing but attention."""
SEND_BUDGET_S = 2.0
UNITS = 500
"""Units that one nudge names."""


class _Nudge(msgspec.Struct, frozen=True, omit_defaults=True):
    """`look`: nodes came or went, or what they do has changed. `units` are free now."""

    look: bool = False
    units: tuple[str, ...] = ()


class Nudges:
    """Long-lived without a task of its own: `close` ends what is being sent."""

    def __init__(self, *, incarnation: Callable[[], str], inbox: Inbox, log: FilteringBoundLogger) -> None:
        self._incarnation = incarnation
        self._inbox = inbox
        self._log = log
        self._numbers = itertools.count(1)
        self._others: tuple[str, ...] = ()
        self._look = False
        self._units: list[str] = []
        self._task: asyncio.Task[None] | None = None
        self._on_look: list[Callable[[], None]] = []
        self._on_units: list[Callable[[Sequence[str]], None]] = []

    def see(self, living: Mapping[str, HostInfo]) -> None:
        """Take note of the other nodes."""
        self._others = tuple(living)

    def on_look(self, listener: Callable[[], None]) -> None:
        """Call `listener` when another node says that the list of nodes is to be looked at."""
        self._on_look.append(listener)

    def on_units(self, listener: Callable[[Sequence[str]], None]) -> None:
        """Call `listener` with the units, each `<mapping>/<unit>`, that another node has let go of."""
        self._on_units.append(listener)

    def say_look(self) -> None:
        """Tell the others soon that this node came, goes, or does other things than before."""
        self._look = True
        self._send_soon()

    def say_free(self, unit: str) -> None:
        """Tell the others soon that a unit is free."""
        self._units.append(unit)
        self._send_soon()

    def hear(self, reply: Reply) -> bool:
        """Take an entry of this node's inbox; False if it is no nudge."""
        if reply.kind != NUDGE:
            return False
        try:
            nudge = msgspec.json.decode(reply.body, type=_Nudge)
        except msgspec.DecodeError:
            return True  # another version's: what it says is found out anyway
        if nudge.look:
            for look in self._on_look:
                look()
        if nudge.units:
            for free in self._on_units:
                free(nudge.units)
        return True

    async def wait_sent(self) -> None:
        """Wait until the others have been told all there was to tell, or could not be."""
        while self._task is not None:
            await asyncio.wait((self._task,))

    async def close(self) -> None:
        """Stop telling."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _send_soon(self) -> None:
        if self._task is None:
            self._task = asyncio.create_task(self._send_all(), name="nudge")
            self._task.add_done_callback(self._sent)

    def _sent(self, task: asyncio.Task[None]) -> None:
        self._task = None

    async def _send_all(self) -> None:
        """Send what there is to say; what comes meanwhile goes with the next."""
        while self._look or self._units:
            nudge = _Nudge(look=self._look, units=tuple(self._units[:UNITS]))
            self._look, self._units = False, self._units[UNITS:]
            await asyncio.gather(*(self._tell(other, nudge) for other in self._others))

    async def _tell(self, other: str, nudge: _Nudge) -> None:
        sender = self._incarnation()
        reply = Reply(
            request_id=f"{NUDGE}-{next(self._numbers)}", sender=sender, kind=NUDGE, body=msgspec.json.encode(nudge)
        )
        try:
            await self._inbox.reply(other, reply, budget_s=SEND_BUDGET_S)
        except StoreError as error:
            self._log.debug("nudge.unsent", to=other, reason=str(error))
