"""The server of a simulation: the in-memory one, which also loses its last writes, is full, or has a wrong clock."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

from eventrouter.testing import memory
from eventrouter.testing.memory import MemoryServer


class SimServer(MemoryServer):
    """One server, whatever happens to it."""

    def __init__(self, now: Callable[[], float], on_change: Callable[[bytes], None]) -> None:
        """`now` is the time that it should show, in seconds since the epoch."""
        self.ahead_s = 0.0
        self._clocks: set[bytes] = set()

        def changed(key: bytes) -> None:
            if key.endswith(b"}:clk") and key not in self._clocks:
                self._clocks.add(key)
                self._lua[b"clock"](key)
            on_change(key)

        super().__init__(lambda: now() + self.ahead_s, on_change=changed)
        self._lua = self._extend()

    def _extend(self) -> Any:
        """Start a Lua runtime whose inside can be reached, with `server.lua` on top."""
        lua = memory.LuaRuntime(  # type: ignore[attr-defined]  # whichever it has found
            encoding=None, unpack_returned_tuples=True, register_eval=False
        )
        server = lua.table()
        server[b"sha1hex"] = memory._sha1hex  # what a server is made of
        folder = files("eventrouter.testing")
        for part in memory.PARTS:
            lua.compile(folder.joinpath(f"{part}.lua").read_bytes(), name=b"@" + part.encode())(server)
        lua.compile((Path(__file__).parent / "server.lua").read_bytes(), name=b"@simulation")(server)
        self._run = server[b"run"]
        return server

    def command(self, *parts: str | bytes | int) -> Any:
        """Run one command at once, outside of every fault."""
        from eventrouter.store.connect import pack

        replies: list[Any] = []
        self.run(pack(tuple(parts)), 1, 0, replies)
        return replies[0]

    def save(self, name: bytes) -> None:
        """Remember all that is stored now."""
        self._lua[b"now"] = round(self._now() * 1_000)
        self._lua[b"save"](name)

    def load(self, name: bytes) -> None:
        """Go back to what was remembered. Scripts are forgotten too, as by a restart."""
        self._lua[b"load"](name)
        self.command("SCRIPT", "FLUSH")

    def leap(self, seconds: float) -> None:
        """Let lease time go along with a leap of virtual time, as nodes' looks every second would."""
        self._lua[b"now_us"] = round(self._now() * 1_000_000)
        self._lua[b"leap"](round(seconds * 1_000))

    def fill(self, *, is_full: bool) -> None:
        """Have no memory left, or some again."""
        self._lua[b"fill"](is_full)

    def wake_readers(self) -> None:
        """Have blocked reads look at their time again."""
        self._wake(tuple(self._waiting))
