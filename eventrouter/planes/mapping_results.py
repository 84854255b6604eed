"""What became of the latest batch of each mapping: LastProcessingResult, written when it changes.

A mapping's shards may change it many times a second, so nodes write what stands at the end of each second.
Source: lambda-semantics §4.2.
"""

from __future__ import annotations

from eventrouter.store import Mappings

OK = "OK"


class MappingResults:
    """The results that this node has to report."""

    def __init__(self, mappings: Mappings) -> None:
        self._mappings = mappings
        self._noted: dict[str, str] = {}

    def note(self, uuid: str, text: str) -> None:
        """Note a mapping's result: `OK`, or `PROBLEM: ` and what it is."""
        self._noted[uuid] = text

    async def flush(self) -> None:
        """Write what differs from what is stored, by whichever node. Raises Unavailable: it is written next time."""
        noted = self._noted.copy()
        for (uuid, text), stored in zip(noted.items(), await self._mappings.results(list(noted)), strict=True):
            if text != stored:
                await self._mappings.set_result(uuid, text)
        self._noted = {uuid: text for uuid, text in self._noted.items() if noted.get(uuid) != text}

    def forget(self, uuid: str) -> None:
        """Forget a mapping that is gone."""
        self._noted.pop(uuid, None)
