"""Scheduled rules: their records, when each is due, and hand-overs that are to be tried again."""

from __future__ import annotations

from collections.abc import Sequence

from eventrouter.clock import Clock
from eventrouter.rules.scheduled_rule import ScheduledRule
from eventrouter.store.catalogue import Catalogue
from eventrouter.store.connect import Scripts
from eventrouter.store.keys import Keys
from eventrouter.store.timers import Move, Timers

HAND_OVERS_LIMIT = 10_000
"""Hand-overs that may wait for another try: some 6 MB, 18 with the longest names and errors."""


class Schedules:
    """The catalogue of rules, by ARN, and their timers.

    A timer of `firings` says when its rule is due, in wall milliseconds; one of `hand_overs` is a HandOver, as JSON.
    """

    def __init__(self, scripts: Scripts, keys: Keys, clock: Clock) -> None:
        self.catalogue: Catalogue[ScheduledRule] = Catalogue(
            scripts, keys, name="schedules", record=ScheduledRule, key=lambda rule: rule.name.arn
        )
        self.firings = Timers(scripts, keys, clock, name="firings")
        self.hand_overs = Timers(scripts, keys, clock, name="handovers", limit=HAND_OVERS_LIMIT)

    async def place(self, rules: Sequence[ScheduledRule], now_ms: int) -> int | None:
        """Set the timers of enabled rules that have none yet; return when the next timer of all is due.

        Harmless to repeat, at any time. Raises Unavailable.
        """
        moves = []
        for rule in rules:
            due_ms = rule.due_from(now_ms) if rule.is_enabled else None
            if due_ms is not None:
                moves.append(Move(name=rule.timer, old="", new=str(due_ms), due_ms=due_ms))
        return (await self.firings.move(moves)).next_ms
