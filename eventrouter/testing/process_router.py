"""A router over the real thing: the embedded server, functions in processes of their own, and time that is led through.

The node runs in this process, on a loop in a thread of its own. Handlers must be found by their names, as functions of
modules; what goes wrong with handlers in process (`fail=`, `faults`) has no meaning here and is refused.
"""

from __future__ import annotations

import asyncio
import inspect
import shutil
import tempfile
import threading
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from eventrouter.clock import Clock
from eventrouter.errors import EventRouterError, RequestError
from eventrouter.journal import Journal
from eventrouter.node import Node
from eventrouter.node_home import MachineHome, NodeEnvironments
from eventrouter.planes.time_travel import TimeTravel
from eventrouter.project.model import Project
from eventrouter.rules.invocation import Invocation
from eventrouter.rules.outcome import FunctionFailed, Run, RunStatus, Succeeded
from eventrouter.runtime.facts import NodeFacts
from eventrouter.runtime.packages import Packages
from eventrouter.settings import Settings
from eventrouter.testing.aws import aws_variables, default_session, variables
from eventrouter.testing.door import close_door, open_door
from eventrouter.testing.handlers import PlainHandler
from eventrouter.testing.log import node_log
from eventrouter.testing.resources import TestFunction
from eventrouter.testing.router import LONGEST_S, REGION, Router
from eventrouter.testing.runs import Ended, RunBook

T = TypeVar("T")


class ProcessRouter(Router):
    """The same methods as Router's, but for faults of handlers and of the store."""

    def _open(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="eventrouter-"))
        self._stack.callback(shutil.rmtree, self._folder, ignore_errors=True)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="eventrouter-loop", daemon=True)
        self._thread.start()
        self._stack.callback(self._end_loop)
        self._ended: list[_Ended] = []
        settings = Settings(**{**_SETTINGS, "data_dir": self._folder, **self._settings})
        node = Node(settings, random=self._random, home=_WatchedHome(settings, self._ended))
        node.log = node_log()
        self._live = node
        self._run(node.__aenter__())
        self._stack.callback(lambda: self._run(node.__aexit__(None, None, None)))
        self.clock = node.clock
        self._opened_ms, self._opened_s = node.clock.now_ms(), node.clock.monotonic()
        self.url = open_door(self)
        self._stack.callback(close_door, self.url)
        self._session = self._stack.enter_context(default_session())
        self._stack.enter_context(variables(aws_variables(self.url, node.services, region=REGION)))

    def function(
        self,
        handler: PlainHandler,
        *,
        name: str | None = None,
        fail: list[Any] | None = None,
        sees_virtual_time: bool = False,
        **settings: Any,
    ) -> TestFunction:
        """Add a function whose code is the module of `handler`: it is imported by its name, in its own process."""
        if fail or sees_virtual_time:
            self._refuse("fail" if fail else "sees_virtual_time")
        called = name or handler.__name__
        folder, handler_name = _place_of(handler)
        project = self._declarations.function(handler, called, settings)
        self._declare(
            replace(
                project,
                functions=tuple(
                    replace(each, code=folder, members={**each.members, "Handler": handler_name})
                    for each in project.functions
                ),
            )
        )
        return TestFunction(called, project_arn(project, called), self)

    @property
    def node(self) -> Node:
        return self._live

    # Time.

    @property
    def start_ms(self) -> int:
        return self._opened_ms

    @property
    def elapsed(self) -> float:
        return (self.clock.now_ms() - self._opened_ms) / 1_000

    def advance(self, seconds: float) -> None:
        self._run(self._travel.advance(seconds))

    def run_until_idle(self, *, within: float = LONGEST_S) -> None:
        try:
            self._run(self._travel.until_idle(within))
        except RequestError as error:
            raise AssertionError(error.message) from error

    def run_until(self, predicate: Callable[[], object], *, within: float = LONGEST_S) -> None:
        end = self.elapsed + within
        while not predicate():
            if (not self._run(self._travel.step()) or self.elapsed > end) and not predicate():
                raise AssertionError(f"nothing more is due within {within:g} s, and {predicate!r} is still not true")

    @property
    def _travel(self) -> TimeTravel:
        assert self._live.travel is not None, "its clock is virtual"
        return self._live.travel

    # What goes wrong.

    def faults(self, function: TestFunction | str) -> NoReturn:
        self._refuse("faults")

    def kill_node(self, *, down: float = 0.0) -> NoReturn:
        self._refuse("kill_node")

    def redis_outage(self, seconds: float) -> NoReturn:
        self._refuse("redis_outage")

    def drop_reply(self, n: int = 1, *, script: str | None = None) -> NoReturn:
        self._refuse("drop_reply")

    def late_reply(self, seconds: float, n: int = 1, *, script: str | None = None) -> NoReturn:
        self._refuse("late_reply")

    def apply(self, plan: Any) -> NoReturn:
        self._refuse("apply")

    @staticmethod
    def _refuse(what: str) -> NoReturn:
        raise EventRouterError(f"{what}: this router runs functions in processes of their own; use the in-process one")

    # What has happened.

    @property
    def journal(self) -> Journal:
        return self._live.journal

    @property
    def runs(self) -> RunBook:
        """Every run that has ended, in the order of their beginnings."""
        book = RunBook()
        moments = [
            moment
            for invocation, run, ended_s in list(self._ended)
            for moment in (
                (ended_s - run.duration_ms / 1_000, 0, invocation, run),
                (ended_s, 1, invocation, run),
            )
        ]
        begun = {}
        for moment_s, is_end, invocation, run in sorted(moments, key=lambda moment: moment[:2]):
            at_s = moment_s - self._opened_s
            if not is_end:
                name = invocation.reference.function.name
                begun[id(run)] = book.begin(name, invocation.request_id, invocation.payload, at_s)
            else:
                payload, error_type = _said(run)
                book.end(begun[id(run)], _how(run), at_s, payload, error_type)
        return book

    def _declare(self, project: Project) -> None:
        super()._declare(project)
        self._run(self._travel.settle())

    def _run_in_node(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        return self._run(work())

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def _end_loop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


_SETTINGS = {"clock": "virtual", "port": 0, "durability": "memory", "grace_s": 1, "dev": True, "history_limit": 10**6}


_Ended = tuple[Invocation, Run, float]
"""A run, and when it was over, by the node's monotonic time: two runs in one millisecond are one after the other."""


class _WatchedHome(MachineHome):
    """The machine, with every run noted."""

    def __init__(self, settings: Settings, ended: list[_Ended]) -> None:
        super().__init__(settings)
        self._ended = ended

    def environments(
        self,
        *,
        clock: Clock,
        packages: Packages,
        node: NodeFacts,
        observe: Callable[[Invocation, Run], None],
        inherit_fds: tuple[int, ...],
    ) -> AbstractAsyncContextManager[NodeEnvironments]:
        def watch(invocation: Invocation, run: Run) -> None:
            self._ended.append((invocation, run, clock.monotonic()))
            observe(invocation, run)

        return super().environments(clock=clock, packages=packages, node=node, observe=watch, inherit_fds=inherit_fds)


def project_arn(project: Project, name: str) -> str:
    """Return the ARN of a function of a project."""
    return f"arn:aws:lambda:{project.region}:{project.account}:function:{name}"


def _place_of(handler: PlainHandler) -> tuple[Path, str]:
    """Return the folder from which a handler's module is imported, and the handler's name there."""
    name = getattr(handler, "__qualname__", "")
    module = inspect.getmodule(handler)
    file = getattr(module, "__file__", None)
    if module is None or file is None or not name.isidentifier():
        raise EventRouterError(f"{handler!r} is no function of a module: another process cannot import it")
    return Path(file).parent.resolve(), f"{Path(file).stem}.{name}"


def _said(run: Run) -> tuple[bytes, str]:
    match run.outcome:
        case Succeeded(payload=payload):
            return payload, ""
        case FunctionFailed(payload=payload, error_type=error_type):
            return payload, error_type
    return b"", ""


def _how(run: Run) -> Ended:
    if isinstance(run.outcome, Succeeded):
        return "succeeded"
    if isinstance(run.outcome, FunctionFailed):
        return "timed_out" if run.status is RunStatus.TIMEOUT else "failed"
    return "killed"
