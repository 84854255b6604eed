"""Watches Redis's memory and closes the intake before it is full.

What was accepted is still run, retried and settled. What would be stored anew waits: events, messages (so
records and dead letters for our own queues stay in the outbox), changes of functions.
"""

from __future__ import annotations

from typing import Self

from structlog.typing import FilteringBoundLogger

from eventrouter.planes.loops import Loops
from eventrouter.rules.intake import REFUSE_ABOVE, refuses_intake
from eventrouter.store import Store

LOOK_EVERY_S = 2.0


class IntakeGuard:
    """Long-lived: `async with guard:` looks every two seconds."""

    def __init__(self, *, store: Store, loops: Loops, log: FilteringBoundLogger) -> None:
        self._store = store
        self._loops = loops
        self._log = log
        self._refusing = False

    async def __aenter__(self) -> Self:
        self._loops.start("intake-watch", self.look)
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._loops.stop("intake-watch")

    async def look(self) -> float:
        """Look once; return how many seconds the next look may wait."""
        used, maximum = await self._store.memory()
        refusing = refuses_intake(used, maximum, refusing=self._refusing)
        if refusing != self._refusing:
            self._refusing = refusing
            self._log.warning("intake.closed" if refusing else "intake.opened", used_bytes=used, maximum_bytes=maximum)
            self._store.scripts.refuse_intake(
                f"Redis's memory is over {REFUSE_ABOVE:.0%} of its maxmemory of {maximum} bytes" if refusing else None
            )
        return LOOK_EVERY_S
