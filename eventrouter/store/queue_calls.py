"""How queue scripts are called: with every key of the queue, and with what the caller knows of time.

Lease time moves by at most 2 s a call, whatever the server's clock says. So that it does not stand still while nobody
calls, a call tells how long our monotonic clock has run since an earlier one was answered. Time in which a call failed
does not count: an outage must not use up anybody's visibility timeout.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from eventrouter.errors import Unavailable
from eventrouter.store.queue_types import NoSuchQueue, QueueName

if TYPE_CHECKING:
    from random import Random

    from eventrouter.clock import Clock
    from eventrouter.store.connect import Argument, Scripts
    from eventrouter.store.keys import Keys

KNOWN_QUEUES = 10_000
"""Key names and lease times are kept of as many queues; then all are forgotten, which costs nothing but time."""


class _Known:
    """A queue's keys; and its lease time when a call of ours was answered, and when that was on our own clock."""

    __slots__ = ("at", "keys", "lease_ms")

    def __init__(self, keys: list[str]) -> None:
        self.keys = keys
        self.lease_ms = 0
        self.at = 0.0


class QueueCalls:
    """Runs scripts on queues."""

    def __init__(self, scripts: Scripts, keys: Keys, clock: Clock, random: Random) -> None:
        self.scripts = scripts
        self.keys = keys
        self._clock = clock
        self._random = random
        self._known: dict[QueueName, _Known] = {}

    def new_id(self) -> str:
        """Return a fresh id, for a message or a call."""
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))

    def now_ms(self) -> int:
        """Return this node's wall time."""
        return self._clock.now_ms()

    async def call(self, script: str, name: QueueName, *args: Argument) -> list[Any]:
        """Run one script on a queue; return its code and answer. Raises NoSuchQueue, IntakeRefused, Unavailable."""
        known = self._of(name)
        reached = known.lease_ms and known.lease_ms + int((self._clock.monotonic() - known.at) * 1_000)
        try:
            code, lease_ms, *answer = await self.scripts.call(
                script, known.keys, (reached, self._clock.now_ms(), *args)
            )
        except Unavailable:
            self._known.clear()
            raise
        if code == b"MISSING":
            raise NoSuchQueue(f"queue {name.name} of {name.account} in {name.region} does not exist")
        if lease_ms:
            known.lease_ms, known.at = lease_ms, self._clock.monotonic()
        return [code, *answer]

    def key(self, name: QueueName, part: str) -> str:
        """Name one key of a queue."""
        return self._of(name).keys[self.keys.QUEUE.index(part)]

    def _of(self, name: QueueName) -> _Known:
        known = self._known.get(name)
        if known is None:
            if len(self._known) >= KNOWN_QUEUES:
                self._known.clear()
            known = self._known[name] = _Known(self.keys.queue(name.key))
        return known
