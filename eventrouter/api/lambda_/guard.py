"""Refuses what the registry says is refused, before an operation sees it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from eventrouter.api.lambda_.errors import invalid
from eventrouter.api.registry import Entry, Refused
from eventrouter.ports import Caller, Operation


def guarded(name: str, operation: Operation, members: Mapping[str, Entry]) -> Operation:
    """Wrap an operation: a request that sets a refused member never reaches it.

    False, empty text and empty lists or maps set nothing.
    """
    refused = {path: entry for path, entry in members.items() if isinstance(entry, Refused)}

    async def call(caller: Caller, values: Mapping[str, Any]) -> Mapping[str, Any]:  # Any: model values
        for path in given_members(values):
            entry = refused.get(path)
            if entry is not None:
                raise invalid(entry.message or f"{path} of {name} is not supported by eventrouter: {entry.why}")
        return await operation(caller, values)

    return call


def given_members(values: Mapping[str, Any], prefix: str = "") -> Iterator[str]:  # Any: model values
    """Yield the registry path of every member that is set."""
    for name, value in values.items():
        path = f"{prefix}{name}"
        if value in (None, False, "", b"", [], {}):
            continue
        yield path
        if isinstance(value, Mapping):
            yield from given_members(value, f"{path}.")
        elif isinstance(value, list):
            for item in value:
                if isinstance(item, Mapping):
                    yield from given_members(item, f"{path}[].")
