"""The code packages on this node's disk, named by their content.

Below the root: `zips/<sha256>.zip` as they came, and `unpacked/<boot>/<sha256>/` as functions see them. Everything
appears by a rename, whole or not at all, so any number of processes may use one root. Unpacked trees are not flushed
to the disk and therefore count for the boot that made them; the zips are, and are checked whenever they are unpacked.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from eventrouter.errors import RequestError, RuntimeFault
from eventrouter.rules.function import Code
from eventrouter.runtime.unzip import unpack

HOT_RELOAD_FILES = 10_000
"""So many files of a hot-reloaded directory tell its state; what is beyond does not count."""

_SHA256 = re.compile(r"[0-9a-f]{64}")
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
NOT_CODE = frozenset(
    {
        *(".git", ".hg", ".svn", ".venv", "venv", ".tox", ".nox", "node_modules", "__pycache__", ".eventrouter"),
        *(".aws-sam", ".serverless", ".pytest_cache", ".mypy_cache", ".ruff_cache", ".hypothesis", ".idea", ".vscode"),
    }
)
"""Folders that hold no code of a function's."""


class Packages:
    """Takes packages in, and has any package of the cluster ready in a directory."""

    def __init__(self, root: Path, fetch: Callable[[str], Awaitable[bytes | None]]) -> None:
        """Keep packages below `root`. `fetch` asks the other nodes for the zip of a SHA-256 (hex)."""
        boot = _BOOT_ID.read_text().strip() if _BOOT_ID.exists() else "boot"
        self._fetch = fetch
        self._zips = root / "zips"
        self._boots = root / "unpacked"
        self._unpacked = self._boots / boot
        self._staging = root / "staging"
        for directory in (self._zips, self._unpacked, self._staging):
            directory.mkdir(parents=True, exist_ok=True)
        self._running: dict[str, asyncio.Task[Path]] = {}
        self._clean_up()

    async def add(self, zip_bytes: bytes) -> Code:
        """Take in a function's zip. Raises RequestError, in AWS's words, for one that is no good."""
        return await asyncio.to_thread(self._add, zip_bytes)

    async def directory(self, code: Code) -> Path:
        """Return where the code lies unpacked; treat it as read-only. The first use may fetch and unpack.

        Raises RuntimeFault if no node that answers has the package, or if a hot-reloaded directory is gone.
        """
        if code.directory is not None:
            return _existing(code.directory)
        path = self._unpacked / _checked(code.sha256)
        if _is_directory(path):
            return path
        task = self._running.get(code.sha256)
        if task is None:
            task = asyncio.create_task(self._provide(code.sha256), name=f"package-{code.sha256[:12]}")
            self._running[code.sha256] = task
            task.add_done_callback(lambda done: self._provided(code.sha256, done))
        return await asyncio.shield(task)  # others may wait for it too

    def has(self, code: Code) -> bool:
        """Say whether the code is on this node already."""
        return code.directory is not None or self._zip(code.sha256).exists()

    def read(self, sha256: str) -> bytes | None:
        """Return the zip with that digest (hex), for peers and downloads; None if it is not here. Blocking."""
        if _SHA256.fullmatch(sha256) is None:
            return None
        try:
            return self._zip(sha256).read_bytes()
        except FileNotFoundError:
            return None

    @staticmethod
    def hot_reload(path: str) -> Code:
        """Return the code of a local directory that is read in place. Raises RequestError unless it is one."""
        root = Path(path)
        if not root.is_absolute() or not root.is_dir():
            what = "is not an absolute path" if not root.is_absolute() else "is not a directory on this node"
            raise RequestError("InvalidParameterValueException", f"The hot-reload directory {path} {what}.", status=400)
        digest, size = hashlib.sha256(), 0
        for name, state in _files(root):
            size += state.st_size
            digest.update(os.fsencode(f"{name}\0{state.st_size}\0{state.st_mtime_ns}\0"))
        return Code(sha256=digest.hexdigest(), size_bytes=size, directory=str(root))

    async def _provide(self, sha256: str) -> Path:
        """Unpack the package from its zip here, or from a peer's where ours is missing or damaged."""
        zip_bytes = await asyncio.to_thread(self._sound_zip, sha256)
        if zip_bytes is None:
            zip_bytes = await self._fetch(sha256)
            if zip_bytes is None:
                raise RuntimeFault(f"the code package {sha256} is on no node that answers")
        return await asyncio.to_thread(self._take_in, sha256, zip_bytes)

    def _provided(self, sha256: str, task: asyncio.Task[Path]) -> None:
        self._running.pop(sha256, None)
        if not task.cancelled():
            task.exception()  # seen, even if all who waited have gone

    def _add(self, zip_bytes: bytes) -> Code:
        sha256 = hashlib.sha256(zip_bytes).hexdigest()
        self._unpack(sha256, zip_bytes)
        self._store(sha256, zip_bytes)
        return Code(sha256=sha256, size_bytes=len(zip_bytes))

    def _take_in(self, sha256: str, zip_bytes: bytes) -> Path:
        found = hashlib.sha256(zip_bytes).hexdigest()
        if found != sha256:
            raise RuntimeFault(f"the code package {sha256} came damaged from another node (as {found})")
        try:
            path = self._unpack(sha256, zip_bytes)
        except RequestError as error:
            raise RuntimeFault(f"the code package {sha256} cannot be unpacked: {error.message}") from error
        self._store(sha256, zip_bytes)
        return path

    def _sound_zip(self, sha256: str) -> bytes | None:
        zip_bytes = self.read(sha256)
        return zip_bytes if zip_bytes is not None and hashlib.sha256(zip_bytes).hexdigest() == sha256 else None

    def _unpack(self, sha256: str, zip_bytes: bytes) -> Path:
        path = self._unpacked / sha256
        if path.is_dir():
            return path
        with self._stage() as staging:
            tree = staging / "tree"
            tree.mkdir()
            tree.chmod(0o755)
            unpack(zip_bytes, tree)
            try:
                tree.rename(path)
            except OSError:
                if not path.is_dir():  # else another process was first
                    raise
        return path

    def _store(self, sha256: str, zip_bytes: bytes) -> None:
        """Put the zip into place, in any case: what lies there may be damaged. On the disk when this returns."""
        with self._stage() as staging:
            with (staging / "zip").open("wb") as file:
                file.write(zip_bytes)
                file.flush()
                os.fsync(file.fileno())
            (staging / "zip").replace(self._zip(sha256))
        fd = os.open(self._zips, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def _zip(self, sha256: str) -> Path:
        return self._zips / f"{_checked(sha256)}.zip"

    @contextmanager
    def _stage(self) -> Iterator[Path]:
        """Give a directory for unfinished work, which no clean-up takes away meanwhile."""
        with self._locked(fcntl.LOCK_SH):
            staging = Path(tempfile.mkdtemp(dir=self._staging))
            try:
                yield staging
            finally:
                shutil.rmtree(staging, ignore_errors=True)

    def _clean_up(self) -> None:
        """Remove what processes that died left unfinished, and what was unpacked before the machine restarted."""
        try:
            with self._locked(fcntl.LOCK_EX | fcntl.LOCK_NB):
                for left in self._staging.iterdir():
                    shutil.rmtree(left, ignore_errors=True)
                for boot in self._boots.iterdir():
                    if boot != self._unpacked:
                        shutil.rmtree(boot, ignore_errors=True)
        except BlockingIOError:
            pass  # somebody works there: nothing is left over that a later start would not find

    @contextmanager
    def _locked(self, how: int) -> Iterator[None]:
        fd = os.open(self._staging.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(fd, how)
            yield
        finally:
            os.close(fd)


def _checked(sha256: str) -> str:
    """Return the digest, which becomes part of a path. Raises RuntimeFault for anything else."""
    if _SHA256.fullmatch(sha256) is None:
        raise RuntimeFault(f"{sha256!r} is not the SHA-256 of a code package")
    return sha256


def _is_directory(path: Path) -> bool:
    return path.is_dir()


def _existing(directory: str) -> Path:
    path = Path(directory)
    if not path.is_dir():
        raise RuntimeFault(f"the hot-reload directory {directory} does not exist on this node")
    return path


def _files(root: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Give the files below a directory in a fixed order, with their states; a bounded number of them."""
    count = 0
    for directory, below, names in os.walk(root):
        below[:] = sorted(name for name in below if name not in NOT_CODE)
        for name in sorted(names):
            path = Path(directory, name)
            try:
                state = path.stat()
            except OSError:
                continue  # saved anew at this moment, or a link to nothing
            yield path.relative_to(root), state
            count += 1
            if count == HOT_RELOAD_FILES:
                return
