"""The Lua scripts, read and joined once, when this module is imported.

A script is a file `scripts/<name>.lua`; a file whose name begins with `_` is a shared passage. A line
`--!include _passage` is replaced by that passage. A line `--!intake` marks a script that takes in new data: Redis
may refuse it whole when memory is full. The joined text never depends on data, so its SHA-1 names one release of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files

_INCLUDE = "--!include "
_INTAKE = "--!intake"


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """One script as it is sent: joined text, its SHA-1 in hex, and whether it takes in new data."""

    name: str
    text: str
    sha: str
    intake: bool

    @classmethod
    def of(cls, name: str, text: str) -> Script:
        """Build a script from its joined text."""
        return cls(
            name=name,
            text=text,
            sha=hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest(),
            intake=_INTAKE in text.splitlines(),
        )


def join(name: str, sources: Mapping[str, str]) -> str:
    """Return a source with its includes replaced, in place and once (passages include nothing)."""
    lines: list[str] = []
    for line in sources[name].splitlines():
        if line.startswith(_INCLUDE):
            lines.extend(sources[line.removeprefix(_INCLUDE).strip()].splitlines())
        else:
            lines.append(line)
    return "\n".join(lines) + "\n"


def _load() -> dict[str, Script]:
    sources = {
        entry.name.removesuffix(".lua"): entry.read_text(encoding="utf-8")
        for entry in files("eventrouter.store").joinpath("scripts").iterdir()
        if entry.name.endswith(".lua")
    }
    return {name: Script.of(name, join(name, sources)) for name in sorted(sources) if not name.startswith("_")}


SCRIPTS: Mapping[str, Script] = _load()
"""Every script by name."""

_TIME = "redis.call('TIME')"
_STEP = "math.min(step, 2000)"


def travelling(offset_key: str | None = None) -> Mapping[str, Script]:
    """Return the scripts for an installation whose time travels: lease time follows every step of the clock.

    `offset_key` holds by how many milliseconds the server's own time is ahead; None: the server's time travels itself.
    Only for a standalone server, which lets scripts read a key that they do not declare.
    """
    time = _TIME
    if offset_key is not None:
        time = (
            f"(function() local t, o = {_TIME}, tonumber(redis.call('GET', '{offset_key}') or 0); "
            "local us = t[1] * 1000000 + t[2] + o * 1000; "
            "return {math.floor(us / 1000000), us % 1000000} end)()"
        )
    return {
        name: Script.of(name, script.text.replace(_TIME, time).replace(_STEP, "step"))
        for name, script in SCRIPTS.items()
    }
