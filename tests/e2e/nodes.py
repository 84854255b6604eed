"""A node as users run it: a process of its own, reached over HTTP only. Ended by its own process id."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


class NodeProcess:
    """`eventrouter dev`, or `serve` where a Redis URL is given, on a free port; may be ended and started again."""

    def __init__(
        self, data_dir: Path, *, redis_url: str | None = None, environment: Mapping[str, str] | None = None
    ) -> None:
        self.data_dir = data_dir
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.output = data_dir.with_name(f"{data_dir.name}.log")
        self._redis_url = redis_url
        self._environment = {**os.environ, "EVENTROUTER_LOG_FORMAT": "json", **(environment or {})}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "the node has not been started"
        return self._process

    def start(self, *arguments: str) -> NodeProcess:
        """Start the node and wait until it takes invocations."""
        mode = ["serve", "--redis-url", self._redis_url] if self._redis_url else ["dev"]
        command = [sys.executable, "-m", "eventrouter", *mode, "--port", str(self.port)]
        command += ["--data-dir", str(self.data_dir), *arguments]
        with self.output.open("ab") as output:
            self._process = subprocess.Popen(
                command, env=self._environment, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
            )
        wait_until("the node to be ready", self._has_started, seconds=30)
        return self

    def kill(self) -> None:
        """End the process as a crash would."""
        self.process.kill()
        self.process.wait(10)

    def terminate(self) -> None:
        """Ask the process to drain and end."""
        self.process.send_signal(signal.SIGTERM)

    def stop(self) -> None:
        """Let the node drain; kill it if it does not end."""
        if self._process is None or self._process.poll() is not None:
            return
        self.terminate()
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.kill()

    def log(self) -> str:
        return self.output.read_text(errors="replace")

    def metric(self, name: str, function: str) -> float:
        """Return a counter's value for one function, 0 while it has none."""
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=10) as answer:
            lines = answer.read().decode().splitlines()
        wanted = f'eventrouter_{name}_total{{FunctionName="{function}"}}'
        return next((float(line.rpartition(" ")[2]) for line in lines if line.startswith(wanted)), 0.0)

    def is_ready(self) -> bool:
        """Say whether the node takes invocations now."""
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=2) as answer:
                return bool(answer.status == 200)
        except urllib.error.HTTPError as refusal:
            refusal.close()
            return False
        except OSError:
            return False

    def _has_started(self) -> bool:
        assert self.process.poll() is None, f"the node ended with {self.process.returncode}:\n{self.log()[-4000:]}"
        return self.is_ready()


@contextmanager
def shared_folder() -> Iterator[Path]:
    """Make a folder that functions see too: they have a /tmp of their own, so it lies elsewhere."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="er-", dir=memory if memory.is_dir() else None) as folder:
        yield Path(folder)


def free_port() -> int:
    """Return a TCP port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(what: str, condition: Callable[[], T], *, seconds: float = 15, poll_s: float = 0.02) -> T:
    """Return the first truthy answer of `condition`. Fails after `seconds`, naming `what` did not come."""
    deadline = time.monotonic() + seconds
    while True:
        answer = condition()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"waited {seconds:g} s in vain for {what}"
        time.sleep(poll_s)
