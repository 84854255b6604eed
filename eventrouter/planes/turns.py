"""Turns: short calls of one function wait a moment for an environment that is about to be free.

With many more callers than cores, waking one process for each call only pushes the others out of the caches. So
while a function's runs are short, a call beyond a few for each core waits for its turn: it is handed the
environment of a call that ends, or after WAIT_FOR_TURN_MS takes one of its own, whatever the others do.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from eventrouter.ports import Lease
from eventrouter.rules.outcome import Run, RunStatus
from eventrouter.rules.pace import WAIT_FOR_TURN_MS, Pace, is_crowded

_WAIT_S = WAIT_FOR_TURN_MS / 1_000

Begin = Callable[[Lease | None], None]
"""Begins a call, in the environment that it is handed or (None) in one that it takes for itself."""


@dataclass(slots=True, eq=False)
class Turns:
    """The calls of one function on this node, at one revision of its record, whose environments share `cpus` cores.

    Every call that has begun ends with `end`, or with `fail` if it got no environment.
    """

    revision: int
    cpus: int
    _pace: Pace = field(default_factory=Pace)
    _running: int = 0
    _waiting: deque[tuple[Begin, float]] = field(default_factory=deque)
    _timer: asyncio.TimerHandle | None = None

    def take(self, begin: Begin) -> None:
        """Call `begin` once: now, or when the call's turn has come."""
        if not is_crowded(self._pace, running=self._running, cpus=self.cpus):
            self._running += 1
            begin(None)
            return
        loop = asyncio.get_running_loop()
        self._waiting.append((begin, loop.time() + _WAIT_S))
        if self._timer is None:
            self._timer = loop.call_later(_WAIT_S, self._let_overdue_go)

    def end(self, lease: Lease, run: Run) -> None:
        """End a call: hand its environment to the next one that waits, or give it back."""
        self._pace = self._pace.after(run.duration_ms)
        is_fit = not lease.is_retired and run.status not in {RunStatus.ERROR, RunStatus.TIMEOUT}
        if self._waiting and is_fit:
            self._waiting.popleft()[0](lease)
        else:
            self._running -= 1
            lease.release()

    def fail(self) -> None:
        """End a call that got no environment."""
        self._running -= 1

    def _let_overdue_go(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = None
        while self._waiting and self._waiting[0][1] <= loop.time():
            begin, _ = self._waiting.popleft()
            self._running += 1
            begin(None)
        if self._waiting:
            self._timer = loop.call_at(self._waiting[0][1], self._let_overdue_go)
