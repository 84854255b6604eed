"""Hosts: who lives, who is dead, and what is done with a dead one's work.

An incarnation is one start of one node; its name is never used again. Order at start: listed, registered in every
partition, and only then claiming; so whoever owns something is always found by the audit. Order at death: buried
(slots freed), fenced in every partition, its events made due again, the messages that it holds of queues returned,
forgotten. Each step may be repeated, by anyone, from the start. Source: redis-design §3.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from eventrouter.errors import NodeDead, StoreError
from eventrouter.store.connect import Scripts
from eventrouter.store.keys import Keys

REAP_ITEMS = 100

Names = list[str]
"""Incarnations, sorted. (Inside `Hosts` the name `list` is a method.)"""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostInfo:
    """What other nodes know about a host. One that is draining takes nothing new: it starts, leaves, or is drained."""

    url: str
    started_at_ms: int
    version: str
    is_draining: bool = False
    roles: tuple[str, ...] = ("api", "worker", "poller")

    def takes(self, role: str) -> bool:
        """Say whether the host takes new work of a role."""
        return role in self.roles and not self.is_draining


class Hosts:
    """The list of living hosts and the ways in and out of it."""

    def __init__(self, scripts: Scripts, keys: Keys) -> None:
        self._scripts = scripts
        self._keys = keys
        self._hosts = keys.installation("hosts")
        self._beats = keys.installation("beats")
        self._dead = keys.installation("dead")
        self._use = keys.installation("use")
        self._lim = keys.installation("lim")
        self._turns = keys.installation("turns")
        self._rev = keys.installation("rev")
        self._regs = tuple(keys.events(partition, "reg") for partition in range(keys.partitions))

    async def join(self, inc: str, info: HostInfo) -> None:
        """List `inc` as living and register it in every partition; it may then claim. Raises NodeDead if buried.

        Joining again changes what others know about it.
        """
        if not inc or not all(character.isalnum() or character in "-_." for character in inc):
            raise StoreError(f"incarnation {inc!r} holds more than letters, digits, '-', '_' and '.'")
        keys = (self._hosts, self._beats, self._dead)
        answer = await self._scripts.call("host_join", keys, (inc, msgspec.json.encode(info)))
        registered = [answer]
        if answer[0] == b"OK":
            registered = await self._scripts.call_each("events_register", [((reg,), (inc,)) for reg in self._regs])
        if any(each[0] != b"OK" for each in registered):
            raise NodeDead(inc)

    async def beat(self, inc: str, n: int) -> int:
        """Record sign of life number `n` and return the newest revision of the functions.

        Raises NodeDead if buried or unknown. Uses a connection of its own.
        """
        keys = (self._hosts, self._beats, self._rev)
        answer = await self._scripts.call("host_beat", keys, (inc, n), budget_s=2.0, apart=True)
        if answer[0] == b"DEAD":
            raise NodeDead(inc)
        return int(answer[1])

    async def beats(self) -> dict[str, int]:
        """Return the counter of every living incarnation."""
        fields = iter(await self._scripts.command("HGETALL", self._beats))
        return {inc.decode(): int(n) for inc, n in zip(fields, fields, strict=True)}

    async def list(self) -> dict[str, HostInfo]:
        """Return every living incarnation."""
        fields = iter(await self._scripts.command("HGETALL", self._hosts))
        return {
            inc.decode(): msgspec.json.decode(info, type=HostInfo) for inc, info in zip(fields, fields, strict=True)
        }

    async def dead(self) -> Names:
        """Return incarnations that are buried and not yet reaped."""
        return sorted(inc.decode() for inc in await self._scripts.command("HKEYS", self._dead))

    async def bury(self, inc: str, n: int | None) -> bool:
        """Declare `inc` dead and free its slots; False if it lives, or was never heard of.

        `n` is the counter that the caller saw standing still: it is compared again in the same step. None is for a
        node that knows its predecessor to be dead, and needs no comparison.
        """
        if not await self._bury(inc, "forced" if n is None else str(n)):
            return False
        await self._free_slots(inc)
        return True

    async def reap(self, inc: str) -> int:
        """Finish a dead incarnation: hand back all it owns, then forget it. Returns how many events became due.

        A listed host is left alone (0). May be repeated and resumed, by any node; each round starts at the fence.
        """
        if not await self._bury(inc, "unlisted"):
            return 0
        return await self._hand_back(inc, deaths=1)

    async def leave(self, inc: str) -> None:
        """End a host cleanly: what it still owns becomes due again, uncounted, and it is forgotten."""
        await self._bury(inc, "forced")
        await self._hand_back(inc, deaths=0)

    async def audit(self) -> Names:
        """Return incarnations that are registered in some partition and no listed host: each wants reaping."""
        # Registers first, hosts second: whoever joins in between is then seen in both or in the second only.
        registers = await self._scripts.command_each([("HKEYS", reg) for reg in self._regs])
        listed = await self._scripts.command("HKEYS", self._hosts)
        return sorted({inc.decode() for register in registers for inc in register} - {inc.decode() for inc in listed})

    async def _bury(self, inc: str, why: str) -> bool:
        answer = await self._scripts.call("host_bury", (self._hosts, self._beats, self._dead), (inc, why))
        return bool(answer[0] == b"OK")

    async def _free_slots(self, inc: str) -> None:
        keys = (self._held(inc), self._use, self._lim, self._dead)
        while True:
            answer = await self._scripts.call("slots_release", keys, (inc,))
            if answer[0] != b"OK" or answer[1] == 0:
                return

    async def _hand_back(self, inc: str, deaths: int) -> int:
        await self._free_slots(inc)
        requeued = 0
        for partition in range(self._keys.partitions):
            requeued += await self._empty(inc, partition, deaths)
        await self._return_messages(inc)
        await self._scripts.command("UNLINK", *(self._keys.inbox(inc, name) for name in self._keys.INBOX))
        await self._scripts.call("host_forget", (self._dead, self._held(inc), self._turns), (inc,))
        return requeued

    async def _empty(self, inc: str, partition: int, deaths: int) -> int:
        """Take everything from `inc` in one partition, and its registration. Fencing comes first."""
        reg, own, seq = (self._keys.events(partition, name) for name in ("reg", f"own:{inc}", f"seq:{inc}"))
        requeued = 0
        while True:
            await self._scripts.call("events_fence", (reg,), (inc,))
            owned = await self._scripts.command("HRANDFIELD", own, REAP_ITEMS, "WITHVALUES")
            if owned:
                requeued += await self._requeue(inc, partition, _functions(owned), deaths)
                continue
            answer = await self._scripts.call("events_gone", (reg, own, seq), (inc,))
            if answer[0] == b"OK":
                return requeued

    async def _return_messages(self, inc: str) -> None:
        """Make visible what `inc` holds of queues. It registered each one before, and cannot any more."""
        registry = self._keys.installation(f"queues:{inc}")
        for queue in await self._scripts.command("SMEMBERS", registry):
            while True:
                answer = await self._scripts.call("queue_return", self._keys.queue(queue.decode()), (0, 0, inc))
                if answer[0] != b"OK" or answer[2] == 0:
                    break
        await self._scripts.command("UNLINK", registry)

    async def _requeue(self, inc: str, partition: int, functions: dict[str, str], deaths: int) -> int:
        names = ("clk", "ev", "idx", "hold", "reg", f"own:{inc}")
        keys = [self._keys.events(partition, name) for name in names]
        args: list[str | int] = [inc, deaths]
        queues: dict[str, int] = {}
        for event_id, fn in functions.items():
            if fn not in queues:
                keys.append(self._keys.events(partition, f"q:{fn}"))
                queues[fn] = len(keys)
            args += (event_id, queues[fn])
        answer = await self._scripts.call("events_requeue", keys, args)
        return int(answer[1]) if answer[0] == b"OK" else 0

    def _held(self, inc: str) -> str:
        return self._keys.installation(f"held:{inc}")


def _functions(owned: list[bytes]) -> dict[str, str]:
    """Read own fields (`attempt|seq|function`) as id to function."""
    fields = iter(owned)
    return {event_id.decode(): value.decode().split("|", 2)[2] for event_id, value in zip(fields, fields, strict=True)}
