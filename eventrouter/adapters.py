"""Finds adapters by the entry-point group `eventrouter.adapters`: ours and anybody's, the same way."""

from __future__ import annotations

from importlib.metadata import entry_points

from eventrouter.errors import ConfigError
from eventrouter.ports import Adapter, AdapterContext

GROUP = "eventrouter.adapters"


def load_adapters(context: AdapterContext) -> list[Adapter]:
    """Build every installed adapter, in the order of their names.

    Raises ConfigError, naming the adapter, if one cannot be imported or built.
    """
    adapters: list[Adapter] = []
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        try:
            adapters.append(point.load()(context))
        except Exception as error:
            raise ConfigError(f"the adapter {point.name!r} ({point.value}) does not load: {error}") from error
    return adapters
