"""Drives the bootstrap alone: a real process on the far end of two socket pairs, its log in a memory file."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from eventrouter.runtime import bootstrap, wire

REQUEST_ID = "00000000-0000-4000-8000-00000000000a"
ARN = "arn:aws:lambda:us-east-1:000000000000:function:f"
DEADLINE_S = 20.0


@dataclass
class Answer:
    """One result, with what the function printed since the one before."""

    result: wire.Result
    log: str

    @property
    def json(self) -> Any:
        return json.loads(self.result.body)


@dataclass
class Process:
    """A bootstrap of `source` (the text of app.py) or of the files that already lie in `directory`."""

    directory: Path
    source: str = ""
    handler: str = "app.handler"
    runtime: str = "python3.11"
    log_format: str = "Text"
    log_level: str | None = None
    shown_root: str = "/var/task"
    as_script: bool = True
    environ: dict[str, str] = field(default_factory=dict)

    def __enter__(self) -> Self:
        if self.source:
            (self.directory / "app.py").write_text(self.source)
        self._commands, command = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._results, result = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self._results.settimeout(DEADLINE_S)
        self._log = os.memfd_create("log")
        log = os.open(f"/proc/self/fd/{self._log}", os.O_RDWR | os.O_APPEND)
        self._read = 0
        fds = (command.fileno(), result.fileno(), log)
        config = bootstrap.Config(
            *fds,
            handler=self.handler,
            task_root=str(self.directory),
            shown_root=self.shown_root,
            function_name="f",
            version="$LATEST",
            memory_mb=256,
            log_group="/aws/lambda/f",
            log_stream="2026/01/02/[$LATEST]0a",
            runtime=self.runtime,
            log_format=self.log_format,
            log_level=self.log_level,
        )
        if self.as_script:
            arguments = [bootstrap.__file__, json.dumps(config._asdict())]
        else:
            start = f"from eventrouter.runtime import bootstrap as b; b.main(b.Config(*{tuple(config)!r}))"
            arguments = ["-c", start]
        self.process = subprocess.Popen(
            [sys.executable, *arguments],
            pass_fds=fds,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={"PATH": os.environ["PATH"], "TZ": ":UTC", "PYTHONDONTWRITEBYTECODE": "1", **self.environ},
        )
        command.close()
        result.close()
        os.close(log)
        return self

    def __exit__(self, *exc: object) -> None:
        self._commands.close()
        self._results.close()
        os.close(self._log)
        self.process.kill()
        self.process.wait(DEADLINE_S)

    def send(self, event: object = None, *, payload: bytes | None = None, **fields: Any) -> None:
        """Send one command; a payload above the limit goes in a memory file, as the node does it."""
        payload = json.dumps(event).encode() if payload is None else payload
        values = {"request_id": REQUEST_ID, "timeout_ms": 3_000, "arn": ARN, "trace": "", "client_context": ""}
        command = wire.Command(**{**values, **fields}, payload=payload)
        if len(payload) <= wire.INLINE_BYTES:
            self._commands.send(wire.pack_command(command, inline=True))
            return
        memory = os.memfd_create("payload")
        try:
            with os.fdopen(os.dup(memory), "wb") as file:
                file.write(payload)
            socket.send_fds(self._commands, [wire.pack_command(command, inline=False)], [memory])
        finally:
            os.close(memory)

    def receive(self) -> Answer:
        """Wait for the next result. Raises EOFError if the process ends instead."""
        header = wire.unpack_result_header(self._exactly(wire.RESULT_HEADER_BYTES), 0)
        size, kind, log_end, duration_us, max_rss_kb, type_bytes = header
        body = self._exactly(size)
        result = wire.Result(kind, log_end, duration_us, max_rss_kb, body[:type_bytes].decode(), body[type_bytes:])
        return Answer(result, self._log_until(log_end))

    def invoke(self, event: object = None, **fields: Any) -> Answer:
        self.send(event, **fields)
        return self.receive()

    def ready(self) -> Self:
        """Take the first answer, which must be that of a good init."""
        answer = self.receive()
        assert answer.result.kind == wire.READY, (answer.result, self.rest_of_log())
        return self

    def wait(self) -> int:
        """Wait for the process to end and return its status."""
        return self.process.wait(DEADLINE_S)

    def hang_up(self) -> None:
        """Say that no more commands will come."""
        self._commands.shutdown(socket.SHUT_WR)

    def rest_of_log(self) -> str:
        return self._log_until(os.fstat(self._log).st_size)

    def _log_until(self, end: int) -> str:
        text = os.pread(self._log, end - self._read, self._read).decode()
        self._read = end
        return text

    def _exactly(self, size: int) -> bytes:
        parts = bytearray()
        while len(parts) < size:
            part = self._results.recv(size - len(parts))
            if not part:
                raise EOFError(f"the process ended: {self.rest_of_log()}")
            parts += part
        return bytes(parts)


@contextmanager
def serving(directory: Path, source: str = "", **settings: Any) -> Iterator[Process]:
    """Give a process whose init went well."""
    with Process(directory, source, **settings) as process:
        answer = process.receive()
        assert answer.result.kind == wire.READY, (answer, process.rest_of_log())
        yield process
