"""Lanes: how far a mapping has come in each shard, and who may say so.

One hash per unit, a mapping's share in one shard. It has one owner, a node's incarnation, and an epoch that every
change of owner raises. Every write by an owner names both, so a node that lost a unit changes nothing any more. The
checkpoint of an owner only grows.

Saves of one owner are stored in the order in which they were made, and none without those before it: while one is
under way further ones gather for the next, and what failed goes out again with what follows. So a checkpoint is
never stored ahead of the records that were dropped below it. Source: redis-design §7; invariants K2, K3.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from eventrouter.errors import StoreError
from eventrouter.store.connect import Argument, Scripts
from eventrouter.store.keys import Keys

MAX_ITEMS = 100
"""Items that one script handles: redis-design §1, R9."""

_DRAINED = b"1"


class LaneLost(StoreError):
    """The unit is not the caller's any more, or has been removed. Nothing was stored."""


class StoredLane(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A unit as stored. `checkpoint` is None before the first; `states` and `outbox` are opaque here."""

    owner: str = ""
    epoch: int = 0
    checkpoint: str | None = None
    states: dict[int, bytes] = {}
    outbox: dict[str, bytes] = {}
    is_drained: bool = False
    info: bytes | None = None


class LaneChange(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a save changes; what it does not name stays.

    A checkpoint below the stored one is ignored. `removed` are numbers of lanes whose state goes. Ids of the outbox
    are derived from what they tell of, so a parcel made twice is stored once.
    """

    checkpoint: str | None = None
    states: Mapping[int, bytes] = {}
    removed: Sequence[int] = ()
    outbox: Mapping[str, bytes] = {}
    is_drained: bool = False
    info: bytes | None = None


class Taken(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The unit is the caller's, in this epoch; `lane` is where to go on."""

    epoch: int
    lane: StoredLane


class Held(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The unit is somebody else's."""

    owner: str


class _Writer:
    """The saves of one owner of one unit."""

    __slots__ = ("epoch", "failed", "gathered", "inc", "is_busy", "key")

    def __init__(self, key: tuple[str], inc: str, epoch: int) -> None:
        self.key = key
        self.inc = inc
        self.epoch = epoch
        self.is_busy = False
        self.gathered: list[tuple[LaneChange, asyncio.Future[None]]] = []
        self.failed: LaneChange | None = None


class Lanes:
    """The units of all mappings."""

    def __init__(self, scripts: Scripts, keys: Keys) -> None:
        self._scripts = scripts
        self._keys = keys
        self._numbers = itertools.count(1)
        self._writers: dict[tuple[str, str], _Writer] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def take(self, uuid: str, unit: str, inc: str, over: str = "") -> Taken | Held:
        """Take a unit that nobody owns, or `inc` itself, or `over`: an incarnation known to be dead.

        Every take has an epoch of its own. Raises LaneLost (the unit or its mapping was removed) and Unavailable
        (unknown: take again, or release what `read` shows to be owned).
        """
        await self._list(uuid, unit, 0, is_drained=False)
        key = self._lane(uuid, unit)
        nonce = next(self._numbers)
        seen = int(await self._scripts.command("HGET", key, "e") or 0)
        while True:
            answer = await self._scripts.call("lane_take", (key,), (inc, nonce, over, seen))
            if answer[0] == b"MOVED":
                seen = answer[1]
                continue
            if answer[0] == b"HELD":
                return Held(owner=answer[1].decode())
            if answer[0] != b"OK":
                raise LaneLost(f"unit {unit} of mapping {uuid} was removed")
            taken = Taken(epoch=answer[1], lane=_read(answer[2]))
            self._writers[uuid, unit] = _Writer((key,), inc, taken.epoch)
            if taken.lane.is_drained:  # whoever drained it may not have lived to say so
                await self._list(uuid, unit, taken.epoch, is_drained=True)
            return taken

    async def save(self, uuid: str, unit: str, inc: str, epoch: int, change: LaneChange) -> None:
        """Store a change of a unit that `inc` took in `epoch`, here, after all changes that it saved before.

        Raises LaneLost (nothing was stored) and Unavailable (unknown: the change goes out again with the next save
        of this epoch, which may repeat it). A cancelled save is as unknown.
        """
        writer = self._writers.get((uuid, unit))
        if writer is None or writer.epoch != epoch or writer.inc != inc:
            raise LaneLost(f"unit {unit} of mapping {uuid} was taken again, or released")
        if writer.is_busy:
            stored: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            writer.gathered.append((change, stored))
            await stored
        else:
            writer.is_busy = True
            try:
                await self._write(writer, change)
            finally:
                self._hand_on(writer)
        if change.is_drained:
            await self._list(uuid, unit, epoch, is_drained=True)

    async def release(self, uuid: str, unit: str, inc: str, epoch: int) -> None:
        """Give up a unit, if (inc, epoch) still owns it."""
        writer = self._writers.get((uuid, unit))
        if writer is not None and writer.epoch == epoch and writer.inc == inc:
            del self._writers[uuid, unit]
        await self._scripts.call("lane_release", (self._lane(uuid, unit),), (inc, epoch))

    async def place(self, uuid: str, unit: str, position: str) -> None:
        """Set where a unit begins, unless it has a checkpoint, was ever taken, or was removed."""
        if await self._note(uuid, unit, 0, is_drained=False):
            await self._scripts.call("lane_place", (self._lane(uuid, unit),), (position,))

    async def forwarded(self, uuid: str, unit: str, ids: Sequence[str]) -> None:
        """Delete parcels of the outbox that have been handed on."""
        key = self._lane(uuid, unit)
        await self._scripts.command_each([("HDEL", key, *(f"ob:{each}" for each in part)) for part in _parts(ids)])

    async def read(self, uuid: str, unit: str) -> StoredLane | None:
        """Return a unit as stored; None if it was never placed or taken, or was removed."""
        fields: list[bytes] = await self._scripts.command("HGETALL", self._lane(uuid, unit))
        return _read(fields) if fields and b"gone" not in fields[::2] else None

    async def units(self, uuid: str) -> dict[str, bool]:
        """Return the known units of a mapping, and whether each is drained."""
        fields = iter(await self._scripts.command("HGETALL", self._register(uuid)))
        return {
            unit.decode(): value.endswith(b"|" + _DRAINED) for unit, value in zip(fields, fields, strict=True) if unit
        }

    async def rewind(self, uuid: str, unit: str, position: str) -> bool:
        """Let a unit begin anew at `position`, back or forth, with its outbox; False, and no change, if it is owned.

        What was shown of it is forgotten with its states. Raises LaneLost if it was removed.
        """
        key = self._lane(uuid, unit)
        while True:
            lane = await self.read(uuid, unit) or StoredLane()
            if lane.owner:
                return False
            # First the register: a unit wrongly listed as to be read is put right by whoever takes it.
            await self._list(uuid, unit, lane.epoch + 1, is_drained=False)
            known = ["i", *(f"s:{number}" for number in lane.states)]
            answer = await self._scripts.call(
                "lane_rewind", (key,), (f"rewind {position}", lane.epoch, position, *known)
            )
            if answer[0] == b"GONE":
                raise LaneLost(f"unit {unit} of mapping {uuid} was removed")
            if answer[0] != b"MOVED":
                return bool(answer[0] == b"OK")

    async def remove(self, uuid: str, units: Sequence[str] | None = None) -> None:
        """Remove units with all they hold; None: every known one, and the mapping's register for good."""
        names = list(await self.units(uuid)) if units is None else units
        await self._scripts.call_each("lane_remove", [((self._lane(uuid, unit),), ()) for unit in names])
        register = (self._register(uuid),)
        ends = [()] if units is None else [tuple(part) for part in _parts(units)]
        await self._scripts.call_each("lane_unlist", [(register, end) for end in ends])
        for unit in names:
            self._writers.pop((uuid, unit), None)

    async def _list(self, uuid: str, unit: str, epoch: int, *, is_drained: bool) -> None:
        if not await self._note(uuid, unit, epoch, is_drained=is_drained):
            raise LaneLost(f"mapping {uuid} was removed")

    async def _note(self, uuid: str, unit: str, epoch: int, *, is_drained: bool) -> bool:
        answer = await self._scripts.call("lane_list", (self._register(uuid),), (unit, epoch, int(is_drained)))
        return bool(answer[0] == b"OK")

    async def _write(self, writer: _Writer, change: LaneChange) -> None:
        """Store a change, together with what failed before it."""
        if writer.failed is not None:
            change = _merge([writer.failed, change])
        writer.failed = change
        while len(change.outbox) > MAX_ITEMS:
            first = dict(itertools.islice(change.outbox.items(), MAX_ITEMS))
            await self._send(writer, LaneChange(outbox=first))
            rest = {name: parcel for name, parcel in change.outbox.items() if name not in first}
            change = msgspec.structs.replace(change, outbox=rest)
        await self._send(writer, change)
        writer.failed = None

    async def _send(self, writer: _Writer, change: LaneChange) -> None:
        changes: list[Argument] = []
        for number, state in change.states.items():
            changes += (f"s:{number}", state)
        for name, parcel in change.outbox.items():
            changes += (f"ob:{name}", parcel)
        if change.is_drained:
            changes += ("x", _DRAINED)
        if change.info is not None:
            changes += ("i", change.info)
        answer = await self._scripts.call(
            "lane_save",
            writer.key,
            (
                writer.inc,
                writer.epoch,
                next(self._numbers),
                change.checkpoint or "",
                len(changes),
                *changes,
                *[f"s:{number}" for number in change.removed],
            ),
        )
        if answer[0] != b"OK":
            writer.failed = None
            raise LaneLost(f"{writer.key[0]} is not owned by {writer.inc} in epoch {writer.epoch}")

    def _hand_on(self, writer: _Writer) -> None:
        """Let saves go out that gathered meanwhile, in a task that no caller can cancel."""
        if not writer.gathered:
            writer.is_busy = False
            return
        task = asyncio.get_running_loop().create_task(self._write_gathered(writer), name="store.lanes")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _write_gathered(self, writer: _Writer) -> None:
        gathered, writer.gathered = writer.gathered, []
        try:
            await self._write(writer, _merge([change for change, _ in gathered]))
        except Exception as error:  # noqa: BLE001  # whatever it was: every caller is told
            for _, stored in gathered:
                if not stored.done():
                    stored.set_exception(error)
        else:
            for _, stored in gathered:
                if not stored.done():
                    stored.set_result(None)
        finally:
            self._hand_on(writer)

    def _lane(self, uuid: str, unit: str) -> str:
        return self._keys.of(f"m:{uuid}:{unit}", "lane")

    def _register(self, uuid: str) -> str:
        return register_key(self._keys, uuid)


def register_key(keys: Keys, uuid: str) -> str:
    """Name the register of a mapping's units."""
    return keys.installation(f"lanes:{uuid}")


def precedes(first: str | None, second: str | None) -> bool:
    """Compare checkpoints as the numerals they are; None comes before all."""
    return (len(first or ""), first or "") < (len(second or ""), second or "")


def _merge(changes: Sequence[LaneChange]) -> LaneChange:
    """Make one change of several, in their order."""
    checkpoint: str | None = None
    states: dict[int, bytes] = {}
    removed: set[int] = set()
    outbox: dict[str, bytes] = {}
    info: bytes | None = None
    for change in changes:
        if precedes(checkpoint, change.checkpoint):
            checkpoint = change.checkpoint
        for number in change.removed:
            states.pop(number, None)
            removed.add(number)
        states.update(change.states)
        removed.difference_update(change.states)
        outbox.update(change.outbox)
        info = info if change.info is None else change.info
    return LaneChange(
        checkpoint=checkpoint,
        states=states,
        removed=sorted(removed),
        outbox=outbox,
        is_drained=any(change.is_drained for change in changes),
        info=info,
    )


def _read(fields: Sequence[bytes]) -> StoredLane:
    """Read a lane's hash from its flattened fields and values."""
    stored = {name.decode(): value for name, value in zip(fields[::2], fields[1::2], strict=True)}
    checkpoint = stored.get("c")
    return StoredLane(
        owner=stored.get("o", b"").decode(),
        epoch=int(stored.get("e", 0)),
        checkpoint=None if checkpoint is None else checkpoint.decode(),
        states={int(name[2:]): value for name, value in stored.items() if name.startswith("s:")},
        outbox={name[3:]: value for name, value in stored.items() if name.startswith("ob:")},
        is_drained="x" in stored,
        info=stored.get("i"),
    )


def _parts(items: Sequence[str]) -> Iterator[Sequence[str]]:
    for at in range(0, len(items), MAX_ITEMS):
        yield items[at : at + MAX_ITEMS]
