"""Function records: a catalogue whose records are stored together with their reservations.

The slots' script reads the reservations. Source: redis-design §5, §9.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from eventrouter.errors import StoreError
from eventrouter.rules.function import Function, UpdateStatus
from eventrouter.rules.names import FunctionName
from eventrouter.store.catalogue import Conflict, Records

if TYPE_CHECKING:
    from eventrouter.store.connect import Scripts
    from eventrouter.store.keys import Keys


class ReservationRefused(StoreError):
    """The reservation would leave too little unreserved concurrency. Nothing was stored.

    `unreserved` is what is left now, before any change.
    """

    def __init__(self, unreserved: int) -> None:
        super().__init__(f"only {unreserved} of the account's concurrency is unreserved")
        self.unreserved = unreserved


class Functions(Records[FunctionName, Function]):
    """This node's copy of all functions, and the ways to change them."""

    def __init__(self, scripts: Scripts, keys: Keys) -> None:
        names = ("functions", "frev", "gone", "rev", "meta", "lim", "use")
        super().__init__(
            scripts,
            [keys.installation(name) for name in names],
            floor="floor",
            record=Function,
            read_key=FunctionName.from_key,
        )
        self._runnable: dict[FunctionName, Function] = {}

    def runnable(self, name: FunctionName) -> Function | None:
        """Return the record that invocations run by: while an update is under way, the one before it (§1.9)."""
        return self._runnable.get(name)

    def all(self) -> list[Function]:
        """Return every function, by name."""
        return sorted(self._cache.values(), key=lambda function: function.name)

    def list(self, account: str, region: str) -> list[Function]:
        """Return the functions of an account in a region, by name."""
        return [fn for fn in self.all() if fn.name.account == account and fn.name.region == region]

    async def put(self, function: Function, *, account_limit: int, minimum_unreserved: int) -> Function:
        """Store a function if its `revision` is still the newest (0: it must not exist); return it with the new one.

        A reservation is refused only when it is raised. Raises Conflict, ReservationRefused, IntakeRefused (nothing
        was stored) and Unavailable (unknown: storing the same record again is harmless).
        """
        name = function.name
        reserved = "" if function.reserved_concurrency is None else function.reserved_concurrency
        limits = (reserved, account_limit, minimum_unreserved)
        stored = await self._put("functions_put", name.key, name, function, limits)
        if not isinstance(stored, Function):
            raise ReservationRefused(stored[1])
        return stored

    async def delete(self, name: FunctionName) -> bool:
        """Delete a function; False if this node knows of none, after asking. Raises Unavailable (unknown)."""
        if name not in self._cache:
            await self.refresh()
        while (known := self._cache.get(name)) is not None:
            try:
                await self._delete("functions_delete", name.key, name, known.revision)
            except Conflict:
                await self.refresh()
            else:
                return True
        return False

    def _keep(self, key: FunctionName, record: Function | None) -> None:
        super()._keep(key, record)
        if record is None:
            del self._runnable[key]
        elif key not in self._runnable or record.last_update_status is not UpdateStatus.IN_PROGRESS:
            self._runnable[key] = record
