"""Synchronous invocation: one slot, one environment, one answer. The caller owns retries.

Source: lambda-semantics §1, §2.9.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from eventrouter.errors import NodeDead, Unavailable
from eventrouter.metrics import Metrics
from eventrouter.ports import Environments, Lease
from eventrouter.rules.function import Function
from eventrouter.rules.invocation import Invocation
from eventrouter.rules.outcome import Run, Throttled, ThrottleReason
from eventrouter.store import Slots

PATIENCE_S = 30.0
"""How long a call that holds its slot waits for this node to have room for one more environment."""


class SyncPlane:
    """Runs invocations whose caller waits."""

    def __init__(
        self, *, incarnation: Callable[[], str], slots: Slots, environments: Environments, metrics: Metrics
    ) -> None:
        self._incarnation = incarnation
        self._slots = slots
        self._environments = environments
        self._metrics = metrics
        self._running: set[str] = set()
        self._quiet = asyncio.Event()
        self._quiet.set()

    async def invoke(self, function: Function, invocation: Invocation) -> Run | Throttled:
        """Run `invocation` now, or say that there is no slot for it.

        A cancelled caller does not stop the run: its slot and environment come back when it has ended.
        Raises Unavailable if no slot could be asked for, RuntimeFault if no environment could be had.
        """
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
            lease.release()
            end()
            if not answered.done():
                answered.set_result(run)

        try:
            lease = self._environments.try_lease(function) or await self._lease(function)
        except BaseException:
            end()
            raise
        lease.submit(invocation, done)
        return await answered

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

    async def _lease(self, function: Function) -> Lease:
        return await self._environments.lease(function, patience_s=PATIENCE_S)

    def _begin(self, token: str) -> None:
        self._running.add(token)
        self._quiet.clear()

    def _end(self, token: str) -> None:
        self._running.discard(token)
        if not self._running:
            self._quiet.set()
