"""An AWS account of its own for each test: boto3 clients, and the few steps that every test takes."""

from __future__ import annotations

import base64
import io
import json
import secrets
import sys
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from tests.e2e.nodes import wait_until

REGION = "us-east-1"
RUNTIME = f"python3.{sys.version_info.minor}"
_NO_RETRY = Config(
    retries={"total_max_attempts": 1}, read_timeout=40, parameter_validation=False, max_pool_connections=40
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What an Invoke answered."""

    status: int
    request_id: str
    function_error: str | None
    executed_version: str | None
    body: bytes
    log: str
    headers: Mapping[str, str]

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue, and receiving from it."""

    sqs: Any
    url: str
    arn: str

    def receive(self, *, wait_s: int = 15) -> dict[str, Any]:
        """Return the next message, deleted from the queue. Fails if none comes."""
        answer = self.sqs.receive_message(
            QueueUrl=self.url,
            WaitTimeSeconds=wait_s,
            MessageAttributeNames=["All"],
            MessageSystemAttributeNames=["All"],
        )
        assert answer.get("Messages"), f"no message came to {self.arn} in {wait_s} s"
        message: dict[str, Any] = answer["Messages"][0]
        self.sqs.delete_message(QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])
        return message

    def is_empty(self) -> bool:
        return "Messages" not in self.sqs.receive_message(QueueUrl=self.url)


class Account:
    """One account on a node. Clients never retry, and send what the test says without checking it first."""

    def __init__(self, url: str, *, account_id: str | None = None) -> None:
        self.url = url
        self.id = account_id or f"{secrets.randbelow(9 * 10**11) + 10**11}"
        self.lambda_ = self.client("lambda")
        self.sqs = self.client("sqs")
        self.logs = self.client("logs")

    def client(self, service: str, region: str = REGION) -> Any:
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name=region,
            aws_access_key_id=self.id,
            aws_secret_access_key="any",
            config=_NO_RETRY,
        )

    def close(self) -> None:
        for client in (self.lambda_, self.sqs, self.logs):
            client.close()

    def create(self, source: str | Mapping[str, str], **settings: Any) -> str:
        """Create a function of module `app` (or of several files) and return its name, without waiting."""
        files = {"app.py": source} if isinstance(source, str) else source
        wanted = {
            "FunctionName": f"f-{secrets.token_hex(4)}",
            "Role": f"arn:aws:iam::{self.id}:role/test",
            "Runtime": RUNTIME,
            "Handler": "app.handler",
            "Code": {"ZipFile": zip_of(files)},
            **settings,
        }
        self.lambda_.create_function(**wanted)
        return str(wanted["FunctionName"])

    def function(self, source: str | Mapping[str, str], **settings: Any) -> str:
        """Create a function and wait until it is active."""
        name = self.create(source, **settings)
        self.wait_active(name)
        return name

    def wait_active(self, name: str) -> None:
        def is_ready() -> bool:
            found = self.lambda_.get_function_configuration(FunctionName=name)
            return found["State"] == "Active" and found.get("LastUpdateStatus", "Successful") == "Successful"

        wait_until(f"{name} to be active", is_ready)

    def update(self, name: str, source: str | Mapping[str, str]) -> None:
        """Give a function new code and wait until the update is done."""
        files = {"app.py": source} if isinstance(source, str) else source
        self.lambda_.update_function_code(FunctionName=name, ZipFile=zip_of(files))
        self.wait_active(name)

    def reserve(self, name: str, executions: int) -> None:
        self.lambda_.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=executions)

    def queue(self) -> Queue:
        url = self.sqs.create_queue(QueueName=f"q-{secrets.token_hex(4)}")["QueueUrl"]
        answer = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
        return Queue(self.sqs, url, answer["Attributes"]["QueueArn"])

    def on_failure(self, name: str, destination: str, *, retries: int = 0, **more: Any) -> None:
        self.lambda_.put_function_event_invoke_config(
            FunctionName=name,
            MaximumRetryAttempts=retries,
            DestinationConfig={"OnFailure": {"Destination": destination}},
            **more,
        )

    def log_messages(self, name: str) -> list[str]:
        """Return what a function's log group holds, in order; nothing while there is no such group yet."""
        try:
            return [
                event["message"] for event in self.logs.filter_log_events(logGroupName=f"/aws/lambda/{name}")["events"]
            ]
        except self.logs.exceptions.ResourceNotFoundException:
            return []

    def invoke(self, name: str, event: Any = None, **settings: Any) -> Answer:
        """Invoke and read the answer; `event` is sent as JSON, or as it is when it is bytes."""
        payload = event if isinstance(event, bytes) else json.dumps(event).encode()
        answer = self.lambda_.invoke(**{"FunctionName": name, "Payload": payload, **settings})
        meta = answer["ResponseMetadata"]
        return Answer(
            status=answer["StatusCode"],
            request_id=meta["RequestId"],
            function_error=answer.get("FunctionError"),
            executed_version=answer.get("ExecutedVersion"),
            body=answer["Payload"].read(),
            log=base64.b64decode(answer.get("LogResult", "")).decode(),
            headers=meta["HTTPHeaders"],
        )

    def send(self, name: str, event: Any, **settings: Any) -> str:
        """Send an asynchronous event and return the id that the 202 names."""
        answer = self.invoke(name, event, InvocationType="Event", **settings)
        assert (answer.status, answer.body) == (202, b"")
        return answer.request_id


@dataclass(frozen=True, slots=True)
class Notes:
    """A folder that a test and the functions it runs both see: how they wait for each other."""

    folder: Path

    @property
    def path(self) -> str:
        return str(self.folder)

    def lines(self, name: str) -> list[str]:
        file = self.folder / name
        return file.read_text().splitlines() if file.exists() else []

    def write(self, name: str) -> None:
        (self.folder / name).write_text("")


GATED = """
import os, time

def handler(event, context):
    folder = event["notes"]
    with open(os.path.join(folder, "started"), "a") as file:
        file.write(f"{context.aws_request_id}\\n")
    deadline = time.monotonic() + 20
    while not event.get("open") and not os.path.exists(os.path.join(folder, "go")):
        assert time.monotonic() < deadline, "nobody opened the gate"
        time.sleep(0.01)
    with open(os.path.join(folder, "ended"), "a") as file:
        file.write(f"{context.aws_request_id}\\n")
    if event.get("fail"):
        raise RuntimeError("told to fail")
    return "through"
"""
"""A function that notes its start in `event["notes"]`, waits for the file `go` there, and notes its end."""


def zip_of(files: Mapping[str, str]) -> bytes:
    """Return a package of these files."""
    package = io.BytesIO()
    with zipfile.ZipFile(package, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return package.getvalue()
