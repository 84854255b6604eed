"""Watches the directories of hot-reloaded functions: a saved file means new environments on the new code."""

from __future__ import annotations

import asyncio
from typing import Self

from structlog.typing import FilteringBoundLogger
from watchfiles import awatch

from eventrouter.clock import Clock
from eventrouter.ports import Environments
from eventrouter.rules.function import Function
from eventrouter.rules.names import FunctionName
from eventrouter.store import Functions

WATCH_AGAIN_AFTER_S = 2.0


class HotReload:
    """Long-lived: one watcher per directory in use."""

    def __init__(
        self, *, functions: Functions, environments: Environments, clock: Clock, log: FilteringBoundLogger
    ) -> None:
        self._functions = functions
        self._environments = environments
        self._clock = clock
        self._log = log
        self._watchers: dict[str, asyncio.Task[None]] = {}

    async def __aenter__(self) -> Self:
        self._functions.on_change(self._changed)
        self._adjust()
        return self

    async def __aexit__(self, *exc: object) -> None:
        for watcher in self._watchers.values():
            watcher.cancel()
        await asyncio.gather(*self._watchers.values(), return_exceptions=True)
        self._watchers = {}

    def _changed(self, name: FunctionName, function: Function | None) -> None:
        self._adjust()

    def _adjust(self) -> None:
        wanted = {function.code.directory for function in self._functions.all() if function.code.directory}
        for directory in self._watchers.keys() - wanted:
            self._watchers.pop(directory).cancel()
        for directory in wanted - self._watchers.keys():
            self._watchers[directory] = asyncio.create_task(self._watch(directory), name=f"watch-{directory}")

    async def _watch(self, directory: str) -> None:
        """Watch for as long as a function uses `directory`, also when it goes away and comes back."""
        while True:
            try:
                async for changes in awatch(directory, step=50, debounce=200, recursive=True):
                    self._log.info("code.changed", directory=directory, files=len(changes))
                    self._retire(directory)
            except OSError as error:
                self._log.warning("code.not_watched", directory=directory, reason=str(error))
            await self._clock.sleep(WATCH_AGAIN_AFTER_S)
            self._retire(directory)

    def _retire(self, directory: str) -> None:
        for function in self._functions.all():
            if function.code.directory == directory:
                self._environments.retire(function.name)
