"""A small cluster in virtual time over a Redis that is reached badly, and a checker that knows only the promises.

Requests get lost, replies get lost, pipelines are cut in the middle, and requests are run again up to 65 s
later. Hosts die without a word, or freeze for longer than the others wait and then go on as if nothing had happened.
Every run of an event is recorded. In the end, with the faults over, all that was accepted must have ended once.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from random import Random
from typing import Any

from redis.asyncio import Redis

from eventrouter.errors import NodeDead, Unavailable
from eventrouter.rules.witness import FENCE_KILL_S, FENCE_STOP_S, Sighting, is_silent, look
from eventrouter.store import DESTINATIONS, Claim, OutboxRecord, Settlement
from eventrouter.store.connect import Lane
from eventrouter.store.keys import Keys
from eventrouter.store.lua import SCRIPTS, Script
from eventrouter.testing.redis import virtual_redis
from eventrouter.testing.virtual import EPOCH_MS, VirtualClock, run_virtual, virtual_clock
from tests.store.conservation import audit
from tests.store.network import BadLane, Consciousness, Network, synchronous
from tests.store.worlds import FN, NAMES, OTHER, PARTITIONS, an_event, open_world

STORM_S = 35.0
QUIET_S = 150.0
HOSTS = 3
EVENTS = 50
BURST = 10
CLAIMS = 2
RETRY_MS = 4_000


@dataclass
class History:
    """What happened, for the checker."""

    accepted: set[str] = field(default_factory=set)
    doubtful: set[str] = field(default_factory=set)
    runs: dict[str, list[tuple[float, float, int, int]]] = field(default_factory=lambda: defaultdict(list))
    ended: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    records: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    running: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    breaches: list[str] = field(default_factory=list)


class SimulatedHost:
    """One node: it beats, claims, runs, settles, watches the others and buries them."""

    def __init__(self, number: int, cluster: Cluster) -> None:
        self.cluster = cluster
        self.number = number
        self.mind = Consciousness(cluster.network)
        self.inc = ""
        self._lives = 0
        self._acked = 0.0
        self._sightings: dict[str, Sighting] = {}
        self._known: dict[str, int] = {}
        self._suspects: set[tuple[str, int]] = set()
        self._tasks: asyncio.TaskGroup | None = None
        self.life: asyncio.Task[None] | None = None

    def start(self) -> None:
        self.life = asyncio.create_task(self._live())
        self.life.add_done_callback(self._ended)

    def die(self) -> None:
        """End at once; what is on its way to Redis still arrives."""
        assert self.life is not None
        self.life.cancel()

    def _ended(self, life: asyncio.Task[None]) -> None:
        """A host may be killed; it must not fail by itself."""
        if not life.cancelled() and (error := life.exception()) is not None:
            self.cluster.history.breaches.append(f"host {self.number} failed: {error!r}")

    @property
    def now(self) -> float:
        return self.cluster.clock.monotonic()

    async def pause(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        await self.mind.wait_awake()

    async def _live(self) -> None:
        wrap: Callable[[Lane], Lane] = lambda lane: BadLane(lane, self.cluster.network, self.mind)
        while True:
            with contextlib.suppress(Unavailable):
                self.world = await open_world(
                    self.cluster.client,
                    clock=self.cluster.clock,
                    scripts=self.cluster.scripts,
                    wrap=wrap,
                    random=Random(self.cluster.random.random()),
                )
                break
        while True:
            self._lives += 1
            predecessor = self.inc
            self.inc = f"h{self.number}-{self._lives}-{self.cluster.random.getrandbits(32):x}"
            self.mind.inc = self.inc
            self._sightings, self._known, self._suspects = {}, {}, set()
            try:
                if predecessor:  # whose processes are gone: they were this machine's
                    await self.world.store.hosts.bury(predecessor, None)
                await self.world.join(self.inc)
                self._acked = self.now
                async with asyncio.TaskGroup() as self._tasks:
                    for loop in (self._beat, self._work, self._watch):
                        self._tasks.create_task(loop(self.inc))
            except* (NodeDead, Unavailable):
                pass  # a new life under a new name
            await self.pause(0.5)

    async def _beat(self, inc: str) -> None:
        n = 0
        while True:
            n += 1
            sent = self.now
            with contextlib.suppress(Unavailable):
                await self.world.store.hosts.beat(inc, n)
                self._acked = max(self._acked, sent)
            await self.pause(1.0)

    async def _work(self, inc: str) -> None:
        events = self.world.store.events
        assert self._tasks is not None
        looks = 0
        while True:
            with contextlib.suppress(Unavailable):
                looks += 1
                if looks % 5 == 0:
                    await self._return_strays(inc)
                for partition, due in enumerate(await events.due_all()):
                    for fn in due.functions:
                        if self.now - self._acked > FENCE_STOP_S:
                            continue
                        for claim in await events.claim(inc, partition, fn, CLAIMS):
                            self._known[claim.id] = claim.attempt
                            self._tasks.create_task(self._run(inc, partition, claim))
            await self.pause(1.0)

    async def _return_strays(self, inc: str) -> None:
        found: set[tuple[str, int]] = set()
        for partition in range(PARTITIONS):
            owned = await self.world.store.events.owned(inc, partition)
            strays = {(id, attempt) for id, attempt in owned.items() if self._known.get(id) != attempt}
            for claim in await self.world.store.events.recall(
                inc, partition, [id for id, _ in sorted(strays & self._suspects)]
            ):
                await self.world.store.events.settle(inc, partition, [Settlement(claim=claim, action="back")])
            found |= strays - self._suspects
        self._suspects = found

    async def _run(self, inc: str, partition: int, claim: Claim) -> None:
        settlement = await self._perform(inc, claim)
        while True:
            with contextlib.suppress(Unavailable):
                [settled] = await self.world.store.events.settle(inc, partition, [settlement])
                break
        if self._known.get(claim.id) == claim.attempt:
            del self._known[claim.id]
        if settled and settlement.action == "done":
            self.cluster.history.ended[claim.id] += 1
            for record in settlement.records:
                self.cluster.history.records[record.id] += 1

    async def _perform(self, inc: str, claim: Claim) -> Settlement:
        """Run the function, if it gets a slot, and decide what follows."""
        random, slots = self.cluster.random, self.world.store.slots
        if claim.function_key == DESTINATIONS:
            return Settlement(claim=claim, action="done")
        token = f"{claim.id}|{claim.attempt}|{inc}"
        try:
            if await slots.take(inc, claim.function_key, token) is not None:
                return Settlement(claim=claim, action="back", delay_ms=1_000)
        except Unavailable:
            return Settlement(claim=claim, action="back")
        try:
            if await self._function(claim, random.uniform(0.2, 5.0)):
                return self._verdict(claim)
            return Settlement(claim=claim, action="back")
        finally:
            slots.drop(inc, claim.function_key, token)

    def _verdict(self, claim: Claim) -> Settlement:
        fate = self.cluster.random.random()
        if fate < 0.3 and claim.errors < 2:
            return Settlement(claim=claim, action="retry", delay_ms=RETRY_MS, last_response=b"error")
        if fate < 0.4:
            return Settlement(claim=claim, action="back", delay_ms=500)
        records = (OutboxRecord(id=f"{claim.id}:Success", payload=b"record"),) if fate < 0.6 else ()
        return Settlement(claim=claim, action="done", records=records)

    async def _function(self, claim: Claim, seconds: float) -> bool:
        """The function itself; its keeper kills it 8 s after the last acknowledged beat, whatever the host does."""
        began, ended = self.now, None
        while ended is None:
            if self.now - self._acked >= FENCE_KILL_S or self.now - began >= seconds:
                ended = self.now
            else:
                try:
                    await asyncio.sleep(0.1)
                except asyncio.CancelledError:
                    self.cluster.record(claim, began, self.now)
                    raise
        self.cluster.record(claim, began, ended)
        await self.mind.wait_awake()
        return ended - began >= seconds

    async def _watch(self, inc: str) -> None:
        hosts = self.world.store.hosts
        rounds = 0
        while True:
            with contextlib.suppress(Unavailable):
                rounds += 1
                self._sightings = look(self._sightings, await hosts.beats(), self.now)
                for other, sighting in self._sightings.items():
                    if other != inc and is_silent(sighting):
                        await hosts.bury(other, sighting.counter)
                for dead in await hosts.dead():
                    await hosts.reap(dead)
                if rounds % 10 == 0:
                    for stray in await hosts.audit():
                        await hosts.reap(stray)
            await self.pause(1.0)


class Cluster:
    """The hosts, the producer of events, the nemesis, and the auditor."""

    def __init__(self, seed: int, client: Redis, scripts: Mapping[str, Script]) -> None:
        self.random = Random(seed)
        self.client = client
        self.scripts = scripts
        self.clock: VirtualClock = virtual_clock()
        self.network = Network(self.random, client)
        self.history = History()
        self.hosts = [SimulatedHost(number, self) for number in range(HOSTS)]
        self._facts = _Atomic(client)

    def record(self, claim: Claim, began: float, ended: float) -> None:
        self.history.runs[claim.id].append((began, ended, claim.attempt, claim.errors))

    async def run(self) -> list[str]:
        """Play one whole run and return every breach."""
        for host in self.hosts:
            host.start()
        others = [asyncio.create_task(job) for job in (self.network.deliver_late(), self._nemesis(), self._produce())]
        try:
            await self._audit_until(STORM_S)
            self.network.stormy = False
            others[1].cancel()
            for host in self.hosts:
                host.mind.wake()
            await self._audit_until(STORM_S + QUIET_S, done=lambda: others[2].done() and self._finished())
            self.history.breaches += self._judge()
        finally:
            for task in (*others, *(host.life for host in self.hosts if host.life)):
                task.cancel()
            await asyncio.gather(*others, *(host.life for host in self.hosts if host.life), return_exceptions=True)
        return self.history.breaches

    async def _audit_until(self, until: float, done: Callable[[], bool] = lambda: False) -> None:
        while self.clock.monotonic() < until and not self.history.breaches and not done():
            await asyncio.sleep(1.0)
            self.history.breaches += await self._facts.audit()

    def _finished(self) -> bool:
        """Nothing is left, and nothing can still arrive late."""
        return self._facts.left() == [] and not self.network.late

    async def _produce(self) -> None:
        mind = Consciousness(self.network)
        world = await open_world(
            self.client,
            clock=self.clock,
            scripts=self.scripts,
            random=Random(self.random.random()),
            wrap=lambda lane: BadLane(lane, self.network, mind),
        )
        for n in range(EVENTS):
            if n % BURST == 0:
                await asyncio.sleep(self.random.uniform(0, 2 * STORM_S * BURST / EVENTS))
            event = an_event(f"e{n:03d}", function=self.random.choice([FN, OTHER]))
            try:
                await world.store.events.put(event)
                self.history.accepted.add(event.id)
            except Unavailable:
                self.history.doubtful.add(event.id)

    async def _nemesis(self) -> None:
        while True:
            await asyncio.sleep(self.random.uniform(0.5, 4))
            host = self.random.choice(self.hosts[1:])  # one host stays to bury the others
            fate = self.random.random()
            if fate < 0.4:
                host.die()
                await asyncio.sleep(self.random.uniform(0, 6))
                host.start()
            elif fate < 0.8:
                host.mind.freeze(self.random.uniform(1, 30), at_next_claim=self.random.random() < 0.7)
            else:
                self.network.clock_stepped = True
                self.network.server_ahead_s += self.random.choice([-3_600, -30, 30, 3_600])

    def _judge(self) -> list[str]:
        found = []
        history = self.history
        for event_id in history.accepted | history.doubtful:
            runs = sorted(history.runs[event_id])
            if history.ended[event_id] > 1:
                found.append(f"{event_id} ended {history.ended[event_id]} times")
            if event_id in history.accepted and not runs:
                found.append(f"{event_id} was accepted and never ran")
            attempts = [attempt for _, _, attempt, _ in runs]
            if len(set(attempts)) != len(attempts):
                found.append(f"{event_id} ran one attempt twice: {attempts}")
            if any(errors > 2 for *_, errors in runs):
                found.append(f"{event_id} had more than two counted errors")
            for (_, ended, *_), (began, *_) in pairwise(runs):
                if began < ended:
                    found.append(f"{event_id} overlaps itself: {runs}")
            found += self._judge_retries(event_id, runs)
        return found + self._facts.left()

    def _judge_retries(self, event_id: str, runs: list[tuple[float, float, int, int]]) -> list[str]:
        for (_, ended, _, errors), (began, _, _, later) in pairwise(runs):
            if later > errors and not self.network.clock_stepped and began - ended < RETRY_MS / 1_000 - 0.05:
                return [f"{event_id} was retried after {began - ended:.2f} s"]
        return []


class _Atomic:
    """Looks at the server without letting anything happen meanwhile."""

    def __init__(self, client: Redis) -> None:
        self._sync = synchronous(client)
        self._keys = Keys("er", PARTITIONS)

    def __getattr__(self, name: str) -> Any:
        async def command(*args: Any, **kwargs: Any) -> Any:
            return getattr(self._sync, name)(*args, **kwargs)

        return command

    async def scan_iter(self, **kwargs: Any) -> AsyncIterator[bytes]:
        for key in self._sync.scan_iter(**kwargs):
            yield key

    async def audit(self) -> list[str]:
        return await audit(self, self._keys)  # type: ignore[arg-type]

    def left(self) -> list[str]:
        """Return what should be gone once all is over."""
        left = []
        for partition in range(PARTITIONS):
            for name in ("ev", "pl", "lr"):
                if fields := self._sync.hkeys(self._keys.events(partition, name)):
                    left.append(f"left in {name} of e{partition}: {sorted(fields)}")
        if used := self._sync.hgetall(self._keys.installation("use")):
            left.append(f"slots left: {used}")
        return left


def simulate(seed: int, scripts: Mapping[str, Script] = SCRIPTS) -> list[str]:
    """Run one seed to its end; return the breaches found."""

    async def main() -> list[str]:
        loop = asyncio.get_running_loop()
        network: list[Network] = []

        def now() -> float:
            ahead = network[0].server_ahead_s if network else 0.0
            return EPOCH_MS / 1_000 + loop.time() + ahead

        with virtual_redis(now) as connect:
            client = connect()
            cluster = Cluster(seed, client, scripts)
            network.append(cluster.network)
            try:
                return await cluster.run()
            finally:
                await client.aclose()

    return run_virtual(main())


def with_mutant(*changes: tuple[str, str, str]) -> dict[str, Script]:
    """Return the scripts with text replaced: (script, text, other text)…; the text must be there."""
    scripts = dict(SCRIPTS)
    for name, text, other in changes:
        assert text in scripts[name].text, f"{name} no longer holds {text!r}"
        scripts[name] = Script.of(name, scripts[name].text.replace(text, other))
        NAMES[scripts[name].sha] = name
    return scripts
