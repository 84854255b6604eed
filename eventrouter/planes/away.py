"""Calls that this node takes in and does not run: it has not the role, or has been drained. Another node runs them.

The caller's slot is held here meanwhile. A call waits for a node that has room as long as one here would.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from eventrouter.clock import Clock
from eventrouter.errors import Unavailable
from eventrouter.rules.function import Function
from eventrouter.rules.invocation import Invocation
from eventrouter.rules.outcome import Run

PATIENCE_S = 30.0
AGAIN_S = 0.1


class Workers(Protocol):
    """Other nodes that run functions."""

    def has_peers(self) -> bool:
        """Say whether there is a node that can be asked now."""
        ...

    def has_workers(self) -> bool:
        """Say whether there is one at all, though it may be full at the moment."""
        ...

    async def invoke(self, function: Function, invocation: Invocation, *, number: int = 0) -> Run | None:
        """Run `invocation` on another node; None: it has not begun there and never will. `number` counts the tries.

        Raises RuntimeFault if it may have begun and its end will not be known.
        """
        ...


class Away:
    """Runs calls on other nodes while none is run here."""

    def __init__(self, *, workers: Workers, clock: Clock, runs_here: Callable[[], bool]) -> None:
        self._workers = workers
        self._clock = clock
        self._runs_here = runs_here

    def takes_all(self) -> bool:
        """Say whether no call is run here now."""
        return not self._runs_here()

    async def run(self, function: Function, invocation: Invocation) -> Run:
        """Run `invocation` on another node, and wait for room there.

        Raises Unavailable if it has not begun, RuntimeFault if it may have and its end will not be known.
        """
        if function.code.directory is not None:
            raise Unavailable("this node runs no functions now, and the code of this one is a folder of its machine")
        deadline = self._clock.monotonic() + PATIENCE_S
        number = 0
        while self._workers.has_workers():
            if self._workers.has_peers():
                run = await self._workers.invoke(function, invocation, number=number)
                if run is not None:
                    return run
                number += 1
            if self._clock.monotonic() >= deadline:
                raise Unavailable("this node runs no functions now, and no other one has had room for the call")
            await self._clock.sleep(AGAIN_S)
        raise Unavailable("this node runs no functions now, and there is no other one of its version that does")
