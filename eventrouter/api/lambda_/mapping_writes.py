"""How every operation changes a mapping: read, decide, compare and set; again if somebody was faster.

A mapping that is on its way from one state to the next takes no other change. Source: lambda-semantics §4.1, §4.2.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from eventrouter.api.lambda_.errors import conflict
from eventrouter.clock import Clock
from eventrouter.errors import RequestError
from eventrouter.rules.mapping import EventSourceMapping, MappingState
from eventrouter.store import Conflict

if TYPE_CHECKING:
    from eventrouter.store import Mappings

_ATTEMPTS = 10
_SETTLED = frozenset({MappingState.ENABLED, MappingState.DISABLED})

Change = Callable[[EventSourceMapping], EventSourceMapping]
"""Makes the new record out of the current one, or raises RequestError. Called again after a lost race."""


class Transitions(Protocol):
    """Finishes a change of state that a stored record says is under way."""

    async def begin(self, mapping: EventSourceMapping) -> None: ...


class MappingWrites:
    """Stores event source mappings."""

    def __init__(
        self, *, mappings: Mappings, transitions: Transitions, clock: Clock, new_uuid: Callable[[], str]
    ) -> None:
        self._mappings = mappings
        self._transitions = transitions
        self._clock = clock
        self._new_uuid = new_uuid

    def now_ms(self) -> int:
        """Return wall time, for records that are about to be written."""
        return self._clock.now_ms()

    def new_uuid(self) -> str:
        """Return the UUID of a mapping to be."""
        return self._new_uuid()

    async def known(self, uuid: str) -> EventSourceMapping | None:
        """Return a mapping, None if there is none; the store is asked if this node has not heard of it."""
        catalogue = self._mappings.catalogue
        if catalogue.get(uuid) is None:
            await catalogue.refresh()
        return catalogue.get(uuid)

    async def find(self, uuid: str) -> EventSourceMapping:
        """Return a mapping. Raises RequestError (404)."""
        mapping = await self.known(uuid)
        if mapping is None:
            raise mapping_not_found()
        return mapping

    async def create(self, mapping: EventSourceMapping) -> EventSourceMapping:
        """Store a new mapping and begin its life. Raises RequestError (409) if one of its kind exists."""
        self.check_unique(mapping)
        stored = await self._mappings.catalogue.put(mapping)
        await self._mappings.catalogue.refresh()
        try:
            self.check_unique(stored)  # another node may have stored its like at the same time
        except RequestError:
            await self._withdraw(stored.uuid)
            raise
        await self._transitions.begin(stored)
        return stored

    async def move(self, uuid: str, change: Change, *, verb: str) -> EventSourceMapping:
        """Change a mapping, its state among it, and begin what that state asks for. `verb` is for AWS's text.

        Raises RequestError: 404, 400 (ResourceInUseException) while another change is under way.
        """

        def moved(current: EventSourceMapping) -> EventSourceMapping:
            if current.state not in _SETTLED:
                raise RequestError(
                    "ResourceInUseException", f"Cannot {verb} the event source mapping because it is in use."
                )
            return dataclasses.replace(change(current), last_modified_ms=self._clock.now_ms())

        stored = await self.change(uuid, moved)
        await self._transitions.begin(stored)
        return stored

    async def change(self, uuid: str, change: Change) -> EventSourceMapping:
        """Change what needs no change of state. Raises RequestError: 404 and what `change` raises."""
        for _ in range(_ATTEMPTS):
            current = await self.find(uuid)
            wanted = change(current)
            if wanted == current:
                return current
            try:
                return await self._mappings.catalogue.put(wanted)
            except Conflict:
                await self._mappings.catalogue.refresh()
        raise conflict("The event source mapping is changed by too many callers at once.")

    def check_unique(self, mapping: EventSourceMapping) -> None:
        """Raise RequestError (409) if another mapping leads from the same source to the same function."""
        for other in self._mappings.catalogue.all():
            if other.uuid != mapping.uuid and _is_like(other, mapping) and _came_first(other, mapping):
                raise conflict(
                    f"{_conflicting(mapping)} already exists. Please update or delete the existing mapping with UUID "
                    f"{other.uuid}"
                )

    async def _withdraw(self, uuid: str) -> None:
        await self._transitions.begin(await self.change(uuid, deleting))


def deleting(current: EventSourceMapping) -> EventSourceMapping:
    """Return a mapping on its way out."""
    return dataclasses.replace(current, state=MappingState.DELETING)


def mapping_not_found() -> RequestError:
    """Return the 404 for a UUID that names no mapping."""
    return RequestError("ResourceNotFoundException", "The resource you requested does not exist.")


def _conflicting(mapping: EventSourceMapping) -> str:
    """Name a mapping as AWS's texts do, which differ by the kind of its source."""
    arn, name = mapping.source_arn, mapping.function.name
    if mapping.is_queue:
        return f'An event source mapping with SQS arn (" {arn} ") and function (" {name} ")'
    return f'The event source arn (" {arn} ") and function (" {name} ") provided mapping'


def _is_like(one: EventSourceMapping, other: EventSourceMapping) -> bool:
    return (one.source_arn, one.function, one.reference.version) == (
        other.source_arn,
        other.function,
        other.reference.version,
    )


def _came_first(other: EventSourceMapping, mine: EventSourceMapping) -> bool:
    """Say whether `other` is in the way of `mine`: one that is being deleted is not.

    Of two that are both being created, the one with the lower revision was stored first.
    """
    if other.state is MappingState.DELETING:
        return False
    is_new = mine.revision != 0 and mine.state is MappingState.CREATING and other.state is MappingState.CREATING
    return not is_new or other.revision < mine.revision
