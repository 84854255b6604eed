"""The node's side of the zygote: starts it, asks it for processes, hears how they end."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from eventrouter.errors import RuntimeFault
from eventrouter.runtime import keeper

START_LIMIT_S = 30.0
_MESSAGE_BYTES = 262_144
_SOURCE = Path(__file__).resolve().parents[2]
# Isolated, so that nothing of the node's directory or PYTHON* variables reaches functions. The path of this
# package goes first, and only for as long as the zygote imports its own modules: it must be the same source.
_START = (
    "import sys; sys.path.insert(0, sys.argv.pop()); "
    "from eventrouter.runtime.zygote import main; sys.path.pop(0); main()"
)
_ENVIRON = {"LANG": "C.UTF-8", "PATH": "/usr/local/bin:/usr/bin:/bin"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Exit:
    """How a process ended: its exit code, negative for a signal. `fault` names a reason that is ours."""

    code: int = 0
    max_rss_kb: int = 0
    fault: str | None = None


class Spawned(Protocol):
    """Who is told about a process."""

    pid: int | None

    def born(self, pid: int) -> None: ...
    def ended(self, how: Exit) -> None: ...


class ZygoteLink:
    """One zygote. It never comes back: when it is gone, `is_alive` is False and a new link is needed."""

    def __init__(
        self, *, keeper_s: float, wants_sandbox: bool, inherit_fds: tuple[int, ...], on_fenced: Callable[[], None]
    ) -> None:
        self.is_alive = False
        self.is_sandboxed = False
        self.resident_kb = 0
        self.not_applied: list[str] = []
        self._on_fenced = on_fenced
        self._keeper_s = keeper_s
        self._wanted = "sandbox" if wants_sandbox else "plain"
        self._inherit_fds = inherit_fds
        self._beats = os.memfd_create("beats", os.MFD_CLOEXEC)
        self._loop = asyncio.get_running_loop()
        self._processes: dict[int, Spawned] = {}
        self._faults: dict[int, str] = {}
        self._last = 0
        self._unsent: deque[tuple[bytes, tuple[int, ...]]] = deque()
        self._ready: asyncio.Future[None] = self._loop.create_future()

    async def start(self) -> None:
        """Start the zygote and wait until it can fork. Raises RuntimeFault."""
        self._launch()
        self.is_alive = True
        self._loop.add_reader(self._socket.fileno(), self._on_readable)
        try:
            async with asyncio.timeout(START_LIMIT_S):
                await asyncio.shield(self._ready)
        except TimeoutError:
            await self.close()
            raise RuntimeFault(f"the zygote was not ready within {START_LIMIT_S:.0f} s") from None
        except BaseException:
            await self.close()
            raise

    def _launch(self) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket.setblocking(False)
        told = (theirs.fileno(), self._beats, self._keeper_s, self._wanted, os.getpid(), _SOURCE)
        try:
            self._popen = subprocess.Popen(
                [sys.executable, "-I", "-X", "utf8", "-c", _START, *map(str, told)],
                env=_ENVIRON,
                stdin=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(), self._beats, *self._inherit_fds),
                start_new_session=True,
            )
        except OSError as error:
            self._socket.close()
            os.close(self._beats)
            raise RuntimeFault(f"the zygote could not be started: {error}") from error
        finally:
            theirs.close()

    def spawn(self, process: Spawned, request: dict[str, Any], fds: tuple[int, ...]) -> int:
        """Ask for a process; `process` hears its pid and its end. `fds` are taken over and closed."""
        self._last += 1
        self._processes[self._last] = process
        self._send({"op": "start", "number": self._last, **request}, fds)
        if not self.is_alive:
            self._loop.call_soon(self._ended, self._last, Exit(fault="the zygote is gone"))
        return self._last

    def kill(self, number: int) -> None:
        """Kill the process and its group. Its end is told as any other; harmless if it has ended."""
        self._send({"op": "kill", "number": number})

    def give_up(self, number: int, reason: str) -> None:
        """Kill a process for a `reason` that is ours, not its own."""
        self._faults[number] = reason
        self.kill(number)

    def beat(self, at: float) -> None:
        """Pass on a heartbeat that was acknowledged at `at` (boottime)."""
        if self.is_alive:
            keeper.note_beat(self._beats, at)

    def kill_zygote(self) -> None:
        """Kill a zygote that does not answer. Its processes are killed too, and told as ended."""
        self._popen.kill()
        self._gone()

    async def close(self) -> None:
        """End the zygote with everything that it started, and wait until it is gone."""
        self._gone()
        try:
            await self._loop.run_in_executor(None, self._popen.wait, 10.0)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            await self._loop.run_in_executor(None, self._popen.wait)

    def _send(self, message: dict[str, Any], fds: tuple[int, ...] = ()) -> None:
        if not self.is_alive:
            _close(fds)
            return
        self._unsent.append((json.dumps(message).encode(), fds))
        if len(self._unsent) == 1:
            self._flush()

    def _flush(self) -> None:
        while self._unsent:
            data, fds = self._unsent[0]
            try:
                socket.send_fds(self._socket, [data], fds)
            except BlockingIOError:
                self._loop.add_writer(self._socket.fileno(), self._flush)
                return
            except OSError:
                # Soon, not now: whoever sends does not expect to be told of an end in the middle of it.
                self._loop.call_soon(self._gone)
                return
            _close(fds)
            self._unsent.popleft()
        self._loop.remove_writer(self._socket.fileno())

    def _on_readable(self) -> None:
        while self.is_alive:
            try:
                data = self._socket.recv(_MESSAGE_BYTES)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                self._gone()
                return
            self._heard(json.loads(data))

    def _heard(self, message: dict[str, Any]) -> None:
        match message["op"]:
            case "exited":
                fault = self._faults.pop(message["number"], None)
                how = Exit(code=message["code"], max_rss_kb=message["max_rss_kb"], fault=fault)
                self._ended(message["number"], how)
            case "started":
                self._processes[message["number"]].born(message["pid"])
            case "broken":
                self._faults[message["number"]] = message["reason"]
            case "fenced":
                self._on_fenced()
            case "ready":
                self.not_applied = message["not_applied"]
                self.is_sandboxed = message["sandboxed"]
                self.resident_kb = message["resident_kb"]
                if not self._ready.done():
                    self._ready.set_result(None)

    def _ended(self, number: int, how: Exit) -> None:
        process = self._processes.pop(number, None)
        if process is not None:
            process.ended(how)

    def _gone(self) -> None:
        """The zygote is gone, or is being sent away: its children die with it, their groups by our hand."""
        if not self.is_alive:
            return
        self.is_alive = False
        self._loop.remove_reader(self._socket.fileno())
        self._loop.remove_writer(self._socket.fileno())
        self._socket.close()
        os.close(self._beats)
        for _, fds in self._unsent:
            _close(fds)
        self._unsent.clear()
        if not self._ready.done():
            self._ready.set_exception(RuntimeFault("the zygote ended while it started"))
            self._ready.exception()  # seen: nobody may be waiting any more
        for number, process in list(self._processes.items()):
            if process.pid is not None:
                _kill_group(process.pid)
            self._ended(number, Exit(fault="the zygote is gone"))


def _close(fds: tuple[int, ...]) -> None:
    for fd in fds:
        os.close(fd)


def _kill_group(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass
