"""Records of one kind: one hash in Redis, a copy of it in every node.

Every change has a revision, counted over the whole installation, so a node reads only what changed since it last
looked. A record is stored by compare-and-set on its own revision. Source: redis-design §5, §9.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, TypeVar

import msgspec

from eventrouter.errors import StoreError

if TYPE_CHECKING:
    from eventrouter.store.connect import Argument, Scripts
    from eventrouter.store.keys import Keys

PAGE = 50
"""Records that one `catalogue_changed` answers with."""


class Conflict(StoreError):
    """Somebody changed the record since it was read. Nothing was stored."""


class Revised(Protocol):
    """A frozen dataclass whose `revision` is the store's compare-and-set number (0: not stored yet)."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def revision(self) -> int: ...


K = TypeVar("K")
T = TypeVar("T", bound=Revised)


class Records(Generic[K, T]):
    """This node's copy of all records of one kind, by key. Who stores them is a subclass's matter."""

    def __init__(
        self, scripts: Scripts, keys: Sequence[str], *, floor: str, record: type[T], read_key: Callable[[str], K]
    ) -> None:
        """`keys` are those of `_record_check.lua`, in its order.

        `floor` is a field of meta: the revision from which on all deletions of this kind are known.
        """
        self._scripts = scripts
        self._keys = tuple(keys)
        self.floor = floor
        self._read_keys = (keys[0], keys[1], keys[3], keys[4])
        self._type = record
        self._read_key = read_key
        self._cache: dict[K, T] = {}
        self._seen = 0
        self._listeners: list[Callable[[K, T | None], None]] = []

    def get(self, key: K) -> T | None:
        """Return a record as this node knows it."""
        return self._cache.get(key)

    def on_change(self, listener: Callable[[K, T | None], None]) -> None:
        """Have `listener` called with each key that changes here, and its record (None: deleted)."""
        self._listeners.append(listener)

    async def refresh(self) -> frozenset[K]:
        """Read what changed since the last look; return the keys of it. Raises Unavailable."""
        changed: set[K] = set()
        since, whole = self._seen, False
        named: set[K] = set()
        while True:
            answer = await self._scripts.call("catalogue_changed", self._read_keys, (since, self.floor))
            newest, floor = answer[1], answer[2]
            if not whole and since and (since < floor or since > newest):
                # Deletions were missed, or the server's state is older than what this node saw: read everything.
                since, whole = 0, True
                continue
            rows = iter(answer[3:])
            read = 0
            for text, revision, stored in zip(rows, rows, rows, strict=True):
                key = self._read_key(text.decode())
                named.add(key)
                if self._know(key, self._decode(stored, revision), revision, force=whole):
                    changed.add(key)
                since, read = revision, read + 1
            if read < PAGE:
                break
        if whole:
            changed |= {key for key in set(self._cache) - named if self._know(key, None, newest, force=True)}
        self._seen = newest
        return frozenset(changed)

    async def _put(self, script: str, text: str, key: K, record: T, extra: Sequence[Argument] = ()) -> T | list[Any]:
        """Store a record by `script`; return it with its new revision, or the script's own refusal."""
        data = msgspec.json.encode(dataclasses.replace(record, revision=0))
        while True:
            args = (text, record.revision, self._seen, data, self.floor, *extra)
            answer = await self._scripts.call(script, self._keys, args)
            if answer[0] != b"BEHIND":
                break
            await self.refresh()
        if answer[0] == b"CONFLICT":
            raise Conflict(f"{text} is at revision {answer[1]}, not {record.revision}")
        if answer[0] != b"OK":
            return answer
        stored = dataclasses.replace(record, revision=answer[1])
        self._know(key, stored, stored.revision)
        return stored

    async def _delete(self, script: str, text: str, key: K, revision: int) -> bool:
        """Delete a record of this revision by `script`; False if there is none. Raises Conflict, Unavailable."""
        answer = await self._scripts.call(script, self._keys, (text, revision, self.floor))
        if answer[0] == b"CONFLICT":
            raise Conflict(f"{text} is at revision {answer[1]}, not {revision}")
        is_deleted: bool = answer[0] == b"OK"
        self._know(key, None, answer[1] if is_deleted else revision + 1)
        return is_deleted

    def _know(self, key: K, record: T | None, revision: int, *, force: bool = False) -> bool:
        """Take over what is known of a record; say whether that is news, and tell the listeners if so.

        An answer that was overtaken by a newer one on the way changes nothing, unless `force`.
        """
        known = self._cache.get(key)
        if known is None:
            if record is None:
                return False
        elif known.revision >= revision and not (force and known != record):
            return False
        self._keep(key, record)
        for listener in self._listeners:
            listener(key, record)
        return True

    def _keep(self, key: K, record: T | None) -> None:
        if record is None:
            del self._cache[key]
        else:
            self._cache[key] = record

    def _decode(self, data: bytes | None, revision: int) -> T | None:
        if data is None:
            return None
        return dataclasses.replace(msgspec.json.decode(data, type=self._type), revision=revision)


class Catalogue(Records[str, T]):
    """Records that their own text names: streams, mappings."""

    def __init__(self, scripts: Scripts, keys: Keys, *, name: str, record: type[T], key: Callable[[T], str]) -> None:
        names = (name, f"{name}:rev", f"{name}:gone", "rev", "meta")
        super().__init__(
            scripts, [keys.installation(each) for each in names], floor=f"floor:{name}", record=record, read_key=str
        )
        self._key = key

    def all(self) -> list[T]:
        """Return every record, by key."""
        return [self._cache[key] for key in sorted(self._cache)]

    async def put(self, record: T) -> T:
        """Store a record if its `revision` is still the newest (0: it must not exist); return it with the new one.

        Raises Conflict, IntakeRefused (nothing was stored) and Unavailable (unknown: storing the same record again
        is harmless).
        """
        key = self._key(record)
        stored = await self._put("catalogue_put", key, key, record)
        if isinstance(stored, list):
            raise StoreError(f"catalogue_put answered {stored!r}")
        return stored

    async def delete(self, record: T) -> bool:
        """Delete a record if its `revision` is still the newest; False if it was gone already.

        A repeated call may find its own deletion. Raises Conflict and Unavailable (unknown: deleting again is
        harmless).
        """
        key = self._key(record)
        return await self._delete("catalogue_delete", key, key, record.revision)
