"""One process of an environment, seen from the node: its sockets, its log file, its results as they come."""

from __future__ import annotations

import asyncio
import fcntl
import os
import socket
import sys
import tempfile
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from eventrouter.runtime import wire
from eventrouter.runtime.zygote_link import Exit, ZygoteLink

READ_BYTES = 262_144
KEPT_LOG_BYTES = 1 << 20
"""What is kept of one invocation's log."""
LOG_FILE_BYTES = 16 << 20
"""Size above which the log file is emptied, between two invocations."""
_REQUEST_ID_BYTES = 36
_MESSAGE_BYTES = wire.INLINE_BYTES + 262_144
_UNIX = socket.AF_UNIX
_ONE_FD = socket.CMSG_LEN(4)

OnResult = Callable[[int, int, int, int, str, bytes], None]
"""Called with the fields of `wire.Result`, in order."""


class Process:
    """Sends commands, takes back those not yet started, reads results and log. Never waits."""

    __slots__ = (
        "_born", "_chunks", "_commands", "_inbox", "_is_closed", "_log_fd", "_loop", "_missing", "_on_end",
        "_on_result", "_results", "_unsent", "finished", "is_ready", "link", "log_at", "number", "pid",
    )  # fmt: skip

    def __init__(
        self,
        link: ZygoteLink,
        request: dict[str, Any],
        *,
        on_result: OnResult,
        on_end: Callable[[Process, Exit], None],
    ) -> None:
        """Ask for the process. Raises OSError where there are no descriptors left."""
        self._loop = asyncio.get_running_loop()
        self.link = link
        self.pid: int | None = None
        self._born = 0.0
        self.is_ready = False
        self.finished = 0
        self._on_result = on_result
        self._on_end = on_end
        self._is_closed = False
        self._chunks: list[bytes] = []  # of a result that has not come whole, and how much is missing of it
        self._missing = 0
        self._unsent: deque[tuple[bytes, bytes | None]] = deque()
        self.log_at = 0
        # `_inbox` is the process's own end of the commands: what is unread there can be taken back. It stays in
        # blocking mode, which both holders share; the node only ever reads it with MSG_DONTWAIT.
        with ExitStack() as opened:
            self._commands, self._inbox = map(opened.enter_context, socket.socketpair(_UNIX, socket.SOCK_SEQPACKET))
            self._results, results_out = map(opened.enter_context, socket.socketpair(_UNIX, socket.SOCK_STREAM))
            inbox_out = opened.enter_context(self._inbox.dup())
            self._log_fd, log_out = _log_file()
            opened.pop_all()
        self._commands.setblocking(False)
        self._results.setblocking(False)
        self._loop.add_reader(self._results.fileno(), self.read)
        self.number = link.spawn(self, request, (inbox_out.detach(), results_out.detach(), log_out))

    # Commands.

    def send(self, message: bytes, payload: bytes | None) -> None:
        """Send one command; `payload` is None where it is inline, else it travels in a memory file."""
        if self._unsent or not self._sent(message, payload):
            self._unsent.append((message, payload))
            self._loop.add_writer(self._commands.fileno(), self._flush)

    def take_back(self) -> list[str]:
        """Take every command that the process has not begun; return the request ids in order."""
        ids: list[str] = []
        while True:
            try:
                # Not `recv_fds`, which leaves its flags out of the call.
                message, ancillary, _, _ = self._inbox.recvmsg(_MESSAGE_BYTES, _ONE_FD, socket.MSG_DONTWAIT)
            except BlockingIOError:
                break
            for _, _, data in ancillary:
                os.close(int.from_bytes(data[:4], sys.byteorder))
            if not message:
                break
            ids.append(_request_id(message))
        if self._unsent:
            ids.extend(_request_id(message) for message, _ in self._unsent)
            self._unsent.clear()
            self._loop.remove_writer(self._commands.fileno())
        return ids

    def kill(self) -> None:
        self.link.kill(self.number)

    @property
    def age_s(self) -> float:
        """Return how long it has run, slept or waited, but not for a CPU: on Lambda it would not share them."""
        if self.pid is None:
            return 0.0
        age_s = self._loop.time() - self._born
        try:
            with open(f"/proc/{self.pid}/schedstat", "rb") as schedstat:  # noqa: PTH123
                return age_s - int(schedstat.read().split()[1]) / 1e9
        except (OSError, IndexError):  # this system does not tell
            return age_s

    def _sent(self, message: bytes, payload: bytes | None) -> bool:
        try:
            if payload is None:
                self._commands.send(message)
            else:
                fd = _memory_file(payload)
                try:
                    socket.send_fds(self._commands, [message], [fd])
                finally:
                    os.close(fd)
        except BlockingIOError:
            return False
        except OSError as error:
            self.link.give_up(self.number, f"an invocation could not be sent: {error}")
        return True

    def _flush(self) -> None:
        while self._unsent:
            if not self._sent(*self._unsent[0]):
                return
            self._unsent.popleft()
        self._loop.remove_writer(self._commands.fileno())

    # Results.

    def read(self) -> None:
        """Hand on every result that has come."""
        while not self._is_closed:
            try:
                data = self._results.recv(READ_BYTES)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                self._loop.remove_reader(self._results.fileno())  # its end is told by the zygote
                return
            if self._chunks:
                self._chunks.append(data)
                self._missing -= len(data)
                if self._missing > 0:
                    continue
                data = b"".join(self._chunks)
                self._chunks.clear()
            self._parse(data)

    def _parse(self, data: bytes) -> None:
        at, size = 0, len(data)
        header_bytes = wire.RESULT_HEADER_BYTES
        while at < size:
            if size - at < header_bytes:
                self._chunks, self._missing = [data[at:]], header_bytes - (size - at)
                return
            follows, kind, log_end, duration_us, rss_kb, type_bytes = wire.unpack_result_header(data, at)
            start = at + header_bytes
            at = start + follows
            if at > size:
                self._chunks, self._missing = [data[start - header_bytes :]], at - size
                return
            body = start + type_bytes
            error_type = data[start:body].decode(errors="replace") if type_bytes else ""
            self._on_result(kind, log_end, duration_us, rss_kb, error_type, data[body:at])
            if self._is_closed:
                return

    # The log.

    def log(self, end: int | None = None) -> bytes:
        """Return what was written since the last call, up to `end` (None: to the end of the file), cut to
        KEPT_LOG_BYTES.
        """
        if end is None:
            end = os.fstat(self._log_fd).st_size
        # A file that has shrunk was emptied by the function: `> /dev/stderr` does that.
        start = self.log_at if self.log_at <= end else 0
        self.log_at = end
        length = end - start
        if length <= 0:
            return b""
        if length <= KEPT_LOG_BYTES:
            return os.pread(self._log_fd, length, start)
        cut = f"\n[{length - KEPT_LOG_BYTES} more bytes of this invocation's log were not kept]\n"
        return os.pread(self._log_fd, KEPT_LOG_BYTES, start) + cut.encode()

    @property
    def is_log_full(self) -> bool:
        return self.log_at > LOG_FILE_BYTES

    def empty_log(self) -> None:
        """Start the log file anew. Only while nothing runs: it is opened for appending on all sides."""
        os.ftruncate(self._log_fd, 0)
        self.log_at = 0

    # Birth and end.

    def born(self, pid: int) -> None:
        """Called by the link, once: the process is there."""
        self.pid = pid
        self._born = self._loop.time()

    def ended(self, how: Exit) -> None:
        """Called by the link, once: the process is gone. What it answered before is handed on first."""
        self.read()
        self._on_end(self, how)

    def close(self) -> None:
        """Let go of every descriptor. Harmless to repeat."""
        if self._is_closed:
            return
        self._is_closed = True
        self._loop.remove_reader(self._results.fileno())
        self._loop.remove_writer(self._commands.fileno())
        for end in (self._commands, self._inbox, self._results):
            end.close()
        os.close(self._log_fd)


def _request_id(message: bytes) -> str:
    return message[:_REQUEST_ID_BYTES].rstrip(b"\0").decode()


def _log_file() -> tuple[int, int]:
    """Open an appending file that has no name: memory, or a temporary file where there are no memory files.

    Returns two descriptors of it.
    """
    try:
        fd = os.memfd_create("log", os.MFD_CLOEXEC)
        fcntl.fcntl(fd, fcntl.F_SETFL, os.O_APPEND)
    except OSError:
        with tempfile.TemporaryFile() as file:
            fd = os.open(f"/proc/self/fd/{file.fileno()}", os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
    try:
        return fd, os.dup(fd)
    except OSError:
        os.close(fd)
        raise


def _memory_file(payload: bytes) -> int:
    fd = os.memfd_create("payload", os.MFD_CLOEXEC)
    view = memoryview(payload)
    while view:
        view = view[os.write(fd, view) :]
    os.lseek(fd, 0, os.SEEK_SET)
    return fd
