"""The history of a chaos run: JSON lines, one file per writer, merged after the run.

All times `t` are CLOCK_MONOTONIC nanoseconds of the one machine, which all network namespaces share and which a shifted
wall clock does not move. What writes stands outside everything that is killed; functions append for themselves, one
write a line. Records: `inv`, `ok`, `fail`, `info` of whoever sends; `start`, `end` of whatever runs; `fault` of the
nemesis; `deploy`, `dest`, `probe` and `final` of the runner.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Note = dict[str, Any]


class Recorder:
    """One writer's file."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", buffering=1 << 16, encoding="utf-8")

    def note(self, what: str, *, t: int | None = None, **fields: Any) -> int:
        """Write one record, at `t` or now; return its time."""
        t = time.monotonic_ns() if t is None else t
        self._file.write(json.dumps({"what": what, "t": t, **fields}, separators=(",", ":")) + "\n")
        return t

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        self._file.close()


def read_notes(path: Path) -> Iterator[Note]:
    """Read one writer's records; a last line that was cut short is left out."""
    if not path.exists():
        return
    with path.open("rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                yield json.loads(line)


def merge(folder: Path) -> list[Note]:
    """Read all writers' records, in the order of time."""
    found = [note for path in sorted(folder.glob("*.jsonl")) for note in read_notes(path)]
    found.sort(key=lambda note: note["t"])
    return found
