"""Environments for people's own handlers: blocking code run in process, with the context and variables of Lambda."""

from __future__ import annotations

import asyncio
import importlib.util
import inspect
import sys
from collections.abc import Callable, Coroutine, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import ModuleType, TracebackType, coroutine
from typing import Any, Self

from eventrouter.clock import Clock
from eventrouter.rules.function import Function
from eventrouter.rules.invocation import Invocation
from eventrouter.rules.names import FunctionName
from eventrouter.rules.outcome import Run, RunStatus, Succeeded, SystemFault
from eventrouter.runtime.bootstrap_context import ClientContext, LambdaContext
from eventrouter.runtime.bootstrap_marshal import Fault, Marshaller, load_event
from eventrouter.runtime.facts import EnvironmentInfo
from eventrouter.runtime.packages import Packages
from eventrouter.runtime.variables import environment_of
from eventrouter.testing.aws import variables
from eventrouter.testing.faults import EXIT, TIMEOUT, Faults, exception_of
from eventrouter.testing.inprocess import InProcessEnvironments, ProcessKilled
from eventrouter.testing.runs import Ended, RunBook, TestRun
from eventrouter.testing.turns import Around, Turns

LOG_STREAM = "in-process"
PlainHandler = Callable[[Any, Any], Any]
"""A handler as on Lambda: the event and the context in, a JSON value out. May be a coroutine function."""


class VirtualContext(LambdaContext):
    """The context of a run in process: its time is the node's."""

    def __init__(self, function: Function, invocation: Invocation, clock: Clock) -> None:
        self._clock = clock
        given = invocation.client_context
        fixed = {
            "function_name": function.name.name,
            "function_version": function.version,
            "memory_limit_in_mb": str(function.memory_mb),
            "log_group_name": function.logging.group,
            "log_stream_name": LOG_STREAM,
        }
        deadline_s = clock.monotonic() + function.timeout_s
        client = ClientContext(load_event(given.encode())) if given else None
        super().__init__(fixed, invocation.request_id, invocation.reference.arn, deadline_s, client)

    def get_remaining_time_in_millis(self) -> int:
        left = self._deadline_s - self._clock.monotonic()
        return int(left * 1_000) if left > 0 else 0


class Handlers:
    """The handlers of a router by function name, what goes wrong with them, and their runs."""

    def __init__(self, seed: int) -> None:
        self.faults = Faults(seed)
        self.runs = RunBook()
        self._handlers: dict[str, PlainHandler] = {}
        self._see_virtual_time: set[str] = set()

    def add(self, name: str, handler: PlainHandler, *, sees_virtual_time: bool) -> None:
        """Give a function its code, instead of what it had."""
        self._handlers[name] = handler
        (self._see_virtual_time.add if sees_virtual_time else self._see_virtual_time.discard)(name)

    def of(self, name: str) -> PlainHandler | None:
        """Return a function's handler, if it was given one."""
        return self._handlers.get(name)

    def sees_virtual_time(self, name: str) -> bool:
        """Say whether a function's handler sees the time of the node."""
        return name in self._see_virtual_time


class HandlerEnvironments(InProcessEnvironments):
    """Runs the handlers that were installed; other functions from the folder of their code."""

    not_applied: list[str] = ["MemorySize, /tmp and isolation: handlers run in this process"]  # noqa: RUF012

    def __init__(
        self,
        turns: Turns,
        clock: Clock,
        packages: Packages,
        observe: Callable[[Invocation, Run], None],
        handlers: Handlers,
    ) -> None:
        super().__init__(clock, observe)
        self._turns = turns
        self._packages = packages
        self._table = handlers
        self._running: dict[str, TestRun] = {}
        self._loaded: dict[tuple[FunctionName, int], PlainHandler] = {}
        self._modules: dict[str, ModuleType] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.kill_all()
        for name, module in self._modules.items():
            if sys.modules.get(name) is module:
                del sys.modules[name]

    def stats(self) -> list[EnvironmentInfo]:
        """Return nothing: there are no processes."""
        return []

    def began(self, function: Function, invocation: Invocation) -> None:
        self._running[invocation.request_id] = self._table.runs.begin(
            function.name.name, invocation.request_id, invocation.payload, self.clock.monotonic()
        )

    def ended(self, invocation: Invocation, run: Run | None) -> None:
        book, begun = self._table.runs, self._running.pop(invocation.request_id)
        now_s = self.clock.monotonic()
        if run is None or isinstance(run.outcome, SystemFault):
            book.end(begun, "killed", now_s)
        elif isinstance(run.outcome, Succeeded):
            book.end(begun, "succeeded", now_s, run.outcome.payload)
        else:
            how: Ended = "timed_out" if run.status is RunStatus.TIMEOUT else "failed"
            book.end(begun, how, now_s, run.outcome.payload, run.outcome.error_type)

    async def execute(self, function: Function, invocation: Invocation) -> bytes:
        faults = self._table.faults.of(function.name.name)
        if (seconds := faults.latency_s()) > 0:
            await self.clock.sleep(seconds)
        if (failure := faults.next_failure()) is not None:
            await _fail(failure)
        event = load_event(invocation.payload)
        records = event.get("Records", ()) if isinstance(event, dict) else ()
        dies_after = faults.records_before_death(len(records))
        if dies_after is not None and records:
            event["Records"] = records[:dies_after]
            self._running[invocation.request_id].given = len(event["Records"])
        result = await self._call(function, invocation, event)
        if dies_after is not None:
            raise ProcessKilled
        return result if isinstance(result, bytes) else Marshaller(function.runtime).dump_result(result)

    async def _call(self, function: Function, invocation: Invocation, event: Any) -> Any:
        handler = self._table.of(function.name.name) or await self._load(function)
        context = VirtualContext(function, invocation, self.clock)
        sees_virtual_time = self._table.sees_virtual_time(function.name.name)

        @contextmanager
        def around() -> Iterator[None]:
            with _variables(function, invocation):
                if not sees_virtual_time:
                    yield
                    return
                from eventrouter.testing.wall import virtual_time

                with virtual_time(self.clock, self._sleep):
                    yield

        if inspect.iscoroutinefunction(handler):
            return await _in_steps(handler(event, context), around)
        run = self._turns.call_handler(lambda: handler(event, context), around)
        try:
            return await run.result
        except asyncio.CancelledError:
            run.stop()
            raise

    def _sleep(self, seconds: float) -> None:
        """Sleep in virtual time: `time.sleep` of handlers that see it."""
        if seconds < 0:
            raise ValueError("sleep length must be non-negative")
        if is_running(self._turns.loop):
            raise RuntimeError("time.sleep would stop everything here: a coroutine awaits asyncio.sleep")
        self._turns.run(self.clock.sleep(seconds))

    async def _load(self, function: Function) -> PlainHandler:
        """Return the handler that the function's code names; imported once for each generation of it."""
        key = (function.name, function.generation)
        if key not in self._loaded:
            self._loaded[key] = find_handler(
                await self._packages.directory(function.code), function.handler, self._modules
            )
        return self._loaded[key]


async def _fail(failure: str | BaseException | type[BaseException]) -> None:
    """End a run without its handler."""
    if failure == TIMEOUT:
        await asyncio.get_running_loop().create_future()  # until the function's timeout ends it
    if failure == EXIT:
        raise SystemExit(1)
    error = exception_of(failure)
    if not isinstance(error, Exception):  # such as KeyboardInterrupt: it ends a process
        raise SystemExit(1)
    raise error.with_traceback(None)


@coroutine
def _in_steps(work: Coroutine[Any, Any, Any], around: Around) -> Generator[Any, Any, Any]:
    """Run a coroutine with `around` entered only while it does something: others do something while it waits."""
    answer: Any = None
    error: BaseException | None = None
    while True:
        with around():
            try:
                awaited = work.send(answer) if error is None else work.throw(error)
            except StopIteration as done:
                return done.value
        answer = error = None
        try:
            answer = yield awaited
        except BaseException as caught:  # noqa: BLE001 - whatever comes is the coroutine's
            error = caught


def is_running(loop: asyncio.AbstractEventLoop) -> bool:
    """Say whether this is called from inside a loop."""
    try:
        return asyncio.get_running_loop() is loop
    except RuntimeError:
        return False


def find_handler(folder: Path, name: str, imported: dict[str, ModuleType]) -> PlainHandler:
    """Import `module.function` or `package/module.function` from a folder, and note the module in `imported`.

    Raises Fault for what Lambda refuses.
    """
    module_name, _, attribute = name.rpartition(".")
    path = folder / f"{module_name.replace('.', '/')}.py"
    if not path.is_file():
        raise Fault(
            "Runtime.ImportModuleError", f"Unable to import module '{module_name}': No module named '{module_name}'"
        )
    handler = getattr(_import(folder, path, module_name.replace("/", "."), imported), attribute, None)
    if handler is None:
        raise Fault("Runtime.HandlerNotFound", f"Handler '{attribute}' missing on module '{module_name}'")
    found: PlainHandler = handler
    return found


def _import(folder: Path, path: Path, name: str, imported: dict[str, ModuleType]) -> ModuleType:
    """Import a file as the module of that name, as `import` does: tests that patch the module patch this one.

    Two folders may both have an `app.py`: the name then stands for the one that was imported last.
    """
    loaded = sys.modules.get(name)
    if loaded is not None and getattr(loaded, "__file__", None) == str(path):
        return loaded
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        with _on_path(folder):
            spec.loader.exec_module(module)
    except BaseException:
        if loaded is None:
            del sys.modules[name]
        else:
            sys.modules[name] = loaded
        raise
    imported[name] = module
    return module


@contextmanager
def _on_path(folder: Path) -> Iterator[None]:
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))


_SHOWN = ("AWS_LAMBDA_", "LAMBDA_TASK_ROOT", "_HANDLER", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_EXECUTION_ENV")


def _variables(function: Function, invocation: Invocation) -> AbstractContextManager[None]:
    """Have the function's own environment variables, and those that Lambda tells it with, while it runs."""
    all_of_them = environment_of(function, log_stream=LOG_STREAM, endpoint_url="", task_root=str(Path.cwd()))
    wanted = {name: value for name, value in all_of_them.items() if name.startswith(_SHOWN)}
    wanted |= function.environment or {}
    wanted["_X_AMZN_TRACE_ID"] = invocation.trace
    return variables(wanted)
