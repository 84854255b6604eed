"""Timers: texts that become due. Any node takes what is due, and moves it by compare-and-set when it has acted on it.

A node that dies meanwhile leaves its timers as they were; another takes them when their time is over. So acting on a
timer must be harmless to repeat.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from eventrouter.clock import Clock
from eventrouter.store.connect import Argument, Scripts
from eventrouter.store.keys import Keys

CLAIM_LIMIT = 100
"""Timers that one script takes or moves."""


@dataclass(frozen=True, slots=True)
class Timer:
    """One timer and what it says."""

    name: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """What a timer shall become.

    `old` is the value that it must still have, empty if it must not exist; `new` is its next one, empty to remove it.
    """

    name: str
    old: str
    new: str
    due_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """What was due at `now_ms`, the wall time agreed on by both clocks, and when the next one is (None: there is none).

    A next one that is not in the future is due too: there were more than CLAIM_LIMIT.
    """

    timers: Sequence[Timer]
    now_ms: int
    next_ms: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """Which moves were made, in order, and when the next timer is due."""

    made: Sequence[bool]
    next_ms: int | None


class Timers:
    """All timers of one kind."""

    def __init__(self, scripts: Scripts, keys: Keys, clock: Clock, *, name: str, limit: int = 0) -> None:
        """`limit` is how many there may be; 0: any number."""
        self._scripts = scripts
        self._clock = clock
        self._limit = limit
        self._keys = (keys.installation(name), keys.installation(f"{name}:due"))

    async def claim(self, *, hold_ms: int) -> Claimed:
        """Take up to CLAIM_LIMIT timers that are due, for `hold_ms`. Raises Unavailable."""
        answer = await self._scripts.call("timers_claim", self._keys, (self._clock.now_ms(), hold_ms, CLAIM_LIMIT))
        texts = [text.decode() for text in answer[3:]]
        timers = [Timer(name, value) for name, value in zip(texts[::2], texts[1::2], strict=True)]
        return Claimed(timers=timers, now_ms=answer[1], next_ms=_time(answer[2]))

    async def move(self, moves: Sequence[Move]) -> Moved:
        """Set, move or remove timers; those that have changed since are left alone. Raises Unavailable."""
        calls: list[tuple[Sequence[str], Sequence[Argument]]] = []
        for start in range(0, len(moves), CLAIM_LIMIT):
            arguments: list[Argument] = [self._limit]
            for move in moves[start : start + CLAIM_LIMIT]:
                arguments += (move.name, move.old, move.new, move.due_ms)
            calls.append((self._keys, arguments))
        answers = await self._scripts.call_each("timers_move", calls)
        return Moved(
            made=[bool(made) for answer in answers for made in answer[2:]],
            next_ms=_time(answers[-1][1]) if answers else None,
        )

    async def forget(self, *names: str) -> None:
        """Remove timers, whatever they say. Raises Unavailable."""
        values, due = self._keys
        await self._scripts.command_each([("HDEL", values, *names), ("ZREM", due, *names)])

    async def read(self, name: str) -> str | None:
        """Return what a timer says, None if there is none."""
        value = await self._scripts.command("HGET", self._keys[0], name)
        return None if value is None else str(value.decode())

    async def count(self) -> int:
        """Return how many there are."""
        return int(await self._scripts.command("HLEN", self._keys[0]))


def _time(answered: int) -> int | None:
    return None if answered < 0 else answered
