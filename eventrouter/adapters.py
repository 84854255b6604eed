"""Finds adapters by the entry-point group `eventrouter.adapters`: ours and anybody's, the same way."""

from __future__ import annotations

from functools import cache
from importlib.metadata import EntryPoint, entry_points

from eventrouter.errors import ConfigError
from eventrouter.ports import Adapter, AdapterContext

GROUP = "eventrouter.adapters"


def load_adapters(context: AdapterContext) -> list[Adapter]:
    """Build every installed adapter, in the order of their names.

    Raises ConfigError, naming the adapter, if one cannot be imported or built.
    """
    adapters: list[Adapter] = []
    for point in _installed():
        try:
            adapters.append(point.load()(context))
        except Exception as error:
            raise ConfigError(f"the adapter {point.name!r} ({point.value}) does not load: {error}") from error
    return adapters


@cache
def _installed() -> tuple[EntryPoint, ...]:
    """Return what is installed, by name; looked up once, for tests that start many nodes."""
    return tuple(sorted(entry_points(group=GROUP), key=lambda point: point.name))
