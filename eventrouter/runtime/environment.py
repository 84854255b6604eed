"""One execution environment: an identity that lasts (its /tmp, its log stream), and the process that is in it now.

States of the process, and what moves between them:

    none --cold start--> initialising --READY--> ready --death, timeout--> none
    none --an invocation waits--> initialising again, within that invocation and its timeout ("suppressed init")

A cold init that fails or overruns leaves no process, so the first invocation initialises again. What an
environment is sent waits in `_flight`, in order: the first `_sent` of it were handed to the process, of which at
most one has begun. A process that ends takes only the one that it had begun with it; the others are sent to the
next process, and none is ever begun twice. Source: lambda-semantics §5.1.
"""

from __future__ import annotations

import asyncio
import resource
from collections import Counter, deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from eventrouter.clock import Clock
from eventrouter.errors import RuntimeFault
from eventrouter.rules import report
from eventrouter.rules.function import Function
from eventrouter.rules.invocation import Invocation
from eventrouter.rules.outcome import FunctionFailed, Run, RunStatus, Succeeded, SystemFault
from eventrouter.runtime import verdicts, wire
from eventrouter.runtime.process import KEPT_LOG_BYTES, Process
from eventrouter.runtime.variables import TASK_ROOT, environment_of
from eventrouter.runtime.verdicts import Cause
from eventrouter.runtime.zygote_link import Exit, ZygoteLink

Done = Callable[[Run], None]
WATCHED_AFTER_S = 0.05
"""Runs shorter than this are not sampled for their memory."""
MOMENT_S = 0.01
_PAGE_KB = resource.getpagesize() // 1024


class Home(Protocol):
    """What an environment uses of the runtime that keeps it."""

    clock: Clock
    init_limit_s: float

    @property
    def link(self) -> ZygoteLink: ...
    def endpoint_url(self) -> str: ...
    def observe(self, invocation: Invocation, run: Run) -> None: ...
    def released(self, environment: Environment) -> None: ...
    def gone(self, environment: Environment) -> None: ...


class Environment:
    """An environment and, for its holder, the lease of it. Used from the event loop only."""

    __slots__ = (
        "_cause", "_clock", "_code", "_cold", "_ending", "_fault", "_flight", "_home", "_init_counts", "_init_error",
        "_init_ms", "_init_timer", "_loop", "_observe", "_peak_kb", "_preface", "_process", "_sent", "_started",
        "_started_ms", "_timeout_ms", "_timer", "_version",
        "folder", "function", "id", "idle_since", "is_gone", "is_leased", "is_retired", "key", "log_stream",
    )  # fmt: skip

    def __init__(self, home: Home, function: Function, *, name: str, log_stream: str, code: Path, folder: Path) -> None:
        self.id = name
        self.function = function
        self.key = (function.name, function.version, function.generation)
        self.log_stream = log_stream
        self.folder = folder
        """Holds `tmp`, which the function sees as /tmp."""
        self.idle_since = 0.0
        self.is_leased = True
        self.is_retired = False
        self._home = home
        self._clock = home.clock
        self._observe = home.observe
        self._loop = asyncio.get_running_loop()
        self.is_gone: asyncio.Future[None] = self._loop.create_future()
        self._code = code
        self._version = function.version
        self._timeout_ms = round(function.timeout_s * 1_000)
        self._flight: deque[tuple[Invocation, Done]] = deque()
        self._sent = 0
        self._process: Process | None = None
        self._cause: Cause | None = None
        self._ending = False
        self._fault = ""
        self._cold: asyncio.Future[None] | None = None
        self._init_timer: asyncio.TimerHandle | None = None
        self._init_ms: float | None = None
        self._init_counts = False
        self._init_error: FunctionFailed | None = None
        self._preface = b""
        self._timer: asyncio.TimerHandle | None = None
        self._started = 0.0
        self._started_ms = 0
        self._peak_kb = 0

    # The lease.

    def submit(self, invocation: Invocation, done: Done) -> None:
        """Run `invocation` after those submitted before; `done` is called once with what it did."""
        flight = self._flight
        flight.append((invocation, done))
        if len(flight) == 1:
            self._begin()
        process = self._process
        if process is None or self._cause is not None or self._sent != len(flight) - 1:
            self._advance()
        else:
            self._sent += 1
            self._send(process, invocation)

    def recall(self) -> list[Invocation]:
        """Take back what has not begun; its `done` is never called. Atomic: each is either returned or run."""
        self._take_back()
        flight = self._flight
        back = [flight.pop() for _ in range(len(flight) - self._sent)]
        return [invocation for invocation, _ in reversed(back)]

    def release(self) -> None:
        """Give the environment back to the pool. Only when nothing is in flight."""
        self._home.released(self)

    @property
    def in_flight(self) -> int:
        return len(self._flight)

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None else None

    @property
    def is_starting(self) -> bool:
        return self._cold is not None

    @property
    def is_ending(self) -> bool:
        return self._ending

    # Start and end.

    async def start(self) -> None:
        """Start cold: return when init has succeeded, failed or overrun its limit. Raises RuntimeFault."""
        self._cold = self._loop.create_future()
        self._started = self._clock.monotonic()
        self._init_timer = self._loop.call_later(self._home.init_limit_s, self._overrun_init)
        self._spawn()
        try:
            await self._cold
        finally:
            self._cold = None
            self._init_timer.cancel()

    def end(self, fault: str) -> None:
        """End the environment now; what is in flight ends as a SystemFault that says `fault`. Once is enough."""
        if self._ending:
            return
        self._ending = True
        self._fault = fault
        self._cause = Cause.ENDING
        if self._process is not None:
            self._process.kill()
        else:
            self._loop.call_soon(self._end_now)

    def _end_now(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._cold is not None and not self._cold.done():
            self._cold.set_exception(RuntimeFault(self._fault))
        while self._flight:
            self._tell(*self._flight.popleft(), SystemFault(message=self._fault), RunStatus.ERROR, b"")
        if not self.is_gone.done():
            self.is_gone.set_result(None)
            self._home.gone(self)

    def _spawn(self) -> None:
        link = self._home.link
        function = self.function
        task_root = TASK_ROOT if link.is_sandboxed else str(self._code)
        tmp = str(self.folder / "tmp")
        environ = environment_of(
            function, log_stream=self.log_stream, endpoint_url=self._home.endpoint_url(), task_root=task_root
        )
        if not link.is_sandboxed:
            environ["TMPDIR"] = tmp
        config = {
            "handler": function.handler,
            "task_root": task_root,
            "shown_root": TASK_ROOT,
            "function_name": function.name.name,
            "version": function.version,
            "memory_mb": function.memory_mb,
            "log_group": function.logging.group,
            "log_stream": self.log_stream,
            "runtime": function.runtime,
            "log_format": function.logging.format.value,
            "log_level": function.logging.application_level,
            "init_counts": self._init_counts,
        }
        request: dict[str, Any] = {"environ": environ, "code": str(self._code), "tmp": tmp, "config": config}
        self._sent = 0
        self._peak_kb = 0
        self._init_error = None
        try:
            self._process = Process(link, request, on_result=self._on_result, on_end=self._on_end)
        except OSError as error:
            self.end(f"the environment could not be started: {error}")

    # Sending.

    def _send(self, process: Process, invocation: Invocation) -> None:
        payload = invocation.payload
        is_inline = len(payload) <= wire.INLINE_BYTES
        command = wire.Command(
            invocation.request_id,
            self._timeout_ms,
            invocation.reference.arn,
            invocation.trace,
            invocation.client_context or "",
            payload,
        )
        process.send(wire.pack_command(command, inline=is_inline), None if is_inline else payload)

    def _advance(self) -> None:
        """Send whatever has not been sent, to a new process if there is none."""
        if self._ending:
            if self._process is None:
                self._loop.call_soon(self._end_now)
            return
        if self._cause is not None:
            return  # the process is being killed: its end goes on from here
        if self._process is None:
            self._init_counts = True
            self._spawn()
        process = self._process
        if process is None:
            return
        while self._sent < len(self._flight):
            self._sent += 1
            self._send(process, self._flight[self._sent - 1][0])

    def _take_back(self) -> None:
        """Take back from the process what it has not begun, so that only the first `_sent` are its own."""
        if self._process is None:
            return
        unread = Counter(self._process.take_back())
        if not unread:
            return
        sent = [self._flight.popleft() for _ in range(self._sent)]
        begun: list[tuple[Invocation, Done]] = []
        back: list[tuple[Invocation, Done]] = []
        # From the end: should one request be in flight twice, the later of the two is the unread one.
        for entry in reversed(sent):
            request_id = entry[0].request_id
            if unread[request_id] > 0:
                unread[request_id] -= 1
                back.append(entry)
            else:
                begun.append(entry)
        self._flight.extendleft(back)
        self._flight.extendleft(begun)
        self._sent = len(begun)

    # Running.

    def _begin(self) -> None:
        """Note that the first in flight starts now."""
        self._started = self._clock.monotonic()
        self._started_ms = self._clock.now_ms()
        if self._timer is None:
            self._timer = self._loop.call_later(self._timeout_ms / 1_000, self._on_timer)

    def _on_timer(self) -> None:
        """The timer is only ever moved when it rings: it is set once for many short runs."""
        self._timer = None
        if not self._flight:
            return
        if self._cause is not None:  # what waits for the end of the process is timed again when it is sent
            self._timer = self._loop.call_later(MOMENT_S, self._on_timer)
            return
        remaining = self._started + self._timeout_ms / 1_000 - self._clock.monotonic()
        if remaining <= 0:
            remaining = self._overrun()
        if remaining > 0 and self._timer is None:
            self._timer = self._loop.call_later(remaining, self._on_timer)

    def _overrun(self) -> float:
        """Kill the process, unless the answer has just come; return the time that is left for what runs then."""
        running = self._flight[0]
        self._take_back()
        if self._process is not None:
            self._process.read()
        if not self._flight:
            return 0.0
        if self._flight[0] is running:
            self._kill(Cause.TIMEOUT)
            return 0.0
        self._advance()
        return self._started + self._timeout_ms / 1_000 - self._clock.monotonic()

    def _kill(self, cause: Cause) -> None:
        self._cause = cause
        if self._process is not None:
            self._process.kill()

    def _on_result(self, kind: int, log_end: int, duration_us: int, rss_kb: int, error_type: str, body: bytes) -> None:
        process = self._process
        assert process is not None
        if kind <= wire.INIT_FAILED:
            self._on_init(process, kind, duration_us, error_type, body)
            return
        flight = self._flight
        if not self._sent:
            return  # nobody has asked: the function's own code has written to our socket
        invocation, done = flight.popleft()
        self._sent -= 1
        process.finished += 1
        self._peak_kb = max(self._peak_kb, rss_kb)
        log = process.log(log_end) if log_end != process.log_at else b""
        outcome, status = verdicts.of_answer(kind, error_type, body)
        self._tell(invocation, done, outcome, status, log, duration_ms=duration_us / 1_000)
        if process.is_log_full:
            self._empty_log(process)

    def _empty_log(self, process: Process) -> None:
        """Start the log file anew, if the process is between two invocations; else after the next."""
        self._take_back()
        if self._sent == 0:
            process.empty_log()
        if self._flight:
            self._advance()

    def _tell(
        self,
        invocation: Invocation,
        done: Done,
        outcome: Succeeded | FunctionFailed | SystemFault,
        status: RunStatus,
        log: bytes,
        *,
        duration_ms: float | None = None,
    ) -> None:
        """Report what has left the flight. The next in flight starts at this moment."""
        started_ms = self._started_ms
        if duration_ms is None or self._init_counts:
            duration_ms = (self._clock.monotonic() - self._started) * 1_000
            self._init_counts = False
        if self._preface:
            log, self._preface = self._preface + log, b""
        memory_mb = self.function.memory_mb
        run = Run(
            outcome=outcome,
            status=status,
            version=self._version,
            log_group=self.function.logging.group,
            log_stream=self.log_stream,
            started_at_ms=started_ms,
            duration_ms=duration_ms,
            memory_mb=memory_mb,
            max_memory_mb=min((self._peak_kb + 1023) // 1024, memory_mb),
            init_ms=self._init_ms,
            log=log,
        )
        self._init_ms = None
        if self._flight:
            self._begin()
        try:
            self._observe(invocation, run)
        except Exception as error:  # noqa: BLE001  # an observer must not cost the caller its answer
            self._complain("observe", error)
        try:
            done(run)
        except Exception as error:  # noqa: BLE001  # nor one caller the others
            self._complain("done", error)

    def _complain(self, what: str, error: Exception) -> None:
        message = f"{what} of a run of {self.function.name.key} raised"
        self._loop.call_exception_handler({"message": message, "exception": error})

    # Init.

    def _on_init(self, process: Process, kind: int, duration_us: int, error_type: str, body: bytes) -> None:
        if kind == wire.INIT_FAILED:
            self._init_error = FunctionFailed(payload=body, error_type=error_type)
            return  # the process ends now: its end says what follows
        process.is_ready = True
        if self._cold is not None and not self._cold.done() and self._cause is None:
            self._init_ms = duration_us / 1_000
            self._cold.set_result(None)

    def _overrun_init(self) -> None:
        process = self._process
        if process is None or self._cause is not None:
            return
        process.read()
        if process.is_ready:
            return
        left = self._home.init_limit_s - process.age_s
        if left > 0:
            self._init_timer = self._loop.call_later(max(left, MOMENT_S), self._overrun_init)
        else:
            self._kill(Cause.INIT_TIMEOUT)

    def _cold_init_failed(self, cause: Cause | None, log: bytes) -> None:
        self._preface += log + self._init_report("init", cause)

    def _init_report(self, phase: str, cause: Cause | None) -> bytes:
        error_type, status = verdicts.of_failed_init(cause=cause, init_error=self._init_error)
        line = report.init_report(
            self.function.logging,
            at_ms=self._clock.now_ms(),
            init_ms=(self._clock.monotonic() - self._started) * 1_000,
            phase=phase,
            status=status,
            error_type=error_type,
        )
        return line.encode()

    # The end of a process.

    def _on_end(self, process: Process, how: Exit) -> None:
        self._take_back()
        log = process.log()
        has_begun = self._sent > 0
        self._process = None
        process.close()
        cause, self._cause = self._cause, None
        self._peak_kb = max(self._peak_kb, how.max_rss_kb)
        self._sent = 0
        if self._ending or how.fault is not None:
            self._ending = True
            self._cause = Cause.ENDING
            self._fault = self._fault or f"the environment was lost: {how.fault}"
            self._end_now()
        elif self._cold is not None and not self._cold.done():
            self._cold_init_failed(cause, log)
            self._cold.set_result(None)
        elif self._flight and (has_begun or not process.is_ready or process.finished == 0):
            # Also what had not begun, if the process did nothing else: or a function that cannot live goes round.
            if not process.is_ready:
                log += self._init_report("invoke", cause)
            self._blame(cause, how, log)
        else:
            self._preface = (self._preface + log)[-KEPT_LOG_BYTES:]
            if self._flight:
                self._advance()

    def _blame(self, cause: Cause | None, how: Exit, log: bytes) -> None:
        invocation, done = self._flight.popleft()
        outcome, status = verdicts.of_end(
            invocation.request_id,
            cause=cause,
            code=how.code,
            init_error=self._init_error,
            timeout_s=self.function.timeout_s,
        )
        self._tell(invocation, done, outcome, status, log)
        if self._flight:
            self._advance()

    # Memory.

    def check_memory(self, now: float) -> None:
        """Kill what uses more memory than the function may. Called now and then for environments that run."""
        process = self._process
        if process is None or process.pid is None or self._cause is not None:
            return
        if now - self._started < WATCHED_AFTER_S or not (self._flight or self._cold is not None):
            return
        try:
            with open(f"/proc/{process.pid}/statm", "rb", buffering=0) as statm:  # noqa: PTH123  # often, and fast
                resident_kb = int(statm.read().split()[1]) * _PAGE_KB
        except (OSError, IndexError):
            return  # it has just ended
        self._peak_kb = max(self._peak_kb, resident_kb)
        if resident_kb > self.function.memory_mb * 1_024 + process.link.resident_kb:
            self._kill(Cause.MEMORY)
