"""Delivers the outbox: invocation records and dead letters, each to its target, until the target has stored it.

A delivery that fails is counted at once, tried again with back-off (1 s to 5 min) and given up only when it is
as old as an event may become; then it is logged as an error. Source: lambda-semantics §3.1, §3.3, §3.5.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Self

import msgspec
from structlog.typing import FilteringBoundLogger

from eventrouter.clock import Clock
from eventrouter.errors import AdapterError, StoreError
from eventrouter.journal import Facts, Journal
from eventrouter.metrics import Metrics
from eventrouter.planes.claims import Claims
from eventrouter.planes.parcel import Parcel
from eventrouter.ports import Target
from eventrouter.rules.explain import Rule
from eventrouter.rules.names import FunctionName
from eventrouter.rules.retry import DEFAULT_MAXIMUM_EVENT_AGE_S, backoff_ms
from eventrouter.store import DESTINATIONS, Claim, Settlement

TOGETHER = 32
"""Deliveries of one partition under way at a time."""
DELIVERY_TIMEOUT_S = 30.0


class DestinationPlane:
    """Long-lived. `wake(partition)` says that deliveries may be due there."""

    def __init__(
        self,
        *,
        claims: Claims,
        targets: Mapping[str, Target],
        clock: Clock,
        metrics: Metrics,
        journal: Journal,
        log: FilteringBoundLogger,
    ) -> None:
        self._claims = claims
        self._targets = targets
        self._clock = clock
        self._metrics = metrics
        self._journal = journal
        self._log = log
        self._draining = False
        self._again: set[int] = set()
        self._tasks: dict[int, asyncio.Task[None]] = {}
        claims.on_records(self.wake)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.drain()

    def wake(self, partition: int) -> None:
        """Deliver what is due in `partition`."""
        if self._draining:
            return
        if partition in self._tasks:
            self._again.add(partition)
        else:
            self._tasks[partition] = asyncio.create_task(self._deliver_due(partition), name=f"deliver-{partition}")

    async def drain(self) -> None:
        """Take no new deliveries, finish those under way."""
        self._draining = True
        await asyncio.gather(*self._tasks.values())
        await self._claims.wait_settled()

    async def _deliver_due(self, partition: int) -> None:
        try:
            while not self._draining:
                self._again.discard(partition)
                claims = await self._claims.claim(partition, DESTINATIONS, TOGETHER)
                await asyncio.gather(*(self._deliver(claim) for claim in claims))
                await self._claims.wait_settled()
                if len(claims) < TOGETHER and partition not in self._again:
                    return
        except StoreError as error:
            self._log.warning("deliveries.not_claimed", partition=partition, reason=str(error))
        finally:
            del self._tasks[partition]

    async def _deliver(self, claim: Claim) -> None:
        try:
            parcel = Parcel.decoded(claim.payload)
        except msgspec.DecodeError as error:
            self._log.error("delivery.unreadable", request_id=claim.id, reason=str(error))
            self._claims.settle(Settlement(claim=claim, action="done"))
            return
        try:
            async with asyncio.timeout(DELIVERY_TIMEOUT_S):
                await self._target(parcel).deliver(parcel.arn, parcel.delivery)
        except Exception as error:  # noqa: BLE001 - adapters are anybody's: whatever they raise is a failed delivery
            self._failed(claim, parcel, error)
        else:
            self._log.debug("delivery.made", request_id=claim.id, target=parcel.arn)
            self._journal.note(parcel.about, _sent(parcel), {"target": parcel.arn, "attempt": claim.attempt})
            self._claims.settle(Settlement(claim=claim, action="done"))

    def _target(self, parcel: Parcel) -> Target:
        target = self._targets.get(parcel.service)
        if target is None:
            raise AdapterError(f"no adapter delivers to {parcel.service!r} ({parcel.arn})", transient=False)
        return target

    def _failed(self, claim: Claim, parcel: Parcel, error: Exception) -> None:
        function = FunctionName.from_key(parcel.function_key)
        metrics = self._metrics.of(function.name)
        (metrics.dead_letter_errors if parcel.is_dead_letter else metrics.destination_failures).inc()
        delay_ms = backoff_ms(claim.attempt - 1)
        give_up = self._claims.age_ms(claim) + delay_ms >= DEFAULT_MAXIMUM_EVENT_AGE_S * 1_000
        report = self._log.error if give_up else self._log.warning
        report(
            "delivery.given_up" if give_up else "delivery.failed",
            function=function.name,
            request_id=claim.id,
            target=parcel.arn,
            attempt=claim.attempt,
            reason=str(error) or type(error).__name__,
        )
        facts: Facts = {"target": parcel.arn, "attempt": claim.attempt, "reason": str(error) or type(error).__name__}
        self._journal.note(parcel.about, Rule.DELIVERY_GIVEN_UP if give_up else Rule.DELIVERY_RETRIED, facts)
        if give_up:
            self._claims.settle(Settlement(claim=claim, action="done"))
        else:
            self._claims.settle(Settlement(claim=claim, action="back", delay_ms=delay_ms))


def _sent(parcel: Parcel) -> Rule:
    """Say what a delivery that was made amounts to."""
    if parcel.is_dead_letter:
        return Rule.DEAD_LETTERED
    return Rule.DESTINATION_SENT if parcel.is_of_event else Rule.ON_FAILURE_SENT
