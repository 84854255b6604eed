"""A node under fire: what it holds, how a decent caller fares meanwhile, and what its log says."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.chaos.processes import descendants
from tests.e2e.accounts import Account
from tests.e2e.nodes import NodeProcess, wait_until

PROBE_ACCOUNT = "222233334444"
ECHO = "def handler(event, context):\n    return event\n"
RUDE = """
import random

ODD = [None, True, -1, 0, 99, 200, 204, 304, 700, 10**30, 1.5, "200", "x", "", "\\0", "\\r\\na: b", "\\ud800",
       "\\u00e9",
       "a" * 9000, [], {}, [1], {"a": 1}, {"a": "\\0"}, {"a\\r\\n": "b"}, {"": "x"}, {"content-length": "3"},
       {"transfer-encoding": "chunked"}, {"connection": "close"}, {"a b": "c"}, {"\\u00e9": "\\u00e9"},
       {"a": ["b", "c"]}, ["a=b"], ["\\n"], "////", "YQ=="]

def handler(event, context):
    if random.random() < 0.1:
        return random.choice(ODD)
    members = ["statusCode", "headers", "multiValueHeaders", "cookies", "body", "isBase64Encoded"]
    answer = {name: random.choice(ODD) for name in members if random.random() < 0.5}
    if random.random() < 0.7:
        answer["statusCode"] = random.choice([200, 404, 204, 304, 101, 100, 599])
    return answer
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What a node holds at one moment."""

    rss_mb: float
    files: int
    threads: int
    processes: int
    tasks: Counter[str]


@dataclass(slots=True)
class Probed:
    """How a decent caller fared."""

    took: list[float] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    def percentile(self, share: float) -> float:
        """Return the time within which this share of the calls was answered."""
        return sorted(self.took)[min(len(self.took) - 1, int(len(self.took) * share))]


class NodeUnderFire(NodeProcess):
    """A `dev` node that tells its tasks."""

    def __init__(self, data_dir: Path) -> None:
        super().__init__(data_dir, environment={"EVENTROUTER_LOG_LEVEL": "info"})
        self._seen = 0
        self._tasks = data_dir.with_name("tasks.txt")

    def start(self, *arguments: str) -> NodeUnderFire:
        command = [sys.executable, "-m", "tests.fuzz.counted_node", str(self._tasks), "dev", "--port", str(self.port)]
        command += ["--data-dir", str(self.data_dir), *arguments]
        with self.output.open("ab") as output:
            self._process = subprocess.Popen(
                command, env=self._environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=output
            )
        wait_until("the node to be ready", self._has_started, seconds=30)
        return self

    def held(self) -> Held:
        """Look at the process."""
        pid = self.process.pid
        status = Path(f"/proc/{pid}/status").read_text()
        self._tasks.unlink(missing_ok=True)
        self.process.send_signal(signal.SIGUSR2)
        wait_until("the node to tell its tasks", self._tasks.exists)
        return Held(
            rss_mb=int(_field(status, "VmRSS")) / 1_024,
            files=len(os.listdir(f"/proc/{pid}/fd")),
            threads=int(_field(status, "Threads")),
            processes=len(descendants(pid)),
            tasks=Counter(re.sub(r"\d+", "#", name) for name in self._tasks.read_text().splitlines()),
        )

    def settled(self, baseline: Held, *, seconds: float = 20) -> Held:
        """Return what the node holds once files, threads and tasks are as few as before, or time is up."""
        deadline = time.monotonic() + seconds
        while True:
            held = self.held()
            if not leaks(baseline, held) or time.monotonic() > deadline:
                return held
            time.sleep(0.25)

    def _furnish_probe(self) -> None:
        account = Account(self.url, account_id=PROBE_ACCOUNT)
        if not account.lambda_.list_functions()["Functions"]:
            account.function(ECHO, FunctionName="probe")
            account.sqs.create_queue(QueueName="probe")
            account.client("kinesis").create_stream(StreamName="probe", ShardCount=1)
        account.close()

    def leaks(self, baseline: Held) -> list[str]:
        """Say what the node still holds, some time later, that it did not hold before."""
        return leaks(baseline, self.settled(baseline))

    def complaints(self) -> list[str]:
        """Return the lines of the log since the last look that tell of a fault of the node's own, or are no JSON."""
        lines = self.log().splitlines()
        found = [line for line in lines[self._seen :] if _is_complaint(line)]
        self._seen = len(lines)
        return found

    @contextmanager
    def probed(self) -> Iterator[Probed]:
        """Have a decent caller at work; how it fared is known when the block has ended."""
        self._furnish_probe()
        probed = Probed()
        command = [sys.executable, "-m", "tests.fuzz.probe", self.url, PROBE_ACCOUNT]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            process.stdout.readline()
            try:
                yield probed
            finally:
                out, _ = process.communicate("enough\n", timeout=60)
        told = json.loads(out)
        probed.took, probed.failed = told["took"], told["failed"]


def leaks(baseline: Held, held: Held) -> list[str]:
    """Say what there is more of than there was."""
    found = []
    if held.files > baseline.files + 12:  # an environment has some, and so has a lane to the server
        found.append(f"files: {baseline.files} -> {held.files}")
    if held.threads > baseline.threads + 16:  # threads of the loop's pool stay, once they were needed
        found.append(f"threads: {baseline.threads} -> {held.threads}")
    if held.processes > baseline.processes + 2:  # environments come and go with the load
        found.append(f"processes: {baseline.processes} -> {held.processes}")
    more = held.tasks - baseline.tasks
    if more.total() > 2:
        found.append(f"tasks: {dict(more)}")
    return found


def _is_complaint(line: str) -> bool:
    if "Traceback (most recent call last)" in line or "never retrieved" in line or "Exception ignored" in line:
        return True
    try:
        level = json.loads(line).get("level")
    except (ValueError, AttributeError):
        return True  # every line is one JSON object
    return level in ("error", "critical")


def _field(status: str, name: str) -> str:
    match = re.search(rf"^{name}:\s*(\d+)", status, re.MULTILINE)
    assert match is not None
    return match[1]
