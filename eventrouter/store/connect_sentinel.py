"""Lanes to the primary that sentinels name, wherever it is by now.

The sentinels are asked anew every second while there is traffic, and at once after a doubtful answer. As soon as most
of them have answered the newest of their configurations counts: one sentinel that is cut off together with an old
primary cannot win over the others. When the primary changes, every connection to the old one is ended, and each new
connection asks the server for its role first. So nothing is knowingly written to a primary that was replaced.

redis-py's own Sentinel client believes the first sentinel that answers, and keeps a connection that still works.
Source: redis-design §10, §11.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple, Protocol
from weakref import WeakSet

from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from eventrouter.clock import Clock
from eventrouter.redis_url import Address, RedisUrl
from eventrouter.store.checks import Finding, judge_quorum
from eventrouter.store.connect import CONNECT_TIMEOUT_S, ELSEWHERE, Lane, RedisLane, greet_primary, make_client

LOOK_EVERY_S = 1.0
LOOK_PAUSE_S = 0.1
"""Least time between two looks, however many answers are doubtful."""

DOUBTFUL = (RedisConnectionError, RedisTimeoutError, OSError, *ELSEWHERE)
"""Answers after which the server may not be the right one any more."""


class LaneOf(Protocol):
    """Makes a lane over the connections of one server."""

    def __call__(self, client: Redis, *, timeout_s: float | None, around: Around) -> tuple[RedisLane, Lane]:
        """Return the lane that holds the connection, and the lane to use, which may be the same."""
        ...


Around = Callable[[], AbstractContextManager[None]]


class Named(NamedTuple):
    """What one sentinel says: since which configuration the primary is where."""

    epoch: int
    address: Address


class SentinelPrimary:
    """Where the primary is. `make_lane` makes lanes that follow it."""

    def __init__(self, url: RedisUrl, clock: Clock, lane_of: LaneOf) -> None:
        self._url = url
        self._clock = clock
        self._lane_of = lane_of
        self._sentinels = [make_client(url.sentinel_at(address)) for address in url.hosts]
        self._address: Address | None = None
        self._client: Redis | None = None
        self._looked_at = -math.inf
        self._is_doubted = False
        self._look: asyncio.Task[None] | None = None
        self._questions: set[asyncio.Task[Named]] = set()
        self._lanes: WeakSet[SentinelLane] = WeakSet()

    def make_lane(self, *, timeout_s: float | None = None, around: Around = nullcontext) -> SentinelLane:
        """Return a lane that leads to whatever is the primary."""
        lane = SentinelLane(self, lambda client: self._lane_of(client, timeout_s=timeout_s, around=around))
        self._lanes.add(lane)
        return lane

    async def client(self) -> Redis:
        """Return a client of the primary as it was known a moment ago. Raises redis-py's ConnectionError."""
        age_s = self._clock.monotonic() - self._looked_at
        if self._look is None and age_s > (LOOK_PAUSE_S if self._is_doubted or self._client is None else LOOK_EVERY_S):
            self._looked_at = self._clock.monotonic()
            self._look = asyncio.get_running_loop().create_task(self._find(), name="store.sentinel")
            self._look.add_done_callback(self._looked)
        if self._look is not None and (self._client is None or self._is_doubted):
            await asyncio.wait([self._look])
        if self._client is None:
            raise RedisConnectionError(f"no sentinel names a primary of {self._url.service!r}")
        return self._client

    def doubt(self) -> None:
        """Note that the primary did not answer as one: the next pipeline asks the sentinels first."""
        self._is_doubted = True

    def _looked(self, look: asyncio.Task[None]) -> None:
        self._look = None
        # Without an answer the server known so far is tried again: sentinels that are away stop nothing by that.
        self._is_doubted = False
        if not look.cancelled() and (error := look.exception()) is not None and not isinstance(error, RedisError):
            raise error

    async def _find(self) -> None:
        named = await self.ask()
        if named != self._address:
            self._address = named
            self._client = make_client(self._url.at(named), greet=greet_primary)
            for lane in self._lanes:
                lane.leave()

    async def ask(self) -> Address:
        """Return the primary's address by the newest configuration that most sentinels know of.

        Raises redis-py's ConnectionError if most do not answer, or none knows the primary.
        """
        most = len(self._sentinels) // 2 + 1
        questions = {asyncio.get_running_loop().create_task(self._ask(sentinel)) for sentinel in self._sentinels}
        # One that is slow is not cut off, which would leave its connection in doubt: it ends by itself.
        self._questions |= questions
        for question in questions:
            question.add_done_callback(self._forget)
        answers: list[Named] = []
        refusals: list[str] = []
        answered = 0
        while questions and answered < most:
            done, questions = await asyncio.wait(questions, return_when=asyncio.FIRST_COMPLETED)
            for question in done:
                error = question.exception()
                answered += error is None or isinstance(error, ResponseError)
                if error is None:
                    answers.append(question.result())
                else:
                    refusals.append(str(error))
        if answered < most or not answers:
            told = "; ".join(refusals)
            raise RedisConnectionError(f"{answered} of {len(self._sentinels)} sentinels answered: {told}")
        return max(answers).address

    def _forget(self, question: asyncio.Task[Named]) -> None:
        self._questions.discard(question)
        question.exception()  # also of one that nobody waits for any more

    async def _ask(self, sentinel: Redis) -> Named:
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                state: Any = await sentinel.sentinel_master(self._url.service)
        except TimeoutError:
            raise RedisTimeoutError("a sentinel did not answer in time") from None
        return Named(int(state["config-epoch"]), (str(state["ip"]), int(state["port"])))

    async def inspect(self) -> tuple[list[Redis], list[Finding]]:
        """Return a client of the primary, to be closed, and what is wrong with the sentinels.

        Raises redis-py's ConnectionError.
        """
        address = await self.ask()
        return [make_client(self._url.at(address), greet=greet_primary)], judge_quorum(await self._quorum_problem())

    async def _quorum_problem(self) -> str | None:
        """Return why the sentinels could not agree on another primary now; None if they could."""
        for sentinel in self._sentinels:
            try:
                await sentinel.execute_command("SENTINEL CKQUORUM", self._url.service)  # type: ignore[no-untyped-call]  # redis-py's gap
            except ResponseError as error:
                return str(error)
            except (RedisError, OSError):
                continue
            return None
        return "no sentinel answers"

    async def close(self) -> None:
        """Close what the lanes do not hold. The lanes must be closed first."""
        tasks = {*self._questions, *([self._look] if self._look else [])}
        if tasks:
            await asyncio.wait(tasks)
        for client in [*self._sentinels, *([self._client] if self._client else [])]:
            await client.aclose()


class SentinelLane:
    """A lane to the primary. It changes servers between two pipelines, or when it is told to leave."""

    def __init__(self, primary: SentinelPrimary, lane_of: Callable[[Redis], tuple[RedisLane, Lane]]) -> None:
        self._primary = primary
        self._lane_of = lane_of
        self._client: Redis | None = None
        self._connection: RedisLane | None = None
        self._lane: Lane | None = None

    async def execute(self, commands: Sequence[bytes]) -> list[Any]:
        try:
            client = await self._primary.client()
        except RedisConnectionError as error:
            return [error] * len(commands)
        if self._lane is None or client is not self._client:
            await self.close()
            self._client = client
            self._connection, self._lane = self._lane_of(client)
        replies = await self._lane.execute(commands)
        if any(isinstance(reply, DOUBTFUL) for reply in replies):
            self._primary.doubt()
        return replies

    def leave(self) -> None:
        """End the connection: it leads to a server that is not the primary any more."""
        if self._connection is not None:
            self._connection.cut()

    async def close(self) -> None:
        lane, self._lane, self._connection = self._lane, None, None
        if lane is not None:
            await lane.close()
