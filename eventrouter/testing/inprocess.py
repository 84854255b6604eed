"""Environments in process: handlers are plain callables run on the test's own loop, in virtual time or real."""

from __future__ import annotations

import asyncio
import inspect
import json
import traceback
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eventrouter.clock import Clock
from eventrouter.errors import RuntimeFault
from eventrouter.rules import failure
from eventrouter.rules.function import Function
from eventrouter.rules.invocation import Invocation
from eventrouter.rules.names import FunctionName
from eventrouter.rules.outcome import FunctionFailed, Run, RunStatus, Succeeded, SystemFault
from eventrouter.runtime.bootstrap_marshal import Fault

Handler = Callable[[Any, Invocation], Any]
"""A handler: the event and the invocation in, a JSON value out. May be a coroutine function."""


class ProcessKilled(BaseException):
    """Raised where a handler's process would be killed: the run ends, with whatever it was doing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """One run that began: of which event, when (monotonic seconds)."""

    request_id: str
    at: float


class InProcessEnvironments:
    """The Environments port over a table of handlers. `starts` records every run in order.

    It says that it has the same number of cores on every machine, so that nothing depends on the machine's.
    """

    cpus = 2

    def __init__(
        self,
        clock: Clock,
        observe: Callable[[Invocation, Run], None] = lambda invocation, run: None,
        *,
        limit: int | None = None,
    ) -> None:
        """`limit` is how many leases there may be at once; None: any number."""
        self.clock = clock
        self.observe = observe
        self.limit = limit
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._handlers: dict[FunctionName, Handler] = {}
        self._leases: set[InProcessLease] = set()
        self.starts: list[Start] = []
        self.most_at_once = 0

    def install(self, name: FunctionName, handler: Handler) -> None:
        """Give the function called `name` its code."""
        self._handlers[name] = handler

    def try_lease(self, function: Function) -> InProcessLease | None:
        return self._new_lease(function) if self.has_room(function) else None

    def has_room(self, function: Function) -> bool:
        return self.limit is None or len(self._leases) < self.limit

    def _new_lease(self, function: Function) -> InProcessLease:
        lease = InProcessLease(self, function)
        self._leases.add(lease)
        self.most_at_once = max(self.most_at_once, len(self._leases))
        return lease

    def began(self, function: Function, invocation: Invocation) -> None:
        """Note that a run begins."""
        self.starts.append(Start(request_id=invocation.request_id, at=self.clock.monotonic()))

    def ended(self, invocation: Invocation, run: Run | None) -> None:
        """Note how a run has ended; None: it was cut short, and nobody knows."""

    async def execute(self, function: Function, invocation: Invocation) -> bytes:
        """Run the function's handler and return its result as JSON. What it raises is raised here."""
        result = self._handlers[function.name](json.loads(invocation.payload), invocation)
        if inspect.isawaitable(result):
            result = await result
        return json.dumps(result).encode()

    @property
    def is_busy(self) -> bool:
        """Say whether somebody has an environment, or is to get one."""
        return bool(self._leases or self._waiters)

    def released(self, lease: InProcessLease) -> None:
        """Take a lease back."""
        self._leases.discard(lease)
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                break

    async def lease(self, function: Function, *, patience_s: float) -> InProcessLease:
        try:
            async with asyncio.timeout(patience_s):
                while not self.has_room(function):
                    waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                    self._waiters.append(waiter)
                    await waiter
        except TimeoutError:
            raise RuntimeFault(f"no lease became free within {patience_s:g} s") from None
        return self._new_lease(function)

    def retire(self, name: FunctionName) -> None:
        """Nothing is kept warm here."""

    def beat(self) -> None:
        """There is no keeper in process."""

    async def kill_all(self) -> None:
        for lease in list(self._leases):
            await lease.kill()


class InProcessLease:
    """One environment: runs what is submitted one by one, in order."""

    is_retired = False

    def __init__(self, home: InProcessEnvironments, function: Function) -> None:
        self._home = home
        self._function = function
        self._waiting: deque[tuple[Invocation, Callable[[Run], None]]] = deque()
        self._task: asyncio.Task[None] | None = None

    def submit(self, invocation: Invocation, done: Callable[[Run], None]) -> None:
        self._waiting.append((invocation, done))
        if self._task is None:
            self._task = asyncio.create_task(self._work())

    def recall(self) -> list[Invocation]:
        recalled = [invocation for invocation, _ in list(self._waiting)[1:]]
        while len(self._waiting) > 1:
            self._waiting.pop()
        return recalled

    def release(self) -> None:
        self._home.released(self)

    async def kill(self) -> None:
        """End what runs, as a system fault."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _work(self) -> None:
        try:
            while self._waiting:
                invocation, done = self._waiting[0]
                self._home.began(self._function, invocation)
                try:
                    run = await self._run(invocation)
                except asyncio.CancelledError:
                    self._home.ended(invocation, None)
                    raise
                self._home.ended(invocation, run)
                self._waiting.popleft()
                self._home.observe(invocation, run)
                done(run)
        except asyncio.CancelledError:
            while self._waiting:
                _, done = self._waiting.popleft()
                done(self._ran(SystemFault(message="the environment was killed"), RunStatus.ERROR, 0.0))
        finally:
            self._task = None

    async def _run(self, invocation: Invocation) -> Run:
        clock = self._home.clock
        began = clock.monotonic()
        outcome: Succeeded | FunctionFailed
        status = RunStatus.SUCCESS
        limit = asyncio.timeout(self._function.timeout_s)
        try:
            async with limit:
                payload = await self._home.execute(self._function, invocation)
            outcome = failure.too_large() if len(payload) > failure.RESPONSE_LIMIT_BYTES else Succeeded(payload=payload)
        except TimeoutError as error:
            if limit.expired():
                outcome = failure.timed_out(invocation.request_id, self._function.timeout_s)
                status = RunStatus.TIMEOUT
            else:
                outcome, status = _raised(error, invocation), RunStatus.FAILURE
        except ProcessKilled:
            outcome, status = failure.exited(invocation.request_id, signal_name="killed"), RunStatus.ERROR
        except SystemExit as error:
            outcome, status = failure.exited(invocation.request_id, status=_exit_status(error)), RunStatus.ERROR
        except Exception as error:  # noqa: BLE001 - whatever a handler raises is its outcome
            outcome, status = _raised(error, invocation), RunStatus.FAILURE
        return self._ran(outcome, status, (clock.monotonic() - began) * 1_000)

    def _ran(self, outcome: Succeeded | FunctionFailed | SystemFault, status: RunStatus, duration_ms: float) -> Run:
        function = self._function
        return Run(
            outcome=outcome,
            status=status,
            version=function.version,
            log_group=function.logging.group,
            log_stream="in-process",
            started_at_ms=self._home.clock.now_ms() - round(duration_ms),
            duration_ms=duration_ms,
            memory_mb=function.memory_mb,
            max_memory_mb=0,
        )


def _exit_status(leaving: SystemExit) -> int:
    if leaving.code is None:
        return 0
    return leaving.code if isinstance(leaving.code, int) else 1


def _raised(error: Exception, invocation: Invocation) -> FunctionFailed:
    """Return the outcome of an exception, as the Python runtime tells it, with the handler's own frames only."""
    frames = [
        frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith((_HERE, _ASYNCIO))
    ]
    named = error if isinstance(error, Fault) else Fault(type(error).__name__, str(error))
    return failure.raised(
        error_type=named.error_type,
        message=named.message,
        request_id=invocation.request_id,
        stack_trace=traceback.format_list(frames),
    )


_HERE = str(Path(__file__).parent)
_ASYNCIO = str(Path(asyncio.__file__).parent)
