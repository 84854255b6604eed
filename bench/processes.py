"""Start, watch and end the processes that a benchmark needs, each by its own id."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

ROOT = Path(__file__).resolve().parent.parent
_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Child:
    """A process that we started, and the file its output goes to."""

    process: subprocess.Popen[bytes]
    output: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    def stop(self, patience_s: float = 15.0) -> None:
        """Ask the process to end, and kill it if it does not."""
        if self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(patience_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(5)

    def wait_until(self, what: str, condition: Callable[[], bool], *, seconds: float, poll_s: float = 0.01) -> None:
        """Return once `condition()` holds. Raises RuntimeError with the process's output if it never does."""
        deadline = time.monotonic() + seconds
        while not condition():
            if self.process.poll() is not None or time.monotonic() > deadline:
                tail = self.output.read_text(errors="replace")[-4000:]
                raise RuntimeError(f"no {what} within {seconds:g} s from {self.process.args!r}:\n{tail}")
            time.sleep(poll_s)


@contextmanager
def running(command: Sequence[str], *, output: Path, env: Mapping[str, str] | None = None) -> Iterator[Child]:
    """Run `command` in the repository's root for the length of the block; `env` is added to our own."""
    with output.open("ab") as file:
        process = subprocess.Popen(
            list(command), cwd=ROOT, env={**os.environ, **(env or {})}, stdout=file, stderr=subprocess.STDOUT
        )
    child = Child(process, output)
    try:
        yield child
    finally:
        child.stop()


def free_port() -> int:
    """Return a TCP port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answers(url: str) -> bool:
    """Say whether a GET of `url` is answered with 200."""
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What one process holds and has used so far."""

    pid: int
    name: str
    rss_mb: float
    pss_mb: float
    cpu_s: float
    wakeups: int


def usage(pid: int) -> Usage:
    """Read a process's memory, CPU time and voluntary context switches (all threads) from /proc."""
    process = Path("/proc") / str(pid)
    fields = process.joinpath("stat").read_text().rpartition(")")[2].split()
    command = process.joinpath("cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    switches = [_number(task / "status", "voluntary_ctxt_switches:") for task in process.joinpath("task").iterdir()]
    return Usage(
        pid=pid,
        name=command[:70],
        rss_mb=_number(process / "status", "VmRSS:") / 1024,
        pss_mb=_number(process / "smaps_rollup", "Pss:") / 1024,
        cpu_s=(int(fields[11]) + int(fields[12])) / _TICKS_PER_SECOND,
        wakeups=sum(switches),
    )


def descendants(pid: int) -> list[int]:
    """Return the ids of all processes below `pid`, parents first."""
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in task.joinpath("children").read_text().split():
            found += [int(child), *descendants(int(child))]
    return found


def _number(path: Path, label: str) -> int:
    for line in path.read_text().splitlines():
        if line.startswith(label):
            return int(line.split()[1])
    return 0
