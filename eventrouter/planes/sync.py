"""Synchronous invocation: one slot, one environment, one answer. The caller owns retries.

Source: lambda-semantics §1, §2.9.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from eventrouter.errors import NodeDead, Unavailable
from eventrouter.journal import Journal
from eventrouter.metrics import Metrics
from eventrouter.planes.away import Away
from eventrouter.planes.run_notes import note_begin, note_end
from eventrouter.planes.turns import Turns
from eventrouter.ports import Environments, Lease
from eventrouter.rules.explain import Rule
from eventrouter.rules.function import Function
from eventrouter.rules.invocation import Invocation
from eventrouter.rules.names import FunctionName
from eventrouter.rules.outcome import Run, Throttled, ThrottleReason
from eventrouter.store import Slots

PATIENCE_S = 30.0
"""How long a call that holds its slot waits for this node to have room for one more environment."""


class Elsewhere(Protocol):
    """Other nodes, which may have room where this one has none."""

    def has_peers(self) -> bool:
        """Say whether there is a node that can be asked now."""
        ...

    async def invoke(self, function: Function, invocation: Invocation) -> Run | None:
        """Run `invocation` on another node; None: it has not begun there and never will.

        The slot stays the caller's. Raises RuntimeFault if it may have begun and its end will not be known.
        """
        ...


class SyncPlane:
    """Runs invocations whose caller waits."""

    def __init__(
        self,
        *,
        incarnation: Callable[[], str],
        slots: Slots,
        environments: Environments,
        metrics: Metrics,
        journal: Journal,
        elsewhere: Elsewhere | None = None,
        away: Away | None = None,
        may_begin: Callable[[], bool] = lambda: True,
    ) -> None:
        """`may_begin` is asked once more when a call that may have waited for room has got it.

        While calls are not run here at all, `away` runs them.
        """
        self._away = away
        self._incarnation = incarnation
        self._slots = slots
        self._environments = environments
        self._metrics = metrics
        self._journal = journal
        self._elsewhere = elsewhere
        self._may_begin = may_begin
        self._finding: set[asyncio.Task[None]] = set()
        self._turns: dict[FunctionName, Turns] = {}
        self._draining = False
        self._running: set[str] = set()
        self._quiet = asyncio.Event()
        self._quiet.set()

    async def invoke(self, function: Function, invocation: Invocation) -> Run | Throttled:
        """Run `invocation` now, or say that there is no slot for it.

        A cancelled caller does not stop the run: its slot and environment come back when it has ended.
        Raises Unavailable if no slot could be asked for or the node is draining, RuntimeFault if no environment
        could be had.
        """
        if self._draining:
            raise Unavailable("this node is draining: it takes no new calls")
        key = function.name.key
        metrics = self._metrics.of(function.name.name)
        token = invocation.request_id
        incarnation = self._incarnation()
        reason = await self._take(function, incarnation, token)
        if reason is not None:
            metrics.throttles.inc()
            self._journal.note(token, Rule.THROTTLED, {"function": function.name.name, "reason": reason.value})
            return Throttled(reason=reason)

        self._begin(token)
        metrics.concurrent.inc()
        answered: asyncio.Future[Run] = asyncio.get_running_loop().create_future()
        turns = self._turns_of(function)

        def end(answer: Run | Exception) -> None:
            metrics.concurrent.dec()
            self._slots.drop(incarnation, key, token)
            self._end(token)
            if answered.done():
                return
            if isinstance(answer, Exception):
                answered.set_exception(answer)
            else:
                answered.set_result(answer)

        def submit(lease: Lease) -> None:
            if self._incarnation() != incarnation or not self._may_begin():
                turns.fail()
                lease.release()
                end(Unavailable("this node lost its place while the call waited for room"))
                return

            def done(run: Run) -> None:
                note_end(self._journal, token, run)
                turns.end(lease, run)
                end(run)

            note_begin(self._journal, token, function.name.name, function.version)
            lease.submit(invocation, done)

        def begin(lease: Lease | None) -> None:
            try:
                lease = lease or self._environments.try_lease(function)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is the caller's answer
                turns.fail()
                end(error)
                return
            if lease is not None:
                submit(lease)
            else:
                self._find(self._find_room(function, invocation, submit, turns, end))

        if self._away is None or not self._away.takes_all():
            turns.take(begin)
        else:
            self._find(self._run_away(self._away, function, invocation, end))
        return await answered

    def function_changed(self, name: FunctionName, function: Function | None) -> None:
        """Forget a deleted function; its calls that run come to their end."""
        if function is None:
            self._turns.pop(name, None)

    def stop_taking(self) -> None:
        """Refuse new calls; those that run go on."""
        self._draining = True

    async def wait_quiet(self) -> None:
        """Wait until no invocation runs."""
        await self._quiet.wait()

    async def _take(self, function: Function, incarnation: str, token: str) -> ThrottleReason | None:
        if function.reserved_concurrency == 0:
            return ThrottleReason.RESERVED
        try:
            return await self._slots.take(incarnation, function.name.key, token)
        except NodeDead as error:
            raise Unavailable("this node is being replaced by a new incarnation of itself") from error

    def _may_go_elsewhere(self, function: Function) -> bool:
        others = self._elsewhere
        return others is not None and not self._environments.has_room(function) and others.has_peers()

    def _find(self, finding: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(finding)
        self._finding.add(task)
        task.add_done_callback(self._finding.discard)

    async def _run_away(
        self, away: Away, function: Function, invocation: Invocation, end: Callable[[Run | Exception], None]
    ) -> None:
        """Have a call run by another node, since none is run here."""
        concurrent = self._metrics.of(function.name.name).concurrent
        concurrent.dec()  # the other node counts it
        answer: Run | Exception
        try:
            answer = await away.run(function, invocation)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the caller's answer
            answer = error
        concurrent.inc()
        end(answer)

    async def _find_room(
        self,
        function: Function,
        invocation: Invocation,
        submit: Callable[[Lease], None],
        turns: Turns,
        end: Callable[[Run | Exception], None],
    ) -> None:
        """Find a place for a call for which no environment is idle: another node's, or a new one here."""
        try:
            run = await self._run_elsewhere(function, invocation) if self._may_go_elsewhere(function) else None
            if run is None:
                submit(await self._environments.lease(function, patience_s=PATIENCE_S))
                return
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the caller's answer
            turns.fail()
            end(error)
            return
        turns.fail()
        end(run)

    async def _run_elsewhere(self, function: Function, invocation: Invocation) -> Run | None:
        assert self._elsewhere is not None
        concurrent = self._metrics.of(function.name.name).concurrent
        concurrent.dec()  # the other node counts it
        try:
            return await self._elsewhere.invoke(function, invocation)
        finally:
            concurrent.inc()

    def _turns_of(self, function: Function) -> Turns:
        turns = self._turns.get(function.name)
        if turns is None or turns.revision != function.revision:
            turns = self._turns[function.name] = Turns(function.revision, self._environments.cpus)
        return turns

    def _begin(self, token: str) -> None:
        self._running.add(token)
        self._quiet.clear()

    def _end(self, token: str) -> None:
        self._running.discard(token)
        if not self._running:
            self._quiet.set()
