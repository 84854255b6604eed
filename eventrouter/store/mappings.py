"""Event source mappings: their records, and what became of the latest batch of each."""

from __future__ import annotations

from collections.abc import Sequence

from eventrouter.rules.mapping import EventSourceMapping
from eventrouter.store.catalogue import Catalogue
from eventrouter.store.connect import Scripts
from eventrouter.store.keys import Keys
from eventrouter.store.lanes import register_key


class Mappings:
    """The catalogue of mappings, and their results: texts that are shown and decide nothing."""

    def __init__(self, scripts: Scripts, keys: Keys) -> None:
        self.catalogue: Catalogue[EventSourceMapping] = Catalogue(
            scripts, keys, name="mappings", record=EventSourceMapping, key=lambda mapping: mapping.uuid
        )
        self._scripts = scripts
        self._keys = keys
        self._results = keys.installation("results")

    async def set_result(self, uuid: str, text: str) -> None:
        """Note the result of a mapping's latest batch; nothing is noted once its lanes have been removed."""
        await self._scripts.call("mapping_result", (self._results, register_key(self._keys, uuid)), (uuid, text))

    async def results(self, uuids: Sequence[str]) -> list[str | None]:
        """Return the latest result of each mapping; None if there is none."""
        if not uuids:
            return []
        texts = await self._scripts.command("HMGET", self._results, *uuids)
        return [None if text is None else text.decode() for text in texts]

    async def remove_result(self, uuid: str) -> None:
        """Forget a mapping's result."""
        await self._scripts.command("HDEL", self._results, uuid)
