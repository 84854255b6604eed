"""The keeper's rule: environments may run only while the node's heartbeats are acknowledged. Standard library only.

The zygote judges with it; the node stamps each beat with the same clock. CLOCK_BOOTTIME goes on while the
machine sleeps, so that a node that slept too long finds its environments ended.
"""

from __future__ import annotations

import os
import struct
import time

LIMIT_S = 8.0
"""Seconds without an acknowledged heartbeat after which all environments are killed."""


def boottime() -> float:
    """Return seconds since the machine was started, sleep included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def note_beat(file: int, at: float) -> None:
    """Write down that a heartbeat was acknowledged at `at` (boottime), for `last_beat` in another process."""
    os.pwrite(file, struct.pack("d", at), 0)


def last_beat(file: int) -> float | None:
    """Return the last that `note_beat` has written; None: there has been none."""
    data = os.pread(file, 8, 0)
    return struct.unpack("d", data)[0] if data else None


class Keeper:
    """When environments must not run. Armed by the first beat; once expired, only another beat lets them run."""

    __slots__ = ("_last", "_limit_s", "is_fenced")

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._last: float | None = None
        self.is_fenced = False

    def beat(self, at: float | None) -> None:
        """Note the last heartbeat that was acknowledged, at `at` (boottime). One that is known changes nothing."""
        if at is not None and (self._last is None or at > self._last):
            self._last = at
            self.is_fenced = False

    def remaining(self, now: float) -> float | None:
        """Return the seconds left before the environments must end; None while that is not to be waited for."""
        return None if self._last is None or self.is_fenced else self._last + self._limit_s - now

    def expires(self, now: float) -> bool:
        """Say whether the time has run out just now; says so once."""
        remaining = self.remaining(now)
        if remaining is None or remaining > 0:
            return False
        self.is_fenced = True
        return True
