"""Load made by wrk: one request again and again over connections that are kept."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

MISSING = "wrk is not installed: apt-get install wrk"
_SCRIPT = Path(__file__).with_name("wrk.lua")


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What wrk saw."""

    per_second: float
    p50_ms: float
    p99_ms: float


def is_installed() -> bool:
    return shutil.which("wrk") is not None


def load(url: str, body: str, headers: Mapping[str, str], *, connections: int, seconds: int) -> Load:
    """POST `body` to `url` for `seconds`. Raises RuntimeError if any answer was missing or not a success."""
    request = [body, *(part for header in headers.items() for part in header)]
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(_SCRIPT), url, "--", *request]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 30, check=True)
    result = json.loads(answer.stdout.partition("RESULT ")[2])
    if result["broken"] or result["refused"]:
        raise RuntimeError(f"{result['broken']} broken and {result['refused']} refused of {result['requests']}: {url}")
    return Load(per_second=result["requests"] / result["seconds"], p50_ms=result["p50_ms"], p99_ms=result["p99_ms"])
