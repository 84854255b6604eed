"""A bad network between simulated hosts and Redis: loss, delay, late repeats; and hosts that freeze.

Requests get lost, replies get lost, pipelines are cut in the middle, and requests are run again up to 65 s later.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from random import Random
from typing import Any

import fakeredis
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from eventrouter.store.connect import Lane
from tests.store.worlds import parse, read_call

LATE_S = 65.0
LATENCY_S = 0.05
DULL = {"", "events_due", "host_beat"}
"""What is not worth running again late."""
REAPING = {"events_requeue", "events_gone", "slots_release", "host_forget"}
OWNED = "}:own:", "}:held:"


class Network:
    """What lies between the hosts and Redis.

    Late requests arrive at any time, and best of all while a host is being reaped or right after a claim.
    """

    def __init__(self, random: Random, client: Redis) -> None:
        self.random = random
        self.stormy = True
        self.server_ahead_s = 0.0
        self.clock_stepped = False
        self.late: list[tuple[float, list[bytes]]] = []
        self.sleepers: list[Consciousness] = []
        self._sync = synchronous(client)

    async def carry(self, lane: Lane, commands: Sequence[bytes]) -> list[Any]:
        if not self.stormy:
            return await lane.execute(commands)
        calls = [read_call(command) for command in commands]
        names = {name for name, _ in calls}
        reaped = {
            key.rsplit(":", 1)[1]
            for name, keys in calls
            if name in REAPING
            for key in keys
            if any(owned in key for owned in OWNED)
        }
        if "events_gone" in names and self.random.random() < 0.5:
            for mind in self.sleepers:
                if mind.inc in reaped:
                    mind.wake()
        await asyncio.sleep(self.random.expovariate(1 / LATENCY_S))
        if self.random.random() < (0.7 if "events_claim" in names else 0.1):
            self._arrive(self.late, 3)
        self._arrive_from(reaped)
        answers = await self._carry(lane, commands)
        self._arrive_from(reaped)
        self._note(commands)
        await asyncio.sleep(self.random.expovariate(1 / LATENCY_S))
        return answers

    async def _carry(self, lane: Lane, commands: Sequence[bytes]) -> list[Any]:
        lost: list[Any] = [RedisConnectionError("cut")] * len(commands)
        fate = self.random.random()
        if fate < 0.05:
            return lost
        if fate < 0.12:
            await lane.execute(commands)
            return lost
        if fate < 0.16:
            cut = self.random.randrange(len(commands) + 1)
            return (await lane.execute(commands[:cut]) if cut else []) + lost[cut:]
        return await lane.execute(commands)

    def _note(self, commands: Sequence[bytes]) -> None:
        """Keep some requests, to run them again later: most of them soon, a few much later."""
        now = asyncio.get_running_loop().time()
        for command in commands:
            if read_call(command)[0] not in DULL and self.random.random() < 0.3:
                until = now + self.random.choice([3.0, 12.0, LATE_S])
                self.late.append((until, parse(command)))

    def _arrive_from(self, incs: set[str]) -> None:
        """Let late requests of hosts arrive that are being reaped right now."""
        if incs and self.random.random() < 0.5:
            theirs = [entry for entry in self.late if any(inc.encode() in part for inc in incs for part in entry[1])]
            self._arrive(theirs, 5)

    def _arrive(self, among: list[tuple[float, list[bytes]]], most: int) -> None:
        for _, command in self.random.sample(among, min(most, len(among))):
            self._execute(command)

    async def deliver_late(self) -> None:
        """Let every late request arrive in the end."""
        while True:
            await asyncio.sleep(0.5)
            now = asyncio.get_running_loop().time()
            ripe = [entry for entry in self.late if entry[0] <= now]
            self.late = [entry for entry in self.late if entry[0] > now]
            for _, command in ripe:
                self._execute(command)

    def _execute(self, command: list[bytes]) -> None:
        with contextlib.suppress(ResponseError):
            self._sync.execute_command(*command)


def synchronous(client: Redis) -> fakeredis.FakeRedis:
    """Return a client of the same server whose every command is done before anything else can happen."""
    return fakeredis.FakeRedis(server=client.connection_pool.connection_kwargs["server"], version=(7, 4), protocol=2)


class Consciousness:
    """Whether a host's process runs. It may be told to freeze just as it sends its next claim."""

    def __init__(self, network: Network) -> None:
        self._awake = asyncio.Event()
        self._awake.set()
        self._network = network
        self._freeze_s: float | None = None
        self.inc = ""
        network.sleepers.append(self)

    def freeze(self, seconds: float, *, at_next_claim: bool) -> None:
        self._freeze_s = seconds
        if not at_next_claim:
            self.sending([])

    def sending(self, commands: Sequence[bytes]) -> None:
        claims = any(read_call(command)[0] == "events_claim" for command in commands)
        if self._freeze_s is not None and self._network.stormy and (claims or not commands):
            self._awake.clear()
            asyncio.get_running_loop().call_later(self._freeze_s, self.wake)
            self._freeze_s = None

    def wake(self) -> None:
        self._awake.set()

    async def wait_awake(self) -> None:
        await self._awake.wait()


class BadLane:
    """A host's lane: it stands still while the host is frozen, and the network does what it likes."""

    def __init__(self, lane: Lane, network: Network, mind: Consciousness) -> None:
        self._lane, self._network, self._mind = lane, network, mind

    async def execute(self, commands: Sequence[bytes]) -> list[Any]:
        self._mind.sending(commands)
        await self._mind.wait_awake()
        answers = await self._network.carry(self._lane, commands)
        await self._mind.wait_awake()
        return answers

    async def close(self) -> None:
        await self._lane.close()
