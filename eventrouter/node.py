"""The composition root: builds one node from its settings, starts its parts in order, drains and stops them.

Only this module knows which part is given which. `async with Node(settings) as node:` runs a node.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from random import Random, SystemRandom
from types import TracebackType
from typing import NoReturn, Self
from uuid import UUID

from eventrouter import __version__
from eventrouter.adapters import load_adapters
from eventrouter.api.gateway import Gateway
from eventrouter.api.lambda_.notes import not_applied
from eventrouter.api.request_ids import RequestIds
from eventrouter.api.role_door import door_of, endpoint_of
from eventrouter.api.server import HttpServer
from eventrouter.clock import Clock, SystemClock
from eventrouter.data_dir import DataDir
from eventrouter.journal import Journal
from eventrouter.logging import get_logger
from eventrouter.metrics import Metrics
from eventrouter.node_door import build_gateway, build_services
from eventrouter.node_home import Home, JobFacts, MachineHome, NodeEnvironments, time_key
from eventrouter.node_mappings import MappingPlanes
from eventrouter.node_place import take_place
from eventrouter.peers import Peers
from eventrouter.planes.away import Away
from eventrouter.planes.claims import Claims
from eventrouter.planes.deployments import Deployments
from eventrouter.planes.destinations import DestinationPlane
from eventrouter.planes.dispatch import Dispatch
from eventrouter.planes.duties import Duties
from eventrouter.planes.events import EventPlane
from eventrouter.planes.function_calls import FunctionCalls
from eventrouter.planes.function_target import FunctionTarget
from eventrouter.planes.hot_reload import HotReload
from eventrouter.planes.intake import IntakeGuard
from eventrouter.planes.log_shipper import LogShipper
from eventrouter.planes.loops import Loops
from eventrouter.planes.membership import Membership
from eventrouter.planes.nudges import Nudges
from eventrouter.planes.observer import RunRecorder
from eventrouter.planes.schedules import SchedulePlane
from eventrouter.planes.sync import SyncPlane
from eventrouter.planes.time_travel import TimeTravel
from eventrouter.ports import Adapter, AdapterContext, QueueSource, ServiceApi, StreamSource, Target
from eventrouter.rules.function import Function
from eventrouter.rules.names import FunctionName
from eventrouter.runtime.facts import NodeFacts
from eventrouter.runtime.packages import Packages
from eventrouter.settings import Settings
from eventrouter.store import HostInfo, Store, open_store
from eventrouter.travelling_clock import TravellingClock

DAY_MS = 86_400_000
GAVE_UP_EXIT_CODE = 70
HANDED_BACK_PATIENCE_S = 5.0
"""How long a node that hands its work back waits for Redis to take it."""


class Node:
    """One running eventrouter process. Entering starts it; leaving drains it within `settings.grace_s`."""

    store: Store
    runtime: NodeEnvironments
    packages: Packages
    membership: Membership
    nudges: Nudges
    duties: Duties
    dispatch: Dispatch
    gateway: Gateway
    sync: SyncPlane
    events: EventPlane
    mappings: MappingPlanes
    services: Mapping[str, ServiceApi]
    sources: Mapping[str, StreamSource]
    queues: Mapping[str, QueueSource]
    travel: TimeTravel | None = None

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Clock | None = None,
        random: Random | None = None,
        home: Home | None = None,
        prepare: Callable[[], Awaitable[object]] | None = None,
    ) -> None:
        """`clock`: the time users see; `home`: where the node lives; `prepare`: called before it says it is ready."""
        self.settings = settings
        self.clock: Clock = clock or (TravellingClock() if settings.clock == "virtual" else SystemClock())
        self._home: Home = home or MachineHome(settings)
        self._prepare = prepare
        self.metrics = Metrics()
        self.journal = Journal(self.clock, limit=self._home.journal_limit)
        self.log = get_logger()
        self.server = ""
        self.url = ""
        self._random = random or SystemRandom()
        self._ids = RequestIds(Random(self._random.getrandbits(128)))
        self._stack = contextlib.AsyncExitStack()
        self._hurried = asyncio.Event()
        self._generations: dict[FunctionName, int] = {}
        self._serving = False

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._serving = False
        await self._drain()
        await self._stack.aclose()

    @property
    def is_ready(self) -> bool:
        """Say whether this node does its duties: whoever sends it requests may go on."""
        return self._serving and self.membership.may_take_work and not self.duties.is_drained

    def hand_back(self) -> None:
        """Stop waiting for what runs: hand everything back at once."""
        self._hurried.set()

    def not_applied(self, function: Function) -> list[str]:
        """Return one line for each setting of `function` that is accepted and has no meaning here."""
        return [f"{note} ({note.why})" for note in not_applied(function)]

    async def reset(self) -> None:
        """Empty the whole store; functions, events, queues and logs are gone. For development."""
        await self.runtime.kill_all()
        await self.store.flush()
        await self.membership.join_anew()

    # Starting, in order.

    async def _start(self) -> None:
        settings, clock = self.settings, self.clock
        data_dir = await self._stack.enter_async_context(DataDir(settings.data_dir, clock))
        await self._open_store(data_dir)
        listener, self.url = self._home.listen()
        if isinstance(self.clock, TravellingClock):
            self.travel = TimeTravel(
                clock=self.clock,
                machine=self._home.clock,
                store=self.store,
                offset_key=time_key(settings),
                is_running=lambda: self.runtime.is_busy,
            )
            await self.travel.resume()

        self._loops = await self._stack.enter_async_context(
            Loops(clock=clock, machine=self._home.clock, metrics=self.metrics, log=self.log, give_up=self._give_up)
        )
        self._beats = await self._stack.enter_async_context(
            Loops(clock=self._home.clock, metrics=self.metrics, log=self.log, give_up=self._give_up)
        )
        self.packages = Packages(data_dir.path / "packages", Peers(self._other_hosts).fetch_package)
        shipper = await self._stack.enter_async_context(self._log_shipper())
        self.runtime = await self._stack.enter_async_context(
            self._home.environments(
                clock=clock,
                packages=self.packages,
                node=NodeFacts(endpoint_url=lambda: endpoint_of(self.url, listener, settings)),
                observe=RunRecorder(metrics=self.metrics, logs=shipper, log=self.log),
                inherit_fds=(data_dir.lock_fd,),
            )
        )
        self.store.functions.on_change(self._function_changed)
        await self._take_place(data_dir)
        moves = await self._stack.enter_async_context(
            self._home.moves(
                JobFacts(
                    settings=settings,
                    redis_url=self._redis_url,
                    host=self.membership.incarnation.partition("-")[0],
                    store=self.store,
                    loops=self._loops,
                    clock=clock,
                    new_number=lambda: self._random.getrandbits(32),
                    log=self.log,
                )
            )
        )
        calls = FunctionCalls(functions=self.store.functions, sync=lambda: self.sync, events=lambda: self.events)
        adapters = load_adapters(
            AdapterContext(
                settings=settings, clock=clock, store=self.store, moves=moves, functions=calls, random=self._random
            )
        )
        targets: dict[str, Target] = {target.service: target for adapter in adapters for target in adapter.targets}
        sources = self.sources = {source.service: source for adapter in adapters for source in adapter.streams}
        queues = self.queues = {source.service: source for adapter in adapters for source in adapter.queues}
        await self._start_synchronous()
        destinations = await self._start_asynchronous(targets)
        targets["lambda"] = FunctionTarget(calls)
        await self._stack.enter_async_context(
            SchedulePlane(
                schedules=self.store.schedules,
                functions=calls,
                targets=targets,
                loops=self._loops,
                clock=clock,
                random=self._random,
                journal=self.journal,
                log=self.log,
                may_take_work=self.duties.may_poll,
            )
        )
        await self._start_mappings(sources, queues, destinations)
        deployments = await self._start_upkeep(adapters)
        self.services = build_services(self, adapters, deployments=deployments, targets=targets, random=self._random)
        self.gateway = build_gateway(self, adapters, request_ids=self._ids)
        await self._serve(listener)

    async def _open_store(self, data_dir: DataDir) -> None:
        settings = self.settings
        server = await self._home.open_server(self._stack, data_dir.path, self.log)
        self.server, self._redis_url, self._knows_memory = server.name, server.url, server.knows_memory
        self.store = await open_store(
            server.make_lane,
            prefix=settings.key_prefix,
            partitions=settings.partitions,
            clock=self.clock,
            random=self._random,
            account_limit=settings.account_concurrency,
            scripts=self._home.scripts,
        )
        self._stack.push_async_callback(self.store.close)
        await self.store.functions.refresh()

    def _log_shipper(self) -> LogShipper:
        settings = self.settings
        return LogShipper(
            logs=self.store.logs,
            clock=self.clock,
            metrics=self.metrics,
            log=self.log,
            function_of=self.store.functions.get,
            max_bytes=settings.log_max_bytes,
            retention_ms=round(settings.log_retention_days * DAY_MS),
        )

    async def _take_place(self, data_dir: DataDir) -> None:
        self.membership, self.nudges, self.duties = await take_place(
            self._stack,
            settings=self.settings,
            data_dir=data_dir,
            store=self.store,
            environments=self.runtime,
            beats=self._beats,
            machine=self._home.clock,
            url=self.url,
            started_at_ms=self.clock.now_ms(),
            random=self._random,
            log=self.log,
        )

    async def _start_synchronous(self) -> None:
        """Start what serves callers who wait, here or on another node."""
        self.dispatch = Dispatch(
            incarnation=self._incarnation,
            version=__version__,
            inbox=self.store.inbox,
            functions=self.store.functions,
            environments=self.runtime,
            loops=self._loops,
            clock=self.clock,
            random=self._random,
            metrics=self.metrics,
            journal=self.journal,
            log=self.log,
            may_take_work=self.duties.may_run,
            nudges=self.nudges,
        )
        self.membership.on_look(self.dispatch.see)
        await self._stack.enter_async_context(self.dispatch)
        self.sync = SyncPlane(
            incarnation=self._incarnation,
            slots=self.store.slots,
            environments=self.runtime,
            metrics=self.metrics,
            journal=self.journal,
            elsewhere=self.dispatch,
            away=Away(workers=self.dispatch, clock=self.clock, runs_here=lambda: self.duties.runs),
        )
        self.store.functions.on_change(self.sync.function_changed)

    async def _start_asynchronous(self, targets: Mapping[str, Target]) -> DestinationPlane:
        """Start what works off events, and what delivers to `targets`; return the latter."""
        clock, store, metrics, log = self.clock, self.store, self.metrics, self.log
        claims = Claims(incarnation=self._incarnation, events=store.events, clock=clock, metrics=metrics, log=log)
        self._stack.push_async_callback(claims.stop)
        destinations = await self._stack.enter_async_context(
            DestinationPlane(
                claims=claims, targets=targets, clock=clock, metrics=metrics, journal=self.journal, log=log
            )
        )
        self.events = await self._stack.enter_async_context(
            EventPlane(
                incarnation=self._incarnation,
                functions=store.functions,
                events=store.events,
                claims=claims,
                loops=self._loops,
                slots=store.slots,
                environments=self.runtime,
                clock=clock,
                metrics=metrics,
                journal=self.journal,
                log=log,
                new_id=self._new_id,
                may_take_work=self.duties.may_run,
                retry_base_ms=round(self.settings.async_retry_base_delay * 1_000),
                on_deliveries_due=destinations.wake,
                on_dead=self.membership.declare_dead,
            )
        )
        return destinations

    async def _start_mappings(
        self,
        sources: Mapping[str, StreamSource],
        queues: Mapping[str, QueueSource],
        destinations: DestinationPlane,
    ) -> None:
        """Start what works off event source mappings."""
        self.mappings = await self._stack.enter_async_context(
            MappingPlanes(
                settings=self.settings,
                store=self.store,
                sources=sources,
                queues=queues,
                environments=self.runtime,
                membership=self.membership,
                nudges=self.nudges,
                duties=self.duties,
                loops=self._loops,
                clock=self.clock,
                metrics=self.metrics,
                journal=self.journal,
                log=self.log,
                new_id=self._new_id,
                on_deliveries_due=destinations.wake,
            )
        )

    async def _start_upkeep(self, adapters: Sequence[Adapter]) -> Deployments:
        """Start what looks after functions, memory and the adapters' own matters; return what finishes deployments."""
        store, log = self.store, self.log
        deployments = await self._stack.enter_async_context(
            Deployments(
                functions=store.functions,
                packages=self.packages,
                loops=self._loops,
                log=log,
                new_id=self._new_id,
                account_limit=self.settings.account_concurrency,
            )
        )
        if self._knows_memory:
            await self._stack.enter_async_context(IntakeGuard(store=store, loops=self._loops, log=log))
        if self._home.watches_code:
            await self._stack.enter_async_context(
                HotReload(
                    functions=store.functions,
                    environments=self.runtime,
                    data_dir=self.settings.data_dir,
                    clock=self.clock,
                    log=log,
                )
            )
        for adapter in adapters:
            for name, turn in adapter.loops.items():
                self._loops.start(name, turn)
        return deployments

    # Serving HTTP.

    async def _serve(self, listener: socket.socket | None) -> None:
        if listener is not None:
            server = HttpServer(door_of(self.gateway, self.settings))
            self._stack.push_async_callback(server.stop)
            await server.start(listener)
        if self._prepare is not None:
            await self._prepare()
        await self.duties.begin()
        self._serving = True

    # Draining.

    async def _drain(self) -> None:
        """Take nothing new, wait for what runs; when the grace is over, or at once if hurried, kill it.

        The door stays open meanwhile: handlers may call back, probes are answered, events are still made durable.
        """
        self.sync.stop_taking()
        self.events.stop_claiming()
        self.mappings.stop_taking()
        self.dispatch.stop_taking()
        finished = asyncio.create_task(self._wait_finished(), name="drain")
        hurried = asyncio.create_task(self._hurried.wait(), name="hurried")
        await asyncio.wait({finished, hurried}, timeout=self.settings.grace_s, return_when=asyncio.FIRST_COMPLETED)
        hurried.cancel()
        if not finished.done():
            self.log.warning("node.grace_ended", hurried=self._hurried.is_set())
            await self.runtime.kill_all()
            await asyncio.wait({finished}, timeout=HANDED_BACK_PATIENCE_S)
        finished.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await finished

    async def _wait_finished(self) -> None:
        await self.duties.leave()
        await self.sync.wait_quiet()
        await self.dispatch.wait_quiet()
        await self.mappings.drain()
        await self.nudges.wait_sent()
        await self.events.drain()
        await self.store.slots.drained()

    # What parts ask of the node.

    def _incarnation(self) -> str:
        return self.membership.incarnation

    def _new_id(self) -> UUID:
        return UUID(self._ids())

    async def _other_hosts(self) -> list[HostInfo]:
        hosts = await self.store.hosts.list()
        return [info for incarnation, info in hosts.items() if incarnation != self.membership.incarnation]

    def _give_up(self, reason: str) -> NoReturn:
        """End this process: it can do no good any more. Whoever restarts it loses nothing that was accepted."""
        self.log.critical("node.gave_up", reason=reason)
        os._exit(GAVE_UP_EXIT_CODE)

    def _function_changed(self, name: FunctionName, function: Function | None) -> None:
        runnable = self.store.functions.runnable(name)
        generation = 0 if runnable is None else runnable.generation
        if self._generations.pop(name, generation) != generation:
            self.runtime.retire(name)
        if function is not None:
            self._generations[name] = generation
            for note in self.not_applied(function):
                self.log.info("setting.not_applied", function=name.name, setting=note)
