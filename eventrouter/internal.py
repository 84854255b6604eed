"""The node's own HTTP paths: health, metrics, packages for peers, what operators and the CLI ask for."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Protocol
from urllib.parse import unquote

from eventrouter import __version__
from eventrouter.api.http import InternalHandler, Request, Response, json_response, text_response
from eventrouter.clock import Clock
from eventrouter.internal_clock import ADVANCE_PATH, CLOCK_PATH, ClockRoutes
from eventrouter.internal_history import EXPLAIN_PATH, HistoryRoutes
from eventrouter.internal_mappings import MAPPINGS_PATH, MappingRoutes
from eventrouter.internal_nodes import HeldWork, NodeRoutes
from eventrouter.journal import Journal
from eventrouter.metrics import Metrics
from eventrouter.peers import HEALTH_PATH, HISTORY_PATH, NODES_PATH, PACKAGES_PATH, Peers
from eventrouter.planes.duties import Duties
from eventrouter.planes.explain import Explainer
from eventrouter.planes.membership import Membership
from eventrouter.planes.standing import Standings
from eventrouter.planes.time_travel import TimeTravel
from eventrouter.ports import ServiceApi, StreamSource
from eventrouter.rules.function import Function
from eventrouter.rules.names import FunctionName
from eventrouter.runtime.facts import EnvironmentInfo
from eventrouter.runtime.packages import Packages
from eventrouter.settings import Settings
from eventrouter.store import DESTINATIONS, HostInfo, Store

FUNCTIONS_PATH = "/_eventrouter/functions/"
METRICS_TYPE = (b"content-type", b"text/plain; version=0.0.4; charset=utf-8")
ZIP_TYPE = (b"content-type", b"application/zip")


class ShownEnvironments(Protocol):
    """What these paths show of a node's environments."""

    @property
    def not_applied(self) -> list[str]:
        """Return what this system does not let environments have, each with the reason."""
        ...

    def stats(self) -> list[EnvironmentInfo]:
        """Return what is known of each environment now."""
        ...


class ShownNode(Protocol):
    """What these paths show of a node."""

    settings: Settings
    clock: Clock
    metrics: Metrics
    journal: Journal
    store: Store
    packages: Packages
    membership: Membership
    duties: Duties
    server: str
    travel: TimeTravel | None
    services: Mapping[str, ServiceApi]
    sources: Mapping[str, StreamSource]

    @property
    def runtime(self) -> ShownEnvironments: ...

    @property
    def mappings(self) -> HeldWork: ...

    @property
    def is_ready(self) -> bool: ...

    def not_applied(self, function: Function) -> list[str]: ...

    async def reset(self) -> None: ...


def internal_routes(node: ShownNode) -> dict[str, InternalHandler]:
    """Return the node's own paths and what answers each."""
    routes = _InternalRoutes(node)
    mappings = MappingRoutes(
        store=node.store,
        sources=node.sources,
        clock=node.clock,
        incarnation=lambda: node.membership.incarnation,
        journal=node.journal,
    )
    histories = HistoryRoutes(_explainer(node))
    clock = ClockRoutes(node.clock, node.travel)
    nodes = NodeRoutes(
        hosts=node.store.hosts,
        membership=node.membership,
        duties=node.duties,
        held=node.mappings,
        runs=lambda: sum(environment.in_flight for environment in node.runtime.stats()),
        clock=node.clock,
    )
    return {
        "/healthz": routes.healthz,
        "/readyz": routes.readyz,
        "/health": routes.health,
        HEALTH_PATH: routes.health,
        "/_localstack/health": routes.emulator_health,
        "/_localstack/info": routes.emulator_info,
        "/metrics": routes.metrics,
        "/_eventrouter/reset": routes.reset,
        "/_eventrouter/deliveries": routes.deliveries,
        "/_eventrouter/environments": routes.environments,
        PACKAGES_PATH: routes.package,
        FUNCTIONS_PATH: routes.function,
        MAPPINGS_PATH: mappings.answer,
        NODES_PATH: nodes.show,
        f"{NODES_PATH}/": nodes.answer,
        EXPLAIN_PATH: histories.explain,
        HISTORY_PATH: histories.history,
        CLOCK_PATH: clock.show,
        ADVANCE_PATH: clock.advance,
    }


def _explainer(node: ShownNode) -> Explainer:
    async def others() -> list[HostInfo]:
        hosts = await node.store.hosts.list()
        return [info for incarnation, info in hosts.items() if incarnation != node.membership.incarnation]

    standings = Standings(
        store=node.store,
        sources=node.sources,
        clock=node.clock,
        region=node.settings.region,
        retry_base_ms=round(node.settings.async_retry_base_delay * 1_000),
    )
    return Explainer(
        journal=node.journal,
        node=lambda: node.membership.incarnation,
        standings=standings,
        ask=Peers(others).histories,
    )


class _InternalRoutes:
    def __init__(self, node: ShownNode) -> None:
        self._node = node

    async def healthz(self, request: Request) -> Response:
        """Say that the process answers."""
        return text_response(200, "ok\n")

    async def readyz(self, request: Request) -> Response:
        """Say whether the node does its duties."""
        if self._node.is_ready:
            return text_response(200, "ready\n")
        return text_response(503, "not ready: starting, draining, drained, or without Redis\n")

    async def health(self, request: Request) -> Response:
        """Describe the node. Other nodes read `beat_age_s` when they have lost Redis."""
        node = self._node
        return json_response(
            200,
            {
                "status": "ready" if node.is_ready else "not ready",
                "version": __version__,
                "incarnation": node.membership.incarnation,
                "beat_age_s": round(node.membership.beat_age_s, 3),
                "server": node.server,
                "services": dict.fromkeys(sorted(node.services), "running"),
                "not_applied": node.runtime.not_applied,
            },
        )

    async def emulator_health(self, request: Request) -> Response:
        """Answer as tools that wait for a local AWS emulator expect."""
        services = dict.fromkeys(sorted(self._node.services), "running")
        return json_response(200, {"services": services, "edition": "eventrouter", "version": __version__})

    async def emulator_info(self, request: Request) -> Response:
        """Tell such tools what they talk to."""
        return json_response(200, {"version": __version__, "edition": "eventrouter", "is_license_activated": False})

    async def metrics(self, request: Request) -> Response:
        """Render the metrics for Prometheus."""
        return Response(200, self._node.metrics.render(), (METRICS_TYPE,))

    async def reset(self, request: Request) -> Response:
        """Empty everything: functions, events, queues, logs. Development mode only."""
        if request.method != "POST":
            return text_response(405, "reset takes POST\n")
        if not self._node.settings.dev:
            return text_response(403, "reset is for development: start the node with `eventrouter dev`\n")
        await self._node.reset()
        return Response(204)

    async def deliveries(self, request: Request) -> Response:
        """Count the records and dead letters that still wait for their target."""
        return json_response(200, {"pending": await self._node.store.events.depth(DESTINATIONS)})

    async def environments(self, request: Request) -> Response:
        """List this node's execution environments."""
        return json_response(200, self._node.runtime.stats())

    async def package(self, request: Request) -> Response:
        """Give a code package, by the SHA-256 of the zip in hex."""
        sha256 = _below(PACKAGES_PATH, request)
        data = await asyncio.to_thread(self._node.packages.read, sha256)
        return text_response(404, "no such package\n") if data is None else Response(200, data, (ZIP_TYPE,))

    async def function(self, request: Request) -> Response:
        """Say which settings of a function are accepted and not applied here: by name or `account:region:name`."""
        wanted = _below(FUNCTIONS_PATH, request)
        default = FunctionName(account="0" * 12, region=self._node.settings.region, name=wanted)
        name = FunctionName.from_key(wanted) if wanted.count(":") == 2 else default
        function = self._node.store.functions.get(name)
        if function is None:
            return text_response(404, f"no function {name.key}\n")
        return json_response(200, {"name": name.name, "not_applied": self._node.not_applied(function)})


def _below(prefix: str, request: Request) -> str:
    """Return what a path names below `prefix`, decoded."""
    return unquote(request.path.removeprefix(prefix))
