"""What this node does of all that nodes do: its roles, once it has started, unless an operator has drained it.

A drained node stays among the others and answers callers: it accepts events, and has calls run elsewhere. It begins
nothing itself, and its shards and share of the queues are the others' at once. Undone, it takes its share again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from eventrouter.planes.membership import Membership
from eventrouter.planes.nudges import Nudges
from eventrouter.settings import Role


class Duties:
    """Asked by the planes before they take anything on."""

    def __init__(self, *, roles: frozenset[Role], membership: Membership, nudges: Nudges) -> None:
        self.roles = roles
        self.is_drained = False
        self._membership = membership
        self._nudges = nudges
        self._has_begun = False
        self._changing = asyncio.Lock()
        self._listeners: list[Callable[[], None]] = []

    @property
    def runs(self) -> bool:
        """Say whether functions are run here for callers and events."""
        return Role.WORKER in self.roles and not self.is_drained

    @property
    def polls(self) -> bool:
        """Say whether this node has a share of the mappings and of the schedules."""
        return Role.POLLER in self.roles and self._has_begun and not self.is_drained

    def may_run(self) -> bool:
        """Say whether an invocation of a caller or of an event may begin here now."""
        return self.runs and self._membership.may_take_work

    def may_poll(self) -> bool:
        """Say whether something may be taken from a source now."""
        return self.polls and self._membership.may_take_work

    def on_change(self, listener: Callable[[], None]) -> None:
        """Call `listener` whenever the node begins, is drained, or takes its share again."""
        self._listeners.append(listener)

    async def begin(self) -> None:
        """Take up the duties, and tell the others. Raises StoreError, NodeDead."""
        await self._membership.look()
        self._has_begun = True
        await self._membership.announce(is_draining=False)
        self._tell()

    async def drain(self) -> None:
        """Let the others have this node's share; return when they can know. Raises StoreError, NodeDead."""
        await self._change(is_drained=True)

    async def resume(self) -> None:
        """Take a share again. Raises StoreError, NodeDead."""
        await self._change(is_drained=False)

    async def leave(self) -> None:
        """Tell the others, if they can be told, that this node ends."""
        await self._membership.announce_draining()
        self._nudges.say_look()

    async def _change(self, *, is_drained: bool) -> None:
        async with self._changing:
            if self.is_drained == is_drained:
                return
            await self._membership.announce(is_draining=is_drained)
            self.is_drained = is_drained
            self._tell()

    def _tell(self) -> None:
        for listener in self._listeners:
            listener()
        self._nudges.say_look()
