"""Drains one function's asynchronous queue on this node.

A *lane* is one concurrency slot with, once it is needed, one environment. The order is always: take a slot, claim
events, run them, settle them, give the slot back. How many events and lanes that are is `rules.pace`'s to say.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import UUID

from structlog.typing import FilteringBoundLogger

from eventrouter.clock import Clock
from eventrouter.errors import NodeDead, RuntimeFault, StoreError
from eventrouter.journal import Facts, Journal
from eventrouter.metrics import FunctionMetrics, Metrics
from eventrouter.planes.claims import Claims
from eventrouter.planes.judge import EventJudge
from eventrouter.planes.run_notes import note_begin, note_end
from eventrouter.ports import Environments, Lease
from eventrouter.rules.explain import Rule
from eventrouter.rules.function import Function
from eventrouter.rules.invocation import Invocation
from eventrouter.rules.names import FunctionName, FunctionReference
from eventrouter.rules.outcome import Run, SystemFault, Throttled, ThrottleReason
from eventrouter.rules.pace import CLAIM_LIMIT, Pace, claim_size, is_low, lanes_to_add
from eventrouter.rules.retry import backoff_ms
from eventrouter.store import Claim, Events, Functions, Slots

UNSETTLED_LIMIT = 1_000
WIDEN_AFTER_S = 0.02
"""How long events wait for a lane before more lanes are opened."""
REFUSED_WIDEN_S = 5.0
"""How long a function that is refused more lanes waits at most before it asks again; the end of a run asks at once."""
THROTTLED_CLAIMS = 10
PATIENCE_S = 30.0


@dataclass(slots=True, kw_only=True, eq=False)
class Lane:
    """One slot, its environment once there is one, the events in it, and when one of them last began or ended.

    A lane serves the one `revision` of the function's record that it was opened for: after an update it takes
    nothing new, so no environment and no slot outlives what it was taken for. Nor does it once its environment is lost:
    that would fail everything it is given.
    """

    incarnation: str
    token: str
    revision: int
    lease: Lease | None = None
    is_lost: bool = False
    starting: bool = False
    sent: dict[str, Claim] = field(default_factory=dict)
    moved_at: float = 0.0

    @property
    def in_flight(self) -> int:
        """Return how many events are in this lane's environment, running or sent ahead."""
        return len(self.sent)


@dataclass(slots=True, kw_only=True)
class PumpParts:
    """What every pump of a node is given."""

    incarnation: Callable[[], str]
    functions: Functions
    events: Events
    slots: Slots
    environments: Environments
    claims: Claims
    judge: EventJudge
    clock: Clock
    metrics: Metrics
    journal: Journal
    log: FilteringBoundLogger
    new_id: Callable[[], UUID]
    is_draining: Callable[[], bool]
    on_dead: Callable[[], None]


@dataclass(slots=True, kw_only=True, eq=False)
class Pump:
    """The lanes of one function on this node. `wake()` is the only way in."""

    parts: PumpParts
    name: FunctionName
    key: str = field(init=False)
    partition: int = field(init=False)
    metrics: FunctionMetrics = field(init=False)
    held_for: ThrottleReason | None = None
    _backoffs: int = 0
    _pace: Pace = field(default_factory=Pace)
    _generation: int = 0
    _revision: int = 0
    _lanes: list[Lane] = field(default_factory=list)
    _buffer: deque[Claim] = field(default_factory=deque)
    _more: bool = False
    _signal: asyncio.Event = field(default_factory=asyncio.Event)
    _task: asyncio.Task[None] | None = None
    _starting: set[asyncio.Task[None]] = field(default_factory=set)
    _held_until: float = 0.0
    _refused_for_s: float = WIDEN_AFTER_S
    _widen_at: float = 0.0

    def __post_init__(self) -> None:
        self.key = self.name.key
        self.partition = self.parts.events.partition_of(self.key)
        self.metrics = self.parts.metrics.of(self.name.name)

    def wake(self) -> None:
        """Say that events may be due. A function that is held back is not woken before its time."""
        if self.held_for is not None and self.parts.clock.monotonic() < self._held_until:
            return
        self._more = True
        self._signal.set()
        if self._task is None and not self.parts.is_draining():
            self._task = asyncio.create_task(self._run(), name=f"pump-{self.key}")
            self._task.add_done_callback(self._ended)

    async def unhold(self) -> None:
        """Try again now: a slot has been freed that may serve this function."""
        if self.held_for is not None and self._held_until > 0:
            self._held_until = 0.0
            await self.parts.events.unhold(self.key)
            self.wake()

    @property
    def is_idle(self) -> bool:
        """Say that nothing runs and nothing is claimed here."""
        return self._task is None and not self._starting

    async def wait_idle(self) -> None:
        """Wait until nothing runs and nothing is claimed here."""
        self._signal.set()
        while not self.is_idle:
            await asyncio.wait([task for task in (self._task, *self._starting) if task is not None])

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._task = None
        error = None if task.cancelled() else task.exception()
        if isinstance(error, NodeDead):
            self.parts.on_dead()
        elif isinstance(error, StoreError):
            self.parts.log.warning("pump.interrupted", function=self.key, reason=str(error))
        elif error is not None:
            self.parts.metrics.loop_failures.labels("pump").inc()
            self.parts.log.error("pump.failed", function=self.key, exc_info=error)
        elif self._more:
            self.wake()

    # The turn: open lanes, claim, fill, wait.

    async def _run(self) -> None:
        try:
            while not self.parts.is_draining():
                function = await self._function()
                if function is None or function.reserved_concurrency == 0:
                    await self._end_without_running()
                    return
                for lane in [lane for lane in self._lanes if lane.is_lost and lane.in_flight == 0]:
                    self._close(lane)
                if not self._fresh_lanes() and (refusal := await self._open(1)):
                    await self._back_off(refusal)
                    return
                self.held_for, self._backoffs = None, 0
                await self._claim()
                self._fill(function)
                if not self._lanes:
                    return
                await self._wait_or_widen()
        finally:
            self._give_back()
            await self._wait_lanes()

    async def _function(self) -> Function | None:
        function = self.parts.functions.runnable(self.name)
        if function is None:
            await self.parts.functions.refresh()
            function = self.parts.functions.runnable(self.name)
        if function is not None:
            self._revision = function.revision
            if function.generation != self._generation:
                self._generation = function.generation
                self._pace = Pace()
        return function

    def _fresh_lanes(self) -> list[Lane]:
        return [lane for lane in self._lanes if lane.revision == self._revision and not lane.is_lost]

    def _room(self) -> int:
        """Return how many events to claim now."""
        if self.parts.claims.unsettled > UNSETTLED_LIMIT:
            return 0  # the store is what is slow
        lanes = self._fresh_lanes()
        in_flight = sum(lane.in_flight for lane in lanes)
        return claim_size(self._pace, lanes=len(lanes), in_flight=in_flight, buffered=len(self._buffer))

    async def _claim(self) -> None:
        room = self._room() if self._more else 0
        if room == 0:
            return
        self._more = False
        claims = await self._claimed(room, has_slot=True)
        self._more = self._more or len(claims) == room
        self._buffer.extend(claims)

    async def _claimed(self, limit: int, *, has_slot: bool = False) -> list[Claim]:
        return await self.parts.claims.claim(self.partition, self.key, limit, has_slot=has_slot)

    async def _wait_or_widen(self) -> None:
        self._signal.clear()
        if self._more and self._room():
            return
        wants_lanes = self._more or bool(self._buffer)
        sent_ahead = any(lane.in_flight > 1 for lane in self._lanes)
        refused_for_s = 0.0 if sent_ahead else self._widen_at - self.parts.clock.monotonic()
        try:
            async with asyncio.timeout(max(refused_for_s, WIDEN_AFTER_S) if wants_lanes or sent_ahead else None):
                await self._signal.wait()
        except TimeoutError:
            wants_lanes = self._recall_stuck() or wants_lanes
            if wants_lanes:
                self._more = True
                if await self._widen():
                    self._welcome()
                else:
                    self._refused_for_s = min(2 * self._refused_for_s, REFUSED_WIDEN_S)
                    self._widen_at = self.parts.clock.monotonic() + self._refused_for_s

    def _welcome(self) -> None:
        """Ask for lanes as soon as they are wanted: something has changed since they were refused."""
        self._refused_for_s, self._widen_at = WIDEN_AFTER_S, 0.0

    def _recall_stuck(self) -> bool:
        """Take back what was sent ahead behind a run that turns out to be long. Say whether there was any."""
        now = self.parts.clock.monotonic()
        recalled: list[Claim] = []
        for lane in self._lanes:
            if lane.lease is not None and lane.in_flight > 1 and now - lane.moved_at >= WIDEN_AFTER_S:
                self._pace = self._pace.after((now - lane.moved_at) * 1_000)
                recalled += [lane.sent.pop(invocation.request_id) for invocation in lane.lease.recall()]
        self._buffer.extendleft(reversed(recalled))
        return bool(recalled)

    async def _widen(self) -> bool:
        """Open as many lanes again as there are, if events wait and more can help. False: none was to be had."""
        if self.parts.claims.unsettled > UNSETTLED_LIMIT:
            return True
        if any(lane.lease is None for lane in self._lanes):
            return True  # environments are being started: wait for these first
        wanted = lanes_to_add(self._pace, lanes=len(self._lanes), cpus=self.parts.environments.cpus)
        return wanted <= 0 or await self._open(wanted) is None

    async def _open(self, wanted: int) -> ThrottleReason | None:
        """Take slots for `wanted` lanes. Return why not one was had, or None if at least one was."""
        incarnation = self.parts.incarnation()
        tokens = [str(self.parts.new_id()) for _ in range(wanted)]
        answers = await asyncio.gather(*(self.parts.slots.take(incarnation, self.key, token) for token in tokens))
        refusals = [refusal for refusal in answers if refusal is not None]
        self._lanes.extend(
            Lane(incarnation=incarnation, token=token, revision=self._revision)
            for token, refusal in zip(tokens, answers, strict=True)
            if refusal is None
        )
        if refusals:
            self.metrics.throttles.inc(len(refusals))
        return refusals[0] if len(refusals) == wanted else None

    # Lanes.

    def _fill(self, function: Function) -> None:
        """Hand claimed events to lanes; close the lanes that find none."""
        for lane in list(self._lanes):
            if self._buffer and lane.lease is None and not lane.starting and lane.revision == self._revision:
                lane.lease = self.parts.environments.try_lease(function)
                if lane.lease is None:
                    self._start(lane, function)
            self._feed(lane, function)
            if lane.in_flight == 0 and not lane.starting:
                self._close(lane)

    def _feed(self, lane: Lane, function: Function) -> None:
        if lane.revision != self._revision or lane.is_lost:
            return
        while lane.lease is not None and self._buffer and lane.in_flight < self._pace.window:
            claim = self._buffer.popleft()
            if self.parts.judge.admit(function, claim):
                self._submit(lane, lane.lease, function, claim)

    def _submit(self, lane: Lane, lease: Lease, function: Function, claim: Claim) -> None:
        if not lane.sent:
            lane.moved_at = self.parts.clock.monotonic()
            self.metrics.concurrent.inc()
            self._note_begin(claim, function)
        lane.sent[claim.id] = claim
        reference = FunctionReference(function=function.name, qualifier=claim.qualifier)
        invocation = Invocation(request_id=claim.id, reference=reference, payload=claim.payload, trace=claim.trace)

        def done(run: Run) -> None:
            del lane.sent[claim.id]
            self._welcome()
            lane.moved_at = self.parts.clock.monotonic()
            note_end(self.parts.journal, claim.id, run)
            if lane.sent:
                self._note_begin(next(iter(lane.sent.values())), function)
            else:
                self.metrics.concurrent.dec()
            self._pace = self._pace.after(run.duration_ms)
            lane.is_lost = lane.is_lost or isinstance(run.outcome, SystemFault)
            self.parts.judge.judge(function, claim, run.outcome, version=run.version)
            if not self.parts.is_draining():
                self._feed(lane, function)
            if lane.in_flight == 0 or is_low(len(self._buffer)):
                self._signal.set()

        lease.submit(invocation, done)

    def _note_begin(self, claim: Claim, function: Function) -> None:
        note_begin(self.parts.journal, claim.id, self.name.name, function.version, claim.errors + 1)

    def _start(self, lane: Lane, function: Function) -> None:
        lane.starting = True
        task = asyncio.create_task(self._start_environment(lane, function), name=f"lane-{self.key}")
        self._starting.add(task)
        task.add_done_callback(self._starting.discard)

    async def _start_environment(self, lane: Lane, function: Function) -> None:
        try:
            lane.lease = await self.parts.environments.lease(function, patience_s=PATIENCE_S)
        except RuntimeFault as fault:
            self.parts.log.warning("environment.not_started", function=self.key, reason=str(fault))
            if self._buffer:
                claim = self._buffer.popleft()
                outcome = SystemFault(message=str(fault))
                self.parts.journal.note(claim.id, Rule.FAULTED, {"reason": outcome.message})
                self.parts.judge.judge(function, claim, outcome, version=function.version)
        finally:
            lane.starting = False
            self._feed(lane, function)
            if lane.in_flight == 0:
                self._close(lane)
            self._signal.set()

    def _close(self, lane: Lane) -> None:
        self._lanes.remove(lane)
        if lane.lease is not None:
            lane.lease.release()
        self.parts.slots.drop(lane.incarnation, self.key, lane.token)

    async def _wait_lanes(self) -> None:
        """Wait until the lanes that still run something are done, then close them."""
        while self._lanes:
            self._signal.clear()
            for lane in [lane for lane in self._lanes if lane.in_flight == 0 and not lane.starting]:
                self._close(lane)
            if self._lanes:
                await self._signal.wait()

    # Events that do not run.

    async def _end_without_running(self) -> None:
        """End what is due of a function that is gone or may run nothing (reserved concurrency 0)."""
        self._more = False
        while claims := await self._claimed(CLAIM_LIMIT):
            function = self.parts.functions.runnable(self.name)
            for claim in claims:
                if function is None:
                    self.parts.judge.drop(self.name.name, claim, reason="the function does not exist")
                elif self.parts.judge.admit(function, claim):
                    self.parts.judge.hand_back(claim)
                    self._more = True
            if len(claims) < CLAIM_LIMIT:
                break

    async def _back_off(self, reason: ThrottleReason) -> None:
        """Judge the oldest due events as throttled, then hold the whole function back for a while."""
        self._more = False
        function = self.parts.functions.runnable(self.name)
        for claim in await self._claimed(THROTTLED_CLAIMS):
            if function is None:
                self.parts.judge.hand_back(claim)
            elif self.parts.judge.admit(function, claim):
                throttled = Throttled(reason=reason)
                self.parts.judge.judge(function, claim, throttled, version=function.version, backoffs=self._backoffs)
        delay_ms = backoff_ms(self._backoffs)
        self._backoffs += 1
        self.held_for = reason
        self._held_until = self.parts.clock.monotonic() + delay_ms / 1_000
        facts: Facts = {"reason": reason.value, "due_at_ms": self.parts.clock.now_ms() + delay_ms}
        self.parts.journal.note(self.key, Rule.ASYNC_BACK_OFF, facts)
        await self.parts.events.hold(self.key, delay_ms)

    def _give_back(self) -> None:
        while self._buffer:
            self.parts.judge.hand_back(self._buffer.popleft())
