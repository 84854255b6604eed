"""Refuses what the registry says is refused, before an operation sees it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from eventrouter.api.registry import Entry, Refused
from eventrouter.ports import Caller, Operation
from eventrouter_adapters.eventbridge import errors


def guarded(name: str, operation: Operation, members: Mapping[str, Entry]) -> Operation:
    """Wrap an operation: a request that sets a refused member never reaches it."""
    refused = {path: entry for path, entry in members.items() if isinstance(entry, Refused)}
    if not refused:
        return operation

    async def call(caller: Caller, values: Mapping[str, Any]) -> Mapping[str, Any]:
        for path in _given(values):
            if entry := refused.get(path):
                raise errors.invalid(f"{path} of {name} is not supported by eventrouter: {entry.why}.")
        return await operation(caller, values)

    return call


def _given(values: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Yield the registry path of every member that is set, those within structures first."""
    for name, value in values.items():
        path = f"{prefix}{name}"
        if isinstance(value, Mapping):
            yield from _given(value, f"{path}.")
        elif isinstance(value, list):
            for item in value:
                if isinstance(item, Mapping):
                    yield from _given(item, f"{path}[].")
        if value is not None:
            yield path
