"""The runtime of a node: all its execution environments, idle, leased and on their way in or out."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import shutil
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self
from uuid import uuid4

from eventrouter.clock import Clock
from eventrouter.errors import RuntimeFault
from eventrouter.rules.function import Code, Function
from eventrouter.rules.invocation import Invocation
from eventrouter.rules.names import FunctionName
from eventrouter.rules.outcome import Run
from eventrouter.runtime import keeper
from eventrouter.runtime.environment import Environment
from eventrouter.runtime.facts import EnvironmentInfo, EnvironmentState, NodeFacts
from eventrouter.runtime.zygote_link import ZygoteLink
from eventrouter.settings import Settings

INIT_LIMIT_S = 10.0
"""Source: lambda-semantics §5.1."""
OPEN_FILES = 65_536
"""Files that a node wants to be able to open: four an environment, and its callers' connections."""
KILL_LIMIT_S = 5.0
"""Time that the zygote has to end environments; then it is killed, and they with it."""
WATCH_EVERY_S = 0.1
_CPUS = os.cpu_count() or 1
_WATCH_S_EACH = 0.0005  # many running environments are sampled less often, so that it never costs more than 5 %

Key = tuple[FunctionName, str, int]


class CodeSource(Protocol):
    """Where unpacked code comes from."""

    async def directory(self, code: Code) -> Path: ...


class _Waiter:
    """A lease that waits for room. It gets an environment, or None: the permit to start one."""

    __slots__ = ("future", "key")

    def __init__(self, key: Key, future: asyncio.Future[Environment | None]) -> None:
        self.key = key
        self.future = future


class Runtime:
    """Long-lived: `async with runtime:` starts the zygote; leaving it ends every environment."""

    def __init__(
        self,
        *,
        settings: Settings,
        clock: Clock,
        packages: CodeSource,
        node: NodeFacts,
        observe: Callable[[Invocation, Run], None],
        inherit_fds: tuple[int, ...] = (),
        new_id: Callable[[], str] = lambda: uuid4().hex,
        init_limit_s: float = INIT_LIMIT_S,
        keeper_s: float = keeper.LIMIT_S,
        wants_sandbox: bool = True,
    ) -> None:
        """`inherit_fds` stay open in the zygote until every environment is gone. `wants_sandbox` False runs
        environments without namespaces, as where the system grants none.
        """
        self.clock = clock
        self.init_limit_s = init_limit_s
        self.observe = observe
        self.endpoint_url = node.endpoint_url
        self._limit = settings.max_environments
        self._idle_s = settings.environment_idle_s
        self._folder = (settings.data_dir / "environments").absolute()
        self._packages = packages
        self._inherit_fds = inherit_fds
        self._new_id = new_id
        self._keeper_s = keeper_s
        self._wants_sandbox = wants_sandbox
        self._all: set[Environment] = set()
        self._permits = 0  # environments that may be started and are not in `_all` yet
        self._idle: dict[Key, list[Environment]] = {}
        self._waiters: deque[_Waiter] = deque()
        self._removals: set[asyncio.Future[None]] = set()
        self._link: ZygoteLink | None = None
        self._link_lock = asyncio.Lock()
        self._beat_at: float | None = None
        self._reaper: asyncio.TimerHandle | None = None
        self._watch: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        _allow_descriptors()
        await self._loop.run_in_executor(None, _make_empty, self._folder)
        await self._linked()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End every environment and the zygote. Harmless to repeat."""
        await self.kill_all()
        for timer in (self._reaper, self._watch):
            if timer is not None:
                timer.cancel()
        self._reaper = self._watch = None
        link, self._link = self._link, None
        if link is not None:
            await link.close()
        if self._removals:
            await asyncio.wait(self._removals)
        await self._loop.run_in_executor(None, _remove, self._folder)  # what could not be removed at its time

    @property
    def link(self) -> ZygoteLink:
        assert self._link is not None, "the runtime has not been started"
        return self._link

    @property
    def cpus(self) -> int:
        return _CPUS

    @property
    def not_applied(self) -> list[str]:
        """Return what this system does not let environments have, each with the reason."""
        return list(self._link.not_applied) if self._link is not None else []

    # Leases.

    def try_lease(self, function: Function) -> Environment | None:
        """Take an idle environment of the function's version and generation, the last used first."""
        idle = self._idle.get((function.name, function.version, function.generation))
        if not idle:
            return None
        environment = idle.pop()
        environment.is_leased = True
        if self._watch is None:
            self._watch_memory()
        return environment

    def has_room(self, function: Function) -> bool:
        """Say whether a lease would wait for nothing but its own environment, or the end of one that is idle."""
        idle = sum(map(len, self._idle.values()))
        ending = sum(environment.is_ending for environment in self._all)
        return self._limit - len(self._all) - self._permits + idle + ending > len(self._waiters)

    async def lease(self, function: Function, *, patience_s: float) -> Environment:
        """Take an idle environment, or start one; its init is then over, well or not.

        Waits up to `patience_s` where the node has as many environments as it may, first come first served.
        Raises RuntimeFault.
        """
        if not self._waiters:
            environment = self.try_lease(function)
            if environment is not None:
                return environment
        if self._waiters or len(self._all) + self._permits >= self._limit:
            waited = await self._wait_for_room(function, patience_s)
            if waited is not None:
                return waited
        else:
            self._permits += 1
        return await self._start(function)

    def released(self, environment: Environment) -> None:
        """Take back an environment from its holder (`Lease.release`)."""
        if not environment.is_leased:
            return
        environment.is_leased = False
        if environment.is_ending:
            return
        if environment.is_retired:
            environment.end("retired")
            return
        environment.idle_since = self.clock.monotonic()
        self._idle.setdefault(environment.key, []).append(environment)
        if self._waiters:
            self._serve_waiters()
        if self._reaper is None:
            self._reaper = self._loop.call_later(self._idle_s, self._reap)

    def retire(self, name: FunctionName) -> None:
        """End the function's environments: idle ones now, others when they are released."""
        for environment in list(self._all):
            if environment.function.name == name:
                environment.is_retired = True
                if not environment.is_leased:
                    self._end(environment, "retired")

    async def _wait_for_room(self, function: Function, patience_s: float) -> Environment | None:
        future: asyncio.Future[Environment | None] = self._loop.create_future()
        waiter = _Waiter((function.name, function.version, function.generation), future)
        self._waiters.append(waiter)
        self._serve_waiters()
        try:
            async with asyncio.timeout(patience_s):
                return await future
        except BaseException as error:
            if future.done() and not future.cancelled():
                self._give_back(future.result())
            elif waiter in self._waiters:  # else it has been passed over in this very turn
                self._waiters.remove(waiter)
            if isinstance(error, TimeoutError):
                most = f"all {self._limit} environments of this node are in use"
                raise RuntimeFault(f"{most}, and none became free within {patience_s:g} s") from None
            raise

    def _give_back(self, granted: Environment | None) -> None:
        if granted is not None:
            self.released(granted)
        else:
            self._permits -= 1
            self._serve_waiters()

    def _serve_waiters(self) -> None:
        """Give the longest waiting lease what it needs, evicting idle environments of others; then the next."""
        while self._waiters:
            waiter = self._waiters[0]
            idle = self._idle.get(waiter.key)
            if idle:
                environment = idle.pop()
                environment.is_leased = True
                self._watch_memory()
                self._grant(environment)
            elif len(self._all) + self._permits < self._limit:
                self._permits += 1
                self._grant(None)
            else:
                self._evict()
                return  # its end calls again

    def _grant(self, granted: Environment | None) -> None:
        waiter = self._waiters.popleft()
        if waiter.future.done():  # cancelled in this very turn
            self._give_back(granted)
        else:
            waiter.future.set_result(granted)

    def _evict(self) -> None:
        """End the environment that has been idle the longest, unless one is on its way out already."""
        if any(environment.is_ending for environment in self._all):
            return
        oldest = min((idle[0] for idle in self._idle.values() if idle), key=lambda each: each.idle_since, default=None)
        if oldest is not None:
            self._end(oldest, "evicted")

    # Starting and ending.

    async def _start(self, function: Function) -> Environment:
        """Start an environment; the caller holds a permit for it."""
        try:
            code = await self._packages.directory(function.code)
            await self._linked()
            environment = self._create(function, code)
        except BaseException as error:
            self._give_back(None)
            if isinstance(error, OSError):
                raise RuntimeFault(f"the environment could not be started: {error}") from error
            raise
        self._permits -= 1
        self._all.add(environment)
        self._watch_memory()
        try:
            await environment.start()
        except BaseException:
            environment.end("its start was given up")
            raise
        if environment.is_ending:
            raise RuntimeFault("the environment was ended while it started")
        return environment

    def _create(self, function: Function, code: Path) -> Environment:
        name = self._new_id()
        folder = self._folder / name
        tmp = folder / "tmp"
        tmp.mkdir(parents=True)
        tmp.chmod(0o1777)
        today = datetime.fromtimestamp(self.clock.now_ms() / 1_000, UTC).strftime("%Y/%m/%d")
        is_own_group = function.logging.group == f"/aws/lambda/{function.name.name}"
        prefix = "" if is_own_group else function.name.name
        stream = f"{today}/{prefix}[{function.version}]{name}"
        return Environment(self, function, name=name, log_stream=stream, code=code, folder=folder)

    async def _linked(self) -> None:
        """Make sure that there is a living zygote."""
        async with self._link_lock:
            if self._link is not None and self._link.is_alive:
                return
            if self._link is not None:
                await self._link.close()
            link = ZygoteLink(
                keeper_s=self._keeper_s,
                wants_sandbox=self._wants_sandbox,
                inherit_fds=self._inherit_fds,
                on_fenced=self._on_fenced,
            )
            self._link = link
            await link.start()
            if self._beat_at is not None:
                link.beat(self._beat_at)

    def _end(self, environment: Environment, why: str) -> None:
        idle = self._idle.get(environment.key)
        if idle is not None and environment in idle:
            idle.remove(environment)
            if not idle:
                del self._idle[environment.key]
        environment.end(why)

    def gone(self, environment: Environment) -> None:
        """Forget an environment that has ended, and remove its files."""
        self._end(environment, "lost")
        self._all.discard(environment)
        removal = self._loop.run_in_executor(None, _remove, environment.folder)
        self._removals.add(removal)
        removal.add_done_callback(self._removals.discard)
        self._serve_waiters()

    def _reap(self) -> None:
        self._reaper = None
        now = self.clock.monotonic()
        idle = [environment for each in self._idle.values() for environment in each]
        for environment in idle:
            if now - environment.idle_since >= self._idle_s:
                self._end(environment, "idle")
        oldest = min((each[0].idle_since for each in self._idle.values() if each), default=None)
        if oldest is not None:
            self._reaper = self._loop.call_later(max(oldest + self._idle_s - now, 0.01), self._reap)

    # The keeper.

    def beat(self) -> None:
        """Pass on that a heartbeat was acknowledged just now."""
        self._beat_at = keeper.boottime()
        if self._link is not None:
            self._link.beat(self._beat_at)

    async def kill_all(self) -> None:
        """Kill every environment and wait until they are gone. What was running ends as a SystemFault."""
        await self._end_all("the node has ended its environments")

    def _on_fenced(self) -> None:
        for environment in list(self._all):
            self._end(environment, "the node's heartbeats were not acknowledged: its environments were ended")

    async def _end_all(self, why: str) -> None:
        ending = list(self._all)
        for environment in ending:
            self._end(environment, why)
        if not ending:
            return
        _, left = await asyncio.wait([environment.is_gone for environment in ending], timeout=KILL_LIMIT_S)
        if left:
            self.link.kill_zygote()
            await asyncio.wait(left)

    # Watching.

    @property
    def is_busy(self) -> bool:
        """Say whether somebody has an environment, or is to get one."""
        in_use = any(environment.is_leased or environment.is_starting for environment in self._all)
        return in_use or bool(self._permits or self._waiters)

    def stats(self) -> list[EnvironmentInfo]:
        """Return every environment there is."""
        return [_info(environment) for environment in self._all]

    def _watch_memory(self) -> None:
        if self._watch is None:
            every_s = max(WATCH_EVERY_S, len(self._all) * _WATCH_S_EACH)
            self._watch = self._loop.call_later(every_s, self._look_at_memory)

    def _look_at_memory(self) -> None:
        self._watch = None
        now = self.clock.monotonic()
        leased = [environment for environment in self._all if environment.is_leased]
        for environment in leased:
            environment.check_memory(now)
        if leased:
            self._watch_memory()


def _info(environment: Environment) -> EnvironmentInfo:
    if environment.is_ending:
        state = EnvironmentState.ENDING
    elif environment.is_starting:
        state = EnvironmentState.STARTING
    else:
        state = EnvironmentState.LEASED if environment.is_leased else EnvironmentState.IDLE
    return EnvironmentInfo(
        id=environment.id,
        function=environment.function.name,
        version=environment.function.version,
        generation=environment.function.generation,
        log_stream=environment.log_stream,
        state=state,
        pid=environment.pid,
        in_flight=environment.in_flight,
    )


def _allow_descriptors() -> None:
    """Let this process open as many files as it needs, or as it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _make_empty(folder: Path) -> None:
    """Remove what an earlier node left behind: it is dead, or this one would not have its directory."""
    _remove(folder)
    folder.mkdir(parents=True, exist_ok=True)


def _remove(folder: Path) -> None:
    def unlock(_function: object, path: str, _error: object) -> None:
        for each in (Path(path).parent, Path(path)):  # functions may lock their own directories
            if each.is_relative_to(folder) and not each.is_symlink():
                with contextlib.suppress(OSError):
                    each.chmod(0o700)

    shutil.rmtree(folder, onerror=unlock)
    shutil.rmtree(folder, ignore_errors=True)
