"""How every operation changes a function: read, decide, compare and set; again if somebody was faster.

Source: lambda-semantics §1.9 (states, concurrent updates), §2.3 (RevisionId).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from eventrouter.api.lambda_.errors import conflict, function_not_found
from eventrouter.clock import Clock
from eventrouter.errors import RequestError
from eventrouter.rules.concurrency import minimum_unreserved
from eventrouter.rules.function import Function, State, UpdateStatus
from eventrouter.rules.names import FunctionName
from eventrouter.store import Conflict, ReservationRefused

if TYPE_CHECKING:
    from eventrouter.store import Functions

_ATTEMPTS = 10
CREATING = "The function is being created."
"""AWS's odd text for updates too."""

Change = Callable[[Function], Function]
"""Makes the new record out of the current one, or raises RequestError. Called again after a lost race."""


class Deployer(Protocol):
    """Finishes a record that was stored Pending or InProgress."""

    async def begin(self, function: Function) -> None: ...


class FunctionWrites:
    """Stores functions."""

    def __init__(
        self,
        *,
        functions: Functions,
        deployments: Deployer,
        clock: Clock,
        revision_ids: Callable[[], str],
        account_limit: int,
    ) -> None:
        self._functions = functions
        self._deployments = deployments
        self._clock = clock
        self._revision_ids = revision_ids
        self._account_limit = account_limit

    def now_ms(self) -> int:
        """Return wall time, for records that are about to be written."""
        return self._clock.now_ms()

    def new_revision_id(self) -> str:
        """Return a fresh RevisionId."""
        return self._revision_ids()

    async def create(self, function: Function) -> Function:
        """Store a function that must not exist yet, and begin its deployment.

        Raises RequestError (ResourceConflictException) if it exists.
        """
        try:
            stored = await self._put(function)
        except Conflict as error:
            raise conflict(f"Function already exist: {function.name.name}") from error
        await self._deployments.begin(stored)
        return stored

    async def deploy(self, name: FunctionName, change: Change, *, revision_id: str | None) -> Function:
        """Change code or configuration, and begin to deploy the result.

        The record moves on by one generation, with a new RevisionId, in progress. Raises RequestError: 404, 409
        while another update runs, 412 if `revision_id` is given and not the current one.
        """

        def deployed(current: Function) -> Function:
            check_updatable(current, revision_id)
            return dataclasses.replace(
                change(current),
                generation=current.generation + 1,
                revision_id=self._revision_ids(),
                last_modified_ms=self._clock.now_ms(),
                last_update_status=UpdateStatus.IN_PROGRESS,
                last_update_status_reason=CREATING,
                last_update_status_reason_code="Creating",
            )

        stored = await self.change(name, deployed)
        await self._deployments.begin(stored)
        return stored

    async def change(self, name: FunctionName, change: Change) -> Function:
        """Change settings that need no deployment. Raises RequestError: 404 and what `change` raises."""
        for _ in range(_ATTEMPTS):
            current = self._functions.get(name)
            if current is None:
                raise function_not_found(name)
            wanted = change(current)
            if wanted == current:
                return current
            try:
                return await self._put(wanted)
            except Conflict:
                await self._functions.refresh()
        raise conflict(update_in_progress(name))

    async def delete(self, name: FunctionName) -> bool:
        """Delete a function; False if there is none."""
        return await self._functions.delete(name)

    async def _put(self, function: Function) -> Function:
        try:
            return await self._functions.put(
                function,
                account_limit=self._account_limit,
                minimum_unreserved=minimum_unreserved(self._account_limit),
            )
        except ReservationRefused as error:
            raise RequestError(
                "InvalidParameterValueException",
                "Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution "
                f"below its minimum value of [{minimum_unreserved(self._account_limit)}].",
                fault=None,
            ) from error


def update_in_progress(name: FunctionName) -> str:
    """Return AWS's text for an update that meets another."""
    arn = name.arn()
    return f"The operation cannot be performed at this time. An update is in progress for resource: {arn}"


def check_updatable(current: Function, revision_id: str | None) -> None:
    """Raise RequestError unless the function may be updated now: not in motion, and at the expected revision."""
    if revision_id is not None and revision_id != current.revision_id:
        raise RequestError(
            "PreconditionFailedException",
            "The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias API to "
            "retrieve the latest Revision Id",
        )
    if current.state is State.PENDING:
        raise conflict(
            "The operation cannot be performed at this time. The function is currently in the following state: Pending"
        )
    if current.last_update_status is UpdateStatus.IN_PROGRESS:
        raise conflict(update_in_progress(current.name))
