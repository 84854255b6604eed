"""Synchronous invocation: one slot, one environment, one answer. The caller owns retries.

Source: lambda-semantics §1, §2.9.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from eventrouter.errors import NodeDead, Unavailable
from eventrouter.metrics import Metrics
from eventrouter.ports import Environments, Lease
from eventrouter.rules.function import Function
from eventrouter.rules.invocation import Invocation
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
        elsewhere: Elsewhere | None = None,
    ) -> None:
        self._incarnation = incarnation
        self._slots = slots
        self._environments = environments
        self._metrics = metrics
        self._elsewhere = elsewhere
        self._offered: set[asyncio.Task[Run]] = set()
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
            return Throttled(reason=reason)

        self._begin(token)
        metrics.concurrent.inc()
        answered: asyncio.Future[Run] = asyncio.get_running_loop().create_future()

        def end() -> None:
            metrics.concurrent.dec()
            self._slots.drop(incarnation, key, token)
            self._end(token)

        def done(run: Run) -> None:
            leased.release()
            end()
            if not answered.done():
                answered.set_result(run)

        try:
            lease = self._environments.try_lease(function)
            if lease is None and not self._is_crowded(function):
                lease = await self._lease(function)
        except BaseException:
            end()
            raise
        if lease is None:
            return await self._offer(function, invocation, end)
        leased = lease
        leased.submit(invocation, done)
        return await answered

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

    def _is_crowded(self, function: Function) -> bool:
        others = self._elsewhere
        return others is not None and not self._environments.has_room(function) and others.has_peers()

    async def _offer(self, function: Function, invocation: Invocation, end: Callable[[], None]) -> Run:
        """Let another node run it, or wait here for room; in a task of its own, which no caller's going away stops."""
        task = asyncio.create_task(self._run_somewhere(function, invocation, end))
        self._offered.add(task)
        task.add_done_callback(self._offered.discard)
        return await asyncio.shield(task)

    async def _run_somewhere(self, function: Function, invocation: Invocation, end: Callable[[], None]) -> Run:
        assert self._elsewhere is not None
        concurrent = self._metrics.of(function.name.name).concurrent
        try:
            concurrent.dec()  # the other node counts it
            try:
                run = await self._elsewhere.invoke(function, invocation)
            finally:
                concurrent.inc()
            return await self._run_here(function, invocation) if run is None else run
        finally:
            end()

    async def _run_here(self, function: Function, invocation: Invocation) -> Run:
        lease = await self._lease(function)
        answered: asyncio.Future[Run] = asyncio.get_running_loop().create_future()

        def done(run: Run) -> None:
            lease.release()
            if not answered.done():
                answered.set_result(run)

        lease.submit(invocation, done)
        return await answered

    async def _lease(self, function: Function) -> Lease:
        return await self._environments.lease(function, patience_s=PATIENCE_S)

    def _begin(self, token: str) -> None:
        self._running.add(token)
        self._quiet.clear()

    def _end(self, token: str) -> None:
        self._running.discard(token)
        if not self._running:
            self._quiet.set()
