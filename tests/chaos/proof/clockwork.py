"""Wall clocks that can be shifted while a process runs; monotonic time is left alone.

The server's is shifted by libfaketime. A node's is shifted by a module that Python loads at its start: libfaketime
makes Python's own `time.sleep` fail now and then.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

PLACES = [Path("/usr/lib"), Path("/usr/local/lib"), Path("/lib")]
NAME = "libfaketime.so.1"

_SHIFTING = """
import os, threading, time

offset_ns, real = 0, time.time_ns

def read():
    global offset_ns
    while True:
        with open(os.environ["CHAOS_CLOCK"]) as file:
            offset_ns = int(file.read()) * 10**9
        time.sleep(0.2)

time.time_ns = lambda: real() + offset_ns
time.time = lambda: (real() + offset_ns) / 1e9
threading.Thread(target=read, daemon=True).start()
"""


def find_library() -> Path | None:
    """Return libfaketime as Debian and others install it; None if it is not there."""
    for place in PLACES:
        for pattern in (NAME, f"faketime/{NAME}", f"*/faketime/{NAME}", f"*/{NAME}"):
            for found in place.glob(pattern):
                return found
    return None


class ShiftedClock:
    """The wall clock of what is started with `environment`."""

    def __init__(self, file: Path, environment: Mapping[str, str]) -> None:
        self._file = file
        self.environment = environment
        self.shift(0)

    def shift(self, seconds: int) -> None:
        """Set the clock ahead by so much of the machine's; it takes effect within a second or two."""
        written = self._file.with_suffix(".new")
        written.write_text(f"{seconds:+d}\n")
        written.replace(self._file)


def server_clock(folder: Path) -> ShiftedClock | None:
    """Return a clock for a program of any kind; None without libfaketime."""
    library = find_library()
    if library is None:
        return None
    file = folder / "server.clock"
    environment = {
        "LD_PRELOAD": str(library),
        "FAKETIME_TIMESTAMP_FILE": str(file),
        "FAKETIME_CACHE_DURATION": "1",
        "DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    return ShiftedClock(file, environment)


def node_clock(folder: Path) -> ShiftedClock:
    """Return a clock for a Python program that is not isolated: a node, and nothing that it starts."""
    site = folder / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(_SHIFTING)
    file = folder / "node.clock"
    path = os.pathsep.join(filter(None, (str(site), os.environ.get("PYTHONPATH"))))
    return ShiftedClock(file, {"PYTHONPATH": path, "CHAOS_CLOCK": str(file)})
