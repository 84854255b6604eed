"""From an attempt to its settlement: gathers the facts, asks the rule, hands the verdict to the store."""

from __future__ import annotations

from typing import assert_never

from structlog.typing import FilteringBoundLogger

from eventrouter.clock import Clock
from eventrouter.journal import Facts, Journal
from eventrouter.metrics import Metrics
from eventrouter.planes.claims import Claims
from eventrouter.planes.parcel import Parcel
from eventrouter.rules import failure
from eventrouter.rules.explain import GIVEN_UP, Rule
from eventrouter.rules.function import Function
from eventrouter.rules.outcome import FunctionFailed, Outcome, Succeeded, Throttled
from eventrouter.rules.record import EndedEvent, messages_of
from eventrouter.rules.retry import (
    HOST_DEATHS_AS_ERROR,
    BackOff,
    Condition,
    Done,
    EventPolicy,
    EventTally,
    GiveUp,
    Retry,
    event_policy,
    judge_claim,
    judge_event,
)
from eventrouter.store import Claim, OutboxRecord, Settlement


class EventJudge:
    """Settles claimed events by the rules."""

    def __init__(
        self,
        *,
        claims: Claims,
        clock: Clock,
        metrics: Metrics,
        journal: Journal,
        log: FilteringBoundLogger,
        retry_base_ms: int,
    ) -> None:
        self._claims = claims
        self._clock = clock
        self._metrics = metrics
        self._journal = journal
        self._log = log
        self._retry_base_ms = retry_base_ms

    def admit(self, function: Function, claim: Claim) -> bool:
        """Say whether a claimed event may run now; one that may not is settled here."""
        if claim.deaths >= HOST_DEATHS_AS_ERROR:
            # A payload that takes hosts down must not circulate: each further claim counts as a failed attempt.
            self._journal.note(claim.id, Rule.HOST_DEATHS, {"deaths": claim.deaths})
            self.judge(function, claim, failure.exited(claim.id), version=function.version)
            return False
        tally = self._tally(claim)
        give_up = judge_claim(tally, self._policy(function, claim), function.reserved_concurrency)
        if give_up is None:
            self._metrics.of(function.name.name).event_age_ms.observe(tally.age_ms)
            return True
        self._give_up(function, claim, give_up.condition, _last_outcome(claim), function.version, claim.errors)
        return False

    def judge(
        self, function: Function, claim: Claim, outcome: Outcome, *, version: str, backoffs: int | None = None
    ) -> None:
        """Settle one attempt. `backoffs` counts the function's back-offs in a row (default: the claim's tries)."""
        tally = self._tally(claim, claim.attempt - 1 - claim.errors if backoffs is None else backoffs)
        policy = self._policy(function, claim)
        verdict = judge_event(outcome, tally, policy)
        match verdict:
            case Done():
                records = self._records(function, claim, Condition.SUCCESS, outcome, version, claim.errors + 1)
                self._claims.settle(Settlement(claim=claim, action="done", records=records))
            case Retry(delay_ms):
                self._note_wait(claim, Rule.ASYNC_RETRY, delay_ms, policy.maximum_retry_attempts - claim.errors - 1)
                response = outcome.payload if isinstance(outcome, FunctionFailed) else None
                self._claims.settle(Settlement(claim=claim, action="retry", delay_ms=delay_ms, last_response=response))
            case BackOff(delay_ms):
                # A throttled function is held back as a whole, so its events stay due.
                wait_ms = 0 if isinstance(outcome, Throttled) else delay_ms
                if isinstance(outcome, Throttled):
                    facts: Facts = {"function": function.name.name, "reason": outcome.reason.value}
                    self._journal.note(claim.id, Rule.THROTTLED, facts)
                self._note_wait(claim, Rule.ASYNC_BACK_OFF, delay_ms, policy.maximum_retry_attempts - claim.errors)
                self._claims.settle(Settlement(claim=claim, action="back", delay_ms=wait_ms))
            case GiveUp(condition):
                ran = isinstance(outcome, FunctionFailed)
                last = outcome if ran else _last_outcome(claim) or outcome
                self._give_up(function, claim, condition, last, version, claim.errors + ran)
            case _:
                assert_never(verdict)

    def hand_back(self, claim: Claim) -> None:
        """Give an event back that was not started; nothing is counted."""
        self._journal.note(claim.id, Rule.HANDED_BACK)
        self._claims.settle(Settlement(claim=claim, action="back"))

    def drop(self, name: str, claim: Claim, *, reason: str) -> None:
        """End an event that nobody can be told about: visible in the log and in AsyncEventsDropped."""
        self._metrics.of(name).events_dropped.inc()
        self._log.warning("event.dropped", function=name, request_id=claim.id, reason=reason)
        self._journal.note(claim.id, Rule.EVENT_DISCARDED, {"function": name, "reason": reason})
        self._claims.settle(Settlement(claim=claim, action="done"))

    def _give_up(
        self, function: Function, claim: Claim, condition: Condition, outcome: Outcome | None, version: str, ran: int
    ) -> None:
        self._metrics.of(function.name.name).events_dropped.inc()
        self._log.info(
            "event.given_up", function=function.name.name, request_id=claim.id, condition=condition.value, attempts=ran
        )
        records = self._records(function, claim, condition, outcome, version, ran)
        facts: Facts = {"function": function.name.name, "attempts": ran, "destinations": len(records)}
        self._journal.note(claim.id, GIVEN_UP[condition], facts)
        self._claims.settle(Settlement(claim=claim, action="done", records=records))

    def _note_wait(self, claim: Claim, why: Rule, delay_ms: int, retries_left: int) -> None:
        due_at_ms = self._clock.now_ms() + delay_ms
        self._journal.note(claim.id, why, {"due_at_ms": due_at_ms, "retries_left": retries_left})

    def _records(
        self, function: Function, claim: Claim, condition: Condition, outcome: Outcome | None, version: str, ran: int
    ) -> tuple[OutboxRecord, ...]:
        config = function.event_invoke_config(claim.qualifier)
        if condition is Condition.SUCCESS and not config.on_success:
            return ()
        ended = EndedEvent(
            request_id=claim.id,
            function=function,
            qualifier=claim.qualifier,
            payload=claim.payload,
            condition=condition,
            invoke_count=ran,
            outcome=outcome,
            ended_at_ms=self._clock.now_ms(),
            trace=claim.trace,
            version=version,
        )
        return tuple(
            OutboxRecord(id=message.id, payload=Parcel.of(message, function.name).encoded())
            for message in messages_of(ended)
        )

    def _policy(self, function: Function, claim: Claim) -> EventPolicy:
        return event_policy(function.event_invoke_config(claim.qualifier), self._retry_base_ms)

    def _tally(self, claim: Claim, backoffs: int = 0) -> EventTally:
        return EventTally(age_ms=self._claims.age_ms(claim), errors=claim.errors, backoffs=max(backoffs, 0))


def _last_outcome(claim: Claim) -> Succeeded | FunctionFailed | None:
    """Return what the event's last attempt answered, if one ran. Its records keep that (§3.3)."""
    if claim.last_response is None:
        return None
    return FunctionFailed(payload=claim.last_response, error_type=failure.error_type_of(claim.last_response))
