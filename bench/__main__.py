"""Measure: `python -m bench [NAME ...] [--quick] [--json FILE] [--check]`. Without names, everything."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

from bench.measure import FULL, QUICK, Report

if TYPE_CHECKING:
    from collections.abc import Sequence

BENCHMARKS = (
    "sync_http",
    "async_drain",
    "stream_drain",
    "queue_mapping",
    "stream_latency",
    "rebalance",
    "put_records",
    "idle_shards",
    "rq_jobs",
    "cold_start",
    "hot_reload",
    "idle",
    "runtime",
    "testing_kit",
)


def main(arguments: Sequence[str]) -> int:
    """Run the named benchmarks one after the other and print their tables as they come."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)}; none: all")
    parser.add_argument("--quick", action="store_true", help="one small round of each: a look, not a measurement")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures, with the values of each round")
    parser.add_argument("--check", action="store_true", help="end with 1 if a target is missed")
    options = parser.parse_args(arguments)
    unknown = [name for name in options.names if name not in BENCHMARKS]
    if unknown:
        parser.error(f"no benchmark is called {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}")
    reports = [_run(name, quick=options.quick) for name in options.names or BENCHMARKS]
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(_document(reports, quick=options.quick), indent=2) + "\n")
    missed = [figure.name for report in reports for figure in report.figures if not figure.holds]
    if missed:
        print(f"targets missed: {'; '.join(missed)}")
    return 1 if any(report.failed for report in reports) or (missed and options.check) else 0


def _run(name: str, *, quick: bool) -> Report:
    """Run one benchmark. What goes wrong is its own affair: the others are measured all the same."""
    began = time.monotonic()
    try:
        with tempfile.TemporaryDirectory(prefix="eventrouter-bench-") as folder:
            report: Report = importlib.import_module(f"bench.{name}").measure(QUICK if quick else FULL, Path(folder))
    except Exception:
        report = Report(benchmark=name, what="FAILED", notes=tuple(traceback.format_exc().splitlines()), failed=True)
    print(f"\n{report.as_text()}\n  ({time.monotonic() - began:.0f} s)", flush=True)
    return report


def _document(reports: Sequence[Report], *, quick: bool) -> dict[str, object]:
    machine = {
        "cores": os.cpu_count(),
        "load": os.getloadavg(),
        "python": platform.python_version(),
        "system": platform.platform(),
    }
    return {"quick": quick, "machine": machine, "reports": [report.as_json() for report in reports]}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
