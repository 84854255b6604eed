"""Asynchronous invocation: accepts events durably, and keeps one pump per function that has events due.

Source: lambda-semantics §3.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Self
from uuid import UUID

from structlog.typing import FilteringBoundLogger

from eventrouter.clock import Clock, Pause
from eventrouter.errors import NodeDead, StoreError
from eventrouter.journal import Journal
from eventrouter.metrics import Metrics
from eventrouter.planes.claims import Claims
from eventrouter.planes.judge import EventJudge
from eventrouter.planes.loops import Loops
from eventrouter.planes.pump import Pump, PumpParts
from eventrouter.ports import Environments
from eventrouter.rules.explain import Rule
from eventrouter.rules.function import Function
from eventrouter.rules.invocation import Invocation
from eventrouter.rules.names import FunctionName
from eventrouter.rules.outcome import ThrottleReason
from eventrouter.store import DESTINATIONS, Events, Functions, NewEvent, Slots

LOOK_EVERY_S = 1.0
"""Each partition is looked at this often at least: it also keeps the lease clock ticking."""
AUDIT_EVERY_S = 5.0


class EventPlane:
    """Long-lived: `async with plane:` starts the looking; leaving it drains first."""

    def __init__(
        self,
        *,
        incarnation: Callable[[], str],
        functions: Functions,
        events: Events,
        claims: Claims,
        loops: Loops,
        slots: Slots,
        environments: Environments,
        clock: Clock,
        metrics: Metrics,
        journal: Journal,
        log: FilteringBoundLogger,
        new_id: Callable[[], UUID],
        may_take_work: Callable[[], bool],
        retry_base_ms: int,
        on_deliveries_due: Callable[[int], None],
        on_dead: Callable[[], None],
    ) -> None:
        self._events = events
        self._metrics = metrics
        self._journal = journal
        self._log = log
        self._on_deliveries_due = on_deliveries_due
        self._on_dead = on_dead
        self._draining = False
        self._pumps: dict[str, Pump] = {}
        self._unholding: set[asyncio.Task[None]] = set()
        self._claims = claims
        self._loops = loops
        judge = EventJudge(
            claims=claims, clock=clock, metrics=metrics, journal=journal, log=log, retry_base_ms=retry_base_ms
        )
        self._parts = PumpParts(
            functions=functions,
            incarnation=incarnation,
            events=events,
            slots=slots,
            environments=environments,
            claims=claims,
            judge=judge,
            clock=clock,
            metrics=metrics,
            journal=journal,
            log=log,
            new_id=new_id,
            is_draining=lambda: self._draining or not may_take_work(),
            on_dead=on_dead,
        )
        slots.on_freed(self._slot_freed)
        functions.on_change(self._function_changed)

    async def __aenter__(self) -> Self:
        self._loops.start("events-look", self._look)
        self._loops.start("events-audit", self._audit)
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.drain()

    async def accept(self, function: Function, invocation: Invocation) -> None:
        """Store an event for `function`; return once it is durable. Repeating the call stores it once.

        Raises IntakeRefused (nothing stored) or Unavailable (unknown; repeat with the same invocation).
        """
        name = invocation.reference.function
        await self._events.put(
            NewEvent(
                id=invocation.request_id,
                function=name,
                qualifier=invocation.reference.qualifier,
                payload=invocation.payload,
                trace=invocation.trace,
            )
        )
        self._metrics.of(name.name).events_received.inc()
        self._journal.note(invocation.request_id, Rule.ACCEPTED, {"function": name.name})
        self._pump(function.name).wake()

    def stop_claiming(self) -> None:
        """Take no new events; what runs goes on."""
        self._draining = True

    async def drain(self) -> None:
        """Take no new events, wait for those that run, hand back those that have not started."""
        self.stop_claiming()
        await self._loops.stop("events-look")
        await self._loops.stop("events-audit")
        await asyncio.gather(*(pump.wait_idle() for pump in self._pumps.values()))
        await self._claims.wait_settled()

    # Looking for due events.

    async def _look(self) -> Pause:
        """Wake the pumps of every function with events due; return how long the next look may wait."""
        next_ms: int | None = None
        try:
            dues = await self._events.due_all()
        except NodeDead:
            self._on_dead()
            return Pause(LOOK_EVERY_S)
        for partition, due in enumerate(dues):
            for key in due.functions:
                if key == DESTINATIONS:
                    self._on_deliveries_due(partition)
                else:
                    self._pump(FunctionName.from_key(key)).wake()
            if due.next_in_ms is not None:
                wait_ms = max(due.next_in_ms, 1)
                next_ms = wait_ms if next_ms is None else min(next_ms, wait_ms)
        return Pause(LOOK_EVERY_S, None if next_ms is None else next_ms / 1_000)

    def _pump(self, name: FunctionName) -> Pump:
        pump = self._pumps.get(name.key)
        if pump is None:
            pump = self._pumps[name.key] = Pump(parts=self._parts, name=name)
        return pump

    def _function_changed(self, name: FunctionName, function: Function | None) -> None:
        """Forget the pump of a deleted function, unless it has something to end."""
        pump = self._pumps.get(name.key)
        if function is None and pump is not None and pump.is_idle:
            del self._pumps[name.key]

    def _slot_freed(self, key: str) -> None:
        """Let functions try again that were held back for want of the slot that is free now."""
        account_and_region = key.rpartition(":")[0]
        for pump in self._pumps.values():
            if pump.held_for is None:
                continue
            shares = pump.held_for is ThrottleReason.ACCOUNT and pump.key.startswith(account_and_region + ":")
            if pump.key == key or shares:
                task = asyncio.create_task(self._unhold(pump), name=f"unhold-{pump.key}")
                self._unholding.add(task)
                task.add_done_callback(self._unholding.discard)

    async def _unhold(self, pump: Pump) -> None:
        try:
            await pump.unhold()
        except StoreError as error:
            self._log.info("events.unhold_failed", function=pump.key, reason=str(error))

    async def _audit(self) -> float:
        """Give back what a lost answer claimed for this node."""
        await self._claims.return_strays()
        return AUDIT_EVERY_S
