"""A whole node inside a test: real planes, rules, scripts and doors; an in-memory server, and time that leaps.

with Router() as router:
    orders = router.function(handler, retries=2)
    orders.send({"id": 1})
    router.run_until_idle()
"""

from __future__ import annotations

import contextlib
import itertools
import json
import shutil
import tempfile
from collections.abc import Callable, Coroutine, Mapping
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any, Self, TypeVar
from urllib.parse import quote

from botocore.config import Config
from botocore.exceptions import ConnectionClosedError

from eventrouter.clock import Clock
from eventrouter.errors import EventRouterError
from eventrouter.journal import Journal
from eventrouter.node import Node
from eventrouter.project.api import NodeApi
from eventrouter.project.converge import converge
from eventrouter.project.discover import read_project
from eventrouter.project.model import Project
from eventrouter.settings import Settings
from eventrouter.testing.aws import aws_variables, default_session, make_client, variables
from eventrouter.testing.checks import Checks
from eventrouter.testing.declare import Declarations
from eventrouter.testing.door import ask, close_door, open_door
from eventrouter.testing.faults import FaultPlan, FunctionFaults
from eventrouter.testing.handlers import Handlers, PlainHandler, is_running
from eventrouter.testing.history import Explained, History
from eventrouter.testing.home import SCRIPTS, TestHome
from eventrouter.testing.intake import Intake
from eventrouter.testing.leaping import LeapingClock
from eventrouter.testing.life import Ledger, Life, Line, NodeGone, TestNode, note_tasks
from eventrouter.testing.loss import LossCheck, Lost
from eventrouter.testing.memory import MemoryServer
from eventrouter.testing.mishaps import Mishaps
from eventrouter.testing.order import KeyOf
from eventrouter.testing.resources import (
    DeadLetterQueue,
    HttpAnswer,
    TestFunction,
    TestQueue,
    TestStream,
    payload_of,
    result_of,
)
from eventrouter.testing.runs import RunBook
from eventrouter.testing.turns import Turns
from eventrouter.testing.virtual import EPOCH_MS

T = TypeVar("T")
ACCOUNT = "000000000000"
REGION = "us-east-1"
LONGEST_S = 400 * 86_400.0
"""How far `run_until_idle` goes at most, in virtual time."""


class Router:
    """One node under virtual time. A context manager; every method may be called from tests and from handlers.

    While it is open the AWS SDKs in this process find it by themselves, for the services that it has.
    """

    def __init__(self, *, seed: int = 0, **settings: Any) -> None:
        """`settings` are those of a node (docs: settings), such as `async_retry_base_delay`. One seed, one history."""
        self.seed = seed
        self._settings = settings
        self._random = Random(seed)
        self._handlers = Handlers(seed)
        self._intake = Intake()
        self._clients: dict[tuple[str, str], Any] = {}
        self._declarations = Declarations(account=ACCOUNT, region=REGION)
        self._numbers = itertools.count(1)
        self._checks = Checks(self)
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        try:
            self._open()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        self._stack.close()

    def _open(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="eventrouter-"))
        self._stack.callback(shutil.rmtree, self._folder, ignore_errors=True)
        self._turns = Turns()
        self._stack.callback(self._turns.close)
        self._turns.loop.set_task_factory(note_tasks)
        self.clock: Clock = LeapingClock(self._turns.loop)
        self._journal = Ledger(self.clock, limit=None)
        self._server = MemoryServer(lambda: self.clock.now_ms() / 1_000, on_change=self._turns.loop.touch)
        self._line = Line(self._server.lane, self.clock, SCRIPTS)
        self._mishaps = Mishaps(
            self._turns.loop, self._server, self._line, node=lambda: self._node, start=self._start_node
        )
        self._run(self._start_node())
        self._stack.callback(lambda: self._run(self._stop_node()))
        self.url = open_door(self)
        self._stack.callback(close_door, self.url)
        self._session = self._stack.enter_context(default_session())
        self._stack.enter_context(variables(aws_variables(self.url, self.node.services, region=REGION)))

    async def _start_node(self) -> None:
        life = Life(self._turns.loop)
        settings = {
            "data_dir": self._folder, "partitions": 1, "durability": "memory", "grace_s": 1, "dev": True,
            **self._settings,
        }  # fmt: skip
        node = TestNode(
            Settings(**settings),
            clock=self.clock,
            random=self._random,
            home=TestHome(self._turns, self._line.of(life), self._handlers),
            journal=self._journal,
            faults=self._handlers.faults,
            life=life,
        )
        try:
            await life.inside(node.__aenter__)
        except BaseException:
            await life.end()
            raise
        self._node = node

    async def _stop_node(self) -> None:
        await self._mishaps.stop()
        if self._node.life.is_alive:
            await self._node.life.inside(lambda: self._node.__aexit__(None, None, None))

    # What there is.

    def function(
        self,
        handler: PlainHandler,
        *,
        name: str | None = None,
        fail: list[Any] | None = None,
        sees_virtual_time: bool = False,
        **settings: Any,
    ) -> TestFunction:
        """Add a function whose code is `handler`; `settings` are those of `App.function`.

        The handler is run in this process, with an event and a context as on Lambda. The name is by default its own.
        Destinations (`dlq`, `on_success`, `on_failure`) may be the names of queues, which are there already.
        `fail` has its first runs fail, as `faults(function).fail` does. With `sees_virtual_time` the handler sees the
        node's time in `time` and `datetime`, and `time.sleep` costs none of yours.
        """
        called = name or getattr(handler, "__name__", type(handler).__name__).strip("<>")
        self._handlers.add(called, handler, sees_virtual_time=sees_virtual_time)
        self._declare(self._declarations.function(handler, called, settings))
        if fail:
            self.faults(called).fail(*fail)
        return TestFunction(called, f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{called}", self)

    def queue(self, name: str, *, to: TestFunction | str | None = None, **settings: Any) -> TestQueue:
        """Add a queue, and feed the function `to` from it; `settings` are those of `App.queue`.

        The same queue may be given again, with the same settings of its own, for another function.
        """
        self._declare(self._declarations.queue(name, _name(to), settings))
        return TestQueue(name, f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}", self._queue_url(name), self)

    def dlq(self, name: str) -> DeadLetterQueue:
        """Return a queue that there is, to look at the dead letters or records of ends in it."""
        return DeadLetterQueue(name, f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}", self._queue_url(name), self)

    def stream(self, name: str, *, to: TestFunction | str | None = None, **settings: Any) -> TestStream:
        """Add a Kinesis stream, and feed the function `to` from it; `settings` are those of `App.stream`."""
        self._declare(self._declarations.stream(name, _name(to), settings))
        return TestStream(name, f"arn:aws:kinesis:{REGION}:{ACCOUNT}:stream/{name}", self)

    def schedule(self, expression: str, *, to: TestFunction | str, **settings: Any) -> None:
        """Have the function `to` invoked by the clock; `settings` are those of `App.schedule`."""
        self._declare(self._declarations.schedule(expression, _name(to) or "", settings))

    def route(self, key: str, *, to: TestFunction | str, **settings: Any) -> None:
        """Have the function `to` answer HTTP requests; `settings` are those of `App.route`."""
        self._declare(self._declarations.route(key, _name(to) or "", settings))

    def template(self, path: str | Path, parameters: Mapping[str, str] | None = None) -> Project:
        """Add what a file declares: a SAM template, serverless.yml, eventrouter.toml, app.py, or a folder with one.

        Handlers are imported from the folders that it names. Raises ProjectError, with file and line.
        """
        project = read_project(Path(path), parameters=parameters)
        self._declare(project)
        return project

    def _declare(self, project: Project) -> None:
        self._run_in_node(lambda: converge(project, NodeApi(self.node), hot_reload=True, clock=self.clock))

    def timeline(self) -> str:
        """Return all that was decided, one decision a line: what the report of a failed test shows."""
        return self.history().timeline

    def _queue_url(self, name: str) -> str:
        url: str = self.client("sqs").get_queue_url(QueueName=name)["QueueUrl"]
        return url

    def next_number(self) -> int:
        """Return 1, 2, 3…: for names that must differ."""
        return next(self._numbers)

    # What happens.

    def invoke(self, function: TestFunction | str, payload: Any = None) -> Any:
        """Call a function and return its result. Raises InvocationFailed if it fails."""
        name = _name(function) or ""
        return result_of(name, self.client("lambda").invoke(FunctionName=name, Payload=payload_of(payload)))

    def send(self, target: TestFunction | TestQueue | str, payload: Any = None) -> str:
        """Send a function an asynchronous event, or a queue a message; return its id."""
        if isinstance(target, TestQueue):
            return target.send(payload)[0]
        answer = self.client("lambda").invoke(
            FunctionName=_name(target), InvocationType="Event", Payload=payload_of(payload)
        )
        request_id: str = answer["ResponseMetadata"]["RequestId"]
        return request_id

    def put(self, stream: TestStream, *data: Any, key: str | None = None) -> list[str]:
        """Put records into a stream; return their sequence numbers."""
        return stream.put(*data, key=key)

    def peek(self, queue: TestQueue) -> list[dict[str, Any]]:
        """Return all messages of a queue, hidden ones included, as ReceiveMessage shows them; none is received."""
        path = f"/_aws/sqs/messages?QueueUrl={quote(queue.url)}&ShowInvisible=true&ShowDelayed=true"
        _, _, body = self.answer("GET", self.url + path, {"accept": "application/json"}, b"")
        messages: list[dict[str, Any]] = json.loads(body).get("Messages", [])
        return messages

    # Time.

    @property
    def start_ms(self) -> int:
        """The virtual wall time at which this router was opened, in milliseconds since the epoch."""
        return EPOCH_MS

    @property
    def now(self) -> datetime:
        """The virtual wall time, UTC."""
        return datetime.fromtimestamp(self.clock.now_ms() / 1_000, UTC)

    @property
    def elapsed(self) -> float:
        """Virtual seconds since this router was opened."""
        return self.clock.monotonic()

    def advance(self, seconds: float) -> None:
        """Let `seconds` of virtual time pass, and everything happen that is due in them."""

        async def advance() -> None:
            await self.clock.sleep(seconds)
            await self._turns.loop.wait_quiet()

        self._run(advance())

    def run_until_idle(self, *, within: float = LONGEST_S) -> None:
        """Skip from one thing that is due to the next until nothing is left to be done.

        Schedules are never done: their next firings are not waited for. Raises AssertionError if `within` seconds of
        virtual time are not enough.
        """

        async def run() -> float | None:
            return await self._turns.loop.wait_idle(self.clock.monotonic() + within)

        due = self._run(run())
        if due is not None:
            raise AssertionError(f"not idle within {within:g} s of virtual time: the next thing is due at {due:g} s")

    def run_until(self, predicate: Callable[[], object], *, within: float = LONGEST_S) -> None:
        """Skip from one thing that is due to the next until `predicate()` is true.

        Raises AssertionError if it is not within so many seconds of virtual time, or nothing is left to be done.
        """
        end = self.clock.monotonic() + within
        while not predicate():
            if not self._run(self._turns.loop.step(end)) and not predicate():
                raise AssertionError(f"nothing more is due within {within:g} s, and {predicate!r} is still not true")

    # What goes wrong.

    def faults(self, function: TestFunction | str) -> FunctionFaults:
        """Return what goes wrong with a function, to be added to: `router.faults("orders").throttle(0.5)`."""
        return self._handlers.faults.of(_name(function) or "")

    def kill_node(self, *, down: float = 0.0) -> None:
        """Kill the node as `kill -9` does, and start it again on the same data after `down` seconds.

        What its handlers were doing is not finished and nothing is handed back; requests that it had not answered, and
        those made meanwhile, fail with ConnectionClosedError. The new node finds what was left, as a restart does.
        """
        self._run(self._mishaps.kill_node(down))

    def redis_outage(self, seconds: float) -> None:
        """Have the store unreachable from now on for `seconds` of virtual time; returns at once."""
        self._run(self._mishaps.redis_outage(seconds))

    def drop_reply(self, n: int = 1, *, script: str | None = None) -> None:
        """Lose the next `n` answers of the store after the calls have run; `script`: of calls of this one only."""
        self._line.lose(n, script)

    def late_reply(self, seconds: float, n: int = 1, *, script: str | None = None) -> None:
        """Have the next `n` answers of the store come late; the node gives up waiting after 2 seconds."""
        self._line.lose(n, script, seconds)

    def apply(self, plan: FaultPlan | Mapping[str, Any]) -> FaultPlan:
        """Put a plan into effect, whose times count from now; JSON's values are read as `FaultPlan.of` does."""
        whole = plan if isinstance(plan, FaultPlan) else FaultPlan.of(plan)
        for name, faults in whole.functions.items():
            faults.put_into(self.faults(name))
        self._run(self._mishaps.plan(whole.mishaps))
        return whole

    # What has happened.

    @property
    def node(self) -> Node:
        """The node that lives now, for looks behind the doors."""
        return self._node

    @property
    def journal(self) -> Journal:
        """Every decision the node has made."""
        return self._journal

    @property
    def runs(self) -> RunBook:
        """Every run of every handler."""
        return self._handlers.runs

    @property
    def intake(self) -> Intake:
        """Everything that was accepted through the door, from tests and handlers."""
        return self._intake

    def history(self, subject: TestFunction | str | None = None) -> History:
        """Return all decisions, or those about a function, an id, a queue mapping's uuid or a shard, in order.

        Histories can be printed (`text`, `timeline`), compared, and asked for their `steps`.
        """
        return self._checks.history(subject)

    def explain(self, subject: str) -> Explained:
        """Explain one thing as `eventrouter explain` does. Raises AssertionError if nothing is known of it."""
        return self._checks.explain(subject)

    def assert_order(self, by: str | KeyOf = "partitionKey", function: TestFunction | str | None = None) -> None:
        """Claim that what has the same key was handed over in the order in which it was accepted.

        `by` is "partitionKey", "messageGroupId" or a callable, from a record or an event to its key (None: it has
        none). Nothing is handed over before what precedes it is done or given up; repeats are allowed.
        """
        __tracebackhide__ = True
        self._checks.assert_order(by, function)

    def assert_no_overlap(self) -> None:
        """Claim that no two runs at a time were of one event, one message group, one partition key or one shard.

        Of a shard that is read with a parallelization factor only the partition keys count.
        """
        __tracebackhide__ = True
        self._checks.assert_no_overlap()

    def assert_no_loss(self) -> None:
        """Claim that nothing that was accepted is lost.

        All of it has succeeded, was told of to a dead-letter queue or a destination, is still to be done, was left
        out by a filter, has expired in its queue or stream, or was deleted by a caller. What was given up without
        anybody being told is lost.
        """
        __tracebackhide__ = True
        self._checks.assert_no_loss()

    def assert_dead_lettered(self, queue: str, count: int | None = None, *, error_code: str | None = None) -> None:
        """Claim that so many messages are in a dead-letter queue (None: any), those with an ErrorCode counted only."""
        __tracebackhide__ = True
        self._checks.assert_dead_lettered(queue, self.dlq(queue).letters(), count, error_code)

    def look_for_loss(self) -> list[Lost]:
        """Return what was accepted and is nowhere any more."""
        check = LossCheck(
            intake=self._intake,
            runs=self.runs,
            journal=self.journal,
            store=self.node.store,
            sources=self.node.sources,
            clock=self.clock,
            account=ACCOUNT,
            region=REGION,
        )
        return self._run_in_node(check.lost)

    def parallelization(self) -> dict[tuple[str, str], int]:
        """Return the parallelization factor of each mapping, by function and source ARN."""
        mappings = self.node.store.mappings.catalogue.all()
        return {(each.function.name, each.source_arn): each.parallelization_factor for each in mappings}

    # Doors.

    def client(self, service: str, *, region: str = REGION, config: Config | None = None) -> Any:
        """A real boto3 client of an AWS service, whose requests go to this node without a socket.

        It does not retry by itself, so that tests see each answer; one with a `config` does as that says.
        """
        key = (service, region)
        if config is None and key in self._clients:
            return self._clients[key]
        client = make_client(self._session, service, self.url, region=region, config=config)
        if config is None:
            self._clients[key] = client
        return client

    def http(
        self, method: str, path: str, *, json: Any = None, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> HttpAnswer:
        """Make a plain HTTP request, as a browser would, to a route; `json` is sent as the body."""
        sent = dict(headers or {})
        if json is not None:
            sent.setdefault("content-type", "application/json")
            body = payload_of(json)
        return HttpAnswer(*self.answer(method, self.url + path, sent, body))

    def answer(self, method: str, url: str, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
        """Answer one HTTP request, as the node's port would. Raises ConnectionClosedError if the node dies of it."""
        try:
            answered = self._run_in_node(lambda: ask(self.node.gateway, method, url, headers, body))
        except NodeGone as error:
            raise ConnectionClosedError(endpoint_url=url, error=error) from error
        self._intake.see(url, headers, body, answered, self.elapsed)
        return answered

    def _run_in_node(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        return self._run(self._node.life.inside(work))

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        if is_running(self._turns.loop):
            work.close()
            raise EventRouterError(
                "a coroutine handler runs in the node's own loop, which cannot wait for itself: "
                "call the node from a plain handler, or through `await asyncio.to_thread(...)`"
            )
        return self._turns.run(work)


def _name(function: TestFunction | str | None) -> str | None:
    return function.name if isinstance(function, TestFunction) else function
