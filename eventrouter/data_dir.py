"""A node's own directory: who it was last time, and the lock that says it runs.

The lock is also held by the process that parents the environments. So a node that starts again after a crash gets
the lock only when nothing of its former self runs any more, and may then declare that self dead at once.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from eventrouter.clock import Clock
from eventrouter.errors import ConfigError

LOCK_PATIENCE_S = 12.0
LOCK_EVERY_S = 0.05


class Identity(msgspec.Struct, frozen=True, forbid_unknown_fields=False):
    """What is kept between runs: this host's id, and the incarnation of its last run."""

    host: str
    incarnation: str | None = None


class DataDir:
    """An async context manager: holds the directory's lock while open."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self.path = path.absolute()
        self._clock = clock
        self._lock = -1

    async def __aenter__(self) -> Self:
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(self.path / "node.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise ConfigError(f"data_dir {str(self.path)!r} cannot be used: {error.strerror}") from error
        patience_ends = self._clock.monotonic() + LOCK_PATIENCE_S
        while not self._locked():
            if self._clock.monotonic() >= patience_ends:
                os.close(self._lock)
                raise ConfigError(
                    f"data_dir {str(self.path)!r} is in use by another node: stop that one, or give this one its own"
                )
            await self._clock.sleep(LOCK_EVERY_S)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._lock)

    @property
    def lock_fd(self) -> int:
        """Return the lock's file descriptor, to be held by the environments' parent too."""
        return self._lock

    def identity(self, new_host: str) -> Identity:
        """Return who this node was last time; a new host id where there was no last time."""
        try:
            return msgspec.json.decode(self._identity_file.read_bytes(), type=Identity)
        except (FileNotFoundError, msgspec.DecodeError):
            return Identity(host=new_host)

    def remember(self, identity: Identity) -> None:
        """Keep `identity` for the next start, whole or not at all."""
        draft = self._identity_file.with_suffix(".new")
        draft.write_bytes(msgspec.json.encode(identity))
        draft.replace(self._identity_file)

    @property
    def _identity_file(self) -> Path:
        return self.path / "node.json"

    def _locked(self) -> bool:
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
