"""A real node in a process of its own, on a free port: for tests in other languages, and of whole programs."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from eventrouter.clock import SystemClock
from eventrouter.errors import EventRouterError

START_LIMIT_S = 60.0
STOP_LIMIT_S = 20.0
LOG_TAIL = 4_000


class NodeProcess:
    """A context manager: `eventrouter dev` with the embedded server and a data directory that goes with it."""

    def __init__(self, *, clock: str = "system", account: str = "test", settings: dict[str, Any] | None = None) -> None:
        """`clock` is `system`, or `virtual` for a node whose time can be advanced. `settings` are those of a node."""
        self.url = ""
        self._clock = clock
        self._account = account
        self._settings = settings or {}
        self._process: subprocess.Popen[bytes] | None = None
        self._machine = SystemClock()

    def __enter__(self) -> Self:
        self.folder = Path(tempfile.mkdtemp(prefix="eventrouter-"))
        self._log = self.folder / "node.log"
        (self.folder / "empty").mkdir()
        reader, writer = os.pipe()
        try:
            with self._log.open("wb") as log:
                self._process = subprocess.Popen(
                    (sys.executable, "-m", "eventrouter", "dev", "empty", *self._flags()),
                    cwd=self.folder,
                    env={**_without_settings(os.environ), **self._variables()},
                    stdin=subprocess.DEVNULL,
                    stdout=writer,
                    stderr=log,
                    start_new_session=True,
                )
            os.close(writer)
            self.url = self._read_url(reader)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        finally:
            os.close(reader)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        process = self._process
        if process is not None and process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(STOP_LIMIT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def environ(self) -> dict[str, str]:
        """The variables that point any AWS SDK, and the AWS command line, at this node."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": self._account,
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
        }

    def client(self, service: str) -> Any:
        """Return a boto3 client of an AWS service, which talks to this node."""
        from eventrouter.testing.aws import default_session

        with default_session() as session:
            return session.client(
                service,
                endpoint_url=self.url,
                region_name="us-east-1",
                aws_access_key_id=self._account,
                aws_secret_access_key="test",  # noqa: S106 - nothing here checks it
            )

    def log(self) -> str:
        """Return the end of the node's own log."""
        with contextlib.suppress(OSError):
            return self._log.read_text(errors="replace")[-LOG_TAIL:]
        return ""

    def _flags(self) -> list[str]:
        return ["--port", "0", "--clock", self._clock, "--grace", "1", "--data-dir", str(self.folder / "data")]

    def _variables(self) -> dict[str, str]:
        return {f"EVENTROUTER_{name.upper()}": str(value) for name, value in self._settings.items()}

    def _read_url(self, reader: int) -> str:
        """Read the banner up to `Ready.`; return the URL in it. Raises EventRouterError, with the node's log."""
        deadline = self._machine.monotonic() + START_LIMIT_S
        banner = b""
        while b"Ready." not in banner:
            left = deadline - self._machine.monotonic()
            readable = left > 0 and bool(select.select([reader], [], [], left)[0])
            part = os.read(reader, 65_536) if readable else b""
            if not part:
                raise EventRouterError(f"the node did not start within {START_LIMIT_S:.0f} s:\n{self.log()}")
            banner += part
        return next(word for word in banner.decode().split() if word.startswith("http://"))


def _without_settings(environ: os._Environ[str]) -> dict[str, str]:
    """Leave out what would set the node up otherwise."""
    return {name: value for name, value in environ.items() if not name.startswith(("EVENTROUTER_", "AWS_"))}
