"""kill -9 of the process that forks and keeps the environments, in the middle of a backlog."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from tests.chaos.processes import descendants
from tests.chaos.servers import ValkeyProcess
from tests.chaos.world import world
from tests.e2e.nodes import wait_until


@pytest.mark.parametrize("reserved", [1, 3])
def test_a_killed_keeper_costs_what_was_in_flight_and_no_more(
    folder: Path, valkey: ValkeyProcess, reserved: int
) -> None:
    with world(folder, reserved=reserved, valkey=valkey) as here:
        here.send(300, 0.01)
        wait_until("some work", lambda: len(here.history.done()) >= 30)
        keeper = max(descendants(here.node.process.pid), key=lambda pid: len(descendants(pid)))
        began = time.monotonic()
        with here.fault("keeper"):
            os.kill(keeper, signal.SIGKILL)

        done = len(here.history.done())
        wait_until("work to go on", lambda: len(here.history.done()) >= done + 30, seconds=10)

        assert time.monotonic() - began < 10
        here.settle()
        assert here.node.log().count("invocation.faulted") <= 100, "a lane went on with an environment that was gone"
