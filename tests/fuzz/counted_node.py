"""A node that can be asked how many asyncio tasks it has: `python -m tests.fuzz.counted_node FILE dev ...`.

SIGUSR2 has it write the names of its tasks to FILE, a line each.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any


def main() -> None:
    """Run the command line with the handler in place."""
    file = Path(sys.argv.pop(1))
    loops: list[asyncio.AbstractEventLoop] = []
    begin = asyncio.Runner.run

    def run(self: asyncio.Runner, *arguments: Any, **named: Any) -> Any:
        loops.append(self.get_loop())
        return begin(self, *arguments, **named)

    def tell(number: int, frame: FrameType | None) -> None:
        tasks = [task for loop in loops for task in asyncio.all_tasks(loop)]
        scratch = file.with_suffix(f".{os.getpid()}")
        scratch.write_text("".join(f"{task.get_name()}\n" for task in tasks))
        scratch.rename(file)

    asyncio.Runner.run = run  # type: ignore[method-assign]
    signal.signal(signal.SIGUSR2, tell)
    from eventrouter.cli import main as command

    command()


if __name__ == "__main__":
    main()
