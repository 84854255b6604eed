"""Fires scheduled rules: one event for each rule and due time, however many nodes there are.

What is due stands in the store. A node takes what is due for a while, hands the events over, and only then moves the
timers on. If it dies half way another node does the same again: ids are derived from rule, generation and due time, so
a target that was given its event already knows it. What could not be handed over is kept beside, and tried again.

What was due while no node ran, or more than a minute ago, was missed, and is not made up: the next one fires.
Source: lambda-semantics §6.3, §6.5, §9.2.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from random import Random
from typing import NamedTuple, Self

import msgspec
from structlog.typing import FilteringBoundLogger

from eventrouter.clock import Clock, Pause
from eventrouter.errors import AdapterError, StoreError
from eventrouter.journal import Journal
from eventrouter.planes.loops import Loops
from eventrouter.ports import Delivery, FunctionCalls, Target
from eventrouter.rules.explain import Rule
from eventrouter.rules.hand_over import (
    ErrorCode,
    GiveUp,
    HandOver,
    TryAgain,
    dead_letter_attributes,
    judge_dead_letter,
    judge_hand_over,
)
from eventrouter.rules.schedule_event import delivery_id, firing_id, handed_over, scheduled_event
from eventrouter.rules.scheduled_rule import RuleTarget, ScheduledRule, was_missed
from eventrouter.store.schedules import Schedules
from eventrouter.store.timers import CLAIM_LIMIT, Move, Timer

LOOK_EVERY_S = 1.0
HOLD_MS = 20_000
"""For how long a node takes what is due: longer than it waits for the store, and short enough for another node to
fire within the minute when it dies."""
PLACE_EVERY_S = 300.0
"""How often timers that are lacking are set: a node died between storing a rule and setting its timer, or the server
lost what it had written last."""

MESSAGE_LENGTH = 1_024
"""Characters of an error's text that are kept."""

_FIRE, _RETRY = "schedules-fire", "schedules-retry"


class SchedulePlane:
    """Long-lived: `async with plane:`."""

    def __init__(
        self,
        *,
        schedules: Schedules,
        functions: FunctionCalls,
        targets: Mapping[str, Target],
        loops: Loops,
        clock: Clock,
        random: Random,
        journal: Journal,
        log: FilteringBoundLogger,
        may_take_work: Callable[[], bool],
    ) -> None:
        """`targets` are by service; functions are called instead of being one."""
        self._schedules = schedules
        self._functions = functions
        self._targets = targets
        self._loops = loops
        self._clock = clock
        self._random = random
        self._journal = journal
        self._log = log
        self._may_take_work = may_take_work
        self._unplaced: dict[str, ScheduledRule] = {}
        self._place_all_at = 0.0
        schedules.catalogue.on_change(self._changed)

    async def __aenter__(self) -> Self:
        self._loops.start(_FIRE, self.fire_turn)
        self._loops.start(_RETRY, self.retry_turn)
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._loops.stop(_FIRE)
        await self._loops.stop(_RETRY)

    # Firing.

    async def fire_turn(self) -> Pause:
        """Fire what is due, as much as one script takes; return how long to wait for the next."""
        if not self._may_take_work():
            return Pause(LOOK_EVERY_S)
        await self._place()
        claimed = await self._schedules.firings.claim(hold_ms=HOLD_MS)
        next_ms = claimed.next_ms
        if claimed.timers:
            next_ms = await self._fire(claimed.timers, claimed.now_ms)
        return _pause(claimed.now_ms if self._unplaced else next_ms, claimed.now_ms, recurs=True)

    async def _place(self) -> None:
        """Set timers of rules that are new here; every now and then, those of all rules that lack one.

        A few in each turn: to find out when a thousand rules are due takes a while, in which nothing else happens.
        """
        if self._clock.monotonic() >= self._place_all_at:
            self._place_all_at = self._clock.monotonic() + PLACE_EVERY_S
            self._unplaced = {rule.name.arn: rule for rule in self._schedules.catalogue.all()}
        if not self._unplaced:
            return
        placed = dict(islice(self._unplaced.items(), CLAIM_LIMIT))
        await self._schedules.place(list(placed.values()), self._clock.now_ms())
        for arn, rule in placed.items():
            if self._unplaced.get(arn) is rule:
                del self._unplaced[arn]

    async def _fire(self, timers: Sequence[Timer], now_ms: int) -> int | None:
        """Hand over what is due and move the timers on; return when the next one is due."""
        rules = await self._rules_of(timers)
        tried = await asyncio.gather(
            *(
                self._try(rule, target, _first(rule, target, timer))
                for timer, rule in zip(timers, rules, strict=True)
                if rule is not None and not was_missed(int(timer.value), now_ms)
                for target in rule.targets
            )
        )
        await self._keep([left for left in tried if left is not None])
        moves = [self._moved_on(timer, rule, now_ms) for timer, rule in zip(timers, rules, strict=True)]
        moved = await self._schedules.firings.move(moves)
        for timer, rule, was_moved in zip(timers, rules, moved.made, strict=True):
            if rule is not None and was_moved:
                self._note(rule, timer, now_ms)
        return moved.next_ms

    async def _rules_of(self, timers: Sequence[Timer]) -> list[ScheduledRule | None]:
        """Return the rule of each timer; None for one that is disabled, deleted, or of an earlier generation."""
        rules = [self._rule_of(timer) for timer in timers]
        if None in rules:  # or this node has not heard of it yet
            await self._schedules.catalogue.refresh()
            rules = [self._rule_of(timer) for timer in timers]
        return rules

    def _rule_of(self, timer: Timer) -> ScheduledRule | None:
        rule = self._schedules.catalogue.get(timer.name.partition("#")[0])
        return rule if rule is not None and rule.timer == timer.name and rule.is_enabled else None

    @staticmethod
    def _moved_on(timer: Timer, rule: ScheduledRule | None, now_ms: int) -> Move:
        """Return the move to the next due time that was not missed, or the removal of a timer that has none."""
        due_ms = None if rule is None else rule.due_from(now_ms, int(timer.value))
        return Move(name=timer.name, old=timer.value, new="" if due_ms is None else str(due_ms), due_ms=due_ms or 0)

    def _note(self, rule: ScheduledRule, timer: Timer, now_ms: int) -> None:
        due_ms = int(timer.value)
        arn = rule.name.arn
        if was_missed(due_ms, now_ms):
            self._log.warning("schedule.missed", rule=arn, due_ms=due_ms, late_s=round((now_ms - due_ms) / 1_000))
            self._journal.note(arn, Rule.MISSED, {"due_ms": due_ms})
        else:
            event_id = firing_id(timer.name, due_ms)
            self._log.debug("schedule.fired", rule=arn, due_ms=due_ms, event_id=event_id, targets=len(rule.targets))
            links = [delivery_id(event_id, target.id) for target in rule.targets]
            self._journal.note(arn, Rule.FIRED, {"due_ms": due_ms, "event_id": event_id}, links)

    # Handing over.

    async def retry_turn(self) -> Pause:
        """Try hand-overs again that are due, as many as one script takes; return how long to wait for the next."""
        if not self._may_take_work():
            return Pause(LOOK_EVERY_S)
        hand_overs = self._schedules.hand_overs
        claimed = await hand_overs.claim(hold_ms=HOLD_MS)
        next_ms = claimed.next_ms
        if claimed.timers:
            moves = await asyncio.gather(*map(self._retry, claimed.timers))
            next_ms = (await hand_overs.move(moves)).next_ms
        return _pause(next_ms, claimed.now_ms, recurs=False)

    async def _retry(self, timer: Timer) -> Move:
        """Make one more try at a hand-over; return what becomes of its timer."""
        hand_over = msgspec.json.decode(timer.value, type=HandOver)
        rule = self._schedules.catalogue.get(hand_over.rule)
        target = None if rule is None else rule.target(hand_over.target)
        if rule is None or target is None:  # deleted: there is nobody to hand over to
            return Move(name=timer.name, old=timer.value, new="")
        left = await self._try(rule, target, hand_over)
        return _stored(left, timer.value) if left is not None else Move(name=timer.name, old=timer.value, new="")

    async def _try(self, rule: ScheduledRule, target: RuleTarget, hand_over: HandOver) -> _Left | None:
        """Make one try at a hand-over, or at its dead letter; return what is left to be done, None if nothing is."""
        if hand_over.is_dead:
            return await self._bury(rule, target, hand_over)
        event_id = firing_id(hand_over.timer, hand_over.due_ms)
        body = handed_over(target, scheduled_event(rule.name, event_id, hand_over.due_ms))
        try:
            await self._deliver(target.arn, Delivery(id=delivery_id(event_id, target.id), body=body))
        except AdapterError as error:
            failure = error
        else:
            return None
        tried = msgspec.structs.replace(
            hand_over,
            tries=hand_over.tries + 1,
            code=ErrorCode.INTERNAL_ERROR if failure.transient else ErrorCode.NO_RESOURCE,
            message=str(failure)[:MESSAGE_LENGTH],
        )
        verdict = judge_hand_over(
            target,
            tries=tried.tries,
            age_ms=self._clock.now_ms() - hand_over.due_ms,
            is_transient=failure.transient,
            chance=self._random.random(),
        )
        match verdict:
            case TryAgain(delay_ms):
                return _Left(tried, self._clock.now_ms() + delay_ms)
            case GiveUp(exhausted):
                self._log.warning(
                    "schedule.given_up", rule=rule.name.arn, target=target.arn, tries=tried.tries, reason=tried.message
                )
                dead = msgspec.structs.replace(tried, is_dead=True, exhausted=exhausted)
                return await self._bury(rule, target, dead)

    async def _bury(self, rule: ScheduledRule, target: RuleTarget, dead: HandOver) -> _Left | None:
        """Deliver a dead letter, if its target has a queue for them; return what is left to be done."""
        if target.dead_letter_arn is None:
            return None
        event_id = firing_id(dead.timer, dead.due_ms)
        letter = Delivery(
            id=f"{delivery_id(event_id, target.id)}#dead",
            body=scheduled_event(rule.name, event_id, dead.due_ms),
            attributes=dead_letter_attributes(rule.name.arn, target, dead),
        )
        try:
            await self._deliver(target.dead_letter_arn, letter)
        except AdapterError as error:
            failure = error
        else:
            return None
        verdict = judge_dead_letter(
            target,
            buried=dead.buried + 1,
            age_ms=self._clock.now_ms() - dead.due_ms,
            is_transient=failure.transient,
            chance=self._random.random(),
        )
        match verdict:
            case TryAgain(delay_ms):
                return _Left(msgspec.structs.replace(dead, buried=dead.buried + 1), self._clock.now_ms() + delay_ms)
            case GiveUp():
                self._log.error(
                    "schedule.dead_letter_lost", rule=rule.name.arn, queue=target.dead_letter_arn, reason=str(failure)
                )
                return None

    async def _deliver(self, arn: str, delivery: Delivery) -> None:
        """Deliver to a function or a queue, by a deterministic id. Raises AdapterError."""
        service = arn.split(":", 3)[2]
        try:
            if service == "lambda":
                await self._functions.accept(arn, delivery.body, request_id=delivery.id)
            else:
                await self._targets[service].deliver(arn, delivery)
        except StoreError as error:
            raise AdapterError(str(error), transient=True) from error
        except KeyError as error:
            raise AdapterError(f"{arn} cannot be delivered to: {error}", transient=False) from error

    async def _keep(self, left: Sequence[_Left]) -> None:
        """Store what is left to be done, to be tried again by any node. Raises Unavailable."""
        moved = await self._schedules.hand_overs.move([_stored(each, "") for each in left])
        for each, is_kept in zip(left, moved.made, strict=True):
            if not is_kept and await self._schedules.hand_overs.read(each.hand_over.key) is None:
                self._log.error("schedule.hand_over_lost", rule=each.hand_over.rule, target=each.hand_over.target)

    def _changed(self, arn: str, rule: ScheduledRule | None) -> None:
        if rule is None:
            self._unplaced.pop(arn, None)
        else:
            self._unplaced[arn] = rule


class _Left(NamedTuple):
    """A hand-over that is to be tried again, and when."""

    hand_over: HandOver
    due_ms: int


def _first(rule: ScheduledRule, target: RuleTarget, timer: Timer) -> HandOver:
    return HandOver(rule=rule.name.arn, timer=timer.name, due_ms=int(timer.value), target=target.id)


def _stored(left: _Left, old: str) -> Move:
    text = msgspec.json.encode(left.hand_over).decode()
    return Move(name=left.hand_over.key, old=old, new=text, due_ms=left.due_ms)


def _pause(next_ms: int | None, now_ms: int, *, recurs: bool) -> Pause:
    due_in_s = None if next_ms is None else max(next_ms - now_ms, 0) / 1_000
    return Pause(LOOK_EVERY_S, due_in_s, recurs)
