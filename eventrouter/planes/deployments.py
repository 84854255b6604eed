"""Brings functions from Pending to Active and updates from InProgress to Successful, on whichever node can.

A function is ready once its code is unpacked here. A node that dies half way leaves the record as it was; the
sweep of any node that can reach the code finishes it. Source: lambda-semantics §1.9, §2.3.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Self
from uuid import UUID

from structlog.typing import FilteringBoundLogger

from eventrouter.errors import EventRouterError
from eventrouter.planes.loops import Loops
from eventrouter.rules.concurrency import minimum_unreserved
from eventrouter.rules.function import Function, State, UpdateStatus
from eventrouter.rules.names import FunctionName
from eventrouter.runtime.packages import Packages
from eventrouter.store import Conflict, Functions

SWEEP_EVERY_S = 5.0


class Deployments:
    """Long-lived: `async with deployments:`. `begin(function)` finishes one soon."""

    def __init__(
        self,
        *,
        functions: Functions,
        packages: Packages,
        loops: Loops,
        log: FilteringBoundLogger,
        new_id: Callable[[], UUID],
        account_limit: int,
    ) -> None:
        self._functions = functions
        self._packages = packages
        self._loops = loops
        self._log = log
        self._new_id = new_id
        self._account_limit = account_limit
        self._running: dict[FunctionName, asyncio.Task[None]] = {}
        functions.on_change(self._changed)

    async def __aenter__(self) -> Self:
        self._loops.start("deployments-sweep", self._sweep)
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._loops.stop("deployments-sweep")
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def begin(self, function: Function) -> None:
        """Finish the creation or update that `function`'s record says is under way; returns at once."""
        self._start(function.name)

    def _start(self, name: FunctionName) -> None:
        if name not in self._running:
            task = asyncio.create_task(self._finish(name), name=f"deploy-{name.name}")
            self._running[name] = task
            task.add_done_callback(lambda _: self._running.pop(name, None))

    def _changed(self, name: FunctionName, function: Function | None) -> None:
        """Fetch new code ahead of its first use, so that it outlives the node that took it in."""
        if function is not None and not self._packages.has(function.code):
            self._start(name)

    async def _finish(self, name: FunctionName) -> None:
        try:
            while (function := self._functions.get(name)) is not None:
                await self._packages.directory(function.code)
                if not is_unfinished(function):
                    return
                try:
                    await self._functions.put(
                        finished(function, str(self._new_id())),
                        account_limit=self._account_limit,
                        minimum_unreserved=minimum_unreserved(self._account_limit),
                    )
                    return
                except Conflict:
                    await self._functions.refresh()
        except EventRouterError as error:
            self._log.warning("deployment.delayed", function=name.name, reason=str(error))

    async def _sweep(self) -> float:
        for function in self._functions.all():
            if is_unfinished(function):
                self._start(function.name)
        return SWEEP_EVERY_S


def is_unfinished(function: Function) -> bool:
    """Say whether a creation or an update is under way."""
    return function.state is State.PENDING or function.last_update_status is UpdateStatus.IN_PROGRESS


def finished(function: Function, revision_id: str) -> Function:
    """Return the record as it is once the creation or update has succeeded. The revision id changes again (§2.3)."""
    return replace(
        function,
        state=State.ACTIVE,
        state_reason=None,
        state_reason_code=None,
        last_update_status=UpdateStatus.SUCCESSFUL,
        last_update_status_reason=None,
        last_update_status_reason_code=None,
        revision_id=revision_id,
    )
