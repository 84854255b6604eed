"""Lanes to a cluster: every command goes to the primary that serves its slot.

All keys of a command share one tag, and the tag decides the slot. A lane splits its pipeline by primary, sends the
parts at once, and puts the answers back in order. MOVED and ASK are followed in the same turn; CLUSTERDOWN, TRYAGAIN
and broken connections are left to the caller, who repeats the command, and are why the map of slots is read anew. A
primary that does not answer is left alone for a moment, but for one pipeline that tries it: the parts of a cluster
that are well must not wait for one that is not.

redis-py's cluster client repeats commands by itself, also those that may have run: its connections serve here, its
routing does not. Source: redis-design §2, §11.
"""

from __future__ import annotations

import asyncio
import math
import re
from binascii import crc_hqx
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any

from hiredis import Reader
from redis.asyncio import Redis
from redis.exceptions import AskError, MovedError, RedisError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from eventrouter.clock import Clock
from eventrouter.redis_url import Address, RedisUrl
from eventrouter.store.checks import Finding, judge_coverage
from eventrouter.store.connect import CONNECT_TIMEOUT_S, Lane, make_client, pack
from eventrouter.store.connect_sentinel import DOUBTFUL, Around, LaneOf

SLOTS = 16_384
LOOK_PAUSE_S = 0.25
"""Least time between two readings of the map."""
LOOK_EVERY_S = 30.0
REST_S = 1.0
"""How long a primary that did not answer is left alone."""
REDIRECTIONS = 3

WATCH_PAUSE_S = 0.05
WATCH_PAUSE_EACH_S = 0.001
"""A read of many slots cannot block: it looks this often, and less often the more slots there are."""

_SCANS_APART = 4_096
"""More than the primaries of any cluster: a SCAN's cursor tells the primary too."""

_NAME = re.compile(rb"\*\d+\r\n\$\d+\r\n([A-Za-z]+)")
_TAG = re.compile(rb"\{([^}]+)\}")
_ASKING = pack(("ASKING",))


def slot_of(command: bytes) -> int | None:
    """Return the slot of a packed command's keys; None if it has none. Keys come before everything else in braces."""
    matched = _TAG.search(command)
    return None if matched is None else crc_hqx(matched[1], 0) % SLOTS


class Primary:
    """One server that serves slots, as all lanes see it."""

    def __init__(self, address: Address, client: Redis) -> None:
        self.address = address
        self.client = client
        self._rests_until = -math.inf
        self._is_tried = False

    def may_be_used(self, now: float) -> bool:
        """Say whether a pipeline may be sent; while the server rests, one may now and then."""
        if now >= self._rests_until and not self._is_tried:
            self._is_tried = self._rests_until != -math.inf
            return True
        return False

    def note(self, replies: Sequence[Any], now: float) -> None:
        """Note how the server answered."""
        self._is_tried = False
        is_silent = any(isinstance(reply, RedisTimeoutError) for reply in replies)
        self._rests_until = now + REST_S if is_silent else -math.inf


class Cluster:
    """Which primary serves which slot. `make_lane` makes lanes that follow it."""

    def __init__(self, url: RedisUrl, clock: Clock, lane_of: LaneOf) -> None:
        self.clock = clock
        self._url = url
        self._lane_of = lane_of
        self._primaries: dict[Address, Primary] = {}
        self._slots: list[Primary | None] = [None] * SLOTS
        self._is_known = False
        self._is_doubted = False
        self._looked_at = -math.inf
        self._look: asyncio.Task[None] | None = None

    def make_lane(self, *, timeout_s: float | None = None, around: Around = nullcontext) -> ClusterLane:
        """Return a lane that leads to every primary."""
        lane_of = partial(self._lane_of, timeout_s=timeout_s, around=around)
        return ClusterLane(self, lambda client: lane_of(client)[1], around=around, waits=timeout_s is not None)

    @property
    def primaries(self) -> list[Primary]:
        """Return all primaries that serve slots, always in the same order."""
        served = {primary.address: primary for primary in set(self._slots) if primary is not None}
        return [served[address] for address in sorted(served)]

    def of_slot(self, slot: int) -> Primary | None:
        """Return who serves a slot, as far as is known."""
        return self._slots[slot]

    def primary(self, address: Address) -> Primary:
        """Return the server at an address."""
        found = self._primaries.get(address)
        if found is None:
            found = self._primaries[address] = Primary(address, make_client(self._url.at(address)))
        return found

    async def look(self) -> None:
        """See to a map of slots: wait for a first one, read it anew behind the scenes. Raises redis-py's errors."""
        age_s = self.clock.monotonic() - self._looked_at
        if self._look is None and age_s > (LOOK_PAUSE_S if self._is_doubted or not self._is_known else LOOK_EVERY_S):
            self._looked_at = self.clock.monotonic()
            self._look = asyncio.get_running_loop().create_task(self.read(), name="store.cluster")
            self._look.add_done_callback(self._looked)
        if not self._is_known:
            if self._look is not None:
                await asyncio.wait([self._look])
            if not self._is_known:
                raise RedisConnectionError("no node of the cluster tells who serves its slots")

    def doubt(self) -> None:
        """Note that a command did not find its server."""
        self._is_doubted = True

    def moved(self, slot: int, address: Address) -> Primary:
        """Note who serves a slot, as a server said that served it before."""
        self._is_doubted = True
        self._slots[slot] = primary = self.primary(address)
        return primary

    def _looked(self, look: asyncio.Task[None]) -> None:
        self._look = None
        if look.cancelled():
            return
        error = look.exception()
        self._is_doubted = error is not None
        if error is not None and not isinstance(error, RedisError):
            raise error

    async def read(self) -> None:
        """Read the map from the first node that has one. Raises redis-py's errors."""
        known = [primary.address for primary in self.primaries]
        problems: list[str] = []
        for address in dict.fromkeys([*known, *self._url.hosts]):
            try:
                async with asyncio.timeout(CONNECT_TIMEOUT_S):
                    ranges = await read_slots(self.primary(address).client, address)
            except (RedisError, OSError, TimeoutError) as error:
                problems.append(f"{address[0]}:{address[1]}: {str(error) or 'no answer in time'}")
                continue
            slots: list[Primary | None] = [None] * SLOTS
            for first, last, served_by in ranges:
                slots[first : last + 1] = [self.primary(served_by)] * (last + 1 - first)
            self._slots = slots
            self._is_known = True
            return
        raise RedisConnectionError(f"no node of the cluster tells who serves its slots: {'; '.join(problems)}")

    async def inspect(self) -> tuple[list[Redis], list[Finding]]:
        """Return clients of all primaries, to be closed, and what is wrong with the map.

        Raises redis-py's ConnectionError.
        """
        await self.read()
        clients = [make_client(self._url.at(primary.address)) for primary in self.primaries]
        return clients, judge_coverage(sum(primary is not None for primary in self._slots), SLOTS)

    async def close(self) -> None:
        """Close what the lanes do not hold. The lanes must be closed first."""
        if self._look is not None:
            await asyncio.wait([self._look])
        for primary in self._primaries.values():
            await primary.client.aclose()


async def read_slots(client: Redis, asked: Address) -> list[tuple[int, int, Address]]:
    """Return the ranges of slots with the address of the primary of each, as one node knows them."""
    connection = await client.connection_pool.get_connection()  # type: ignore[no-untyped-call]  # redis-py's gap
    try:
        await connection.send_command("CLUSTER", "SLOTS")
        ranges = await connection.read_response()
    except BaseException:
        await connection.disconnect(nowait=True)
        raise
    finally:
        await client.connection_pool.release(connection)
    # A node that does not know its own address says none: it is the one that was asked.
    return [(first, last, ((node[0] or b"").decode() or asked[0], node[1])) for first, last, node, *_ in ranges]


class ClusterLane:
    """A connection to each primary, used by one pipeline at a time."""

    def __init__(self, cluster: Cluster, lane_of: Callable[[Redis], Lane], *, around: Around, waits: bool) -> None:
        """`waits`: the lane stands waiting for what comes, so it says nothing of how quickly a server answers."""
        self._cluster = cluster
        self._lane_of = lane_of
        self._around = around
        self._waits = waits
        self._lanes: dict[Address, tuple[Lane, asyncio.Lock]] = {}

    async def execute(self, commands: Sequence[bytes]) -> list[Any]:
        try:
            await self._cluster.look()
        except RedisError as error:
            return [error] * len(commands)
        replies: list[Any] = [None] * len(commands)
        await self._run(commands, range(len(commands)), replies, REDIRECTIONS)
        return replies

    async def _run(self, commands: Sequence[bytes], numbers: Iterable[int], replies: list[Any], hops: int) -> None:
        """Put the answers to the commands of these numbers in their places."""
        parts: dict[Address, list[int]] = {}
        apart: list[Awaitable[None]] = []
        for number in numbers:
            command = commands[number]
            name = _name(command)
            if name == b"XREAD" and len(_slots_of_read(command)) > 1:
                apart.append(self._store(replies, number, self._read_many(command)))
            elif name in _EVERYWHERE:
                apart.append(self._store(replies, number, self._everywhere(command, _EVERYWHERE[name])))
            elif name == b"SCAN":
                apart.append(self._store(replies, number, self._scan(command)))
            elif (primary := self._primary_of(command)) is None:
                self._cluster.doubt()
                replies[number] = RedisConnectionError("no primary serves this slot now")
            else:
                parts.setdefault(primary.address, []).append(number)
        sent = [self._send_part(address, commands, at, replies, hops) for address, at in parts.items()]
        if len(sent) + len(apart) == 1:
            await [*apart, *sent][0]
        else:
            await _all([*apart, *sent])

    async def _send_part(
        self, address: Address, commands: Sequence[bytes], at: list[int], replies: list[Any], hops: int
    ) -> None:
        """Send the commands of one primary, and follow those that are served elsewhere."""
        moved: list[int] = []
        sent = [commands[number] for number in at]
        for number, reply in zip(at, await self._send(self._cluster.primary(address), sent), strict=True):
            replies[number] = reply
            if isinstance(reply, MovedError):
                self._cluster.moved(reply.slot_id, (reply.host or address[0], reply.port))
                moved.append(number)
            elif isinstance(reply, AskError):
                target = self._cluster.primary((reply.host or address[0], reply.port))
                [_, replies[number]] = await self._send(target, [_ASKING, commands[number]])
        if moved and hops:
            await self._run(commands, moved, replies, hops - 1)

    async def _send(self, primary: Primary, commands: list[bytes]) -> list[Any]:
        """Send a pipeline to one primary, after those that this lane sends there already."""
        if not (self._waits or primary.may_be_used(self._cluster.clock.monotonic())):
            self._cluster.doubt()
            host, port = primary.address
            return [RedisConnectionError(f"{host}:{port} did not answer a moment ago")] * len(commands)
        found = self._lanes.get(primary.address)
        if found is None:
            found = self._lanes[primary.address] = (self._lane_of(primary.client), asyncio.Lock())
        lane, alone = found
        replies: list[Any] = []
        try:
            async with alone:
                replies = await lane.execute(commands)
        finally:
            if not self._waits:
                primary.note(replies, self._cluster.clock.monotonic())
        if any(isinstance(reply, DOUBTFUL) for reply in replies):
            self._cluster.doubt()
        return replies

    def _primary_of(self, command: bytes) -> Primary | None:
        slot = slot_of(command)
        if slot is not None:
            return self._cluster.of_slot(slot)
        return next(iter(self._cluster.primaries), None)

    async def _store(self, replies: list[Any], number: int, reply: Awaitable[Any]) -> None:
        replies[number] = await reply

    async def _everywhere(self, command: bytes, join: Callable[[Sequence[Any]], Any]) -> Any:
        """Send a command to all primaries, and make one answer of theirs."""
        answers = await asyncio.gather(*(self._send(primary, [command]) for primary in self._cluster.primaries))
        for [answer] in answers:
            if isinstance(answer, Exception):
                return answer
        return join([answer for [answer] in answers])

    async def _scan(self, command: bytes) -> Any:
        """Scan one primary after the other."""
        _, cursor, *options = _parsed(command)
        position, index = divmod(int(cursor), _SCANS_APART)
        primaries = self._cluster.primaries
        if index >= len(primaries):
            return [b"0", []]
        [reply] = await self._send(primaries[index], [pack((b"SCAN", position, *options))])
        if isinstance(reply, Exception):
            return reply
        position = int(reply[0])
        if position == 0:
            index += 1
        is_done = position == 0 and index >= len(primaries)
        return [b"0" if is_done else b"%d" % (position * _SCANS_APART + index), reply[1]]

    async def _read_many(self, command: bytes) -> Any:
        """Read streams of many slots: look again and again, until one has something or the read's time is over."""
        parts = _parsed(command)
        words = [part.upper() for part in parts]
        begin = words.index(b"STREAMS") + 1
        keys = parts[begin : begin + (len(parts) - begin) // 2]
        ids = parts[begin + len(keys) :]
        block_ms = int(parts[words.index(b"BLOCK") + 1])
        count = parts[words.index(b"COUNT") + 1]
        reads = [pack((b"XREAD", b"COUNT", count, b"STREAMS", key, at)) for key, at in zip(keys, ids, strict=True)]
        deadline = self._cluster.clock.monotonic() + block_ms / 1_000
        pause_s = max(WATCH_PAUSE_S, WATCH_PAUSE_EACH_S * len(keys))
        with self._around():
            while True:
                replies = await self.execute(reads)
                found: list[Any] = []
                for reply in replies:
                    if isinstance(reply, Exception):
                        return reply
                    found += reply or ()
                if found or self._cluster.clock.monotonic() + pause_s > deadline:
                    return found
                await self._cluster.clock.sleep(pause_s)

    async def close(self) -> None:
        lanes, self._lanes = self._lanes, {}
        for lane, _ in lanes.values():
            await lane.close()


def _name(command: bytes) -> bytes:
    matched = _NAME.match(command)
    assert matched is not None, "commands are packed"
    return matched[1].upper()


def _parsed(command: bytes) -> list[bytes]:
    reader = Reader()
    reader.feed(command)
    parts: list[bytes] = reader.gets()
    return parts


def _slots_of_read(command: bytes) -> set[int]:
    return {crc_hqx(tag, 0) % SLOTS for tag in _TAG.findall(command)}


def _first(answers: Sequence[Any]) -> Any:
    return answers[0]


def _fullest(answers: Sequence[bytes]) -> bytes:
    """Return the INFO of the primary that is nearest to its limit: it is the one that refuses first."""

    def fullness(text: bytes) -> float:
        facts: Mapping[bytes, bytes] = dict(line.split(b":", 1) for line in text.splitlines() if b":" in line)
        return int(facts.get(b"used_memory", 0)) / (int(facts.get(b"maxmemory", 0)) or math.inf)

    return max(answers, key=fullness)


_EVERYWHERE: Mapping[bytes, Callable[[Sequence[Any]], Any]] = {b"SCRIPT": _first, b"INFO": _fullest}
"""What is sent to all primaries, and how their answers become one."""


async def _all(parts: Iterable[Awaitable[None]]) -> None:
    """Wait for all parts of a pipeline, and only then for what went wrong with one."""
    outcomes = await asyncio.gather(*parts, return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome
