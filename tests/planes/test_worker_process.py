"""The process beside the node: started once, started again when it dies, ended with the node."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from eventrouter.clock import SystemClock
from eventrouter.logging import get_logger
from eventrouter.planes import worker_process
from eventrouter.planes.worker_process import BACKOFF_FIRST_S, WorkerProcess

pytestmark = pytest.mark.integration

DEADLINE_S = 20.0
WAITS = "import time; time.sleep(60)"
STUBBORN = """
import os, pathlib, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
pathlib.Path(os.environ["READY"]).touch()
time.sleep(60)
"""


@dataclass
class Ends:
    """Counts how often a process ended."""

    count: int = 0

    def __call__(self) -> None:
        self.count += 1


@asynccontextmanager
async def a_worker(code: str, **environment: str) -> AsyncIterator[tuple[WorkerProcess, Ends]]:
    ends = Ends()
    worker = WorkerProcess(
        command=lambda: (sys.executable, "-c", code),
        environment=environment,
        on_end=ends,
        clock=SystemClock(),
        log=get_logger(),
    )
    try:
        yield worker, ends
    finally:
        await worker.stop()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not condition():
            await asyncio.sleep(0.01)


def pid_of(worker: WorkerProcess) -> int:
    assert worker._process is not None
    return worker._process.pid


def run(scenario: Awaitable[None]) -> None:
    async def main() -> None:
        await scenario

    asyncio.run(main())


def test_one_process_runs_and_ends_with_its_node() -> None:
    async def scenario() -> None:
        async with a_worker(WAITS) as (worker, ends):
            await worker.start()
            pid = pid_of(worker)
            await worker.start()
            assert pid_of(worker) == pid
        assert not worker.is_running
        assert ends.count == 1
        assert not Path(f"/proc/{pid}").exists()
        await worker.start()
        assert not worker.is_running

    run(scenario())


def test_a_process_that_does_not_end_when_asked_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_process, "STOP_TIMEOUT_S", 0.1)

    async def scenario() -> None:
        async with a_worker(STUBBORN, READY=str(tmp_path / "ready")) as (worker, _):
            await worker.start()
            pid = pid_of(worker)
            await until((tmp_path / "ready").exists)
        assert not Path(f"/proc/{pid}").exists()

    run(scenario())


@pytest.mark.parametrize("code", ["pass", "raise SystemExit(3)", "import os; os.kill(os.getpid(), 9)"])
def test_a_process_that_ends_soon_is_started_again_after_longer_and_longer_pauses(code: str) -> None:
    async def scenario() -> None:
        async with a_worker(code) as (worker, ends):
            waits = []
            for ended in (1, 2):
                await worker.start()
                await until(lambda ended=ended: ends.count == ended)  # type: ignore[misc]
                waits.append(worker.wait_s)
                await worker.start()
                assert not worker.is_running
                await asyncio.sleep(worker.wait_s)
            assert waits == pytest.approx([BACKOFF_FIRST_S, 2 * BACKOFF_FIRST_S], abs=0.3)

    run(scenario())


def test_a_process_that_has_lived_a_while_may_be_followed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_process, "LIVED_S", 0.0)

    async def scenario() -> None:
        async with a_worker("pass") as (worker, ends):
            await worker.start()
            await until(lambda: ends.count == 1)
            assert worker.wait_s == 0
            await worker.start()
            assert worker.is_running

    run(scenario())
