"""`eventrouter dev` as a person starts it: on a free port, read by its output, ended by a signal."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

RUNTIME = f"python3.{sys.version_info[1]}"
READY_S = 60
STOP_S = 45
"""More than a node's usual grace."""


class DevNode:
    """One node process. `banner` holds the lines that it printed up to `Ready.`, `url` the address found there."""

    def __init__(
        self,
        data_dir: Path,
        *arguments: str,
        command: Sequence[str | Path] = (sys.executable, "-m", "eventrouter"),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.banner: list[str] = []
        self.url = ""
        self.log = data_dir.with_name(f"{data_dir.name}.log")
        data_dir.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*command, "dev", "--port", "0", "--data-dir", data_dir, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                cwd=data_dir.parent,
                env={**os.environ, "EVENTROUTER_LOG_FORMAT": "json", **(environment or {})},
            )
        self._read_banner()

    def _read_banner(self) -> None:
        # Reading a pipe has no deadline of its own: a node that never gets ready is killed, which ends the pipe.
        deadline = threading.Timer(READY_S, self.process.kill)
        deadline.start()
        try:
            assert self.process.stdout is not None
            for line in self.process.stdout:
                self.banner.append(line.rstrip("\n"))
                self.url = self.url or next(iter(re.findall(r"http://127\.0\.0\.1:\d+", line)), "")
                if line == "Ready.\n":
                    return
        finally:
            deadline.cancel()
        raise AssertionError(f"no `Ready.` within {READY_S} s: {self.banner}\n{self.log.read_text()[-4000:]}")

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait(self) -> int:
        """Return the exit code once the process has ended."""
        self.process.communicate(timeout=STOP_S)
        return self.process.returncode

    def stop(self) -> int:
        """Drain the node, and return its exit code."""
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
        try:
            return self.wait()
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.wait()
            raise

    def request(self, method: str, path: str, document: Mapping[str, Any] | None = None) -> Any:
        """Send one request of the Lambda API, and return the JSON of its answer."""
        body = None if document is None else json.dumps(document).encode()
        request = urllib.request.Request(
            self.url + path, data=body, method=method, headers={"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=READY_S) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def create(self, name: str, source: str, folder: Path, **members: Any) -> None:
        """Create a function from the source of its module, read in place; invoking it waits until it is active."""
        code = folder / name
        code.mkdir()
        (code / "app.py").write_text(source)
        self.request(
            "POST",
            "/2015-03-31/functions",
            {
                "FunctionName": name,
                "Runtime": RUNTIME,
                "Handler": "app.handler",
                "Role": "arn:aws:iam::000000000000:role/any",
                "Code": {"S3Bucket": "hot-reload", "S3Key": str(code)},
                **members,
            },
        )
        client_wait(self, name)


def client_wait(node: DevNode, name: str) -> None:
    """Wait until a function is active, by asking as boto3's waiter does."""
    pause = threading.Event()
    for _ in range(500):
        if node.request("GET", f"/2015-03-31/functions/{name}/configuration")["State"] == "Active":
            return
        pause.wait(0.02)
    raise AssertionError(f"{name} did not become active")
