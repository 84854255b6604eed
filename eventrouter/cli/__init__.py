"""The command line. Each command lives in a module of its own and is imported when it is called.

Exit codes: 0 done (a node: stopped and drained) · 1 an error, told on stderr · 2 wrong usage · 130 cut short by
SIGINT · 143 cut short by SIGTERM.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from eventrouter import __version__


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. `--version` alone loads nothing but this module."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given == ["--version"]:
        print(f"eventrouter {__version__}")
        return 0
    from eventrouter.cli.app import run

    return run(given)
