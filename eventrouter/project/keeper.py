"""Keeps a node in step with the files of a project: they are read again when one of them is saved.

Code is not its affair: hot reload starts new environments for it. What a file declares is read and converged anew;
while it says what cannot be, the node stays as it was.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from structlog.typing import FilteringBoundLogger
from watchfiles import Change, awatch

from eventrouter.clock import Clock
from eventrouter.errors import EventRouterError
from eventrouter.project.api import Api
from eventrouter.project.converge import converge
from eventrouter.project.discover import NAMES
from eventrouter.project.model import Project, ProjectError
from eventrouter.project.plan import Step

_DEBOUNCE_MS = 200
_STEP_MS = 400
"""Each watch wakes that often; a declaration may take longer to be seen than code."""
_LOOK_EVERY_MS = 2_000
"""Files are looked at that often in any case: what was saved before the watch began, or where nothing tells, counts."""
_WATCH_AGAIN_AFTER_S = 2.0
_DECLARING = (".py", ".yaml", ".yml", ".json", ".toml")

Stamps = Mapping[Path, tuple[int, int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A project as it was read, and the state of the files that may change it. None: nothing was declared."""

    project: Project | None
    stamps: Stamps


def read_stamped(read: Callable[[], Project | None], folder: Path) -> Reading:
    """Read a project and note the state of its files. Blocking."""
    project = read()
    return Reading(project=project, stamps=_stamps(_files(project, folder)))


class ProjectKeeper:
    """Long-lived: `async with` it once the node matches the project of `reading`."""

    def __init__(
        self,
        *,
        reading: Reading,
        folder: Path,
        read: Callable[[], Project | None],
        api: Callable[[Project], Api],
        clock: Clock,
        log: FilteringBoundLogger,
        tell: Callable[[str], None],
    ) -> None:
        """`read` reads the project again; it blocks. `api` calls the node in a project's account and region. `tell`
        shows people a line: what was done, or what is wrong.
        """
        self._project = reading.project
        self._stamps = reading.stamps
        self._broken: Path | None = None
        self._folder = folder
        self._read = read
        self._api = api
        self._clock = clock
        self._log = log
        self._tell = tell
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._keep(), name="project")
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _keep(self) -> None:
        while True:
            files = self._files()
            folders = {file.parent for file in files}

            def is_ours(_: Change, path: str, files: frozenset[Path] = files) -> bool:
                # What a file imports, or includes, is not known while reading it fails.
                return Path(path) in files or (self._broken is not None and path.endswith(_DECLARING))

            try:
                async for changed in awatch(
                    *(folder for folder in folders if folder.is_dir()),
                    watch_filter=is_ours,
                    debounce=_DEBOUNCE_MS,
                    step=_STEP_MS,
                    rust_timeout=_LOOK_EVERY_MS,
                    yield_on_timeout=True,
                    recursive=False,
                ):
                    stamps = _stamps(files)
                    if stamps != self._stamps or (self._broken is not None and changed):
                        self._stamps = stamps
                        await self._follow()
                    if self._files() != files:
                        break
            except OSError as error:
                self._log.warning("project.not_watched", reason=str(error))
                await self._clock.sleep(_WATCH_AGAIN_AFTER_S)

    async def _follow(self) -> None:
        """Read the project again and converge the node; after an error everything stays, and people are told why."""
        try:
            reading = await asyncio.to_thread(read_stamped, self._read, self._folder)
            if reading.project is None:
                return
            self._project, self._stamps = reading.project, reading.stamps
            self._broken = None
            api = self._api(reading.project)
            await converge(reading.project, api, hot_reload=True, clock=self._clock, on_step=self._done)
        except EventRouterError as error:
            self._broken = _file_of(error, self._folder)
            self._log.warning("project.not_followed", reason=str(error))
            self._tell(f"error: {error}")

    def _files(self) -> frozenset[Path]:
        """Return the files whose change may change the project, that of the last error among them."""
        files = _files(self._project, self._folder)
        return files if self._broken is None else files | {self._broken}

    def _done(self, step: Step) -> None:
        self._tell(str(step))


def _files(project: Project | None, folder: Path) -> frozenset[Path]:
    """Return the files whose change may change the project: those it was read from, and those that may appear."""
    read = () if project is None else project.files
    return frozenset({*(file.resolve() for file in read), *(folder / name for name in NAMES)})


def _file_of(error: EventRouterError, folder: Path) -> Path:
    """Return the file that an error is about, or else the folder."""
    return Path(error.place.file).resolve() if isinstance(error, ProjectError) else folder


def _stamps(files: frozenset[Path]) -> Stamps:
    found = {}
    for file in files:
        try:
            state = file.stat()
        except OSError:
            continue  # not there, or saved anew at this moment
        found[file] = (state.st_mtime_ns, state.st_size)
    return found
