"""The door on a real store (fakeredis), with small planes in place of the node's own, served by uvicorn in a thread.

Every test has an account of its own, so all share one door.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import itertools
import threading
import zipfile
from collections.abc import Callable, Coroutine, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any, TypeVar

import boto3
import fakeredis
import msgspec
import pytest
import structlog
import uvicorn
from botocore.client import BaseClient
from botocore.config import Config

from eventrouter.api.gateway import Gateway
from eventrouter.api.http import Request, Response, text_response
from eventrouter.api.lambda_.invoke import InvokeDoor
from eventrouter.api.lambda_.service import LambdaService
from eventrouter.api.request_ids import RequestIds
from eventrouter.clock import SystemClock
from eventrouter.ports import Delivery, StreamSource
from eventrouter.rules.function import Function, State, UpdateStatus
from eventrouter.rules.invocation import Invocation
from eventrouter.rules.mapping import EventSourceMapping, MappingState, StartingPosition
from eventrouter.rules.names import FunctionName
from eventrouter.rules.outcome import Run, RunStatus, Succeeded, Throttled
from eventrouter.runtime.packages import Packages
from eventrouter.settings import Settings
from eventrouter.store import Store, open_store, redis_lanes
from tests.planes.listed_queues import ListedQueues
from tests.planes.listed_streams import ListedStreams, stream_arn

T = TypeVar("T")
REGION = "us-east-1"
PATIENCE_S = 10.0
_accounts = itertools.count(100_000_000_001)


def a_run(payload: bytes = b"null", **changes: Any) -> Run:
    """Build the Run of a handler that returned `payload`."""
    run = Run(
        outcome=Succeeded(payload=payload),
        status=RunStatus.SUCCESS,
        version="$LATEST",
        log_group="/aws/lambda/f",
        log_stream="2026/01/01/[$LATEST]0123456789abcdef0123456789abcdef",
        started_at_ms=1_767_225_600_000,
        duration_ms=1.5,
        memory_mb=128,
        max_memory_mb=40,
    )
    return msgspec.structs.replace(run, **changes)


def a_zip(source: str = "def handler(event, context):\n    return event\n") -> bytes:
    """Build a package that holds `app.py`."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("app.py", source)
    return buffer.getvalue()


@dataclass
class Planes:
    """What the door asks of the planes: recorded, and answered as the test says."""

    invocations: list[Invocation] = field(default_factory=list)
    events: list[Invocation] = field(default_factory=list)
    held: bool = False
    """Leave deployments and mappings unfinished."""
    run: Callable[[Function, Invocation], Coroutine[Any, Any, Run | Throttled]] | None = None
    refuse_events: Exception | None = None


class PlanesByAccount:
    """Sync plane, event plane and deployments of all tests."""

    def __init__(self) -> None:
        self.of: dict[str, Planes] = {}
        self.store: Store

    async def invoke(self, function: Function, invocation: Invocation) -> Run | Throttled:
        planes = self.of[function.name.account]
        planes.invocations.append(invocation)
        if planes.run is None:
            return a_run(invocation.payload)
        return await planes.run(function, invocation)

    async def accept(self, function: Function, invocation: Invocation) -> None:
        planes = self.of[function.name.account]
        if planes.refuse_events is not None:
            raise planes.refuse_events
        planes.events.append(invocation)

    async def begin(self, function: Function) -> None:
        if not self.of[function.name.account].held:
            await self.finish(function.name)

    async def finish(self, name: FunctionName) -> None:
        """Complete a deployment as the node's own plane does: a new RevisionId, no reasons left."""
        function = self.store.functions.get(name)
        assert function is not None
        done = replace(
            function,
            state=State.ACTIVE,
            state_reason=None,
            state_reason_code=None,
            last_update_status=UpdateStatus.SUCCESSFUL,
            last_update_status_reason=None,
            last_update_status_reason_code=None,
            revision_id=hashlib.sha256(function.revision_id.encode()).hexdigest()[:32],
        )
        await self.store.functions.put(done, account_limit=1_000, minimum_unreserved=100)


class ListedTables(ListedStreams):
    """Streams of tables, which cannot be read from a time on."""

    service = "dynamodb"
    starting_positions = frozenset({StartingPosition.LATEST, StartingPosition.TRIM_HORIZON})


class TransitionsByAccount:
    """What finishes the mappings of all tests: at once, unless the test holds it."""

    def __init__(self, planes: PlanesByAccount) -> None:
        self._planes = planes

    async def begin(self, mapping: EventSourceMapping) -> None:
        if not self._planes.of[mapping.account].held:
            await self.finish(mapping.uuid)

    async def finish(self, uuid: str) -> None:
        catalogue = self._planes.store.mappings.catalogue
        mapping = catalogue.get(uuid)
        assert mapping is not None
        if mapping.state is MappingState.DELETING:
            await catalogue.delete(mapping)
        else:
            state = MappingState.ENABLED if mapping.is_enabled else MappingState.DISABLED
            await catalogue.put(replace(mapping, state=state))


class PlainTarget:
    """A target whose resources exist unless their name says `missing`."""

    def __init__(self, service: str) -> None:
        self.service = service

    async def exists(self, arn: str) -> bool:
        return "missing" not in arn

    async def deliver(self, arn: str, delivery: Delivery) -> None:
        raise AssertionError("the door delivers nothing")


@dataclass(frozen=True)
class Answer:
    """An HTTP answer. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


async def _no_peers(sha256: str) -> bytes | None:
    return None


async def _hello(request: Request) -> Response:
    return text_response(200, f"hello {request.path} {request.body.decode()}\n")


class Door:
    """The gateway in a thread of its own, reached over HTTP or by ASGI calls."""

    def __init__(self, data_dir: Path) -> None:
        self.loop = asyncio.new_event_loop()
        self.planes = PlanesByAccount()
        self.transitions = TransitionsByAccount(self.planes)
        self.streams = ListedStreams(SystemClock())
        self.tables = ListedTables(SystemClock())
        self.sources: dict[str, StreamSource] = {"kinesis": self.streams, "dynamodb": self.tables}
        self.queues = ListedQueues(SystemClock())
        self.packages = Packages(data_dir / "packages", _no_peers)
        self.gateway: Gateway
        self._server: uvicorn.Server
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._main, name="door", daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.servers[0].sockets[0].getsockname()[1]}"

    def start(self) -> Door:
        self._thread.start()
        assert self._started.wait(PATIENCE_S), "the door did not open"
        return self

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive(), "the door did not close"

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in the door's loop."""
        future: Future[T] = asyncio.run_coroutine_threadsafe(work, self.loop)
        return future.result(PATIENCE_S)

    def ask(
        self, method: str, path: str, *, headers: Mapping[str, str] | None = None, body: bytes = b"", query: bytes = b""
    ) -> Answer:
        """Call the gateway as an ASGI server would, without one."""
        raw = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in (headers or {}).items()]
        return self.run(call(self.gateway, method, path.encode("latin-1"), raw, body, query))

    def _main(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_until_complete(self._serve())
        self.loop.close()

    async def _serve(self) -> None:
        settings, clock, random = Settings(), SystemClock(), Random(7)
        client = fakeredis.FakeAsyncRedis()
        store = await open_store(redis_lanes(client), prefix="t", partitions=2, clock=clock, random=random)
        self.planes.store = store
        service = LambdaService(
            store=store,
            packages=self.packages,
            deployments=self.planes,
            transitions=self.transitions,
            settings=settings,
            clock=clock,
            random=random,
            targets={"sqs": PlainTarget("sqs"), "lambda": PlainTarget("lambda")},
            sources=self.sources,
            queues={"sqs": self.queues},
        )
        invoke = InvokeDoor(
            functions=store.functions, sync=self.planes, events=self.planes, settings=settings, clock=clock
        )
        self.gateway = Gateway(
            services={"lambda": service.api},
            hot_invoke=invoke,
            internal={"/_eventrouter/hello": _hello, "/_eventrouter/below/": _hello},
            settings=settings,
            request_ids=RequestIds(random),
            log=structlog.get_logger(),
        )
        config = uvicorn.Config(self.gateway, port=0, log_config=None, lifespan="on", ws="none")
        self._server = uvicorn.Server(config)
        serving = asyncio.create_task(self._server.serve())
        while not self._server.started:
            await asyncio.sleep(0.01)
        self._started.set()
        await serving
        await store.close()


async def call(
    gateway: Gateway, method: str, path: bytes, headers: list[tuple[bytes, bytes]], body: bytes, query: bytes
) -> Answer:
    """Make one ASGI call."""
    scope = {
        "type": "http",
        "method": method,
        "path": path.decode("latin-1"),
        "raw_path": path,
        "query_string": query,
        "headers": headers,
        "scheme": "http",
        "server": ("127.0.0.1", 4566),
    }
    sent: list[Any] = []
    chunks = [body[start : start + 65_536] for start in range(0, len(body), 65_536)] or [b""]

    async def receive() -> dict[str, Any]:
        chunk = chunks.pop(0)
        return {"type": "http.request", "body": chunk, "more_body": bool(chunks)}

    async def send(message: Any) -> None:
        sent.append(message)

    await gateway(scope, receive, send)
    start, end = sent
    names = {name.decode("latin-1"): value.decode("latin-1") for name, value in start["headers"]}
    return Answer(status=start["status"], headers=names, body=end["body"])


@dataclass
class Account:
    """One test's own account: its clients, its planes, and functions made quickly."""

    id: str
    door: Door
    planes: Planes
    lambda_: BaseClient

    @property
    def role(self) -> str:
        return f"arn:aws:iam::{self.id}:role/test"

    def arn(self, name: str = "f") -> str:
        return f"arn:aws:lambda:{REGION}:{self.id}:function:{name}"

    def queue(self, name: str = "q") -> str:
        return f"arn:aws:sqs:{REGION}:{self.id}:{name}"

    def stream(self, name: str = "s") -> str:
        """Make a stream of one shard; return its ARN."""
        arn = stream_arn(name, account=self.id, region=REGION)
        self.door.streams.create(arn)
        return arn

    def create(self, name: str = "f", **members: Any) -> dict[str, Any]:
        """Create a function through boto3."""
        wanted = {
            "FunctionName": name,
            "Role": self.role,
            "Runtime": "python3.11",
            "Handler": "app.handler",
            "Code": {"ZipFile": a_zip()},
            **members,
        }
        answer: dict[str, Any] = self.lambda_.create_function(**wanted)
        return answer

    def stored(self, name: str = "f") -> Function:
        """Return the record in the store."""
        function = self.door.planes.store.functions.get(FunctionName(account=self.id, region=REGION, name=name))
        assert function is not None
        return function

    def signed(self, service: str = "lambda", region: str = REGION) -> dict[str, str]:
        """Return an Authorization header of this account."""
        scope = f"{self.id}/20260101/{region}/{service}/aws4_request"
        value = f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0"
        return {"Authorization": value}

    def ask(self, method: str, path: str, **request: Any) -> Answer:
        """Call the gateway signed as this account, without boto3's own checks."""
        headers = {**self.signed(), **request.pop("headers", {})}
        return self.door.ask(method, path, headers=headers, **request)

    def client(self, region: str = REGION) -> BaseClient:
        """Return a Lambda client of this account in another region."""
        return a_client(self.door.url, self.id, region)


def a_client(url: str, account: str, region: str = REGION) -> BaseClient:
    """Return a Lambda client that sends each request once and leaves validation to the server."""
    config = Config(retries={"total_max_attempts": 1}, parameter_validation=False)
    return boto3.client(
        "lambda",
        endpoint_url=url,
        region_name=region,
        aws_access_key_id=account,
        aws_secret_access_key="test",
        config=config,
    )


@pytest.fixture(scope="session")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    door = Door(tmp_path_factory.mktemp("door")).start()
    yield door
    door.stop()


@pytest.fixture
def account(door: Door) -> Iterator[Account]:
    """An account that no other test uses."""
    number = str(next(_accounts))
    planes = door.planes.of[number] = Planes()
    client = a_client(door.url, number)
    yield Account(id=number, door=door, planes=planes, lambda_=client)
    client.close()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark this folder's tests: those that go through a door are conformance, the others unit."""
    for item in items:
        if Path(__file__).parent in item.path.parents and not list(item.iter_markers("property")):
            item.add_marker("conformance" if {"door", "account"} & set(item.fixturenames) else "unit")
