"""`python -m tests.chaos.proof`: three nodes, a server, load on every plane, and faults until the time is up; then the
judge, and a report in `chaos-report/`. Exit code 0: every promise was kept."""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path

from tests.chaos.proof.run import Wanted, run

REPLICATED_SHARE = 0.25
"""How much of the time goes to the nodes on replicated servers."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.proof", description=__doc__)
    parser.add_argument("--minutes", type=float, default=4, help="how long all of it may take")
    parser.add_argument("--events", type=int, default=100_000, help="events to send; fewer if the time is up first")
    parser.add_argument("--kills", type=int, default=200, help="environments to kill, beside all other faults")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--servers", choices=("both", "one", "replicated"), default="both")
    parser.add_argument("--server", default=None, help="the one server's program; default: the embedded Valkey's")
    parser.add_argument("--report", type=Path, default=Path("chaos-report"))
    given = parser.parse_args()
    shares = {"one": 1 - REPLICATED_SHARE, "replicated": REPLICATED_SHARE}
    if given.servers != "both":
        shares = {given.servers: 1}
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that everything is ended and given back
    codes = [
        run(
            Wanted(
                minutes=given.minutes * share,
                events=given.events if kind == given.servers or kind == "one" else given.events // 10,
                kills=given.kills if kind == given.servers or kind == "one" else given.kills // 10,
                seed=given.seed,
                is_replicated=kind == "replicated",
                server=given.server,
                report=given.report.absolute() / ("" if kind == "one" else kind),
            )
        )
        for kind, share in shares.items()
    ]
    return max(codes)


if __name__ == "__main__":
    sys.exit(main())
