"""Watches the directories of hot-reloaded functions: a saved file means new environments on the new code."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Self

from structlog.typing import FilteringBoundLogger
from watchfiles import Change, DefaultFilter, awatch

from eventrouter.clock import Clock
from eventrouter.ports import Environments
from eventrouter.rules.function import Function
from eventrouter.rules.names import FunctionName
from eventrouter.runtime.packages import NOT_CODE
from eventrouter.store import Functions

WATCH_AGAIN_AFTER_S = 2.0
STEP_MS = 40
DEBOUNCE_MS = 100
"""Files saved together (an editor's "save all", a checkout) are one change: it ends when nothing more comes for
STEP_MS, and after this long in any case. Each watch wakes every STEP_MS: with 10, a save is seen 65 ms sooner,
for 75 more wake-ups a second of an idle node."""


class HotReload:
    """Long-lived: one watcher per directory in use."""

    def __init__(
        self,
        *,
        functions: Functions,
        environments: Environments,
        data_dir: Path,
        clock: Clock,
        log: FilteringBoundLogger,
    ) -> None:
        """`data_dir` is where the node keeps its data: within a function's folder, it is none of its code."""
        self._functions = functions
        self._environments = environments
        self._data_dir = data_dir
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
        is_code = CodeFilter(directory, self._data_dir)
        while True:
            try:
                async for changes in awatch(directory, watch_filter=is_code, step=STEP_MS, debounce=DEBOUNCE_MS):
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


_WRITTEN_WHILE_RUNNING = (r"\.log$", r"\.out$", r"\.pid$", r"\.(db|sqlite3?)(-journal|-wal|-shm)?$")
"""Files that programs write as they run: a node that logs into the folder would reload for ever."""


class CodeFilter(DefaultFilter):
    """Passes changes of code: not of caches, of version control, of logs, and of the data that a node keeps there."""

    def __init__(self, directory: str, data_dir: Path) -> None:
        super().__init__(
            ignore_dirs=(*DefaultFilter.ignore_dirs, *NOT_CODE),
            ignore_entity_patterns=(*DefaultFilter.ignore_entity_patterns, *_WRITTEN_WHILE_RUNNING),
        )
        self._root = Path(directory)
        self._data_dir = data_dir.absolute()

    def __call__(self, change: Change, path: str) -> bool:
        if Path(path).is_relative_to(self._data_dir):
            return False
        # The folder itself may lie below one that is ignored: only what is within it counts.
        return super().__call__(change, str(Path(path).relative_to(self._root)))
