"""Background loops that cannot end unnoticed: a turn that fails is logged, counted and made again.

Each loop exports how long ago its last turn succeeded. A watchdog starts a loop anew whose turn has hung for
RESTART_AFTER_S, and gives up on the whole process at GIVE_UP_AFTER_S: a supervisor then starts it again, and
nothing accepted is lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Self

from structlog.typing import FilteringBoundLogger

from eventrouter.clock import Clock, Pause
from eventrouter.errors import StoreError
from eventrouter.metrics import Metrics

FAILED_PAUSE_S = 1.0
WATCH_EVERY_S = 10.0
RESTART_AFTER_S = 30.0
GIVE_UP_AFTER_S = 60.0


Turn = Callable[[], Awaitable[float | Pause]]
"""One turn of a loop; returns how long to wait before the next. A number of seconds is a Pause of nothing due."""


class Loops:
    """All background loops of one node. Long-lived: `async with loops:`; leaving it ends what still runs."""

    def __init__(
        self,
        *,
        clock: Clock,
        metrics: Metrics,
        log: FilteringBoundLogger,
        give_up: Callable[[str], None],
        machine: Clock | None = None,
    ) -> None:
        """`machine` is the time by which a turn hangs, if it is not that by which loops pause."""
        self._clock = clock
        self._machine = machine or clock
        self._metrics = metrics
        self._log = log
        self._give_up = give_up
        self._loops: dict[str, _Loop] = {}
        self._watchdog: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._watchdog = asyncio.create_task(self._watch_forever(), name="watchdog")
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._watchdog is not None:
            self._watchdog.cancel()
            await asyncio.gather(self._watchdog, return_exceptions=True)
        for name in list(self._loops):
            await self.stop(name)

    def start(self, name: str, turn: Turn) -> None:
        """Make turns until `stop(name)`; the first one now."""
        loop = self._loops[name] = _Loop(name, turn, self._clock, self._machine, self._metrics, self._log)
        self._metrics.loop_age.labels(name).set_function(loop.age_s)
        loop.start()

    async def stop(self, name: str) -> None:
        """End a loop between or in a turn. Stopping twice is harmless."""
        loop = self._loops.pop(name, None)
        if loop is not None:
            await loop.stop()
            self._metrics.loop_age.remove(name)

    async def _watch_forever(self) -> None:
        while True:
            await self._machine.pause(Pause(WATCH_EVERY_S))
            for loop in list(self._loops.values()):
                hung_s = loop.hung_s()
                if hung_s >= GIVE_UP_AFTER_S:
                    self._give_up(f"the loop {loop.name!r} has hung for {hung_s:.0f} s")
                elif hung_s >= RESTART_AFTER_S:
                    self._log.error("loop.restarted", loop=loop.name, hung_s=round(hung_s))
                    loop.restart()


class _Loop:
    """One loop: its task, when its turn began, and when one last succeeded."""

    def __init__(
        self, name: str, turn: Turn, clock: Clock, machine: Clock, metrics: Metrics, log: FilteringBoundLogger
    ) -> None:
        self.name = name
        self._turn = turn
        self._clock = clock
        self._machine = machine
        self._metrics = metrics
        self._log = log
        self._succeeded_at = machine.monotonic()
        self._turn_began_at: float | None = None
        self._task: asyncio.Task[None] | None = None

    def age_s(self) -> float:
        """Return how long ago a turn last succeeded."""
        return self._machine.monotonic() - self._succeeded_at

    def hung_s(self) -> float:
        """Return for how long no turn has ended although one is under way; restarts do not reset it."""
        return 0.0 if self._turn_began_at is None else self._machine.monotonic() - self._turn_began_at

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name=self.name)

    def restart(self) -> None:
        """Abandon the turn that hangs and begin another."""
        if self._task is not None:
            self._task.cancel()
        self.start()

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            if self._turn_began_at is None:
                self._turn_began_at = self._machine.monotonic()
            pause = await self._make_turn()
            self._turn_began_at = None
            await self._clock.pause(pause)

    async def _make_turn(self) -> Pause:
        try:
            pause = await self._turn()
        except StoreError as error:
            self._failed()
            self._log.warning("loop.turn_failed", loop=self.name, reason=str(error))
            return Pause(FAILED_PAUSE_S)
        except Exception:  # noqa: BLE001 - a loop that ended here would end unnoticed
            self._failed()
            self._log.error("loop.turn_crashed", loop=self.name, exc_info=True)
            return Pause(FAILED_PAUSE_S)
        self._succeeded_at = self._machine.monotonic()
        return Pause.of(pause)

    def _failed(self) -> None:
        self._metrics.loop_failures.labels(self.name).inc()
