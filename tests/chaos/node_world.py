"""Nodes on one Valkey, load on what they work on, and the hand that kills things."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Generic, Protocol, TypeVar

from tests.chaos.history import Fault, Timed
from tests.chaos.processes import descendants, is_alive
from tests.chaos.servers import ValkeyProcess
from tests.e2e.accounts import Account
from tests.e2e.nodes import NodeProcess, wait_until

QUICK = {"EVENTROUTER_MAPPING_MAX_BACKOFF_S": "1"}


class HomedRun(Timed, Protocol):
    """One run. `home` is the process that the environment belongs to: one per node."""

    @property
    def home(self) -> int: ...


class Source(Protocol):
    """What a mapping reads, and the runs it led to."""

    @property
    def faults(self) -> list[Fault]: ...
    def batches(self) -> Sequence[HomedRun]: ...
    def in_flight(self) -> Sequence[HomedRun]: ...


S = TypeVar("S", bound=Source)


class Load:
    """A thread that takes a step again and again, until it is stopped."""

    def __init__(self, random: Random, step: Callable[[Random], object]) -> None:
        self._random = random
        self._step = step
        self._enough = threading.Event()
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Say that it is enough."""
        self._enough.set()

    def stop(self) -> None:
        """End the load, and wait until it has ended."""
        self.end()
        self._thread.join(60)
        assert not self._thread.is_alive()
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        try:
            while not self._enough.wait(0.1 + 0.2 * self._random.random()):
                self._step(self._random)
        except Exception as error:
            self._failure = error


class NodeWorld(Generic[S]):
    """One account on one or two nodes. Callers use the first node; the others only work."""

    def __init__(self, folder: Path, valkey: ValkeyProcess, *, nodes: int, seed: int) -> None:
        print(f"seed {seed}")
        self.random = Random(seed)
        self.valkey = valkey
        self.nodes = [
            NodeProcess(folder / f"node-{at}", redis_url=valkey.url, environment=QUICK) for at in range(nodes)
        ]
        self.feeds: list[S] = []
        self._loads: list[Load] = []
        self._folder = folder
        starters = [threading.Thread(target=node.start) for node in self.nodes]
        for starter in starters:
            starter.start()
        for starter in starters:
            starter.join()
        for node in self.nodes:
            wait_until("every node to be ready", node.is_ready)
        self.account = Account(self.nodes[0].url)

    def keep_on(self, step: Callable[[Random], object]) -> None:
        """Take this step again and again, until the load is ended."""
        self._loads.append(Load(Random(self.random.random()), step))

    def end_load(self) -> None:
        """End all load. Fails with what a step failed with."""
        for load in self._loads:
            load.stop()
        self._loads.clear()

    def in_flight_on(self, node: NodeProcess, feed: S) -> list[HomedRun]:
        """Return the batches of a feed that run on a node now."""
        below = set(descendants(node.process.pid))
        return [batch for batch in feed.in_flight() if batch.home in below]

    def kill_environment(self, pid: int) -> None:
        with self.fault(f"environment {pid}", {pid}):
            os.kill(pid, signal.SIGKILL)
        wait_until(f"{pid} to be gone", lambda: not is_alive(pid))

    def kill_node(self, node: NodeProcess) -> None:
        """Kill a node; its environments end with it."""
        below = set(descendants(node.process.pid))
        with self.fault("node", below):
            node.kill()
            wait_until("its processes to be gone", lambda: not [pid for pid in below if is_alive(pid)])

    @contextmanager
    def stopped(self, node: NodeProcess) -> Iterator[None]:
        """Stop a node for the length of the block, which begins once its environments have been ended."""
        below = set(descendants(node.process.pid))
        with self.fault("stopped node", below):
            node.process.send_signal(signal.SIGSTOP)
            running = {batch.pid for feed in self.feeds for batch in feed.in_flight() if batch.home in below}
            wait_until("its environments to be ended", lambda: not [pid for pid in running if is_alive(pid)])
        yield
        node.process.send_signal(signal.SIGCONT)

    @contextmanager
    def fault(self, what: str, processes: set[int] | None = None) -> Iterator[None]:
        """Note a fault that lasts from the beginning of the block to its end, and the environments that it hits."""
        began = time.monotonic_ns()
        yield
        until = time.monotonic_ns()
        for feed in self.feeds:
            hit = None
            if processes is not None:
                hit = frozenset(b.pid for b in feed.batches() if b.pid in processes or b.home in processes)
            feed.faults.append(Fault(what, began, until, hit))

    def close(self) -> None:
        for load in self._loads:
            load.end()
        self.account.close()
        for node in self.nodes:
            if node.process.poll() is None:
                node.process.send_signal(signal.SIGCONT)
                node.terminate()
        for node in self.nodes:
            node.stop()
