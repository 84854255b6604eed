"""What a node lives on: the server it remembers in, the environments it runs functions in, and the port it listens on.

`MachineHome` is the machine itself. Tests give a node another one, in which everything happens in one process.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from structlog.typing import FilteringBoundLogger

from eventrouter.clock import Clock, SeenClock, SystemClock
from eventrouter.errors import ConfigError, StoreError
from eventrouter.internal import ShownEnvironments
from eventrouter.node_jobs import build_move_tasks
from eventrouter.planes.loops import Loops
from eventrouter.ports import Environments, MoveTasks
from eventrouter.rules.invocation import Invocation
from eventrouter.rules.outcome import Run
from eventrouter.runtime.facts import NodeFacts
from eventrouter.runtime.packages import Packages
from eventrouter.runtime.pool import Runtime
from eventrouter.settings import Settings
from eventrouter.store import Store
from eventrouter.store.connect import MakeLane
from eventrouter.store.embedded import EmbeddedValkey
from eventrouter.store.keys import Keys
from eventrouter.store.lua import SCRIPTS, Script, travelling
from eventrouter.store.servers import Servers


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A server that a node may use. `knows_memory`: it says how much memory it has, so intake can be guarded."""

    make_lane: MakeLane
    url: str
    name: str
    knows_memory: bool


class NodeEnvironments(Environments, ShownEnvironments, Protocol):
    """Environments that can be shown."""

    @property
    def is_busy(self) -> bool:
        """Say whether somebody has an environment, or is to get one."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFacts:
    """What the node's long jobs are given. `host` is this node's id, the same after a restart."""

    settings: Settings
    redis_url: str
    host: str
    store: Store
    loops: Loops
    clock: Clock
    new_number: Callable[[], int]
    log: FilteringBoundLogger


class Home(Protocol):
    """Where a node lives."""

    @property
    def clock(self) -> Clock:
        """The machine's own time: by it nodes beat, and judge each other's silence."""
        ...

    scripts: Mapping[str, Script]
    journal_limit: int | None
    watches_code: bool
    """Whether saved files of hot-reloaded functions are to be noticed."""

    async def open_server(self, stack: AsyncExitStack, path: Path, log: FilteringBoundLogger) -> Server:
        """Connect to the server; what must be stopped with the node is put on `stack`. Raises ConfigError."""
        ...

    def listen(self) -> tuple[socket.socket | None, str]:
        """Bind the port at once; return it (None: nothing listens) and the node's URL. Raises ConfigError."""
        ...

    def environments(
        self,
        *,
        clock: Clock,
        packages: Packages,
        node: NodeFacts,
        observe: Callable[[Invocation, Run], None],
        inherit_fds: tuple[int, ...],
    ) -> AbstractAsyncContextManager[NodeEnvironments]:
        """Return what runs functions, to be entered. `clock` is the time that users see."""
        ...

    def moves(self, facts: JobFacts) -> AbstractAsyncContextManager[MoveTasks]:
        """Return what works off move tasks, to be entered."""
        ...


def time_key(settings: Settings) -> str:
    """Return the key that holds how far an installation's virtual time is ahead of its server's, in ms."""
    return Keys(settings.key_prefix, settings.partitions).installation("ahead")


class MachineHome:
    """The machine: a server elsewhere or an embedded one, environments in subprocesses, a TCP port."""

    watches_code = True

    def __init__(self, settings: Settings) -> None:
        self._machine = SystemClock()
        self.scripts = travelling(time_key(settings)) if settings.clock == "virtual" else SCRIPTS
        self.journal_limit: int | None = settings.history_limit
        self._settings = settings

    @property
    def clock(self) -> Clock:
        return self._machine

    async def open_server(self, stack: AsyncExitStack, path: Path, log: FilteringBoundLogger) -> Server:
        settings = self._settings
        url = settings.redis_url or await self._start_server(stack, path)
        servers = Servers(
            url,
            clock=self._machine,
            durability=settings.durability,
            replicas=settings.replicas,
            scripts=self.scripts,
        )
        await stack.enter_async_context(servers)
        try:
            survey = await servers.survey()
        except StoreError as error:
            raise ConfigError(
                f"redis_url: Redis cannot be used: {error}. "
                "Fix: start the server, or name another with --redis-url or EVENTROUTER_REDIS_URL"
            ) from error
        for finding in survey.findings:
            if not finding.fatal:
                log.warning("server.advised", what=finding.what, why=finding.why, fix=finding.fix)
        if fatal := [finding for finding in survey.findings if finding.fatal]:
            raise ConfigError("; ".join(f"{f.what}: {f.why}. Fix: {f.fix}" for f in fatal))
        if settings.clock == "virtual" and servers.is_cluster:
            raise ConfigError(
                "clock is virtual: a cluster's time cannot travel. Fix: use a server of its own for tests"
            )
        name = f"{'embedded ' if settings.redis_url is None else ''}{survey.name}"
        return Server(make_lane=servers.make_lane, url=url, name=name, knows_memory=survey.knows_memory)

    async def _start_server(self, stack: AsyncExitStack, path: Path) -> str:
        """Start the embedded server; return its URL."""
        durability = self._settings.durability
        if durability == "replicated" or durability == "replicated-strict":  # noqa: PLR1714  # narrows the type
            raise ConfigError(
                f"durability is {durability}: the embedded Valkey has no replicas. "
                "Fix: set redis_url to servers of yours, or durability to strict"
            )
        valkey = await stack.enter_async_context(EmbeddedValkey(path / "valkey", durability))
        return valkey.url

    def listen(self) -> tuple[socket.socket | None, str]:
        settings = self._settings
        family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
        listener = socket.socket(family, socket.SOCK_STREAM)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((settings.host, settings.port))
        except OSError as error:
            listener.close()
            raise ConfigError(
                f"port {settings.port} on {settings.host} cannot be used: {error.strerror}. "
                "Fix: choose another with --port or EVENTROUTER_PORT"
            ) from error
        port = listener.getsockname()[1]
        host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(settings.host, settings.host)
        return listener, settings.advertise_url or f"http://{host}:{port}"

    def environments(
        self,
        *,
        clock: Clock,
        packages: Packages,
        node: NodeFacts,
        observe: Callable[[Invocation, Run], None],
        inherit_fds: tuple[int, ...],
    ) -> AbstractAsyncContextManager[NodeEnvironments]:
        return Runtime(
            settings=self._settings,
            clock=SeenClock(clock, self._machine),
            packages=packages,
            node=node,
            observe=observe,
            inherit_fds=inherit_fds,
        )

    def moves(self, facts: JobFacts) -> AbstractAsyncContextManager[MoveTasks]:
        return build_move_tasks(
            settings=facts.settings,
            redis_url=facts.redis_url,
            host=facts.host,
            store=facts.store,
            loops=facts.loops,
            clock=facts.clock,
            new_number=facts.new_number,
            log=facts.log,
        )
