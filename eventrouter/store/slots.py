"""Concurrency slots: one per running invocation, bounded per function and per account and region.

A slot is a token that the caller made, held by an incarnation. Takes and drops of one turn of the event loop go out
as one script; while it is under way further ones gather for the next turn. Turns of an incarnation are numbered and
never overlap, so a repeated or late turn grants nothing twice.

A drop is repeated until Redis has confirmed it or the incarnation is dead. A take whose outcome stays unknown, or
whose caller has gone, is dropped by the next turn. What Redis holds for us and we do not is dropped by an audit: a
failover may have forgotten a drop that was confirmed. Source: redis-design §5, §10.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from eventrouter.clock import Clock
from eventrouter.errors import NodeDead, StoreError, Unavailable
from eventrouter.rules.outcome import ThrottleReason
from eventrouter.store.connect import RETRY_LAST_S, Scripts
from eventrouter.store.keys import Keys

TURN_ITEMS = 100
CLOSE_TIMEOUT_S = 5.0
_REASONS = {ord("A"): ThrottleReason.ACCOUNT, ord("R"): ThrottleReason.RESERVED}
_Verdict = ThrottleReason | None


@dataclass(frozen=True, slots=True)
class _Take:
    function_key: str
    token: str
    verdict: asyncio.Future[_Verdict]


@dataclass(slots=True)
class _Turns:
    """What one incarnation wants, and the task that sees to it.

    `tokens` were asked for and not given back yet; `suspects` are held in Redis only, since the last audit at least.
    """

    inc: str
    tokens: set[str] = field(default_factory=set)
    suspects: set[str] = field(default_factory=set)
    takes: deque[_Take] = field(default_factory=deque)
    drops: deque[tuple[str, str]] = field(default_factory=deque)
    number: int = 0
    task: asyncio.Task[None] | None = None


class Slots:
    """Takes and gives back slots. `account_limit` is the concurrency of one account in one region."""

    def __init__(self, scripts: Scripts, keys: Keys, clock: Clock, *, account_limit: int) -> None:
        self._scripts = scripts
        self._keys = keys
        self._clock = clock
        self.account_limit = account_limit
        self._use = keys.installation("use")
        self._lim = keys.installation("lim")
        self._hosts = keys.installation("hosts")
        self._dead = keys.installation("dead")
        self._turns_key = keys.installation("turns")
        self._turns: dict[str, _Turns] = {}
        self._listeners: list[Callable[[str], None]] = []
        self._closed = False

    async def take(self, inc: str, function_key: str, token: str) -> ThrottleReason | None:
        """Take a slot; None means granted, else the limit that was reached. A token already held is granted.

        A caller cancelled while it waits holds nothing. Raises NodeDead, Unavailable (nothing is held then either).
        """
        verdict: asyncio.Future[_Verdict] = asyncio.get_running_loop().create_future()
        turns = self._turns_of(inc)
        turns.takes.append(_Take(function_key, token, verdict))
        turns.tokens.add(token)
        self._wake(turns)
        return await verdict

    def drop(self, inc: str, function_key: str, token: str) -> None:
        """Give a slot back, soon and for certain. Dropping twice is harmless."""
        turns = self._turns_of(inc)
        turns.drops.append((function_key, token))
        self._wake(turns)

    def on_freed(self, listener: Callable[[str], None]) -> None:
        """Have `listener` called with the function of every drop that Redis has confirmed."""
        self._listeners.append(listener)

    async def drained(self) -> None:
        """Wait until no turn is wanted or under way."""
        while tasks := [turns.task for turns in self._turns.values() if turns.task is not None]:
            await asyncio.wait(tasks)

    async def close(self) -> None:
        """Give back what is still to be given back, for at most 5 s; then stop. The rest is freed with the host."""
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await self.drained()
        except TimeoutError:
            self._closed = True
            tasks = [turns.task for turns in self._turns.values() if turns.task is not None]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def in_use(self, function_key: str) -> int:
        """Return how many slots are held for a function, by all hosts."""
        return int(await self._scripts.command("HGET", self._use, function_key) or 0)

    async def audit(self) -> dict[str, tuple[int, int]]:
        """Recount all slots and repair wrong counts: field to (counted, recounted). Anything found is a bug."""
        hosts, dead = await self._scripts.command_each([("HKEYS", self._hosts), ("HKEYS", self._dead)])
        held = sorted(self._held(inc.decode()) for inc in {*hosts, *dead})
        found = iter((await self._scripts.call("slots_audit", (self._use, self._lim, *held), ()))[1:])
        return {name.decode(): (was, now) for name, was, now in zip(found, found, found, strict=True)}

    async def drop_strays(self, inc: str) -> int:
        """Give back what Redis holds for `inc` and nothing here does, if it was so at the last audit too."""
        turns = self._turns_of(inc)
        fields = iter(await self._scripts.command("HGETALL", self._held(inc)))
        held = {token.decode(): key.decode() for token, key in zip(fields, fields, strict=True)}
        strays = held.keys() - turns.tokens
        found = strays & turns.suspects
        for token in sorted(found):
            self.drop(inc, held[token], token)
        turns.suspects = strays
        return len(found)

    def _held(self, inc: str) -> str:
        return self._keys.installation(f"held:{inc}")

    def _turns_of(self, inc: str) -> _Turns:
        turns = self._turns.get(inc)
        if turns is None:
            turns = self._turns[inc] = _Turns(inc)
        return turns

    def _wake(self, turns: _Turns) -> None:
        if turns.task is None and not self._closed:
            turns.task = asyncio.get_running_loop().create_task(self._run(turns), name="store.slots")

    async def _run(self, turns: _Turns) -> None:
        """Make turns until nothing is wanted. The task starts after this turn of the loop, so that it gathers."""
        try:
            while turns.takes or turns.drops:
                await self._turn(turns)
        finally:
            turns.task = None
            if turns.takes or turns.drops:
                self._wake(turns)

    async def _turn(self, turns: _Turns) -> None:
        drops = [turns.drops.popleft() for _ in range(min(len(turns.drops), TURN_ITEMS))]
        takes: list[_Take] = []
        while turns.takes and len(drops) + len(takes) < TURN_ITEMS:
            take = turns.takes.popleft()
            if take.verdict.done():  # a cancelled caller wants nothing any more
                turns.tokens.discard(take.token)
            else:
                takes.append(take)
        if not drops and not takes:
            return
        try:
            answer = await self._send(turns, drops, takes)
        except StoreError as error:
            turns.drops.extendleft(reversed(drops))
            self._doubt(turns, takes, error)
            if not isinstance(error, Unavailable):
                await self._clock.sleep(RETRY_LAST_S)
            return
        if answer is None:
            self._die(turns, takes)
            return
        turns.tokens.difference_update(token for _, token in drops)
        for take, flag in zip(takes, answer, strict=True):
            (turns.tokens.discard if flag in _REASONS else turns.tokens.add)(take.token)
            if not take.verdict.done():
                take.verdict.set_result(_REASONS.get(flag))
            elif flag not in _REASONS:
                turns.drops.append((take.function_key, take.token))
        for function_key, _ in drops:
            for listener in self._listeners:
                listener(function_key)

    async def _send(self, turns: _Turns, drops: list[tuple[str, str]], takes: list[_Take]) -> bytes | None:
        """Run one turn; its flags, or None if the incarnation is dead."""
        turns.number += 1
        args: list[str | int] = [turns.inc, turns.number, self.account_limit, len(drops)]
        args += [token for _, token in drops]
        for take in takes:
            args += (take.function_key, take.token)
        keys = (self._held(turns.inc), self._use, self._lim, self._hosts, self._turns_key)
        answer = await self._scripts.call("slots_turn", keys, args)
        if answer[0] == b"OLD":
            raise StoreError(f"turn {turns.number} of {turns.inc} was overtaken")
        flags: bytes | None = answer[1] if answer[0] == b"OK" else None
        return flags

    @staticmethod
    def _doubt(turns: _Turns, takes: list[_Take], error: StoreError) -> None:
        """Fail takes whose outcome is unknown; whatever they may hold is dropped by the next turn."""
        for take in takes:
            turns.drops.append((take.function_key, take.token))
            if not take.verdict.done():
                take.verdict.set_exception(type(error)(*error.args))

    def _die(self, turns: _Turns, takes: list[_Take]) -> None:
        """Fail everything of a dead incarnation: its slots are freed by whoever buried it."""
        for take in (*takes, *turns.takes):
            if not take.verdict.done():
                take.verdict.set_exception(NodeDead(turns.inc))
        turns.takes.clear()
        turns.drops.clear()
        self._turns.pop(turns.inc, None)
