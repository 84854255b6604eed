"""Every test of the store that asks for nothing but a server: to be played on servers of other kinds too."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from types import ModuleType

from redis.asyncio import Redis

from eventrouter.clock import SystemClock
from eventrouter.store.checks import Durability
from eventrouter.store.lua import SCRIPTS, Script
from eventrouter.store.servers import Servers
from tests.store import (
    test_catalogue,
    test_connect,
    test_events,
    test_find,
    test_functions,
    test_hosts,
    test_inbox,
    test_lanes,
    test_logs,
    test_mappings,
    test_queues,
    test_queues_fifo,
    test_queues_late,
    test_queues_moves,
    test_routes,
    test_schedules,
    test_slots,
    test_streams,
    test_watch,
)
from tests.store.worlds import Scenario, Server, World, open_world

Test = Callable[[Server], None]

CORE = (test_connect, test_events, test_inbox, test_lanes, test_queues, test_streams, test_watch)
REST = (
    *(test_catalogue, test_find, test_functions, test_hosts, test_logs, test_mappings, test_queues_fifo),
    *(test_queues_late, test_queues_moves, test_routes, test_schedules, test_slots),
)


class OnServers(Server):
    """Runs scenarios over lanes to the servers of a URL; `connect` makes a client that looks at what is left there."""

    def __init__(
        self,
        url: Callable[[], str],
        connect: Callable[[], Redis],
        *,
        durability: Durability = "standard",
        scripts: Mapping[str, Script] = SCRIPTS,
    ) -> None:
        super().__init__("servers", connect)
        self._url = url
        self._durability: Durability = durability
        self._scripts = scripts
        self._servers: Servers | None = None

    async def _play(self, scenario: Scenario) -> None:
        async with Servers(self._url(), clock=SystemClock(), durability=self._durability) as servers:
            self._servers = servers
            await super()._play(scenario)

    async def open_world(self, client: Redis) -> World:
        assert self._servers is not None
        vars(client)["make_lane"] = self._servers.make_lane
        return await open_world(client, scripts=self._scripts)


def core_contract() -> dict[str, Test]:
    """Return the tests of what a failover touches first, by name."""
    return _tests_of(CORE)


def whole_contract() -> dict[str, Test]:
    """Return all of them, by name."""
    return _tests_of((*CORE, *REST))


def _tests_of(suites: Iterable[ModuleType]) -> dict[str, Test]:
    return {
        f"{suite.__name__.rpartition('.test_')[2]}-{name.removeprefix('test_')}": test
        for suite in suites
        for name, test in vars(suite).items()
        if name.startswith("test_") and list(inspect.signature(test).parameters) == ["server"]
    }
