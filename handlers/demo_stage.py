"""What the demo stands on: a narrator, a node as a real subprocess, and a deployment of template.yaml."""

from __future__ import annotations

import io
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
import zipfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import yaml
from botocore.config import Config

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HERE = Path(__file__).resolve().parent
ROLE = "arn:aws:iam::000000000000:role/demo"


class Narrator:
    """Tell what happens, and keep the score of the promises. Colours on a terminal only."""

    def __init__(self) -> None:
        self._colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ
        self._began = time.monotonic()
        self.broken: list[str] = []

    @property
    def elapsed_s(self) -> float:
        return time.monotonic() - self._began

    def chapter(self, title: str) -> None:
        self._print(f"\n{title}", "1;36")

    def say(self, text: str) -> None:
        self._print(f"  {text}", "")

    def show(self, text: str) -> None:
        """Print what the node really answered, indented."""
        for line in text.splitlines():
            self._print(f"    {line}", "2")

    def promise(self, text: str, *, holds: bool) -> None:
        """Print whether a promise holds, and remember it if it does not."""
        self._print(f"  {'kept  ' if holds else 'BROKEN'}  {text}", "32" if holds else "1;31")
        if not holds:
            self.broken.append(text)

    def _print(self, text: str, style: str) -> None:
        print(f"\033[{style}m{text}\033[0m" if self._colour and style else text, flush=True)


class DevNode:
    """One `eventrouter dev` on a free port, with its data in `data_dir`; may be killed and started again."""

    def __init__(self, data_dir: Path, environment: dict[str, str]) -> None:
        self._data_dir = data_dir
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("EVENTROUTER_")}
        self._environment = {**inherited, **environment, "EVENTROUTER_LOG_FORMAT": "console", "NO_COLOR": "1"}
        self._output = data_dir.parent / "node.log"
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> float:
        """Start the node, wait until it takes invocations, and return the seconds that took."""
        command = [sys.executable, "-m", "eventrouter", "dev"]
        command += ["--port", str(self.port), "--data-dir", str(self._data_dir)]
        began = time.monotonic()
        with self._output.open("ab") as output:
            self._process = subprocess.Popen(
                command, env=self._environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
            )
        wait_for("the node to be ready", self._is_ready, seconds=20, poll_s=0.02)
        return time.monotonic() - began

    def kill(self) -> None:
        """Kill the node's process as a power cut would: SIGKILL, no goodbye."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Let the node drain, and kill it if it has not ended after 10 s."""
        if self._process is None or self._process.poll() is not None:
            return
        try:
            self._end(signal.SIGTERM)
        except subprocess.TimeoutExpired:
            self._end(signal.SIGKILL)

    def banner(self) -> str:
        return self._output.read_text(errors="replace")

    def _end(self, how: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(how)
        self._process.wait(10)

    def _is_ready(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise SystemExit(f"the node ended with {self._process.returncode}:\n{self.banner()}")
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False


def free_port() -> int:
    """Return a TCP port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(what: str, condition: Callable[[], bool], *, seconds: float, poll_s: float = 0.05) -> None:
    """Return once `condition()` holds. Raises TimeoutError naming `what` after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds:g} s in vain for {what}")
        time.sleep(poll_s)


def client(service: str, url: str) -> Any:
    """Return a boto3 client of the node that never retries by itself, so that each answer is seen."""
    return boto3.client(
        service,
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(retries={"total_max_attempts": 1}, read_timeout=30),
    )


class Template:
    """A SAM template, as far as ours needs it: functions, queues and `!GetAtt NAME.Arn`."""

    def __init__(self, path: Path) -> None:
        document = yaml.load(path.read_text(), Loader=_TemplateLoader)
        self._common = document["Globals"]["Function"]
        self._resources: dict[str, dict[str, Any]] = document["Resources"]

    def of_type(self, kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
        for name, resource in self._resources.items():
            if resource["Type"] == kind:
                yield name, resource["Properties"]

    def deploy(self, lambda_: Any, sqs: Any) -> list[str]:
        """Create every queue and function of the template, wait until all are active, and return their names."""
        arns = {}
        for resource, queue in self.of_type("AWS::SQS::Queue"):
            url = sqs.create_queue(QueueName=queue["QueueName"])["QueueUrl"]
            attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]
            arns[resource] = attributes["QueueArn"]
        names = []
        for _, function in self.of_type("AWS::Serverless::Function"):
            self._create(lambda_, {**self._common, **function}, arns)
            names.append(function["FunctionName"])
        for name in names:
            lambda_.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1})
        return names

    def _create(self, lambda_: Any, function: dict[str, Any], arns: dict[str, str]) -> None:
        name = function["FunctionName"]
        settings = {key: function[key] for key in ("Runtime", "Handler", "Description", "Timeout", "MemorySize")}
        if "DeadLetterQueue" in function:
            resource, _, _ = function["DeadLetterQueue"]["TargetArn"].partition(".")
            settings["DeadLetterConfig"] = {"TargetArn": arns[resource]}
        code = {"ZipFile": zip_of(HERE / f"{function['Handler'].partition('.')[0]}.py")}
        lambda_.create_function(FunctionName=name, Role=ROLE, Code=code, **settings)
        if "ReservedConcurrentExecutions" in function:
            lambda_.put_function_concurrency(
                FunctionName=name, ReservedConcurrentExecutions=function["ReservedConcurrentExecutions"]
            )
        if "EventInvokeConfig" in function:
            lambda_.put_function_event_invoke_config(FunctionName=name, **function["EventInvokeConfig"])


def zip_of(path: Path) -> bytes:
    """Return a zip that holds the one file `path`."""
    package = io.BytesIO()
    with zipfile.ZipFile(package, "w") as archive:
        archive.writestr(path.name, path.read_text())
    return package.getvalue()


@contextmanager
def stopping(node: DevNode) -> Iterator[DevNode]:
    """Stop `node` at the end, however the block ends."""
    try:
        yield node
    finally:
        node.stop()


class _TemplateLoader(yaml.SafeLoader):
    """YAML with CloudFormation's `!GetAtt`, kept as its text."""


_TemplateLoader.add_constructor("!GetAtt", lambda loader, node: loader.construct_scalar(node))
