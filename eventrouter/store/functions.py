"""Function records: one hash in Redis, a copy of it in every node.

Every change has a revision, counted over all functions, so a node reads only what changed since it last looked. A
record is stored by compare-and-set on its own revision, together with its reservation, which the slots' script
reads. Source: redis-design §5, §9.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import msgspec

from eventrouter.errors import StoreError
from eventrouter.rules.function import Function, UpdateStatus
from eventrouter.rules.names import FunctionName
from eventrouter.store.connect import Scripts
from eventrouter.store.keys import Keys

PAGE = 50
"""Functions that one `functions_changed` answers with."""

Records = list[Function]
"""Functions, sorted. (Inside `Functions` the name `list` is a method.)"""

Listener = Callable[[FunctionName, Function | None], None]


class Conflict(StoreError):
    """Somebody changed the function since it was read. Nothing was stored."""


class ReservationRefused(StoreError):
    """The reservation would leave too little unreserved concurrency. Nothing was stored.

    `unreserved` is what is left now, before any change.
    """

    def __init__(self, unreserved: int) -> None:
        super().__init__(f"only {unreserved} of the account's concurrency is unreserved")
        self.unreserved = unreserved


class Functions:
    """This node's copy of all functions, and the ways to change them."""

    def __init__(self, scripts: Scripts, keys: Keys) -> None:
        self._scripts = scripts
        names = ("functions", "frev", "gone", "rev", "lim", "use", "meta")
        self._keys = tuple(keys.installation(name) for name in names)
        self._read_keys = tuple(keys.installation(name) for name in ("functions", "frev", "rev", "meta"))
        self._cache: dict[FunctionName, Function] = {}
        self._runnable: dict[FunctionName, Function] = {}
        self._seen = 0
        self._listeners: list[Listener] = []

    def get(self, name: FunctionName) -> Function | None:
        """Return a function as this node knows it."""
        return self._cache.get(name)

    def runnable(self, name: FunctionName) -> Function | None:
        """Return the record that invocations run by: while an update is under way, the one before it (§1.9)."""
        return self._runnable.get(name)

    def list(self, account: str, region: str) -> list[Function]:
        """Return the functions of an account in a region, by name."""
        found = [fn for name, fn in self._cache.items() if name.account == account and name.region == region]
        return sorted(found, key=lambda function: function.name)

    def all(self) -> Records:
        """Return every function, by name."""
        return sorted(self._cache.values(), key=lambda function: function.name)

    def on_change(self, listener: Listener) -> None:
        """Have `listener` called with each function that changes here, and its record (None: deleted)."""
        self._listeners.append(listener)

    async def put(self, function: Function, *, account_limit: int, minimum_unreserved: int) -> Function:
        """Store a function if its `revision` is still the newest (0: it must not exist); return it with the new one.

        A reservation is refused only when it is raised. Raises Conflict, ReservationRefused, IntakeRefused (nothing
        was stored) and Unavailable (unknown: storing the same record again is harmless).
        """
        name = function.name
        record = msgspec.json.encode(dataclasses.replace(function, revision=0))
        reserved = "" if function.reserved_concurrency is None else function.reserved_concurrency
        while True:
            answer = await self._scripts.call(
                "functions_put",
                self._keys,
                (name.key, function.revision, self._seen, record, reserved, account_limit, minimum_unreserved),
            )
            if answer[0] != b"BEHIND":
                break
            await self.refresh()
        if answer[0] == b"RESERVED":
            raise ReservationRefused(answer[1])
        if answer[0] == b"CONFLICT":
            raise Conflict(f"{name.key} is at revision {answer[1]}, not {function.revision}")
        stored = dataclasses.replace(function, revision=answer[1])
        self._know(name, stored, stored.revision)
        return stored

    async def delete(self, name: FunctionName) -> bool:
        """Delete a function; False if this node knows of none, after asking. Raises Unavailable (unknown)."""
        if name not in self._cache:
            await self.refresh()
        while (known := self._cache.get(name)) is not None:
            answer = await self._scripts.call("functions_delete", self._keys, (name.key, known.revision))
            if answer[0] != b"CONFLICT":
                self._know(name, None, answer[1] if answer[0] == b"OK" else known.revision + 1)
                return True
            await self.refresh()
        return False

    async def refresh(self) -> frozenset[FunctionName]:
        """Read what changed since the last look; return the names of it."""
        changed: set[FunctionName] = set()
        since, whole = self._seen, False
        named: set[FunctionName] = set()
        while True:
            answer = await self._scripts.call("functions_changed", self._read_keys, (since,))
            newest, floor = answer[1], answer[2]
            if not whole and since and (since < floor or since > newest):
                # Deletions were missed, or the server's state is older than what this node saw: read everything.
                since, whole = 0, True
                continue
            rows = iter(answer[3:])
            read = 0
            for key, revision, record in zip(rows, rows, rows, strict=True):
                name = FunctionName.from_key(key.decode())
                named.add(name)
                if self._know(name, _decode(record, revision), revision, force=whole):
                    changed.add(name)
                since, read = revision, read + 1
            if read < PAGE:
                break
        if whole:
            changed |= {name for name in set(self._cache) - named if self._know(name, None, newest, force=True)}
        self._seen = newest
        return frozenset(changed)

    def _know(self, name: FunctionName, function: Function | None, revision: int, *, force: bool = False) -> bool:
        """Take over what is known of a function; say whether that is news, and tell the listeners if so.

        An answer that was overtaken by a newer one on the way changes nothing, unless `force`.
        """
        known = self._cache.get(name)
        if known is None:
            if function is None:
                return False
        elif known.revision >= revision and not (force and known != function):
            return False
        if function is None:
            del self._cache[name], self._runnable[name]
        else:
            self._cache[name] = function
            if name not in self._runnable or function.last_update_status is not UpdateStatus.IN_PROGRESS:
                self._runnable[name] = function
        for listener in self._listeners:
            listener(name, function)
        return True


def _decode(record: bytes | None, revision: int) -> Function | None:
    if record is None:
        return None
    return dataclasses.replace(msgspec.json.decode(record, type=Function), revision=revision)
